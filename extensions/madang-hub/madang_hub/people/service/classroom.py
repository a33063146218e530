"""What a mentor sees of a class: rules that put directory, Hub and look-ins together, as JSON has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from madang_hub.catalog import Catalog
from madang_hub.people.directory import Membership, Person, TeamRole
from madang_hub.people.failures import Failure
from madang_hub.people.lookin import LookIn
from madang_hub.people.service.hub import HubUser, Server
from madang_hub.people.timetable import Meeting, Timetable
from madang_hub.web.i18n import translated
from madang_hub.web.pages import chosen

ONLINE = timedelta(minutes=6)
"""Who did something this lately is there; servers report their use every five minutes."""
SOON = timedelta(minutes=30)
"""A meeting that begins within this time is the one that a mentor starts servers for."""
FAILURE_SHOWN = timedelta(hours=12)
"""A failed start is shown beside a person for so long, unless the server runs."""


@dataclass(frozen=True)
class Member:
    """A person of a team; of several roles (by several sources) the one that counts."""

    person: Person
    role: TeamRole


def members(memberships: Iterable[Membership], people: Mapping[str, Person]) -> list[Member]:
    """One row per person: mentors last, then by the name that people call each other.

    Who is mentor by any source is one; who is a trainee by any source is no plain member.
    """
    roles: dict[str, set[TeamRole]] = {}
    for m in memberships:
        roles.setdefault(m.person, set()).add(m.role)
    found = []
    for name, all_roles in roles.items():
        role = next(r for r in ("mentor", "trainee", "member") if r in all_roles)
        found.append(Member(people.get(name, Person(name)), role))
    return sorted(found, key=lambda m: (m.role == "mentor", m.person.display_name or m.person.name))


def meeting_to_start(timetable: Timetable, now: datetime) -> Meeting | None:
    """The meeting that servers started now would be for."""
    going_on = timetable.meeting_at(now)
    if going_on is not None:
        return going_on
    following = timetable.next_meeting(now)
    return following if following is not None and following.begin - now <= SOON else None


def server_model(server: Server | None, catalog: Catalog, language: str) -> dict[str, Any] | None:
    """A server as the pages show it; None where none is there."""
    if server is None:
        return None
    choice = chosen(catalog, server.options)
    return {
        "ready": server.ready,
        "pending": server.pending,
        "started": server.started.isoformat() if server.started else None,
        "environment": choice.environment.title.for_language(language) if choice else "",
        "size": choice.size.title.for_language(language) if choice else "",
    }


def failure_model(failure: Failure, language: str) -> dict[str, Any]:
    """As a mentor sees it; the text for the log is the admin's alone."""
    return {
        "time": failure.time.isoformat(),
        "reason": failure.reason,
        "message": translated(failure.message, language),
    }


def person_model(
    member: Member,
    user: HubUser | None,
    look_in: LookIn | None,
    failure: Failure | None,
    viewer: str,
    catalog: Catalog,
    language: str,
    now: datetime,
) -> dict[str, Any]:
    """One row. ``progress`` holds what exists so far: signed in once, a server that runs, the last use."""
    seen = user.last_activity if user else None
    server = user.server if user else None
    running = server is not None and server.ready
    recent = failure is not None and now - failure.time <= FAILURE_SHOWN and not running
    return {
        "name": member.person.name,
        "display_name": member.person.display_name or member.person.name,
        "role": member.role,
        "signed_in": seen is not None,
        "online": seen is not None and now - seen <= ONLINE,
        "last_seen": seen.isoformat() if seen else None,
        "server": server_model(server, catalog, language),
        "look_in": None
        if look_in is None
        else {
            "id": look_in.id,
            "mentor": look_in.mentor,
            "mine": look_in.mentor == viewer,
            "until": look_in.until.isoformat(),
        },
        "failure": failure_model(failure, language) if recent and failure is not None else None,
    }


def newest_of_each(failures: Sequence[Failure]) -> dict[str, Failure]:
    """The newest failure of each person (``failures`` are ordered so)."""
    found: dict[str, Failure] = {}
    for failure in failures:
        found.setdefault(failure.person, failure)
    return found
