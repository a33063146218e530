"""Which servers are started again without an accelerator, and which are not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.accelerators import wish

from madang_hub.accelerators.leases import Lease, Policy, State, Why
from madang_hub.accelerators.restarts import Next, Restart, comes_back, next_step

POLICY = Policy(starting=300, on_cpu=True)
NOTED = 1000
RESTART = Restart("minji", "r1", "torch", "large", NOTED)
OVER = Lease("r1", wish(), 100, State.ENDED, changed=NOTED + 5, why=Why.OVER)
ANOTHER = replace(OVER, id="r2", state=State.ACTIVE, why=None)


@pytest.mark.parametrize(
    ("state", "why", "back"),
    [
        (State.ENDING, Why.OVER, True),
        (State.ENDING, Why.IDLE, True),
        (State.ENDING, Why.RELEASED, True),
        # its server was gone before, or comes with the next one
        (State.ENDING, Why.VANISHED, False),
        (State.ENDING, Why.ILL, False),
        (State.ACTIVE, None, False),
        (State.ENDED, Why.OVER, False),
    ],
)
def test_whose_server_comes_back(state: State, why: Why | None, back: bool) -> None:
    lease = replace(OVER, state=state, why=why)
    assert comes_back(lease, POLICY) is back
    assert not comes_back(lease, replace(POLICY, on_cpu=False))


@pytest.mark.parametrize(
    ("lease", "theirs", "running", "later", "then"),
    [
        (OVER, [], None, 10, Next.START),
        # it is not gone yet: the lease, or the server
        (replace(OVER, state=State.ENDING), [], None, 10, Next.WAIT),
        (OVER, [], NOTED - 100, 10, Next.WAIT),
        (OVER, [], 0, 10, Next.WAIT),
        # somebody started it meanwhile
        (OVER, [], NOTED, 10, Next.DROP),
        (OVER, [], NOTED + 5, 10, Next.DROP),
        # nobody waits for it any more
        (OVER, [], None, 300, Next.START),
        (OVER, [], None, 301, Next.DROP),
        (OVER, [], NOTED - 100, 301, Next.DROP),
        # a server with another accelerator comes, or is there; one that waits in line brings none
        (OVER, [ANOTHER], None, 10, Next.DROP),
        (OVER, [replace(ANOTHER, state=State.TAKING)], None, 10, Next.DROP),
        (OVER, [replace(ANOTHER, state=State.QUEUED)], None, 10, Next.START),
        # it came with this one, or is to; or comes with the next
        (replace(ANOTHER, id="r1"), [replace(ANOTHER, id="r1")], None, 10, Next.WAIT),
        (replace(ANOTHER, id="r1", container="minji/"), [], None, 10, Next.DROP),
        (replace(OVER, why=Why.ILL), [], None, 10, Next.DROP),
        (None, [], None, 10, Next.DROP),
    ],
)
def test_what_is_done_about_it(
    lease: Lease | None, theirs: list[Lease], running: int | None, later: int, then: Next
) -> None:
    assert next_step(RESTART, lease, theirs, running, NOTED + later, POLICY) is then


@pytest.mark.parametrize(
    ("why", "then"),
    [
        # given back as soon as it was there: no listing has seen the server, which is stopped for good
        (Why.RELEASED, Next.DROP),
        (Why.OVER, Next.DROP),
        # nothing came of it
        (Why.LEFT, Next.START),
        (Why.NEVER_STARTED, Next.START),
    ],
)
def test_where_servers_do_not_go_on_without_one(why: Why, then: Next) -> None:
    """What was noted before the server was stopped to come with the accelerator."""
    policy, lease = replace(POLICY, on_cpu=False), replace(OVER, why=why)
    assert next_step(RESTART, lease, [], None, NOTED + 10, policy) is then
