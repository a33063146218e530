"""Fixtures of all tests: the container engine, and one Madang per mode for the whole run."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException
from support.deployment import Deployment
from support.people import Person, newcomer

STARTED: list[Deployment] = []
CI = os.environ.get("CI") == "true"


def missing(what: str) -> None:
    """Skip on a developer's machine; in CI nothing may be missing."""
    if CI:
        pytest.fail(f"{what} is missing, and CI runs every test")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The container engine that tests use (``scripts/test`` brings up a private one)."""
    try:
        client = docker.DockerClient.from_env(timeout=120)
        client.ping()
    except DockerException:
        missing("a container engine (run `make test`)")
        raise
    yield client
    client.close()


@pytest.fixture(scope="session")
def server_mode(
    engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Madang in server mode."""
    deployment = Deployment("server", tmp_path_factory.mktemp("server") / "data")
    STARTED.append(deployment)
    with deployment.running():
        yield deployment


@pytest.fixture(scope="session")
def embedded_mode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Madang in embedded mode, its tracking server as installed."""
    folder = tmp_path_factory.mktemp("embedded")
    deployment = Deployment("embedded", folder / "data", tracking_workers=2)
    STARTED.append(deployment)
    with deployment.running():
        yield deployment


@pytest.fixture(
    params=[pytest.param("server", marks=pytest.mark.engine), "embedded"], scope="session"
)
def madang(request: pytest.FixtureRequest) -> Deployment:
    """Madang in each mode in turn."""
    found: Deployment = request.getfixturevalue(f"{request.param}_mode")
    return found


@pytest.fixture(scope="session")
def someone(madang: Deployment) -> Person:
    """A person of this Madang with an account of their own."""
    return newcomer(madang, "minji")


@pytest.fixture(scope="session")
def another(madang: Deployment) -> Person:
    """A second person."""
    return newcomer(madang, "james", language="en")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parents[1]


LONGEST = ("engine", "stacks", "embedded", "images")
"""Groups that take longest are begun first, so that no worker is left alone with one at the end."""
KINDS = ("browser", "integration", "security", "images")
"""Folders whose files come next; the rest takes seconds."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests that share something stay together, in order, in one of xdist's workers.

    What uses the server mode of the whole run is one group, as are the guard's tests and those of the machine
    with user servers. Stacks that a module brings along have names, ranges and ports of their own: they are
    another group, only because three at once are too many. The user images are one more, and what uses the
    embedded mode of the whole run. Everything else is grouped by file.
    """
    # not in pytest_collection_modifyitems: xdist's own, which reads the groups, runs before any other
    item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item: pytest.Item) -> str:
    names = set(getattr(item, "fixturenames", ()))
    if item.get_closest_marker("images"):
        return "images"
    if item.get_closest_marker("engine") or {"engine", "server_mode"} & names:
        # `madang` asks for the server mode only when it is set up
        of_the_run = {"server_mode", "madang"} & names or item.path.parent.name == "security"
        return "engine" if of_the_run else "stacks"
    if {"embedded_mode", "madang"} & names:
        return "embedded"
    return item.path.stem


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long groups first; inside a group the order stays (scripts/test tells xdist to leave it)."""

    def rank(item: pytest.Item) -> tuple[int, int]:
        group, kind = _group(item), item.path.parent.name
        by_group = LONGEST.index(group) if group in LONGEST else len(LONGEST)
        return by_group, KINDS.index(kind) if kind in KINDS else len(KINDS)

    items.sort(key=rank)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the last lines of every part of the Madang that it used."""
    report = yield
    if report.failed:
        modes = {"server_mode": "server", "embedded_mode": "embedded"}
        used = {mode for name, mode in modes.items() if name in getattr(item, "fixturenames", ())}
        if "madang" in getattr(item, "fixturenames", ()):
            used.add("server" if "server" in item.name else "embedded")
        for deployment in STARTED:
            if deployment.mode in used:
                report.sections.append((f"logs of {deployment.mode} mode", deployment.logs()))
    return report
