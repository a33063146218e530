"""What holds accelerators where servers are containers: the engine's labels, by way of the engine gateway.

The engine is the truth about what holds a device; the Hub only adds which start is under way. It is asked
for that *before* the containers are listed: who was not starting anything then, and comes later, is given no
devices of a lease that had ended before.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp

from madang_hub.accelerators.broker.engine import HOLDING
from madang_hub.accelerators.leases import Lease, State
from madang_hub.accelerators.reconcile import Container
from madang_hub.homes import name_of
from madang_hub.people.service.hub import Hub, HubAwayError, HubUser
from madang_hub.user_container import LEASE_LABEL, PERSON_LABEL, SLOTS_LABEL, persons_prefix
from madang_hub.warm.names import WARM_LABEL
from madang_hub.warm.names import prefix as waiting_prefix

API = "/v1.41"
"""Of the engine; old enough for every engine that Madang runs on."""
SECONDS = 20.0
PATIENCE = 10
"""Seconds that a container gets to end by itself."""
STARTING = "start of "
"""What the id of a container begins with that is not there yet, and may come; no engine gives such ids."""


class EngineAwayError(HubAwayError):
    """The engine does not answer, or not sensibly: there is no complete listing."""


@dataclass(frozen=True)
class Found:
    """A container with accelerators, as the engine lists it. ``created`` in seconds since 1970.

    ``ahead``: it was made before anybody started it, and its labels name neither person nor lease.
    """

    id: str
    person: str
    lease: str
    slots: tuple[str, ...]
    created: int
    over: bool
    ahead: bool = False


def found_from(row: Mapping[str, Any], instance: str) -> Found | None:
    """A row of the engine's listing; None for a container that waits for somebody: it is nobody's use.

    Raises:
        EngineAwayError: it is none.
    """
    labels = row.get("Labels")
    identity, state, created = row.get("Id"), row.get("State"), row.get("Created")
    if not (
        isinstance(labels, Mapping)
        and isinstance(identity, str)
        and isinstance(state, str)
        and isinstance(created, int)
    ):
        raise EngineAwayError("the engine's listing cannot be read")
    person, ahead = str(labels.get(PERSON_LABEL, "")), WARM_LABEL in labels
    if ahead:
        names = [str(name).removeprefix("/") for name in row.get("Names") or ()]
        if any(name.startswith(waiting_prefix(instance)) for name in names):
            return None
        start = persons_prefix(instance)
        theirs = [name.removeprefix(start) for name in names if name.startswith(start)]
        person = name_of(theirs[0]) if theirs else ""
    return Found(
        id=identity,
        person=person,
        lease=str(labels.get(LEASE_LABEL, "")),
        slots=tuple(str(labels.get(SLOTS_LABEL, "")).split()),
        created=created,
        # one that was made and not started yet is about to hold its devices
        over=state in ("exited", "dead"),
        ahead=ahead,
    )


KEPT = frozenset({State.GRANTED, State.TAKING})
"""States of a lease that a start may take at any moment."""


def lease_of(
    found: Found, leases: Iterable[Lease], states: Collection[State] = HOLDING
) -> Lease | None:
    """The lease of a container that was made ahead: its person's in these ``states``, if it has its slots."""
    theirs = (x for x in leases if x.state in states and x.request.person == found.person)
    return next((x for x in theirs if set(found.slots) <= set(x.slots)), None)


def ended_at(inspected: Mapping[str, Any]) -> int:
    """When a container ended, in seconds since 1970; 0: it runs (again).

    Raises:
        EngineAwayError: the engine does not say.
    """
    state = inspected.get("State")
    if not isinstance(state, Mapping):
        raise EngineAwayError("the engine's answer about a container cannot be read")
    if state.get("Running"):
        return 0
    try:
        # nanoseconds are more than Python reads
        text = str(state["FinishedAt"]).removesuffix("Z").partition(".")[0]
        return max(1, int(datetime.fromisoformat(text + "+00:00").timestamp()))
    except (KeyError, ValueError) as error:
        raise EngineAwayError("the engine does not say when a container ended") from error


