"""A class's runs side by side: the rules, and that a slow tracking server holds nobody up."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from support.deployment import free_ports
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from madang_hub.people.directory import Person
from madang_hub.people.service import tracking
from madang_hub.people.service.class_runs import (
    OWN,
    Experiment,
    Found,
    Lesson,
    Row,
    experiment_of,
    figure,
    first_way,
    known_lesson,
    lessons,
    ordered,
    table,
    usual,
)
from madang_hub.people.service.classroom import Member
from madang_hub.people.service.tracking import (
    Tracking,
    TrackingAwayError,
    TrackingClosedError,
    experiments_from,
    of_each,
)
from madang_hub.runs import Metric, Run

PAGES = "/services/mlflow/"


def run(
    identity: str,
    metrics: dict[str, float],
    status: str = "finished",
    started: int = 1,
    **tags: str,
) -> Run:
    values = {key: Metric(value) for key, value in metrics.items()}
    named = {key.replace("__", "."): text for key, text in tags.items()}
    return Run(identity, "7", identity, status, started, values, named)


def class_of(*names: str) -> list[Member]:
    return [Member(Person(name, name.upper()), "trainee") for name in names]


BASE = run("base", {"loss": 0.5}, madang__role="baseline")


# ---- which lesson -----------------------------------------------------------------------------


def test_lessons_are_what_people_have_in_common() -> None:
    found = {
        "ann": [Experiment("1", "ann", 5), Experiment("2", "1과", 10), Experiment("3", "2과", 30)],
        "ben": [Experiment("4", "ben", 5), Experiment("5", "1과", 12), Experiment("9", "2과", 29)],
        "dan": [Experiment("6", "1과", 11), Experiment("0", "Default", 1)],
        "eve": [Experiment("7", "private", 99), Experiment("0", "Default", 1)],
    }
    offered = lessons(found)
    assert offered == [
        Lesson("1과", 3, 10),
        Lesson("2과", 2, 29),
        Lesson("private", 1, 99),
        Lesson("Default", 2, 1),
    ]
    # begun last, among those that are no one's alone
    assert usual(offered) == "2과"
    assert usual(offered[2:]) == OWN
    assert known_lesson(None, offered) == "2과"
    assert known_lesson("", offered) == OWN
    assert known_lesson("not here", offered) == "not here"


def test_the_experiment_of_somebody() -> None:
    theirs = [Experiment("1", "ann"), Experiment("2", "1과")]
    assert experiment_of("ann", OWN, theirs) == theirs[0]
    assert experiment_of("ann", "1과", theirs) == theirs[1]
    assert experiment_of("ann", "2과", theirs) is None
    assert experiment_of("ben", OWN, theirs) is None


# ---- the table --------------------------------------------------------------------------------


def test_people_side_by_side() -> None:
    found = {
        "ann": Found("runs", "7", [run("a2", {"loss": 0.4}), run("a1", {"loss": 0.3}), BASE], True),
        "ben": Found("runs", "8", [run("b1", {"loss": math.nan}, "failed", 1_700_000_000_000)]),
        "dan": Found("runs", "9", [BASE]),
        "eve": Found("runs", "10", []),
        "fay": Found("never"),
        "gil": Found("closed"),
        "hal": Found("away"),
    }
    people = class_of(*found)
    shown = table([*people, Member(Person("mia"), "mentor")], found, PAGES)
    assert (shown.metric, shown.better) == ("loss", "lower")
    rows = {row.name: row for row in shown.rows}
    assert list(rows) == list(found)
    ann = rows["ann"]
    assert (ann.called, ann.state, ann.value, ann.best, ann.count) == ("ANN", "runs", 0.4, 0.3, 2)
    assert ann.more
    assert ann.url == "/services/mlflow/#/experiments/7/runs/a2?workspace=u-ann"
    ben = rows["ben"]
    assert (ben.status, ben.best, figure(ben.value)) == ("failed", None, "NaN")
    assert ben.started is not None
    assert ben.started.isoformat() == "2023-11-14T22:13:20+00:00"
    assert [rows[name].state for name in ("dan", "eve", "fay", "gil", "hal")] == [
        "baseline",
        "none",
        "never",
        "closed",
        "away",
    ]
    assert rows["eve"].url == "/services/mlflow/#/experiments/10?workspace=u-eve"
    assert rows["fay"].url == ""
    assert [row.name for row in shown.waiting] == ["dan", "eve", "fay"]
    assert shown.count("runs") == 2
    assert not shown.away
    assert table(class_of("fay", "hal"), found, PAGES).away
    assert not table(class_of("fay"), found, PAGES).away
    assert not table([], found, PAGES).away


def test_the_lessons_metric_is_the_one_that_most_have() -> None:
    found = {
        "ann": Found("runs", "7", [run("a", {"val_loss": 1.0, "acc": 0.1})]),
        "ben": Found("runs", "7", [run("b", {"acc": 0.9})]),
        "dan": Found("runs", "7", [run("d", {"acc": 0.8}), run("e", {"acc": 0.95})]),
    }
    shown = table(class_of(*found), found, PAGES)
    assert (shown.metric, shown.better) == ("acc", "higher")
    assert [row.value for row in shown.rows] == [0.1, 0.9, 0.8]
    assert shown.rows[2].best == 0.95


def test_a_lessons_baseline_says_what_counts() -> None:
    base = run(
        "base",
        {"kwh": 3},
        madang__role="baseline",
        madang__main_metric="kwh",
        madang__better="lower",
    )
    one = run("a", {"kwh": 2, "loss": 1})
    found = {"ann": Found("runs", "7", [one, base])}
    shown = table(class_of("ann"), found, PAGES)
    assert (shown.metric, shown.better, shown.rows[0].value) == ("kwh", "lower", 2)


def test_without_a_direction_there_is_no_best() -> None:
    found = {"ann": Found("runs", "7", [run("a", {"depth": 2}), run("b", {"depth": 9})])}
    shown = table(class_of("ann"), found, PAGES)
    assert (shown.metric, shown.better, shown.rows[0].best) == ("depth", None, None)
    empty = table(class_of("ann"), {"ann": Found("runs", "7", [run("a", {})])}, PAGES)
    assert (empty.metric, empty.rows[0].value, empty.rows[0].count) == (None, None, 1)


def row(name: str, **values: Any) -> Row:
    return Row(name, name, "runs" if values else "none", **values)


def test_columns_order_and_nothing_comes_last() -> None:
    rows = [
        row("a", count=1, value=2.0),
        row("b"),
        row("c", count=3, value=math.nan),
        row("d", count=2, value=1.0),
    ]

    def names(*how: Any) -> str:
        return "".join(one.name for one in ordered(rows, *how))

    assert names("name", False) == "abcd"
    assert names("name", True) == "dcba"
    assert names("value", False) == "dabc"
    assert names("value", True) == "adbc"
    assert names("count", True) == "cdab"
    assert names("best", True) == "abcd"


def test_a_column_begins_with_what_one_looks_for() -> None:
    assert first_way("best", "higher")
    assert not first_way("best", "lower")
    assert first_way("started", None)
    assert not first_way("name", "higher")


def test_figures() -> None:
    assert [figure(x) for x in (None, 0.123456, 12.0, 1e-9)] == ["", "0.1235", "12", "1e-09"]


# ---- the tracking server --------------------------------------------------------------------------


async def test_who_does_not_answer_in_time_holds_nobody_up() -> None:
    never = asyncio.Event()

    async def ask(name: str) -> str:
        if name == "slow":
            await never.wait()
        if name == "shut":
            raise TrackingClosedError("no")
        return name.upper()

    found = await of_each(["ann", "slow", "shut"], ask, 0.2)
    assert found["ann"] == "ANN"
    assert isinstance(found["slow"], TrackingAwayError)
    assert isinstance(found["shut"], TrackingClosedError)
    assert await of_each([], ask, 0.2) == {}


async def test_an_error_of_ours_is_not_hidden() -> None:
    async def ask(name: str) -> str:
        raise KeyError(name)

    with pytest.raises(KeyError):
        await of_each(["ann"], ask, 1)


class Desk(RequestHandler):
    """Answers by the workspace that is asked for."""

    at_once = most = 0

    async def post(self) -> None:
        Desk.at_once += 1
        Desk.most = max(Desk.most, Desk.at_once)
        await asyncio.sleep(0)
        where = self.request.headers["X-MLFLOW-WORKSPACE"]
        assert self.request.headers["Authorization"] == "Bearer mentors"
        assert self.request.headers["Host"] == "127.0.0.1:8000"
        try:
            if where.isdecimal():
                self.set_status(int(where))
            if where == "302":
                self.set_header("Location", "/elsewhere")
            answers = {"long": '"' + "x" * 5000 + '"', "odd": "<html>"}
            self.finish(answers.get(where, '{"experiments": []}'))
        finally:
            Desk.at_once -= 1


async def test_answers_of_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    [port] = free_ports(1)
    application = Application(
        [("/services/mlflow/api/2.0/mlflow/experiments/search", Desk)], log_function=print
    )
    server = HTTPServer(application)
    server.listen(port, "127.0.0.1")
    monkeypatch.setattr(tracking, "MAX_ANSWER", 1000)
    ours = Tracking(f"http://127.0.0.1:{port}", "127.0.0.1:8000")

    async def ask(where: str) -> object:
        return await ours.search("experiments", "mentors", where, {})

    try:
        assert await ask("u-ann") == {"experiments": []}
        for where in ("401", "403"):
            with pytest.raises(TrackingClosedError):
                await ask(where)
        for where in ("302", "429", "500", "503", "long", "odd"):
            with pytest.raises(TrackingAwayError):
                await ask(where)
        Desk.most = 0
        await asyncio.gather(*(ask("u-ann") for _ in range(40)))
        assert 1 < Desk.most <= tracking.AT_ONCE
    finally:
        server.stop()
        await server.close_all_connections()
        await ours.close()
    absent = Tracking(f"http://127.0.0.1:{port}", "127.0.0.1:8000")
    with pytest.raises(TrackingAwayError):
        await absent.search("runs", "t", "u-ann", {})
    await absent.close()


def test_experiments_are_read_and_odd_ones_left_out() -> None:
    rows = [
        {"experiment_id": "7", "name": "1과", "creation_time": "12"},
        {"experiment_id": "8", "name": "x", "creation_time": "soon"},
        {"name": "no id"},
        3,
    ]
    assert experiments_from({"experiments": rows}) == [
        {"id": "7", "name": "1과", "made": 12},
        {"id": "8", "name": "x", "made": 0},
    ]
    assert experiments_from([]) == experiments_from({"experiments": 3}) == []
