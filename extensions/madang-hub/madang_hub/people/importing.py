"""What of a roster only an admin may do. Rules only.

Importing makes accounts and decides who is in a class, and with that whose servers its mentors may start,
stop and enter. So a mentor may bring new people into the own classes and let people go, and no more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from madang_hub.people.directory import Membership
from madang_hub.people.roster_plan import Change, Plan
from madang_hub.people.sentences import Sentence
from madang_hub.web.i18n import N_


def only_for_admins(
    plan: Plan, mentor_of: Collection[str], memberships: Iterable[Membership]
) -> list[Sentence]:
    """What of ``plan`` a mentor of ``mentor_of`` may not do; empty where all of it is allowed.

    Args:
        memberships: all there are, as they are before the import.
    """
    if plan.team.name not in mentor_of:
        return [Sentence(N_("You are not mentor of {team}."), {"team": plan.team.name})]
    teams: dict[str, set[str]] = {}
    mentors = set()
    for m in memberships:
        teams.setdefault(m.person, set()).add(m.team)
        if m.team == plan.team.name and m.role == "mentor":
            mentors.add(m.person)
    found: list[Sentence] = []
    for change in plan.changes:
        theirs = teams.get(change.person, set())
        sentence = _refused(change, plan, theirs, mentors, mentor_of)
        # the same person may be named for several changes with the same ground
        if sentence is not None and sentence not in found:
            found.append(sentence)
    return found


def _refused(
    change: Change,
    plan: Plan,
    theirs: Collection[str],
    mentors: Collection[str],
    mentor_of: Collection[str],
) -> Sentence | None:
    name = {"name": change.person}
    own = bool(theirs) and set(theirs) <= set(mentor_of)
    match change.kind:
        case "unchanged" | "team":
            return None
        case _ if plan.roles.get(change.person) == "mentor" or change.person in mentors:
            return Sentence(N_("Only an admin decides who is mentor: {name}."), name)
        case "new" | "leaves":
            return None
        case "joins":
            if set(theirs) & set(mentor_of):
                return None
            return Sentence(
                N_("Only an admin can bring somebody of other classes into yours: {name}."), name
            )
        case "role" | "name" | "until" if own:
            return None
        case "returns":
            return Sentence(N_("Only an admin can give ended access back: {name}."), name)
        case _:
            return Sentence(
                N_("Only an admin can change this about somebody who has an account: {name}."), name
            )
