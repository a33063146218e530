"""Whether people can sign in with their institution: ``make doctor`` asks the provider what the Hub asks it.

:func:`judge` is the rule, :func:`ask` the question, by the Hub's own HTTP client: like the Hub it uses no proxy
of the environment. In server mode the Hub trusts the certificates of its image, which may be others than this
machine's.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from tornado.httpclient import HTTPClient

from madang_hub.deploy.findings import Finding
from madang_hub.people import discovery
from madang_hub.people.id_tokens import LEEWAY
from madang_hub.places import Places, sign_in_secret
from madang_hub.settings import Settings, SettingsError

SECONDS = 10.0
MAX_ANSWER = 2**20
"""Bytes."""
_SIGN_IN = "docs/howto/sign-in.md"
_CERTIFICATES = (
    "Put the institution's own certificate authority on this machine: see "
    "docs/howto/mirrors-and-certificates.md"
)

Trouble = Literal["", "certificate", "connection"]


@dataclass(frozen=True)
class Heard:
    """What came back. ``trouble``: why there was no answer, ``detail`` in words.

    ``date``: the provider's clock when it answered, None where it does not say.
    """

    status: int = 0
    body: bytes = b""
    date: datetime | None = None
    trouble: Trouble = ""
    detail: str = ""


def check(places: Places) -> Finding:
    """The finding about sign-in."""
    settings = places.settings
    if settings.sign_in == "local":
        return Finding("good", "people sign in with local accounts")
    try:
        sign_in_secret(places)
    except SettingsError as error:
        return Finding("bad", "the provider's secret for Madang is missing", str(error))
    except PermissionError:
        return Finding(
            "note",
            "whether people can sign in was not looked at: this account may not read "
            f"{places.secrets}; run it as the account that runs Madang",
        )
    return judge(settings, ask(address(settings)), datetime.now(UTC))


def address(settings: Settings) -> str:
    """What is asked: the provider's description of itself; GitHub has none, so its API."""
    if settings.sign_in == "github":
        own = settings.oidc_issuer.rstrip("/")
        return f"{own}/api/v3/meta" if own else "https://api.github.com/meta"
    return discovery.well_known(issuer(settings))


def issuer(settings: Settings) -> str:
    """The provider's name for itself, as set or by the preset."""
    kind = settings.sign_in
    return settings.oidc_issuer or ("" if kind == "local" else discovery.PRESETS[kind].issuer)


def ask(url: str) -> Heard:
    """Ask once; never raises for a provider that is away."""
    client = HTTPClient(max_body_size=MAX_ANSWER)
    try:
        reply = client.fetch(
            url,
            connect_timeout=SECONDS,
            request_timeout=SECONDS,
            follow_redirects=False,
            raise_error=False,
        )
    except ssl.SSLError as error:
        return Heard(trouble="certificate", detail=str(error))
    except (OSError, ValueError) as error:
        return Heard(trouble="connection", detail=str(error) or type(error).__name__)
    finally:
        client.close()
    # Tornado's own number for what was no answer
    if reply.code == 599:
        wrong = isinstance(reply.error, ssl.SSLError) or "SSL" in str(reply.error)
        return Heard(trouble="certificate" if wrong else "connection", detail=str(reply.error))
    return Heard(reply.code, reply.body or b"", _date(reply.headers.get("Date", "")))


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def judge(settings: Settings, heard: Heard, now: datetime) -> Finding:
    """What the answer ``heard`` from :func:`address` at ``now`` means."""
    where = address(settings)
    if heard.trouble == "certificate":
        return Finding(
            "bad",
            f"the provider's certificate at {where} is not trusted ({heard.detail})",
            _CERTIFICATES,
        )
    if heard.trouble:
        return Finding(
            "bad",
            f"the provider does not answer at {where} ({heard.detail}): nobody new can sign in",
            "See whether it is up and whether this machine may reach it (name, firewall); the first admin "
            f"can sign in meanwhile ({_SIGN_IN})",
        )
    if heard.status >= 500:
        return Finding(
            "bad",
            f"the provider has an error of its own (status {heard.status} at {where})",
            "Ask those who run it; the first admin can sign in meanwhile",
        )
    if settings.sign_in == "github":
        # 403 and 429: it is there, and this machine has asked too often
        if heard.status not in (200, 403, 429):
            return Finding(
                "bad",
                f"there is no GitHub at {where} (status {heard.status})",
                "Set MADANG_OIDC_ISSUER to the address of your GitHub Enterprise server, or remove it",
            )
    elif problem := _description(settings, heard, where):
        return problem
    if (behind := _skew(heard.date, now)) is not None:
        return behind
    return Finding(
        "good",
        f"people sign in with {settings.sign_in_name or issuer(settings)}, which answers; Madang is its "
        f"client {settings.oidc_client_id!r}",
    )


def _description(settings: Settings, heard: Heard, where: str) -> Finding | None:
    """What is wrong with an OpenID Connect provider's description of itself."""
    if heard.status != 200:
        return Finding(
            "bad",
            f"there is no description of a provider at {where} (status {heard.status})",
            "Set MADANG_OIDC_ISSUER to what the provider calls its issuer",
        )
    try:
        document: Any = json.loads(heard.body)
    except ValueError:
        document = None
    try:
        discovery.read_endpoints(document, issuer(settings))
    except discovery.DiscoveryError as error:
        return Finding(
            "bad",
            f"nobody can sign in: {error}",
            f"Mend that in madang.env or at the provider ({_SIGN_IN})",
        )
    return None


def _skew(theirs: datetime | None, now: datetime) -> Finding | None:
    """Whether the clocks differ by so much that good tokens look expired."""
    if theirs is None:
        return None
    seconds = (now - theirs).total_seconds()
    if abs(seconds) <= LEEWAY:
        return None
    return Finding(
        "bad",
        f"this machine's clock is {abs(seconds) / 60:.0f} minutes "
        f"{'ahead of' if seconds > 0 else 'behind'} the provider's: sign-ins are refused as expired",
        "Set this machine's clock and keep it right: timedatectl set-ntp true",
    )
