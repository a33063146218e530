"""Accelerators in the tests of a whole Madang: stand-in CDI devices, and people who ask the broker."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from madang_hub.accelerators.broker.scopes import ACCESS
from support.deployment import wait_for
from support.people import Person

ENGINES_CDI = Path(os.environ.get("MADANG_ENGINE_DIR", "/var/lib/madang-engine")) / "cdi"
"""Folder of the specifications of the engine that ``scripts/engine`` runs."""


def specification(
    file: Path, kind: str, nodes: Mapping[str, Mapping[str, str]], variable: str = ""
) -> None:
    """A CDI specification of ``kind``: by device name its node in a container and that on the machine.

    The file comes at once, whole: engines watch the folder. ``variable``: by it a container is told the name.
    """
    devices = [
        {
            "name": name,
            "containerEdits": {
                "deviceNodes": [dict(node)],
                **({"env": [f"{variable}={name}"]} if variable else {}),
            },
        }
        for name, node in nodes.items()
    ]
    file.parent.mkdir(exist_ok=True)
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps({"cdiVersion": "0.5.0", "kind": kind, "devices": devices}))
    draft.rename(file)


def devices_in(person: Person) -> list[str]:
    """The devices of the running server beside those that every container has, as its programs see them."""
    said = person.run(
        "import os, stat\n"
        "usual = {'null', 'zero', 'full', 'random', 'urandom', 'tty', 'ptmx', 'console'}\n"
        "os.environ['CUDA_VISIBLE_DEVICES'] = '0,1,2,3'\n"
        "for entry in os.scandir('/dev'):\n"
        "    mode = entry.stat().st_mode\n"
        "    if (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) and entry.name not in usual: print(entry.path)"
    )
    return sorted(said.split())


class Borrower:
    """Somebody at the broker, with a token of their own."""

    def __init__(self, person: Person, *scopes: str) -> None:
        self.person = person
        body = {"note": "test", "scopes": [ACCESS, *scopes]}
        made = person.api("POST", f"/users/{person.name}/tokens", json=body)
        assert made.status_code == 201, made.text
        self.token = made.json()["token"]

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        return requests.request(
            method,
            f"{self.person.url}/services/accelerators/api/{path}",
            headers={"Authorization": f"token {self.token}", "Accept-Language": "en"},
            json=body,
            timeout=60,
        )

    def get(self, path: str = "") -> dict[str, Any]:
        reply = self.call("GET", path)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def ask(self, kind: str, **wish: Any) -> str:
        """Come into line; the request's id."""
        reply = self.call("POST", "requests", {"kind": kind, "minutes": 60, **wish})
        assert reply.status_code == 201, reply.text
        return str(reply.json()["id"])

    def step(self, identity: str, what: str) -> None:
        reply = self.call("POST", f"requests/{identity}/{what}")
        assert reply.status_code == 200, reply.text

    def becomes(self, identity: str, state: str, seconds: float = 60) -> dict[str, Any]:
        """The request, as soon as it is in ``state``."""
        found: dict[str, Any] = {}

        def there() -> bool:
            nonlocal found
            found = self.get(f"requests/{identity}")
            return bool(found["state"] == state)

        wait_for(there, f"the request to be {state}", seconds)
        return found

    def takes(self, kind: str) -> str:
        """Come into line and take what is granted; the lease's id."""
        lease = self.ask(kind)
        self.becomes(lease, "granted")
        self.step(lease, "take")
        return lease

    def wait_for_slots(self, kind: str, count: int) -> None:
        def known() -> bool:
            free = [entry for entry in self.get()["free"] if entry["kind"] == kind]
            return sum(int(entry["total"]) for entry in free) == count

        wait_for(known, f"{count} slots of {kind}")
