"""Who is in a class, for its mentors: the Hub's answer, and how long it may be believed."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from madang_mlflow.identity import HubUnreachableError, Times

log = logging.getLogger("madang.tracking")


@dataclass(frozen=True, slots=True)
class _Answer:
    people: frozenset[str]
    at: float


class Classes:
    """The people of classes.

    An answer is good for `Times.fresh`; while the Hub cannot be reached, for `Times.stale`. After that
    a class has nobody whose runs could be read.
    """

    def __init__(
        self,
        ask: Callable[[str], Awaitable[frozenset[str]]],
        times: Times,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._times = times
        self._clock = clock
        self._known: dict[str, _Answer] = {}
        self._lock = asyncio.Lock()
        self._closed_until = float("-inf")

    async def people(self, classes: list[str]) -> dict[str, frozenset[str]]:
        """Who is in each class. Never raises."""
        return {name: await self._of(name) for name in classes}

    async def _of(self, name: str) -> frozenset[str]:
        if (known := self._within(name, self._times.fresh)) is not None:
            return known
        async with self._lock:
            if (known := self._within(name, self._times.fresh)) is not None:
                return known
            if self._clock() >= self._closed_until:
                try:
                    async with asyncio.timeout(self._times.timeout):
                        people = await self._ask(name)
                    self._known[name] = _Answer(people, self._clock())
                except (HubUnreachableError, TimeoutError) as error:
                    self._closed_until = self._clock() + self._times.breaker
                    log.warning("The Hub could not be asked about a class: %s", error)
                else:
                    return people
        return self._within(name, self._times.stale) or frozenset()

    def _within(self, name: str, seconds: float) -> frozenset[str] | None:
        answer = self._known.get(name)
        if answer is None or self._clock() - answer.at >= seconds:
            return None
        return answer.people
