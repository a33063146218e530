"""What is done about running servers, on a real database file: the store, the culler's hook, the tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from jupyterhub_idle_culler import IdleCuller

from madang_hub.people.audit import Audit
from madang_hub.people.classes import Classes
from madang_hub.people.culler import Arbiter, configure, running, server_key
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, Person, Team, TeamRole
from madang_hub.people.idle import ExtensionRefused, Running
from madang_hub.people.rounds import Policy, Round, ServerKey
from madang_hub.people.servers import Servers
from madang_hub.people.service.hub import Hub, HubAwayError, HubRefusedError, HubUser, Server
from madang_hub.people.service.tasks import DueServers, OldRows, Seldom, Tasks
from madang_hub.people.timetable import Timetable, WeeklyTime
from madang_hub.settings import Settings

NINE = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
"""09:00 in Seoul, a Monday."""
MINE = ServerKey("minji", "")
LOG = logging.getLogger("test")


def at(minutes: float) -> datetime:
    return NINE + timedelta(minutes=minutes)


def servers_of(database: Database, **settings: Any) -> Servers:
    return Servers(database, Settings(data=Path("/nowhere"), **settings))


@pytest.fixture
def servers(database: Database) -> Servers:
    return servers_of(database)


def look(servers: Servers, minutes: float, used: float, started: float = 0) -> str:
    """One round that meets one server."""
    run = Running(at(started), at(used))
    known = servers.begin_round(at(minutes))
    action = servers.judge(MINE, run, known).action
    servers.begin_round(at(minutes), {MINE: (run, at(minutes))})
    return action


def enrol(directory: Directory, name: str, role: TeamRole = "trainee", **person: Any) -> None:
    """Put somebody in the class."""
    team = directory.team("class:a") or Team("class:a")
    known = directory.memberships(team="class:a")
    people = [directory.person(m.person) or Person(m.person) for m in known]
    roles: dict[str, TeamRole] = {m.person: m.role for m in known}
    directory.import_team(team, [*people, Person(name, **person)], {**roles, name: role})


def mondays(database: Database, begin: time, end: time) -> None:
    """The class meets on Mondays at this time of Seoul."""
    classes = Classes(database, Policy.of(Settings(data=Path("/nowhere"))).zone)
    weekly = (WeeklyTime(0, begin, end, "lab", "small"),)
    classes.save("class:a", Timetable(classes.zone, weekly))


# ---- the store --------------------------------------------------------------------------------


def test_a_life_from_start_to_stop(servers: Servers, database: Database) -> None:
    assert look(servers, 1, 0) == "go"
    state = servers.server_state("minji", "", at(1))
    assert state is not None
    assert (state.why, state.warning, state.can_extend) == ("limit", False, False)
    assert [look(servers, m, 0) for m in (49, 50, 52, 54, 56, 58)] == ["go", *["warn"] * 5]
    state = servers.server_state("minji", "", at(58))
    assert state is not None
    assert state.model() == {
        "name": "",
        "ends": at(60).isoformat(),
        "why": "idle",
        "warning": True,
        "can_extend": True,
        "extended_until": None,
    }
    assert look(servers, 60, 0) == "stop"
    assert servers.server_state("minji", "", at(60)) is None
    # asked once, however often it is seen before it has stopped
    assert look(servers, 61, 0) == "stop"
    (line,) = Audit(database).read(action="server.")
    assert (line.actor, line.action, line.subject) == ("madang", "server.stopped", "minji")
    assert line.detail == {"server": "", "why": "idle"}


def test_whether_a_server_works_is_only_known_while_somebody_looks(servers: Servers) -> None:
    """What the broker of accelerators asks: of whom nobody knows, nothing is said."""
    both = ["minji", "jisu"]
    assert servers.working(both, at(0)) == {}
    look(servers, 1, 0)
    assert servers.working(both, at(2)) == {"minji": False}
    assert servers.working([], at(2)) == {}
    servers.busy("minji", "", True, "kernel", at(2))
    look(servers, 3, 0)
    assert servers.working(both, at(4)) == {"minji": True}
    # it repeats it every minute; without, it has ended
    look(servers, 5, 0)
    assert servers.working(both, at(5)) == {"minji": False}
    servers.busy("minji", "", True, "accelerator", at(6))
    servers.busy("minji", "", False, "", at(7))
    look(servers, 7, 0)
    assert servers.working(both, at(7)) == {"minji": False}
    # nobody has looked for longer than a few rounds
    assert servers.working(both, at(11)) == {}


def test_an_extension_counts_also_when_a_round_has_begun(
    servers: Servers, database: Database
) -> None:
    run = Running(at(0), at(0))
    for minutes in (1, 50, 52, 54, 56, 58):
        look(servers, minutes, 0)
    known = servers.begin_round(at(60))
    state = servers.extend("minji", "", at(60))
    assert (state.warning, state.extended_until) == (False, at(120))
    assert servers.judge(MINE, run, known).action == "go"
    assert [e.action for e in Audit(database).read()] == ["server.extended"]
    with pytest.raises(ExtensionRefused, match="nothing to extend"):
        servers.extend("minji", "", at(61))


def test_a_new_run_begins_with_nothing_of_the_old(servers: Servers) -> None:
    for minutes in (1, 50, 52, 54):
        look(servers, minutes, 0)
    servers.extend("minji", "", at(55))
    assert look(servers, 57, 56, started=56) == "go"
    # its own sixty minutes, not those of the extension before
    assert look(servers, 106, 56, started=56) == "warn"


def test_a_busy_report_keeps_it(servers: Servers) -> None:
    look(servers, 1, 0)
    for minutes in range(2, 100, 2):
        servers.busy("minji", "", True, "kernel", at(minutes))
        assert look(servers, minutes, 0) == "go"
    servers.busy("minji", "", False, "", at(100))
    assert look(servers, 149, 0) == "go"
    assert look(servers, 150, 0) == "warn"


def test_nobody_fills_the_table_with_servers_that_are_not(
    servers: Servers, database: Database
) -> None:
    servers.busy("minji", "x" * 200, True, "kernel", at(1))
    assert not servers.begin_round(at(1)).rows


def test_a_server_that_is_not_seen_any_more_is_not_told_of(servers: Servers) -> None:
    look(servers, 1, 0)
    assert servers.server_state("minji", "", at(3)) is not None
    assert servers.server_state("minji", "", at(6)) is None
    assert servers.server_state("minji", "other", at(1)) is None
    assert servers.server_state("james", "", at(1)) is None


def test_what_is_long_gone_is_forgotten(servers: Servers) -> None:
    look(servers, 1, 0)
    assert servers.forget_old(at(60)) == 0
    assert servers.forget_old(at(60 * 25)) == 1
    assert not servers.begin_round(at(60 * 25)).rows


def test_limits_are_those_of_the_role(database: Database, directory: Directory) -> None:
    servers = servers_of(database, idle_minutes_by_role="mentor=240 admin=0")
    enrol(directory, "minji")
    enrol(directory, "seoyeon", "mentor")
    enrol(directory, "boss", "trainee", admin=True)
    known = servers.begin_round(NINE)
    assert known.around("minji", NINE).limits.idle == timedelta(minutes=60)
    assert known.around("seoyeon", NINE).limits.idle == timedelta(minutes=240)
    assert known.around("boss", NINE).limits.idle is None
    assert known.around("admin", NINE).limits.idle is None
    assert known.around("nobody", NINE).limits.idle == timedelta(minutes=60)


def test_the_end_of_class_is_for_those_who_learn_in_it(
    database: Database, directory: Directory, servers: Servers
) -> None:
    enrol(directory, "minji")
    enrol(directory, "seoyeon", "mentor")
    mondays(database, time(9), time(12))
    known = servers.begin_round(NINE)
    assert known.around("minji", at(5)).class_end == at(180)
    assert known.around("seoyeon", at(5)).class_end is None
    assert known.around("nobody", at(5)).class_end is None
    assert known.around("minji", at(181)).class_end is None


@pytest.mark.parametrize(
    ("person", "ends", "why"),
    [
        (Person("minji"), None, "account"),
        (Person("minji", expires=date(2026, 3, 2)), NINE + timedelta(hours=15), "account"),
        (Person("minji", ended=NINE, ended_why="provider"), NINE, "provider"),
        (Person("minji", ended=NINE, ended_why="expired"), NINE, "account"),
        # who never ends: the operator's own way in
        (Person("admin", expires=date(2026, 3, 1)), None, "account"),
    ],
)
def test_when_access_ends(
    servers: Servers, directory: Directory, person: Person, ends: datetime | None, why: str
) -> None:
    directory.save_people([person])
    around = servers.begin_round(NINE).around(person.name, NINE)
    assert (around.access_ends, around.access_why) == (ends, why)


# ---- the culler's hook --------------------------------------------------------------------------


def model(person: str = "minji", name: str = "", **other: Any) -> dict[str, Any]:
    """What the Hub says of a server (``server_model`` of its API)."""
    return {
        "name": name,
        "full_name": f"{person}/{name}",
        "started": "2026-03-02T00:00:00.000000Z",
        "last_activity": "2026-03-02T00:00:00.000000Z",
        "ready": True,
        "user_options": {"name": "somebody-else", "full_name": "admin/"},
        **other,
    }


def test_the_person_is_the_hubs_word() -> None:
    assert server_key(model()) == ("minji", "")
    assert server_key(model(name="app-1")) == ("minji", "app-1")
    assert server_key(model(person="a/b", name="c")) == ("a/b", "c")


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"full_name": "minji", "name": ""},
        {"full_name": "/", "name": ""},
        {"full_name": "minji/other", "name": "app"},
        {"full_name": None, "name": ""},
        {"full_name": "minji/", "name": 3},
    ],
)
def test_an_odd_model_is_nobody(odd: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match="server"):
        server_key(odd)


def test_times_of_the_model() -> None:
    assert running(model(last_activity=None)) == Running(NINE, NINE)
    with pytest.raises(ValueError, match="start"):
        running(model(started=None))


class CountedServers(Servers):
    """Counts readings of the database."""

    rounds = 0

    def begin_round(self, *args: Any, **kwargs: Any) -> Round:
        self.rounds += 1
        return super().begin_round(*args, **kwargs)


async def ask(arbiter: Arbiter, minutes: float, *models: Mapping[str, Any]) -> list[bool]:
    """One round of the culler, as upstream does it."""
    answers = []
    for server in models:
        inactive = at(minutes) - datetime.fromisoformat(server["last_activity"])
        answers.append(await arbiter(inactive=inactive, inactive_limit=600, server=server))
    return answers


async def test_one_reading_a_round(database: Database) -> None:
    servers = CountedServers(database, Settings(data=Path("/nowhere")))
    arbiter = Arbiter(servers, LOG)
    models = [
        model(person=f"p{i}", last_activity=at(i / 7).isoformat().replace("+00:00", "Z"))
        for i in range(20)
    ]
    assert await ask(arbiter, 30, *models) == [False] * 20
    assert servers.rounds == 1
    assert await ask(arbiter, 31, *models) == [False] * 20
    assert servers.rounds == 2
    # the second round has noted what the first one saw
    seen = {row.kept.seen for row in servers.begin_round(at(31)).rows.values()}
    assert seen == {at(30)}


async def test_the_hook_stops_after_the_warning(servers: Servers) -> None:
    arbiter = Arbiter(servers, LOG)
    stops = [(await ask(arbiter, minutes, model()))[0] for minutes in range(40, 62)]
    assert stops == [False] * 20 + [True] * 2


async def test_a_culler_that_was_away_warns_first(servers: Servers) -> None:
    assert not any([(await ask(Arbiter(servers, LOG), m, model()))[0] for m in range(45, 53)])
    # back after half an hour, as a new process
    arbiter = Arbiter(servers, LOG)
    assert [(await ask(arbiter, m, model()))[0] for m in range(82, 94)] == [False] * 10 + [True] * 2


async def test_a_culler_that_was_restarted_goes_on_where_it_was(servers: Servers) -> None:
    first, second = Arbiter(servers, LOG), Arbiter(servers, LOG)
    for minutes in range(45, 56):
        await ask(first, minutes, model())
    # warned at 50
    assert [(await ask(second, m, model()))[0] for m in range(56, 61)] == [False] * 4 + [True]


async def test_dashboards_are_not_its_to_stop(servers: Servers) -> None:
    arbiter = Arbiter(servers, LOG)
    app = {**model("dashboards"), "name": "app-a", "full_name": "dashboards/app-a"}
    assert not any([(await ask(arbiter, minutes, app))[0] for minutes in range(40, 90)])
    assert not servers.begin_round(at(90)).rows


async def test_what_cannot_be_decided_goes_on(
    servers: Servers, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    gone = Servers(
        Database(f"sqlite:///{tmp_path}/no/such/folder/hub.sqlite"), Settings(data=tmp_path)
    )
    assert await ask(Arbiter(gone, LOG), 600, model(), model("james")) == [False, False]
    assert [r.message for r in caplog.records] == [
        "No server is looked at: database, OperationalError"
    ]
    caplog.clear()
    assert await ask(Arbiter(servers, LOG), 600, {**model(), "full_name": "?"}) == [False]
    assert len(caplog.records) == 1


def test_upstream_decides_nothing_by_itself(servers: Servers) -> None:
    app = IdleCuller()
    configure(app, servers)
    assert (app.max_age, app.cull_users, app.config_file) == (0, False, "")
    assert isinstance(app.cull_arbiter_hook, Arbiter)
    assert app.cull_every == 60


@pytest.mark.parametrize(("warning", "seconds"), [(10, 60), (60, 60), (5, 30), (0.05, 1)])
def test_how_often_it_looks(database: Database, warning: float, seconds: float) -> None:
    policy = servers_of(database, warning_minutes=warning).policy
    assert policy.every == timedelta(seconds=seconds)
    # a warning must survive a round that is late
    assert policy.limits["trainee"].gap >= min(policy.every, timedelta(minutes=warning) / 3)


# ---- tasks ----------------------------------------------------------------------------------


class HubOf(Hub):
    """The Hub as far as it is asked here: who has a server, and its stop."""

    def __init__(self, *users: HubUser) -> None:
        self.known = {user.name: user for user in users}
        self.asked = 0
        self.stopped: list[str] = []
        self.fault: Exception | None = None

    async def users(self) -> dict[str, HubUser]:
        self.asked += 1
        if isinstance(self.fault, HubAwayError):
            raise self.fault
        return self.known

    async def stop(self, name: str) -> None:
        if self.fault is not None:
            raise self.fault
        self.stopped.append(name)


def runs(name: str, minutes: float = 0, used: float = 0) -> HubUser:
    server = Server("", True, None, at(minutes))
    return HubUser(name, at(used), (server,))


def due(servers: Servers, hub: HubOf) -> DueServers:
    return DueServers(servers, hub)


async def seen(servers: Servers, minutes: float, *names: str) -> None:
    """The idle culler has looked at these servers, all in use."""
    known = servers.begin_round(at(minutes))
    for name in names:
        servers.judge(ServerKey(name, ""), Running(at(0), at(minutes)), known)


async def test_the_hub_is_not_asked_when_nothing_is_due(servers: Servers) -> None:
    hub = HubOf(runs("minji"))
    await seen(servers, 1, "minji")
    assert await due(servers, hub)(at(2)) == []
    assert hub.asked == 0


async def test_after_class_servers_are_warned_then_stopped(
    database: Database, directory: Directory, servers: Servers
) -> None:
    enrol(directory, "minji")
    enrol(directory, "james")
    enrol(directory, "seoyeon", "mentor")
    mondays(database, time(9), time(12))
    hub = HubOf(*(runs(name, used=180) for name in ("minji", "james", "seoyeon")))
    await seen(servers, 179, "minji", "james", "seoyeon")
    task = due(servers, hub)
    assert await task(at(179.5)) == []
    assert hub.asked == 0
    assert await task(at(180)) == []
    state = servers.server_state("minji", "", at(181))
    assert state is not None
    assert (state.why, state.warning, state.ends) == ("class", True, at(190))
    for minutes in range(181, 190, 3):
        assert await task(at(minutes)) == []
    servers.extend("james", "", at(187))
    assert await task(at(190)) == [MINE]
    assert hub.stopped == ["minji"]


@pytest.mark.parametrize("why", ["provider", "expired"])
async def test_who_has_no_access_any_more_is_stopped_at_once(
    servers: Servers, directory: Directory, why: str
) -> None:
    directory.save_people([Person("minji"), Person("james")])
    hub = HubOf(runs("minji"), runs("james"))
    await seen(servers, 1, "minji", "james")
    directory.end("minji", why, at(2))
    assert await due(servers, hub)(at(2.5)) == [MINE]
    assert hub.stopped == ["minji"]


async def test_or_warned_first_by_policy(database: Database, directory: Directory) -> None:
    servers = servers_of(database, ended_server="warn")
    directory.save_people([Person("minji")])
    hub = HubOf(runs("minji"))
    await seen(servers, 1, "minji")
    directory.end("minji", "provider", at(2))
    task = due(servers, hub)
    assert [len(await task(at(m))) for m in (3, 6, 9, 12, 13)] == [0, 0, 0, 0, 1]
    assert hub.stopped == ["minji"]


async def test_a_server_that_stopped_by_itself_is_forgotten(
    servers: Servers, directory: Directory
) -> None:
    directory.save_people([Person("minji")])
    await seen(servers, 1, "minji")
    directory.end("minji", "provider", at(2))
    hub = HubOf(HubUser("minji", at(2)))
    assert await due(servers, hub)(at(3)) == []
    assert not servers.begin_round(at(3)).rows


@pytest.mark.parametrize("pending", ["spawn", "stop", "check"])
async def test_a_server_on_its_way_is_left_alone(
    servers: Servers, directory: Directory, pending: str
) -> None:
    directory.save_people([Person("minji")])
    await seen(servers, 1, "minji")
    directory.end("minji", "provider", at(2))
    user = runs("minji")
    moving = replace(user, servers=(replace(user.servers[0], pending=pending),))
    hub = HubOf(moving)
    assert await due(servers, hub)(at(3)) == []
    assert hub.stopped == []
    assert servers.begin_round(at(3)).rows


async def test_a_stop_that_the_hub_refuses_is_tried_again(
    servers: Servers, directory: Directory
) -> None:
    directory.save_people([Person("minji")])
    await seen(servers, 1, "minji")
    directory.end("minji", "provider", at(2))
    hub = HubOf(runs("minji"))
    hub.fault = HubRefusedError(500, "the spawner could not stop it")
    task = due(servers, hub)
    with pytest.raises(HubRefusedError):
        await task(at(3))
    hub.fault = None
    assert await task(at(4)) == [MINE]
    assert hub.stopped == ["minji"]


async def test_one_task_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    done = []

    async def good(now: datetime) -> None:
        done.append(now)

    async def away(now: datetime) -> None:
        raise HubAwayError("GET /users:\nno answer")

    async def broken(now: datetime) -> None:
        raise sa.exc.OperationalError("SELECT 'kim@example.org'", {}, Exception("gone"))

    tasks = Tasks({"one": away, "two": good, "three": broken, "four": good})
    assert await tasks.run_once(NINE) == ["one", "three"]
    assert done == [NINE, NINE]
    lines = [r.getMessage() for r in caplog.records]
    assert lines == [
        "task one: HubAwayError: GET /users: no answer",
        "task three: the database says OperationalError",
    ]


async def test_a_run_that_takes_long_is_not_joined_by_another() -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    count = []

    async def slow(now: datetime) -> None:
        count.append(now)
        began.set()
        await go_on.wait()

    tasks = Tasks({"slow": slow})
    first = asyncio.create_task(tasks.run_once(NINE))
    await began.wait()
    assert await tasks.run_once(at(1)) == []
    go_on.set()
    assert await first == []
    assert count == [NINE]


async def test_seldom_beside_the_others_and_its_failure_is_told() -> None:
    count = []

    async def fails(now: datetime) -> None:
        count.append(now)
        raise RuntimeError("no")

    seldom = Seldom(fails, timedelta(minutes=5))
    tasks = Tasks({"seldom": seldom})
    assert await tasks.run_once(NINE) == []
    await asyncio.gather(
        *(t for t in asyncio.all_tasks() if t is not asyncio.current_task()), return_exceptions=True
    )
    assert await tasks.run_once(at(1)) == ["seldom"]
    assert await tasks.run_once(at(4)) == []
    assert count == [NINE]
    assert await tasks.run_once(at(5)) == []
    await asyncio.gather(
        *(t for t in asyncio.all_tasks() if t is not asyncio.current_task()), return_exceptions=True
    )
    assert count == [NINE, at(5)]
    assert await tasks.run_once(at(6)) == ["seldom"]


async def test_old_rows_go(servers: Servers) -> None:
    await seen(servers, 1, "minji")
    assert await OldRows(servers)(at(60 * 30)) == 1
