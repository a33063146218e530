"""Dashboards in the Hub's database, and their snapshots on the disk.

Every method is one transaction and blocks. Changes come one after the other
(:class:`~madang_hub.people.turns.Turns`), and a snapshot begins and ceases to count only within one. So a
publish in flight and a collection never cross: the snapshot is named before the collector looks, or the
collector has taken it away before it is looked for, and then it is made again. A crash between the disk and
the commit leaves at most a snapshot that nothing names.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from datetime import date
from pathlib import Path

import sqlalchemy as sa

from madang_hub.dashboards import archive
from madang_hub.dashboards import versions as rules
from madang_hub.dashboards.archive import Incoming
from madang_hub.dashboards.audience import Visitor, may_see
from madang_hub.dashboards.model import Actor, Check, Dashboard, Event, Policy, State, Version
from madang_hub.dashboards.refusals import ChangedError, MoveError, NotFoundError
from madang_hub.dashboards.tables import (
    DASHBOARDS,
    EVENTS,
    SPARE,
    TURNS,
    VERSIONS,
    VISITS,
    event_of,
    insert,
    named,
    note,
    save,
    select,
)
from madang_hub.people.database import Database
from madang_hub.people.turns import Turns
from madang_hub.web.i18n import N_

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Of slugs: none that is taken for another."""
SLUG = 20
"""Letters of a slug: 99 bits, drawn at random. A title is no help in finding it."""

Move = Callable[[Dashboard], rules.Step | None]
"""One of the moves of :mod:`.versions`, for the dashboard as it is when its turn comes; None: nothing changes.
"""


