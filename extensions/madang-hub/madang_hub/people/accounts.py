"""Local accounts: who may sign in without an institution's identity provider.

One table, ``madang_accounts``, in the Hub's database (SQLAlchemy Core; the Hub's own tables are not
touched). There is no open sign-up: an operator adds accounts, each with a one-time password.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from madang_hub.people import passwords

_meta = sa.MetaData()
_accounts = sa.Table(
    "madang_accounts",
    _meta,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("password", sa.String(255), nullable=False),
    sa.Column("one_time", sa.Boolean, nullable=False),
    sa.Column("changed", sa.DateTime(timezone=True), nullable=False),
)


class AccountError(ValueError):
    """An account cannot be made or found; the message says which and what to do."""


@dataclass(frozen=True)
class Account:
    """``one_time``: the password works once and must be replaced at that sign-in."""

    name: str
    one_time: bool
    changed: datetime


class Accounts:
    """The table of local accounts; every method is one transaction and blocks on the database."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, pool_pre_ping=True)
        self._ready = False

    def _begin(self) -> sa.engine.base.Connection:
        if not self._ready:
            _meta.create_all(self._engine)
            self._ready = True
        return self._engine.connect()

    def close(self) -> None:
        self._engine.dispose()

    def names(self) -> list[Account]:
        with self._begin() as db:
            rows = db.execute(sa.select(_accounts).order_by(_accounts.c.name)).all()
        return [Account(r.name, r.one_time, r.changed) for r in rows]

    def exists(self, name: str) -> bool:
        with self._begin() as db:
            return db.execute(sa.select(_accounts.c.name).filter_by(name=name)).first() is not None

    def add(self, name: str) -> str:
        """Make the account ``name`` and return its one-time password.

        Raises:
            AccountError: there is one already, or the name cannot be a user name.
        """
        if unusable(name):
            raise AccountError(
                f"{name!r} cannot be a user name: use lower-case letters, digits, '.', '_' and '-', "
                "starting with a letter or digit, at most 60 characters."
            )
        password = passwords.one_time()
        with self._begin() as db:
            try:
                db.execute(_accounts.insert().values(name=name, **_fresh(password, one_time=True)))
            except sa.exc.IntegrityError as error:
                raise AccountError(
                    f"There is an account {name} already; 'madang user password {name}' gives it a new "
                    "one-time password."
                ) from error
            db.commit()
        return password

    def renew(self, name: str) -> str:
        """Replace the password of ``name`` by a one-time password and return it."""
        password = passwords.one_time()
        self._set(name, password, one_time=True)
        return password

    def change(self, name: str, password: str) -> None:
        """Set the password that the person chose."""
        self._set(name, password, one_time=False)

    def _set(self, name: str, password: str, *, one_time: bool) -> None:
        with self._begin() as db:
            done = db.execute(
                _accounts.update()
                .filter_by(name=name)
                .values(**_fresh(password, one_time=one_time))
            )
            db.commit()
        if done.rowcount == 0:
            raise AccountError(f"There is no account {name}; 'madang user add {name}' makes one.")

    def remove(self, name: str) -> bool:
        with self._begin() as db:
            done = db.execute(_accounts.delete().filter_by(name=name))
            db.commit()
        return done.rowcount > 0

    def check(self, name: str, password: str) -> Account | None:
        """The account if ``password`` is right, else None (after the same time for an unknown name)."""
        with self._begin() as db:
            row = db.execute(sa.select(_accounts).filter_by(name=name)).first()
        if (
            not passwords.matches(password, row.password if row else passwords.nobody())
            or row is None
        ):
            return None
        return Account(row.name, row.one_time, row.changed)


def _fresh(password: str, *, one_time: bool) -> dict[str, object]:
    return {
        "password": passwords.digest(password),
        "one_time": one_time,
        "changed": datetime.now(UTC),
    }


def unusable(name: str) -> bool:
    """Whether ``name`` may not name a person (it becomes part of folder names, URLs and labels)."""
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    return not (0 < len(name) <= 60 and set(name) <= allowed and name[0].isalnum())
