"""What must hold for an ID token that came from the token endpoint.

Rules only; OpenID Connect Core 1.0, section 3.1.3.7. The signature is not looked at: the token comes straight
from the provider over TLS, for which the section says (6.) that the connection vouches for it. It is never
taken from a browser.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any

LEEWAY = 120.0
"""Seconds that two clocks may differ."""


class IdTokenError(ValueError):
    """The token is not for this sign-in; the message is for the log and holds no secret."""


def payload(token: object) -> dict[str, Any]:
    """The claims inside ``token`` (these lines instead of a library for signatures).

    Raises:
        IdTokenError: it is no token.
    """
    try:
        if not isinstance(token, str):
            raise ValueError("no text")
        _, middle, _ = token.split(".")
        found = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise IdTokenError("the provider gave no ID token that can be read") from error
    if not isinstance(found, dict):
        raise IdTokenError("the provider's ID token holds no claims")
    return found


def nonce(code_challenge: str) -> str:
    """The nonce of a sign-in, from its PKCE challenge.

    The verifier behind the challenge is random and lies in a signed cookie of one browser, so the nonce
    binds the ID token to that browser, and nothing more has to be kept.
    """
    return _text(hashlib.sha256(b"nonce:" + code_challenge.encode()).digest())


def challenge(code_verifier: str) -> str:
    """PKCE's S256 (RFC 7636, section 4.2)."""
    return _text(hashlib.sha256(code_verifier.encode()).digest())


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def check(
    claims: dict[str, Any],
    *,
    issuer: str,
    client_id: str,
    now: float,
    expected_nonce: str | None,
) -> None:
    """Raise unless the token is by ``issuer``, for ``client_id``, in time, and of this sign-in.

    ``now``: seconds since the epoch. ``expected_nonce`` is None for a token that came with a refresh, which
    need not have one.

    Raises:
        IdTokenError: it is not.
    """
    if claims.get("iss") != issuer:
        raise IdTokenError("the ID token is another provider's")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences:
        raise IdTokenError("the ID token is for another client")
    if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") != client_id:
        raise IdTokenError("the ID token was given to another client")
    expires = claims.get("exp")
    if isinstance(expires, bool) or not isinstance(expires, (int, float)):
        raise IdTokenError("the ID token does not say when it ends")
    if expires + LEEWAY < now:
        raise IdTokenError("the ID token has expired")
    if expected_nonce is not None and claims.get("nonce") != expected_nonce:
        raise IdTokenError("the ID token is of another sign-in (nonce)")
