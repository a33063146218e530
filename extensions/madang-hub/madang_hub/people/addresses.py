"""E-mail addresses as the directory keeps them, and whose an address is.

An address is kept in small letters: mail providers make no difference, and two people whose addresses
differ only in that cannot be told apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from madang_hub.people.directory import Person

MAX_LENGTH = 254  # RFC 5321 §4.5.3.1.3, without the angle brackets

_LOCAL = re.compile(r"[a-z0-9_][a-z0-9!#$%&'*+/=?^_`{|}~-]*(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LAST_LABEL = re.compile(r"[a-z]{2,63}|xn--[a-z0-9-]{1,59}")


def normal(address: str) -> str:
    """``address`` as it is kept and compared."""
    return address.strip().lower()


def usable(address: str) -> bool:
    """Whether ``address`` (as :func:`normal` gives it) can be kept.

    Stricter than RFC 5321: ASCII only, no quoted local part, no address literal, at least two labels, and
    it begins with a letter, a digit or ``_`` so that a spreadsheet never takes it for a formula.
    """
    local, at, domain = address.rpartition("@")
    labels = domain.split(".")
    return bool(
        at
        and len(address) <= MAX_LENGTH
        and len(local) <= 64
        and _LOCAL.fullmatch(local)
        and len(labels) > 1
        and all(_LABEL.fullmatch(label) for label in labels)
        and _LAST_LABEL.fullmatch(labels[-1])
    )


def owner(people: Iterable[Person], address: str, *, verified: bool) -> Person | None:
    """Who the roster means by ``address``: ties a person to an identity at the first sign-in.

    Args:
        people: the directory's.
        address: the ``email`` claim of an identity that is bound to nobody yet.
        verified: the provider's ``email_verified``. An address that the provider has not seen proved
            ties nobody, or a stranger could type another person's.

    Returns:
        The person, also one whose access has ended (the caller refuses those with a reason), or None. An
        admin is never found by address: an operator binds or makes that account by hand.
    """
    wanted = normal(address)
    # small letters of some other signs are ASCII (the Kelvin sign's is "k"): those are not the address
    if not verified or not address.isascii() or not usable(wanted):
        return None
    return next((p for p in people if p.email == wanted and not p.admin), None)
