"""The broker of accelerators, asked for what this server's owner has and waits for.

Rules are :func:`overview` and the functions below it: what of an answer is handed to the browser. How full a
device is, the broker says, for any maker's; where it does not, the driver in this server does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from madang_lab import accelerator
from madang_lab.accelerator import Gpu
from madang_lab.service import FRESH, REFUSALS, AwayError, Service, number, rows, text

STATES = ("queued", "granted", "active", "ending", "ended")
OPEN = STATES[:-1]
WHY = (
    "left",
    "unclaimed",
    "released",
    "over",
    "ill",
    "vanished",
    "never-started",
    "admin",
    "idle",
)
"""Reasons why a lease ends that the page has words for."""
AFTER = ("stop", "cpu")
"""What becomes of a server whose lease is over."""
HEALTH = ("good", "ill")
MAX_LEASES = 50
MAX_DEVICES = 64
ABSENT = (403, 404)
"""There is no broker, or not for this server."""


class Lending(Service):
    """One person's view of the broker at ``url`` (ends without a slash).

    Args:
        lease: the id of the lease with which this server was started; "" without one, None: not known.

    Attributes:
        expected: whether something is known to be lent or asked for.
        offered: whether any accelerator is known that could be lent.
    """

    def __init__(self, url: str, token: str, lease: str | None = None) -> None:
        # a team whose month is used up is refused with 403 and a sentence
        super().__init__(url, token, "api/", overview, REFUSALS | {403})
        self._lease = lease
        self._page = urlsplit(url).path + "/"
        self.expected = bool(lease)
        self.offered = False
        self._was_there = False
        self._gpus: list[Gpu] = []
        self._looked = float("-inf")

    async def state(self) -> dict[str, Any] | None:
        """What the page shows; None where there is no broker, and nothing is to be shown.

        ``state`` is ``on``, or ``away`` while it does not answer; then ``expected`` says whether something is
        known to be lent or asked for, and the devices are the driver's word alone.
        """
        try:
            found = await self.latest()
        except AwayError as error:
            # who was there once is away
            if error.status in ABSENT and not self._was_there:
                return None
            shown = await self._driver() if self.expected else []
            return {
                "state": "away",
                "expected": self.expected,
                "devices": [{**asdict(one), "health": ""} for one in shown],
            }
        self._was_there = True
        self.offered = found["offered"]
        self.expected = any(one["state"] in OPEN for one in found["leases"])
        gpus = await self._driver() if _silent(found["leases"]) else []
        leases = [
            {
                **one,
                "here": None if self._lease is None else one["id"] == self._lease,
                "devices": with_driver(one["devices"], gpus),
            }
            for one in found["leases"]
        ]
        return {"state": "on", "page": self._page, **found, "leases": leases}

    async def step(
        self, identity: str, what: str, body: Mapping[str, object], language: str
    ) -> None:
        """``extend``, ``give-back``, ``take`` or ``leave`` the request ``identity``.

        Raises:
            AwayError, RefusedError: it stays as it was.
        """
        # after a refusal too: what was known before is no longer so
        self.forget()
        await self.ask("POST", f"api/requests/{identity}/{what}", body, language)
        self.forget()

    async def _driver(self) -> list[Gpu]:
        """This server's own GPUs as their driver sees them, at most :data:`FRESH` seconds ago."""
        if time.monotonic() - self._looked >= FRESH:
            self._looked = time.monotonic()
            self._gpus = accelerator.gpus(await accelerator.ask(accelerator.USES))
        return self._gpus


def overview(raw: object) -> dict[str, Any]:
    """``api/`` with the fields that pages use, each of its kind; the rest is left out.

    Raises:
        AwayError: it is no such answer.
    """
    if not isinstance(raw, dict):
        raise AwayError("GET api/: no object")
    leases = (lease(row) for row in rows(raw.get("requests"), MAX_LEASES))
    return {
        "now": text(raw.get("now")),
        "lending": raw.get("lending") is True,
        "longest": number(raw.get("longest")) or 0,
        "offered": bool(rows(raw.get("free"), 1)),
        "after": raw["after"] if raw.get("after") in AFTER else "",
        "leases": [one for one in leases if one is not None],
    }


def lease(raw: Mapping[str, Any]) -> dict[str, Any] | None:
    """One request of the answer; None if it is none."""
    identity, state = text(raw.get("id")), raw.get("state")
    if not identity or state not in STATES:
        return None
    times = ("asked", "take_until", "began", "ends", "ended", "soonest", "latest")
    return {
        "id": identity,
        "state": state,
        "team": text(raw.get("team")),
        "kind": text(raw.get("kind")),
        "model": text(raw.get("model")),
        "count": number(raw.get("count")) or 1,
        "seconds": number(raw.get("seconds")) or 0,
        "shared": number(raw.get("shared")) or 0,
        "returned": raw.get("returned") is True,
        "restarting": raw.get("restarting") is True,
        **{name: text(raw.get(name)) or None for name in (*times, "idle_since", "idle_until")},
        "place": number(raw.get("place")),
        "why": raw["why"] if raw.get("why") in WHY else None,
        "devices": devices(raw.get("slots"), raw.get("device")),
    }


def devices(slots: object, use: object) -> list[dict[str, Any]]:
    """What a lease holds (``slots``), each with how it is used now (``use``), by its id."""
    used = {text(row.get("id")): row for row in rows(use, MAX_DEVICES)}
    found = []
    for row in rows(slots, MAX_DEVICES):
        now = used.get(text(row.get("id")), {})
        found.append(
            {
                "id": text(row.get("id")),
                "model": text(row.get("model")),
                # 0: nobody says how much it has
                "memory": number(row.get("memory")) or None,
                "health": row["health"] if row.get("health") in HEALTH else "",
                "utilisation": number(now.get("utilisation"), 100),
                "used_memory": number(now.get("used_memory")),
            }
        )
    return found


def with_driver(found: Sequence[Mapping[str, Any]], gpus: Sequence[Gpu]) -> list[dict[str, Any]]:
    """The devices with what the driver in this server knows of them and the broker does not say."""
    known = {one.id: asdict(one) for one in gpus}
    return [
        {
            **device,
            **{
                name: value
                for name, value in known.get(device["id"], {}).items()
                if device[name] in (None, "")
            },
        }
        for device in found
    ]


def _silent(leases: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the broker leaves something unsaid of a device in use."""
    return any(
        None in (device["utilisation"], device["used_memory"])
        for one in leases
        if one["state"] == "active"
        for device in one["devices"]
    )
