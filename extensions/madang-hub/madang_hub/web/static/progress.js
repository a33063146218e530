// The page that is shown while a server starts: what happens now, how far it is, and a way out.
"use strict";
(function () {
  const card = document.getElementById("spawn-progress");
  if (!card) return;
  const texts = card.dataset;
  const message = document.getElementById("progress-message");
  const bar = document.getElementById("progress-bar");
  const log = document.getElementById("progress-log");
  const cancel = document.getElementById("stop-server-btn");
  const failure = document.getElementById("failure");
  const elapsed = document.getElementById("elapsed");
  const begun = Date.parse(texts.started) || Date.now();
  // JupyterHub's own two sentences; what our spawner says comes in the right language already
  const known = { "Server requested": texts.requested, "Spawning server...": texts.spawning };
  let over = false;
  let cancelled = false;

  function seconds() {
    return Math.max(0, Math.round((Date.now() - begun) / 1000));
  }
  const clock = setInterval(() => {
    elapsed.textContent = texts.elapsed.replace("{seconds}", seconds());
  }, 1000);

  function stage(progress) {
    bar.setAttribute("aria-valuenow", String(progress));
    bar.firstElementChild.style.width = progress + "%";
    const items = Array.from(document.querySelectorAll("#stages li"));
    const reached = items.filter((item) => progress >= Number(item.dataset.from)).length - 1;
    items.forEach((item, index) => {
      item.classList.toggle("done", index < reached || progress >= 100);
      item.classList.toggle("now", index === reached && progress < 100);
      if (index === reached) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
  }

  // The Hub's contract: html_message is HTML made by the spawner, message is plain text.
  function put(element, event) {
    if (event.html_message && !event.ready) element.innerHTML = event.html_message;
    else if (event.message) element.textContent = known[event.message] || event.message;
  }

  // what JupyterHub puts before a cause says nothing to a person
  function reason(text) {
    return (text || "").replace(/^Spawn failed:?\s*/, "").replace(/^\d{3} SpawnException\(reason=[^)]*\):?\s*/, "");
  }

  function end() {
    over = true;
    clearInterval(clock);
    events.close();
  }

  function fail(event) {
    if (!over) end();
    card.classList.add(cancelled ? "cancelled" : "failed");
    message.parentElement.hidden = true;
    document.getElementById("progress-title").textContent = cancelled ? texts.cancelled : texts.failed;
    message.textContent = "";
    elapsed.textContent = "";
    cancel.hidden = true;
    document.getElementById("retry").hidden = false;
    document.getElementById("leave").hidden = false;
    if (cancelled) return;
    if (event.html_message) failure.innerHTML = event.html_message;
    else failure.textContent = reason(event.message) || texts.failed;
    failure.hidden = false;
    document.getElementById("progress-details").open = log.children.length > 0;
    document.getElementById("retry").focus();
  }

  stage(0);
  const events = new EventSource(texts.url);
  events.onmessage = (incoming) => {
    const event = JSON.parse(incoming.data);
    if (event.failed) return fail(event);
    if (event.progress !== undefined) stage(event.progress);
    if (event.ready) {
      message.textContent = texts.ready;
      end();
      location.reload(); // the Hub sends us on to the server
      return;
    }
    put(message, event);
    if (event.message || event.html_message) {
      const line = document.createElement("li");
      put(line, event);
      line.append(" (" + texts.at.replace("{seconds}", seconds()).replace(" ", "\u00a0") + ")");
      log.append(line);
    }
  };
  events.onerror = () => {
    // CLOSED: the Hub refused (not starting any more, or it was restarted); the page knows more.
    if (over || events.readyState !== EventSource.CLOSED) return;
    end();
    setTimeout(() => location.reload(), 2000);
  };

  cancel.addEventListener("click", async () => {
    cancelled = true;
    cancel.disabled = true;
    end(); // JupyterHub calls a cancelled start "ready" for a moment: listen no longer
    message.textContent = texts.cancelling;
    try {
      await window.madang.api("DELETE", window.madang.serverPath(texts.user, texts.server));
      fail({});
    } catch (problem) {
      message.textContent = "";
      window.madang.showProblem(problem);
      setTimeout(() => location.reload(), 3000);
    }
  });
})();
