// The pages of mentors and admins about accelerators: forms that go to the broker's API, and a class's reservations.
"use strict";
(function () {
  const desk = document.getElementById("desk");
  const call = window.people.service(desk.dataset.service, document.documentElement.dataset.xsrf);
  const fill = window.people.fill;

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

  for (const form of document.querySelectorAll("form[data-api]"))
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      guarded(form.querySelector("button[type=submit]"), async () => {
        const body = {};
        for (const field of form.elements)
          if (field.name) body[field.name] = "number" in field.dataset ? Number(field.value) : field.value;
        await call("POST", form.dataset.api, body);
        location.reload();
      });
    });

  // ---- a class's reservations ----
  const list = document.getElementById("reserved");
  if (!list) return;
  const make = window.lend.make;
  const texts = JSON.parse(desk.dataset.texts);
  const form = document.getElementById("reserve");

  const reserve = (one, count) =>
    call("POST", "api/reservations", { team: desk.dataset.team, kind: one.kind, model: one.model || "", count: count });

  function row(one) {
    const element = make("li");
    element.append(make("span", "row-title", fill(texts.row, { count: one.count, model: one.model || one.kind })));
    const times = one.next && { begins: window.people.clock(one.next.starts), ends: window.people.clock(one.next.ends) };
    element.append(make("span", "row-facts", times ? fill(texts.next, times) : texts.noNext));
    const remove = make("button", "button small", texts.remove);
    remove.type = "button";
    remove.addEventListener("click", () =>
      guarded(remove, async () => {
        await reserve(one, 0);
        await show();
      }),
    );
    element.append(remove);
    return element;
  }

  async function show() {
    const found = await call("GET", "api/reservations");
    const rows = (found.reservations || found).filter((one) => one.team === desk.dataset.team);
    list.replaceChildren(...(rows.length ? rows.map(row) : [make("li", "row-facts", texts.none)]));
  }

  async function choices() {
    const me = await call("GET", "api/");
    const seen = new Map();
    for (const one of me.free) {
      seen.set(JSON.stringify([one.kind, one.model]), one.model || fill(texts.any, { kind: one.kind }));
    }
    form.elements.model.replaceChildren(
      ...[...seen].map(([value, words]) => {
        const option = make("option", "", words);
        option.value = value;
        return option;
      }),
    );
  }

  guarded({}, show);
  if (form) {
    guarded({}, choices);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      guarded(form.querySelector("button"), async () => {
        const [kind, model] = JSON.parse(form.elements.model.value);
        await reserve({ kind: kind, model: model }, Number(form.elements.count.value));
        await show();
      });
    });
  }
})();
