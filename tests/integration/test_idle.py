"""Servers end as promised: a real Hub, the real culler and the people service, with limits of seconds.

Nothing here waits for a time to pass; it waits for what must happen, and checks when that was.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests
from support.deployment import Deployment, wait_for
from support.people import newcomer

from madang_hub.people.audit import Audit
from madang_hub.people.classes import Classes
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, Team
from madang_hub.people.directory import Person as Known
from madang_hub.people.timetable import Timetable, WeeklyTime
from madang_hub.places import IDLE_SERVICE, Places, read_secret
from madang_hub.settings import Settings

pytestmark = pytest.mark.timeout(600)

WARNING = 15.0
"""Seconds that a warning stands."""
IDLE = 24.0
CULLER, HUB = "-m madang_hub.people.culler", "-m jupyterhub "


def now() -> datetime:
    return datetime.now(UTC)


def noon_zone() -> str:
    """A zone where it is about noon, so that no class of this test crosses midnight."""
    return f"Etc/GMT{now().hour - 12:+d}"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    deployment = Deployment(
        "embedded",
        tmp_path_factory.mktemp("idle") / "data",
        extra={
            "MADANG_IDLE_MINUTES": str(IDLE / 60),
            "MADANG_IDLE_MINUTES_BY_ROLE": "mentor=100 admin=0",
            "MADANG_WARNING_MINUTES": str(WARNING / 60),
            "MADANG_EXTEND_MINUTES": "0.75",
            "MADANG_EXTEND_TIMES": "1",
            "MADANG_TIMEZONE": noon_zone(),
        },
    )
    try:
        deployment.up()
        yield deployment
    finally:
        print(deployment.logs())  # shown when a test failed
        deployment.remove()


@pytest.fixture
def database(deployment: Deployment) -> Iterator[Database]:
    made = Database(Places(Settings(data=deployment.data), "embedded").database_url("hub"))
    yield made
    made.close()


class Seat:
    """Somebody with a running server that is left alone, as JupyterLab's server part sees it."""

    def __init__(self, deployment: Deployment, name: str) -> None:
        self.deployment = deployment
        self.person = newcomer(deployment, name, language="en")
        made = self.person.api("POST", f"/users/{name}/tokens", json={})
        assert made.status_code == 201, made.text
        self._token = made.json()["token"]
        self.person.start(environment="lab", size="small", seconds=180)
        # others may take long to start; nobody ends before the story begins
        wait_for(lambda: self.state is not None, "the culler to look at the new server")
        self.busy()

    def leave(self) -> None:
        """Nothing runs any more and nobody is there."""
        self.busy(False)

    def people(self, method: str, path: str, body: Any = None) -> requests.Response:
        """The API of the people service."""
        return requests.request(
            method,
            f"{self.deployment.url}/services/people/api/{path}",
            json=body,
            headers={"Authorization": f"token {self._token}", "Accept-Language": "en"},
            timeout=30,
        )

    @property
    def state(self) -> dict[str, Any] | None:
        reply = self.people("GET", "me")
        assert reply.ok, reply.text
        found: dict[str, Any] | None = reply.json()["server"]
        return found

    @property
    def warned(self) -> bool:
        return bool((self.state or {}).get("warning"))

    @property
    def said_end(self) -> datetime:
        state = self.state
        assert state is not None
        assert state["ends"] is not None
        return datetime.fromisoformat(state["ends"])

    @property
    def runs(self) -> bool:
        return self.person.server_ready

    def busy(self, busy: bool = True) -> None:
        reply = self.people("POST", "me/busy", {"server": "", "busy": busy, "why": "kernel"})
        assert reply.status_code == 204, reply.text


def meanwhile_busy(seat: Seat, condition: Callable[[], bool]) -> Callable[[], bool]:
    """``condition``, each time after that seat said that something runs in it."""

    def asked() -> bool:
        seat.busy()
        return condition()

    return asked


