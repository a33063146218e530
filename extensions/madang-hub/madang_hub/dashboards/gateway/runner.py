"""The runner of one app, as the gateway asks it for itself (``madang_dashboard.gate``)."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from madang_hub.dashboards.gateway import sealed
from madang_hub.dashboards.gateway.gateway import DeskVisit, Trouble
from madang_hub.dashboards.gateway.proxied import BASE_HEADER, KEY_HEADER, STATE_HEADER

PROOF_BYTES = 64
STRANGE = "something else answers at its address"
ASKING = aiohttp.ClientTimeout(total=10)


class RunnerAwayError(RuntimeError):
    """The runner does not answer, or not sensibly."""


class StrangerError(RunnerAwayError):
    """Something else answers where the runner was: it cannot prove that it has the key."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the runner said of itself. Moments are seconds since 1970, sizes bytes."""

    visits: Mapping[str, DeskVisit]
    seats: int
    memory_limit: int
    active: float
    errors: tuple[Trouble, ...]
    by_visit: Mapping[str, tuple[Trouble, ...]]
    log: tuple[str, ...]

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Seen:
        """Read the JSON of ``GET /state``.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        rows = [(row.get("visit"), _trouble(row)) for row in state["errors"]]
        names = {str(name) for name, _ in rows if name}
        return cls(
            {
                str(v["visit"]): DeskVisit(
                    float(v["opened"]), float(v["last_activity"]), int(v["memory"])
                )
                for v in state["visits"]
            },
            int(state["seats"]),
            int(state["memory_limit"] or 0),
            float(state["last_activity"]),
            tuple(trouble for _, trouble in rows),
            {name: tuple(t for n, t in rows if n == name) for name in names},
            tuple(str(line) for line in state.get("log", ())),
        )


def _trouble(row: Mapping[str, Any]) -> Trouble:
    cell, source = row.get("cell"), row.get("source")
    return Trouble(
        float(row["at"]),
        str(row["where"]),
        str(row["text"]),
        None if cell is None else int(cell),
        None if source is None else str(source),
    )


class Runner:
    """One app's runner.

    Args:
        session: without cookies; it may be shared.
        url: of the container's port, without a slash at its end.
        key: what it takes the gateway by.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self.session, self.url, self.key = session, url, key
        # the session leaves answers packed as they come
        self._headers = {KEY_HEADER: key, "Accept-Encoding": "identity"}

    async def proved(self) -> None:
        """Have it prove that it has the key; the key is not sent.

        Raises:
            StrangerError: it answers and cannot.
            RunnerAwayError: it does not answer.
        """
        nonce = sealed.new_nonce()
        try:
            async with self.session.get(
                f"{self.url}/state?nonce={nonce}", timeout=ASKING, allow_redirects=False
            ) as reply:
                # no more is read of it than a proof has
                said = await reply.content.readexactly(PROOF_BYTES)
        except (aiohttp.ClientResponseError, asyncio.IncompleteReadError) as error:
            raise StrangerError(STRANGE) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RunnerAwayError(type(error).__name__) from error
        if not hmac.compare_digest(said, sealed.proof(self.key, nonce).encode()):
            raise StrangerError(STRANGE)

    async def seen(self) -> Seen:
        """What it says of itself, after it has proved that it is the runner.

        Raises:
            StrangerError: it is not.
            RunnerAwayError: it says nothing, or no sense.
        """
        await self.proved()
        try:
            async with self.session.get(
                self.url + "/state", headers=self._headers, timeout=ASKING
            ) as reply:
                if reply.status != 200:
                    raise RunnerAwayError(f"the runner answered {reply.status}")
                return Seen.of(await reply.json())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RunnerAwayError(type(error).__name__) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunnerAwayError("the runner's state cannot be read") from error

    async def end(self, visit: str) -> None:
        """End a visit with its kernel; nothing happens where it has ended.

        Raises:
            StrangerError: it is not the runner.
            RunnerAwayError: no answer.
        """
        await self.proved()
        try:
            async with self.session.delete(
                f"{self.url}/visit/{visit}", headers=self._headers, timeout=ASKING
            ) as reply:
                if reply.status not in (204, 404):
                    raise RunnerAwayError(f"the runner answered {reply.status}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RunnerAwayError(type(error).__name__) from error

    async def page(self, visit: str, seconds: float) -> tuple[int, str]:
        """Read a visit's whole page, as a visitor's browser would; status, and the state that it tells.

        Raises:
            RunnerAwayError: it breaks off.
            TimeoutError: it takes longer than ``seconds``.
        """
        headers = {**self._headers, BASE_HEADER: f"/visit/{visit}/", "Accept-Language": "en"}
        limit = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self.session.get(
                f"{self.url}/visit/{visit}/", headers=headers, timeout=limit
            ) as reply:
                async for _ in reply.content.iter_chunked(65536):
                    # what it draws is for browsers; that it comes to its end is what counts
                    pass
                return reply.status, reply.headers.get(STATE_HEADER, "")
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise RunnerAwayError(type(error).__name__) from error
