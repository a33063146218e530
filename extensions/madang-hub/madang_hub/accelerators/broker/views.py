"""What the broker shows, as JSON has it: times as ISO in UTC, lengths in seconds. Rules only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from madang_hub.accelerators.estimate import Estimate
from madang_hub.accelerators.idle import Notice
from madang_hub.accelerators.inventory import Inventory
from madang_hub.accelerators.leases import HELD, Lease, Policy, State
from madang_hub.accelerators.ledger import Budget
from madang_hub.accelerators.pools import Fleet, Pool, Reservation, pools_at, want_of
from madang_hub.accelerators.reserving import Need
from madang_hub.accelerators.slots import Health, Slot, Use
from madang_hub.accelerators.tables import Drained
from madang_hub.accelerators.vacant import Vacancy


def moment(seconds: int | None) -> str | None:
    """Seconds since 1970 as a text; None for 0, which is "not yet"."""
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else None


def vacancy_model(vacancy: Vacancy) -> dict[str, Any]:
    """A slot for which a server may wait. Where it is ``kept`` for somebody, that server is to be of this
    environment and size, which are empty where nobody said so yet."""
    slot, lease = vacancy.slot, vacancy.lease
    return {
        "slot": slot.id,
        "kind": slot.kind,
        "devices": list(slot.devices),
        "kept": lease is not None,
        "environment": lease.request.environment if lease else "",
        "size": lease.request.size if lease else "",
    }


def free_model(
    now: int,
    fleet: Fleet,
    leases: Iterable[Lease],
    policy: Policy,
    teams: Collection[str] = (),
    classes: Collection[Reservation] = (),
) -> list[dict[str, Any]]:
    """What can be lent, one entry for slots that are alike: how many, how many of them are free, when the next
    of the others is free at the latest, and how many requests in line could have one. Drained and ill ones
    are not among ``total``; there are so many of them besides. Where a slot is shared by ``shares``, so many
    parts are free for somebody in ``teams``: of slots that are free, and of those that such a team shares.
    What a class that is on has left of its reservation is only free for the people in it.
    """
    known = list(leases)
    waiting = [x for x in known if x.state is State.QUEUED]
    held = [x for x in known if x.state is not State.QUEUED]
    drained = Counter(_likeness(s, fleet) for s in fleet.slots if s.id in fleet.drained)
    ill = Counter(
        _likeness(s, fleet)
        for s in fleet.slots
        if s.health is Health.ILL and s.id not in fleet.drained
    )
    found = []
    there = set()
    scene = pools_at(now, fleet, held, classes, policy)
    on = [c for c in classes if c.begin <= now < c.end and c.team not in teams]
    for index, pool in enumerate(scene.pools):
        kept = [c for c in on if scene.reserved[c.id].get(index)]
        free = max(0, len(pool.free) - sum(scene.reserved[c.id][index] for c in kept))
        next_free = now if free else min([*pool.ends, *(c.end for c in kept)], default=None)
        key = (pool.kind, pool.model, pool.memory, pool.parts)
        there.add(key)
        found.append(
            {
                "kind": pool.kind,
                "model": pool.model,
                "memory": pool.memory,
                "total": pool.total,
                "free": free,
                "next_free": moment(next_free),
                "waiting": sum(pool.fits(want_of(x.request)) for x in waiting),
                "drained": drained[key],
                "ill": ill[key],
                "shares": pool.parts,
                "parts_free": _parts_free(pool, free, teams),
            }
        )
    found += [
        {
            "kind": key[0],
            "model": key[1],
            "memory": key[2],
            "total": 0,
            "free": 0,
            "next_free": None,
            "waiting": 0,
            "drained": drained[key],
            "ill": ill[key],
            "shares": key[3],
            "parts_free": 0,
        }
        for key in sorted({*drained, *ill} - there)
    ]
    return found


def _parts_free(pool: Pool, free: int, teams: Collection[str]) -> int:
    if pool.parts == 1:
        return 0
    joined = sum(len(one.seats) for team in teams for one in pool.opened.get(team, ()))
    return free * pool.parts + joined


def _likeness(slot: Slot, fleet: Fleet) -> tuple[str, str, int, int]:
    """What slots of one pool have in common."""
    return (slot.kind, slot.model, slot.memory, fleet.parts.get(slot.id, 1))


def shown_state(lease: Lease) -> str:
    """One of five: that a server is stopped before a granted lease begins is said beside it."""
    state = State.GRANTED if lease.state is State.TAKING else lease.state
    return str(state.value)


def lease_model(
    lease: Lease,
    estimate: Estimate | None,
    inventory: Inventory,
    policy: Policy,
    idle: Notice | None = None,
) -> dict[str, Any]:
    """A lease as its person sees it."""
    request = lease.request
    slots = inventory.by_id
    kept_until = None
    if lease.state is State.GRANTED:
        kept_until = lease.granted + policy.claim
    elif lease.state is State.TAKING:
        kept_until = lease.changed + policy.starting
    return {
        "id": lease.id,
        "state": shown_state(lease),
        "restarting": lease.state is State.TAKING,
        "team": request.team,
        "kind": request.kind,
        "model": lease.model or request.model,
        "count": request.count,
        "part": request.shared,
        "shared": lease.parts if lease.seat else None,
        "seconds": request.seconds,
        "environment": request.environment,
        "size": request.size,
        "asked": moment(lease.asked),
        "returned": lease.returned,
        "take_until": moment(kept_until),
        "began": moment(lease.began),
        "ends": moment(lease.ends) if lease.state is State.ACTIVE else None,
        "ended": moment(lease.changed) if lease.state is State.ENDED else None,
        "why": lease.why.value if lease.why else None,
        "place": estimate.place if estimate else None,
        "soonest": moment(estimate.soonest) if estimate else None,
        "latest": moment(estimate.latest) if estimate else None,
        "why_no_estimate": estimate.why.value if estimate and estimate.why else None,
        "idle_since": moment(idle.since) if idle else None,
        "idle_until": moment(idle.until) if idle else None,
        "slots": [_slot(slots.get(slot), slot) for slot in lease.slots],
        "device": _devices(lease, inventory) if lease.state is State.ACTIVE else [],
    }


def _devices(lease: Lease, inventory: Inventory) -> list[dict[str, Any]]:
    """What the slots of a lease do now; None is "nobody says"."""
    known = inventory.by_id
    found = []
    for identity in lease.slots:
        slot, use = known.get(identity), inventory.use.get(identity, Use())
        found.append(
            {
                "id": identity,
                "model": slot.model if slot else lease.model,
                "memory": slot.memory if slot else 0,
                "utilisation": use.utilisation,
                "used_memory": use.memory,
            }
        )
    return found


def _slot(slot: Slot | None, identity: str) -> dict[str, Any]:
    if slot is None:
        return {"id": identity, "model": "", "memory": 0, "health": Health.ILL.value}
    return {
        "id": slot.id,
        "model": slot.model,
        "memory": slot.memory,
        "health": slot.health.value,
    }


def need_model(need: Need, following: tuple[int, int] | None) -> dict[str, Any]:
    """What a class has reserved for its times; ``following``: the time that is on, or else the next."""
    starts, ends = following or (None, None)
    return {
        "team": need.team,
        "kind": need.kind,
        "model": need.model,
        "count": need.count,
        "next": {"starts": moment(starts), "ends": moment(ends)} if following else None,
        "by": need.by,
        "since": moment(need.since),
    }


def reserved_model(one: Reservation, titles: Mapping[str, str]) -> dict[str, Any]:
    """One time of a class; ``titles`` are of teams, as people call them."""
    return {
        "team": one.team,
        "title": titles.get(one.team, one.team),
        "kind": one.kind,
        "model": one.model,
        "count": one.count,
        "starts": moment(one.begin),
        "ends": moment(one.end),
    }


def warning(budget: Budget, language: str, titles: Mapping[str, str]) -> str | None:
    """What the people of a team should know about its budget; None while there is enough."""
    told = budget.warning
    if told is None:
        return None
    called = {"team": titles.get(budget.team, budget.team)}
    return replace(told, values={**told.values, **called}).text(language)


def budget_model(budget: Budget, language: str, titles: Mapping[str, str]) -> dict[str, Any]:
    """A team's budget of this month, in weighed slot-seconds."""
    return {
        "team": budget.team,
        "limit": budget.limit,
        "used": budget.used,
        "promised": budget.promised,
        "warning": warning(budget, language, titles),
    }


