"""Bringing what a provider says about somebody into the directory.

The rules are in ``claims.py``; here they meet the tables. Every method blocks.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from threading import Lock
from typing import Literal

from madang_hub.homes import home_of
from madang_hub.people.accounts import Accounts
from madang_hub.people.audit import Audit
from madang_hub.people.claims import Claimed, Decision, admitted, decide, free_name
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, DirectoryError, Person

STACK = "madang"
TRIES = 5


class NotAdmittedError(Exception):
    """The provider knows this person, and Madang has no place for them; the message is for the log."""


@dataclass
class Arrivals:
    """People of a provider as they come; ``guarded`` are names that nobody gets by a provider's word.

    ``homes`` is the folder of homes: a name with a home was somebody's, whoever remembers it.
    """

    database: Database
    admit: Literal["mapped", "everyone"]
    guarded: Collection[str]
    homes: Path

    def __post_init__(self) -> None:
        self._directory = Directory(self.database)
        self._accounts = Accounts(self.database)
        self._audit = Audit(self.database)
        # one at a time: between looking whose an address is and binding it, nobody else comes
        self._lock = Lock()

    def sign_in(self, claimed: Claimed, now: datetime, today: date) -> str:
        """The user name of who signs in; the directory knows afterwards what the provider says.

        Raises:
            NotAdmittedError: access has ended, or the provider's groups give none.
        """
        with self._lock:
            for _ in range(TRIES):
                try:
                    return self._sign_in(claimed, now, today)
                except DirectoryError:
                    continue  # a roster took the name or the address at this moment: look again
        raise NotAdmittedError(f"no name or address could be kept for {claimed.name!r}")

    def _sign_in(self, claimed: Claimed, now: datetime, today: date) -> str:
        decision = self._decide(claimed, today)
        person = decision.person
        if decision.kind == "refused":
            if person and person.ended_why in ("", "expired"):
                # a new class at the provider gives access again by the rules of lifetime.py, next time
                self._directory.set_memberships(person.name, claimed.roles, "provider")
            raise NotAdmittedError(
                f"{person.name if person else claimed.name} has no access any more"
            )
        if not self._admitted(claimed, person):
            raise NotAdmittedError(f"{claimed.name!r} has no group that is mapped to a team")
        if person is None:
            person = Person(
                free_name(claimed.name, self._taken),
                claimed.display_name,
                claimed.email if decision.keep_email else None,
            )
        if decision.kind in ("new", "tied"):
            new = decision.kind == "new"
            self._directory.bind_identity(claimed.issuer, claimed.subject, person, new=new)
            self._audit.write(
                now, STACK, "identity.bound", person.name, issuer=claimed.issuer, new=new
            )
        if decision.reopen:
            self._directory.reopen(person.name)
            person = replace(person, ended=None, ended_why="")
            self._audit.write(now, STACK, "access.returned", person.name, why="provider")
        self._write(claimed, person, now)
        return person.name

    def refresh(self, claimed: Claimed, name: str, now: datetime) -> bool:
        """Write down what the provider says now about ``name``; False if that gives no access."""
        with self._lock:
            person = self._directory.person_of_identity(claimed.issuer, claimed.subject)
            if person is None or person.name != name or person.ended is not None:
                return False
            if not self._admitted(claimed, person):
                self._directory.set_memberships(name, {}, "provider")
                return False
            self._write(claimed, person, now)
            return True

    def let_go(self, name: str, now: datetime) -> None:
        """The provider does not know ``name`` any more: access ends, until it lets the person in again."""
        with self._lock:
            if self._directory.end(name, "provider", now):
                self._audit.write(now, STACK, "access.ended", name, why="provider")

    def _decide(self, claimed: Claimed, today: date) -> Decision:
        bound = self._directory.person_of_identity(claimed.issuer, claimed.subject)
        same = None if bound else self._with_address(claimed.email)
        used = same is not None and same.name in self._directory.bound_people(claimed.issuer)
        return decide(bound, same, used, self.guarded, today)

    def _with_address(self, email: str | None) -> Person | None:
        if email is None:
            return None
        return next((p for p in self._directory.people() if (p.email or "").lower() == email), None)

    def _taken(self, name: str) -> bool:
        return (
            name in self.guarded
            or self._directory.person(name) is not None
            or self._accounts.exists(name)
            or home_of(self.homes, name).exists()
        )

    def _admitted(self, claimed: Claimed, person: Person | None) -> bool:
        others = (
            [m for m in self._directory.memberships(person=person.name) if m.source != "provider"]
            if person
            else []
        )
        was_admin = person is not None and person.admin
        is_admin = was_admin if claimed.admin is None else claimed.admin
        return admitted(self.admit, claimed, len(others), is_admin)

    def _write(self, claimed: Claimed, person: Person, now: datetime) -> None:
        """Names, rights and teams, as far as they changed (this runs every minute for everybody)."""
        said = self._directory.memberships(person=person.name)
        ours = {m.team: m.role for m in said if m.source == "provider"}
        if ours != claimed.roles:
            self._directory.set_memberships(person.name, claimed.roles, "provider")
        changed = person
        if claimed.display_name and all(m.source != "roster" for m in said):
            # a roster's spelling stays: teachers look for it
            changed = replace(changed, display_name=claimed.display_name)
        if claimed.admin is not None:
            changed = replace(changed, admin=claimed.admin)
        if changed == person:
            return
        self._directory.save_people([changed])
        if changed.admin != person.admin:
            action = "admin.granted" if changed.admin else "admin.withdrawn"
            self._audit.write(now, STACK, action, person.name, why="provider")
