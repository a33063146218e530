"""Calls open pages of JupyterLab when something changed for an accelerator that is lent or asked for.

A page that nobody looks at asks for nothing, so that it does not make its server look used; but a turn has to
be taken within minutes. So this process asks, and says on Jupyter Server's event bus only that there is news.
"""

from __future__ import annotations

from typing import Any

EVERY = 15.0
"""Seconds between two looks, while something is lent or asked for."""
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


def news(state: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What is worth calling for: requests that come, go, or change their state or their end."""
    return [
        (one["id"], one["state"], one["idle_until"] or one["ends"] or "") for one in state["leases"]
    ]


class Herald:
    """Looks at the broker's answers for the pages of this server."""

    def __init__(self, logger: Any, lending: Any) -> None:
        logger.register_event_schema(SCHEMA)
        self._logger, self._lending = logger, lending
        self._last: list[tuple[str, str, str]] | None = None

    async def look(self) -> None:
        """One round. Nothing is asked while nothing is known to be lent or asked for: pages find that out."""
        if not self._lending.expected:
            self._last = None
            return
        state = await self._lending.state()
        if state is None or state["state"] != "on":
            return
        found = news(state)
        if self._last is not None and found != self._last:
            self._logger.emit(schema_id=NEWS, data={})
        self._last = found
