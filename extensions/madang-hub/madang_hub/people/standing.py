"""What a provider's answers mean for somebody who is signed in.

Rules only; times are seconds since the epoch. A refused token alone does not say that somebody was removed:
tokens also end by themselves when they lie unused, or when the provider's own session ends. Only who was
known a short while ago, with tokens that should still work, has been removed now.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

LATELY = 1800.0
"""Seconds. A running server asks every five minutes, so who has one is always known lately."""

AT_MOST = 86400.0
"""Seconds that somebody goes on without an answer about them while the provider is away."""

EARLY = 30.0
"""Seconds before its end from which an access token is not tried any more."""

Standing = Literal["good", "gone", "stale", "away"]
"""``good``: the provider knows the person. ``gone``: it does not any more. ``stale``: it cannot be
asked with what we hold; the person must sign in again. ``away``: it does not answer."""


class ProviderAwayError(Exception):
    """The provider does not answer, or not with anything that can be understood."""


@dataclass(frozen=True)
class Reply:
    """An answer of the provider; ``body`` is its JSON, None if it has none."""

    status: int
    body: Any

    @property
    def table(self) -> dict[str, Any]:
        if not isinstance(self.body, dict):
            raise ProviderAwayError("the answer is no JSON object")
        return self.body


@dataclass(frozen=True)
class Asked:
    """What came of asking the provider about somebody; ``claims`` only where the standing is good."""

    standing: Standing
    claims: dict[str, Any] | None = None


def answered(status: int) -> Literal["yes", "no", "away"]:
    """The meaning of an HTTP status; 599 stands for no answer at all."""
    if 200 <= status < 300:
        return "yes"
    # too many questions, or too slow: says nothing about the person
    if 400 <= status < 500 and status not in (408, 425, 429):
        return "no"
    return "away"


def understood(place: str, status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """The answer that came from ``place``; a body that is no JSON counts as none.

    Raises:
        ProviderAwayError: the answer says nothing about the person, only about the provider.
    """
    # GitHub says with 403 that it was asked too often, and for how long
    asked_too_often = status == 403 and (
        headers.get("X-RateLimit-Remaining") == "0" or "Retry-After" in headers
    )
    if answered(status) == "away" or asked_too_often:
        raise ProviderAwayError(f"{place}: status {status}")
    try:
        return Reply(status, json.loads(body) if body else None)
    except ValueError:
        return Reply(status, None)


def refused_grant(status: int, body: Any) -> Literal["person", "client", "away"]:
    """Whom a refused request for a token is about: the person's grant, or Madang as a client.

    GitHub says so with status 200.
    """
    error = body.get("error") if isinstance(body, Mapping) else None
    if error in ("invalid_grant", "bad_verification_code", "bad_refresh_token"):
        return "person"
    return "client" if answered(status) != "away" else "away"


@dataclass(frozen=True)
class Held:
    """What we hold of a person's sign-in, as it stands in the Hub's encrypted ``auth_state``.

    ``checked``: when the provider last said yes. ``ends``: when the last token that can be used ends, as
    far as the provider says so. ``signed_out``: at both ends, so tokens may have ended with it.
    """

    checked: float = 0.0
    access_ends: float | None = None
    refresh_ends: float | None = None
    refresh_token: str | None = None
    signed_out: bool = False

    @property
    def ends(self) -> float | None:
        return self.refresh_ends if self.refresh_token else self.access_ends

    def access_is_over(self, now: float) -> bool:
        """Whether the access token need not be tried, as there is another way."""
        return (
            self.refresh_token is not None
            and self.access_ends is not None
            and now >= self.access_ends - EARLY
        )

    def meaning_of_no(self, now: float) -> Standing:
        """``gone`` if tokens that should work were refused a short while after they had worked."""
        if self.signed_out or (self.ends is not None and now >= self.ends):
            return "stale"
        return "gone" if 0 <= now - self.checked <= LATELY else "stale"

    def meaning_of_silence(self, now: float) -> Standing:
        """``away``, unless nobody has vouched for the person for too long."""
        return "away" if now - self.checked <= AT_MOST else "stale"


def held(state: Mapping[str, Any]) -> Held:
    """Read :class:`Held` from ``auth_state``; what is missing or odd counts as not known."""
    refresh_token = state.get("refresh_token")
    return Held(
        checked=_seconds(state.get("checked")) or 0.0,
        access_ends=_seconds(state.get("access_ends")),
        refresh_ends=_seconds(state.get("refresh_ends")),
        refresh_token=refresh_token if isinstance(refresh_token, str) and refresh_token else None,
        signed_out=state.get("signed_out") is True,
    )


def renewed(old: Mapping[str, Any], tokens: Mapping[str, Any], now: float) -> dict[str, Any]:
    """The ``auth_state`` with new ``tokens``: only what is used later (the Hub stores it encrypted)."""
    keep = ("id_token", "id_claims", "user_info_keys", "subject")
    return {key: old[key] for key in keep if key in old} | {
        "access_token": tokens["access_token"],
        "token_type": tokens.get("token_type") or "Bearer",
        "refresh_token": tokens.get("refresh_token") or old.get("refresh_token"),
        "access_ends": ends(now, tokens.get("expires_in")),
        "refresh_ends": ends(
            now, tokens.get("refresh_expires_in") or tokens.get("refresh_token_expires_in")
        ),
        "checked": old.get("checked", now),
        "signed_out": bool(old.get("signed_out")),
    }


def ends(now: float, lasts: Any) -> float | None:
    """When something ends that was given now and ``lasts`` so many seconds (None or 0: not said)."""
    seconds = _seconds(lasts)
    return now + seconds if seconds else None


def _seconds(value: Any) -> float | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < 1e12 else None
