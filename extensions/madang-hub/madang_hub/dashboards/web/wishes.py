"""What requests wish for; nothing in them is trusted. Rules only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from madang_hub.dashboards.audience import Audience
from madang_hub.dashboards.refusals import DashboardError
from madang_hub.people.sentences import Value
from madang_hub.web.i18n import N_

NOT_UNDERSTOOD = N_("The request is not understood.")
MOST = 500
"""People that one audience may name."""
QUERY = 2000
"""Characters of an address's query that are passed on to a notebook."""


class WishError(DashboardError):
    """What was asked for makes no sense; nothing was changed."""

    def __init__(self, message: str = NOT_UNDERSTOOD, **values: Value) -> None:
        super().__init__(message, **values)


def text_of(body: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A text of the body.

    Raises:
        WishError: it is missing and has no ``default``, or is no text.
    """
    found = body.get(name, default)
    if not isinstance(found, str) or len(found) > 100_000:
        raise WishError
    return found


def whole_of(body: Mapping[str, Any], name: str) -> int:
    """A whole number of the body, from 0.

    Raises:
        WishError: it is missing, or is none.
    """
    found = body.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < 2**31:
        raise WishError
    return found


def expected(found: Any) -> int | None:
    """The revision that a page showed (of a body or of a query); None where it says none.

    Raises:
        WishError: it is no number.
    """
    if found is None:
        return None
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) < 10:
        return int(found)
    return whole_of({"": found}, "")


def query_of(text: str) -> str:
    """An address's query as it is passed on to the notebook, without ``?``.

    Raises:
        WishError: it is too long, or is none.
    """
    if len(text) > QUERY or any(c in "#\\" or not c.isprintable() or c.isspace() for c in text):
        raise WishError(N_("The part of the address after the question mark cannot be used."))
    return text.removeprefix("?")


@dataclass(frozen=True)
class AudienceWish:
    """Whom a dashboard is to be for; links are added and taken back one by one."""

    people: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    everyone: bool = False

    def over(self, audience: Audience) -> Audience:
        """The audience with this in place of what it says now; its links stay."""
        return replace(audience, people=self.people, teams=self.teams, signed_in=self.everyone)


def audience_of(
    body: Any, present: Audience, own: Collection[str], known: Collection[str]
) -> AudienceWish:
    """The audience that a body asks for.

    Args:
        present: what is so now, which may stay whatever became of those it names.
        own: teams of who asks.
        known: names of all people.

    Raises:
        WishError: it is none, or names somebody or a team that it may not.
    """
    if not isinstance(body, dict) or body.keys() - {"people", "teams", "everyone", "links"}:
        raise WishError
    people, teams = _names(body, "people"), _names(body, "teams")
    everyone = body.get("everyone", False)
    if not isinstance(everyone, bool):
        raise WishError
    if len(people) > MOST:
        raise WishError(N_("An audience may name {most} people; use a team for more."), most=MOST)
    if strange := sorted(people - present.people - frozenset(known)):
        raise WishError(
            N_("There is nobody with the user name {person}. Check how it is written."),
            person=strange[0][:60],
        )
    if strange := sorted(teams - present.teams - frozenset(own)):
        raise WishError(
            N_("You are not in {team}. Choose a team of your own."), team=strange[0][:60]
        )
    return AudienceWish(people, teams, everyone)


def _names(body: Mapping[str, Any], name: str) -> frozenset[str]:
    found = body.get(name, [])
    if not isinstance(found, list) or not all(isinstance(n, str) for n in found):
        raise WishError
    return frozenset(n.strip() for n in found if n.strip())
