"""The one interface of what turns a published notebook into a page. Voila is the only one now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from madang_dashboard.desk import Desk

Route = tuple[str, type, dict[str, Any]]
"""Tornado's: pattern, handler, and what the handler is made with."""

VISIT = r"/visit/(?P<visit>[A-Za-z0-9_-]{16,128})"
"""What every address of a visit begins with."""


class Framework(Protocol):
    """Makes pages and runs their kernels.

    A *kernel* is what one visit runs in, a process with an id; a framework without kernels would run a process
    per visit all the same. Every handler in :meth:`routes` begins with :data:`VISIT`, asks the desk whether
    that visit is there, and tells it of the page, of sockets and of what the visitor does.
    """

    name: str

    async def start(self, desk: Desk) -> Mapping[str, Any]:
        """Get ready; returns settings of the Tornado application that its handlers need."""

    def routes(self) -> Sequence[Route]:
        """Every address that it answers."""

    def process(self, kernel: str) -> int | None:
        """The id of the kernel's process; None where it has none."""

    async def alive(self, kernel: str) -> bool:
        """Whether the kernel still runs."""

    async def end(self, kernel: str) -> None:
        """End the kernel with everything that it started; nothing happens where it is gone."""

    async def stop(self) -> None:
        """End all kernels."""
