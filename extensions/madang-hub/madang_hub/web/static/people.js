// What the pages of services share: their APIs, and times of the day in the page's language.
"use strict";
(function () {
  const root = document.documentElement;

  // The service's API at `base` with its own XSRF token (the Hub's pages have another).
  function service(base, xsrf) {
    return async function call(method, path, body) {
      let reply;
      const headers = { Accept: "application/json", "X-XSRFToken": xsrf };
      const isForm = body instanceof FormData;
      if (body !== undefined && !isForm) headers["Content-Type"] = "application/json";
      reply = await fetch(base + path, {
        method: method,
        headers: headers,
        body: body === undefined ? undefined : isForm ? body : JSON.stringify(body),
        credentials: "same-origin",
      });
      const isJson = (reply.headers.get("Content-Type") || "").startsWith("application/json");
      if (reply.ok) return reply.status === 204 ? null : isJson ? await reply.json() : await reply.text();
      const problem = new Error(String(reply.status));
      problem.status = reply.status;
      try {
        problem.content = await reply.json();
        problem.detail = problem.content.message;
      } catch (error) {
        /* no JSON: the status has to do */
      }
      throw problem;
    };
  }

  // The XSRF token of the service at `base`. On the Hub's pages the browser may not be signed in there yet, and
  // the token is not there: an unseen visit to the service's page "session" brings both.
  function session(base) {
    if (location.pathname.startsWith(base)) {
      return Promise.resolve(root.dataset.xsrf);
    }
    return new Promise((resolve, reject) => {
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.title = "";
      frame.src = base + "session";
      const late = setTimeout(() => finish(), 20000);
      function finish() {
        clearTimeout(late);
        let xsrf = "";
        try {
          xsrf = frame.contentDocument.documentElement.dataset.xsrf || "";
          if (!frame.contentWindow.location.pathname.startsWith(base)) xsrf = "";
        } catch (error) {
          /* another page came, or none */
        }
        frame.remove();
        if (xsrf) resolve(xsrf);
        else reject(new Error("no session"));
      }
      frame.addEventListener("load", finish);
      document.body.append(frame);
    });
  }

  // The service's sentences are whole ones and say what to do: no lead-in, unlike the Hub's.
  function showProblem(problem) {
    if (!problem.detail) {
      window.madang.showProblem(problem);
      return;
    }
    const box = document.getElementById("problem");
    box.textContent = problem.detail;
    box.hidden = false;
    box.scrollIntoView({ block: "center" });
  }

  function clock(text) {
    const moment = new Date(text);
    const today = new Date().toDateString() === moment.toDateString();
    const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    return moment.toLocaleString(root.lang, today ? time : { month: "short", day: "numeric", ...time });
  }

  function fill(text, values) {
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  }

  function showMoments(part) {
    for (const element of part.querySelectorAll("time[data-moment]")) {
      const moment = new Date(element.dateTime);
      if (isNaN(moment)) continue;
      element.textContent = clock(element.dateTime);
      element.title = moment.toLocaleString(root.lang);
    }
  }

  // A function that calls `look` at once, and then again and again: `every` milliseconds after an answer, `hidden`
  // while nobody sees the page (0: not until somebody does), and as soon as the page is seen.
  function poll(look, every, hidden) {
    let timer = 0;
    async function now() {
      clearTimeout(timer);
      await look();
      clearTimeout(timer);
      const wait = document.hidden ? hidden : every;
      if (wait) timer = setTimeout(now, wait);
    }
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) now();
    });
    return now;
  }

  window.people = {
    service: service,
    session: session,
    showProblem: showProblem,
    showMoments: showMoments,
    clock: clock,
    fill: fill,
    poll: poll,
  };
  showMoments(document);
})();