def is_servers(found: Found, user: HubUser | None) -> bool:
    """Whether the container is that of the server that the Hub knows now, so that the Hub is to end it.

    One that was made before that server's start was left behind by an earlier one, unless it was made ahead:
    its name is that of this server alone.
    """
    server = user.server if user is not None else None
    if server is None:
        return False
    if found.ahead:
        return True
    return server.started is None or found.created >= int(server.started.timestamp())


class EngineContainers:
    """The containers with accelerators of ``instance``; ``gateway`` is the filtered engine's socket."""

    def __init__(self, hub: Hub, gateway: Path, instance: str) -> None:
        self._hub, self._instance = hub, instance
        self._gateway = gateway
        self._session: aiohttp.ClientSession | None = None
        self._known: dict[str, Found] = {}

    async def list(self, leases: Iterable[Lease]) -> list[Container]:
        """See :class:`.engine.Engine`. A start under way for a lease that is over counts as a container."""
        leases = list(leases)
        starting = [await self._starting(x) for x in leases if x.state is State.ENDING]
        label = json.dumps({"label": [SLOTS_LABEL]})
        rows = await self._ask("GET", "/containers/json", {"all": "true", "filters": label})
        if not isinstance(rows, list):
            raise EngineAwayError("the engine's listing cannot be read")
        every = [found for row in rows if (found := found_from(row, self._instance))]
        known = {found.id: found for one in every if (found := await self._settled(one, leases))}
        containers = [await self._container(found) for found in known.values()]
        self._known = known
        there = {found.lease for found in known.values() if not found.over}
        containers += [one for one in starting if one is not None and one.lease not in there]
        return [one for one in containers if one is not None]

    async def _starting(self, lease: Lease) -> Container | None:
        user = await self._hub.user(lease.request.person)
        if user is None or user.server is None or user.server.pending != "spawn":
            return None
        return Container(STARTING + user.name, lease.id, lease.slots)

    async def _settled(self, found: Found, leases: Collection[Lease]) -> Found | None:
        """The container with its lease; None for one whose start is not over.

        A claim may fail after the container has its person's name, and then a new one is made for the same
        lease: only what the start came to is its container.
        """
        if not found.ahead:
            return found
        if (lease := lease_of(found, leases)) is None:
            # leases were read before the containers, and it may have been taken since: the next round sees
            return None if lease_of(found, leases, KEPT) else found
        if lease.state is State.ACTIVE and not lease.container:
            user = await self._hub.user(found.person)
            if user is not None and user.server is not None and user.server.pending == "spawn":
                return None
            if await self._ask("GET", f"/containers/{found.id}/json") is None:
                return None
        return replace(found, lease=lease.id)

    async def _container(self, found: Found) -> Container | None:
        ended = 0
        if found.over:
            inspected = await self._ask("GET", f"/containers/{found.id}/json")
            if inspected is None:  # removed meanwhile
                return None
            ended = ended_at(inspected)
        return Container(found.id, found.lease, found.slots, ended)

    async def stop(self, container: Container) -> None:
        """By the Hub where it is the server that the Hub knows, by the gateway otherwise."""
        found = self._known.get(container.id)
        if found is None:  # a start: it becomes a container, or comes to nothing
            return
        user = await self._hub.user(found.person) if found.person else None
        if is_servers(found, user):
            if found.over:
                return  # the Hub looks how it ended, and removes it
            await self._hub.stop_if_there(found.person)
            return
        if not found.over:
            await self._ask("POST", f"/containers/{found.id}/stop", {"t": str(PATIENCE)})
        await self._ask("DELETE", f"/containers/{found.id}", {"force": "true", "v": "true"})

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(self, method: str, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The engine's JSON; None where it has no such container or nothing to say.

        Raises:
            EngineAwayError: no answer, or a refusal.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(self._gateway)),
                timeout=aiohttp.ClientTimeout(total=SECONDS + PATIENCE),
            )
        url = f"http://engine{API}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            async with self._session.request(method, url) as reply:
                status, text = reply.status, await reply.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise EngineAwayError(f"the engine: {error.__class__.__name__}") from error
        if status in (204, 304, 404):
            return None
        # 409: another removal of it is under way
        if status == 409 and method == "DELETE":
            return None
        if status >= 300:
            raise EngineAwayError(f"the engine answers {status} to {method} {path}")
        try:
            return json.loads(text)
        except ValueError as error:
            raise EngineAwayError("the engine's answer is no JSON") from error
