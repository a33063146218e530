"""Proposals in the Hub's database; each method is one transaction and blocks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from madang_hub.people.database import META, Database, Moment
from madang_hub.shelf.proposals import Proposal, State, Step, after
from madang_hub.texts import Text

_proposals = sa.Table(
    "madang_proposals",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("team", sa.String(255), nullable=False, index=True),
    sa.Column("author", sa.String(255), nullable=False),
    sa.Column("made", Moment, nullable=False),
    # title, purpose, sizes, source, files, requirements, apt, lock, added, notes: written once
    sa.Column("content", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("changed", Moment),
    sa.Column("changed_by", sa.String(255), nullable=False, server_default=""),
    sa.Column("reason", sa.String(1000), nullable=False, server_default=""),
    sa.Column("failure", sa.Text, nullable=False, server_default=""),
    sa.Column("image", sa.String(255), nullable=False, server_default=""),
)


class Proposals:
    """Adds, reads and moves proposals."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: Proposal) -> int:
        """Keep it; returns its id."""
        content = {
            "title": new.title.model_dump(),
            "purpose": new.purpose.model_dump(),
            "sizes": list(new.sizes),
            "source": dict(new.source),
            "files": dict(new.files),
            "requirements": list(new.requirements),
            "apt": list(new.apt),
            "lock": new.lock,
            "added": [list(pair) for pair in new.added],
            "notes": list(new.notes),
        }
        with self._database.transaction() as db:
            key = db.execute(
                _proposals.insert().values(
                    team=new.team,
                    author=new.author,
                    made=new.made,
                    content=content,
                    state=new.state,
                )
            ).inserted_primary_key
        assert key is not None  # noqa: S101  # an insert of one row has one
        return int(key[0])

    def get(self, identity: int) -> Proposal | None:
        with self._database.transaction() as db:
            row = db.execute(sa.select(_proposals).filter_by(id=identity)).mappings().first()
        return _proposal(row) if row else None

    def read(
        self, *, teams: Collection[str] | None = None, states: Collection[State] | None = None
    ) -> list[Proposal]:
        """The newest first; ``teams`` and ``states`` leave those of these."""
        query = sa.select(_proposals).order_by(_proposals.c.id.desc())
        if teams is not None:
            query = query.where(_proposals.c.team.in_(teams))
        if states is not None:
            query = query.where(_proposals.c.state.in_(states))
        with self._database.transaction() as db:
            rows = db.execute(query).mappings().all()
        return [_proposal(row) for row in rows]

    def offered(self) -> frozenset[int]:
        """The ids of those that are on the shelf."""
        query = sa.select(_proposals.c.id).where(_proposals.c.state == "offered")
        with self._database.transaction() as db:
            return frozenset(db.execute(query).scalars())

    def step(
        self, known: Proposal, step: Step, actor: str, now: datetime, **values: str
    ) -> Proposal:
        """Move ``known`` by ``step``; ``values`` are ``reason`` and ``image``.

        Raises:
            ProposalRefused: there is no such step, or somebody was faster.
        """
        state = after(known.state, step)
        changed: dict[str, Any] = {
            "state": state, "changed": now, "changed_by": actor, "failure": "", **values
        }  # fmt: skip
        with self._database.transaction() as db:
            done = db.execute(
                _proposals.update().filter_by(id=known.id, state=known.state).values(changed)
            )
        if done.rowcount == 0:
            after("withdrawn", step)  # raises: it is not in the state that the caller saw
        return replace(known, **changed)

    def note_failure(self, identity: int, failure: str) -> None:
        """Why the build did not succeed; the state stays, so it is tried again."""
        with self._database.transaction() as db:
            db.execute(_proposals.update().filter_by(id=identity).values(failure=failure[:4000]))


def _proposal(row: sa.RowMapping) -> Proposal:
    content = row["content"]
    return Proposal(
        id=row["id"],
        team=row["team"],
        author=row["author"],
        made=row["made"],
        title=Text(**content["title"]),
        purpose=Text(**content["purpose"]),
        sizes=tuple(content["sizes"]),
        source=content["source"],
        files=content["files"],
        requirements=tuple(content["requirements"]),
        apt=tuple(content["apt"]),
        lock=content["lock"],
        added=tuple((name, version) for name, version in content["added"]),
        notes=tuple(content["notes"]),
        state=row["state"],
        changed=row["changed"],
        changed_by=row["changed_by"],
        reason=row["reason"],
        failure=row["failure"],
        image=row["image"],
    )
