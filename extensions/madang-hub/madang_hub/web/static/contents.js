// What is in an environment: finding packages in the tables. Without this script all of them are shown.
"use strict";
(function () {
  const form = document.getElementById("find");
  if (!form) return;
  const field = document.getElementById("find-package");
  const status = form.querySelector("[role=status]");
  const tables = document.querySelectorAll("table.packages");

  // what stands there, and what is shortened there
  function textOf(row) {
    const more = Array.from(row.querySelectorAll("[title]"), (element) => element.title);
    return [row.textContent, ...more].join(" ").toLowerCase();
  }

  function show() {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let hits = 0;
    for (const table of tables) {
      let here = 0;
      for (const row of table.tBodies[0].rows) {
        const text = textOf(row);
        row.hidden = !words.every((word) => text.includes(word));
        if (!row.hidden) here += 1;
      }
      table.tHead.hidden = here === 0;
      hits += here;
      const fold = table.closest("details");
      if (fold) fold.open = words.length > 0 && here > 0;
    }
    if (!words.length) status.textContent = "";
    else status.textContent = hits ? status.dataset.found.replace("{number}", String(hits)) : status.dataset.none;
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  field.addEventListener("input", show);
  if (field.value) show(); // the browser kept it
})();
