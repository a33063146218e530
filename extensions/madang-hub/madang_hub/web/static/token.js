// Making and withdrawing tokens.
"use strict";
(function () {
  const user = "users/" + encodeURIComponent(document.documentElement.dataset.user) + "/tokens";
  const form = document.getElementById("request-token-form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const wish = {
      note: document.getElementById("token-note").value || form.dataset.note,
      expires_in: parseInt(document.getElementById("token-expiration-seconds").value, 10) || null,
    };
    const scopes = document.getElementById("token-scopes").value.split(/[\s,]+/).filter(Boolean);
    if (scopes.length) wish.scopes = scopes;
    try {
      const made = await (await window.madang.api("POST", user, wish)).json();
      document.getElementById("token-result").textContent = made.token;
      document.getElementById("token-area").hidden = false;
      document.getElementById("token-area").scrollIntoView({ block: "nearest" });
    } catch (problem) {
      window.madang.showProblem(problem);
    }
  });
  for (const button of document.querySelectorAll(".revoke-token-btn")) {
    button.addEventListener("click", async () => {
      const row = button.closest(".token-row");
      button.disabled = true;
      try {
        await window.madang.api("DELETE", user + "/" + encodeURIComponent(row.dataset.tokenId));
        row.remove();
      } catch (problem) {
        button.disabled = false;
        window.madang.showProblem(problem);
      }
    });
  }
})();
