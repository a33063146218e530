"""The idle culler: ``jupyterhub-idle-culler`` with Madang's rule in its arbiter hook.

Upstream lists the running servers every so often and calls the hook for each of them, also for those in
use; its own options for time and age are not used, so nothing is stopped but by the rule in ``idle.py``.
The Hub runs this as a service: ``python -m madang_hub.people.culler``.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from jupyterhub_idle_culler import IdleCuller
from sqlalchemy.exc import SQLAlchemyError
from tornado.ioloop import IOLoop, PeriodicCallback

from madang_hub.people.accounts import DASHBOARD_ACCOUNT
from madang_hub.people.database import Database
from madang_hub.people.idle import Running
from madang_hub.people.rounds import Round, ServerKey
from madang_hub.people.servers import Servers
from madang_hub.places import Mode, Places
from madang_hub.settings import Settings

ORPHANED = 4000
"""Milliseconds between looks whether the Hub that started this process still lives."""


def server_key(model: Mapping[str, Any]) -> ServerKey:
    """Whose server the Hub's model is about.

    From ``full_name`` (``person/server``), which the Hub makes; never from ``user_options``, which is the
    person's own word.

    Raises:
        ValueError: the model is not as expected.
    """
    full, name = model.get("full_name"), model.get("name")
    if not isinstance(full, str) or not isinstance(name, str):
        raise ValueError("a server without a name")
    person = full.removesuffix(f"/{name}")
    if not person or person == full:
        raise ValueError(f"server {full!r} is not named as the Hub names them")
    return ServerKey(person, name)


def running(model: Mapping[str, Any]) -> Running:
    """Since when it runs and when it was last used.

    Raises:
        ValueError: the Hub does not say when it started.
    """
    if not model.get("started"):
        raise ValueError("a running server without a start")
    started = datetime.fromisoformat(model["started"])
    last = model.get("last_activity")
    return Running(started, datetime.fromisoformat(last) if last else started)


class Arbiter:
    """The hook. All calls of one of upstream's rounds share one reading of the database."""

    def __init__(self, servers: Servers, log: logging.Logger) -> None:
        self._servers = servers
        self._log = log
        self._one_at_a_time = asyncio.Lock()
        self._now: datetime | None = None
        self._round: Round | None = None
        self._seen: dict[ServerKey, tuple[Running, datetime]] = {}

    async def __call__(
        self, *, inactive: timedelta, inactive_limit: float, server: Mapping[str, Any]
    ) -> bool:
        """Whether to stop ``server`` now. Never raises: who cannot decide stops nothing."""
        try:
            key, run = server_key(server), running(server)
        except ValueError as error:
            self._log.error("Not looked at: %s", error)
            return False
        if key.person == DASHBOARD_ACCOUNT:
            # no person's time is spent: a dashboard is stopped by its gateway, after the last visitor
            return False
        # upstream reads the clock once a round, and ``inactive`` is that time less the last use
        now = run.active + inactive
        try:
            known = await self._known(now)
            if known is None:
                return False
            decision = await asyncio.to_thread(self._servers.judge, key, run, known)
        except SQLAlchemyError as error:
            self._log.error("%s: the database says %s", key.person, type(error).__name__)
            return False
        self._seen[key] = run, now
        if decision.action == "stop":
            self._log.info("Stopping %s/%s: %s", *key, decision.why)
        return decision.action == "stop"

    async def _known(self, now: datetime) -> Round | None:
        """What this round knows; None when the database could not be read for it."""
        async with self._one_at_a_time:
            if now != self._now:
                self._now, self._round = now, None
                seen, self._seen = self._seen, {}
                try:
                    self._round = await asyncio.to_thread(self._servers.begin_round, now, seen)
                except SQLAlchemyError as error:
                    self._log.error("No server is looked at: database, %s", type(error).__name__)
            return self._round


def configure(app: IdleCuller, servers: Servers) -> None:
    """Set upstream's traits."""
    app.config_file = ""  # or it would read one from the working directory
    app.cull_every = math.ceil(servers.policy.every.total_seconds())
    app.cull_users = False
    app.max_age = 0
    app.cull_arbiter_hook = Arbiter(servers, app.log)


def main() -> None:
    """Run until the Hub stops this service."""
    settings = Settings.load(Path(os.environ["MADANG_ROOT"]))
    mode: Mode = "embedded" if os.environ.get("MADANG_RUNS_AS") == "embedded" else "server"
    database = Database(Places(settings, mode).database_url("hub"))
    app = IdleCuller.instance()
    app.initialize([])
    configure(app, Servers(database, settings))
    _end_with(os.getppid(), app.log)
    app.start()


def _end_with(parent: int, log: logging.Logger) -> None:
    """End this process when ``parent`` is gone: a Hub that was killed leaves it behind."""

    def look() -> None:
        if os.getppid() != parent:
            log.warning("The Hub that started this has ended.")
            IOLoop.current().add_callback(sys.exit)

    asyncio.set_event_loop(asyncio.new_event_loop())
    PeriodicCallback(look, ORPHANED).start()


if __name__ == "__main__":
    main()
