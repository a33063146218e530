// What all pages do: language, theme, times, forms that are sent once, and servers that stop.
// No library. Texts come from the page (data attributes), so they are in its language.
"use strict";
(function () {
  const root = document.documentElement;
  const hub = root.dataset.hub;

  // ---- language: kept in a cookie, so that servers and services know it too ----
  function rememberLanguage(code) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie =
      "madang_lang=" + code + "; Path=" + root.dataset.prefix + "; Max-Age=31536000; SameSite=Lax" + secure;
  }
  function withoutLanguage() {
    const address = new URL(location.href);
    address.searchParams.delete("lang");
    return address;
  }
  const wished = new URLSearchParams(location.search).get("lang");
  if (wished === "ko" || wished === "en") {
    rememberLanguage(wished);
    history.replaceState(history.state, "", withoutLanguage());
  }
  // JupyterHub's own mark of a redirect loop; it must not stay in the address
  if (document.querySelector("[data-status]") && new URLSearchParams(location.search).has("redirects")) {
    const address = withoutLanguage();
    address.searchParams.delete("redirects");
    history.replaceState(history.state, "", address);
  }

  // ---- the link to accelerators: the Hub does not know whether there are any; the broker's last word counts ----
  function showAccelerators(there) {
    const link = document.querySelector("[data-accelerators-link]");
    if (link && !link.hasAttribute("aria-current") && !link.hasAttribute("data-always")) link.hidden = !there;
  }
  try {
    showAccelerators(localStorage.getItem("madang-accelerators") === "1");
  } catch (error) {
    /* no storage: the link comes with the broker's answer */
  }

  // on a phone the places are wider than the page: the current one is in sight
  const current = document.querySelector(".places [aria-current]");
  if (current) current.parentElement.scrollLeft = current.offsetLeft - current.parentElement.offsetLeft;

  // ---- the Hub's API ----
  async function api(method, path, body) {
    const address = new URL(hub + "api/" + path, location.origin);
    address.searchParams.set("_xsrf", root.dataset.xsrf);
    const reply = await fetch(address, {
      method: method,
      headers: { Accept: "application/json", "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
    });
    if (!reply.ok) {
      const problem = new Error(String(reply.status));
      problem.status = reply.status;
      try {
        problem.detail = (await reply.json()).message;
      } catch (error) {
        /* no JSON: the status has to do */
      }
      throw problem;
    }
    return reply;
  }

  function showProblem(problem) {
    const box = document.getElementById("problem");
    if (problem.status === 403 || problem.status === 401) box.textContent = box.dataset.forbidden;
    else if (problem.status === undefined) box.textContent = box.dataset.unreachable;
    else box.textContent = box.dataset.lead + " " + (problem.detail || problem.status);
    box.hidden = false;
    box.scrollIntoView({ block: "center" });
  }

  function serverPath(user, server) {
    const path = "users/" + encodeURIComponent(user) + "/server";
    return server ? path + "s/" + encodeURIComponent(server) : path;
  }

  // ---- times: "3 minutes ago" in the page's language, the full time as a hint ----
  const units = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  function showTimes() {
    const words = new Intl.RelativeTimeFormat(root.lang, { numeric: "auto" });
    for (const element of document.querySelectorAll("time[data-relative]")) {
      const moment = new Date(element.dateTime);
      if (isNaN(moment)) continue;
      const seconds = Math.round((moment - Date.now()) / 1000);
      const unit = units.find((u) => Math.abs(seconds) >= u[1]) || units[units.length - 1];
      element.textContent = words.format(Math.round(seconds / unit[1]), unit[0]);
      element.title = moment.toLocaleString(root.lang);
    }
  }

  function busy(button) {
    button.disabled = true;
    if (button.dataset.busy) button.textContent = button.dataset.busy;
  }

  // Wait until the Hub says that the server is gone; it answers 202 while it is still stopping.
  async function untilStopped(user, server) {
    for (;;) {
      const model = await (await api("GET", "users/" + encodeURIComponent(user))).json();
      const servers = model.servers || {};
      const one = servers[server];
      if (!one || (!one.ready && !one.pending)) return;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  async function stopServer(button) {
    const server = button.dataset.stop;
    busy(button);
    try {
      const reply = await api("DELETE", serverPath(root.dataset.user, server));
      if (reply.status === 202) await untilStopped(root.dataset.user, server);
      location.reload();
    } catch (problem) {
      showProblem(problem);
    }
  }

  // MLflow's pages open on language models, with a panel for an assistant that is not connected here.
  // Notebooks log training runs: begin there, unless this browser has been told otherwise. These are
  // MLflow's own keys; if they change, its pages open as they do by themselves.
  const trackingPreferences = {
    "mlflow.workflowType_v1": '"machine_learning"',
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
  };
  function prepareTracking() {
    try {
      for (const [key, value] of Object.entries(trackingPreferences))
        if (localStorage.getItem(key) === null) localStorage.setItem(key, value);
    } catch (error) {
      /* storage is forbidden: MLflow opens as it does by itself */
    }
  }

  // What stands behind the "#" of an address is never sent to a server, but stays with the browser on its way
  // through redirects. So it goes along with the form and the button of the sign-in. A provider's own form
  // loses it: then the tracking server's page finds it here again (madang_mlflow/opening.js).
  function takeFragmentAlong() {
    const main = document.getElementById("login-main");
    const fragment = location.hash;
    if (!main || fragment.length < 2) return;
    for (const form of main.querySelectorAll("form")) form.action += fragment;
    const provider = document.getElementById("provider");
    if (!provider) return;
    provider.href += fragment;
    const next = new URLSearchParams(location.search).get("next") || "";
    if (!next.includes("client_id=service-mlflow")) return;
    provider.addEventListener("click", () => {
      try {
        sessionStorage.setItem("madang.opens", JSON.stringify({ fragment, until: Date.now() + 600000 }));
      } catch (error) {
        /* storage is forbidden: the tracking server opens at the own workspace */
      }
    });
  }

  function wire() {
    showTimes();
    takeFragmentAlong();
    setInterval(showTimes, 30000);
    for (const link of document.querySelectorAll("a[data-tracking]"))
      link.addEventListener("click", prepareTracking);

    for (const link of document.querySelectorAll("a[data-language]")) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        rememberLanguage(link.dataset.language);
        location.assign(withoutLanguage());
      });
    }
    const toggle = document.getElementById("dark-theme-toggle");
    if (toggle) toggle.addEventListener("click", () => window.madangTheme.toggle());

    // a form is sent once; coming back by the browser's history makes it usable again
    for (const form of document.querySelectorAll("form[data-once]")) {
      const button = form.querySelector("button[type=submit]");
      const label = button && button.textContent;
      form.addEventListener("submit", (event) => {
        if (form.dataset.sent) event.preventDefault();
        form.dataset.sent = "yes";
        button.setAttribute("aria-disabled", "true");
        if (button.dataset.busy) button.textContent = button.dataset.busy;
      });
      window.addEventListener("pageshow", () => {
        delete form.dataset.sent;
        button.removeAttribute("aria-disabled");
        button.textContent = label;
      });
    }

    // sign-in
    const insecure = document.getElementById("insecure-login-warning");
    if (insecure && !window.isSecureContext) insecure.hidden = false;
    const show = document.getElementById("show-password");
    if (show) {
      show.addEventListener("click", () => {
        const shown = show.getAttribute("aria-pressed") === "true";
        show.setAttribute("aria-pressed", String(!shown));
        show.textContent = shown ? show.dataset.show : show.dataset.hide;
        for (const field of document.querySelectorAll("#password_input, #new_password, #new_password_again"))
          field.type = shown ? "password" : "text";
      });
    }
    const first = document.getElementById("first-time");
    if (first) {
      const follow = () => {
        for (const field of first.querySelectorAll("input")) {
          field.required = first.open;
          field.disabled = !first.open;
        }
      };
      first.addEventListener("toggle", follow);
      follow();
    }

    // picker: offer only the sizes of the chosen environment
    const environments = document.getElementById("environments");
    if (environments) {
      const follow = () => {
        const chosen = environments.querySelector("input:checked");
        if (!chosen) return;
        const offered = chosen.dataset.sizes.split(" ");
        const labels = Array.from(document.querySelectorAll("#sizes [data-size]"));
        for (const label of labels) {
          const radio = label.querySelector("input");
          label.hidden = !offered.includes(label.dataset.size);
          radio.disabled = label.hidden;
          if (label.hidden) radio.checked = false;
        }
        const open = labels.filter((label) => !label.hidden).map((label) => label.querySelector("input"));
        if (open.length && !open.some((radio) => radio.checked)) open[0].checked = true;
      };
      environments.addEventListener("change", follow);
      follow();
    }
    const nothing = document.querySelector("[data-no-offers]");
    if (nothing) nothing.closest("form").querySelector("button[type=submit]").hidden = true;

    // home
    const dialog = document.getElementById("stop-dialog");
    for (const button of document.querySelectorAll("[data-stop]")) {
      button.addEventListener("click", () => {
        dialog.returnValue = "";
        dialog.onclose = () => {
          if (dialog.returnValue === "yes") stopServer(button);
        };
        dialog.showModal();
      });
    }
    for (const button of document.querySelectorAll("[data-delete]")) {
      button.addEventListener("click", async () => {
        if (!window.confirm(button.dataset.question)) return;
        busy(button);
        try {
          await api("DELETE", serverPath(root.dataset.user, button.dataset.delete), { remove: true });
          button.closest("tr").remove();
        } catch (problem) {
          showProblem(problem);
        }
      });
    }
    const added = document.getElementById("new-server");
    if (added) {
      added.addEventListener("submit", (event) => {
        event.preventDefault();
        location.assign(added.dataset.spawn + encodeURIComponent(document.getElementById("new-server-name").value));
      });
    }

    // pages that go on by themselves
    const reload = document.querySelector("[data-reload]");
    if (reload) setTimeout(() => location.reload(), 1000 * Number(reload.dataset.reload));
    const go = document.querySelector("[data-go]");
    if (go) setTimeout(() => location.assign(go.dataset.go), 1000 * Number(go.dataset.after));
    for (const button of document.querySelectorAll("[data-reload-now]"))
      button.addEventListener("click", () => location.reload());
    for (const link of document.querySelectorAll("[data-keep-hash]")) link.href += location.hash;

    mendProxiedError();
  }

  // The proxy asks the Hub for its error pages without our cookies, so they come in the default language
  // and signed out. Ask again with cookies and put the right words in place.
  async function mendProxiedError() {
    const error = document.querySelector("[data-status]");
    if (!error || location.pathname.startsWith(hub) || root.dataset.user) return;
    try {
      const address = new URL(hub + "error/" + error.dataset.status, location.origin);
      address.searchParams.set("url", location.pathname);
      const reply = await fetch(address, { credentials: "same-origin", headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await reply.text(), "text/html");
      const right = page.querySelector("main");
      if (!right || !page.querySelector("[data-status]")) return;
      root.lang = page.documentElement.lang;
      document.title = page.title;
      document.querySelector("header").replaceWith(page.querySelector("header"));
      document.querySelector("main").replaceWith(right);
      root.dataset.user = page.documentElement.dataset.user || " ";
      wire();
    } catch (problem) {
      /* the first page stays: its words are right, only perhaps in the other language */
    }
  }

  window.madang = { api: api, showAccelerators: showAccelerators, showProblem: showProblem, serverPath: serverPath, busy: busy, showTimes: showTimes };
  wire();
})();
