// The author's desk: moves, audience, links, words; what changes by itself comes anew as HTML.
"use strict";
(function () {
  const desk = document.getElementById("desk");
  const texts = JSON.parse(desk.dataset.texts);
  const tables = document.getElementById("tables");
  const done = document.getElementById("done");
  const call = window.people.service(desk.dataset.service, document.documentElement.dataset.xsrf);
  const path = "api/dashboards/" + desk.dataset.slug;
  const EVERY = 5000;

  const revision = () => Number(tables.querySelector("[data-revision]").dataset.revision);

  async function draw() {
    const html = await call("GET", path + "/desk");
    const open = Array.from(tables.querySelectorAll("details[open]"), (one) => one.dataset.keep);
    const shut = Array.from(tables.querySelectorAll("details:not([open])"), (one) => one.dataset.keep);
    const held = document.activeElement && tables.contains(document.activeElement) ? document.activeElement : null;
    if (held) return; // nobody's button goes away under the finger
    tables.innerHTML = html;
    for (const one of tables.querySelectorAll("details")) {
      if (open.includes(one.dataset.keep)) one.open = true;
      if (shut.includes(one.dataset.keep)) one.open = false;
    }
    window.people.showMoments(tables);
  }

  const look = window.people.poll(async () => {
    try {
      await draw();
    } catch (problem) {
      if (problem.status === 404 || problem.status === 403) window.people.showProblem(problem);
    }
  }, EVERY, 0);

  // Do something; the page comes anew, as forms show what is so now.
  async function act(button, method, where, body) {
    if (button.dataset.question && !window.confirm(button.dataset.question)) return;
    button.disabled = true;
    try {
      await call(method, path + where, body);
      location.reload();
    } catch (problem) {
      button.disabled = false;
      window.people.showProblem(problem);
    }
  }

  desk.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do], button[data-take-back]");
    if (!button) return;
    const what = button.dataset.do;
    if (button.dataset.takeBack) act(button, "DELETE", "/links/" + button.dataset.takeBack);
    else if (what === "delete") act(button, "DELETE", "");
    else if (what === "show") act(button, "POST", "/show", { version: Number(button.dataset.version), expect: revision() });
    else act(button, "POST", "/" + what, { expect: revision() });
  });

  function form(name, send) {
    const found = document.getElementById(name);
    if (!found) return;
    found.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = found.querySelector("button[type=submit]");
      button.disabled = true;
      document.getElementById("problem").hidden = true;
      done.hidden = true;
      try {
        await send(found.elements);
      } catch (problem) {
        window.people.showProblem(problem);
      }
      button.disabled = false;
    });
  }

  function saved() {
    done.textContent = texts.saved;
    done.hidden = false;
    done.scrollIntoView({ block: "center" });
    look();
  }

  form("audience", async (fields) => {
    const teams = fields.team ? (fields.team.length === undefined ? [fields.team] : Array.from(fields.team)) : [];
    await call("PATCH", path, {
      audience: {
        people: fields.people.value.split(/[\s,]+/).filter(Boolean),
        teams: teams.filter((one) => one.checked).map((one) => one.value),
        everyone: fields.everyone.checked,
      },
      expect: revision(),
    });
    saved();
  });
  form("words", async (fields) => {
    await call("PATCH", path, { title: fields.title.value, description: fields.description.value, expect: revision() });
    location.reload();
  });
  form("hand-over", async (fields) => {
    await call("POST", path + "/hand-over", { to: fields.to.value, expect: revision() });
    location.assign(desk.dataset.service);
  });
  form("new-link", async (fields) => {
    const made = await call("POST", path + "/links", { days: Number(fields.days.value), label: fields.label.value });
    const text = document.getElementById("link-text");
    text.value = location.origin + made.url;
    document.getElementById("link-made").hidden = false;
    text.select();
    look();
  });
  const copy = document.getElementById("copy");
  if (copy) {
    copy.addEventListener("click", async () => {
      const text = document.getElementById("link-text");
      text.select();
      try {
        await navigator.clipboard.writeText(text.value);
      } catch (error) {
        document.execCommand("copy"); // without https there is no other way
      }
      copy.textContent = texts.copied;
    });
  }
  look();
})();
