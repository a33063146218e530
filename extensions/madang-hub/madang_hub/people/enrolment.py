"""Giving and ending access: a person of the directory, a local account and a line in the audit log, together.

A name belongs to one person for good. Access can end and be given back to the same person; the row in the
directory stays, so that the name (with its home, its runs and its audit lines) never meets somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from madang_hub.people.accounts import Account, AccountError, Accounts
from madang_hub.people.audit import Audit
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, DirectoryError, Membership, Person

STACK = "madang"
"""The audit log's name for who works on the operator's command line: whoever may, is root or close to it."""


@dataclass(frozen=True)
class Enrolled:
    """Somebody as ``madang user list`` shows them; ``account`` is None for who signs in elsewhere."""

    person: Person
    account: Account | None
    memberships: tuple[Membership, ...]


class Enrolment:
    """Every method blocks. ``actor`` is who does it, for the audit log."""

    def __init__(self, database: Database) -> None:
        self.accounts = Accounts(database)
        self.directory = Directory(database)
        self.audit = Audit(database)

    def add(
        self,
        name: str,
        now: datetime,
        *,
        actor: str = STACK,
        display_name: str = "",
        email: str | None = None,
        admin: bool = False,
    ) -> str:
        """A new person with a local account; the one-time password.

        Raises:
            AccountError: the name is or was somebody's, cannot be a user name, or the address is taken.
        """
        if found := self.directory.person(name):
            raise AccountError(_taken(found))
        # before the person, so that a name that cannot be leaves nothing behind
        password = self.accounts.add(name)
        try:
            self.directory.save_people([Person(name, display_name, email, admin)])
        except DirectoryError as error:
            self.accounts.remove(name)
            raise AccountError(str(error)) from error
        self.audit.write(now, actor, "account.added", name, admin=admin)
        return password

    def password(self, name: str, now: datetime, *, actor: str = STACK) -> str:
        """A new one-time password for somebody who has access.

        Raises:
            AccountError: nobody has this name, or the access has ended.
        """
        person = self.directory.person(name)
        if person is not None and person.ended is not None:
            raise AccountError(_taken(person))
        if person is not None and not self.accounts.exists(name):
            password = self.accounts.add(name)
        else:
            password = self.accounts.renew(name)
        self.audit.write(now, actor, "account.password-renewed", name)
        return password

    def end(self, name: str, now: datetime, *, actor: str = STACK, why: str = "removed") -> None:
        """End the access of ``name``: no sign-in from now on. Sessions end with the next refresh.

        Raises:
            AccountError: nobody with access has this name.
        """
        had = self.accounts.remove(name)
        if self.directory.person(name) is None and had:
            self.directory.save_people([Person(name)])  # an account older than the directory
        if not self.directory.end(name, why, now):
            raise AccountError(f"Nobody with access is called {name}.")
        self.audit.write(now, actor, "account.ended", name, why=why)

    def restore(self, name: str, now: datetime, today: date, *, actor: str = STACK) -> str:
        """Give the same person access again; the one-time password. A last day that is over is dropped.

        Raises:
            AccountError: nobody had this name, or the access has not ended.
        """
        person = self.directory.person(name)
        if person is None:
            raise AccountError(
                f"Nobody was ever called {name}; 'madang user add {name}' is for new people."
            )
        if person.active(today):
            raise AccountError(
                f"The access of {name} has not ended; 'madang user password {name}' gives a new one-time "
                "password."
            )
        if person.expires is not None and person.expires < today:
            self.directory.save_people([replace(person, expires=None)])
        self.directory.reopen(name)
        password = (
            self.accounts.renew(name) if self.accounts.exists(name) else self.accounts.add(name)
        )
        self.audit.write(now, actor, "account.restored", name)
        return password

    def everybody(self) -> list[Enrolled]:
        """All who ever had access, by name; accounts older than the directory too."""
        accounts = {a.name: a for a in self.accounts.names()}
        people = {p.name: p for p in self.directory.people()}
        teams: dict[str, list[Membership]] = {}
        for membership in self.directory.memberships():
            teams.setdefault(membership.person, []).append(membership)
        return [
            Enrolled(people.get(n, Person(n)), accounts.get(n), tuple(teams.get(n, ())))
            for n in sorted({*accounts, *people})
        ]


def describe(
    enrolled: Enrolled, now: datetime, today: date, one_time_days: int, *, admin: bool
) -> str:
    """One line of ``madang user list``: user name, name, how the person signs in, roles and teams."""
    person, account = enrolled.person, enrolled.account
    if person.ended is not None:
        state = f"ended {person.ended:%Y-%m-%d} ({person.ended_why})"
    elif not person.active(today):
        state = f"expired {person.expires}"
    elif account is None:
        state = "no password here"
    elif not account.one_time:
        state = "own password"
    elif now > account.changed + timedelta(days=one_time_days):
        state = "one-time password, too old"
    else:
        state = "one-time password"
    roles = ["admin"] if person.admin or admin else []
    roles += sorted({f"{m.role} of {m.team}" for m in enrolled.memberships})
    return "\t".join((person.name, person.display_name, state, ", ".join(roles)))


def _taken(person: Person) -> str:
    if person.ended is not None:
        return (
            f"{person.name} was somebody whose access ended on {person.ended:%Y-%m-%d}, and a name is never "
            f"given to another person. For the same person: 'madang user restore {person.name}'. For "
            "somebody else choose another name."
        )
    return (
        f"{person.name} is somebody already; 'madang user password {person.name}' gives that person a new "
        "one-time password. For somebody else choose another name."
    )
