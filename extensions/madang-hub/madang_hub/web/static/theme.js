// Runs before anything is drawn, so that a page never flashes in the wrong colours.
"use strict";
(function () {
  var root = document.documentElement;
  var system = window.matchMedia("(prefers-color-scheme: dark)");

  function stored() {
    try {
      return window.localStorage.getItem("madang-theme");
    } catch (error) {
      return null; // storage is forbidden: follow the system
    }
  }

  function apply() {
    var theme = stored() || (system.matches ? "dark" : "light");
    root.setAttribute("data-theme", theme);
    root.setAttribute("data-bs-theme", theme); // JupyterHub's admin page
  }

  window.madangTheme = {
    toggle: function () {
      var theme = root.getAttribute("data-theme") === "dark" ? "light" : "dark";
      try {
        window.localStorage.setItem("madang-theme", theme);
      } catch (error) {
        /* holds for this page only */
      }
      root.setAttribute("data-theme", theme);
      root.setAttribute("data-bs-theme", theme);
      return theme;
    },
  };
  apply();
  system.addEventListener("change", apply);
})();
