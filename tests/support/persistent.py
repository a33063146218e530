"""People who go on: they press start until it works, save their work until it is acknowledged, and stop."""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import requests

from support.deployment import wait_for
from support.people import Person
from support.warm_stack import CHOICE

PATIENCE = 240.0
"""Seconds that any step may take, whatever is killed meanwhile."""


@dataclass
class Persistent:
    """``person``, what was acknowledged to them (name of a file to its bytes), and what they were told."""

    person: Person
    kept: dict[str, bytes] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    last: str = ""

    @property
    def name(self) -> str:
        return self.person.name

    def start(self) -> None:
        self._until(self._running, "start")

    def save(self, name: str, content: bytes) -> None:
        """Write a file, and see that the one before it is as it was left."""
        self._until(lambda: self._saved(name, content), "save")
        self.kept[name] = content

    def stop(self) -> None:
        self._until(self._stopped, "stop")

    def _until(self, step: object, what: str) -> None:
        def tried() -> bool:
            try:
                assert callable(step)
                return bool(step())
            except (requests.RequestException, json.JSONDecodeError) as error:
                self._hear(f"{type(error).__name__}")
                return False

        try:
            wait_for(tried, what, PATIENCE)
        except AssertionError as error:
            raise AssertionError(f"{self.name}: {error}; last: {self.last}") from None

    def _hear(self, what: str) -> None:
        self.last = what
        self.told[what[:100]] += 1

    def _server(self) -> dict[str, object] | None:
        """What the Hub says of the server; None where it says nothing."""
        reply = self.person.api("GET", f"/users/{self.name}")
        if reply.status_code != 200:
            self._hear(f"model: {reply.status_code}")
            # for this a page is opened anew: the Hub may have taken its person for a stranger
            self.person.session.get(f"{self.person.url}/hub/home", timeout=60)
            return None
        found: dict[str, object] = reply.json()["servers"].get("", {})
        return found

    def _running(self) -> bool:
        server = self._server()
        if server is None or server.get("pending"):
            return False
        if server.get("ready"):
            return True
        reply = self.person.api("POST", f"/users/{self.name}/server", json=CHOICE)
        if reply.status_code not in (201, 202):
            self._hear(f"start: {reply.status_code} {_message(reply)}")
        # 201 as well may be a start that has failed
        return False

    def _saved(self, name: str, content: bytes) -> bool:
        if not self._running():
            return False
        # the first visit makes the server's own session cookie by OAuth
        page = self.person.session.get(f"{self.person.url}/user/{self.name}/lab", timeout=60)
        if page.status_code != 200:
            self._hear(f"page: {page.status_code}")
            return False
        reply = self.person.server("GET", "/contents/?content=1")
        if reply.status_code != 200:
            self._hear(f"contents: {reply.status_code}")
            return False
        here = {str(entry["name"]) for entry in reply.json()["content"]}
        assert self.kept.keys() <= here, f"{self.name} misses {sorted(self.kept.keys() - here)}"
        if self.kept:
            before, expected = next(reversed(self.kept.items()))
            reply = self.person.server("GET", f"/contents/{before}?format=base64")
            if reply.status_code != 200:
                self._hear(f"file: {reply.status_code}")
                return False
            assert base64.b64decode(reply.json()["content"]) == expected, before
        body = {"type": "file", "format": "base64", "content": base64.b64encode(content).decode()}
        reply = self.person.server("PUT", f"/contents/{name}", json=body)
        if reply.status_code not in (200, 201):
            self._hear(f"save: {reply.status_code}")
        return reply.status_code in (200, 201)

    def _stopped(self) -> bool:
        server = self._server()
        if server is None or server.get("pending"):
            return False
        if not server:
            return True
        reply = self.person.api("DELETE", f"/users/{self.name}/server")
        if reply.status_code not in (202, 204):
            self._hear(f"stop: {reply.status_code} {_message(reply)}")
        return False

    def lost(self, home: Path) -> list[str]:
        """What was acknowledged and is not in ``home``, and what of others is there."""
        wrong = [
            name
            for name, content in self.kept.items()
            if not (home / name).is_file() or (home / name).read_bytes() != content
        ]
        others = [
            path.name for path in home.glob("*.bin") if not path.name.startswith(f"{self.name}-")
        ]
        return [f"{self.name}: {name}" for name in wrong + others]


def _message(reply: requests.Response) -> str:
    try:
        return str(reply.json().get("message"))
    except (ValueError, AttributeError):
        return reply.text[:80]
