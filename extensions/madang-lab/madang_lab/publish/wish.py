"""What an author wants to publish: words, audience, size, and as what. Rules only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from madang_lab.publish.plan import Plan

TITLE, DESCRIPTION = 120, 2000
"""Characters at most; the service has the same bounds and the last word."""
NAMES = 200
"""People and teams of an audience at most."""
_NAME = 200


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a dashboard is for beside its author. Its links are made and taken back on its own page."""

    people: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    everyone: bool = False

    def as_json(self) -> dict[str, Any]:
        """As the service takes it."""
        return {"people": list(self.people), "teams": list(self.teams), "everyone": self.everyone}


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to become of a notebook.

    Attributes:
        slug: of the dashboard that gets a new version; "": a new dashboard.
        expect: the revision of that dashboard which the author has seen.
        team: whose mentors look after a new dashboard; "": nobody's.
        size: as the service's list names it.
        seen: :func:`digest` of the plan that the author has seen; "": whatever it is.
        despite: the author has looked at what may be a secret, and says that it is none.
    """

    title: str
    description: str = ""
    team: str = ""
    audience: Audience = field(default_factory=Audience)
    size: str = ""
    slug: str = ""
    expect: int | None = None
    seen: str = ""
    despite: bool = False


def wish_of(raw: object) -> Wish:
    """The wish of a request's body.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(raw, dict):
        raise ValueError("no object")
    audience = raw.get("audience")
    if not isinstance(audience, dict):
        raise ValueError("no audience")
    expect = raw.get("expect")
    if expect is not None and (isinstance(expect, bool) or not isinstance(expect, int)):
        raise ValueError("no revision")
    return Wish(
        title=_text(raw, "title", TITLE),
        description=_text(raw, "description", DESCRIPTION),
        team=_text(raw, "team", _NAME),
        audience=Audience(
            _names(audience.get("people")),
            _names(audience.get("teams")),
            audience.get("everyone") is True,
        ),
        size=_text(raw, "size", _NAME),
        slug=_text(raw, "slug", _NAME),
        expect=expect,
        seen=_text(raw, "seen", _NAME),
        despite=raw.get("despite") is True,
    )


def meanwhile(before: Audience, after: Audience) -> Audience:
    """Whom a dashboard is for while its new version is on its way: only those for whom it is before and after.

    Who is let in anew must not see the version before, which may hold what was taken out for them; who is
    shut out must not see the new one.
    """
    if before.everyone:
        return after
    if after.everyone:
        return before
    return Audience(_common(before.people, after.people), _common(before.teams, after.teams))


def same(one: Audience, other: Audience) -> bool:
    """Whether two audiences are the same, in whatever order."""
    return (
        set(one.people) == set(other.people)
        and set(one.teams) == set(other.teams)
        and one.everyone == other.everyone
    )


def digest(plan: Plan) -> str:
    """A word that changes with what the plan says: another file, another size, another warning."""
    said = repr((plan.notebook, plan.files, plan.left, plan.stops, plan.warnings))
    return sha256(said.encode("utf-8", "surrogateescape")).hexdigest()


def secrets_in(plan: Plan) -> int:
    """How many warnings are about what may be a secret."""
    return sum(note.kind == "secret" for note in plan.warnings)


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in one if name in other)


def _text(raw: Mapping[str, Any], name: str, most: int) -> str:
    found = raw.get(name, "")
    if not isinstance(found, str) or len(found) > most:
        raise ValueError(f"{name} is no text of {most} characters at most")
    return found.strip()


def _names(raw: object) -> tuple[str, ...]:
    if not isinstance(raw, list) or len(raw) > NAMES:
        raise ValueError(f"no list of {NAMES} names at most")
    if not all(isinstance(name, str) and 0 < len(name) <= _NAME for name in raw):
        raise ValueError("no names")
    return tuple(dict.fromkeys(raw))
