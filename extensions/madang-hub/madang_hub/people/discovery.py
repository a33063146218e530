"""What an OpenID Connect provider says about itself (``/.well-known/openid-configuration``), and presets.

Rules only; OpenID Connect Discovery 1.0.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

Kind = Literal["oidc", "google", "github"]


class DiscoveryError(ValueError):
    """The provider's description of itself cannot be used; the message says what to set or mend."""


@dataclass(frozen=True)
class Preset:
    """What a kind of provider needs when the operator says nothing else."""

    label: str = ""
    issuer: str = ""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    authorize: Mapping[str, str] = field(default_factory=dict)


PRESETS: Mapping[Kind, Preset] = {
    "oidc": Preset(),
    "google": Preset(
        "Google",
        "https://accounts.google.com",
        name_claim="email",
        # the organisation of a Google Workspace account; Google tells no groups at sign-in
        groups_claim="hd",
        # without these Google gives no refresh token, and an access token lasts an hour
        authorize={"access_type": "offline", "prompt": "consent"},
    ),
    "github": Preset(
        "GitHub",
        "https://github.com",
        # who it is, the verified address, and the teams
        scopes=("read:user", "user:email", "read:org"),
    ),
}


@dataclass(frozen=True)
class Endpoints:
    """Where the provider does what. ``end_session`` is "" where nobody can be signed out there."""

    authorize: str
    token: str
    user_info: str
    end_session: str = ""
    basic_auth: bool = False


def well_known(issuer: str) -> str:
    """The address of the description."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def safe(url: object) -> bool:
    """Whether secrets may be sent there: https, or this machine itself."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    if parts.scheme != "http" or not host:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_endpoints(document: Any, issuer: str) -> Endpoints:
    """The endpoints from the description of ``issuer``.

    Raises:
        DiscoveryError: it is somebody else's, an address is missing or unsafe, or PKCE is not possible.
    """
    if not isinstance(document, Mapping):
        raise DiscoveryError(
            f"{well_known(issuer)} is no description of an OpenID Connect provider"
        )
    if document.get("issuer") != issuer:
        raise DiscoveryError(
            f"the provider calls itself {document.get('issuer')!r}, not {issuer!r}: set "
            "MADANG_OIDC_ISSUER to exactly that"
        )
    for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint"):
        if not safe(document.get(name)):
            raise DiscoveryError(
                f"the provider's {name} is {document.get(name)!r}; Madang needs an https address there"
            )
    methods = document.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" not in methods:
        raise DiscoveryError(
            "the provider does not offer PKCE with S256; switch it on for Madang's client there"
        )
    end = document.get("end_session_endpoint")
    auth = document.get("token_endpoint_auth_methods_supported")
    return Endpoints(
        authorize=document["authorization_endpoint"],
        token=document["token_endpoint"],
        user_info=document["userinfo_endpoint"],
        end_session=end if isinstance(end, str) and safe(end) else "",
        # in the body where that is offered: in a header the secret must be encoded in a way of its own
        basic_auth="client_secret_post" not in auth if isinstance(auth, list) else True,
    )
