"""``metrics``: how lending goes, as Prometheus reads it; for tokens with ``read:metrics``, or an admin's.

Every state and reason is there from the first moment, with 0. What is counted is counted in the database, so a
restart of the broker is none of the counters'; only the times of decisions are this process's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from madang_hub.accelerators.accounts import Counts
from madang_hub.accelerators.broker.handlers import NO_RIGHT, Asked
from madang_hub.accelerators.broker.measured import REGISTRY
from madang_hub.accelerators.broker.scopes import ADMIN, METRICS
from madang_hub.accelerators.inventory import Inventory
from madang_hub.accelerators.leases import HELD, OPEN, Lease, State, Why
from madang_hub.accelerators.slots import Health, Slot
from madang_hub.people.service.base import Problem

STATES = ("free", "held", "drained", "ill")
"""Of a slot: held goes before ill, and ill before drained, because it is somebody's work."""


def state_of(slot: Slot, held: Iterable[str], drained: Iterable[str]) -> str:
    """One of :data:`STATES`."""
    if slot.id in held:
        return "held"
    if slot.health is Health.ILL:
        return "ill"
    return "drained" if slot.id in drained else "free"


def families(
    now: int,
    inventory: Inventory,
    leases: Iterable[Lease],
    drained: Mapping[str, Any],
    counts: Counts,
    lending: bool,
) -> list[Metric]:
    """The figures of one moment; ``leases`` are the open ones."""
    known = list(leases)
    held = {slot for x in known if x.state in HELD for slot in x.slots}
    likes = sorted({(s.kind, s.model) for s in inventory.slots})
    number = Counter((s.kind, s.model, state_of(s, held, drained)) for s in inventory.slots)
    slots = GaugeMetricFamily(
        "madang_accelerator_slots", "Accelerators by state", labels=("kind", "model", "state")
    )
    for kind, model in likes:
        for state in STATES:
            slots.add_metric((kind, model, state), number[kind, model, state])
    open_ = GaugeMetricFamily("madang_accelerator_leases", "Open leases", labels=("state",))
    states = Counter(x.state for x in known)
    for one in State:
        if one in OPEN:
            open_.add_metric((one.value,), states[one])
    oldest = min((x.asked for x in known if x.state is State.QUEUED), default=now)
    waits = GaugeMetricFamily(
        "madang_accelerator_longest_wait_seconds",
        "For how long who waits longest has waited",
        value=max(0, now - oldest),
    )
    grants = CounterMetricFamily(
        "madang_accelerator_grants", "Requests that came to their turn", value=counts.grants
    )
    ended = CounterMetricFamily(
        "madang_accelerator_ended", "Leases that ended, by reason", labels=("why",)
    )
    for why in Why:
        ended.add_metric((why.value,), counts.ended.get(why.value, 0))
    used = CounterMetricFamily(
        "madang_accelerator_used_seconds",
        "Slot-seconds of leases that are over, as the ledger charges them",
        labels=("team", "kind"),
    )
    for (team, kind), seconds in sorted(counts.used.items()):
        used.add_metric((team, kind), float(seconds))
    answers = GaugeMetricFamily(
        "madang_accelerator_lending", "1 while it is known which servers run", value=int(lending)
    )
    return [slots, open_, waits, grants, ended, used, answers]


class _Once(Collector):
    """Families that are there already, for one answer."""

    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found


class Metrics(Asked):
    """``GET metrics``; a service may ask too."""

    async def admit(self, user: dict[str, Any]) -> None:
        if not any(self.hub_auth.check_scopes({scope}, user) for scope in (METRICS, ADMIN)):
            raise Problem(403, NO_RIGHT, scope=METRICS)

    async def get(self) -> None:
        desk, work = self.parts.desk, self.parts.work
        leases, drained = await work(desk.leases.open_ones), await work(desk.leases.drained)
        counts = await self.off_loop(desk.leases.accounts.counts)
        registry = CollectorRegistry(auto_describe=False)
        now, lending = self.parts.seconds(), desk.engine_answers
        registry.register(_Once(families(now, desk.inventory, leases, drained, counts, lending)))
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(generate_latest(registry) + generate_latest(REGISTRY))
