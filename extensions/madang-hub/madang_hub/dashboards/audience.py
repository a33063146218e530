"""Who may see a dashboard. Rules only; moments are whole seconds since 1970 (UTC).

A dashboard is seen by its author, by the people and the teams that its audience names, by everybody who is
signed in if it says so, and by whoever comes with one of its links. Whoever one of these lets in is let in;
nobody else is, and for them there is no such dashboard.

A mentor sees what the own teams see, like everybody in them. An admin sees what is published, in the browser
and by a scope of its own (``custom:dashboards:admin``), as on the tracking server; the Hub's mark "admin"
gives nothing.

A link's token is never kept, only its hash: who reads the database cannot use it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from madang_hub.dashboards.refusals import MoveError
from madang_hub.dashboards.texts import plain
from madang_hub.web.i18n import N_

DAY = 86400
TOKEN_BYTES = 32
"""Bytes of a link's token, drawn at random: nobody guesses it, so a plain hash of it is enough."""
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
"""How they are written (``secrets.token_urlsafe``)."""


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """What an operator allows with links; ``days``: the longest life, 0: no links at all."""

    days: int = 90
    most: int = 20


@dataclass(frozen=True, slots=True)
class Link:
    """A link that lets in whoever has it, until ``ends``; ``revoked``: since when not any more (0: it was
    not)."""

    hash: str
    by: str
    made: int
    ends: int
    label: str = ""
    revoked: int = 0

    def open(self, now: int) -> bool:
        """Whether it lets anybody in."""
        return not self.revoked and self.made <= now < self.ends


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a dashboard is for beside its author; with nothing in it, for nobody."""

    people: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    signed_in: bool = False
    links: tuple[Link, ...] = ()

    def private(self, now: int) -> bool:
        """Whether it lets in nobody but the author."""
        shared = self.people or self.teams or self.signed_in
        return not shared and not any(link.open(now) for link in self.links)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who comes.

    Attributes:
        name: the account's; empty: nobody is signed in, and nothing below but ``link`` counts.
        teams: in which the person is, or which the person mentors.
        admin: whether the sign-in of the browser brought the scope ``custom:dashboards:admin``.
        link: :func:`fingerprint` of the token of the link that was followed; empty: none was.
    """

    name: str = ""
    teams: frozenset[str] = frozenset()
    admin: bool = False
    link: str = ""


class Shown(Protocol):
    """What must be known about a dashboard."""

    @property
    def owner(self) -> str: ...
    @property
    def audience(self) -> Audience: ...
    @property
    def published(self) -> bool: ...


Seen = TypeVar("Seen")


def may_see(dashboard: Shown, visitor: Visitor, now: int) -> bool:
    """Whether ``visitor`` may open the dashboard, and is told that there is one."""
    if not dashboard.published:
        return False
    audience = dashboard.audience
    # asked first and in any case, so that the time that it takes says nothing about the rest
    linked = follows(audience, visitor.link, now) is not None
    if visitor.name:
        named = visitor.name == dashboard.owner or visitor.name in audience.people
        if named or audience.signed_in or visitor.admin or audience.teams & visitor.teams:
            return True
    return linked


def follows(audience: Audience, link: str, now: int) -> Link | None:
    """The open link that has this fingerprint. How long it takes does not tell which one, or how much was
    right."""
    found = None
    for one in audience.links:
        if hmac.compare_digest(one.hash.encode(), link.encode()) and one.open(now):
            found = one
    # who follows no link follows none that has no token either
    return found if link else None


def fingerprint(token: str) -> str:
    """What is kept of a link's token; "" of none."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest() if token else ""


def over(dashboard: Shown, visits: Iterable[tuple[Seen, Visitor]], now: int) -> list[Seen]:
    """The open visits that must end now: whoever may not come in (any more) may not stay either.

    ``visits`` are given with who is there, as people are now (a person may have left a team).
    """
    return [visit for visit, visitor in visits if not may_see(dashboard, visitor, now)]


def next_end(audience: Audience, now: int) -> int | None:
    """The first moment after ``now`` at which the clock alone makes an audience smaller; None: never."""
    return min((link.ends for link in audience.links if link.open(now)), default=None)


def add_link(
    audience: Audience, hashed: str, by: str, label: str, days: int, now: int, policy: LinkPolicy
) -> Audience:
    """One link more, for ``days``; ``hashed`` is the fingerprint of its token.

    Raises:
        MoveError: the operator does not allow it.
    """
    if not policy.days:
        raise MoveError(N_("Links for people without an account are switched off here."))
    if not 1 <= days <= policy.days:
        raise MoveError(
            N_("A link is good for 1 to {most} days; choose a number between them."),
            most=policy.days,
        )
    kept = [link for link in audience.links if link.open(now)]
    if len(kept) >= policy.most:
        raise MoveError(
            N_("There are {most} open links already. Take one back first."), most=policy.most
        )
    if not hashed or any(link.hash == hashed for link in audience.links):
        raise ValueError("a link needs a token of its own")
    link = Link(hashed, by, now, now + days * DAY, plain(label, "")[:80])
    return replace(audience, links=(*audience.links, link))


def revoke(audience: Audience, hashed: str, now: int) -> Audience:
    """Take a link back. Once more is no error.

    Raises:
        MoveError: there is none.
    """
    if all(link.hash != hashed for link in audience.links):
        raise MoveError(N_("There is no such link (any more). Load the page again."))
    links = tuple(
        replace(link, revoked=now) if link.hash == hashed and not link.revoked else link
        for link in audience.links
    )
    return replace(audience, links=links)
