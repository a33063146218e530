"""Running servers as Madang remembers them: warnings, extensions, busy reports, and their next end.

One table, ``madang_servers``; a row is about one run of a server and is used anew at the next. The rules are
in ``idle.py``. Two processes look at servers and keep the rows: the idle culler at all of them, every
minute, and the people service at those for which a class or somebody's access ends. Each does it in
**rounds**: :meth:`Servers.begin_round` reads everything once, :meth:`Servers.judge` decides about one
server and writes only what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

import sqlalchemy as sa

from madang_hub.people import idle
from madang_hub.people.audit import Audit
from madang_hub.people.classes import Classes
from madang_hub.people.database import META, Database, Moment
from madang_hub.people.directory import Directory, Membership
from madang_hub.people.idle import Decision, Kept, Running, Why
from madang_hub.people.rounds import Policy, Round, Row, ServerKey
from madang_hub.people.sentences import Sentence
from madang_hub.settings import Settings
from madang_hub.web.i18n import N_

_servers = sa.Table(
    "madang_servers",
    META,
    sa.Column("person", sa.String(255), primary_key=True),
    sa.Column("server", sa.String(255), primary_key=True),
    sa.Column("started", Moment, nullable=False),
    sa.Column("active", Moment, nullable=False),
    sa.Column("seen", Moment, nullable=False),
    sa.Column("warned", Moment),
    sa.Column("ends", Moment),
    sa.Column("why", sa.String(16)),
    # since when it has been asked to stop
    sa.Column("stopping", Moment),
    sa.Column("busy_at", Moment),
    sa.Column("busy_why", sa.String(16), nullable=False, server_default=""),
    sa.Column("extended_at", Moment),
    sa.Column("extended_until", Moment),
    sa.Column("presses", sa.Integer, nullable=False, server_default="0"),
)

T = TypeVar("T")
BusyWhy = Literal["kernel", "accelerator", ""]
FORGET = timedelta(days=1)
"""Rows of servers that nobody has seen for this long are removed."""


@dataclass(frozen=True)
class ServerState:
    """What a person is told about the own server (``api/me``).

    With ``warning``, the server is stopped at ``ends`` unless its person does something. Without, ``ends``
    is the next end that comes in any case (class, longest running time), if there is one.
    """

    name: str
    ends: datetime | None
    why: Why | None
    warning: bool
    can_extend: bool
    extended_until: datetime | None

    def model(self) -> dict[str, Any]:
        """As JSON has it."""
        found = asdict(self)
        for name in ("ends", "extended_until"):
            found[name] = found[name].isoformat() if found[name] else None
        return found


class Servers:
    """The table, and the decisions about what is in it. Every method blocks on the database."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._directory = Directory(database)
        self._audit = Audit(database)
        self.policy = Policy.of(settings)
        self._classes = Classes(database, self.policy.zone)

    # ---- for a person: what api/me asks -----------------------------------------------------

    def server_state(self, person: str, server: str, now: datetime) -> ServerState | None:
        """What is known of a running server; None when none was seen lately (or it is stopping)."""
        row = self._row(ServerKey(person, server))
        if row is None or row.stopping is not None:
            return None
        seen = row.kept.seen
        if seen is None or now - seen > self._stale:
            return None
        return self._state(person, server, row, now)

    def _state(self, person: str, server: str, row: Row, now: datetime) -> ServerState:
        can = False
        if row.kept.warned is not None:
            around = self._round(now, person).around(person, row.running.started)
            can = idle.can_extend(row.running, row.kept, around, now)
        until = row.kept.extended_until
        return ServerState(
            name=server,
            ends=row.ends,
            why=row.why,
            warning=row.kept.warned is not None,
            can_extend=can,
            extended_until=until if until is not None and until > now else None,
        )

    def extend(self, person: str, server: str, now: datetime) -> ServerState:
        """One press of *extend*; the new state.

        Raises:
            idle.ExtensionRefused: it is not allowed; its ``sentence`` says why.
        """
        key = ServerKey(person, server)
        known = self._round(now, person)
        with self._database.transaction() as db:
            row = _lock(db, key)
            if row is None or row.kept.warned is None:
                raise idle.ExtensionRefused(
                    Sentence(N_("There is nothing to extend: your server is not about to stop."))
                )
            if row.stopping is not None:
                raise idle.ExtensionRefused(
                    Sentence(N_("Your server is stopping already. You can start it again."))
                )
            around = known.around(person, row.running.started)
            kept = idle.extend(row.running, row.kept, around, now)
            then = idle.decide(row.running, kept, around, now)
            row = replace(
                row,
                ends=then.ends,
                why=then.why,
                kept=replace(kept, warned=then.warned if then.action != "go" else None),
            )
            _write(db, key, row)
        self._audit.write(now, person, "server.extended", person, server=server)
        return self._state(person, server, row, now)

    def busy(self, person: str, server: str, busy: bool, why: BusyWhy, now: datetime) -> None:
        """The server says that something runs in it (or not any more).

        Dropped when nobody has looked at the server yet: it began less than a round ago.
        """
        update = _servers.update().filter_by(person=person, server=server)
        if busy:
            update = update.values(busy_at=now, busy_why=why or "kernel")
        else:
            update = update.where(_servers.c.busy_why != "").values(busy_at=now, busy_why="")
        with self._database.transaction() as db:
            db.execute(update)

    def working(self, people: Collection[str], now: datetime) -> dict[str, bool]:
        """Whether a kernel, a terminal or a device works in the default servers of ``people``, as those said.

        Of a server that nobody has looked at lately nothing is known: it is not in the answer. A report that
        comes before the first look is dropped.
        """
        query = sa.select(_servers).where(_servers.c.person.in_(people), _servers.c.server == "")
        with self._database.transaction() as db:
            rows = [(r["person"], _row(r)) for r in db.execute(query).mappings()]
        return {
            person: idle.busy(row.kept, now)
            for person, row in rows
            if row.kept.seen is not None and now - row.kept.seen <= self._stale
        }

    # ---- for those who look after servers ---------------------------------------------------

    def begin_round(
        self, now: datetime, seen: Mapping[ServerKey, tuple[Running, datetime]] | None = None
    ) -> Round:
        """Read everything once; ``seen`` are the servers that the last round met, and when."""
        if seen:
            self.note_seen(seen)
        return self._round(now)

    def judge(self, key: ServerKey, server: Running, known: Round) -> Decision:
        """Decide about one server and remember it. Whoever asked stops it when that is the decision.

        The row is read again before anything is changed, so that a press of *extend* since the round began
        counts.
        """
        now = known.now
        around = known.around(key.person, server.started)
        row = known.rows.get(key, Row(server)).for_run(server)
        decision = idle.decide(server, row.kept, around, now)
        before = known.rows.get(key)
        if before is not None and before.running.started == server.started:
            same = replace(before, running=server, kept=replace(before.kept, seen=now))
            if _after(row, decision, now) == same:
                return decision

        def remember(db: sa.Connection) -> tuple[Decision, bool]:
            row = (_lock(db, key) or Row(server)).for_run(server)
            decision = idle.decide(server, row.kept, around, now)
            _write(db, key, _after(row, decision, now))
            return decision, row.stopping is not None

        decision, asked = self._change(remember)
        if decision.action == "stop" and not asked:
            self._audit.write(
                now, "madang", "server.stopped", key.person, server=key.server, why=decision.why
            )
        return decision

    def note_seen(self, seen: Mapping[ServerKey, tuple[Running, datetime]]) -> None:
        """Note when servers were last looked at and used, so that their warnings stand (one statement)."""
        update = (
            _servers.update()
            .where(
                _servers.c.person == sa.bindparam("of_person"),
                _servers.c.server == sa.bindparam("of_server"),
                _servers.c.started == sa.bindparam("of_started"),
                _servers.c.seen < sa.bindparam("now"),
            )
            .values(seen=sa.bindparam("now"), active=sa.bindparam("used"))
        )
        values = [
            {
                "of_person": key.person,
                "of_server": key.server,
                "of_started": running.started,
                "used": running.active,
                "now": when,
            }
            for key, (running, when) in seen.items()
        ]
        with self._database.transaction() as db:
            db.execute(update, values)

    def forget(self, key: ServerKey) -> None:
        """The server does not run any more."""
        with self._database.transaction() as db:
            db.execute(_servers.delete().filter_by(person=key.person, server=key.server))

    def forget_old(self, now: datetime) -> int:
        """Remove rows of servers that have not been seen for long; how many."""
        with self._database.transaction() as db:
            done = db.execute(_servers.delete().where(_servers.c.seen < now - FORGET))
        return int(done.rowcount)

    # ---- reading and writing ------------------------------------------------------------------

    @property
    def _stale(self) -> timedelta:
        """A server not seen for this long does not run any more: a few rounds."""
        return self.policy.every * 3 + timedelta(seconds=5)

    def _round(self, now: datetime, person: str = "") -> Round:
        directory = self._directory
        if person:
            known = directory.person(person)
            people = [known] if known else []
            rows: Mapping[ServerKey, Row] = {}
        else:
            people = directory.people()
            with self._database.transaction() as db:
                rows = {
                    ServerKey(r["person"], r["server"]): _row(r)
                    for r in db.execute(sa.select(_servers)).mappings()
                }
        memberships: dict[str, list[Membership]] = {}
        for membership in directory.memberships(person=person):
            memberships.setdefault(membership.person, []).append(membership)
        return Round(
            now,
            self.policy,
            rows,
            {p.name: p for p in people},
            memberships,
            self._classes.timetables([t for t in directory.teams() if t.is_class]),
        )

    def _change(self, work: Callable[[sa.Connection], T]) -> T:
        """Do ``work`` in a transaction; again, if another process made the same new row meanwhile."""
        try:
            with self._database.transaction() as db:
                return work(db)
        except sa.exc.IntegrityError:
            with self._database.transaction() as db:
                return work(db)

    def _row(self, key: ServerKey) -> Row | None:
        with self._database.transaction() as db:
            return _read(db, key)


