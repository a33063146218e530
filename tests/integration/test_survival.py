"""Madang survives: parts are stopped, killed and filled up while people work.

The stack is of this module alone, so that other tests are not disturbed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import pytest
import requests
from docker.models.containers import Container
from support.deployment import Deployment, wait_for
from support.notebook import notebook
from support.people import Person, newcomer, visible

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]


class Stack:
    """The stack of this module, and what tests do to it."""

    def __init__(self, deployment: Deployment, engine: docker.DockerClient) -> None:
        self.deployment = deployment
        self.engine = engine
        self.mark = f"madang.instance={deployment.instance}"

    def part(self, service: str) -> Container:
        found: Container = self.engine.containers.get(f"{self.deployment.instance}-{service}-1")
        return found

    @contextmanager
    def without(self, service: str) -> Iterator[None]:
        """``service`` is stopped meanwhile."""
        self.part(service).stop(timeout=20)
        try:
            yield
        finally:
            self.part(service).start()

    def server_of(self, person: Person) -> Container:
        return self._of(person)[0]

    def _of(self, person: Person) -> list[Container]:
        labels = [self.mark, f"madang.user={person.name}"]
        found: list[Container] = self.engine.containers.list(all=True, filters={"label": labels})
        return found

    def leftovers(self, person: Person) -> list[str]:
        """Containers of the person, and networks that no server of this stack is on."""
        used = {
            c.labels["madang.network"]
            for c in self.engine.containers.list(filters={"label": self.mark})
        }
        networks = [
            str(n.name)
            for n in self.engine.networks.list(filters={"label": self.mark})
            if n.attrs["Labels"]["madang.network"] not in used
        ]
        return [str(c.name) for c in self._of(person)] + networks

    def networks(self) -> set[str]:
        return {str(n.name) for n in self.engine.networks.list(filters={"label": self.mark})}

    def healthy(self) -> bool:
        try:
            return requests.get(f"{self.deployment.url}/hub/health", timeout=5).ok
        except requests.RequestException:
            return False

    def log(self, service: str, since: float | None = None) -> str:
        return str(self.part(service).logs(since=since).decode("utf-8", "replace"))


@pytest.fixture(scope="module")
def stack(
    request: pytest.FixtureRequest,
    engine: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    deployment = Deployment(
        "server",
        tmp_path_factory.mktemp("survival") / "data",
        network="10.231.0.0/24",
        # so that what a server left behind is seen
        extra={"MADANG_NETWORKS_KEPT": "0"},
    )
    homes = deployment.data / "homes"
    homes.mkdir(parents=True)
    # a real, small file system: what is in it can be made to fill it
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600m,mode=0711", "madang-homes", str(homes)],
        check=True,
    )
    try:
        deployment.up()
        yield Stack(deployment, engine)
    finally:
        if request.session.testsfailed:
            print(deployment.logs())
        try:
            deployment.madang("reset", "--yes", check=False)
        finally:
            subprocess.run(["umount", "--lazy", str(homes)], check=False)
            deployment.remove()


@pytest.fixture(scope="module")
def minji(stack: Stack) -> Person:
    """Somebody whose server runs all the time, in Korean."""
    person = newcomer(stack.deployment, "minji")
    person.start(environment="lab", size="small")
    return person


@pytest.fixture(scope="module")
def james(stack: Stack) -> Person:
    """Somebody who starts, fails and starts again, in English."""
    return newcomer(stack.deployment, "james", language="en")


def signed_in_again(person: Person) -> bool:
    """Whether the Hub knows the person again, as a page shows it.

    A page, not the API: while the database was away the Hub took the person for a stranger and gave a
    stranger's XSRF token; the next page brings the right one.
    """
    try:
        page = person.session.get(f"{person.url}/hub/home", timeout=60)
        return page.status_code == 200 and "/hub/login" not in page.url
    except requests.RequestException:
        return False


def refused(person: Person) -> str:
    """Ask for a start that must fail; the sentence that the person reads."""
    home_page(person)  # the page's own token, as in a browser
    reply = person.api(
        "POST", f"/users/{person.name}/server", json={"environment": "lab", "size": "small"}
    )
    assert reply.status_code in (201, 202, 503), reply.text
    if reply.status_code == 503:
        return str(reply.json()["message"])

    def failed() -> bool:
        return not person.model().get("servers")

    wait_for(failed, f"{person.name}'s start to fail")
    page = person.session.get(f"{person.url}/hub/spawn-pending/{person.name}", timeout=60)
    return visible(page.text)


def home_page(person: Person) -> str:
    return visible(person.session.get(f"{person.url}/hub/home", timeout=60).text)


def test_the_hub_restarts_and_an_open_notebook_does_not_notice(stack: Stack, minji: Person) -> None:
    with notebook(minji) as open_one:
        open_one.ask("kept = 41")
        with stack.without("hub"):
            assert not stack.healthy()
            # the same websocket, and a page of the server, with no Hub at all
            assert open_one.ask("print(kept + 1)") == "42"
            assert minji.server("GET", "/contents").status_code == 200
        wait_for(stack.healthy, "the Hub to be back")
        assert open_one.ask("print(kept + 2)") == "43"
        assert minji.server_ready
    assert minji.run("print(1)").strip() == "1"


@pytest.mark.parametrize(
    "words", [["restart", "proxy"], ["up", "--detach", "--no-deps", "--force-recreate", "proxy"]]
)
def test_the_proxy_comes_back_with_every_route(
    stack: Stack, minji: Person, words: list[str]
) -> None:
    with notebook(minji) as open_one:
        open_one.ask("kept = 'here'")
        stack.deployment.madang("compose", *words)
        wait_for(open_one.reconnects, "the route to the notebook", 20)
        assert open_one.ask("print(kept)") == "here"
    assert stack.healthy()
    tracking = minji.session.get(f"{minji.url}/services/mlflow/", timeout=60)
    assert tracking.status_code == 200


def test_a_killed_server_is_noticed_said_and_started_again(stack: Stack, james: Person) -> None:
    james.start(environment="lab", size="small")
    james.run("open('kept.txt', 'w').write('kept')")
    stack.server_of(james).kill()
    wait_for(lambda: not james.model().get("servers"), "the Hub to notice the end", 25)
    assert "ended unexpectedly" in home_page(james)
    wait_for(lambda: not stack.leftovers(james), "its container and network to be removed", 15)
    # and it is still said after the Hub was restarted
    stack.part("hub").restart()
    wait_for(lambda: signed_in_again(james), "the Hub to be back")
    assert "ended unexpectedly" in home_page(james)
    james.start(environment="lab", size="small")
    assert "ended unexpectedly" not in home_page(james)
    assert james.run("print(open('kept.txt').read())").strip() == "kept"
    james.stop()
    assert "ended unexpectedly" not in home_page(james)


def test_a_removed_server_is_noticed_too(stack: Stack, james: Person) -> None:
    james.start(environment="lab", size="small")
    stack.server_of(james).remove(force=True)
    wait_for(lambda: not james.model().get("servers"), "the Hub to notice the end", 25)
    assert "ended unexpectedly" in home_page(james)
    wait_for(lambda: not stack.leftovers(james), "its network to be removed", 15)


EAT = "python -c 'b = []\nwhile True: b.append(bytearray(64 << 20))'"
"""A shell command that takes memory until it is stopped."""


def test_a_kernel_that_runs_out_of_memory_leaves_its_server(stack: Stack, james: Person) -> None:
    james.start(environment="lab", size="small")
    said = james.run(f"import subprocess; print(subprocess.run({EAT!r}, shell=True).returncode)")
    assert said.split()[0] in ("137", "-9")
    assert james.server_ready
    assert james.run("print(1)").strip() == "1"
    # the engine has marked the container now; an end by something else is not said to be memory
    stack.server_of(james).kill("SIGTERM")
    wait_for(lambda: not james.model().get("servers"), "the Hub to notice the end", 25)
    assert "ended unexpectedly" in home_page(james)


def test_a_server_out_of_memory_is_told_apart(stack: Stack, james: Person) -> None:
    james.start(environment="lab", size="small")
    container = stack.server_of(james)
    # the machine takes the processes of the server before the one that asks for the memory
    every = "for p in /proc/[0-9]*; do echo 1000 > $p/oom_score_adj; done 2>/dev/null"
    container.exec_run(["sh", "-c", every])
    container.exec_run(["sh", "-c", EAT], detach=True)
    wait_for(lambda: not james.model().get("servers"), "the Hub to notice the end", 60)
    assert "needed more memory" in home_page(james)
    korean = james.session.get(f"{james.url}/hub/home", params={"lang": "ko"}, timeout=60)
    assert "메모리" in visible(korean.text)
    assert "needed more memory" not in visible(korean.text)
    james.session.get(f"{james.url}/hub/home", params={"lang": "en"}, timeout=60)
    james.start(environment="lab", size="small")
    james.stop()


def test_the_database_stops_and_comes_back(stack: Stack, minji: Person, james: Person) -> None:
    with notebook(minji) as open_one:
        open_one.ask("kept = 1")
        with stack.without("database"):
            page = james.session.get(f"{james.url}/hub/home", timeout=60)
            assert page.status_code == 503
            assert "Madang's database does not answer" in visible(page.text)
            assert 'name="password"' not in page.text
            korean = requests.get(f"{james.url}/hub/login", params={"lang": "ko"}, timeout=60)
            assert korean.status_code == 503
            assert "데이터베이스" in visible(korean.content.decode())
            assert open_one.ask("print(kept)") == "1"
            assert minji.server("GET", "/contents").status_code == 200
        wait_for(lambda: signed_in_again(james), "the Hub to find the database", 60)
        assert "The database does not answer" in stack.log("hub")
        assert open_one.ask("print(kept + 1)") == "2"
    assert minji.server_ready
    assert james.session.get(f"{james.url}/hub/home", timeout=60).status_code == 200
    minji.run("import mlflow\nwith mlflow.start_run(): mlflow.log_metric('m', 1)")


def test_no_engine_no_start_and_nothing_is_dropped(
    stack: Stack, minji: Person, james: Person
) -> None:
    networks = stack.networks()
    with notebook(minji) as open_one, stack.without("engine"):
        began = time.time()
        assert "The container engine does not answer" in refused(james)
        james.session.headers["Accept-Language"] = "ko"
        assert "컨테이너 엔진" in refused(james)
        james.session.headers["Accept-Language"] = "en"
        # longer than a look at running servers takes to come round
        wait_for(
            lambda: "Cannot ask the engine about" in stack.log("hub", began), "the Hub to look", 30
        )
        assert minji.server_ready
        assert open_one.ask("print(1)") == "1"
    wait_for(lambda: _starts(james), "a start to work again", 90)
    assert minji.server_ready
    james.stop()
    wait_for(lambda: stack.networks() == networks, "networks to be as before", 30)


def test_a_stop_without_the_engine_is_done_when_it_is_back(stack: Stack, james: Person) -> None:
    wait_for(lambda: _starts(james), "a start to work", 90)
    with stack.without("engine"):
        james.api("DELETE", f"/users/{james.name}/server")
        wait_for(lambda: not james.server_ready, "the Hub to give up the server")
        assert stack.server_of(james).status == "running"
    wait_for(lambda: not stack.leftovers(james), "the container to be removed after all", 40)


@pytest.mark.long  # two looks at the engine's list are a minute
def test_a_stop_that_the_next_hub_knows_nothing_of_is_done(stack: Stack, james: Person) -> None:
    wait_for(lambda: _starts(james), "a start to work", 90)
    with stack.without("engine"):
        james.api("DELETE", f"/users/{james.name}/server")
        wait_for(lambda: not james.server_ready, "the Hub to give up the server")
        stack.part("hub").kill()
    stack.part("hub").start()
    wait_for(lambda: signed_in_again(james), "the Hub to be back", 90)
    assert stack.server_of(james).status == "running"
    wait_for(lambda: not stack.leftovers(james), "the container to be removed after all", 120)


def _starts(person: Person) -> bool:
    try:
        person.start(seconds=20, environment="lab", size="small")
    except AssertionError:
        return False
    return True


def test_no_guard_no_start(stack: Stack, minji: Person, james: Person) -> None:
    heartbeat = stack.deployment.data / "run" / "guard" / "guard.json"
    with stack.without("guard"):
        # it takes its sign of life away with it; one that was killed leaves it behind, to grow old
        assert not heartbeat.exists()
        assert "keeps servers apart is not running" in refused(james)
        heartbeat.write_text(json.dumps({"time": time.time() - 100}), encoding="utf-8")
        assert "keeps servers apart is not running" in refused(james)
        assert minji.server_ready
        assert "guard: last sign of life" in stack.log("hub")
    wait_for(lambda: _starts(james), "a start to work again", 90)
    james.stop()
    assert not stack.leftovers(james)


def test_a_full_disk_is_said_and_running_servers_go_on(
    stack: Stack, minji: Person, james: Person
) -> None:
    homes = stack.deployment.data / "homes"
    ballast = homes / "ballast"
    with notebook(minji) as open_one:
        try:
            with ballast.open("wb") as file:
                file.truncate(0)
                os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(homes).free - 2**20)
            assert "The disk for people's files is full" in refused(james)
            assert "MiB free under" in stack.log("hub")
            assert not stack.leftovers(james)
            assert open_one.ask("print(1)") == "1"
        finally:
            ballast.unlink()
    james.start(environment="lab", size="small")
    james.stop()


def test_a_start_that_fails_half_way_leaves_nothing(stack: Stack, james: Person) -> None:
    home = stack.deployment.data / "homes" / "james"
    # a settings folder that cannot be read: the server ends while it starts
    james.start(environment="lab", size="small")
    james.stop()
    jupyter = home / ".jupyter"
    kept = home / ".jupyter.kept"
    if jupyter.exists():
        jupyter.rename(kept)
    jupyter.mkdir()
    (jupyter / "jupyter_server_config.py").write_text("import os; os._exit(3)\n", encoding="utf-8")
    try:
        said = refused(james)
        assert "ended while it was starting" in said
        wait_for(lambda: not stack.leftovers(james), "its container and network to be removed", 20)
    finally:
        shutil.rmtree(jupyter)
        if kept.exists():
            kept.rename(jupyter)
    james.start(environment="lab", size="small")
    james.stop()


def test_the_whole_stack_restarts_with_servers_running(
    stack: Stack, minji: Person, james: Person
) -> None:
    minji.run("open('kept.txt', 'w').write('kept')")
    with notebook(minji) as open_one:
        open_one.ask("kept = 2")
        stack.deployment.madang("compose", "restart")
        wait_for(lambda: signed_in_again(minji), "the Hub to be back", 120)
        wait_for(open_one.reconnects, "the route to the notebook", 30)
        assert open_one.ask("print(kept)") == "2"
    assert minji.server_ready
    # the next test logs: what asks while the tracking server begins is refused
    health = f"{stack.deployment.url}/services/mlflow/health"
    wait_for(lambda: requests.get(health, timeout=5).ok, "the tracking server to be back", 60)


def test_a_reboot_ends_servers_and_keeps_data(stack: Stack, minji: Person) -> None:
    # what a reboot does: everything stops; the engine starts again what is to be restarted
    minji.run("import mlflow\nwith mlflow.start_run(run_name='before'): pass")
    server = stack.server_of(minji)
    parts = [stack.part(n) for n in ("hub", "mlflow", "proxy", "guard", "engine", "database")]
    for container in [server, *parts]:
        container.kill()
    heartbeat = stack.deployment.data / "run" / "guard" / "guard.json"
    heartbeat.unlink(missing_ok=True)
    for container in reversed(parts):
        container.start()
    wait_for(lambda: signed_in_again(minji), "the Hub to be back", 120)
    wait_for(lambda: not minji.model().get("servers"), "the Hub to see that the server ended", 30)
    wait_for(lambda: not stack.leftovers(minji), "the rest of it to be removed", 30)
    assert "예기치 않게" in home_page(minji) or "끝났" in home_page(minji)
    wait_for(heartbeat.exists, "the guard", 30)
    wait_for(lambda: _starts(minji), "a start to work", 90)
    assert minji.run("print(open('kept.txt').read())").strip() == "kept"
    said = minji.run(
        "import mlflow; print([r.info.run_name for r in mlflow.search_runs(output_format='list')])"
    )
    assert "before" in said
