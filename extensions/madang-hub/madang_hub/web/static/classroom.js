// A class's page: the table is brought up to date in place, so that choices and the focus stay.
"use strict";
(function () {
  const root = document.documentElement;
  const box = document.getElementById("classroom");
  const call = window.people.service(box.dataset.service, root.dataset.xsrf);
  const fill = window.people.fill;
  const clock = window.people.clock;
  const words = (name) => box.dataset["text" + name[0].toUpperCase() + name.slice(1)];
  const team = "api/class/" + box.dataset.team;
  const body = document.querySelector("#people tbody");
  const template = document.getElementById("row");
  const all = document.getElementById("all");
  const result = document.getElementById("result");
  const starter = document.getElementById("start-chosen");
  const stopper = document.getElementById("stop-chosen");
  const EVERY = 10000;
  const SOON = 2000; // while something starts or stops
  let people = [];
  let timer = 0;

  function put(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  // ---- the table ----
  function rowOf(name) {
    return body.querySelector('tr[data-person="' + CSS.escape(name) + '"]');
  }

  function makeRow(person) {
    const row = template.content.firstElementChild.cloneNode(true);
    row.dataset.person = person.name;
    const check = row.querySelector("input[type=checkbox]");
    check.setAttribute("aria-label", fill(words("select"), { name: person.display_name }));
    check.addEventListener("change", countChosen);
    row.querySelector(".ask").addEventListener("click", () => ask(person.name));
    row.querySelector(".end").addEventListener("click", () => end(person.name));
    return row;
  }

  function stateOf(server) {
    if (!server) return ["off", "off"];
    if (server.pending === "stop") return ["pending", "stopping"];
    if (server.pending || !server.ready) return ["pending", "starting"];
    return ["running", "running"];
  }

  function drawPerson(row, person) {
    put(row.querySelector(".called"), person.display_name);
    const login = person.display_name === person.name ? "" : person.name;
    put(row.querySelector(".login"), person.role === "mentor" ? login + " · " + words("mentor") : login);
    const seen = row.querySelector(".seen");
    if (person.online) put(seen, words("online"));
    else if (!person.last_seen) put(seen, words("never"));
    else {
      let time = seen.querySelector("time");
      if (!time) {
        time = document.createElement("time");
        time.dataset.relative = "";
        seen.replaceChildren(time);
      }
      time.dateTime = person.last_seen;
    }
    row.classList.toggle("online", person.online);
    const [state, word] = stateOf(person.server);
    row.dataset.state = state;
    put(row.querySelector(".server-words"), words(word));
    const choice = person.server ? [person.server.environment, person.server.size].filter(Boolean).join(" · ") : "";
    put(row.querySelector(".choice-words"), choice);
    const failure = person.failure ? fill(words("failed"), { message: person.failure.message }) : "";
    put(row.querySelector(".failure"), failure);
    row.querySelector('[data-step="signed_in"]').classList.toggle("done", person.signed_in);
    row.querySelector('[data-step="started"]').classList.toggle("done", state === "running");
    const inside = person.look_in;
    row.querySelector(".ask").hidden = person.role !== "trainee" || Boolean(inside) || state !== "running";
    const label = inside ? fill(words(inside.mine ? "mine" : "inside"), { name: inside.mentor, time: clock(inside.until) }) : "";
    put(row.querySelector(".inside"), label);
    row.querySelector(".inside").hidden = !label;
    const enter = row.querySelector(".enter");
    enter.hidden = !(inside && inside.mine);
    enter.href = root.dataset.prefix + "user/" + encodeURIComponent(person.name) + "/";
    enter.setAttribute("aria-label", fill(words("open"), { name: person.display_name }));
    row.querySelector(".end").hidden = !(inside && inside.mine);
  }

  function draw(state) {
    people = state.people;
    const names = new Set(people.map((p) => p.name));
    for (const row of Array.from(body.rows)) if (!names.has(row.dataset.person)) row.remove();
    people.forEach((person, index) => {
      let row = rowOf(person.name);
      if (!row) row = makeRow(person);
      if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] || null);
      drawPerson(row, person);
    });
    const learners = people.filter((p) => p.role !== "mentor");
    put(
      document.getElementById("counts"),
      fill(words("counts"), {
        people: learners.length,
        online: learners.filter((p) => p.online).length,
        running: learners.filter((p) => p.server).length,
      }),
    );
    const nobody = document.getElementById("nobody");
    nobody.hidden = people.length > 0;
    put(nobody, words("nobody"));
    drawNews(state.announcements);
    countChosen();
    window.madang.showTimes();
  }

  // ---- choosing ----
  function chosen() {
    return Array.from(body.querySelectorAll("input:checked"), (input) => input.closest("tr").dataset.person);
  }

  function countChosen() {
    const number = chosen().length;
    const which = number ? "Some" : "All";
    put(starter, fill(words("start" + which), { number: number }));
    put(stopper, fill(words("stop" + which), { number: number }));
    all.checked = number > 0 && number === body.rows.length;
    all.indeterminate = number > 0 && !all.checked;
  }

  all.addEventListener("change", () => {
    for (const input of body.querySelectorAll("input[type=checkbox]")) input.checked = all.checked;
    countChosen();
  });

  // ---- starting and stopping ----
  const environment = document.getElementById("environment");
  const size = document.getElementById("size");
  function offerSizes() {
    const option = environment.selectedOptions[0];
    if (!option) return;
    const offered = option.dataset.sizes.split(" ");
    for (const one of size.options) {
      one.hidden = !offered.includes(one.value);
      one.disabled = one.hidden;
    }
    if (size.selectedOptions[0] && size.selectedOptions[0].disabled)
      size.value = Array.from(size.options).find((one) => !one.disabled).value;
  }
  environment.addEventListener("change", offerSizes);
  offerSizes();

  async function change(what, button) {
    const names = chosen();
    const wish = { people: names.length ? names : null };
    if (what === "start" && !document.getElementById("what").hidden) {
      wish.environment = environment.value;
      wish.size = size.value;
    }
    button.disabled = true;
    try {
      const done = await call("POST", team + "/" + what, wish);
      const lines = [fill(words(what === "start" ? "askedStart" : "askedStop"), done)];
      for (const one of done.failed) {
        const person = people.find((p) => p.name === one.person);
        lines.push(fill(words("failedFor"), { name: person ? person.display_name : one.person, message: one.message }));
      }
      result.className = "note " + (done.failed.length ? "warn" : "info");
      result.replaceChildren(
        ...lines.map((line) => {
          const p = document.createElement("p");
          p.textContent = line;
          return p;
        }),
      );
      result.hidden = false;
    } catch (problem) {
      window.people.showProblem(problem);
    }
    button.disabled = false;
    look();
  }

  const stopDialog = document.getElementById("stop-dialog");
  starter.addEventListener("click", () => change("start", starter));
  stopper.addEventListener("click", () => {
    stopDialog.returnValue = "";
    put(document.getElementById("stop-whom"), stopper.textContent);
    stopDialog.onclose = () => {
      if (stopDialog.returnValue === "yes") change("stop", stopper);
    };
    stopDialog.showModal();
  });

  // ---- looking in ----
  const dialog = document.getElementById("look-dialog");
  const reason = document.getElementById("look-reason");
  const lookProblem = document.getElementById("look-problem");
  let asked = "";
  function ask(name) {
    asked = name;
    const person = people.find((p) => p.name === name);
    dialog.querySelector("[data-name]").textContent = person.display_name;
    reason.value = "";
    lookProblem.hidden = true;
    dialog.showModal();
    reason.focus();
  }
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const go = document.getElementById("look-go");
    go.disabled = true;
    try {
      await call("POST", "api/look-ins", {
        trainee: asked,
        reason: reason.value,
        minutes: Number(dialog.querySelector("input[name=minutes]:checked").value),
      });
      dialog.close();
      await look();
      const enter = rowOf(asked) && rowOf(asked).querySelector(".enter");
      if (enter) enter.focus();
    } catch (problem) {
      lookProblem.textContent = problem.detail || String(problem.status || "");
      lookProblem.hidden = false;
    }
    go.disabled = false;
  });

  document.getElementById("look-cancel").addEventListener("click", () => dialog.close());

  async function end(name) {
    const person = people.find((p) => p.name === name);
    if (!person || !person.look_in) return;
    try {
      await call("POST", "api/look-ins/" + person.look_in.id + "/end", {});
    } catch (problem) {
      window.people.showProblem(problem);
    }
    await look();
  }

  // ---- announcements ----
  const news = document.getElementById("news");
  let newsShown = "";
  function drawNews(announcements) {
    const state = JSON.stringify(announcements);
    if (state === newsShown) return;
    newsShown = state;
    news.replaceChildren(
      ...announcements.map((one) => {
        const item = document.createElement("li");
        item.dataset.announcement = one.id;
        const text = document.createElement("span");
        text.className = "row-title said";
        text.textContent = one.text;
        const until = document.createElement("span");
        until.className = "row-facts";
        until.textContent = fill(words("until"), { time: clock(one.until) });
        const remove = document.createElement("button");
        remove.type = "button";
        remove.className = "button small";
        remove.textContent = words("remove");
        remove.addEventListener("click", async () => {
          remove.disabled = true;
          try {
            await call("DELETE", "api/announcements/" + one.id);
          } catch (problem) {
            window.people.showProblem(problem);
          }
          look();
        });
        item.append(text, until, remove);
        return item;
      }),
    );
  }
  const announce = document.getElementById("announce");
  announce.addEventListener("submit", async (event) => {
    event.preventDefault();
    const send = announce.querySelector("button[type=submit]");
    send.disabled = true;
    try {
      await call("POST", "api/announcements", {
        team: box.dataset.team,
        text: announce.elements.text.value,
        hours: Number(announce.elements.hours.value),
      });
      announce.reset();
    } catch (problem) {
      window.people.showProblem(problem);
    }
    send.disabled = false;
    look();
  });

  // ---- looking again ----
  const stale = document.getElementById("stale");
  async function look() {
    clearTimeout(timer);
    let next = EVERY;
    try {
      draw(await call("GET", team));
      stale.hidden = true;
      if (people.some((p) => p.server && (p.server.pending || !p.server.ready))) next = SOON;
    } catch (problem) {
      stale.textContent = problem.detail || words("away");
      stale.hidden = false;
    }
    timer = setTimeout(look, next);
  }
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) look();
  });
  look();
})();
