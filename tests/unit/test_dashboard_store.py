"""What is kept of dashboards, and that nothing that is named is ever removed; SQLite and PostgreSQL."""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.snapshots import sent

from madang_hub.dashboards import tables
from madang_hub.dashboards import versions as rules
from madang_hub.dashboards.archive import contents, intact, manifest_of
from madang_hub.dashboards.audience import Audience, Link, Visitor
from madang_hub.dashboards.model import DAY, Actor, Check, Dashboard, Policy, State, What
from madang_hub.dashboards.refusals import (
    ChangedError,
    MayNotError,
    MoveError,
    NotFoundError,
)
from madang_hub.dashboards.store import LETTERS, SLUG, Dashboards
from madang_hub.dashboards.tables import DASHBOARDS, VERSIONS, save
from madang_hub.people.database import Database

TEAM = "class:2026-a"
AUTHOR = Actor("jisu", frozenset({TEAM}), frozenset({TEAM}), publishes=True)
POLICY = Policy(each=3, kept=3, lingers=100)


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    found = Database(url)
    yield found
    found.close()


@pytest.fixture
def snapshots(tmp_path: Path) -> Path:
    return tmp_path / "versions"


@pytest.fixture
def store(database: Database, snapshots: Path) -> Dashboards:
    return Dashboards(database, snapshots, POLICY)


def publish(
    store: Dashboards, slug: str, content: str, now: int = 1000, *, well: bool = True
) -> Dashboard:
    """A new version with this content, and what its check says."""
    with sent(store.snapshots, content) as incoming:
        found = store.publish(slug, incoming, "a.ipynb", AUTHOR, now)
    if not well:
        return found
    return store.move(slug, lambda d: rules.passed(d, found.last, now))


def test_a_whole_life_survives_restarts_between_all_steps(url: str, snapshots: Path) -> None:
    def anew() -> Dashboards:
        return Dashboards(Database(url), snapshots, POLICY)

    made = anew().create(AUTHOR, "판매 <b>", 1000, team=TEAM, description="a\nb")
    assert anew().find(made.slug) == made
    one = publish(anew(), made.slug, "one", 1001)
    assert (one.published, one.current) == (True, 1)
    two = publish(anew(), made.slug, "two", 1002)
    assert anew().find(made.slug) == two
    audience = Audience(
        frozenset({"hana"}), frozenset({TEAM}), True, (Link("h", "jisu", 1, 2, "g", 3),)
    )
    shared = anew().move(made.slug, lambda d: rules.for_whom(d, audience, AUTHOR, 1003))
    assert shared.audience == audience
    back = anew().move(made.slug, lambda d: rules.show(d, 1, AUTHOR, 1004))
    assert back.current == 1
    assert [d.slug for d in anew().seen_by(Visitor("hana"), 1005)] == [made.slug]
    assert anew().seen_by(Visitor(), 1005) == []
    gone = anew().move(made.slug, lambda d: rules.delete(d, AUTHOR, 1006, POLICY))
    assert anew().find(made.slug) == gone
    assert anew().of("jisu") == [gone]
    assert anew().of_team(TEAM) == [gone]
    assert anew().tick(1006 + 7 * DAY - 1) == []
    (over,) = anew().tick(1006 + 7 * DAY)
    assert over.state is State.GONE
    assert anew().find(made.slug) is None
    assert anew().owners() == frozenset()
    # what happened stays written down
    assert [e.what for e in reversed(anew().events(made.slug))] == [
        What.MADE,
        What.UPLOADED,
        What.PASSED,
        What.UPLOADED,
        What.PASSED,
        What.AUDIENCE,
        What.ROLLED_BACK,
        What.DELETED,
        What.REMOVED,
    ]
    now = 1006 + 7 * DAY
    assert anew().collect(now) == []
    assert len(anew().collect(now + 100)) == 2
    assert contents(snapshots) == frozenset()


