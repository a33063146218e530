// The gallery: finding and filtering. Without this script all cards are shown.
"use strict";
(function () {
  const form = document.getElementById("find-dashboard");
  if (!form) return;
  const status = form.querySelector("[role=status]");
  const cards = Array.from(document.querySelectorAll("#gallery > li"));

  function show() {
    const words = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kind = form.elements.kind.value;
    let hits = 0;
    for (const card of cards) {
      const text = card.textContent.toLowerCase();
      const fits = !kind || card.dataset.kinds.split(" ").includes(kind);
      card.hidden = !(fits && words.every((word) => text.includes(word)));
      if (!card.hidden) hits += 1;
    }
    if (!words.length && hits) status.textContent = "";
    else status.textContent = hits ? status.dataset.found.replace("{number}", String(hits)) : status.dataset.none;
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", show);
  show(); // the browser kept what was chosen
})();
