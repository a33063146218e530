"""What the engine's containers say about leases."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.accelerators import wish

from madang_hub.accelerators.leases import Lease, Policy, State
from madang_hub.accelerators.reconcile import Action, Container, Do, Findings, reconcile

POLICY = Policy(starting=300)
LEASE = Lease("r1", wish(), 0, State.ACTIVE, slots=("g0",), began=100, changed=100, ends=9000)
SEEN = replace(LEASE, container="c1")
ENDING = replace(SEEN, state=State.ENDING, changed=500)
MINE = Container("c1", "r1", ("g0",))


def test_a_shared_slot_is_in_several_containers() -> None:
    """The labels say which slot; which part of it is the lease's business."""
    one = replace(SEEN, seat=1, parts=2)
    other = replace(SEEN, id="r2", seat=2, parts=2, container="c2")
    theirs = Container("c2", "r2", ("g0",))
    assert reconcile([one, other], [MINE, theirs], 600, 600, POLICY).actions == ()
    # one goes: the other stays as it is
    ending = replace(one, state=State.ENDING, changed=500)
    found = reconcile([ending, other], [MINE, theirs], 600, 600, POLICY)
    assert found == Findings((Action(Do.STOP, "r1", "c1"),), frozenset())
    gone = reconcile([ending, other], [theirs], 600, 600, POLICY)
    assert gone == Findings((Action(Do.GONE, "r1"),), frozenset())
    # one that no lease allows keeps all parts from being given out
    stray = Container("c3", "lost", ("g0",))
    found = reconcile([one, other], [MINE, theirs, stray], 600, 600, POLICY)
    assert found == Findings((Action(Do.STOP, "lost", "c3"),), frozenset({"g0"}))


@pytest.mark.parametrize(
    ("leases", "containers", "actions", "occupied"),
    [
        # as it should be
        ([SEEN], [MINE], [], set()),
        ([LEASE], [MINE], [Action(Do.SEEN, "r1", "c1")], set()),
        # an orphan: of no lease, of a lease that waits or is kept, on a slot of another, a second one
        ([], [MINE], [Action(Do.STOP, "r1", "c1")], {"g0"}),
        ([replace(LEASE, state=State.QUEUED)], [MINE], [Action(Do.STOP, "r1", "c1")], {"g0"}),
        ([replace(LEASE, state=State.GRANTED)], [MINE], [Action(Do.STOP, "r1", "c1")], {"g0"}),
        (
            [SEEN],
            [MINE, Container("c2", "r1", ("g0",))],
            [Action(Do.STOP, "r1", "c2")],
            {"g0"},
        ),
        (
            [LEASE],
            [Container("c2", "r1", ("g0", "g1"))],
            [Action(Do.STOP, "r1", "c2"), Action(Do.NEVER_STARTED, "r1")],
            {"g0", "g1"},
        ),
        # vanished
        ([SEEN], [], [Action(Do.VANISHED, "r1")], set()),
        # stopped while nobody looked, and still known to the engine; removed at the next listing
        (
            [SEEN],
            [replace(MINE, ended=800)],
            [Action(Do.VANISHED, "r1", "c1", 800)],
            set(),
        ),
        (
            [ENDING],
            [replace(MINE, ended=800)],
            [Action(Do.STOP, "r1", "c1"), Action(Do.GONE, "r1")],
            set(),
        ),
        ([], [replace(MINE, ended=800)], [Action(Do.STOP, "r1", "c1")], set()),
        # a lease without a container
        ([LEASE], [], [Action(Do.NEVER_STARTED, "r1")], set()),
        ([replace(LEASE, began=700)], [], [], set()),
        # one that ends
        ([ENDING], [MINE], [Action(Do.STOP, "r1", "c1")], set()),
        ([ENDING], [], [Action(Do.GONE, "r1")], set()),
        ([ENDING], [Container("x", "", ("g0",))], [Action(Do.STOP, "", "x")], {"g0"}),
        # what changed after the listing began is left alone
        ([replace(SEEN, changed=1000)], [], [], set()),
        ([replace(ENDING, changed=1001)], [], [], set()),
    ],
)
def test_what_is_done(
    leases: list[Lease], containers: list[Container], actions: list[Action], occupied: set[str]
) -> None:
    found = reconcile(leases, containers, 1000, 1000, POLICY)
    assert list(found.actions) == actions
    assert found.occupied == occupied
