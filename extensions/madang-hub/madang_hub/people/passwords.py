"""Rules for passwords: how they are stored, which are good enough, when guessing is stopped.

Pure, apart from the randomness of salts and one-time passwords.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

# scrypt, RFC 7914: 64 MiB and about 0.2 s a password, half of what OWASP's password storage cheat sheet names
# (n=2**16, p=2), so that 360 people of an academy sign in within a minute on two cores
_N, _R, _P = 2**16, 8, 1
_MAXMEM = 2 * 128 * _N * _R

MIN_LENGTH = 10
MAX_LENGTH = 200

FREE_TRIES = 5
"""Wrong passwords in a row before a wait begins."""
FIRST_WAIT = 30.0
"""Seconds of the first wait; each further wrong password doubles it."""
LONGEST_WAIT = 900.0

ADDRESS_TRIES = 100
"""Wrong passwords from one address, for any names, before a wait begins. A class of 40 behind one address
that signs in for the first time, two typing errors each, stays below."""
ADDRESS_SECONDS = 10.0
"""Seconds after which one of these is forgotten."""


def digest(password: str) -> str:
    """``password`` as it may be stored: ``scrypt$n$r$p$salt$key`` with base64 salt and key."""
    salt = secrets.token_bytes(16)
    key = _key(password, salt, _N, _R, _P)
    return f"scrypt${_N}${_R}${_P}${b64encode(salt).decode()}${b64encode(key).decode()}"


def matches(password: str, stored: str) -> bool:
    """Whether ``password`` is the one that ``stored`` was made from (compared in constant time)."""
    kind, n, r, p, salt, key = stored.split("$")
    if kind != "scrypt":
        raise ValueError("unknown kind of stored password")
    made = _key(password, b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(made, b64decode(key))


def _key(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=n,
        r=r,
        p=p,
        maxmem=_MAXMEM,
        dklen=32,
    )


@cache
def nobody() -> str:
    """Compared with when the name is unknown, so that the answer takes as long as for a known one."""
    return digest(secrets.token_hex(16))


def one_time() -> str:
    """A password for one sign-in: 60 bits in four groups that can be read out over a telephone."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(3))


def weakness(password: str, name: str) -> str | None:
    """Why ``password`` is not good enough for ``name`` (a msgid of the catalogues), or None.

    Length counts, not mixtures of character classes (NIST SP 800-63B §5.1.1.2).
    """
    if len(password) < MIN_LENGTH:
        return "The new password is too short: use at least 10 characters, for example three words."
    if len(password) > MAX_LENGTH:
        return "The new password is too long: use at most 200 characters."
    if name and name.casefold() in password.casefold():
        return "The new password must not contain your user name."
    if len(set(password)) < 5:
        return "The new password repeats too few characters: mix more of them."
    return None


@dataclass(frozen=True)
class Guesses:
    """Wrong passwords in a row for one name, and when the last one came (seconds)."""

    wrong: int = 0
    last: float = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next try is looked at; 0 when it may come now."""
        if self.wrong < FREE_TRIES:
            return 0.0
        pause = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self.wrong - FREE_TRIES, 20))
        return max(0.0, self.last + pause - now)

    def failed(self, now: float) -> Guesses:
        return Guesses(self.wrong + 1, now)


@dataclass(frozen=True)
class Spray:
    """Wrong passwords from one address: how many are not forgotten at ``last`` (seconds).

    The guard against trying one likely password on many names, which :class:`Guesses` does not see.
    """

    level: float = 0.0
    last: float = 0.0

    def _level(self, now: float) -> float:
        return max(0.0, self.level - max(0.0, now - self.last) / ADDRESS_SECONDS)

    def wait(self, now: float) -> float:
        """Seconds until a try from this address is looked at; 0 when it may come now."""
        return max(0.0, (self._level(now) - (ADDRESS_TRIES - 1)) * ADDRESS_SECONDS)

    def failed(self, now: float) -> Spray:
        return Spray(self._level(now) + 1, now)


def sender(forwarded: str, peer: str, trusted: Collection[IPv4Network | IPv6Network] = ()) -> str:
    """Whom to count a try for: the visitor's address, of IPv6 the /64 that one line has.

    ``forwarded`` is the header ``X-Forwarded-For``. Its last address was added by our own proxy and is
    true; the ones before it are somebody's word, believed only when the next one is ``trusted`` (a reverse
    proxy of the operator's). Without the header it is the ``peer`` of the connection.
    """
    believed = peer
    for word in reversed(forwarded.split(",") if forwarded.strip() else []):
        try:
            address = ip_address(word.strip())
        except ValueError:
            break
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        believed = str(address)
        if not any(address in network for network in trusted):
            break
    try:
        found = ip_address(believed)
    except ValueError:
        return believed
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is None:
            return str(IPv6Network((found, 64), strict=False))
        found = found.ipv4_mapped
    return str(found)
