// The globals that JupyterHub's own admin page expects, from the page's data attributes.
"use strict";
(function () {
  const root = document.documentElement;
  const hook = document.getElementById("react-admin-hook");
  window.base_url = root.dataset.hub;
  window.api_page_limit = parseInt(hook.dataset.limit, 10);
  window.jhdata = {
    base_url: root.dataset.hub,
    prefix: root.dataset.prefix,
    user: root.dataset.user,
    admin_access: true,
    options_form: true,
    xsrf_token: root.dataset.xsrf,
  };
})();
