"""Who is looking at the service, and what that lets them see. Rules only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from madang_hub.people.directory import Membership, Person


@dataclass(frozen=True)
class Viewer:
    """Somebody signed in; ``mentor_of`` and ``teams`` are names of teams (``teams`` holds all of them)."""

    name: str
    admin: bool = False
    mentor_of: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    display_name: str = ""
    memberships: tuple[Membership, ...] = field(default=(), compare=False)

    @property
    def called(self) -> str:
        return self.display_name or self.name

    def leads(self, team: str) -> bool:
        """Whether this person may see ``team`` as its mentor, start and stop its servers, announce."""
        return self.admin or team in self.mentor_of


def viewer(
    name: str,
    person: Person | None,
    memberships: Iterable[Membership],
    first_admin: str,
    today: date,
) -> Viewer | None:
    """The viewer called ``name``, None where access has ended (the Hub notices it a little later).

    Args:
        person: the directory's row; None for an account that the directory does not know.
        memberships: what this person is in which team.
        first_admin: the setting ``admin``.
    """
    if person is not None and not person.active(today):
        return None
    mine = tuple(m for m in memberships if m.person == name)
    return Viewer(
        name=name,
        admin=name == first_admin or (person is not None and person.admin),
        mentor_of=frozenset(m.team for m in mine if m.role == "mentor"),
        teams=frozenset(m.team for m in mine),
        display_name=person.display_name if person else "",
        memberships=mine,
    )
