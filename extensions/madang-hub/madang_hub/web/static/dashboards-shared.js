// On the home page and the page of a class: what others share with the person. Stays unseen where there is nothing.
"use strict";
(function () {
  const box = document.getElementById("dashboards");
  if (!box) return;
  const list = box.querySelector("ul");

  function row(one) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.className = "row-title";
    link.href = one.url;
    link.textContent = one.title;
    const by = document.createElement("span");
    by.className = "row-facts";
    by.textContent = one.by;
    item.append(link, by);
    return item;
  }

  async function look() {
    try {
      const call = window.people.service(box.dataset.service, await window.people.session(box.dataset.service));
      const team = box.dataset.team ? "?team=" + encodeURIComponent(box.dataset.team) : "";
      const found = await call("GET", "api/shared" + team);
      list.replaceChildren(...found.dashboards.map(row));
      box.hidden = !found.dashboards.length;
    } catch (problem) {
      /* the page is whole without it */
    }
  }
  look();
})();