def test_slugs_say_nothing(store: Dashboards) -> None:
    slugs = {store.create(AUTHOR, "Sales", 1000).slug for _ in range(3)}
    assert len(slugs) == 3
    for slug in slugs:
        assert len(slug) == SLUG
        assert set(slug) <= set(LETTERS)
        assert "sales" not in slug
    with pytest.raises(MoveError, match="3 dashboards already"):
        store.create(AUTHOR, "one more", 1000)


def test_current_moves_only_for_who_saw_what_it_is(store: Dashboards) -> None:
    slug = store.create(AUTHOR, "t", 1000).slug
    publish(store, slug, "one")
    seen = publish(store, slug, "two")
    moved = store.move(slug, lambda d: rules.show(d, 1, AUTHOR, 1001), expect=seen.revision)
    with pytest.raises(ChangedError):
        store.move(slug, lambda d: rules.show(d, 2, AUTHOR, 1002), expect=seen.revision)
    with sent(store.snapshots, "three") as incoming, pytest.raises(ChangedError):
        store.publish(slug, incoming, "a.ipynb", AUTHOR, 1002, expect=seen.revision)
    assert store.find(slug) == moved
    with pytest.raises(NotFoundError):
        store.move("nothing", lambda d: rules.show(d, 2, AUTHOR, 1002))


def test_the_table_takes_no_step_from_a_state_that_is_past(
    store: Dashboards, database: Database
) -> None:
    """Also where whoever asks has not come one after the other."""
    slug = store.create(AUTHOR, "t", 1000).slug
    before = publish(store, slug, "one")
    store.move(slug, lambda d: rules.unpublish(d, AUTHOR, 1001))
    late, _ = rules.show(before, 1, AUTHOR, 1002)
    with database.transaction() as db:
        assert not save(db, before, late)
    found = store.find(slug)
    assert found is not None
    assert found.current == 0


def test_what_is_refused_changes_nothing(store: Dashboards, snapshots: Path) -> None:
    before = store.create(AUTHOR, "t", 1000)
    stranger = Actor("bora", publishes=True)
    with sent(snapshots, "x") as incoming:
        with pytest.raises(MayNotError):
            store.publish(before.slug, incoming, "a.ipynb", stranger, 1001)
        with pytest.raises(NotFoundError, match="notebook"):
            store.publish(before.slug, incoming, "b.ipynb", AUTHOR, 1001)
    assert contents(snapshots) == frozenset()
    assert store.find(before.slug) == before
    assert [e.what for e in store.events(before.slug)] == [What.MADE]


def test_a_check_that_never_answers_fails_by_the_clock(store: Dashboards) -> None:
    slug = store.create(AUTHOR, "t", 1000).slug
    publish(store, slug, "one", 1000, well=False)
    assert store.tick(1599) == []
    (found,) = store.tick(1600)
    assert found.versions[0].check is Check.FAILED
    assert store.find(slug) == found


# ---- collection ---------------------------------------------------------------------------------


def test_only_what_nothing_names_is_collected_and_only_after_a_while(
    store: Dashboards, snapshots: Path
) -> None:
    slug = store.create(AUTHOR, "t", 1000).slug
    names = [publish(store, slug, c, well=c != "c").versions[-1].content for c in "abcd"]
    # the oldest of four went: three are kept
    found = store.find(slug)
    assert found is not None
    assert found.names == set(names[1:])
    assert store.collect(2000) == []
    assert store.collect(2099) == []
    # a container still shows it
    assert store.collect(2100, in_use={names[0]}) == []
    assert store.collect(3000) == []
    assert store.collect(3099) == []
    assert store.collect(3100) == [names[0]]
    assert contents(snapshots) == set(names[1:])
    assert [p.name for p in snapshots.iterdir() if p.name.startswith(".")] == []
    assert store.collect(9999) == []


def test_what_is_named_again_has_its_time_again(store: Dashboards, snapshots: Path) -> None:
    slug = store.create(AUTHOR, "t", 1000).slug
    first = publish(store, slug, "a").versions[-1].content
    for content in "bcd":
        publish(store, slug, content)
    assert store.collect(2000) == []
    publish(store, slug, "a")
    for content in "bcd":
        publish(store, slug, content)
    assert store.collect(2100) == []
    assert store.collect(2200) == [first]


