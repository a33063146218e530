"""What the pool of warm servers is told: the classes that meet, and how much of the machine is free."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path

from madang_hub.people.classes import Classes
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory
from madang_hub.warm.pool import Machine, Meeting, Rule

MEMINFO = Path("/proc/meminfo")
RESERVE = 0.2
"""Share of the machine's memory that stays free of waiting servers, for what people's programs grow by."""


def memory(text: str) -> tuple[int, int]:
    """All and available bytes of the machine, from ``/proc/meminfo`` (proc(5))."""
    found = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    total, available = (int(found[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    return total, available


def machine(waiting: int) -> Machine:
    """This machine, of whose memory servers that wait take ``waiting`` bytes.

    The load of the last minute is what people need of its cores. Up to four times as much as there are, one
    more that begins takes little from anybody, for it does so by the batch policy of the scheduler.
    """
    total, available = memory(MEMINFO.read_text(encoding="ascii"))
    return Machine(
        memory=total,
        cpu=float(os.cpu_count() or 1),
        memory_of_people=max(0, total - available - waiting),
        cpu_of_people=os.getloadavg()[0],
        memory_reserve=int(total * RESERVE),
        cpu_reserve=-3.0 * (os.cpu_count() or 1),
    )


def meetings_of(
    classes: Classes, database: Database, running: Callable[[], Collection[str]]
) -> Callable[[datetime], Iterator[Meeting]]:
    """The classes that meet now or soon, each with its people and how many of them have a server."""
    directory = Directory(database)

    def meetings(now: datetime) -> Iterator[Meeting]:
        rule = Rule()
        teams = {team.name: team for team in directory.teams() if team.is_class}
        tables = classes.timetables(list(teams.values()))
        have = running()
        for name, table in tables.items():
            for meeting in table.between(now - rule.late, now + rule.ahead):
                people = {m.person for m in directory.memberships(team=name)}
                kind = f"{meeting.environment}/{meeting.size}"
                started = len(people.intersection(have))
                yield Meeting(kind, meeting.begin, len(people), started)

    return meetings
