// The pages of mentors and admins about accelerators: tables that stay up to date, forms that go to the broker's API, and
// a class's reservations.
"use strict";
(function () {
  const desk = document.getElementById("desk");
  const call = window.people.service(desk.dataset.service, document.documentElement.dataset.xsrf);
  const fill = window.people.fill;
  const EVERY = 10000;
  const NEVER = 0; // nobody waits for a table that nobody sees
  const shown = new Map();

  async function guarded(control, work) {
    control.disabled = true;
    document.getElementById("problem").hidden = true;
    try {
      await work();
    } catch (problem) {
      window.people.showProblem(problem);
    }
    control.disabled = false;
  }

  // ---- the tables, as the broker's pages have them ----
  // The row of the same accelerator or team in `part`.
  function rowIn(part, row) {
    const name = row.dataset.slot ? "slot" : "team";
    return [...part.querySelectorAll("tr")].find((one) => row.dataset[name] && one.dataset[name] === row.dataset[name]);
  }

  function focusIn(part, row) {
    const place = row ? rowIn(part, row) : part;
    const control = place && place.querySelector("summary, button, a");
    if (control) control.focus({ preventScroll: true });
  }

  // What somebody opened stays open with what is written in it, who goes by keyboard stays in the same row, and a wide
  // table stays where it was moved to.
  function renew(before, after) {
    const focused = before.contains(document.activeElement) && document.activeElement;
    const row = focused && focused.closest("tr");
    for (const open of before.querySelectorAll("details[open]")) {
      const there = rowIn(after, open.closest("tr"));
      const closed = there && there.querySelector("details");
      if (closed) closed.replaceWith(open);
    }
    const wide = before.querySelector(".scroll");
    const left = wide ? wide.scrollLeft : 0;
    before.replaceWith(after);
    if (after.querySelector(".scroll")) after.querySelector(".scroll").scrollLeft = left;
    if (focused) focusIn(after, row);
  }

  async function tables() {
    const text = await call("GET", desk.dataset.tables);
    for (const after of [...new DOMParser().parseFromString(text, "text/html").body.children]) {
      const before = document.getElementById(after.id);
      // nothing is taken from under the hands of somebody who writes
      if (shown.get(after.id) === after.innerHTML || before.querySelector("input:focus")) continue;
      shown.set(after.id, after.innerHTML);
      window.people.showMoments(after);
      renew(before, after);
    }
  }

  desk.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.api) return;
    event.preventDefault();
    guarded(form.querySelector("button[type=submit]"), async () => {
      const body = {};
      for (const field of form.elements)
        if (field.name) body[field.name] = "number" in field.dataset ? Number(field.value) : field.value;
      await call("POST", form.dataset.api, body);
      const row = form.closest("tr");
      if (form.contains(document.activeElement)) document.activeElement.blur();
      if (form.closest("details")) {
        form.reset();
        form.closest("details").open = false;
      }
      await tables();
      focusIn(desk, row);
    });
  });

  // ---- a class's reservations ----
  const list = document.getElementById("reserved");
  const form = document.getElementById("reserve");
  const texts = list && JSON.parse(desk.dataset.texts);

  const reserve = (one, count) =>
    call("POST", "api/reservations", { team: desk.dataset.team, kind: one.kind, model: one.model || "", count: count });

  function row(one) {
    const make = window.lend.make;
    const element = make("li");
    element.append(make("span", "row-title", fill(texts.row, { count: one.count, model: one.model || one.kind })));
    const times = one.next && { begins: window.people.clock(one.next.starts), ends: window.people.clock(one.next.ends) };
    element.append(make("span", "row-facts", times ? fill(texts.next, times) : texts.noNext));
    const remove = make("button", "button small", texts.remove);
    remove.type = "button";
    remove.addEventListener("click", () => guarded(remove, async () => showReserved(await reserve(one, 0))));
    element.append(remove);
    return element;
  }

  function showReserved(found) {
    const rows = found.filter((one) => one.team === desk.dataset.team);
    const words = JSON.stringify(rows);
    if (shown.get("reserved") === words) return;
    shown.set("reserved", words);
    list.replaceChildren(...(rows.length ? rows.map(row) : [window.lend.make("li", "row-facts", texts.none)]));
  }

  async function choices() {
    const me = await call("GET", "api/");
    const seen = new Map();
    for (const one of me.free) seen.set(JSON.stringify([one.kind, one.model]), one.model || one.kind);
    form.elements.model.replaceChildren(
      ...[...seen].map(([value, words]) => {
        const option = window.lend.make("option", "", words);
        option.value = value;
        return option;
      }),
    );
  }

  if (form) {
    guarded({}, choices);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      guarded(form.querySelector("button"), async () => {
        const [kind, model] = JSON.parse(form.elements.model.value);
        showReserved(await reserve({ kind: kind, model: model }, Number(form.elements.count.value)));
      });
    });
  }

  window.people.poll(
    async () => {
      const away = document.getElementById("away");
      try {
        await tables();
        if (list && !list.contains(document.activeElement)) showReserved(await call("GET", "api/reservations"));
        away.hidden = true;
      } catch (problem) {
        away.hidden = false;
      }
    },
    EVERY,
    NEVER,
  )();
})();
