"""Rules of the runner of dashboards: seats, limits, the life of a visit, variables, words."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_dashboard import environment, process, words
from madang_dashboard.desk import Desk
from madang_dashboard.errors import KEPT, LONGEST, Troubles
from madang_dashboard.framework import Route
from madang_dashboard.limits import Bucket, Flow
from madang_dashboard.lines import Lines
from madang_dashboard.prepared import may_prepare
from madang_dashboard.seats import FIRST_GUESS, MIB, seats
from madang_dashboard.visits import FullError, GoneError, Patience, State, Visits, Why


@pytest.mark.parametrize(
    ("memory", "kernel", "pids", "fit"),
    [
        (None, 50 * MIB, None, 64),
        (150 * MIB + 10 * 65 * MIB, 50 * MIB, None, 10),
        (150 * MIB + 10 * 65 * MIB - 1, 50 * MIB, None, 9),
        (1024 * MIB, 0, None, int((1024 - 150) / (1.3 * FIRST_GUESS / MIB))),
        (4096 * MIB, 50 * MIB, 64 + 16 * 3, 3),
        (100 * MIB, 50 * MIB, None, 1),
        (None, 0, 10, 1),
    ],
)
def test_seats(memory: int | None, kernel: int, pids: int | None, fit: int) -> None:
    assert seats(memory, kernel, pids, 64) == fit


@given(st.integers(0, 1 << 36), st.integers(1, 1 << 32))
def test_all_seats_fit_with_their_margin(memory: int, kernel: int) -> None:
    found = seats(memory, kernel, None, 10_000)
    assert found == 1 or 150 * MIB + found * 1.3 * kernel <= memory * (1 + 1e-9)


class Kernels:
    """A framework whose kernels are numbers."""

    name = "kernels"

    async def start(self, desk: Desk) -> Mapping[str, Any]:
        return {}

    def routes(self) -> Sequence[Route]:
        return []

    def process(self, kernel: str) -> int | None:
        return int(kernel)

    async def alive(self, kernel: str) -> bool:
        return True

    async def end(self, kernel: str) -> None:
        pass

    async def stop(self) -> None:
        pass


async def test_one_large_visit_takes_seats_only_while_it_is_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = {1: 50 * MIB, 2: 400 * MIB}
    monkeypatch.setattr(process, "own_memory", lambda pid: sizes[pid])
    monkeypatch.setattr(process, "memory_limit", lambda: 1024 * MIB)
    monkeypatch.setattr(process, "pids_limit", lambda: None)
    desk = Desk(Kernels(), Patience(), 64)
    for name in ("1", "2"):
        desk.open(name).kernel = name
    await desk.look()
    assert (desk.seats, desk.state()["largest_kernel"]) == (1, 400 * MIB)
    await desk.end(desk.visits.here["2"], Why.LEFT)
    assert (desk.seats, desk.state()["largest_kernel"]) == (13, 50 * MIB)


class TestVisits:
    def test_a_name_is_used_once(self) -> None:
        visits = Visits()
        visit = visits.open("a", 0, seats=2)
        with pytest.raises(GoneError):
            visits.open("a", 1, seats=2)
        visits.end(visit, Why.LEFT)
        with pytest.raises(GoneError):
            visits.open("a", 2, seats=2)

    def test_full_uses_no_name_up(self) -> None:
        visits = Visits()
        first = visits.open("a", 0, seats=1)
        with pytest.raises(FullError):
            visits.open("b", 0, seats=1)
        visits.end(first, Why.LEFT)
        assert visits.open("b", 0, seats=1).state is State.PREPARING

    def test_only_its_own_kernel(self) -> None:
        visits = Visits()
        visit = visits.open("a", 0, seats=1)
        visit.kernel = "k"
        assert visits.get("a", "k") is visit
        assert visits.get("a", "other") is None
        assert visits.get("b") is None
        visits.end(visit, Why.LEFT)
        assert visits.get("a") is None

    def test_it_ends_15_s_after_its_last_socket(self) -> None:
        visits = Visits()
        visit = visits.open("a", 0, seats=1)
        visits.rendered(visit, 1)
        visits.connected(visit, 2)
        visits.connected(visit, 3)
        visits.disconnected(visit, 10)
        assert visits.due(100) == []
        visits.disconnected(visit, 100)
        assert visits.due(114.9) == []
        assert visits.due(115) == [(visit, Why.LEFT)]
        visits.connected(visit, 114.9)
        assert visits.due(200) == []

    def test_it_ends_when_nobody_comes_or_touches_it(self) -> None:
        visits = Visits()
        visit = visits.open("a", 0, seats=1)
        assert visits.due(1799) == []
        assert visits.due(1800) == [(visit, Why.IDLE)]
        visits.rendered(visit, 100)
        assert visits.due(159) == []
        assert visits.due(160) == [(visit, Why.LEFT)]
        visits.connected(visit, 150)
        assert visits.due(150 + 1799) == []
        assert visits.due(150 + 1800) == [(visit, Why.IDLE)]

    def test_patience_is_a_setting(self) -> None:
        visits = Visits(Patience(left=1, idle=5))
        visit = visits.open("a", 0, seats=1)
        assert visits.due(5) == [(visit, Why.IDLE)]


class TestLimits:
    @given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 40)), max_size=60))
    def test_never_more_than_burst_and_rate(self, steps: list[tuple[float, int]]) -> None:
        bucket, now, passed = Bucket(rate=10, burst=50), 0.0, 0
        for wait, amount in steps:
            now += wait
            passed += amount if bucket.take(amount, now) else 0
            assert passed <= 50 + 10 * now + 1e-6

    def test_a_dragged_slider_passes_and_a_flood_does_not(self) -> None:
        drag = Flow.of_a_visit(0)
        assert all(drag.take(400, number / 60) for number in range(60 * 120))
        flood = Flow.of_a_visit(0)
        assert not all(flood.take(400, number / 1000) for number in range(2000))
        large = Flow.of_a_visit(0)
        assert not all(large.take(8 * MIB, number) for number in range(20))


class TestEnvironment:
    SECRETS: dict[str, str] = {  # noqa: RUF012  # a table that nothing changes
        "MADANG_DASHBOARD_KEY": "k",
        "JUPYTERHUB_API_TOKEN": "t",
        "AWS_SECRET_ACCESS_KEY": "a",
        "PYTHONSTARTUP": "/tmp/x.py",
        "LD_PRELOAD": "/tmp/x.so",
    }

    def test_a_kernel_gets_what_is_listed(self) -> None:
        given_ = {
            **self.SECRETS,
            "MADANG_DASHBOARD_ROOT": "/srv",
            "PATH": "/bin",
            "QUERY_STRING": "a",
        }
        kept = environment.of_kernel(given_, "/own")
        assert set(kept) == {"PATH", "QUERY_STRING", "IPYTHONDIR", "PYTHONNOUSERSITE"}

    def test_the_runner_keeps_its_settings_and_not_its_key(self) -> None:
        kept = environment.of_runner(
            {**self.SECRETS, "MADANG_DASHBOARD_ROOT": "/srv", "LC_ALL": "C"}
        )
        assert set(kept) == {"MADANG_DASHBOARD_ROOT", "LC_ALL"}


@pytest.mark.parametrize(
    ("source", "may"),
    [
        ("print(1)", True),
        ("from voila.utils import get_query_string", False),
        ("wait_for_request()", False),
        ("import os\nos.environ.get('QUERY_STRING')", False),
        ("my_get_query_string_like = 1", True),
    ],
)
def test_what_may_be_prepared(source: str, may: bool) -> None:
    cells = [{"cell_type": "markdown", "source": "get_query_string"}]
    assert may_prepare({"cells": [*cells, {"cell_type": "code", "source": source}]}) is may
    lines = source.splitlines(keepends=True)
    assert may_prepare({"cells": [{"cell_type": "code", "source": lines}]}) is may


def test_errors_are_few_and_short_and_without_colours() -> None:
    troubles = Troubles()
    for number in range(KEPT + 5):
        troubles.add(float(number), "cell", "\x1b[31mred\x1b[0m " + "x" * 3 * LONGEST + " end")
    kept = troubles.as_json()
    assert (len(kept), kept[0]["at"]) == (KEPT, 5.0)
    assert all(len(row["text"]) == LONGEST and row["text"].endswith(" end") for row in kept)
    troubles.add(0, "cell", "\x1b[31mred\x1b[0m")
    assert troubles.as_json()[-1]["text"] == "red"


@pytest.mark.parametrize(
    ("languages", "korean"),
    [
        ("", True),
        ("ko-KR,ko;q=0.9,en;q=0.8", True),
        ("en-GB,en", False),
        ("*", True),
        ("de", False),
    ],
)
def test_the_visitors_language(languages: str, korean: bool) -> None:
    page = words.page("full", languages)
    assert ("자리가 모두" in page) is korean
    assert ("All seats" in page) is not korean
    assert f'lang="{"ko" if korean else "en"}"' in page


def test_the_runner_closes_its_memory() -> None:
    code = (
        "import ctypes; from madang_dashboard.process import close_to_others as c; "
        "l = ctypes.CDLL(None); a = l.prctl(3, 0, 0, 0, 0); c(); print(a, l.prctl(3, 0, 0, 0, 0))"
    )
    path = ":".join(sys.path)
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["1", "0"]


def test_the_last_lines_of_the_log_name_no_visit() -> None:
    lines = Lines()
    log = logging.getLogger("test.lines")
    log.addHandler(lines)
    try:
        log.error("500 GET /visit/abcDEF-_0123456789/?a=1 after\n%s", "x" * 1000)
        for number in range(lines.kept.maxlen or 0):
            log.error("line %d", number)
        assert "line 0" in lines.kept[0]
        assert len(lines.kept) == lines.kept.maxlen
        log.error("500 GET /visit/abcDEF-_0123456789/?a=1 after\n%s", "x" * 1000)
    finally:
        log.removeHandler(lines)
    assert lines.kept[-2].endswith("500 GET /visit/…/?a=1 after")
    assert len(lines.kept[-1]) == 500