def test_two_dashboards_with_the_same_files_need_one_snapshot(
    store: Dashboards, snapshots: Path
) -> None:
    one, two = (store.create(AUTHOR, t, 1000).slug for t in "ab")
    content = publish(store, one, "same").versions[0].content
    assert publish(store, two, "same").versions[0].content == content
    store.move(one, lambda d: rules.delete(d, AUTHOR, 1000, POLICY))
    store.tick(1000 + 7 * DAY)
    store.collect(10**7)
    store.collect(2 * 10**7)
    assert contents(snapshots) == {content}
    store.move(two, lambda d: rules.delete(d, AUTHOR, 1000, POLICY))
    store.tick(1000 + 7 * DAY)
    store.collect(3 * 10**7)
    store.collect(4 * 10**7)
    assert contents(snapshots) == frozenset()


# ---- real processes -----------------------------------------------------------------------------

RACERS, TURNS, SAME = 4, 8, 3
AT_ONCE = Policy(kept=1, lingers=0)
"""Each publish forgets the version before, and what is forgotten may go at once."""


def publisher(url: str, snapshots: Path, number: int, start: Any, results: Any) -> None:
    """Publish what others publish and forget at the same moment."""
    database = Database(url)
    store = Dashboards(database, snapshots, AT_ONCE)
    actor = Actor(f"p{number}", publishes=True)
    slug = store.create(actor, "t", 1000).slug
    chance = random.Random(number)  # noqa: S311  # the same for each run
    start.wait()
    kept = 0
    for _ in range(TURNS):
        with sent(snapshots, f"content {chance.randrange(SAME)}") as incoming:
            found = store.publish(slug, incoming, "a.ipynb", actor, 1000)
        # it is named now: whoever collects, it is there until this one publishes again
        (content,) = found.names
        for _ in range(5):
            assert intact(snapshots / content, manifest_of(snapshots, content))
        kept += 1
    results.put(kept)
    database.close()


def collector(url: str, snapshots: Path, start: Any, stop: Any, results: Any) -> None:
    database = Database(url)
    store = Dashboards(database, snapshots, AT_ONCE)
    start.wait()
    removed = 0
    while not stop.is_set():
        removed += len(store.collect(1000))
    results.put(removed)
    database.close()


def test_a_publish_in_flight_is_never_collected(url: str, snapshots: Path) -> None:
    method = multiprocessing.get_context("spawn")
    start, stop, results, removed = (
        method.Barrier(RACERS + 1),
        method.Event(),
        method.Queue(),
        method.Queue(),
    )
    sweeper = method.Process(target=collector, args=(url, snapshots, start, stop, removed))
    racers = [
        method.Process(target=publisher, args=(url, snapshots, n, start, results))
        for n in range(RACERS)
    ]
    for process in (sweeper, *racers):
        process.start()
    for racer in racers:
        racer.join(100)
    stop.set()
    swept = removed.get(timeout=60)
    sweeper.join(60)
    assert [p.exitcode for p in (sweeper, *racers)] == [0] * (RACERS + 1)
    assert [results.get(timeout=9) for _ in racers] == [TURNS] * RACERS
    # it did have something to do meanwhile
    assert swept > 0
    store = Dashboards(Database(url), snapshots, AT_ONCE)
    store.collect(1000)
    named = {d.versions[0].content for n in range(RACERS) for d in store.of(f"p{n}")}
    assert contents(snapshots) == named
    for content in named:
        assert intact(snapshots / content, manifest_of(snapshots, content))
    assert {p.name for p in snapshots.iterdir()} == named


def mover(url: str, snapshots: Path, slug: str, start: Any, results: Any) -> None:
    store = Dashboards(Database(url), snapshots, POLICY)
    start.wait()
    won = 0
    for _ in range(6):
        seen = store.find(slug)
        assert seen is not None
        other = 2 if seen.current == 1 else 1
        step = partial(rules.show, number=other, actor=AUTHOR, now=1000)
        try:
            store.move(slug, step, expect=seen.revision)
        except ChangedError:
            continue
        won += 1
    results.put(won)


