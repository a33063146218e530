"""Leases in a database while people, the engine and crashes do what they like, at any statement.

Hypothesis chooses the steps. A crash is a process that dies before one of its statements: what it had not
committed is undone by the database, its memory is gone, and another begins with what is stored.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.accelerators import GIB, World, run_out, slots, wish

from madang_hub.accelerators.fairshare import Usage
from madang_hub.accelerators.leases import (
    HELD,
    Lease,
    LeaseError,
    Policy,
    State,
    StateError,
    Why,
)
from madang_hub.accelerators.ledger import What, remember
from madang_hub.accelerators.pools import Fleet
from madang_hub.accelerators.queue import bound
from madang_hub.accelerators.reconcile import Container, Do, reconcile
from madang_hub.accelerators.slots import Health
from madang_hub.accelerators.store import Leases
from madang_hub.accelerators.tables import SEATS
from madang_hub.people.database import Database

POLICY = Policy(longest=600, claim=20, starting=50, settle=10, patience=300, every=2, half_life=900)
WHOLE, SHARED = slots(2), slots(1, model="S", memory=GIB)
PEOPLE = [("minji", "team:a"), ("jisu", "team:a"), ("yuna", "team:b"), ("hana", "class:ai")]
Found = TypeVar("Found")


class CrashError(Exception):
    """The process is gone."""


@dataclass
class Running:
    """A container in the engine, and when it really lived."""

    id: str
    lease: str
    slots: tuple[str, ...]
    born: int
    died: int | None = None
    removed: bool = False


class Crashes(RuleBasedStateMachine):
    """People, the engine and a Hub that dies; what is stored is compared with what happened."""

    def __init__(self) -> None:
        super().__init__()
        # in memory where there is such a place: a disk's waiting is not what is tested
        shm = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="madang-crashes-", dir=shm))
        self.now = 1000
        self.fleet = Fleet(WHOLE + SHARED, parts={SHARED[0].id: 2})
        self.asked: set[str] = set()
        self.containers: list[Running] = []
        self.strays: set[str] = set()
        self.by_hand: set[str] = set()
        self.beats: list[int] = []
        self.fuse: int | None = None
        self.number = 0
        sa.event.listen(sa.Engine, "before_cursor_execute", self._burn)
        self.database, self.store = self._start()

    def _start(self) -> tuple[Database, Leases]:
        database = Database(f"sqlite:///{self.folder / 'hub.sqlite'}")
        return database, Leases(database, POLICY)

    def _burn(self, *_: Any) -> None:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                raise CrashError

    def hub(self, work: Callable[[], Found], fuse: int | None) -> Found | None:
        """Let the Hub do something; None: it died before it was done, or the rules refused."""
        self.fuse = fuse
        try:
            return work()
        except CrashError:
            self.restart()
            return None
        except LeaseError:
            return None
        finally:
            self.fuse = None

    @initialize()
    def first_start(self) -> None:
        # the tables are made before anybody comes; a crash then is the next start's business
        self.store.open_ones()

    @rule()
    def restart(self) -> None:
        self.fuse = None
        self.database.close()
        self.database, self.store = self._start()

    def open_ones(self, *states: State) -> list[Lease]:
        return [x for x in self.store.open_ones() if x.state in states]

    fuses = st.sampled_from([None] * 8 + list(range(10)))
    nth = st.integers(0, 30)

    # ---- people --------------------------------------------------------------------------------

    @rule(
        who=st.sampled_from(PEOPLE),
        seconds=st.sampled_from([60, 200, 600]),
        count=st.integers(1, 2),
        shared=st.booleans(),
        fuse=fuses,
    )
    def ask(
        self, who: tuple[str, str], seconds: int, count: int, shared: bool, fuse: int | None
    ) -> None:
        if len(self.open_ones(State.QUEUED)) > 6:
            return
        self.number += 1
        name = f"r{self.number}"
        wanted = wish(*who, seconds, count=1 if shared else count, shared=shared)
        if self.hub(lambda: self.store.ask(name, wanted, self.now), fuse) is not None:
            self.asked.add(name)

    @rule(
        who=st.sampled_from(PEOPLE),
        shared=st.booleans(),
        seconds=st.sampled_from([60, 600]),
        seen=st.booleans(),
    )
    def start(self, who: tuple[str, str], shared: bool, seconds: int, seen: bool) -> None:
        """Somebody asks and takes what is free, as it goes on a good day."""
        self.ask(who, seconds, 1, shared, None)
        self.decide(None)
        for lease in self.open_ones(State.GRANTED):
            person = lease.request.person
            if self.now > lease.granted + POLICY.claim:
                # the Hub died before it noted that the time for it has passed; it has passed all the same
                with pytest.raises(StateError, match="has gone on"):
                    self.store.claim(lease.id, person, self.now)
                assert self.store.lease(lease.id) == lease
                continue
            self.make(self.store.claim(lease.id, person, self.now))
        if seen:
            self.now += 1
            self.look_at_the_engine(None, True, 0)

    @rule(fuse=fuses)
    def decide(self, fuse: int | None) -> None:
        fleet = replace(self.fleet, occupied=self.occupied())
        self.hub(lambda: self.store.decide(self.now, fleet), fuse)

    @precondition(lambda self: self.open_ones(State.GRANTED))
    @rule(nth=nth, fuse=fuses)
    def take_while_a_server_runs(self, nth: int, fuse: int | None) -> None:
        """The server that runs without it is stopped first; claimed later, or never."""
        kept = self.open_ones(State.GRANTED)
        lease = kept[nth % len(kept)]
        person = lease.request.person
        self.hub(lambda: self.store.take(lease.id, person, "torch-cuda", "", self.now), fuse)

    @precondition(lambda self: self.open_ones(State.GRANTED, State.TAKING))
    @rule(nth=nth, fuse=fuses, dies=st.booleans())
    def claim(self, nth: int, fuse: int | None, dies: bool) -> None:
        """The spawner claims, then makes the container; it may die in between."""
        kept = self.open_ones(State.GRANTED, State.TAKING)
        lease = kept[nth % len(kept)]
        person = lease.request.person
        done = self.hub(lambda: self.store.claim(lease.id, person, self.now), fuse)
        if done is not None and not dies:
            self.make(done)

    @precondition(lambda self: self.open_ones(State.ACTIVE))
    @rule(nth=nth, extra=st.sampled_from([60, 600]), fuse=fuses)
    def extend(self, nth: int, extra: int, fuse: int | None) -> None:
        lease = self.open_ones(State.ACTIVE)[nth % len(self.open_ones(State.ACTIVE))]
        person = lease.request.person
        self.hub(lambda: self.store.extend(lease.id, person, extra, self.now, self.fleet), fuse)

    @precondition(lambda self: self.store.open_ones())
    @rule(nth=nth, fuse=fuses, dies=st.booleans(), server=st.booleans())
    def release(self, nth: int, fuse: int | None, dies: bool, server: bool) -> None:
        """A person leaves the line, or a server stops."""
        choice = self.open_ones(State.ACTIVE) if server else self.store.open_ones()
        if not choice:
            return
        lease = choice[nth % len(choice)]
        done = self.hub(lambda: self.store.release(lease.id, self.now), fuse)
        if done is not None and not dies:
            self.kill(lambda c: c.lease == lease.id)

    # ---- the engine ----------------------------------------------------------------------------

    def make(self, lease: Lease) -> None:
        self.number += 1
        self.containers.append(Running(f"c{self.number}", lease.id, lease.slots, self.now))

    def alive(self) -> list[Running]:
        return [c for c in self.containers if c.died is None]

    def kill(self, which: Callable[[Running], bool], removed: bool = True) -> None:
        for container in self.containers:
            if which(container):
                container.died = container.died or self.now
                container.removed = container.removed or removed

    def listing(self) -> list[Container]:
        return [
            Container(c.id, c.lease, c.slots, c.died or 0) for c in self.containers if not c.removed
        ]

    @precondition(lambda self: self.alive())
    @rule(nth=nth, removed=st.booleans(), noticed=st.booleans())
    def a_container_dies(self, nth: int, removed: bool, noticed: bool) -> None:
        """By itself, so that the engine knows when, or removed by another hand."""
        container = self.alive()[nth % len(self.alive())]
        self.kill(lambda c: c is container, removed)
        self.by_hand |= {container.id} if removed else set()
        if noticed:
            self.now += 9
            self.look_at_the_engine(None, True, 0)

    @rule(slot=st.sampled_from([s.id for s in WHOLE + SHARED]))
    def a_stray_container(self, slot: str) -> None:
        """Somebody started it by hand, or a crash forgot it."""
        if not any(slot in c.slots for c in self.alive()):
            self.number += 1
            self.strays.add(f"c{self.number}")
            self.containers.append(Running(f"c{self.number}", "who", (slot,), self.now))

    @precondition(lambda self: self.open_ones(State.ENDING))
    @rule(nth=nth)
    def a_late_container(self, nth: int) -> None:
        """A start was under way when the lease ended."""
        lease = self.open_ones(State.ENDING)[nth % len(self.open_ones(State.ENDING))]
        if not any(c.lease == lease.id for c in self.containers):
            self.make(lease)

    def occupied(self) -> frozenset[str]:
        found = reconcile(self.store.open_ones(), self.listing(), self.now, self.now, POLICY)
        return found.occupied

    @rule(fuse=fuses, stops=st.booleans(), wait=st.sampled_from([0, 0, 5]))
    def look_at_the_engine(self, fuse: int | None, stops: bool, wait: int) -> None:
        """The listing may be some seconds old when it is acted on."""
        listed = self.now
        found = reconcile(self.store.open_ones(), self.listing(), listed, self.now, POLICY)
        self.now += wait
        if self.hub(lambda: self.store.carry_out(found.actions, listed, self.now), fuse) is None:
            return
        if stops:
            stop = {a.container for a in found.actions if a.do is Do.STOP}
            self.kill(lambda c: c.id in stop)

    # ---- time and slots ------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 9, 30, 200]), fuse=fuses)
    def time_passes(self, seconds: int, fuse: int | None) -> None:
        self.now += seconds
        self.hub(lambda: self.store.tick(self.now), fuse)

    @rule(slot=st.sampled_from([s.id for s in WHOLE + SHARED]), fuse=fuses)
    def a_slot_falls_ill(self, slot: str, fuse: int | None) -> None:
        changed = tuple(
            replace(s, health=Health.ILL) if s.id == slot else s for s in self.fleet.slots
        )
        self.fleet = replace(self.fleet, slots=changed)
        sick = {s.id for s in changed if s.health is Health.ILL}
        before = {x.id: x for x in self.open_ones(State.GRANTED, State.TAKING, State.ACTIVE)}
        done = self.hub(lambda: self.store.fell_ill(sick, self.now), fuse)
        for over, again in done or []:
            was = before[over.id]
            left = was.ends - self.now if was.state is State.ACTIVE else was.request.seconds
            # nobody loses a place by it
            assert (again is None) == (left < 60)
            if again is not None:
                assert (again.asked, again.request.seconds) == (was.asked, left)
                self.asked.add(again.id)

    @rule(slot=st.sampled_from([s.id for s in WHOLE + SHARED]), fuse=fuses)
    def drain(self, slot: str, fuse: int | None) -> None:
        self.hub(lambda: self.store.drain(slot, "admin", "a fan", self.now), fuse)

    @rule()
    def all_slots_are_good_again(self) -> None:
        self.fleet = replace(self.fleet, slots=WHOLE + SHARED)
        for slot in self.store.drained():
            self.store.undrain(slot)

    # ---- what always holds ---------------------------------------------------------------------

    @invariant()
    def no_slot_has_two_holders(self) -> None:
        """By the leases, by the table, and by the containers that really run."""
        seats: dict[tuple[str, int], str] = {}
        for lease in self.store.open_ones():
            if lease.state not in HELD:
                assert lease.slots == ()
                continue
            assert len(lease.slots) == lease.request.count
            for slot in lease.slots:
                for seat in [lease.seat] if lease.seat else [0, 1, 2]:
                    assert (slot, seat) not in seats
                    seats[slot, seat] = lease.id
        with self.database.transaction() as db:
            rows = db.execute(sa.select(SEATS)).all()
        stored = {(r.slot, r.seat): r.lease for r in rows if r.lease}
        for (slot, seat), lease_id in stored.items():
            assert seats.pop((slot, seat)) == lease_id
            if seat == 0:
                assert seats.pop((slot, 1)) == seats.pop((slot, 2)) == lease_id
        assert seats == {}
        shared = {r.slot for r in rows if not r.lease}
        assert shared == {r.slot for r in rows if r.seat}
        used: set[tuple[str, str]] = set()
        for container in self.alive():
            if container.id in self.strays:
                continue
            lease_ = self.store.lease(container.lease)
            assert lease_ is not None
            # a slot is held until its container is confirmed gone
            assert lease_.state in HELD
            for slot in container.slots:
                key = (slot, str(lease_.seat))
                assert key not in used
                used.add(key)

    @invariant()
    def no_request_is_lost(self) -> None:
        for name in self.asked:
            lease = self.store.lease(name)
            assert lease is not None
            assert (lease.state in (State.ENDING, State.ENDED)) == (lease.why is not None)

    @invariant()
    def the_ledger_is_what_happened(self) -> None:
        events = self.store.accounts.events()
        beats = [e.moment for e in events if e.what is What.BEAT]
        assert beats == sorted(beats)
        spans = {s.lease: s for s in self.store.accounts.spans()}
        assert len(spans) == len(list(self.store.accounts.spans()))
        claimed = {e.lease for e in events if e.what is What.BEGAN}
        assert set(spans) == claimed
        for name, span in spans.items():
            lease = self.store.lease(name)
            assert lease is not None
            assert span.begin == lease.began
            if lease.state is State.ACTIVE:
                assert span.end == max([lease.began, *beats[-1:]])
                continue
            assert span.end == lease.stopped
            if lease.why is Why.NEVER_STARTED:
                assert span.end == span.begin
            if lease.why is Why.VANISHED:
                (own,) = (c for c in self.containers if c.lease == name)
                assert own.died is not None
                if own.id not in self.by_hand:
                    assert span.end == max(own.died, span.begin)
                # never after it died; and nothing lost but what is between two beats: the one of the
                # second in which it died may come from the look that missed it
                assert span.end <= max(own.died, span.begin)
                assert not [b for b in beats if max(span.begin, span.end) < b < own.died]

    @invariant()
    def what_is_remembered_is_what_is_recomputed(self) -> None:
        with self.database.transaction() as db:
            self.store.accounts.catch_up(db, self.now)
            shares = self.store.accounts.shares(db, self.now, [])
        fresh = Usage(POLICY.half_life)
        open_now = {x.id for x in self.open_ones(State.ACTIVE)}
        remember(fresh, [s for s in self.store.accounts.spans() if s.lease not in open_now], POLICY)
        assert {k: pytest.approx(v) for k, v in fresh.at(self.now).items()} == shares.used

    def teardown(self) -> None:
        """Whatever happened: once the engine is looked at again, everything that is over is free."""
        try:
            self.fuse = None
            self.restart()
            for _ in range(4):
                self.now += 1000
                self.store.tick(self.now)
                self.look_at_the_engine(None, True, 0)
            assert not self.open_ones(*HELD)
            with self.database.transaction() as db:
                assert db.execute(sa.select(SEATS)).all() == []
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", self._burn)
            self.database.close()
            shutil.rmtree(self.folder)


def test_a_kept_one_goes_on_though_the_hub_died_before_noting_it() -> None:
    """Found by Hypothesis, in fewer steps: the time for claiming passes, and the Hub dies as it notes that."""
    state = Crashes()
    try:
        state.first_start()
        state.ask(("minji", "team:a"), 60, 1, False, None)
        state.decide(None)
        (kept,) = state.open_ones(State.GRANTED)
        state.time_passes(30, 1)
        assert state.store.lease(kept.id) == kept
        state.start(("jisu", "team:a"), False, 60, False)
        assert state.store.lease(kept.id) == kept
        assert [x.request.person for x in state.open_ones(State.ACTIVE)] == ["jisu"]
        state.time_passes(1, None)
        over = state.store.lease(kept.id)
        assert over is not None
        assert (over.state, over.why) == (State.ENDED, Why.UNCLAIMED)
        state.no_slot_has_two_holders()
        state.no_request_is_lost()
        state.the_ledger_is_what_happened()
        state.what_is_remembered_is_what_is_recomputed()
    finally:
        state.teardown()


class Waiting(RuleBasedStateMachine):
    """Whoever asks for what and when: nobody waits for longer than the bound that the queue promises."""

    policy = Policy(longest=120, claim=3, settle=2, patience=100, every=3, half_life=500)

    def __init__(self) -> None:
        super().__init__()
        self.fleet = Fleet(slots(3), parts={slots(3)[0].id: 2})
        self.world = World(self.fleet, self.policy)
        self.now = 0
        self.before: dict[str, int] = {}

    def watch(self, now: int, world: World) -> None:
        waiting = [x for x in world.open.values() if x.state is State.QUEUED]
        for lease in waiting:
            if now > lease.asked + self.policy.patience and lease.id not in self.before:
                mine = (lease.asked, lease.id)
                self.before[lease.id] = sum((x.asked, x.id) < mine for x in waiting)
            assert now - lease.asked <= bound(self.policy, self.before.get(lease.id, 0))

    @rule(
        team=st.sampled_from(["team:a", "team:b", "new"]),
        seconds=st.integers(60, 120),
        count=st.integers(1, 2),
        shared=st.booleans(),
    )
    def ask(self, team: str, seconds: int, count: int, shared: bool) -> None:
        team = f"team:{self.world.number}" if team == "new" else team
        wanted = wish(f"p{self.world.number % 4}", team, seconds, shared=shared)
        self.world.ask(wanted if shared else replace(wanted, count=count), self.now)

    @rule(seconds=st.integers(1, 150))
    def time_passes(self, seconds: int) -> None:
        run_out(self.world, [], self.now + seconds, self.watch, self.now)
        self.now += seconds + 1

    def teardown(self) -> None:
        run_out(self.world, [], self.now + 10**6, self.watch, self.now)
        assert not self.world.open


TestCrashes = Crashes.TestCase
TestCrashes.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    # a failure's steps are told as they were found, and kept for the next run, which begins with them. The
    # search for the fewest takes up to five minutes; who wants it adds Phase.shrink here
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestWaiting = Waiting.TestCase
TestWaiting.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
