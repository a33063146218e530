"""The browser's cookies: who is signed in, and a sign-in that is under way.

Everything a cookie holds is encrypted and dated (Fernet), so nothing is kept in a worker's
memory: any worker can finish a sign-in that another began, and a restart signs nobody out.

The first key of the secret file encrypts, all of them decrypt: put a new line on top to change
the key, and take the old line away once `session_seconds` have passed.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

#: A sign-in that takes longer is begun again.
STATE_SECONDS = 600
#: Sign-ins under way in one browser (tabs); more are swept away.
MAX_STATES = 6


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in under way: the OAuth state, the PKCE verifier, and where to return to."""

    state: str
    verifier: str
    next: str


def keys(lines: list[str]) -> MultiFernet:
    """The cookie keys from the secret file's lines (at least one, each with enough entropy)."""
    return MultiFernet([Fernet(_derive(line)) for line in lines])


def _derive(secret: str) -> bytes:
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"madang-mlflow cookies v1")
    return base64.urlsafe_b64encode(kdf.derive(secret.encode()))


def read_cookies(headers: list[bytes]) -> dict[str, str]:
    """All cookies of a request; a header that cannot be parsed counts as empty."""
    found: dict[str, str] = {}
    for header in headers:
        for part in header.decode("latin-1").split(";"):
            name, sign, value = part.strip().partition("=")
            # the first wins: browsers send the most specific path first
            if sign and name not in found:
                found[name] = value.strip('"')
    return found


@dataclass(frozen=True, slots=True)
class Sessions:
    """Writes and reads the cookies.

    Attributes:
        fernet: the keys.
        name: the session cookie's name; a sign-in under way adds a suffix.
        path: the only path that the browser sends them to: the service's prefix.
        secure: send them over https only.
        seconds: how long a session lives without a new sign-in (which the Hub usually answers
            without asking the person).
    """

    fernet: MultiFernet
    name: str
    path: str
    secure: bool
    seconds: int

    def write_session(self, token: str) -> str:
        """The Set-Cookie value that signs a browser in with a Hub token."""
        return self._set(self.name, {"kind": "session", "token": token}, self.seconds)

    def read_session(self, cookies: Mapping[str, str]) -> str | None:
        """The Hub token of a signed-in browser; None if absent, too old or tampered with."""
        found = self._open(cookies.get(self.name, ""), "session", self.seconds)
        return found.get("token") if found else None

    def clear_session(self) -> str:
        """The Set-Cookie value that signs a browser out."""
        return self._header(self.name, "", 0)

    def begin(self, next_url: str, verifier: str) -> tuple[Pending, str]:
        """A new sign-in and the Set-Cookie value that remembers it."""
        pending = Pending(secrets.token_urlsafe(24), verifier, next_url)
        content = {"kind": "state", "s": pending.state, "v": verifier, "n": next_url}
        return pending, self._set(self._state_name(pending.state), content, STATE_SECONDS)

    def finish(self, cookies: Mapping[str, str], state: str) -> Pending | None:
        """The sign-in that a callback's `state` belongs to, if this browser began it."""
        found = self._open(cookies.get(self._state_name(state), ""), "state", STATE_SECONDS)
        if not found or not secrets.compare_digest(found["s"].encode(), state.encode()):
            return None
        return Pending(found["s"], found["v"], found["n"])

    def clear_state(self, state: str) -> str:
        """The Set-Cookie value that ends a sign-in."""
        return self._header(self._state_name(state), "", 0)

    def sweep(self, cookies: Mapping[str, str]) -> list[str]:
        """Set-Cookie values that end abandoned sign-ins, once there are too many of them."""
        names = [name for name in cookies if name.startswith(f"{self.name}-state-")]
        return [self._header(name, "", 0) for name in names] if len(names) >= MAX_STATES else []

    def _state_name(self, state: str) -> str:
        digest = hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()[:12]
        return f"{self.name}-state-{digest}"

    def _set(self, name: str, content: dict[str, str], seconds: int) -> str:
        value = self.fernet.encrypt(json.dumps(content).encode()).decode()
        return self._header(name, value, seconds)

    def _open(self, value: str, kind: str, seconds: int) -> dict[str, str] | None:
        if not value:
            return None
        try:
            content = json.loads(self.fernet.decrypt(value.encode(), ttl=seconds))
        except (InvalidToken, ValueError):
            return None
        return content if content.get("kind") == kind else None

    def _header(self, name: str, value: str, seconds: int) -> str:
        cookie: SimpleCookie = SimpleCookie()
        try:
            cookie[name] = value
        except CookieError:  # a foreign cookie's name: nothing of ours to clear
            return f"{self.name}-none=; Path={self.path}; Max-Age=0"
        cookie[name].update({"path": self.path, "max-age": str(seconds), "samesite": "Lax"})
        cookie[name]["httponly"] = True
        if self.secure:
            cookie[name]["secure"] = True
        return cookie[name].OutputString()
