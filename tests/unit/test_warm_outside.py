"""What the pool of warm servers is told of the machine and of classes."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from madang_hub.people.classes import Classes
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, Person, Team
from madang_hub.people.timetable import Timetable, WeeklyTime
from madang_hub.warm import outside
from madang_hub.warm.pool import Meeting

SEOUL = ZoneInfo("Asia/Seoul")
MEMINFO = "MemTotal:       65536000 kB\nMemFree:         1000 kB\nMemAvailable:   40960000 kB\n"
BEGIN = datetime(2026, 11, 30, 0, 0, tzinfo=UTC)
"""Monday, 09:00 in Seoul."""


def test_memory_is_read_in_bytes() -> None:
    assert outside.memory(MEMINFO) == (65536000 * 1024, 40960000 * 1024)


def test_what_waits_is_not_what_people_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text(MEMINFO)
    monkeypatch.setattr(outside, "MEMINFO", tmp_path / "meminfo")
    used = (65536000 - 40960000) * 1024
    none, some = outside.machine(0), outside.machine(2**30)
    assert none.memory_of_people == used
    assert some.memory_of_people == used - 2**30
    # so a pool that has grown does not take itself for people, nor make itself small
    assert some.room == none.room + 2**30


@pytest.fixture
def database(tmp_path: Path) -> Database:
    found = Database(f"sqlite:///{tmp_path / 'hub.sqlite'}")
    directory = Directory(found)
    directory.save_people([Person(name) for name in ("minji", "james", "sora", "mentor")])
    directory.save_team(Team("class:ai", "AI"))
    directory.save_team(Team("team:firm", "Firm"))
    for name in ("minji", "james", "sora"):
        directory.set_memberships(name, {"class:ai": "trainee"}, "operator")
    directory.set_memberships("mentor", {"class:ai": "mentor", "team:firm": "member"}, "operator")
    table = Timetable(SEOUL, (WeeklyTime(0, time(9), time(12), "lab", "small"),))
    Classes(found, SEOUL).save("class:ai", table)
    return found


@pytest.mark.parametrize(
    ("minutes", "meets"), [(-6, False), (-4, True), (0, True), (14, True), (200, False)]
)
def test_a_class_that_meets_soon_or_just_now(database: Database, minutes: int, meets: bool) -> None:
    ask = outside.meetings_of(Classes(database, SEOUL), database, lambda: {"sora", "stranger"})
    found = list(ask(BEGIN + timedelta(minutes=minutes)))
    assert found == ([Meeting("lab/small", BEGIN, 4, 1)] if meets else [])
