"""What the handlers and rounds of the dashboards service share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from jinja2 import Environment as Jinja

from madang_hub.catalog import Catalog, Size
from madang_hub.catalog import Person as Chooser
from madang_hub.dashboards.audience import LinkPolicy
from madang_hub.dashboards.bounds import Limits
from madang_hub.dashboards.gateway.gateway import Gateway
from madang_hub.dashboards.model import DAY, Dashboard, Policy, State
from madang_hub.dashboards.store import Dashboards, Move
from madang_hub.dashboards.web.people import People
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory
from madang_hub.people.service.parts import templates, utc_now
from madang_hub.people.service.who import Viewer
from madang_hub.places import Places
from madang_hub.settings import Settings

R = TypeVar("R")
log = logging.getLogger("madang.dashboards")
TEMPLATES = Path(__file__).parent / "templates"
UNPACKERS = 4
"""Archives that come in or are unpacked at the same time, of all people."""
ENVIRONMENT = "dashboard"
"""Image that published notebooks run in."""


@dataclass(frozen=True)
class Parts:
    """One per process, in Tornado's settings as ``parts``.

    Attributes:
        worker: one thread, the only one that uses ``store``.
        unpackers: threads for archives, so that what waits for them takes no other's.
        prefix: of the service's addresses, with slashes at both ends.
    """

    settings: Settings
    directory: Directory
    templates: Jinja
    zone: ZoneInfo
    people: People
    store: Dashboards
    gateway: Gateway
    sizes: Mapping[str, Size]
    default_size: str
    prefix: str
    links: LinkPolicy = field(default_factory=LinkPolicy)
    limits: Limits = field(default_factory=Limits)
    policy: Policy = field(default_factory=Policy)
    now: Callable[[], datetime] = utc_now
    worker: Executor = field(default_factory=lambda: ThreadPoolExecutor(1, "dashboards"))
    unpackers: Executor = field(default_factory=lambda: ThreadPoolExecutor(UNPACKERS, "unpacking"))

    def seconds(self) -> int:
        """Now, in whole seconds since 1970."""
        return int(self.now().timestamp())

    def today(self) -> date:
        """The day that people here have now."""
        return self.now().astimezone(self.zone).date()

    async def work(self, do: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """``do`` in the store's thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.worker, partial(do, *args, **kwargs))

    def sizes_for(self, someone: Viewer) -> list[Size]:
        """Sizes that this person may give to an app."""
        who = Chooser(someone.name, someone.teams, someone.admin)
        return [size for size in self.sizes.values() if who.is_one_of(size.who)]

    async def move(self, slug: str, step: Move, *, expect: int | None = None) -> Dashboard:
        """A move of the store, and what follows of it for what runs.

        Raises:
            DashboardError: see :meth:`.store.Dashboards.move`.
        """
        after = await self.work(self.store.move, slug, step, expect=expect)
        if after.state is not State.PUBLISHED:
            await self.gateway.stop(slug)
        return after


def policy_of(settings: Settings) -> Policy:
    return Policy(
        grace=settings.dashboards_grace_days * DAY,
        passes_on=settings.dashboards_author_left == "mentor",
    )


def assemble(
    places: Places, catalog: Catalog, database: Database, gateway: Gateway, prefix: str
) -> Parts:
    """The parts on ``database`` and ``gateway``."""
    settings = places.settings
    directory, zone = Directory(database), ZoneInfo(settings.timezone)
    policy = policy_of(settings)
    return Parts(
        settings=settings,
        directory=directory,
        templates=templates(TEMPLATES),
        zone=zone,
        people=People(
            directory,
            settings.admin,
            lambda: utc_now().astimezone(zone).date(),
            links=settings.dashboards_link_days > 0,
        ),
        store=Dashboards(database, places.snapshots, policy),
        gateway=gateway,
        sizes=catalog.sizes,
        default_size=catalog.default[1],
        prefix=prefix,
        links=LinkPolicy(days=settings.dashboards_link_days),
        policy=policy,
    )
