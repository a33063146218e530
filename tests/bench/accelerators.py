"""Accelerators: how long a decision takes, and how fair a month is, beside plain first come, first served."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from support.accelerator_month import Simulation, report
from support.accelerators import GIB, first_come, slots, wish

from bench.result import Result
from madang_hub.accelerators import leases as rules
from madang_hub.accelerators.fairshare import Usage
from madang_hub.accelerators.leases import Grant, Lease, Policy
from madang_hub.accelerators.ledger import shares_at
from madang_hub.accelerators.pools import Fleet, Reservation
from madang_hub.accelerators.queue import decide

POLICY = Policy()
NOW = 1_000_000
RUNS = 7


def _crowd() -> tuple[Fleet, list[Lease], Usage, list[Reservation]]:
    """1,000 slots of four models, 990 of them held, and 10,000 requests of 400 people in 40 teams."""
    draw = random.Random(1)  # noqa: S311  # the same crowd in every run
    fleet = Fleet(
        tuple(s for n in range(4) for s in slots(250, model=f"M{n}", memory=(n + 1) * 20 * GIB))
    )
    people = [(f"p{n:03}", f"team:{n % 40}") for n in range(400)]
    usage = Usage(POLICY.half_life)
    for person, team in people:
        usage.add((team, person), NOW - draw.randrange(10**5, 10**6), NOW - draw.randrange(10**5))
    leases = []
    for n, slot in enumerate(draw.sample(fleet.slots, 990)):
        lease = rules.ask(f"h{n}", wish(*draw.choice(people), 8 * 3600), NOW - 9000, POLICY)
        lease = rules.grant(
            lease, Grant(lease.id, (slot.id,), NOW + 22000 + n, slot.model), NOW - 8000
        )
        leases.append(rules.claim(lease, lease.request.person, NOW - 8000 + n % 100, POLICY))
    for n in range(10_000):
        wanted = wish(
            *draw.choice(people),
            draw.randrange(600, 8 * 3600),
            count=draw.choice([1, 1, 1, 1, 2, 4, 8]),
            memory=draw.choice([0, 0, 40 * GIB, 80 * GIB]),
        )
        leases.append(rules.ask(f"q{n:05}", wanted, NOW - 10_000 + n % 9000, POLICY))
    classes = [
        Reservation(
            f"c{n}", "class:ai", "nvidia.com/gpu", 30, NOW + n * 86400, NOW + n * 86400 + 9000
        )
        for n in range(1, 15)
    ]
    return fleet, leases, usage, classes


def lease_decision() -> list[Result]:
    """Grant what 10 free of 1,000 slots allow among 10,000 waiting; plain: a scan in order of asking."""
    fleet, leases, usage, classes = _crowd()

    def fair() -> int:
        found = decide(
            NOW,
            fleet,
            leases,
            lambda: shares_at(NOW, usage, leases, POLICY),
            POLICY,
            classes=classes,
        )
        return len(found.grants)

    def plain() -> int:
        return len(first_come(NOW, fleet, leases, POLICY).grants)

    runs = [(_milliseconds(fair), _milliseconds(plain)) for _ in range(RUNS)]
    return [Result.smaller("lease_decision", "ms", runs)]


def _milliseconds(work: Callable[[], int]) -> float:
    begin = time.perf_counter()
    granted = work()
    taken = (time.perf_counter() - begin) * 1000
    assert granted, "nothing was granted, so nothing was measured"
    return taken


def fairness_jain() -> list[Result]:
    """Jain's index of service by weight over the teams of a month; one run each of the same month."""
    fair, plain = Simulation(fair=True).run(), Simulation(fair=False).run()
    print("\n".join(f"  {line}" for line in report(fair, plain).splitlines()))
    pair = (fair.jain, plain.jain)
    return [Result("fairness_jain", pair[0], "index", pair[1], pair[0] / pair[1], [pair])]


ALONE: dict[str, Callable[[], list[Result]]] = {
    "lease_decision": lease_decision,
    "fairness_jain": fairness_jain,
}
