"""What the broker's handlers and rounds share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from jinja2 import Environment as Jinja
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from madang_hub.accelerators.broker.containers import EngineContainers
from madang_hub.accelerators.broker.desk import Desk
from madang_hub.accelerators.broker.engine import Engine, HubServers
from madang_hub.accelerators.broker.policy import limits_of, policy_of
from madang_hub.accelerators.cdi_files import UNDER, chosen
from madang_hub.accelerators.inventory import Inventory
from madang_hub.accelerators.sources import Sources
from madang_hub.accelerators.store import Leases
from madang_hub.catalog import Catalog
from madang_hub.people.audit import Audit
from madang_hub.people.classes import Classes
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory
from madang_hub.people.servers import Servers
from madang_hub.people.service.hub import Hub
from madang_hub.people.service.parts import templates, utc_now
from madang_hub.people.timetable import Timetable
from madang_hub.places import PEOPLE_PREFIX, Places
from madang_hub.settings import Settings
from madang_hub.shelf.offering import Shelf, shelf_of

R = TypeVar("R")
TEMPLATES = Path(__file__).parent / "templates"


async def _unknown() -> bool:
    return False


async def answers(url: str) -> bool:
    """Whether a service of ours answers at ``url`` that it is well, within two seconds."""
    try:
        await AsyncHTTPClient().fetch(url, request_timeout=2)
    except (HTTPClientError, OSError):
        return False
    return True


@dataclass(frozen=True)
class Parts:
    """One per process, in Tornado's settings as ``parts``.

    Attributes:
        take: the inventory of now, given the last; blocks.
        reports_arrive: whether servers can say that something runs in them.
        worker: one thread, the only one that uses ``desk``.
    """

    settings: Settings
    directory: Directory
    audit: Audit
    templates: Jinja
    zone: ZoneInfo
    shelf: Shelf
    hub: Hub
    engine: Engine
    desk: Desk
    take: Callable[[Inventory | None], Inventory]
    now: Callable[[], datetime] = utc_now
    reports_arrive: Callable[[], Awaitable[bool]] = _unknown
    worker: Executor = field(default_factory=lambda: ThreadPoolExecutor(1, "desk"))

    def seconds(self) -> int:
        """Now, in whole seconds since 1970."""
        return int(self.now().timestamp())

    async def work(self, do: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """``do`` in the desk's thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.worker, partial(do, *args, **kwargs))


def assemble(places: Places, root: Path, catalog: Catalog, database: Database, hub: Hub) -> Parts:
    """The parts on ``database`` and ``hub``; ``root`` is the folder with ``accelerators.toml``."""
    settings = places.settings
    directory, zone = Directory(database), ZoneInfo(settings.timezone)
    policy = policy_of(settings)

    def helpers() -> Iterable[str]:
        today = utc_now().astimezone(zone).date()
        admins = {p.name for p in directory.people() if p.admin and p.active(today)}
        return sorted(admins | {settings.admin})

    classes = Classes(database, zone)

    def timetables(names: Collection[str]) -> Mapping[str, Timetable]:
        return classes.timetables([t for t in directory.teams() if t.is_class and t.name in names])

    reports = Servers(database, settings)

    def servers_work(people: Collection[str], now: int) -> Mapping[str, bool]:
        return reports.working(people, datetime.fromtimestamp(now, UTC))

    desk = Desk(
        Leases(database, policy),
        policy,
        limits_of(settings),
        zone,
        settings.accelerator_ill_seconds,
        helpers,
        timetables=timetables,
        servers_work=servers_work,
    )

    folders = chosen(settings.accelerator_cdi)
    containers = EngineContainers(hub, places.broker_socket, settings.instance)
    return Parts(
        settings=settings,
        directory=directory,
        audit=Audit(database),
        templates=templates(TEMPLATES),
        zone=zone,
        shelf=shelf_of(places, catalog, database),
        hub=hub,
        engine=containers if places.mode == "server" else HubServers(hub),
        desk=desk,
        take=Sources(root, folders, under=Path(os.environ.get(UNDER, "/"))).take,
        # servers report to the people service
        reports_arrive=partial(answers, f"{places.people_url}{PEOPLE_PREFIX}health"),
    )
