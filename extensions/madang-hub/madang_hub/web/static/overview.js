// The admin's overview: an announcement to everybody.
"use strict";
(function () {
  const form = document.getElementById("announce");
  const call = window.people.service(form.dataset.service, document.documentElement.dataset.xsrf);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const send = form.querySelector("button[type=submit]");
    send.disabled = true;
    try {
      await call("POST", "api/announcements", {
        team: "",
        text: form.elements.text.value,
        hours: Number(form.elements.hours.value),
      });
      form.reset();
      const done = form.querySelector("[role=status]");
      done.textContent = form.dataset.done;
      done.hidden = false;
    } catch (problem) {
      window.people.showProblem(problem);
    }
    send.disabled = false;
  });
})();
