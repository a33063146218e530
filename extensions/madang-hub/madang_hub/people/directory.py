"""The directory: people, teams (firms and classes) and who is what in which team.

It is the one truth about membership. The Hub's groups and roles follow from it (``roles.py``): they are
set at sign-in and renewed while a person is signed in, so a change here takes effect by itself. What an
institution's provider says about a person is written here first, marked with its source.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

import sqlalchemy as sa

from madang_hub.people.database import META, Database, Moment

TeamRole = Literal["trainee", "member", "mentor"]
"""What a person is in a team. Admins are not tied to a team: see :attr:`Person.admin`."""
Source = Literal["roster", "provider", "operator"]
"""Who said so; one source never takes away what another gave."""

_people = sa.Table(
    "madang_people",
    META,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("display_name", sa.String(255), nullable=False, server_default=""),
    sa.Column("email", sa.String(320), unique=True),
    sa.Column("admin", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("made", Moment, nullable=False),
    # the last day on which the account works; None: no end
    sa.Column("expires", sa.Date),
    # set when access has ended; the row stays, so that a name is never given to another person
    sa.Column("ended", Moment),
    sa.Column("ended_why", sa.String(32), nullable=False, server_default=""),
)
_teams = sa.Table(
    "madang_teams",
    META,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("title", sa.String(255), nullable=False, server_default=""),
    sa.Column("starts", sa.Date),
    sa.Column("ends", sa.Date),
)
# a table of its own: databases that are older than it get it, and keep the table of teams as it is
_industries = sa.Table(
    "madang_industries",
    META,
    sa.Column("team", sa.ForeignKey("madang_teams.name", ondelete="CASCADE"), primary_key=True),
    sa.Column("industry", sa.String(100), nullable=False),
)
_members = sa.Table(
    "madang_members",
    META,
    sa.Column("team", sa.ForeignKey("madang_teams.name", ondelete="CASCADE"), primary_key=True),
    sa.Column("person", sa.ForeignKey("madang_people.name", ondelete="CASCADE"), primary_key=True),
    sa.Column("source", sa.String(16), primary_key=True),
    sa.Column("role", sa.String(16), nullable=False),
)
_identities = sa.Table(
    "madang_identities",
    META,
    sa.Column("issuer", sa.String(255), primary_key=True),
    sa.Column("subject", sa.String(255), primary_key=True),
    sa.Column("person", sa.ForeignKey("madang_people.name"), nullable=False),
)


class DirectoryError(ValueError):
    """The directory cannot take this; the message says why and the way out."""


@dataclass(frozen=True)
class Person:
    """Somebody with (or once with) access; ``name`` is the Hub's user name."""

    name: str
    display_name: str = ""
    email: str | None = None
    admin: bool = False
    expires: date | None = None
    ended: datetime | None = None
    ended_why: str = ""

    def active(self, today: date) -> bool:
        """Whether this person may sign in on ``today``."""
        return self.ended is None and (self.expires is None or today <= self.expires)


@dataclass(frozen=True)
class Team:
    """``class:…`` or ``team:…``; ``starts`` and ``ends`` are the first and the last day."""

    name: str
    title: str = ""
    starts: date | None = None
    ends: date | None = None

    @property
    def is_class(self) -> bool:
        return self.name.startswith("class:")


@dataclass(frozen=True)
class Membership:
    """``person`` is ``role`` in ``team``, as ``source`` says."""

    team: str
    person: str
    role: TeamRole
    source: Source = "operator"