def _after(row: Row, decision: Decision, now: datetime) -> Row:
    """``row`` when ``decision`` was taken."""
    return Row(
        running=row.running,
        ends=decision.ends,
        why=decision.why,
        stopping=(row.stopping or now) if decision.action == "stop" else None,
        kept=replace(row.kept, seen=now, warned=decision.warned),
    )


def _lock(db: sa.Connection, key: ServerKey) -> Row | None:
    """The row, which nobody else changes until the transaction ends.

    The update that changes nothing takes the row's lock (PostgreSQL) or the database's (SQLite, where
    reading alone would begin no transaction).
    """
    where = {"person": key.person, "server": key.server}
    db.execute(_servers.update().filter_by(**where).values(presses=_servers.c.presses))
    return _read(db, key)


def _read(db: sa.Connection, key: ServerKey) -> Row | None:
    found = db.execute(sa.select(_servers).filter_by(person=key.person, server=key.server))
    row = found.mappings().first()
    return _row(row) if row else None


def _row(row: Mapping[Any, Any]) -> Row:
    kept = Kept(**{name: row[name] for name in Kept.__dataclass_fields__})
    running = Running(row["started"], row["active"])
    return Row(running, row["ends"], row["why"], row["stopping"], kept)


def _write(db: sa.Connection, key: ServerKey, row: Row) -> None:
    """The whole row; :func:`_lock` comes before."""
    where = {"person": key.person, "server": key.server}
    values = {
        **asdict(row.running),
        **asdict(row.kept),
        "ends": row.ends,
        "why": row.why,
        "stopping": row.stopping,
    }
    if db.execute(_servers.update().filter_by(**where).values(values)).rowcount == 0:
        db.execute(_servers.insert().values(**where, **values))