def test_of_two_who_saw_the_same_one_moves_it(url: str, snapshots: Path) -> None:
    store = Dashboards(Database(url), snapshots, POLICY)
    slug = store.create(AUTHOR, "t", 1000).slug
    publish(store, slug, "one")
    before = publish(store, slug, "two")
    method = multiprocessing.get_context("spawn")
    start, results = method.Barrier(3), method.Queue()
    movers = [
        method.Process(target=mover, args=(url, snapshots, slug, start, results)) for _ in range(3)
    ]
    for process in movers:
        process.start()
    won = sum(results.get(timeout=60) for _ in movers)
    for process in movers:
        process.join(60)
        assert process.exitcode == 0
    found = store.find(slug)
    assert found is not None
    assert found.revision == before.revision + won
    assert found.current == (2 if won % 2 == 0 else 1)


def die_before_the_commit(url: str, snapshots: Path, slug: str) -> None:
    """Its snapshot is on the disk and its version is not in the table when it ends."""
    store = Dashboards(Database(url), snapshots, POLICY)

    @sa.event.listens_for(sa.Engine, "after_cursor_execute")
    def _(*args: object) -> None:
        if str(args[2]).startswith(f"INSERT INTO {VERSIONS.name}"):
            os._exit(9)

    publish(store, slug, "never")


def test_a_process_that_dies_in_the_middle_leaves_nothing_half(url: str, snapshots: Path) -> None:
    store = Dashboards(Database(url), snapshots, POLICY)
    slug = store.create(AUTHOR, "t", 1000).slug
    before = publish(store, slug, "one")
    method = multiprocessing.get_context("spawn")
    victim = method.Process(target=die_before_the_commit, args=(url, snapshots, slug))
    victim.start()
    victim.join(60)
    assert victim.exitcode == 9
    assert store.find(slug) == before
    (left,) = contents(snapshots) - before.names
    store.collect(2000)
    assert store.collect(2100) == [left]
    assert publish(store, slug, "never").current == 2


def test_nobody_is_handed_more_than_they_may_have(store: Dashboards) -> None:
    other = replace(AUTHOR, name="minji")
    for _ in range(POLICY.each):
        store.create(other, "Full", 1000, team=TEAM)
    made = store.create(AUTHOR, "One more", 1000, team=TEAM)
    with pytest.raises(MoveError, match="minji has 3 dashboards already"):
        store.move(made.slug, lambda d: rules.hand_over(d, other, AUTHOR, 1001))
    shared = Audience(teams=frozenset({TEAM}))
    store.move(made.slug, lambda d: rules.for_whom(d, shared, AUTHOR, 1001))
    stay = replace(POLICY, passes_on=False)
    store.move(made.slug, lambda d: rules.owner_gone(d, [other], 1002, stay))
    with pytest.raises(MoveError, match="minji has 3 dashboards already"):
        store.move(made.slug, lambda d: rules.take_over(d, other, 1003))
    assert len(store.of("minji")) == POLICY.each
    # what its author leaves behind goes on all the same
    store.move(made.slug, lambda d: rules.owner_back(d, 1004))
    assert (
        store.move(made.slug, lambda d: rules.owner_gone(d, [other], 1005, POLICY)).owner == "minji"
    )


def test_no_change_goes_without_the_row_that_it_locks(
    store: Dashboards, database: Database
) -> None:
    store.create(AUTHOR, "One", 1000)
    with database.transaction() as db:
        db.execute(tables.TURNS.delete())
    store.create(AUTHOR, "Two", 1000)
    with database.transaction() as db:
        assert len(db.execute(sa.select(tables.TURNS)).all()) == 1
    assert len(store.of(AUTHOR.name)) == 2


def test_a_title_as_long_as_may_be_fits(store: Dashboards, database: Database) -> None:
    title, words = "가" * rules.TITLE, "나" * rules.DESCRIPTION
    made = store.create(AUTHOR, title, 1000, description=words)
    assert store.find(made.slug) == replace(made, title=title, description=words)
    with database.transaction() as db:
        assert db.execute(sa.select(DASHBOARDS.c.title)).scalar_one() == title
