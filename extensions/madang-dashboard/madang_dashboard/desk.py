"""Joins the rules to the handlers: the visits of this container, their kernels, what the author reads."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from madang_dashboard import process
from madang_dashboard.errors import Troubles, Where
from madang_dashboard.framework import Framework
from madang_dashboard.limits import Flow
from madang_dashboard.messages import Conversation
from madang_dashboard.seats import seats
from madang_dashboard.visits import Patience, State, Visit, Visits, Why

log = logging.getLogger("madang_dashboard")

_SAID: dict[Why, str] = {
    Why.DIED: "The kernel ended by itself; where memory ran out, the largest kernel ends.",
    Why.FLOOD: "The visitor's page sent or asked for more than a visit may.",
}


@dataclass
class Line:
    """What all sockets of one visit share."""

    talk: Conversation
    flow: Flow
    taken: int = 0
    """Sockets that are there or are about to be."""
    closers: dict[int, Callable[[Why], None]] = field(default_factory=dict)
    """How to close each socket, by its number."""


class Desk:
    """The visits of this container and what is known of them.

    Args:
        framework: what makes pages.
        patience: how long visits are kept.
        most: never more visits than this.
        log: the last lines of the log, for the author.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        framework: Framework,
        patience: Patience,
        most: int,
        log: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.framework = framework
        self.visits = Visits(patience)
        self.troubles = Troubles()
        self.clock = clock
        self.prepared = 0
        """Kernels that are kept ready; each takes a seat."""
        self._most = most
        self._log = log
        self._lines: dict[str, Line] = {}
        self._sizes: dict[str, int] = {}
        self._active = time.time()

    # ---- the life of a visit -------------------------------------------------------------

    @property
    def largest(self) -> int:
        """Bytes of the largest kernel that is here; 0 where none was measured."""
        here = self.visits.here.values()
        return max((self._sizes.get(visit.kernel or "", 0) for visit in here), default=0)

    @property
    def seats(self) -> int:
        """Visits that may be here at the same time."""
        limits = process.memory_limit(), self.largest, process.pids_limit(), self._most
        return max(1, seats(*limits) - self.prepared)

    def open(self, name: str) -> Visit:
        """A new visit.

        Raises:
            GoneError, FullError: as :meth:`Visits.open`.
        """
        visit = self.visits.open(name, self.clock(), self.seats)
        self._lines[name] = Line(Conversation(), Flow.of_a_visit(self.clock()))
        self._active = time.time()
        return visit

    def line(self, visit: Visit) -> Line:
        """What the sockets of ``visit`` share."""
        return self._lines[visit.name]

    def touch(self, visit: Visit) -> None:
        """The visitor did something."""
        visit.touched = self.clock()
        self._active = time.time()

    async def end(self, visit: Visit, why: Why) -> None:
        """End it, with its kernel; nothing happens where it has ended."""
        if visit.state is State.ENDED:
            return
        log.info("visit ended: %s", why)
        self.visits.end(visit, why)
        line = self._lines.pop(visit.name)
        for close in list(line.closers.values()):
            close(why)
        if why in _SAID:
            self.trouble("kernel", _SAID[why], visit)
        if visit.kernel is not None:
            self._sizes.pop(visit.kernel, None)
            await self.framework.end(visit.kernel)

    async def look(self) -> None:
        """One round: measure kernels, notice dead ones, end visits whose time is over."""
        for visit in list(self.visits.here.values()):
            kernel = visit.kernel
            if kernel is None:
                continue
            if not await self.framework.alive(kernel):
                await self.end(visit, Why.DIED)
                continue
            pid = self.framework.process(kernel)
            self._sizes[kernel] = process.own_memory(pid) if pid else 0
        for visit, why in self.visits.due(self.clock()):
            await self.end(visit, why)

    # ---- what the author reads -----------------------------------------------------------

    def trouble(
        self,
        where: Where,
        text: str,
        visit: Visit | None = None,
        cell: int | None = None,
        source: str | None = None,
    ) -> None:
        """Keep an error for the author."""
        name = None if visit is None else visit.name
        self.troubles.add(time.time(), where, text, name, cell, source)

    def state(self) -> dict[str, Any]:
        """Everything that ``GET /state`` shows; times are seconds since 1970, sizes bytes."""
        now, wall = self.clock(), time.time()
        return {
            "framework": self.framework.name,
            "visits": [
                {
                    "visit": visit.name,
                    "state": visit.state,
                    "opened": wall - (now - visit.opened),
                    "last_activity": wall - (now - visit.touched),
                    "sockets": visit.sockets,
                    "memory": self._sizes.get(visit.kernel or "", 0),
                }
                for visit in self.visits.here.values()
            ],
            "seats": self.seats,
            "prepared": self.prepared,
            "largest_kernel": self.largest,
            "memory_limit": process.memory_limit(),
            "last_activity": self._active,
            "errors": self.troubles.as_json(),
            "log": list(self._log),
        }
