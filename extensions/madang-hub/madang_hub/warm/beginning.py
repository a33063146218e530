"""Warm servers as an installation has them: the parents of embedded mode, the pool of server mode."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from madang_hub import lending
from madang_hub.catalog import Catalog
from madang_hub.isolation.forgotten import answers
from madang_hub.isolation.pool import NetworkPool
from madang_hub.lending import Vacancy
from madang_hub.local import jupyter_config
from madang_hub.people.classes import Classes
from madang_hub.people.database import Database
from madang_hub.places import ENVIRONMENTS, SERVER_MARK, Places, read_secret
from madang_hub.warm.containers import Containers
from madang_hub.warm.outside import machine, meetings_of
from madang_hub.warm.parents import WarmParents
from madang_hub.warm.servers import Outside, WarmServers


def warm_parents(places: Places, root: Path, catalog: Catalog) -> WarmParents:
    """The parents of this installation; where a Hub is starting, the default environment's is begun.

    The others are started when somebody first asks for their environment.
    """
    given = {
        # `madang down` finds what is left by this
        SERVER_MARK: str(places.homes),
        "JUPYTER_CONFIG_PATH": str(jupyter_config(root / "images")),
    }
    parents = WarmParents(root / ENVIRONMENTS, places.warm_slots, places.log, given)
    try:
        # the Hub reads its configuration inside its loop; tests and commands have none
        asyncio.get_running_loop()
    except RuntimeError:
        return parents
    parents.soon(catalog.environments[catalog.default[0]].image)
    return parents


def warm_servers(
    places: Places,
    catalog: Catalog,
    networks: NetworkPool,
    database: Database,
    busy: Callable[[], bool],
    running: Callable[[], Collection[str]],
) -> WarmServers:
    """The pool of this installation; where a Hub is starting, it begins.

    ``busy``: whether people's servers are being started just now; ``running``: who has one.
    """
    settings, begun = places.settings, False

    async def vacant() -> Sequence[Vacancy]:
        nonlocal begun
        # the broker asks the Hub who asks, and the Hub answers only when it has begun
        begun = begun or await answers(f"http://127.0.0.1:{settings.hub_port}/hub/health")
        if not begun:
            return ()
        token = read_secret(places.secrets, "spawner_token")
        return await lending.vacant(places.accelerators_url, token)

    servers = WarmServers(
        catalog,
        networks,
        Containers(catalog, settings.instance),
        places.warm_slots,
        places.mounter_socket,
        Outside(
            meetings_of(Classes(database, ZoneInfo(settings.timezone)), database, running),
            busy,
            machine,
            vacant,
        ),
        settings.warm_base,
    )
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return servers
    _running.add(loop.create_task(servers.run()))
    return servers


_running: set[asyncio.Task[None]] = set()
"""The loop itself holds tasks weakly."""
