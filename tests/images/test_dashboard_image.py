"""The environment of published notebooks: Voila and what draws, as little else as can be."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
import requests
from support.dashboard import Runner, notebook
from support.deployment import wait_for

from images.containers import CATALOG, Ended, complaints, log_of, network_of

pytestmark = [pytest.mark.images, pytest.mark.engine]

CELLS = [
    "secret_of_the_author = 41",
    "import ipywidgets as w; import matplotlib.pyplot as plt; import pandas as pd",
    "display(w.FloatSlider(description='문턱값', value=0.5))",
    "plt.plot([-1, 0, 1]); plt.title('측정값 — 갉뷁힣'); plt.show()",
    "import plotly.express as px; display(px.line(x=[1, 2], y=[3, 4], title='선 그래프'))",
    "import altair as alt; display(alt.Chart(pd.DataFrame({'가': [1, 2], '나': [1, 3]})).mark_bar()"
    ".encode(x='가:O', y='나:Q'))",
    "import bqplot.pyplot as bq; bq.figure(title='비큐'); bq.plot([1, 2], [3, 4]); bq.show()",
    "import anywidget, ipympl",
    """
import glob
def seen(path):
    try:
        with open(path, 'rb') as file:
            return file.read(1 << 16)
    except OSError:
        return b''
import time
key, until = False, time.monotonic() + 4
while not key and time.monotonic() < until:
    # a health check would have come and gone
    key = any(b'MADANG_DASHBOARD_KEY' in seen(p) for p in glob.glob('/proc/[0-9]*/environ'))
memory = bool(seen('/proc/1/environ')) or bool(glob.glob('/proc/1/fd/*'))
oom = seen('/proc/self/oom_score_adj').decode().strip()
print(f"key {'seen' if key else 'unseen'}, memory {'seen' if memory else 'unseen'}, oom {oom}")
""",
    "print('합계', secret_of_the_author + 1)",
]


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A folder that was published."""
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "앱.ipynb").write_text(notebook(CELLS))
    for path in (tmp_path, folder):
        path.chmod(0o755)
    return folder


@contextmanager
def shown(engine: docker.DockerClient, folder: Path) -> Iterator[tuple[Runner, Callable[[], str]]]:
    """The runner that shows ``folder`` in a container, and its log."""
    key = secrets.token_urlsafe(32)
    with network_of(engine, "mdv") as plan:
        ends = {plan.name: engine.api.create_endpoint_config(ipv4_address=str(plan.address))}
        container = engine.containers.create(
            CATALOG.reference("dashboard"),
            network=plan.name,
            networking_config=ends,
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            tmpfs={"/tmp": "mode=1777"},
            environment={
                "HOME": "/tmp",
                "MADANG_DASHBOARD_KEY": key,
                "MADANG_DASHBOARD_NOTEBOOK": "앱.ipynb",
            },
            # the image's own check, if it had one, without the minute between two looks
            healthcheck={"Interval": 10**9, "StartPeriod": 10**6},
            mem_limit="1g",
            pids_limit=256,
            volumes={str(folder): {"bind": "/srv/dashboard", "mode": "ro"}},
        )
        try:
            container.start()
            runner = Runner(f"http://{plan.address}:8888", key, 0, Path())

            def answers() -> bool:
                container.reload()
                assert container.status == "running", log_of(container)
                assert "Health" not in container.attrs["State"]
                try:
                    return runner.ask("GET", "/state").status_code == 200
                except requests.RequestException:
                    return False

            wait_for(answers, "the runner's answer", 60)
            yield runner, lambda: log_of(container)
        finally:
            container.remove(force=True, v=True)


def test_a_notebook_is_shown_without_its_source(
    engine: docker.DockerClient, snapshot: Path
) -> None:
    with shown(engine, snapshot) as (runner, log):
        # by memory (1 GiB) and by processes (256), until a kernel was measured
        assert runner.state()["seats"] == 7
        page = runner.visit().page
        assert page.status_code == 200, log()
        assert "합계 42" in page.text
        assert "secret_of_the_author" not in page.text
        assert "application/vnd.jupyter.widget-view+json" in page.text
        assert "image/png" in page.text or "data:image/png" in page.text
        assert "Traceback" not in page.text
        assert "key unseen, memory unseen, oom 500" in page.text
        for path in ("terminals/1", "api/terminals", "api/contents", "lab", "tree"):
            assert runner.ask("GET", f"/{path}").status_code == 404, path
        assert "findfont" not in log()
        assert complaints(log()) == []


def test_what_only_authors_need_is_not_in_it(in_image: Callable[..., Ended]) -> None:
    names = "jupyterlab jupyterhub madang_lab notebook pip uv"
    found = in_image(
        "dashboard",
        "python -c 'import importlib.util as i, sys; "
        "print([n for n in sys.argv[1:] if i.find_spec(n)])' "
        f"{names}; for p in git curl jupyter-lab gcc; do command -v $p; done; true",
    )
    assert found.log.split() == ["[]"], found.log
