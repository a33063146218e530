"""What a provider says about itself, and what an ID token must say."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from madang_hub.people import id_tokens
from madang_hub.people.discovery import (
    PRESETS,
    DiscoveryError,
    read_endpoints,
    safe,
    well_known,
)

ISSUER = "https://id.example.org/realms/academy"
GOOD = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "end_session_endpoint": f"{ISSUER}/logout",
    "code_challenge_methods_supported": ["plain", "S256"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
}
NOW = 1_800_000_000.0


def test_a_good_description() -> None:
    found = read_endpoints(GOOD, ISSUER)
    assert found.token == f"{ISSUER}/token"
    assert found.end_session == f"{ISSUER}/logout"
    assert not found.basic_auth
    assert well_known(ISSUER + "/") == f"{ISSUER}/.well-known/openid-configuration"


def test_what_may_be_left_out() -> None:
    needed = {k: v for k, v in GOOD.items() if k in ("issuer",) or k.endswith("n_endpoint")}
    needed |= {
        "token_endpoint": GOOD["token_endpoint"],
        "userinfo_endpoint": GOOD["userinfo_endpoint"],
    }
    needed.pop("end_session_endpoint", None)
    found = read_endpoints(needed, ISSUER)
    assert found.end_session == ""
    assert found.basic_auth, "the default where nothing is said (Discovery 1.0, section 3)"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"issuer": ISSUER + "/"}, "set MADANG_OIDC_ISSUER to exactly that"),
        ({"issuer": None}, "calls itself None"),
        ({"token_endpoint": None}, "token_endpoint is None"),
        ({"token_endpoint": "http://id.example.org/token"}, "needs an https address"),
        ({"userinfo_endpoint": 7}, "userinfo_endpoint is 7"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "needs an https address"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE"),
    ],
)
def test_an_unusable_description_says_what_to_do(change: dict[str, Any], says: str) -> None:
    with pytest.raises(DiscoveryError) as wrong:
        read_endpoints({**GOOD, **change}, ISSUER)
    assert says in str(wrong.value)


@pytest.mark.parametrize("document", [None, [], "x", 7])
def test_no_description_at_all(document: object) -> None:
    with pytest.raises(DiscoveryError, match="no description"):
        read_endpoints(document, ISSUER)


def test_an_unsafe_place_to_sign_out_is_left_out() -> None:
    assert (
        read_endpoints({**GOOD, "end_session_endpoint": "http://x.org/"}, ISSUER).end_session == ""
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://x.org",
        "https://",
        "ftp://x.org",
        "//x.org",
        "",
        None,
        7,
        "http://127.0.0.1.x.org",
        "http://[",
    ],
)
def test_where_no_secret_goes(url: object) -> None:
    assert not safe(url)


def test_where_secrets_may_go() -> None:
    for url in ("https://x.org", "http://127.0.0.1:1", "http://localhost/x", "http://[::1]:8"):
        assert safe(url)


def test_the_presets_are_what_those_providers_need() -> None:
    assert PRESETS["google"].issuer == "https://accounts.google.com"
    assert PRESETS["google"].authorize["access_type"] == "offline"
    assert "read:org" in PRESETS["github"].scopes
    assert "openid" in PRESETS["oidc"].scopes


# ---- ID tokens --------------------------------------------------------------------------------

CHALLENGE = id_tokens.challenge("v" * 43)
CLAIMS = {
    "iss": ISSUER,
    "aud": "madang",
    "sub": "s-1",
    "exp": NOW + 60,
    "nonce": id_tokens.nonce(CHALLENGE),
}


def token(claims: object) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{middle}.sig"


def check(**change: Any) -> None:
    claims = id_tokens.payload(token({**CLAIMS, **change}))
    id_tokens.check(
        claims,
        issuer=ISSUER,
        client_id="madang",
        now=NOW,
        expected_nonce=id_tokens.nonce(CHALLENGE),
    )


def test_a_good_token() -> None:
    check()
    check(aud=["madang", "x"], azp="madang")
    check(exp=NOW - 60)  # clocks differ


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"iss": "https://evil.example.org"}, "another provider's"),
        ({"iss": None}, "another provider's"),
        ({"aud": "other"}, "for another client"),
        ({"aud": ["other"]}, "for another client"),
        ({"aud": None}, "for another client"),
        ({"aud": ["madang", "other"]}, "given to another client"),
        ({"azp": "other"}, "given to another client"),
        ({"exp": NOW - 600}, "expired"),
        ({"exp": None}, "when it ends"),
        ({"exp": True}, "when it ends"),
        ({"nonce": id_tokens.nonce("of another browser")}, "another sign-in"),
        ({"nonce": None}, "another sign-in"),
    ],
)
def test_a_token_for_something_else_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(id_tokens.IdTokenError, match=says):
        check(**change)


@pytest.mark.parametrize("odd", [None, 7, "", "a.b", "a.b.c.d", "a.!!.c", token([1]), "ㄱ.ㄴ.ㄷ"])
def test_no_token_at_all(odd: object) -> None:
    with pytest.raises(id_tokens.IdTokenError):
        id_tokens.payload(odd)


def test_pkce_as_in_the_standard() -> None:
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert id_tokens.challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