def process(deployment: Deployment, words: str) -> int:
    """The process of this deployment with ``words`` in its command; 0 when there is none."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            environ = (folder / "environ").read_bytes()
        except OSError:
            continue
        command = command.replace(b"\0", b" ")
        if words.encode() in command and str(deployment.data).encode() in environ:
            return int(folder.name)
    return 0


@pytest.fixture
def seats(deployment: Deployment) -> Iterator[Callable[[str], Seat]]:
    """Makes people with a server; stops what still runs at the end."""
    made: list[Seat] = []

    def make(name: str) -> Seat:
        made.append(Seat(deployment, name))
        return made[-1]

    yield make
    for seat in made:
        if seat.runs:
            seat.person.stop()


def test_idle_busy_extended_and_a_mentor(
    deployment: Deployment, database: Database, seats: Callable[[str], Seat]
) -> None:
    mentor = seats("seoyeon")
    Directory(database).import_team(Team("class:a"), [Known("seoyeon")], {"seoyeon": "mentor"})
    works, extends, idle = seats("james"), seats("yuna"), seats("minji")
    extends.leave()
    idle.leave()
    wait_for(meanwhile_busy(works, lambda: idle.warned), "the first warning")
    warned = now()
    state = idle.state
    assert state is not None
    assert (state["why"], state["can_extend"]) == ("idle", True)
    ends = idle.said_end
    assert ends <= warned + timedelta(seconds=WARNING)
    wait_for(lambda: extends.warned, "the warning of another", 20)
    pressed = now()
    reply = extends.people("POST", "me/extend", {"server": ""})
    assert reply.status_code == 200, reply.text
    until = datetime.fromisoformat(reply.json()["extended_until"])
    assert timedelta(seconds=40) <= until - pressed <= timedelta(seconds=50)
    assert reply.json()["warning"] is False
    wait_for(meanwhile_busy(works, lambda: not idle.runs), "the idle server to be stopped")
    assert now() >= ends
    assert idle.state is None
    # a server that was busy all the time, and a mentor's, were not even warned
    assert works.runs
    assert not works.warned
    assert mentor.runs
    assert not mentor.warned
    # who extended is there until then, and can do it once only
    assert extends.runs
    wait_for(lambda: extends.warned, "the second warning", 60)
    refused = extends.people("POST", "me/extend", {"server": ""})
    assert refused.status_code == 409
    assert "cannot be extended any more" in refused.json()["message"]
    wait_for(lambda: not extends.runs, "the extended server to be stopped", 60)
    assert now() >= until
    lines = [(e.action, e.subject, e.detail.get("why")) for e in Audit(database).read()]
    assert ("server.stopped", "minji", "idle") in lines
    assert ("server.extended", "yuna", None) in lines
    assert not any(line[1] in ("james", "seoyeon") and "server" in line[0] for line in lines)


@pytest.mark.long
def test_the_hub_and_the_culler_go_away_and_come_back(
    deployment: Deployment, seats: Callable[[str], Seat]
) -> None:
    """Nobody is stopped on their return without a warning of its whole time."""
    seat = seats("dohyun")
    seat.leave()
    wait_for(lambda: seat.warned, "a warning", 60)
    frozen = process(deployment, CULLER)
    os.kill(frozen, signal.SIGSTOP)
    try:
        ends = seat.said_end
        wait_for(lambda: now() > ends + timedelta(seconds=2), "the end that was said to pass")
        assert seat.runs
    finally:
        os.kill(frozen, signal.SIGCONT)
    whole = now() + timedelta(seconds=WARNING - 2)
    wait_for(lambda: seat.warned and seat.said_end >= whole, "a new warning of its whole time", 20)
    # now the Hub: its services go with it, and the server does not
    os.kill(process(deployment, HUB), signal.SIGTERM)
    wait_for(lambda: not alive(frozen), "the culler to end with its Hub", 30)
    gone = now()
    wait_for(lambda: healthy(deployment), "the Hub to be back", 60)
    wait_for(lambda: process(deployment, CULLER) not in (0, frozen), "a new culler", 30)
    back = began(process(deployment, CULLER))
    assert seat.runs
    wait_for(lambda: not seat.runs, "the server to be stopped", 90)
    stopped = now()
    assert stopped >= whole, "the time that was said is over"
    if back - gone > timedelta(
        seconds=WARNING * 2 / 5
    ):  # longer unwatched: the warning begins anew
        assert stopped >= back + timedelta(seconds=WARNING - 2)


def began(pid: int) -> datetime:
    """When a process was started (proc(5): field 22 of stat, in clock ticks since the boot)."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    up = float(Path("/proc/uptime").read_text().split()[0])
    return now() - timedelta(seconds=up - int(stat[19]) / os.sysconf("SC_CLK_TCK"))


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def healthy(deployment: Deployment) -> bool:
    try:
        return requests.get(f"{deployment.url}/services/people/", timeout=5).status_code < 500
    except requests.RequestException:
        return False


