"""Madang's own tables in the Hub's database: one connection pool, one set of table definitions.

SQLAlchemy Core; the Hub's own tables are not touched. Every method of a store built on :class:`Database`
is one transaction and blocks: call it in a thread where a loop must not wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeDecorator

META = sa.MetaData()
"""Every module of ``people`` with a table defines it here; names begin with ``madang_``."""


class Moment(TypeDecorator[datetime]):
    """A point in time with its zone, also in SQLite, which keeps none (stored as UTC)."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """The Hub's database as Madang's stores use it; ``url`` is SQLAlchemy's."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, pool_pre_ping=True)
        self._ready = False

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A connection whose work is committed at the end, or undone when the block raises."""
        self._prepare()
        with self._engine.begin() as connection:
            yield connection

    def _prepare(self) -> None:
        """Make the tables that are missing; other processes may make them at the same moment.

        Where one was faster there is one table more: so as many tries as there are tables are enough.
        """
        if self._ready:
            return
        for _ in META.tables:
            try:
                META.create_all(self._engine)
            except DBAPIError:
                continue
            break
        else:
            META.create_all(self._engine)
        self._ready = True

    def close(self) -> None:
        self._engine.dispose()
