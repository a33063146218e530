// The part of a page that says what matters now: who is in the server, when it stops, announcements.
"use strict";
(function () {
  const box = document.getElementById("now");
  if (!box) return;
  const text = (name) => box.dataset["text" + name[0].toUpperCase() + name.slice(1)];
  const places = {
    lookIns: document.getElementById("now-look-ins"),
    server: document.getElementById("now-server"),
    news: document.getElementById("now-news"),
  };
  const EVERY = 20000;
  let call = null;
  let shown = "";
  let notices = [];

  function make(tag, className, words) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (words !== undefined) element.textContent = words;
    return element;
  }

  function note(kind, title, lines, buttons) {
    const element = make("div", "note now " + kind);
    const words = make("div", "now-words");
    if (title) words.append(make("strong", "", title));
    for (const line of lines) words.append(make("p", "", line));
    element.append(words);
    if (buttons.length) {
      const row = make("div", "now-buttons");
      row.append(...buttons);
      element.append(row);
    }
    return element;
  }

  function button(words, press, primary) {
    const element = make("button", "button small" + (primary ? " primary" : ""), words);
    element.type = "button";
    element.addEventListener("click", async () => {
      element.disabled = true;
      try {
        await press();
      } catch (problem) {
        window.people.showProblem(problem);
      }
      await look();
      element.disabled = false;
    });
    return element;
  }

  function untilWords(until) {
    const minutes = Math.max(0, Math.ceil((new Date(until) - Date.now()) / 60000));
    const time = window.people.fill(text("until"), { time: window.people.clock(until) });
    return time + " (" + window.people.fill(text("left"), { minutes: minutes }) + ")";
  }

  function drawLookIns(me) {
    const drawn = [];
    for (const one of me.look_ins) {
      const title = window.people.fill(text("inside"), { name: one.mentor_name });
      const end = button(text("end"), async () => {
        await call("POST", "api/look-ins/" + one.id + "/end", {});
        notices.push(text("ended"));
      });
      const element = note("warn", title, [untilWords(one.until), window.people.fill(text("reason"), { reason: one.reason })], [end]);
      element.dataset.lookIn = one.id;
      drawn.push(element);
    }
    for (const one of me.visiting) {
      const title = window.people.fill(text("visiting"), { name: one.trainee_name });
      const enter = make("a", "button small", text("enter"));
      enter.href = document.documentElement.dataset.prefix + "user/" + encodeURIComponent(one.trainee) + "/";
      enter.target = "_blank";
      enter.rel = "noopener";
      const end = button(text("end"), async () => {
        await call("POST", "api/look-ins/" + one.id + "/end", {});
        notices.push(text("endedVisit"));
      });
      drawn.push(note("info", title, [untilWords(one.until)], [enter, end]));
    }
    for (const words of notices) drawn.push(note("info", "", [words], []));
    places.lookIns.replaceChildren(...drawn);
  }

  function drawServer(me) {
    const server = me.server;
    if (!server || !server.warning || !server.ends) {
      places.server.replaceChildren();
      return;
    }
    const why = { idle: "idle", class: "class", limit: "limit", account: "account", provider: "account" }[server.why] || "limit";
    const line = window.people.fill(text(why), { time: window.people.clock(server.ends) });
    const buttons = [];
    if (server.can_extend)
      buttons.push(
        button(
          text("extend"),
          async () => {
            const then = await call("POST", "api/me/extend", { server: server.name });
            const words = text("extended");
            notices.push(then.ends ? words + " " + window.people.fill(text("until"), { time: window.people.clock(then.ends) }) : words);
          },
          true,
        ),
      );
    const element = note("warn", line, [text("save")], buttons);
    element.dataset.warning = server.why || "";
    places.server.replaceChildren(element);
  }

  function drawNews(me) {
    const drawn = me.announcements.map((one) => {
      const element = note("info", text("news"), one.text.split("\n"), []);
      element.dataset.announcement = one.id;
      return element;
    });
    places.news.replaceChildren(...drawn);
  }

  function draw(me) {
    // drawing anew would take the focus away and be read aloud again: only what has changed
    const minute = me.look_ins.length || me.visiting.length ? Math.floor(Date.now() / 60000) : 0;
    const state = JSON.stringify([me.look_ins, me.visiting, me.server, me.announcements, notices, minute]);
    if (state === shown) return;
    shown = state;
    drawLookIns(me);
    drawServer(me);
    drawNews(me);
  }

  const look = window.people.poll(async () => {
    try {
      if (!call) call = window.people.service(box.dataset.service, await window.people.session(box.dataset.service));
      draw(await call("GET", "api/me"));
    } catch (problem) {
      if (problem.status === 403) call = null; // signed in anew, or no longer: the next look finds out
      if (shown !== "away") {
        shown = "away";
        places.server.replaceChildren(make("p", "hint", text("away")));
      }
    }
  }, EVERY, EVERY);
  look();
})();
