// A person's page about accelerators: asks the broker every few seconds and shows what has changed.
"use strict";
(function () {
  const box = document.getElementById("lending");
  const texts = JSON.parse(box.dataset.texts);
  const titles = JSON.parse(box.dataset.teams);
  const fill = window.people.fill;
  const clock = window.people.clock;
  const make = window.lend.make;
  const call = window.people.service(box.dataset.service, document.documentElement.dataset.xsrf);
  const place = (name) => document.getElementById(name);
  const EVERY = 5000;
  const HIDDEN = 20000; // browsers slow hidden pages down anyway; a turn is kept for longer
  const title = document.title;
  const WHY = { left: "left_", ill: "ill_", idle: "idle_", "never-started": "neverStarted" };
  let shown = "";
  let states = null;
  let said = "";
  let there = [];

  // ---- pieces ----
  function button(words, step, press, primary) {
    const element = make("button", "button" + (primary ? " primary" : ""), words);
    element.type = "button";
    element.dataset.step = step;
    element.addEventListener("click", async () => {
      element.disabled = true;
      try {
        place("problem").hidden = true;
        await press();
      } catch (problem) {
        window.people.showProblem(problem);
      }
      await look();
      element.disabled = false;
    });
    return element;
  }

  function sure(heading, words, yes) {
    const dialog = place("sure");
    place("sure-title").textContent = heading;
    place("sure-words").textContent = words;
    place("sure-yes").textContent = yes;
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) =>
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }),
    );
  }

  const step = (one, what, body) => call("POST", "api/requests/" + one.id + "/" + what, body || {});

  function facts(rows) {
    const list = make("dl", "facts");
    for (const [name, words] of rows) {
      const row = make("div");
      row.append(make("dt", "", name), make("dd", "", words));
      list.append(row);
    }
    return list;
  }

  function card(one, heading, strong) {
    const element = make("section", "card lease" + (strong ? " turn" : ""));
    element.dataset.state = one.state;
    const line = make("p", "state");
    line.append(make("span", "dot"), make("span", "", heading));
    line.firstChild.setAttribute("aria-hidden", "true");
    element.append(line);
    return element;
  }

  function asked(one) {
    const name = one.model || one.kind;
    if (one.part) return fill(texts.part, { model: name });
    return one.count > 1 ? fill(texts.count, { count: one.count, model: name }) : name;
  }

  function wish(one) {
    const rows = [[texts.device, asked(one)]];
    rows.push([texts.team, titles[one.team] || one.team]);
    return rows;
  }

  // ---- one request ----
  function waiting(one) {
    const element = card(one, one.place === 1 ? texts.first : one.place ? fill(texts.place, { place: one.place }) : texts.waiting);
    const between = { soonest: one.soonest && clock(one.soonest), latest: one.latest && clock(one.latest) };
    const none = one.why_no_estimate || "";
    let words = texts["none" + none.slice(0, 1).toUpperCase() + none.slice(1)] || texts.nothing;
    if (one.latest && between.soonest === between.latest) words = fill(texts.about, between);
    else if (one.latest) words = fill(one.place === 1 ? texts.firstRange : texts.range, between);
    element.append(make("p", "estimate", words), facts(wish(one)));
    element.append(make("p", "", texts.meanwhile));
    element.append(make("p", "hint", texts.keeps + (one.environment ? " " + texts.autostart : "")));
    const row = make("p", "actions");
    row.append(button(texts.leave, "leave", () => step(one, "leave")));
    if ("Notification" in window && Notification.permission === "default")
      row.append(button(texts.notify, "notify", () => Notification.requestPermission()));
    element.append(row);
    return element;
  }

  // Where a server that runs is started again: as the request says, else as it is; or in another environment.
  function otherwise(one) {
    const choices = [...place("environment").options].filter((o) => o.value && o.dataset.kinds.split(" ").includes(one.kind));
    const label = make("label", "", texts.restartIn);
    const select = make("select");
    select.dataset.step = "environment";
    select.append(make("option", "", texts.asItIs));
    select.firstChild.value = "";
    for (const choice of choices) {
      const option = make("option", "", choice.dataset.title);
      option.value = choice.value;
      select.append(option);
    }
    label.append(select);
    return [label, () => (select.value ? { restart: true, environment: select.value } : { restart: true })];
  }

  function granted(one, me) {
    const element = card(one, texts.turn, true);
    if (one.restarting) {
      element.append(make("p", "until", texts.restarting), facts(wish(one)));
      return element;
    }
    element.append(make("p", "until", fill(texts.takeUntil, { time: clock(one.take_until) })), facts(wish(one)));
    const row = make("p", "actions");
    if (me.server) {
      const [label, body] = otherwise(one);
      element.append(make("p", "", texts.runs), label);
      row.append(
        button(
          texts.restart,
          "restart",
          async () => {
            if (await sure(texts.restartTitle, texts.restartWords, texts.restart)) await step(one, "take", body());
          },
          true,
        ),
      );
    } else if (one.environment) element.append(make("p", "", texts.starting));
    else row.append(button(texts.take, "take", () => step(one, "take"), true));
    row.append(button(texts.decline, "leave", () => step(one, "leave")));
    element.append(row);
    return element;
  }

  function using(one) {
    const rows = [];
    const devices = one.device && one.device.length ? one.device : one.slots;
    for (const slot of devices) {
      const name = window.lend.called({ ...slot, kind: one.kind });
      rows.push([texts.device, one.shared ? name + " (" + fill(texts.shared, { number: one.shared }) + ")" : name]);
      if ("utilisation" in slot)
        rows.push([texts.use, slot.utilisation === null ? texts.unknown : slot.utilisation + "%"]);
      if (slot.used_memory !== undefined && slot.used_memory !== null && slot.memory)
        rows.push([
          texts.memory,
          fill(texts.memoryUsed, { used: window.lend.gigabytes(slot.used_memory), all: window.lend.gigabytes(slot.memory) }),
        ]);
    }
    return rows;
  }

  function active(one, me) {
    const element = card(one, texts.active);
    const start = me.server === false && !one.environment;
    const left = { time: clock(one.ends), minutes: window.lend.minutesUntil(one.ends) };
    element.append(
      facts([...using(one), [texts.since, clock(one.began)], [texts.ends, fill(texts.left, left)], [texts.team, titles[one.team] || one.team]]),
    );
    if (one.idle_since) {
      const words = fill(texts.idle, { time: clock(one.idle_since) });
      element.append(
        make("p", "note warn", one.idle_until ? words + " " + fill(texts.idleUntil, { time: clock(one.idle_until) }) : words),
      );
    }
    if (start) element.append(make("p", "note info", fill(texts.startNow, { minutes: box.dataset.starting })));
    const row = make("p", "actions");
    const open = make("a", "button primary", start ? texts.start : texts.open);
    open.href = box.dataset.hub + (start ? "spawn" : "home");
    open.dataset.step = "open";
    row.append(open);
    const minutes = Math.min(Number(box.dataset.longest), Math.max(60, Math.round(one.seconds / 60)));
    row.append(
      button(fill(texts.extend, { minutes: minutes }), "extend", async () => {
        const after = await step(one, "extend", { minutes: minutes });
        say(fill(texts.extended, { time: clock(after.ends) }));
      }),
      button(texts.giveBack, "give-back", async () => {
        if (await sure(texts.giveBackTitle, texts.giveBackWords, texts.giveBack)) await step(one, "give-back");
      }),
    );
    element.append(row);
    return element;
  }

  function ending(one) {
    const element = card(one, texts.ending);
    element.append(make("p", "", why(one) + " " + texts.endingWords));
    return element;
  }

  function why(one) {
    return texts[WHY[one.why] || one.why] || "";
  }

  const DRAW = { queued: waiting, granted: granted, active: active, ending: ending };

  // ---- the page ----
  function drawMine(me) {
    const here = place("mine");
    const focus = here.contains(document.activeElement) ? document.activeElement.dataset.step : "";
    here.replaceChildren(...me.requests.filter((one) => DRAW[one.state]).map((one) => DRAW[one.state](one, me)));
    const again = focus && here.querySelector('[data-step="' + focus + '"]');
    if (again) again.focus();
  }

  function freeWords(one) {
    const words = one.total ? [fill(texts.free, one)] : [];
    if (one.total && one.shares > 1) words.push(fill(texts.parts, { free: one.parts_free, total: one.total * one.shares }));
    if (one.total && !one.free && one.next_free) words.push(fill(texts.next, { time: clock(one.next_free) }));
    if (one.waiting) words.push(fill(texts.inLine, { number: one.waiting }));
    if (one.ill) words.push(fill(texts.ill, { number: one.ill }));
    if (one.drained) words.push(fill(texts.drained, { number: one.drained }));
    return words.join(" · ");
  }

  function drawFree(me) {
    const list = place("free");
    if (!list) return;
    list.replaceChildren(
      ...me.free.map((one) => {
        const row = make("li");
        row.dataset.free = one.free || one.parts_free;
        const name = make("span", "row-title with-dot");
        name.append(make("span", "dot"), make("span", "", window.lend.called(one)));
        name.firstChild.setAttribute("aria-hidden", "true");
        row.append(name, make("span", "row-facts", freeWords(one)));
        return row;
      }),
    );
    const reserved = me.reserved || [];
    const part = place("reserved");
    part.hidden = !reserved.length;
    part.querySelector("ul").replaceChildren(
      ...reserved.map((one) => {
        const begins = clock(one.starts);
        const model = one.model || one.kind;
        const count = one.count > 1 ? fill(texts.count, { count: one.count, model: model }) : model;
        return make("li", "", fill(texts.reserved, { team: one.title, count: count, begins: begins, ends: clock(one.ends) }));
      }),
    );
  }

  const hours = (seconds) => String(Math.round(seconds / 360) / 10);

  function drawBudgets(me) {
    place("budget-card").hidden = !me.budgets.length;
    place("budgets").replaceChildren(
      ...me.budgets.map((one) => {
        const element = make("div", "budget");
        element.append(make("p", "row-title", titles[one.team] || one.team));
        const values = { used: hours(one.used), promised: hours(one.promised), limit: hours(one.limit || 0) };
        if (one.limit === null) {
          element.append(make("p", "row-facts", fill(texts.noLimit, values)));
          return element;
        }
        const bar = make("div", "meter" + (one.warning ? " full" : ""));
        bar.setAttribute("aria-hidden", "true");
        const used = make("span");
        used.style.width = Math.min(100, one.limit ? (100 * one.used) / one.limit : 100) + "%";
        bar.append(used);
        element.append(bar, make("p", "row-facts", fill(texts.budget, values)));
        if (one.used >= one.limit)
          element.append(make("p", "note bad", fill(texts.spent, { helpers: (me.helpers || []).join(", ") })));
        else if (one.warning) element.append(make("p", "note warn", one.warning));
        return element;
      }),
    );
  }

  function drawEnded(me) {
    const over = me.requests.filter((one) => one.state === "ended");
    place("ended-card").hidden = !over.length;
    place("ended").replaceChildren(
      ...over
        .sort((a, b) => (a.ended < b.ended ? 1 : -1))
        .map((one) => {
          const row = make("li");
          row.dataset.why = one.why || "";
          row.append(
            make("span", "row-title", fill(texts.ended, { model: asked(one), time: clock(one.ended) })),
            make("span", "row-facts", why(one)),
          );
          return row;
        }),
    );
  }

  // ---- the form ----
  function drawAsk(me) {
    const part = place("ask-card");
    if (!part) return;
    part.hidden = me.requests.some((one) => DRAW[one.state]);
    const model = place("model");
    if (!model) return;
    const kinds = [...new Set(me.free.map((one) => one.kind))];
    const choices = [];
    for (const kind of kinds) {
      const models = [...new Set(me.free.filter((one) => one.kind === kind && one.model).map((one) => one.model))];
      if (models.length !== 1) choices.push([kind, "", models.length ? fill(texts.any, { models: models.join(", ") }) : kind]);
      for (const name of models) choices.push([kind, name, name]);
    }
    there = me.free.map((one) => ({
      kind: one.kind,
      model: one.model,
      shares: one.shares,
      most: one.total + one.drained + one.ill,
    }));
    const now = JSON.stringify([choices, there]);
    if (model.dataset.choices === now) return;
    model.dataset.choices = now;
    const before = model.value;
    model.replaceChildren(
      ...choices.map(([kind, name, words]) => {
        const option = make("option", "", words);
        option.value = JSON.stringify([kind, name]);
        return option;
      }),
    );
    if ([...model.options].some((option) => option.value === before)) model.value = before;
    fit();
  }

  const kindNow = () => (place("model").value ? JSON.parse(place("model").value)[0] : "");

  // Those that are there of what is chosen.
  function chosenOnes() {
    const [kind, model] = JSON.parse(place("model").value || '["", ""]');
    return there.filter((one) => one.kind === kind && (!model || one.model === model));
  }

  const divided = () => chosenOnes().some((one) => one.shares > 1);
  const inParts = () => divided() && place("part").checked;
  const most = () => (inParts() ? 1 : Math.max(1, ...chosenOnes().map((one) => one.most)));

  // Environments that cannot use the kind, and sizes that the environment has not, are no choice.
  function fit() {
    place("part-row").hidden = !divided();
    place("count-row").hidden = most() === 1;
    place("count").max = most();
    if (most() === 1) place("count").value = 1; // what is not seen is not asked for, nor in the form's way
    const environment = place("environment");
    for (const option of environment.options)
      option.hidden = option.disabled = Boolean(option.value) && !option.dataset.kinds.split(" ").includes(kindNow());
    if (environment.selectedOptions[0] && environment.selectedOptions[0].disabled) environment.value = "";
    const chosen = environment.selectedOptions[0];
    const size = place("size");
    place("size-row").hidden = !environment.value;
    for (const option of size.options)
      option.hidden = option.disabled = Boolean(environment.value) && !chosen.dataset.sizes.split(" ").includes(option.value);
    if (!size.selectedOptions[0] || size.selectedOptions[0].disabled) {
      const first = [...size.options].find((option) => !option.disabled);
      if (first) size.value = first.value;
    }
  }

  function prefill() {
    const environment = place("environment");
    const wished = environment.dataset.wish;
    if (!wished) return;
    const there = [...environment.options].some((option) => option.value === wished);
    place("not-usable").hidden = there;
    if (there) environment.value = wished;
    const size = place("size");
    if ([...size.options].some((option) => option.value === size.dataset.wish)) size.value = size.dataset.wish;
    fit();
  }

  const form = place("ask");
  if (form) {
    form.addEventListener("change", fit);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const send = form.querySelector("button[type=submit]");
      const [kind, model] = JSON.parse(place("model").value);
      const body = { kind: kind, minutes: Number(place("minutes").value) };
      if (model) body.model = model;
      if (inParts()) body.shared = true;
      else body.count = Number(place("count").value);
      if (place("team")) body.team = place("team").value;
      if (place("environment").value) {
        body.environment = place("environment").value;
        body.size = place("size").value;
      }
      send.disabled = true;
      try {
        place("problem").hidden = true;
        await call("POST", "api/requests", body);
      } catch (problem) {
        window.people.showProblem(problem);
      }
      await look();
      send.disabled = false;
      if (place("ask-card").hidden) place("main").focus();
    });
  }

  // ---- telling ----
  function say(words) {
    said = words;
    place("spoken").textContent = words;
  }

  function tell(me) {
    const turn = me.requests.find((one) => one.state === "granted" && !one.restarting);
    document.title = turn ? texts.pageTurn + " · " + title : title;
    const now = Object.fromEntries(me.requests.map((one) => [one.id, one.state]));
    for (const one of me.requests) {
      if (states && states[one.id] === one.state) continue;
      if (one.state === "granted" && !one.restarting) {
        say(texts.turn + ". " + fill(texts.takeUntil, { time: clock(one.take_until) }));
        if (states && document.hidden && "Notification" in window && Notification.permission === "granted")
          new Notification(texts.turn, { body: fill(texts.takeUntil, { time: clock(one.take_until) }), tag: one.id });
      } else if (states && one.state === "active") say(texts.active + ".");
      else if (states && (one.state === "ended" || one.state === "ending") && one.why !== "left") say(why(one));
    }
    states = now;
  }

  function draw(me) {
    // drawing anew would take the focus away and be read aloud again: only what has changed
    const minute = me.requests.some((one) => one.state === "active") ? Math.floor(Date.now() / 60000) : 0;
    const state = JSON.stringify([{ ...me, now: "" }, minute, said]);
    if (state === shown) return;
    shown = state;
    place("away").hidden = true;
    place("paused").hidden = me.lending;
    tell(me);
    drawMine(me);
    drawFree(me);
    drawAsk(me);
    drawBudgets(me);
    drawEnded(me);
    window.lend.remember(me.free.length > 0);
  }

  const look = window.people.poll(async () => {
    try {
      draw(await call("GET", "api/"));
    } catch (problem) {
      shown = "";
      if (problem.status === 403 && problem.detail) window.people.showProblem(problem);
      place("away").hidden = false;
    }
  }, EVERY, HIDDEN);

  look().then(() => {
    if (form) prefill();
  });
})();
