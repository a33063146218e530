"""A month of hundreds of people: what must hold holds, and it is fairer than first come, first served."""

from __future__ import annotations

import pytest
from support.accelerator_month import (
    BEAT,
    CLASS,
    HOUR,
    POLICY,
    TEAMS,
    Simulation,
    jain,
    report,
)

from madang_hub.accelerators.queue import bound


def test_a_month() -> None:
    fair, plain = Simulation(fair=True).run(), Simulation(fair=False).run()
    print(report(fair, plain))
    assert fair.crashes == fair.ill == 10
    assert fair.jain > 0.97
    assert plain.jain < 0.7
    # whoever asks least waits least, and nobody for ever
    assert fair.p95("team:solo") < fair.p95("team:mid") < fair.p95("team:huge")
    assert fair.p95("team:solo") < plain.p95("team:solo") / 2
    people = sum(n for n, _ in TEAMS.values())
    # the class is on for three hours of the day
    assert max(max(w) for w in fair.waits.values()) < bound(POLICY, people, 3 * HOUR)
    # the class has its slots when it begins; not within a crash of the Hub
    on_time = sum(wait < 2 * BEAT for wait in fair.late)
    assert on_time > 0.9 * len(fair.late) > 0
    # the same share of all that was used goes to nobody's account
    assert fair.lost < 0.02 * sum(fair.service[t] * w for t, (_, w) in TEAMS.items())
    assert CLASS not in fair.waits


@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("fair", [True, False])
def test_other_weeks(seed: int, fair: bool) -> None:
    found = Simulation(fair=fair, days=7, seed=seed).run()
    assert found.leases > 1000
    assert (found.jain > 0.97) is fair


@pytest.mark.parametrize(
    ("found", "index"), [([1.0, 1.0, 1.0], 1.0), ([3.0, 0.0, 0.0], 1 / 3), ([1.0, 3.0], 0.8)]
)
def test_jains_index(found: list[float], index: float) -> None:
    assert jain(found) == pytest.approx(index)
