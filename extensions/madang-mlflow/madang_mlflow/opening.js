// Runs before MLflow's own scripts (madang_mlflow/opening.py puts it there).
(home => {
  try {
    // where the person was going before the institution's sign-in (the Hub's sign-in page keeps it)
    const kept = JSON.parse(sessionStorage.getItem("madang.opens"));
    sessionStorage.removeItem("madang.opens");
    if (kept && location.hash.length < 2 && Date.now() < kept.until) {
      history.replaceState(null, "", "#" + String(kept.fragment).slice(1));
    }
  } catch {
    // a browser without storage
  }
  const [path, query = ""] = location.hash.slice(1).split(/\?(.*)/s);
  const wanted = new URLSearchParams(query);
  if (!wanted.get("workspace")) {
    wanted.set("workspace", home);
    const page = path === "" || path === "/" ? "/experiments" : path;
    history.replaceState(null, "", `#${page}?${wanted}`);
  }
  try {
    // MLflow tells of usage data that it sends, and opens an assistant, once: there are none here
    localStorage.setItem("mlflow.telemetry.info.alert.dismissed_v1", "true");
    localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
  } catch {
    // a browser without storage shows both
  }
})("HOME");
