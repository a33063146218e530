"""Calls open pages of JupyterLab when something changed for an accelerator that is lent or asked for.

A page that nobody looks at asks for nothing, so that it does not make its server look used; but a turn has to
be taken within minutes. So this process asks, and says on Jupyter Server's event bus only that there is news.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

EVERY = 15.0
"""Seconds between two looks, while something is lent or asked for."""
SELDOM = 8
"""Else every so-many-th time, where accelerators are lent: somebody may have asked for one on another page."""
NEWS = "https://madang.invalid/events/lending"
"""The event's schema; ``src/api.ts`` waits for it."""
SCHEMA = {
    "$id": NEWS,
    "version": "1",
    "title": "News of an accelerator",
    "description": "Something changed for an accelerator that is lent or asked for; the status says what.",
    "type": "object",
    "properties": {},
}


NEAR = (600, 120)
"""Seconds before the end from which on it is said, and said again; ``src/lending.ts`` has the same."""


def news(state: Mapping[str, Any]) -> list[tuple[object, ...]]:
    """What is worth calling for: requests that come or go, or change their state or end, and an end that is
    near."""
    return [
        (one["id"], one["state"], one["ends"], one["idle_until"], _near(one["ends"], state["now"]))
        for one in state["leases"]
    ]


def _near(ends: str | None, now: str) -> int:
    """How many of :data:`NEAR` have been reached; 0 as well where there is no end."""
    try:
        left = (datetime.fromisoformat(ends or "") - datetime.fromisoformat(now)).total_seconds()
    except (ValueError, TypeError):  # no times, or only one of them with a zone
        return 0
    return sum(left <= seconds for seconds in NEAR)


class Herald:
    """Looks at the broker's answers for the pages of this server."""

    def __init__(self, logger: Any, lending: Any) -> None:
        logger.register_event_schema(SCHEMA)
        self._logger, self._lending = logger, lending
        self._last: list[tuple[object, ...]] = []
        self._round = 0

    async def look(self) -> None:
        """One round; every :data:`SELDOM`-th while nothing is known to be lent or asked for."""
        self._round += 1
        asks = self._lending.offered and self._round % SELDOM == 0
        if not self._lending.expected and not asks:
            return
        state = await self._lending.state()
        if state is None or state["state"] != "on":
            return
        found = news(state)
        if found != self._last:
            self._logger.emit(schema_id=NEWS, data={})
        self._last = found