class Directory:
    """People, teams and memberships in the Hub's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ---- people ---------------------------------------------------------------------------

    def person(self, name: str) -> Person | None:
        with self._database.transaction() as db:
            row = db.execute(sa.select(_people).filter_by(name=name)).mappings().first()
        return _person(row) if row else None

    def people(self) -> list[Person]:
        """Everybody ever known, ended ones too, by name."""
        with self._database.transaction() as db:
            rows = db.execute(sa.select(_people).order_by(_people.c.name)).mappings().all()
        return [_person(r) for r in rows]

    def save_people(self, people: Iterable[Person]) -> None:
        """Add or replace these (all or none).

        Raises:
            DirectoryError: an e-mail address belongs to somebody else.
        """
        try:
            with self._database.transaction() as db:
                for person in people:
                    _save_person(db, person)
        except sa.exc.IntegrityError as error:
            raise DirectoryError(
                "An e-mail address belongs to another person already; each may have its own only."
            ) from error

    def end(self, name: str, why: str, now: datetime) -> bool:
        """Note that the access of ``name`` has ended (``why``: ``expired``, ``removed``, ``provider``)."""
        with self._database.transaction() as db:
            done = db.execute(
                _people.update()
                .where(_people.c.name == name, _people.c.ended.is_(None))
                .values(ended=now, ended_why=why)
            )
        return done.rowcount > 0

    def reopen(self, name: str) -> bool:
        """Give the same person access again."""
        with self._database.transaction() as db:
            done = db.execute(
                _people.update().filter_by(name=name).values(ended=None, ended_why="")
            )
        return done.rowcount > 0

    # ---- identities at a provider ---------------------------------------------------------

    def person_of_identity(self, issuer: str, subject: str) -> Person | None:
        """Who signs in as ``subject`` at ``issuer``."""
        with self._database.transaction() as db:
            row = (
                db.execute(
                    sa.select(_people)
                    .join(_identities, _identities.c.person == _people.c.name)
                    .where(_identities.c.issuer == issuer, _identities.c.subject == subject)
                )
                .mappings()
                .first()
            )
        return _person(row) if row else None

    def bound_people(self, issuer: str) -> frozenset[str]:
        """Names of everybody who has an identity at ``issuer``."""
        with self._database.transaction() as db:
            rows = db.execute(sa.select(_identities.c.person).filter_by(issuer=issuer)).scalars()
            return frozenset(rows)

    def bind_identity(
        self, issuer: str, subject: str, person: Person, *, new: bool = False
    ) -> None:
        """Add ``person`` if unknown, and bind the identity to it for good (one transaction).

        ``new``: the name must be nobody's yet, also if somebody takes it at this moment.

        Raises:
            DirectoryError: the name, the address or the identity belongs to somebody else.
        """
        try:
            with self._database.transaction() as db:
                known = db.execute(sa.select(_people.c.name).filter_by(name=person.name)).first()
                if new or known is None:
                    _add_person(db, person)
                db.execute(
                    _identities.insert().values(issuer=issuer, subject=subject, person=person.name)
                )
        except sa.exc.IntegrityError as error:
            raise DirectoryError(
                "This sign-in, its user name or its e-mail address belongs to another person already."
            ) from error

    # ---- teams ----------------------------------------------------------------------------

    def team(self, name: str) -> Team | None:
        with self._database.transaction() as db:
            row = db.execute(sa.select(_teams).filter_by(name=name)).mappings().first()
        return Team(**row) if row else None

    def teams(self) -> list[Team]:
        with self._database.transaction() as db:
            rows = db.execute(sa.select(_teams).order_by(_teams.c.name)).mappings().all()
        return [Team(**r) for r in rows]

    def save_team(self, team: Team) -> None:
        """Add or replace ``team``; its members stay."""
        with self._database.transaction() as db:
            _save_team(db, team)

    def industries(self) -> dict[str, str]:
        """The industry of each team that has one, for the report of what accelerators were used for."""
        with self._database.transaction() as db:
            return {r.team: r.industry for r in db.execute(sa.select(_industries))}

    def set_industry(self, team: str, industry: str) -> None:
        """Say it; "" takes it away. ``team`` is there."""
        with self._database.transaction() as db:
            db.execute(_industries.delete().filter_by(team=team))
            if industry:
                db.execute(_industries.insert().values(team=team, industry=industry))

    # ---- memberships ----------------------------------------------------------------------

    def memberships(self, *, person: str = "", team: str = "") -> list[Membership]:
        """Memberships of one person, of one team, or all."""
        query = sa.select(_members).order_by(_members.c.team, _members.c.person)
        if person:
            query = query.filter_by(person=person)
        if team:
            query = query.filter_by(team=team)
        with self._database.transaction() as db:
            rows = db.execute(query).mappings().all()
        return [Membership(**r) for r in rows]

    def set_memberships(self, person: str, roles: Mapping[str, TeamRole], source: Source) -> None:
        """What ``source`` says about ``person`` is exactly ``roles`` (team to role); others' words stay.

        Teams that are not known yet are made.
        """
        with self._database.transaction() as db:
            known = set(db.execute(sa.select(_teams.c.name)).scalars())
            for team in set(roles) - known:
                _save_team(db, Team(team))
            db.execute(_members.delete().filter_by(person=person, source=source))
            for team, role in roles.items():
                _add_member(db, Membership(team, person, role, source))

    def import_team(
        self,
        team: Team,
        people: Collection[Person],
        roles: Mapping[str, TeamRole],
        source: Source = "roster",
        also: Callable[[sa.Connection], None] | None = None,
    ) -> None:
        """A whole roster at once: ``team``, ``people`` and exactly these members of ``source``.

        ``also`` is done in the same transaction (accounts for the new people).

        Raises:
            DirectoryError: nothing was changed.
        """
        try:
            with self._database.transaction() as db:
                _save_team(db, team)
                for person in people:
                    _save_person(db, person)
                db.execute(_members.delete().filter_by(team=team.name, source=source))
                for person_name, role in roles.items():
                    _add_member(db, Membership(team.name, person_name, role, source))
                if also is not None:
                    also(db)
        except sa.exc.IntegrityError as error:
            raise DirectoryError(
                "Nothing was changed: an e-mail address of the roster belongs to another person, or a "
                "member is not known."
            ) from error


def _person(row: sa.RowMapping) -> Person:
    return Person(**{k: row[k] for k in Person.__dataclass_fields__})


def _save_person(db: sa.Connection, person: Person) -> None:
    values = {k: getattr(person, k) for k in Person.__dataclass_fields__ if k != "name"}
    done = db.execute(_people.update().filter_by(name=person.name).values(values))
    if done.rowcount == 0:
        _add_person(db, person)


def _add_person(db: sa.Connection, person: Person) -> None:
    values = {k: getattr(person, k) for k in Person.__dataclass_fields__}
    db.execute(_people.insert().values(made=datetime.now(UTC), **values))


def _save_team(db: sa.Connection, team: Team) -> None:
    values = {"title": team.title, "starts": team.starts, "ends": team.ends}
    done = db.execute(_teams.update().filter_by(name=team.name).values(values))
    if done.rowcount == 0:
        db.execute(_teams.insert().values(name=team.name, **values))


def _add_member(db: sa.Connection, membership: Membership) -> None:
    db.execute(
        _members.insert().values(
            team=membership.team,
            person=membership.person,
            role=membership.role,
            source=membership.source,
        )
    )
