"""Idle accelerators: what counts as use, what must be seen before one goes back, and that no use is missed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang_hub.accelerators.idle import (
    BUSY_PERCENT,
    GAP,
    STEADY,
    Does,
    Notice,
    Sample,
    Stretch,
    follow,
    follow_all,
    goes_back,
    look,
    notice,
)
from madang_hub.accelerators.policy import Policy
from madang_hub.accelerators.slots import Use

POLICY = Policy(idle=600, grace=120)
NONE = Sample(Does.IDLE, (100,))


@pytest.mark.parametrize(
    ("uses", "works", "does"),
    [
        ([Use(0, 100)], False, Does.IDLE),
        ([Use(BUSY_PERCENT - 1, 100), Use(0, 7)], False, Does.IDLE),
        ([Use(BUSY_PERCENT, 100)], False, Does.BUSY),
        ([Use(0, 100), Use(90, 100)], False, Does.BUSY),
        ([Use(0, 100)], True, Does.BUSY),
        ([Use(None, 100)], True, Does.BUSY),
        # a MIG slice, a driver without figures, a server of which nobody knows, a slot that is gone
        ([Use(None, 100)], False, Does.UNKNOWN),
        ([Use(0, None)], False, Does.UNKNOWN),
        ([Use(0, 100)], None, Does.UNKNOWN),
        ([Use(0, 100), Use()], False, Does.UNKNOWN),
        ([], False, Does.UNKNOWN),
    ],
)
def test_what_counts_as_use(uses: list[Use], works: bool | None, does: Does) -> None:
    assert look(uses, works).does is does


def followed(
    samples: list[tuple[int, Sample, bool]], policy: Policy = POLICY
) -> tuple[Stretch | None, int | None]:
    """The stretch after these (moment, sample, wanted), and when the lease went back."""
    stretch = None
    for moment, sample, wanted in samples:
        stretch = follow(stretch, sample, moment, policy, wanted=wanted)
        if goes_back(stretch, moment, policy):
            return stretch, moment
    return stretch, None


def every(
    seconds: range, sample: Sample = NONE, wanted: bool = True
) -> list[tuple[int, Sample, bool]]:
    return [(second, sample, wanted) for second in seconds]


def test_warned_first_and_gone_after_the_grace() -> None:
    stretch, gone = followed(every(range(0, 600, 5)))
    assert (notice(stretch, POLICY), gone) == (None, None)
    stretch, gone = followed(every(range(0, 605, 5)))
    assert (notice(stretch, POLICY), gone) == (Notice(0, 720), None)
    assert followed(every(range(0, 2000, 5)))[1] == 720


def test_while_nobody_waits_there_is_only_a_warning() -> None:
    alone = every(range(0, 5000, 5), wanted=False)
    stretch, gone = followed(alone)
    assert (notice(stretch, POLICY), gone) == (Notice(0, None), None)
    # who comes then waits for the grace, and who leaves takes the end along
    stretch, gone = followed(alone + every(range(5000, 5115, 5)))
    assert (notice(stretch, POLICY), gone) == (Notice(0, 5120), None)
    stretch, gone = followed(
        alone + every(range(5000, 5100, 5)) + every(range(5100, 5200, 5), wanted=False)
    )
    assert (notice(stretch, POLICY), gone) == (Notice(0, None), None)
    assert followed(alone + every(range(5000, 9000, 5)))[1] == 5120


@pytest.mark.parametrize(
    "between",
    [
        Sample(Does.BUSY),
        Sample(Does.UNKNOWN),
        # data is loaded onto the device, or taken off it
        Sample(Does.IDLE, (100 + STEADY + 1,)),
        Sample(Does.IDLE, (101, 100)),
    ],
)
def test_any_use_begins_anew(between: Sample) -> None:
    stretch, gone = followed([*every(range(0, 715, 5)), (715, between, True), (720, NONE, True)])
    assert (notice(stretch, POLICY), gone) == (None, None)
    assert (
        followed([*every(range(0, 715, 5)), (715, between, True), *every(range(720, 3000, 5))])[1]
        == 720 + 720
    )


def test_memory_that_grows_slowly_is_use() -> None:
    """Compared with the beginning of the stretch, not with the sample before."""
    slowly = [
        (second, Sample(Does.IDLE, (100 + second * STEADY // 100,)), True)
        for second in range(0, 9000, 5)
    ]
    stretch, gone = followed(slowly)
    assert (notice(stretch, POLICY), gone) == (None, None)


def test_what_nobody_looked_at_is_not_known_to_be_idle() -> None:
    early, late = every(range(0, 700, 5)), every(range(700 + GAP + 5, 9000, 5))
    assert followed(early + late)[1] == 700 + GAP + 5 + 720
    assert followed(early + every(range(695 + GAP, 9000, 5)))[1] == 725
    # a clock that was set back
    assert followed(early + every(range(100, 9000, 5)))[1] == 100 + 720


def test_it_can_be_switched_off() -> None:
    stretch, gone = followed(every(range(0, 99_999, 5)), Policy(idle=0))
    assert (notice(stretch, Policy(idle=0)), gone) == (None, None)


def test_an_old_sample_ends_nothing() -> None:
    """A round without a new look at the devices."""
    stretch, gone = followed(every(range(0, 720, 5)))
    assert gone is None
    assert stretch is not None
    assert not goes_back(stretch, 9999, POLICY)


def test_a_round_forgets_leases_that_are_over() -> None:
    before = {"a": Stretch(0, 10, (100,)), "b": Stretch(0, 10, (100,)), "c": Stretch(0, 10, (100,))}
    after = follow_all(before, {"a": NONE, "b": Sample(Does.BUSY)}, {"a"}, 15, POLICY)
    assert after == {"a": Stretch(0, 15, (100,))}


@dataclass(frozen=True)
class Moment:
    """What really is at one look."""

    after: int
    use: Use
    works: bool | None
    wanted: bool


MOMENTS = st.builds(
    Moment,
    st.sampled_from([1, 5, 5, 5, 5, GAP, GAP + 1, -3]),
    st.sampled_from(
        [Use(0, 100)] * 12
        + [Use(4, 100), Use(0, 100 + STEADY // 2), Use(5, 100), Use(None, 100), Use(0, None)]
        + [Use(0, 100 + 2 * STEADY), Use(99, 5)]
    ),
    st.sampled_from([False] * 12 + [True, None]),
    st.sampled_from([True] * 4 + [False]),
)
BURSTS = st.lists(st.tuples(MOMENTS, st.integers(1, 20)), max_size=25)


@settings(deadline=None, max_examples=400)
@given(BURSTS, st.sampled_from([20, 45, 90]), st.sampled_from([10, 60]))
def test_none_that_is_used_ever_goes_back(
    bursts: list[tuple[Moment, int]], idle: int, grace: int
) -> None:
    """In all of the window before an end: no busy device, no busy server, nothing unknown, no gap, and
    memory that stays; and somebody who waits for all of the grace, after the warning."""
    policy = Policy(idle=idle, grace=grace)
    now, stretch, seen = 1000, None, list[tuple[int, Moment]]()
    for moment in (m for m, times in bursts for _ in range(times)):
        now += moment.after
        seen.append((now, moment))
        stretch = follow(
            stretch, look([moment.use], moment.works), now, policy, wanted=moment.wanted
        )
        told = notice(stretch, policy)
        if told is not None and told.until is not None:
            assert told.until >= told.since + idle + grace
        if not goes_back(stretch, now, policy):
            continue
        # back from the end as long as the window reaches
        window = []
        for when, what in reversed(seen):
            window.append((when, what))
            if when <= now - idle - grace:
                break
        assert window[-1][0] <= now - idle - grace
        for (later, _), (earlier, _) in pairwise(window):
            assert 0 <= later - earlier <= GAP
        for _, what in window:
            assert what.works is False
            assert what.use.utilisation is not None
            assert what.use.utilisation < BUSY_PERCENT
            assert what.use.memory is not None
        memory = [what.use.memory or 0 for _, what in window]
        assert max(memory) - min(memory) <= 2 * STEADY
        assert all(what.wanted for when, what in window if when >= now - grace)
        stretch = None


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(1, GAP), min_size=1, max_size=200), st.integers(1, 1000))
def test_one_that_lies_idle_for_others_does_go_back(steps: list[int], idle: int) -> None:
    """Whatever the rhythm of the looks."""
    policy = Policy(idle=idle, grace=60)
    now, moments = 0, [0]
    while now <= idle + 60 + 2 * GAP:
        now += steps[len(moments) % len(steps)]
        moments.append(now)
    _, gone = followed([(m, NONE, True) for m in moments], policy)
    assert gone is not None
    assert idle + 60 <= gone <= idle + 60 + 2 * GAP
