"""What an institution's provider says about somebody, as Madang understands it.

Rules only. A provider's word is a table of claims in which anything may be missing, of another type, far
too long or odd. What counts for ever is the identity (issuer and subject): it decides who somebody is. The
user name is only proposed by the provider, once, when the person is new.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, get_args

from madang_hub.people.accounts import unusable
from madang_hub.people.directory import Person, TeamRole
from madang_hub.people.roles import TEAM

LONGEST_NAME = 40
"""Characters of a proposed user name, so that a suffix still fits into 60."""

LONGEST_DISPLAY_NAME = 100
MOST_GROUPS = 2000
"""More values of the groups claim than this are not looked at."""

RESERVED = frozenset(
    ("admin", "administrator", "anonymous", "api", "everyone", "hub", "jupyterhub", "madang", "me")
) | frozenset(
    (
        "dashboards",
        "mlflow",
        "nobody",
        "operator",
        "root",
        "service",
        "services",
        "system",
        "user",
        "users",
    )
)
"""Names that nobody gets by a provider's wish: they would look like somebody in charge, or like a part."""

_STRENGTH: Mapping[TeamRole, int] = {"trainee": 0, "member": 1, "mentor": 2}


class ClaimError(ValueError):
    """The provider's word cannot be used at all; the message is for the log."""


class MappingError(ValueError):
    """The text of the setting ``oidc_teams`` is wrong; the message names the part and the right form."""


# ---- the mapping from values of the groups claim to teams -------------------------------------


@dataclass(frozen=True)
class Rule:
    """Who has ``value`` in the groups claim is ``role`` in ``team``; without a team: is an admin."""

    value: str
    team: str = ""
    role: TeamRole = "trainee"

    @property
    def admin(self) -> bool:
        return not self.team


def parse_teams(text: str) -> tuple[Rule, ...]:
    """Rules from ``VALUE=TEAM ROLE; VALUE=admin``.

    ``VALUE`` is a value of the groups claim, character for character. It may hold ``=`` (the last one
    counts) and spaces; a ``;`` in it is written twice.

    Raises:
        MappingError: names the part that is wrong.
    """
    rules: list[Rule] = []
    for part in re.split(r"(?<!;);(?!;)", text):
        part = part.replace(";;", ";").strip()
        if not part:
            continue
        value, equals, right = (piece.strip() for piece in part.rpartition("="))
        if not equals or not value:
            raise MappingError(
                f"{part!r}: write VALUE=TEAM ROLE, for example academy/2026-a=class:2026-a trainee, "
                "or VALUE=admin; parts are separated by ';'"
            )
        rules.append(_rule(part, _same(value), right))
    told: set[tuple[str, str]] = set()
    for rule in rules:
        if (rule.value, rule.team) in told:
            raise MappingError(
                f"{rule.value!r} is mapped to {rule.team or 'admin'} twice: leave one of the two"
            )
        told.add((rule.value, rule.team))
    return tuple(rules)


def _rule(part: str, value: str, right: str) -> Rule:
    if right == "admin":
        return Rule(value)
    team, _, role = right.partition(" ")
    role = role.strip()
    if not TEAM.fullmatch(team):
        raise MappingError(
            f"{part!r}: {team!r} is no team; write class:NAME or team:NAME with small letters, digits "
            "and '-', for example class:2026-a"
        )
    if role not in get_args(TeamRole):
        said = f"{role!r} is no role" if role else "the role is missing"
        raise MappingError(
            f"{part!r}: {said}; write {team} trainee, {team} member or {team} mentor"
        )
    return Rule(value, team, next(r for r in get_args(TeamRole) if r == role))


def _same(value: str) -> str:
    """One form of each text: a Mac writes Hangul in another way than the rest of the world."""
    return unicodedata.normalize("NFC", value)


# ---- reading claims -------------------------------------------------------------------------


@dataclass(frozen=True)
class Claimed:
    """What a provider says about a person, cleaned.

    ``email`` is there only if the provider has verified it. ``admin`` is None where the mapping speaks of
    no admin: then it is not the provider that decides.
    """

    issuer: str
    subject: str
    name: str
    display_name: str = ""
    email: str | None = None
    roles: Mapping[str, TeamRole] = field(default_factory=dict)
    admin: bool | None = None


@dataclass(frozen=True)
class Reading:
    """Where to look in the claims: the operator's settings."""

    issuer: str
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    rules: tuple[Rule, ...] = ()

    def read(self, claims: Mapping[str, Any]) -> Claimed:
        """What ``claims`` say.

        Raises:
            ClaimError: there is no subject that could be somebody's.
        """
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
            raise ClaimError("the provider's answer has no usable 'sub'")
        email = verified_email(claims)
        names = (value_at(claims, self.name_claim), claims.get("nickname"), email)
        held = groups(value_at(claims, self.groups_claim))
        granted = [rule for rule in self.rules if rule.value in held]
        speaks_of_admins = any(rule.admin for rule in self.rules)
        return Claimed(
            issuer=self.issuer,
            subject=subject,
            name=next(filter(None, map(proposal, names)), "person"),
            display_name=display_name(claims),
            email=email,
            roles=strongest(granted),
            admin=any(rule.admin for rule in granted) if speaks_of_admins else None,
        )


