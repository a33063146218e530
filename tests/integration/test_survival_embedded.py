"""Embedded mode survives too: its processes are killed while somebody works."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from support.deployment import Deployment, kill, processes, wait_for
from support.notebook import notebook
from support.people import Person, newcomer, visible


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    deployment = Deployment("embedded", tmp_path_factory.mktemp("survival") / "data")
    with deployment.running():
        yield deployment


@pytest.fixture(scope="module")
def someone(deployment: Deployment) -> Person:
    return newcomer(deployment, "minji", language="en")


@pytest.fixture
def minji(deployment: Deployment, someone: Person) -> Iterator[Person]:
    """Somebody with the one server that runs."""
    someone.start(environment="lab", size="small")
    yield someone
    if processes(deployment, "-m jupyterhub "):
        someone.stop()
    wait_for(lambda: not processes(deployment, "jupyterhub-singleuser"), "the server to end")


def healthy(deployment: Deployment) -> bool:
    try:
        return requests.get(f"{deployment.url}/hub/health", timeout=5).ok
    except requests.RequestException:
        return False


def test_hub_and_proxy_are_killed_and_the_notebook_goes_on(
    deployment: Deployment, minji: Person
) -> None:
    with notebook(minji) as open_one:
        open_one.ask("kept = 41")
        kill(deployment, "-m jupyterhub ")
        assert open_one.ask("print(kept + 1)") == "42"
        wait_for(lambda: healthy(deployment), "the Hub to be back")
        assert minji.server_ready
        kill(deployment, "configurable-http-proxy")
        wait_for(open_one.reconnects, "the route to the notebook", 30)
        assert open_one.ask("print(kept + 2)") == "43"
        # a new kernel as well: what it writes to its log must not break with the Hub
        assert minji.run("print(1)").strip() == "1"


def test_a_killed_server_is_noticed_and_said(deployment: Deployment, minji: Person) -> None:
    kill(deployment, "jupyterhub-singleuser")
    wait_for(lambda: not minji.model().get("servers"), "the Hub to notice the end", 25)
    page = visible(minji.session.get(f"{minji.url}/hub/home", timeout=60).text)
    assert "ended unexpectedly" in page
    minji.start(environment="lab", size="small")
    assert minji.run("print(1)").strip() == "1"


def test_up_and_down_also_where_supervisord_died(deployment: Deployment, minji: Person) -> None:
    with notebook(minji) as open_one:
        open_one.ask("kept = 41")
        kill(deployment, "supervisord")
        assert processes(deployment, "-m jupyterhub "), "nobody ended the others"
        deployment.up()
        wait_for(open_one.reconnects, "the route to the notebook", 30)
        assert open_one.ask("print(kept + 1)") == "42"
    kill(deployment, "supervisord")
    kill(deployment, "-m jupyterhub ")
    assert processes(deployment, "jupyterhub-singleuser")
    deployment.down()
    wait_for(lambda: not processes(deployment), "the last process to end", 10)
