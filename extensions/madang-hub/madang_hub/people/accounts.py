"""Local accounts: who may sign in without an institution's identity provider.

Only names and passwords; who the person is stands in the directory, and ``enrolment.py`` keeps the two
together. There is no open sign-up: an operator adds accounts, each with a one-time password.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from madang_hub.people import passwords
from madang_hub.people.database import META, Database, Moment

DASHBOARD_ACCOUNT = "dashboards"
"""Account of the Hub that running dashboards belong to: nobody signs in with it, no person has its name."""

TABLE = "madang_accounts"
_accounts = sa.Table(
    TABLE,
    META,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("password", sa.String(255), nullable=False),
    sa.Column("one_time", sa.Boolean, nullable=False),
    sa.Column("changed", Moment, nullable=False),
)


class AccountError(ValueError):
    """An account cannot be made or found; the message says which and what to do."""


@dataclass(frozen=True)
class Account:
    """``one_time``: the password works once and must be replaced at that sign-in.

    ``changed`` is when the password was set.
    """

    name: str
    one_time: bool
    changed: datetime


class Accounts:
    """The table of local accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def names(self) -> list[Account]:
        with self._database.transaction() as db:
            rows = db.execute(sa.select(_accounts).order_by(_accounts.c.name)).all()
        return [Account(r.name, r.one_time, r.changed) for r in rows]

    def exists(self, name: str) -> bool:
        with self._database.transaction() as db:
            return db.execute(sa.select(_accounts.c.name).filter_by(name=name)).first() is not None

    def add(self, name: str) -> str:
        """Make the account ``name`` and return its one-time password.

        Raises:
            AccountError: there is one already, or the name cannot be a user name.
        """
        if unusable(name):
            raise AccountError(
                f"{name!r} cannot be a user name: use lower-case letters, digits, '.', '_' and '-', "
                "starting with a letter or digit, at most 60 characters; "
                f"{DASHBOARD_ACCOUNT!r} is Madang's own."
            )
        password = passwords.one_time()
        values = _fresh(password, one_time=True)
        try:
            with self._database.transaction() as db:
                db.execute(_accounts.insert().values(name=name, **values))
        except sa.exc.IntegrityError as error:
            raise AccountError(
                f"There is an account {name} already; 'madang user password {name}' gives it a new "
                "one-time password."
            ) from error
        return password

    def prepared(
        self, names: Sequence[str]
    ) -> tuple[dict[str, str], Callable[[sa.Connection], None]]:
        """One-time passwords for new accounts ``names``, and what makes the accounts in a transaction of
        the caller's (a roster's people and accounts come together or not at all).

        Hashing takes 0.2 s a name, spread over the processor's cores.
        """
        chosen = {name: passwords.one_time() for name in names}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            rows = list(
                pool.map(
                    lambda item: {"name": item[0], **_fresh(item[1], one_time=True)}, chosen.items()
                )
            )

        def add(db: sa.Connection) -> None:
            if rows:
                db.execute(_accounts.insert(), rows)

        return chosen, add

    def renew(self, name: str) -> str:
        """Replace the password of ``name`` by a one-time password and return it."""
        password = passwords.one_time()
        self._set(name, password, one_time=True)
        return password

    def change(self, name: str, password: str) -> None:
        """Set the password that the person chose."""
        self._set(name, password, one_time=False)

    def _set(self, name: str, password: str, *, one_time: bool) -> None:
        values = _fresh(password, one_time=one_time)
        with self._database.transaction() as db:
            done = db.execute(_accounts.update().filter_by(name=name).values(**values))
        if done.rowcount == 0:
            raise AccountError(f"There is no account {name}; 'madang user add {name}' makes one.")

    def remove(self, name: str) -> bool:
        with self._database.transaction() as db:
            done = db.execute(_accounts.delete().filter_by(name=name))
        return done.rowcount > 0

    def check(self, name: str, password: str) -> Account | None:
        """The account if ``password`` is right, else None (after the same time for an unknown name)."""
        with self._database.transaction() as db:
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
    if name == DASHBOARD_ACCOUNT:
        return True
    return not (0 < len(name) <= 60 and set(name) <= allowed and name[0].isalnum())