def value_at(claims: Mapping[str, Any], path: str) -> Any:
    """The claim called ``path``, or what a path with dots leads to (``realm_access.roles``), or None."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for step in path.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return None
        found = found[step]
    return found


def groups(value: Any) -> frozenset[str]:
    """The texts in a groups claim: a list of them, a single one, or the keys of a table.

    Whatever else is in there gives nothing.
    """
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, (list, tuple, Mapping)):
        return frozenset()
    texts = (item for item in list(value)[:MOST_GROUPS] if isinstance(item, str))
    return frozenset(_same(text).strip() for text in texts)


def strongest(rules: Iterable[Rule]) -> dict[str, TeamRole]:
    """Team to role; of two roles in one team the one with more rights."""
    found: dict[str, TeamRole] = {}
    for rule in rules:
        if rule.team and _STRENGTH[rule.role] >= _STRENGTH[found.get(rule.team, "trainee")]:
            found[rule.team] = rule.role
    return found


def verified_email(claims: Mapping[str, Any]) -> str | None:
    """The address in small letters, if the provider says that it has verified it."""
    email, verified = claims.get("email"), claims.get("email_verified")
    # some providers send the word instead of the truth value
    if not isinstance(email, str) or (verified is not True and verified != "true"):
        return None
    email = _same(email).strip().lower()
    if len(email) > 254 or not re.fullmatch(r"[^\s@]+@[^\s@]+", email) or not email.isprintable():
        return None
    return email


def display_name(claims: Mapping[str, Any]) -> str:
    """The name to show, without control characters, at most 100 characters; "" if there is none."""
    parts = [claims.get("name")]
    if not isinstance(parts[0], str) or not parts[0].strip():
        parts = [claims.get("given_name"), claims.get("family_name")]
    text = " ".join(part for part in parts if isinstance(part, str))
    shown = "".join(c if not unicodedata.category(c).startswith("C") else " " for c in _same(text))
    return " ".join(shown.split())[:LONGEST_DISPLAY_NAME].rstrip()


# ---- user names -----------------------------------------------------------------------------


def proposal(value: Any) -> str:
    """A usable name like ``value`` (an address gives its part before the ``@``), or "" if nothing is left.

    It holds only small letters and digits with single ``.``, ``_`` or ``-`` between them.
    """
    if not isinstance(value, str):
        return ""
    text = unicodedata.normalize("NFKC", value[:400]).strip().partition("@")[0].lower()
    text = re.sub(r"[^a-z0-9._-]+", "-", text)
    text = re.sub(r"[._-]{2,}", "-", text).strip("._-")
    return text[:LONGEST_NAME].rstrip("._-")


def free_name(wish: str, taken: Callable[[str], bool]) -> str:
    """``wish``, or ``wish-2`` and so on: the first that is neither reserved nor taken."""
    number, name = 1, wish
    while name in RESERVED or unusable(name) or taken(name):
        number += 1
        name = f"{wish[:LONGEST_NAME]}-{number}"
    return name


# ---- who it is ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decision:
    """Whom an identity belongs to.

    - ``known``: ``person``, bound to it before. ``reopen``: the provider had let go of this person,
      and lets it in again.
    - ``tied``: ``person``, put into the directory by a roster, with this verified address.
    - ``new``: nobody yet. ``email`` may be kept unless it is somebody else's.
    - ``refused``: ``person`` has no access any more.
    """

    kind: Literal["known", "tied", "new", "refused"]
    person: Person | None = None
    reopen: bool = False
    keep_email: bool = True


def decide(
    bound: Person | None,
    same_email: Person | None,
    email_is_bound: bool,
    guarded: Collection[str],
    today: date,
) -> Decision:
    """Who signs in, from what the directory knows.

    Args:
        bound: the person of this identity.
        same_email: the person with this verified address.
        email_is_bound: that person has an identity of this provider already, so the address has gone to
            somebody else since.
        guarded: names that no address opens (the operator's own).
        today: the day on which accounts must not have expired.
    """
    if bound is not None:
        if bound.ended is not None and bound.ended_why == "provider" and _in_time(bound, today):
            return Decision("known", bound, reopen=True)
        return Decision("known" if bound.active(today) else "refused", bound)
    if same_email is None:
        return Decision("new")
    # rights over others are never won by an address
    if email_is_bound or same_email.admin or same_email.name in guarded:
        return Decision("new", keep_email=False)
    return Decision("tied" if same_email.active(today) else "refused", same_email)


def _in_time(person: Person, today: date) -> bool:
    return person.expires is None or today <= person.expires


def admitted(
    admit: Literal["mapped", "everyone"], claimed: Claimed, other_teams: int, is_admin: bool
) -> bool:
    """Whether somebody whom the provider knows may enter.

    ``mapped``: who is in a team, by the provider's groups or by another source (``other_teams``: how many
    teams those give), or is an admin.
    """
    return admit == "everyone" or bool(claimed.roles) or other_teams > 0 or is_admin
