// Importing a roster: look first, then do just what was shown.
"use strict";
(function () {
  const form = document.getElementById("roster-form");
  const call = window.people.service(form.dataset.service, document.documentElement.dataset.xsrf);
  const section = (name) => document.getElementById(name);
  const confirm = section("confirm");
  let mark = "";

  function list(element, lines) {
    element.replaceChildren(
      ...lines.map((line) => {
        const item = document.createElement("li");
        item.textContent = line;
        return item;
      }),
    );
  }

  function show(name) {
    for (const one of ["faults", "plan", "done"]) section(one).hidden = one !== name;
    section("problem").hidden = true;
    if (name) section(name).focus();
  }

  function showDone(answer) {
    section("done-lead").textContent = window.people.fill(form.dataset.done, answer);
    section("passwords").hidden = answer.accounts.length === 0;
    const rows = answer.accounts.map((account) => {
      const row = document.createElement("tr");
      for (const value of [account.display_name, account.name, account.password, account.email]) {
        const cell = document.createElement("td");
        cell.textContent = value;
        row.append(cell);
      }
      row.children[2].className = "password";
      row.children[3].className = "no-print";
      return row;
    });
    section("passwords").querySelector("tbody").replaceChildren(...rows);
    section("choose").hidden = true;
    show("done");
  }

  function showPlan(answer) {
    mark = answer.mark;
    list(section("plan-list"), answer.lines);
    section("plan-note").textContent = answer.note;
    section("plan-note").hidden = !answer.note;
    section("plan-lead").hidden = answer.nothing;
    confirm.hidden = answer.nothing;
    show("plan");
  }

  async function send(button, confirmed) {
    const label = button.textContent;
    button.disabled = true;
    button.textContent = form.dataset.busy;
    const wish = new FormData(form);
    if (confirmed) wish.set("confirm", mark);
    try {
      const answer = await call("POST", "api/import", wish);
      if (answer.done) showDone(answer);
      else showPlan(answer);
    } catch (problem) {
      if (problem.content && problem.content.faults) {
        section("faults-lead").textContent = form.dataset.faults;
        list(section("fault-list"), problem.content.faults);
        // a file that is mended on the disk must be chosen anew; browsers refuse to send it otherwise
        form.elements.roster.value = "";
        show("faults");
      } else {
        window.people.showProblem(problem);
      }
    }
    button.disabled = false;
    button.textContent = label;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(section("check"), false);
  });
  // what was shown was about what stood in the form then
  for (const kind of ["input", "change"]) form.addEventListener(kind, () => show(""));
  confirm.addEventListener("click", () => send(confirm, true));
  section("print").addEventListener("click", () => window.print());
})();
