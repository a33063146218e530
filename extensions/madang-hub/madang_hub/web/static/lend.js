// What the pages about accelerators share: elements, what is said about a model, whether there are any here.
"use strict";
(function () {
  function make(tag, className, words) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (words !== undefined) element.textContent = words;
    return element;
  }

  function gigabytes(bytes) {
    return String(Math.round((bytes / 2 ** 30) * 10) / 10);
  }

  // What people call a slot's model; the maker's kind where nobody knows the model.
  function called(one) {
    const name = one.model || one.kind;
    return one.memory ? name + " · " + gigabytes(one.memory) + " GB" : name;
  }

  function minutesUntil(text) {
    return Math.max(0, Math.ceil((new Date(text) - Date.now()) / 60000));
  }

  // Whether there is anything to lend, for the link in the frame of every page (madang.js).
  function remember(there) {
    try {
      localStorage.setItem("madang-accelerators", there ? "1" : "0");
    } catch (error) {
      /* no storage: the link is shown on this page only */
    }
    window.madang.showAccelerators(there);
  }

  window.lend = { make: make, called: called, gigabytes: gigabytes, minutesUntil: minutesUntil, remember: remember };
})();
