"""Many local accounts without hashing a password for each (0.2 s a piece)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from madang_hub.people import accounts, passwords
from madang_hub.people.database import META, Database
from madang_hub.people.directory import Directory, Person

TABLE = META.tables[accounts.TABLE]


def with_one_password(database: Database, names: Sequence[str], password: str) -> None:
    """Accounts and people of these names, who have all chosen the same ``password``."""
    digest = passwords.digest(password)
    now = datetime.now(UTC)
    rows = [{"name": n, "password": digest, "one_time": False, "changed": now} for n in names]
    Directory(database).save_people(Person(n) for n in names)
    with database.transaction() as db:
        db.execute(TABLE.insert(), rows)
