"""A class's runs for one lesson, side by side: rules that put the directory and MLflow's answers together.

A *lesson* is an experiment that goes by the same name in the workspaces of a class's people. The own
experiment of each person, where a run goes that names none, is called :data:`OWN`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, get_args

from madang_hub.people.service.classroom import Member
from madang_hub.runs import Better, Run, address
from madang_hub.tracking import workspace_of

OWN = ""
"""In place of a lesson's name: everybody's own experiment, named after the person."""
RUNS = 100
"""Runs of a person that are looked at, the newest."""
MLFLOWS_OWN = "Default"
"""The experiment that every workspace of MLflow has."""

State = Literal["runs", "baseline", "none", "never", "closed", "away"]
"""What is known of a person: has runs; only the lesson's baseline; no run; never signed in; the gate lets the
mentor not in; no answer."""
Sort = Literal["name", "status", "started", "value", "best", "count"]
"""What the table can be ordered by."""
SORTS: tuple[Sort, ...] = get_args(Sort)


@dataclass(frozen=True)
class Experiment:
    """An experiment in somebody's workspace; ``made`` is in milliseconds since 1970."""

    id: str
    name: str
    made: int = 0


@dataclass(frozen=True)
class Lesson:
    """An experiment's name and how many people of the class have it."""

    name: str
    people: int
    begun: int = 0


@dataclass(frozen=True)
class Found:
    """What the tracking server said about one person; ``more``: there are more runs than were looked at."""

    state: State
    experiment: str = ""
    runs: Sequence[Run] = ()
    more: bool = False


@dataclass(frozen=True)
class Row:
    """A line of the table. ``value`` is of the latest run, ``best`` of all that were looked at."""

    name: str
    called: str
    state: State
    status: str = ""
    started: datetime | None = None
    value: float | None = None
    best: float | None = None
    count: int = 0
    more: bool = False
    url: str = ""


@dataclass(frozen=True)
class Table:
    """The whole page's content; ``metric`` is None where nobody has logged one."""

    rows: Sequence[Row]
    metric: str | None
    better: Better | None

    def count(self, *states: State) -> int:
        """How many people are in one of ``states``."""
        return sum(row.state in states for row in self.rows)

    @property
    def away(self) -> bool:
        """Whether nobody's runs could be asked for."""
        return bool(self.count("away")) and self.count("away", "never") == len(self.rows)

    @property
    def waiting(self) -> list[Row]:
        """Who has not started."""
        return [row for row in self.rows if row.state in ("none", "baseline", "never")]


def lessons(found: Mapping[str, Iterable[Experiment]]) -> list[Lesson]:
    """The lessons that a class's people have, those that most have first.

    Args:
        found: each person's experiments.
    """
    people: Counter[str] = Counter()
    begun: dict[str, int] = {}
    for person, experiments in found.items():
        for one in experiments:
            if one.name != person:
                people[one.name] += 1
                begun[one.name] = min(begun.get(one.name, one.made), one.made)
    rows = [Lesson(name, number, begun[name]) for name, number in people.items()]
    return sorted(rows, key=lambda row: (row.name == MLFLOWS_OWN, -row.people, row.name))


def usual(offered: Iterable[Lesson]) -> str:
    """The lesson that is shown where none is asked for: of those that two people or more have, the one
    begun last; else everybody's own experiment."""
    shared = [one for one in offered if one.people > 1 and one.name != MLFLOWS_OWN]
    return max(shared, key=lambda one: (one.begun, one.name)).name if shared else OWN


def experiment_of(person: str, lesson: str, experiments: Iterable[Experiment]) -> Experiment | None:
    """That of ``person`` for ``lesson``."""
    wanted = lesson if lesson != OWN else person
    return next((one for one in experiments if one.name == wanted), None)


def table(members: Iterable[Member], found: Mapping[str, Found], pages: str) -> Table:
    """Everybody who learns in the class, in the order of ``members``.

    Args:
        members: the class's people; its mentors are left out.
        found: what was found, by user name.
        pages: the browser's address of MLflow, with a slash at its end.
    """
    learners = [member for member in members if member.role != "mentor"]
    own = {member.person.name: _own(found[member.person.name]) for member in learners}
    metric = common(
        run.main(base) for _, base, runs in own.values() for run in runs[:1] if run.metrics
    )
    ways: list[Better | None] = []
    if metric is not None:
        ways = [run.better(metric, base) for _, base, runs in own.values() for run in runs[:1]]
    way = common(ways)
    better: Better | None = None if way is None else "lower" if way == "lower" else "higher"
    rows = []
    for member in learners:
        one, _, runs = own[member.person.name]
        row = Row(
            name=member.person.name,
            called=member.person.display_name or member.person.name,
            state=one.state,
            url=address(pages, workspace_of(member.person.name), one.experiment)
            if one.experiment
            else "",
        )
        rows.append(_filled(row, one, runs, metric, better, pages) if runs else row)
    return Table(rows, metric, better)


def common(names: Iterable[str | None]) -> str | None:
    """The name that comes most often; of several the first by the alphabet."""
    counted = Counter(name for name in names if name is not None)
    return min(counted, key=lambda name: (-counted[name], name), default=None)


def _own(found: Found) -> tuple[Found, Run | None, list[Run]]:
    """What was found, its newest baseline, and the other runs: those that the person made."""
    base = next((run for run in found.runs if run.is_baseline), None)
    runs = [run for run in found.runs if not run.is_baseline]
    if found.state == "runs" and not runs:
        found = replace(found, state="none" if base is None else "baseline")
    return found, base, runs


def _filled(
    row: Row,
    found: Found,
    runs: Sequence[Run],
    metric: str | None,
    better: Better | None,
    pages: str,
) -> Row:
    latest = runs[0]
    values = [v for run in runs if (v := run.value(metric)) is not None and math.isfinite(v)]
    best = None
    if values and better is not None:
        best = min(values) if better == "lower" else max(values)
    return replace(
        row,
        status=latest.status,
        started=None
        if latest.started is None
        else datetime.fromtimestamp(latest.started / 1000, UTC),
        value=latest.value(metric),
        best=best,
        count=len(runs),
        more=found.more,
        url=address(pages, workspace_of(row.name), found.experiment, latest.id),
    )


def ordered(rows: Sequence[Row], by: Sort, downwards: bool) -> list[Row]:
    """``rows`` by one of their columns; those without anything there come last, in either direction."""
    if by == "name":
        return sorted(rows, key=lambda row: (row.called, row.name), reverse=downwards)
    there: list[Row] = []
    rest: list[Row] = []
    for row in rows:
        value = getattr(row, by)
        missing = not row.count or value in (None, "") or value != value  # NaN is not itself
        (rest if missing else there).append(row)
    there.sort(key=lambda row: getattr(row, by), reverse=downwards)
    return there + rest


def first_way(by: Sort, better: Better | None) -> bool:
    """Whether a column that is chosen begins with its largest: the best, the newest, the most come first."""
    if by in ("value", "best"):
        return better != "lower"
    return by in ("started", "count")


def figure(value: float | None) -> str:
    """A value with four digits that count; empty for none."""
    if value is None:
        return ""
    return f"{value:.4g}" if math.isfinite(value) else "NaN"


def known_lesson(asked: str | None, offered: Collection[Lesson]) -> str:
    """The lesson that is shown: the one asked for, also where nobody has it (yet)."""
    return usual(offered) if asked is None else asked
