"""What a decision about a server needs: its row, the operator's policy, everything around it. Rules only.

``idle.py`` decides, ``servers.py`` reads and writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from madang_hub.people import idle
from madang_hub.people.directory import Membership, Person
from madang_hub.people.idle import Circumstances, Kept, Limits, Role, Running, Why
from madang_hub.people.timetable import Timetable
from madang_hub.settings import Settings


class ServerKey(NamedTuple):
    """Whose server, and its name (empty: the default one)."""

    person: str
    server: str


@dataclass(frozen=True)
class Row:
    """A row of the table, made when somebody first looks at a server."""

    running: Running
    ends: datetime | None = None
    why: Why | None = None
    stopping: datetime | None = None
    kept: Kept = field(default_factory=Kept)

    def for_run(self, running: Running) -> Row:
        """This row if it is about that run, else an empty one for it.

        A busy report may have come before anybody looked at the run; it stays.
        """
        if self.running.started == running.started:
            return replace(self, running=running)
        kept = Kept()
        if self.kept.busy_at is not None and self.kept.busy_at >= running.started:
            kept = Kept(busy_at=self.kept.busy_at, busy_why=self.kept.busy_why)
        return Row(running, kept=kept)


@dataclass(frozen=True)
class Policy:
    """The operator's settings about the end of servers."""

    limits: Mapping[Role, Limits]
    zone: ZoneInfo
    admin: str

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        minutes = idle.by_role(settings.idle_minutes_by_role, settings.idle_minutes)
        hours = idle.by_role(settings.server_hours_by_role, settings.server_hours)
        warning = timedelta(minutes=settings.warning_minutes)
        limits = {
            role: Limits(
                idle=timedelta(minutes=minutes[role]) if minutes[role] else None,
                age=timedelta(hours=hours[role]) if hours[role] else None,
                warning=warning,
                extend=timedelta(minutes=settings.extend_minutes),
                presses=settings.extend_times,
                class_end=settings.class_end,
                ended=settings.ended_server,
                gap=warning * 2 / 5,
            )
            for role in idle.ROLES
        }
        return cls(limits, ZoneInfo(settings.timezone), settings.admin)

    @property
    def every(self) -> timedelta:
        """How often to look at servers, so that a warning comes about when it should."""
        tenth = next(iter(self.limits.values())).warning / 10
        return min(max(tenth, timedelta(seconds=1)), timedelta(minutes=1))


@dataclass(frozen=True)
class Round:
    """Everything that decisions need, as it was when the round began."""

    now: datetime
    policy: Policy
    rows: Mapping[ServerKey, Row]
    people: Mapping[str, Person]
    memberships: Mapping[str, Sequence[Membership]]
    timetables: Mapping[str, Timetable]

    def around(self, name: str, started: datetime) -> Circumstances:
        """What is around a server of ``name`` that began at ``started``."""
        person, memberships = self.people.get(name), self.memberships.get(name, ())
        roles: list[Role] = [m.role for m in memberships]
        if name == self.policy.admin or (person is not None and person.admin):
            roles.append("admin")
        limits = self.policy.limits[idle.highest(roles)]
        classes = {m.team for m in memberships if m.role != "mentor"} & self.timetables.keys()
        day = started.astimezone(self.policy.zone).date()
        meetings = [
            meeting
            for team in classes
            for days in (-1, 0, 1)
            for meeting in self.timetables[team].on(day + timedelta(days=days))
        ]
        ends, why = self._access_ends(person)
        return Circumstances(limits, idle.class_end(started, meetings), ends, why)

    def _access_ends(
        self, person: Person | None
    ) -> tuple[datetime | None, Literal["account", "provider"]]:
        if person is None or person.name == self.policy.admin:
            return None, "account"
        if person.ended is not None:
            return person.ended, "provider" if person.ended_why == "provider" else "account"
        if person.expires is not None:
            return idle.access_ends(person.expires, self.policy.zone), "account"
        return None, "account"

    def concerned(self) -> set[ServerKey]:
        """Servers for which a class or their person's access ends about now, whatever they do."""
        found = set()
        for key, row in self.rows.items():
            around = self.around(key.person, row.running.started)
            for deadline in idle.deadlines(row.running, row.kept, around, self.now):
                if deadline.why not in ("idle", "limit") and self.now >= deadline.says:
                    found.add(key)
        return found
