// A visit: asks until it begins, puts it into the frame, and says honestly when it is over.
// With a link its token is the part of the address after "#", which browsers send to nobody.
"use strict";
(function () {
  const box = document.getElementById("visit");
  const texts = JSON.parse(box.dataset.texts);
  const place = (name) => document.getElementById(name);
  const frame = place("frame");
  const again = place("again");
  const byLink = "link" in box.dataset;
  const token = location.hash.slice(1);
  const call = window.people.service(box.dataset.service, document.documentElement.dataset.xsrf);
  const base = (byLink ? "api/open/" : "api/dashboards/") + box.dataset.slug + "/visit";
  const STARTING = 700;
  const FULL = 5000;
  const GOES_ON = 4000;
  const AWAY = 5000;
  let visit = "";
  let timer = 0;

  const parameters = new URLSearchParams(location.search);
  parameters.delete("lang");
  const query = parameters.toString();

  function later(what, wait) {
    clearTimeout(timer);
    timer = setTimeout(what, wait);
  }

  // One state on the page: title, why, how far (null: no bar), words of the button (none: no button).
  function say(state, title, why, percent, button) {
    frame.hidden = true;
    place("waiting").hidden = false;
    place("waiting").dataset.state = state;
    place("waiting-title").textContent = title;
    place("waiting-why").textContent = why || "";
    place("waiting-why").hidden = !why;
    const meter = place("meter");
    meter.hidden = percent === null;
    if (percent !== null) {
      meter.setAttribute("aria-valuenow", String(percent));
      meter.firstElementChild.style.width = percent + "%";
    }
    again.textContent = button || "";
    again.parentElement.hidden = !button;
    if (button) again.focus();
  }

  function leave() {
    visit = "";
    frame.removeAttribute("src");
  }

  function called(reply) {
    if (!byLink || !reply.title) return;
    place("visit-title").textContent = reply.title;
    frame.title = reply.title;
    document.title = reply.title + " · " + document.title.split(" · ").pop();
    if (reply.description) {
      place("visit-about").textContent = reply.description;
      place("about").hidden = false;
    }
  }

  function refused(problem, retry) {
    if (problem.status === 404) {
      leave();
      say("off", byLink ? texts.linkGone : texts.gone, byLink ? texts.linkGoneWhy : texts.goneWhy, null, "");
    } else if (problem.status === 403) {
      leave();
      say("off", texts.signIn, "", null, "");
    } else if (problem.status === 400) say("bad", texts.failed, problem.detail, null, "");
    else {
      if (!visit) say("pending", texts.away, "", null, "");
      later(retry, AWAY);
    }
  }

  async function begin() {
    let reply;
    try {
      reply = await call("POST", base, byLink ? { query: query, link: token } : { query: query });
    } catch (problem) {
      refused(problem, begin);
      return;
    }
    called(reply);
    if (reply.state === "open") {
      visit = reply.visit;
      place("waiting").hidden = true;
      frame.hidden = false;
      frame.src = box.dataset.service + reply.path;
      later(look, GOES_ON);
    } else if (reply.state === "full") {
      say("pending", texts.full, texts.fullWhy, null, "");
      later(begin, FULL);
    } else if (reply.state === "failed") {
      say("bad", texts.failed, reply.sentence, null, texts.retry);
    } else {
      say("pending", reply.state === "asleep" ? texts.starting : reply.sentence, "", reply.percent, "");
      later(begin, STARTING);
    }
  }

  async function look() {
    try {
      const path = base + "/" + visit;
      const reply = await (byLink ? call("POST", path, { link: token }) : call("GET", path));
      if (reply.open) later(look, GOES_ON);
      else {
        leave();
        say("off", texts.ended, texts.endedWhy, null, texts.again);
      }
    } catch (problem) {
      refused(problem, look);
    }
  }

  again.addEventListener("click", () => {
    say("pending", texts.asks, "", null, "");
    begin();
  });
  // The frame may say that its visit has ended; nothing else of what it says counts, and it is asked about first.
  window.addEventListener("message", (event) => {
    const said = event.source === frame.contentWindow && event.data && event.data.madang === "ended";
    if (said && visit) later(look, 0);
  });
  begin();
})();
