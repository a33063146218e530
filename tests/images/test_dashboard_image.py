"""The environment of published notebooks: Voila and what draws, as little else as can be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
import requests
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
    "print('합계', secret_of_the_author + 1)",
]


def notebook(cells: list[str]) -> str:
    """A notebook of these code cells, never run."""
    return json.dumps(
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
            "cells": [
                {
                    "id": f"c{number}",
                    "cell_type": "code",
                    "source": source,
                    "metadata": {},
                    "outputs": [],
                    "execution_count": None,
                }
                for number, source in enumerate(cells)
            ],
        }
    )


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
def shown(engine: docker.DockerClient, folder: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    """The address where ``folder`` is shown, and the log."""
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
            environment={"HOME": "/tmp"},
            mem_limit="1g",
            volumes={str(folder): {"bind": "/srv/dashboard", "mode": "ro"}},
        )
        try:
            container.start()
            url = f"http://{plan.address}:8866"

            def answers() -> bool:
                container.reload()
                assert container.status == "running", log_of(container)
                try:
                    return requests.get(url, timeout=5).status_code == 200
                except requests.RequestException:
                    return False

            wait_for(answers, "Voila's answer", 60)
            yield url, lambda: log_of(container)
        finally:
            container.remove(force=True, v=True)


def test_a_notebook_is_shown_without_its_source(
    engine: docker.DockerClient, snapshot: Path
) -> None:
    with shown(engine, snapshot) as (url, log):
        page = requests.get(f"{url}/voila/render/앱.ipynb", timeout=120)
        page.encoding = "utf-8"
        assert page.status_code == 200, log()
        assert "합계 42" in page.text
        assert "secret_of_the_author" not in page.text
        assert "application/vnd.jupyter.widget-view+json" in page.text
        assert "image/png" in page.text or "data:image/png" in page.text
        assert "Traceback" not in page.text
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


def test_no_terminal_is_offered(engine: docker.DockerClient, snapshot: Path) -> None:
    with shown(engine, snapshot) as (url, _):
        for path in ("terminals/1", "api/terminals", "api/contents", "lab", "tree"):
            assert requests.get(f"{url}/{path}", timeout=30).status_code in (403, 404), path
