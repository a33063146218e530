// Environments that mentors propose: sending the form, and an admin's decision.
"use strict";
(function () {
  const xsrf = document.documentElement.dataset.xsrf;
  const form = document.getElementById("proposal-form");
  const decide = document.getElementById("decide");

  function showFaults(lines) {
    const faults = document.getElementById("faults");
    const items = lines.map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    });
    document.getElementById("fault-list").replaceChildren(...items);
    faults.hidden = false;
    faults.focus();
  }

  if (form) {
    const call = window.people.service(form.dataset.service, xsrf);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const send = document.getElementById("propose");
      const label = send.textContent;
      document.getElementById("faults").hidden = true;
      document.getElementById("problem").hidden = true;
      send.disabled = true;
      send.textContent = form.dataset.busy;
      try {
        const made = await call("POST", "api/proposals", new FormData(form));
        location.assign(form.dataset.service + "proposals/" + made.id);
        return;
      } catch (problem) {
        if (problem.content && problem.content.faults) {
          showFaults(problem.content.faults);
          // a file that is mended on the disk must be chosen anew; browsers refuse to send it otherwise
          form.elements.archive.value = "";
        } else {
          window.people.showProblem(problem);
        }
      }
      send.disabled = false;
      send.textContent = label;
    });
  }

  if (decide) {
    const call = window.people.service(decide.dataset.service, xsrf);
    for (const button of decide.querySelectorAll("[data-step]")) {
      button.addEventListener("click", async () => {
        const reason = document.getElementById("reason");
        button.disabled = true;
        try {
          await call("POST", "api/proposals/" + decide.dataset.proposal + "/" + button.dataset.step, {
            reason: reason ? reason.value : "",
          });
          location.reload();
          return;
        } catch (problem) {
          window.people.showProblem(problem);
        }
        button.disabled = false;
      });
    }
  }
})();
