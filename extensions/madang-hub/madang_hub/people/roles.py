"""What the directory's word about a person means at the Hub: groups and roles.

Rules only. A team's people are the Hub group of its name (``class:2026-a``); its mentors are a group of
their own (``mentor:class:2026-a``), so that what a mentor may do to the first reaches no fellow mentor.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from madang_hub.people.directory import Membership, Person

TEAM = re.compile(r"(class|team):([a-z0-9][a-z0-9-]{0,58})")
"""A whole name of a team. Others (from a provider, say) give nothing: they have no Hub group."""

MENTORS = "mentor:"
"""Start of the name of a group of mentors; the team's name follows."""


@dataclass(frozen=True)
class Rights:
    """What one person is at the Hub; ``groups`` are the Hub's, ``mentor_of`` names teams."""

    groups: tuple[str, ...] = ()
    mentor_of: tuple[str, ...] = ()
    admin: bool = False


def rights(
    person: Person,
    memberships: Iterable[Membership],
    today: date,
    admins: Collection[str] = (),
) -> Rights | None:
    """The rights of ``person`` on ``today``, or None when there is no access (any more).

    - Only memberships of this person count, whatever else stands in the list.
    - Who is mentor of a team by any source is its mentor alone.
    - An admin is who is marked so, or named by the operator (``admins``).
    """
    if not person.active(today):
        return None
    own = [m for m in memberships if m.person == person.name and TEAM.fullmatch(m.team)]
    mentor_of = {m.team for m in own if m.role == "mentor"}
    learns_in = {m.team for m in own if m.role in ("trainee", "member")} - mentor_of
    return Rights(
        groups=(*sorted(learns_in), *sorted(MENTORS + team for team in mentor_of)),
        mentor_of=tuple(sorted(mentor_of)),
        admin=person.admin or person.name in admins,
    )


def mentored(memberships: Iterable[Membership]) -> list[str]:
    """The teams that have a mentor, by name."""
    return sorted({m.team for m in memberships if m.role == "mentor" and TEAM.fullmatch(m.team)})


def teams_of(groups: Iterable[str]) -> frozenset[str]:
    """The teams that Hub groups stand for: a mentor is of the team as well."""
    return frozenset(group.removeprefix(MENTORS) for group in groups)


def role_name(team: str) -> str:
    """The Hub role of the mentors of ``team``: ``mentor.class.2026-a``.

    A role's name must end in a letter or digit, which a team's need not: then ``~0`` follows, which
    no team's name contains.

    Raises:
        ValueError: ``team`` is no team's name.
    """
    found = TEAM.fullmatch(team)
    if found is None:
        raise ValueError(f"{team!r} is no name of a team")
    return f"mentor.{found[1]}.{found[2]}" + ("~0" if team.endswith("-") else "")


def outdated(
    groups: Mapping[str, Collection[str]], memberships: Iterable[Membership]
) -> dict[str, list[str]]:
    """Who stands in a Hub group (name to user names) although the directory does not say so.

    The Hub renews a person's groups when that person comes by. Who has been moved to another class and
    stays away would stay in the old class's group until then, and its mentor's rights with it.
    """
    said: dict[str, set[str]] = {}
    mentors = {(m.team, m.person) for m in memberships if m.role == "mentor"}
    for m in memberships:
        is_mentor = (m.team, m.person) in mentors
        said.setdefault(MENTORS + m.team if is_mentor else m.team, set()).add(m.person)
    found = {}
    for group, names in groups.items():
        ours = TEAM.fullmatch(group.removeprefix(MENTORS))
        if ours and (left := sorted(set(names) - said.get(group, set()))):
            found[group] = left
    return found