class Dashboards:
    """The store; ``snapshots`` is the folder of :mod:`.archive`. One object for each thread or process."""

    def __init__(self, database: Database, snapshots: Path, policy: Policy) -> None:
        self._database = database
        self._turns = Turns(database, TURNS)
        self.snapshots = snapshots
        self._policy = policy

    # ---- changes --------------------------------------------------------------------------

    def create(
        self, actor: Actor, title: str, now: int, *, team: str = "", description: str = ""
    ) -> Dashboard:
        """A dashboard without a version, at an address that nobody can guess.

        Raises:
            MayNotError, MoveError: see :func:`.versions.new`; or the actor has too many.
        """
        slug = "".join(secrets.choice(LETTERS) for _ in range(SLUG))
        made, event = rules.new(slug, actor, title, now, team=team, description=description)

        def work(db: sa.Connection) -> Dashboard:
            if _count(db, actor.name) >= self._policy.each:
                raise MoveError(
                    N_(
                        "You have {most} dashboards already; deleted ones count for as long as they can be "
                        "brought back. Publish a new version of one."
                    ),
                    most=self._policy.each,
                )
            insert(db, made)
            note(db, event)
            return made

        return self._turns.change(work)

    def publish(
        self,
        slug: str,
        incoming: Incoming,
        notebook: str,
        actor: Actor,
        now: int,
        *,
        environment: str = "",
        size: str = "",
        expect: int | None = None,
    ) -> Dashboard:
        """Keep a snapshot as the dashboard's newest version; its check may begin.

        Raises:
            DashboardError: see :func:`.versions.upload`; ``notebook`` is not in the snapshot; or as
            :meth:`move`.
        """
        if all(f.path != notebook for f in incoming.manifest.files):
            raise NotFoundError(N_("The notebook is not among the files that were sent."))

        def step(dashboard: Dashboard) -> rules.Step:
            return rules.upload(
                dashboard,
                incoming.content,
                notebook,
                actor,
                now,
                self._policy,
                environment=environment,
                size=size,
            )

        def keep(db: sa.Connection, *_: object) -> None:
            incoming.keep()
            db.execute(SPARE.delete().where(SPARE.c.content == incoming.content))

        return self._turns.change(lambda db: _moved(db, slug, step, expect, keep))

    def move(self, slug: str, step: Move, *, expect: int | None = None) -> Dashboard:
        """Do a move of :mod:`.versions`; the dashboard as it is then.

        Args:
            expect: the revision that whoever asks has seen; None: whatever it is.

        Raises:
            DashboardError: what the move raises. Nothing was changed.
            MoveError: it would become somebody's who has too many.
            ChangedError: it has another revision.
            NotFoundError: there is no such dashboard.
        """

        def fits(db: sa.Connection, before: Dashboard, taken: rules.Step) -> None:
            after, event = taken
            # who inherits one is not asked
            handed = event.by and after.owner != before.owner
            if handed and _count(db, after.owner) >= self._policy.each:
                raise MoveError(
                    N_(
                        "{person} has {most} dashboards already, so this one cannot be theirs; deleted ones "
                        "count for as long as they can be brought back."
                    ),
                    person=after.owner,
                    most=self._policy.each,
                )

        return self._turns.change(lambda db: _moved(db, slug, step, expect, fits))

    def tick(self, now: int) -> list[Dashboard]:
        """What the clock alone brings about (:func:`.versions.due`); those that changed."""
        waits = sa.select(VERSIONS.c.slug).where(VERSIONS.c.check == Check.CHECKING.value)
        due = (DASHBOARDS.c.state == State.DELETED.value) | DASHBOARDS.c.slug.in_(waits)

        def work(db: sa.Connection) -> list[Dashboard]:
            changed = []
            for dashboard in select(db, due):
                step = rules.due(dashboard, now, self._policy)
                if step is not None:
                    _keep(db, dashboard, step)
                    changed.append(step[0])
            return changed

        return self._turns.change(work)

    def collect(self, now: int, in_use: Collection[str] = ()) -> list[str]:
        """Remove snapshots that nothing has named for a while, and what crashes left; what was removed.

        Args:
            in_use: what a running container shows, although its version may be gone.
        """

        def work(db: sa.Connection) -> list[str]:
            spare = archive.contents(self.snapshots) - named(db) - frozenset(in_use)
            known = {row.content: row.since for row in db.execute(sa.select(SPARE))}
            for content in known.keys() - spare:
                db.execute(SPARE.delete().where(SPARE.c.content == content))
            for content in spare - known.keys():
                db.execute(SPARE.insert().values(content=content, since=now))
            over = sorted(c for c in spare if known.get(c, now) + self._policy.lingers <= now)
            for content in over:
                archive.set_aside(self.snapshots, content)
                db.execute(SPARE.delete().where(SPARE.c.content == content))
            return over

        removed = self._turns.change(work)
        archive.clear(self.snapshots, now)
        return removed

    def count_visit(self, slug: str, day: date) -> None:
        """One visit more on ``day``; none where there is no such dashboard (any more)."""

        def work(db: sa.Connection) -> None:
            row = (VISITS.c.slug == slug) & (VISITS.c.day == day)
            more = VISITS.update().where(row).values(visits=VISITS.c.visits + 1)
            if not db.execute(more).rowcount and select(db, DASHBOARDS.c.slug == slug):
                db.execute(VISITS.insert().values(slug=slug, day=day, visits=1))

        self._turns.change(work)

    # ---- what there is --------------------------------------------------------------------

    def visits(self, slug: str, since: date) -> dict[date, int]:
        """How many visits began on each day from ``since`` on; days without one are left out."""
        query = sa.select(VISITS.c.day, VISITS.c.visits).where(VISITS.c.slug == slug)
        with self._database.transaction() as db:
            rows = db.execute(query.where(VISITS.c.day >= since).order_by(VISITS.c.day)).all()
        return {row.day: row.visits for row in rows}

    def find(self, slug: str) -> Dashboard | None:
        with self._database.transaction() as db:
            found = select(db, DASHBOARDS.c.slug == slug)
        return found[0] if found else None

    def of(self, owner: str) -> list[Dashboard]:
        """Those of one author, also deleted ones that can be brought back."""
        with self._database.transaction() as db:
            return select(db, DASHBOARDS.c.owner == owner)

    def of_team(self, team: str) -> list[Dashboard]:
        """Those that the mentors of a team look after."""
        with self._database.transaction() as db:
            return select(db, DASHBOARDS.c.team == team)

    def seen_by(self, visitor: Visitor, now: int) -> list[Dashboard]:
        """Those that ``visitor`` may open."""
        with self._database.transaction() as db:
            found = select(db, DASHBOARDS.c.state == State.PUBLISHED.value)
        return [d for d in found if may_see(d, visitor, now)]

    def all(self) -> list[Dashboard]:
        """Every one, whatever its state."""
        with self._database.transaction() as db:
            return select(db)

    def checking(self) -> list[tuple[Dashboard, Version]]:
        """The versions whose check runs or should run."""
        waits = sa.select(VERSIONS.c.slug).where(VERSIONS.c.check == Check.CHECKING.value)
        with self._database.transaction() as db:
            found = select(db, DASHBOARDS.c.slug.in_(waits))
        return [(d, v) for d in found for v in d.versions if v.check is Check.CHECKING]

    def owners(self) -> frozenset[str]:
        """Everybody who has a dashboard."""
        with self._database.transaction() as db:
            return frozenset(db.execute(sa.select(DASHBOARDS.c.owner).distinct()).scalars())

    def events(self, slug: str, most: int = 200) -> list[Event]:
        """What happened to a dashboard, the latest first; also when it is gone."""
        query = sa.select(EVENTS).where(EVENTS.c.slug == slug)
        with self._database.transaction() as db:
            rows = db.execute(query.order_by(EVENTS.c.seq.desc()).limit(most)).mappings()
            return [event_of(row) for row in rows]


def _moved(
    db: sa.Connection,
    slug: str,
    step: Move,
    expect: int | None,
    also: Callable[[sa.Connection, Dashboard, rules.Step], None],
) -> Dashboard:
    found = select(db, DASHBOARDS.c.slug == slug)
    if not found:
        raise NotFoundError(N_("There is no such dashboard."))
    before = found[0]
    if expect is not None and expect != before.revision:
        raise _changed()
    taken = step(before)
    if taken is None:
        return before
    also(db, before, taken)
    return _keep(db, before, taken)


def _count(db: sa.Connection, owner: str) -> int:
    mine = sa.select(sa.func.count()).where(DASHBOARDS.c.owner == owner)
    found: int = db.execute(mine).scalar_one()
    return found


def _keep(db: sa.Connection, before: Dashboard, step: rules.Step) -> Dashboard:
    after, event = step
    if not save(db, before, after):
        raise _changed()
    note(db, event)
    return after


def _changed() -> ChangedError:
    return ChangedError(N_("Somebody changed this dashboard meanwhile. Load the page again."))