def test_the_end_of_class_and_of_access(
    deployment: Deployment, database: Database, seats: Callable[[str], Seat]
) -> None:
    directory = Directory(database)
    learner, leaver = seats("haeun"), seats("jiho")
    directory.import_team(
        Team("class:b"), [Known("haeun"), Known("jiho")], {"haeun": "trainee", "jiho": "trainee"}
    )
    # a class that began half an hour ago and is over at a coming full minute
    zone = ZoneInfo(deployment.extra["MADANG_TIMEZONE"])
    end = (now() + timedelta(seconds=75)).astimezone(zone).replace(second=0, microsecond=0)
    begin = end - timedelta(minutes=30)
    weekly = WeeklyTime(end.weekday(), begin.time(), end.time(), "lab", "small")
    Classes(database, zone).save("class:b", Timetable(zone, (weekly,)))
    # the provider does not know one of them any more: no warning, the policy says stop
    removed = now()
    directory.end("jiho", "provider", removed)
    assert leaver.people("POST", "me/busy", {"server": "", "busy": True}).status_code == 403
    learner.busy()
    wait_for(meanwhile_busy(learner, lambda: not has_server(deployment, "jiho")), "a stop")
    assert now() - removed < timedelta(seconds=60)
    # the other one works until the end of class and is warned then
    wait_for(meanwhile_busy(learner, lambda: learner.warned), "the warning after class", 120)
    assert now() >= end
    state = learner.state
    assert state is not None
    assert (state["why"], state["can_extend"]) == ("class", True)
    wait_for(meanwhile_busy(learner, lambda: not learner.runs), "the stop after class", 60)
    assert now() >= end + timedelta(seconds=WARNING)
    lines = {(e.subject, e.detail["why"]) for e in Audit(database).read(action="server.stopped")}
    assert {("jiho", "provider"), ("haeun", "class")} <= lines


def has_server(deployment: Deployment, name: str) -> bool:
    """Whether that server runs, as the stack's own token sees it: the person's is of no use any more."""
    places = Places(Settings(data=deployment.data), "embedded")
    token = read_secret(places.secrets, "operator_token")
    reply = requests.get(
        f"http://127.0.0.1:{deployment.hub_port}/hub/api/users?state=active",
        headers={"Authorization": f"token {token}"},
        timeout=20,
    )
    reply.raise_for_status()
    return any(user["name"] == name for user in reply.json())


# ---- the culler's rights: these and no more ---------------------------------------------------


@pytest.fixture(scope="module")
def soomin(deployment: Deployment) -> str:
    """Somebody else, whom the culler must not touch but for the server."""
    return newcomer(deployment, "soomin", language="en").name


@pytest.fixture
def as_culler(deployment: Deployment, soomin: str) -> Callable[..., requests.Response]:
    places = Places(Settings(data=deployment.data), "embedded")
    token = read_secret(places.secrets, "idle_token")

    def ask(method: str, path: str, **kwargs: Any) -> requests.Response:
        return requests.request(
            method,
            f"http://127.0.0.1:{deployment.hub_port}/hub/api{path}",
            headers={"Authorization": f"token {token}"},
            timeout=20,
            **kwargs,
        )

    return ask


def test_what_the_culler_sees(as_culler: Callable[..., requests.Response], soomin: str) -> None:
    assert as_culler("GET", "/user").json()["name"] == IDLE_SERVICE
    users = {user["name"]: user for user in as_culler("GET", "/users").json()}
    assert not {"groups", "roles", "last_activity", "auth_state"} & users[soomin].keys()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/users/soomin/server"),
        ("POST", "/users/soomin/tokens"),
        ("GET", "/users/soomin/tokens"),
        ("DELETE", "/users/soomin"),
        ("POST", "/users/somebody-new"),
        ("GET", "/groups"),
        ("GET", "/info"),
        ("GET", "/proxy"),
        ("POST", "/shutdown"),
        ("POST", "/shares/soomin/"),
    ],
)
def test_what_the_culler_may_not(
    as_culler: Callable[..., requests.Response], method: str, path: str
) -> None:
    reply = as_culler(method, path, json={})
    assert reply.status_code in (403, 404), reply.text
