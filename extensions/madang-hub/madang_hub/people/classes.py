"""Timetables of classes in the Hub's database. The rules are in ``timetable.py``; first and last day
are the team's (``directory.py``)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, time
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from madang_hub.people.database import META, Database
from madang_hub.people.directory import Directory, Team
from madang_hub.people.timetable import Timetable, WeeklyTime

_times = sa.Table(
    "madang_class_times",
    META,
    sa.Column("team", sa.String(255), primary_key=True),
    sa.Column("weekday", sa.Integer, primary_key=True),
    # "09:00", a time of the zone
    sa.Column("begin", sa.String(5), primary_key=True),
    sa.Column("end", sa.String(5), nullable=False),
    sa.Column("environment", sa.String(64), nullable=False),
    sa.Column("size", sa.String(64), nullable=False),
)
_off = sa.Table(
    "madang_class_off",
    META,
    sa.Column("team", sa.String(255), primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
)


class Classes:
    """The timetables; ``zone`` is where the times of day are meant (setting ``timezone``)."""

    def __init__(self, database: Database, zone: ZoneInfo) -> None:
        self._database = database
        self.zone = zone

    def timetable(self, team: Team) -> Timetable:
        """The timetable of ``team``; without weekly times when none was set."""
        return self.timetables([team])[team.name]

    def timetables(self, teams: list[Team]) -> dict[str, Timetable]:
        """The timetables of ``teams`` by the team's name."""
        with self._database.transaction() as db:
            times = db.execute(sa.select(_times)).all()
            off = db.execute(sa.select(_off)).all()
        return {
            team.name: Timetable(
                self.zone,
                tuple(
                    WeeklyTime(
                        row.weekday,
                        time.fromisoformat(row.begin),
                        time.fromisoformat(row.end),
                        row.environment,
                        row.size,
                    )
                    for row in times
                    if row.team == team.name
                ),
                frozenset(row.day for row in off if row.team == team.name),
                team.starts,
                team.ends,
            )
            for team in teams
        }

    def lessons(
        self, teams: Collection[str], begin: datetime, end: datetime
    ) -> list[tuple[datetime, datetime]]:
        """When the classes named in ``teams`` meet between two moments, in order of the beginning.

        A stretch that began before or goes on after is there as a whole, as far as the day goes.
        """
        known = [team for team in Directory(self._database).teams() if team.name in teams]
        found = self.timetables(known).values()
        return sorted(span for timetable in found for span in timetable.spans(begin, end))

    def save(self, team: str, timetable: Timetable) -> None:
        """Weekly times and dates off of ``team`` are exactly those of ``timetable``."""
        with self._database.transaction() as db:
            db.execute(_times.delete().where(_times.c.team == team))
            db.execute(_off.delete().where(_off.c.team == team))
            for weekly in timetable.weekly:
                db.execute(
                    _times.insert().values(
                        team=team,
                        weekday=weekly.weekday,
                        begin=f"{weekly.begin:%H:%M}",
                        end=f"{weekly.end:%H:%M}",
                        environment=weekly.environment,
                        size=weekly.size,
                    )
                )
            for day in timetable.off:
                db.execute(_off.insert().values(team=team, day=day))
