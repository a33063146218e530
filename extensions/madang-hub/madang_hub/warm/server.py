"""One server that waits, and what was ordered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from madang_hub.catalog import Choice
from madang_hub.isolation.networks import NetworkPlan
from madang_hub.warm import pool
from madang_hub.warm.lines import Line


@dataclass(frozen=True)
class Order:
    """One that is to be made.

    ``accelerator``: the slot of the accelerator that it waits with, by these ``devices`` (full CDI names).
    """

    kind: str
    choice: Choice
    version: str
    accelerator: str = ""
    devices: tuple[str, ...] = ()


@dataclass
class Server:
    """One that was made ahead, or is being made."""

    slot: str
    order: Order
    made: datetime
    plan: NetworkPlan
    line: Line
    container: str = ""
    ready: bool = False
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody has it, or the engine was asked to remove it."""

    @property
    def kind(self) -> str:
        return self.order.kind

    def as_told(self) -> pool.Waiting:
        """As the rule sees it."""
        return pool.Waiting(self.slot, self.kind, self.order.version, self.made, self.ready)
