"""The end of accounts and homes: what is due for whom on a day. Rules only.

An account lives as long as its person's classes and firms:

1. Someone in a team without a last day has no end; nor have admins and mentors.
2. Else the account works until the last day of the last class, and ``grace`` days more to fetch files.
3. The day after, access ends. It comes back by itself when the class is prolonged or the person is in a
   new roster.
4. A day later (so that a slip with a date can be mended) the home is archived and its folder removed, if no
   server of the person runs.
5. After ``keep`` days more the archive is removed.

Who left every team keeps the last day that was known. An account without a last day is not given one that
is over already: so an operator's ``madang user restore`` holds. A person whom the provider no longer knows
has the home archived ``grace`` days after. What an operator ended or archived by hand only an operator
undoes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal

from madang_hub.people.directory import Membership, Person, Team

EXPIRED = "expired"
"""``Person.ended_why`` of an account that ended with its last class."""
PROVIDER = "provider"
"""``Person.ended_why`` of somebody whom the institution's provider no longer lets in."""

Kind = Literal["works-until", "ends", "comes-back", "archive", "forget"]


@dataclass(frozen=True)
class Terms:
    """The operator's settings for it, in days.

    ``keep`` 0: archives stay. ``admin`` is the name of the setting ``admin``.
    """

    grace: int
    keep: int
    admin: str


@dataclass(frozen=True)
class Kept:
    """One archive of a home: ``why`` is what ended the account, or ``operator``."""

    person: str
    file: str
    made: datetime
    why: str


@dataclass(frozen=True)
class Step:
    """One thing that is due.

    ``works-until``: the account's last day is now ``day`` (None: no end). ``ends``: access ends.
    ``comes-back``: access that had expired begins again. ``archive``: the home goes to the archive.
    ``forget``: the archive ``file`` is removed.
    """

    kind: Kind
    person: str
    day: date | None = None
    file: str = ""


def works_until(
    person: Person, memberships: Collection[Membership], teams: Mapping[str, Team], terms: Terms
) -> date | None:
    """The last day of the account of ``person``, whose memberships (all of them) are given."""
    if person.admin or person.name == terms.admin:
        return None
    if not memberships:
        return person.expires
    if any(m.role == "mentor" for m in memberships):
        return None
    last: date | None = None
    for membership in memberships:
        team = teams.get(membership.team)
        if team is None or team.ends is None:
            return None
        last = team.ends if last is None else max(last, team.ends)
    assert last is not None  # noqa: S101  # there is at least one membership
    return last + timedelta(days=terms.grace)


def due(
    people: Iterable[Person],
    teams: Iterable[Team],
    memberships: Iterable[Membership],
    homes: Collection[str],
    archives: Sequence[Kept],
    busy: Collection[str],
    now: datetime,
    zone: tzinfo,
    terms: Terms,
) -> list[Step]:
    """Everything that is due at ``now``, in the order to do it.

    Carried out, the same question gives an empty list until a later day.

    Args:
        people: everybody ever known.
        teams: all of them.
        memberships: all of them.
        homes: names of people who have a home.
        archives: what is in the archive.
        busy: names of people whose server runs, or may be running; their homes are left alone.
        now: an aware time.
        zone: where days begin and end.
        terms: how long things stay.
    """
    today = now.astimezone(zone).date()
    by_name = {team.name: team for team in teams}
    of: dict[str, list[Membership]] = {}
    for membership in memberships:
        of.setdefault(membership.person, []).append(membership)
    steps: list[Step] = []
    closed: dict[str, tuple[date, str]] = {}
    for person in people:
        until = works_until(person, of.get(person.name, ()), by_name, terms)
        if until is not None and until < today and person.expires is None:
            until = None
        over = until is not None and until < today
        if until != person.expires:
            steps.append(Step("works-until", person.name, until))
        if person.ended is None and over:
            steps.append(Step("ends", person.name))
        elif person.ended is not None and person.ended_why == EXPIRED and not over:
            steps.append(Step("comes-back", person.name))
        elif person.ended is not None:
            closed[person.name] = (person.ended.astimezone(zone).date(), person.ended_why)
    for name, (day, why) in closed.items():
        wait = {EXPIRED: 1, PROVIDER: max(terms.grace, 1)}.get(why)
        if (
            wait is not None
            and name in homes
            and name not in busy
            and today >= day + timedelta(days=wait)
        ):
            steps.append(Step("archive", name))
    if terms.keep:
        for archive in archives:
            gone = archive.made.astimezone(zone).date() + timedelta(days=terms.keep)
            if archive.why in (EXPIRED, PROVIDER) and archive.person in closed and today > gone:
                steps.append(Step("forget", archive.person, file=archive.file))
    return steps
