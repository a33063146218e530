"""What `make doctor` says about an institution's provider."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.deployment import free_ports

from madang_hub.deploy import provider_check
from madang_hub.deploy.findings import report
from madang_hub.deploy.provider_check import Heard, address, ask, judge
from madang_hub.people.id_tokens import LEEWAY
from madang_hub.places import Places
from madang_hub.settings import Settings, SettingsError

ISSUER = "https://id.example.org/realms/academy"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
}
LOOPBACK = IPv4Address("127.0.0.1")
NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)


def settings(tmp_path: Path, kind: str = "oidc", **more: str) -> Settings:
    given = {"oidc_issuer": ISSUER} if kind == "oidc" else {}
    values = {"data": str(tmp_path), "sign_in": kind, "oidc_client_id": "madang", **given, **more}
    return Settings.load(tmp_path, {f"MADANG_{k.upper()}": v for k, v in values.items()})


def heard(document: Any = DOCUMENT, status: int = 200, **more: Any) -> Heard:
    return Heard(status, json.dumps(document).encode(), **more)


def test_a_good_provider_is_named(tmp_path: Path) -> None:
    found = judge(settings(tmp_path), heard(date=NOW - timedelta(seconds=5)), NOW)
    assert found.level == "good"
    assert ISSUER in found.what
    assert "'madang'" in found.what
    named = judge(settings(tmp_path, sign_in_name="한빛 아카데미"), heard(), NOW)
    assert "한빛 아카데미" in named.what


@pytest.mark.parametrize(
    ("answer", "says", "mend"),
    [
        (Heard(trouble="connection", detail="refused"), "does not answer at", "firewall"),
        (Heard(trouble="certificate", detail="self-signed"), "not trusted", "mirrors-and-cert"),
        (heard(status=404), "no description of a provider", "MADANG_OIDC_ISSUER"),
        (heard(status=302), "no description of a provider", "MADANG_OIDC_ISSUER"),
        (heard(status=503), "an error of its own (status 503", "those who run it"),
        (Heard(200, b"<html>"), "no description of an OpenID Connect provider", "madang.env"),
        (heard({**DOCUMENT, "issuer": ISSUER + "/"}), "set MADANG_OIDC_ISSUER to", "madang.env"),
        (
            heard({**DOCUMENT, "token_endpoint": "http://id.example.org/token"}),
            "needs an https address",
            "at the provider",
        ),
        (
            heard({**DOCUMENT, "code_challenge_methods_supported": ["plain"]}),
            "PKCE",
            "at the provider",
        ),
    ],
)
def test_what_is_wrong_and_the_way_out(tmp_path: Path, answer: Heard, says: str, mend: str) -> None:
    found = judge(settings(tmp_path), answer, NOW)
    assert found.level == "bad"
    assert says in found.what
    assert mend in found.mend
    assert "\n" not in found.what


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (LEEWAY, ""),
        (-LEEWAY, ""),
        (LEEWAY + 181, "5 minutes ahead of"),
        (-LEEWAY - 181, "5 minutes behind"),
    ],
)
def test_clocks(tmp_path: Path, seconds: float, says: str) -> None:
    found = judge(settings(tmp_path), heard(date=NOW - timedelta(seconds=seconds)), NOW)
    assert (found.level == "bad") == bool(says)
    assert says in found.what
    assert bool(found.mend) == bool(says)


def test_google_and_github(tmp_path: Path) -> None:
    google, github = settings(tmp_path, "google"), settings(tmp_path, "github")
    own = settings(tmp_path, "github", oidc_issuer="https://git.example.org/")
    assert address(google) == "https://accounts.google.com/.well-known/openid-configuration"
    assert address(github) == "https://api.github.com/meta"
    assert address(own) == "https://git.example.org/api/v3/meta"
    good = heard({**DOCUMENT, "issuer": "https://accounts.google.com"})
    assert judge(google, good, NOW).level == "good"
    assert judge(google, heard(), NOW).level == "bad", "somebody else's description"
    for status, level in ((200, "good"), (403, "good"), (429, "good"), (404, "bad"), (500, "bad")):
        assert judge(github, Heard(status), NOW).level == level


def test_local_accounts_ask_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(provider_check, "ask")
    places = Places(Settings.load(tmp_path, {"MADANG_DATA": str(tmp_path)}), "embedded")
    assert provider_check.check(places).level == "good"


def test_a_missing_secret_is_said_with_the_command(tmp_path: Path) -> None:
    found = provider_check.check(Places(settings(tmp_path), "embedded"))
    assert found.level == "bad"
    assert "install -D -m 600" in report([found])


def test_without_a_client_id_no_command_goes_on(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="oidc_client_id must be set") as wrong:
        settings(tmp_path, oidc_client_id="")
    assert "\n" not in str(wrong.value)
    assert len(str(wrong.value)) < 200, "one sentence, not all settings"


# ---- the question, against a real server ------------------------------------------------------


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/well")
            self.end_headers()
            return
        body = json.dumps(DOCUMENT).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Quiet(ThreadingHTTPServer):
    def handle_error(self, *args: object) -> None:
        """Clients that hang up are what is tested here."""


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The address of a server that answers, with ``tls`` if given."""
    server = Quiet((str(LOOPBACK), 0), Answers)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def url() -> Iterator[str]:
    with serving() as found:
        yield found


def test_the_answer_and_its_clock_are_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # the Hub uses none
    found = ask(f"{url}/well")
    assert (found.status, json.loads(found.body), found.trouble) == (200, DOCUMENT, "")
    assert found.date is not None
    assert abs((datetime.now(UTC) - found.date).total_seconds()) < 60
    assert ask(f"{url}/away").status == 302, "not followed"


def test_nobody_is_there() -> None:
    [port] = free_ports(1)
    gone = ask(f"http://127.0.0.1:{port}/")
    assert (gone.status, gone.trouble) == (0, "connection")
    assert gone.detail


def self_signed(folder: Path) -> Path:
    """A file with a key and a certificate for 127.0.0.1 that no authority vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    begin = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(LOOPBACK)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = folder / "both.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    with serving(context) as url:
        found = ask(f"{url}/well")
    assert found.trouble == "certificate", found.detail
    assert "certificate" in judge(settings(tmp_path), found, NOW).what
