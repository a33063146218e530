// On the Hub's pages: what a person has or could have of accelerators. Stays unseen where there are none, and
// where the broker is away; nothing waits for it.
"use strict";
(function () {
  const box = document.getElementById("accelerators");
  if (!box) return;
  const texts = JSON.parse(box.dataset.texts);
  const fill = window.people.fill;
  const clock = window.people.clock;
  const make = window.lend.make;
  const place = (name) => document.getElementById("accelerators-" + name);
  const EVERY = 15000;
  const title = document.title;
  let call = null;
  let shown = "";
  let last = null;

  // ---- before a start: what is chosen there ----
  const chosen = (name) => document.querySelector('#spawn_form input[name="' + name + '"]:checked');

  function usable(me) {
    const environment = chosen("environment");
    if (!environment) return true;
    const kinds = (environment.dataset.accelerators || "").split(" ");
    return me.free.some((one) => kinds.includes(one.kind));
  }

  function address() {
    const query = new URLSearchParams();
    for (const name of ["environment", "size"]) if (chosen(name)) query.set(name, chosen(name).value);
    return box.dataset.service + (query.size ? "?" + query : "");
  }

  // ---- words ----
  function mine(one) {
    const element = make("div", "note now " + (one.state === "granted" && !one.restarting ? "warn" : "info"));
    element.dataset.lease = one.state;
    const words = make("div", "now-words");
    const line = (text) => words.append(make("p", "", text));
    const model = one.model || one.kind;
    const turn = one.state === "granted" && !one.restarting;
    if (one.restarting) words.append(make("strong", "", texts.restarting));
    else if (turn) {
      words.append(make("strong", "", texts.turn));
      line(fill(texts.takeUntil, { time: clock(one.take_until) }));
    } else if (one.state === "active") {
      words.append(make("strong", "", texts.active));
      line(fill(texts.until, { model: model, time: clock(one.ends) }));
      if (chosen("environment")) line(texts.nextStart);
    } else if (one.state === "ending") words.append(make("strong", "", texts.ending));
    else {
      words.append(make("strong", "", one.place === 1 ? texts.first : fill(texts.place, { place: one.place || "–" })));
      if (one.latest) line(fill(texts.range, { soonest: clock(one.soonest), latest: clock(one.latest) }));
      line(texts.meanwhile);
    }
    element.append(words);
    const link = make("a", "button small" + (turn ? " primary" : ""), turn ? texts.take : texts.more);
    link.href = box.dataset.service;
    const row = make("div", "now-buttons");
    row.append(link);
    element.append(row);
    return element;
  }

  function free(one) {
    const row = make("li");
    row.dataset.free = one.free;
    const name = make("span", "row-title with-dot");
    const dot = make("span", "dot");
    dot.setAttribute("aria-hidden", "true");
    name.append(dot, make("span", "", window.lend.called(one)));
    const words = [fill(texts.free, one)];
    if (!one.free && one.next_free) words.push(fill(texts.next, { time: clock(one.next_free) }));
    if (one.waiting) words.push(fill(texts.inLine, { number: one.waiting }));
    row.append(name, make("span", "row-facts", words.join(" · ")));
    return row;
  }

  function draw(me) {
    last = me;
    const open = me.requests.filter((one) => one.state !== "ended");
    me.free = me.free.filter((one) => one.total);
    const can = usable(me);
    const state = JSON.stringify([me.free, open, can, address()]);
    if (state === shown) return;
    shown = state;
    window.lend.remember(me.free.length > 0);
    box.hidden = !me.free.length && !open.length;
    place("mine").replaceChildren(...open.map(mine));
    place("free").replaceChildren(...(open.length ? [] : me.free.map(free)));
    const hint = place("hint");
    hint.hidden = Boolean(open.length) || !chosen("environment");
    hint.textContent = can ? texts.cpu : texts.cpuOnly;
    place("link").href = address();
    place("link").parentElement.hidden = Boolean(open.length) || !can;
    document.title = open.some((one) => one.state === "granted" && !one.restarting) ? texts.turn + " · " + title : title;
  }

  const look = window.people.poll(async () => {
    try {
      if (!call) call = window.people.service(box.dataset.service, await window.people.session(box.dataset.service));
      draw(await call("GET", "api/"));
    } catch (problem) {
      if (problem.status === 403) call = null;
      if (shown) box.hidden = true; // what it says may not be so any more
      shown = "";
    }
  }, EVERY, EVERY);

  const form = document.getElementById("spawn_form");
  if (form) form.addEventListener("change", () => last && draw(last));
  look();
})();