def slots_model(
    inventory: Inventory, leases: Iterable[Lease], drained: Mapping[str, Drained]
) -> list[dict[str, Any]]:
    """Every slot as an admin sees it: how it is, who has it, what runs on it.

    One that is held or drained and not there any more is among them.
    """
    holders: dict[str, list[Lease]] = {}
    for lease in leases:
        if lease.state in HELD:
            for held in lease.slots:
                holders.setdefault(held, []).append(lease)
    known = inventory.by_id
    gone = sorted((set(holders) | set(drained)) - set(known))
    found = []
    for identity in (*known, *gone):
        slot, use = known.get(identity), inventory.use.get(identity, Use())
        drain = drained.get(identity)
        found.append(
            {
                **_slot(slot, identity),
                "kind": slot.kind if slot else "",
                "why": slot.why if slot else "",
                "there": slot is not None,
                "drained": drain
                and {"by": drain.by, "why": drain.why, "since": moment(drain.since)},
                "leases": [
                    {
                        "id": x.id,
                        "person": x.request.person,
                        "team": x.request.team,
                        "state": shown_state(x),
                        "since": moment(x.began or x.granted),
                        "ends": moment(x.ends),
                    }
                    for x in holders.get(identity, ())
                ],
                "utilisation": use.utilisation,
                "used_memory": use.memory,
                "processes": None if use.processes is None else len(use.processes),
            }
        )
    return found
