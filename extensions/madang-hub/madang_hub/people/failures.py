"""Starts of servers that failed: who, when and why, for the mentor's and the admin's pages.

Written by the spawners (the trait ``failed_start_hook``), read by the people service.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from madang_hub.people.database import META, Database, Moment
from madang_hub.web.i18n import N_

T = TypeVar("T")
log = logging.getLogger("jupyterhub.madang")
KEPT = timedelta(days=30)
"""How long a failure is kept."""

_failures = sa.Table(
    "madang_failures",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("time", Moment, nullable=False, index=True),
    sa.Column("person", sa.String(255), nullable=False, index=True),
    sa.Column("server", sa.String(255), nullable=False, server_default=""),
    sa.Column("reason", sa.String(32), nullable=False),
    sa.Column("message", sa.String(1000), nullable=False),
    sa.Column("detail", sa.String(2000), nullable=False, server_default=""),
)


@dataclass(frozen=True)
class Failure:
    """``reason`` is a short label, ``message`` the sentence that the person saw, ``detail`` the log's text."""

    time: datetime
    person: str
    server: str
    reason: str
    message: str
    detail: str = ""


class Failures:
    """Failed starts in the Hub's database; each method is one transaction and blocks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, failure: Failure) -> None:
        """Add one, and forget what is older than :data:`KEPT`."""
        with self._database.transaction() as db:
            db.execute(
                _failures.insert().values(
                    time=failure.time,
                    person=failure.person,
                    server=failure.server,
                    reason=failure.reason[:32],
                    message=failure.message[:1000],
                    detail=failure.detail[:2000],
                )
            )
            db.execute(_failures.delete().where(_failures.c.time < failure.time - KEPT))

    def read(
        self,
        *,
        people: Collection[str] | None = None,
        since: datetime | None = None,
        limit: int = 100,
    ) -> list[Failure]:
        """The newest first; ``people`` leaves those of these names."""
        query = sa.select(_failures).order_by(_failures.c.id.desc()).limit(limit)
        if people is not None:
            query = query.where(_failures.c.person.in_(people))
        if since is not None:
            query = query.where(_failures.c.time >= since)
        with self._database.transaction() as db:
            rows = db.execute(query).mappings().all()
        return [Failure(**{k: r[k] for k in Failure.__dataclass_fields__}) for r in rows]

    def note(self, failure: Failure) -> None:
        """As :meth:`write`, but a database that does not answer is logged, not raised."""
        try:
            self.write(failure)
        except SQLAlchemyError as error:
            log.error("A failed start could not be noted: %s", error.__class__.__name__)


TIMEOUT = N_(
    "The server did not start in time. Try again; if it stays so, tell the operator the time."
)
ENDED = N_(
    "The server ended while it was starting. If this happens again, tell the operator the time."
)
UNEXPECTED = N_("The server could not be started. Tell the operator the time.")


def failure_of(person: str, server: str, error: BaseException, now: datetime) -> Failure:
    """What a start that ended with ``error`` is noted as.

    The Hub cancels a start that takes too long. Madang's own refusals (``options.StartRefused``) bring their
    sentence, a label and a text for the log; of anything else the kind and the text are the detail.
    """
    if isinstance(error, asyncio.CancelledError | TimeoutError):
        return Failure(now, person, server, "timeout", TIMEOUT, str(error))
    message = getattr(error, "jupyterhub_message", None)
    if message:
        reason = str(getattr(error, "reason", None) or "refused")
        detail = str(getattr(error, "log_message", None) or "")
        return Failure(now, person, server, reason, str(message), detail)
    return Failure(now, person, server, "error", UNEXPECTED, f"{type(error).__name__}: {error}")


def note(spawner: Any, error: BaseException) -> None:
    """Hand ``error`` to the spawner's ``failed_start_hook``, if it has one."""
    if spawner.failed_start_hook is not None:
        spawner.failed_start_hook(spawner, error)


def noting(start: Callable[[Any], Awaitable[T]]) -> Callable[[Any], Awaitable[T]]:
    """A spawner's ``start`` that notes what it fails with, and fails.

    JupyterHub has no hook for a start that failed; this stays inside the spawner's own method.
    """

    @wraps(start)
    async def noted(spawner: Any) -> T:
        try:
            return await start(spawner)
        except BaseException as error:
            note(spawner, error)
            raise

    return noted


def choosing(spawner: Any) -> None:
    """JupyterHub's ``pre_spawn_hook``: check what is asked for; a refusal is noted, and raised at once.

    No coroutine: the Hub answers the start request with the refusal only if it comes without any waiting.
    """
    try:
        spawner.choose(spawner.user_options)
    except BaseException as error:
        note(spawner, error)
        raise


def hook(failures: Failures) -> Callable[[Any, BaseException], None]:
    """The value of the spawners' trait ``failed_start_hook``: writes beside the loop, waits for nothing."""
    writing: set[asyncio.Future[None]] = set()

    def begin(spawner: Any, error: BaseException) -> None:
        failure = failure_of(spawner.user.name, spawner.name, error, datetime.now(UTC))
        written = asyncio.get_running_loop().run_in_executor(None, failures.note, failure)
        writing.add(written)
        written.add_done_callback(writing.discard)

    return begin
