"""What user servers of one installation may be: data for ``policy.py``, made of settings and table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path, PurePosixPath

from madang_hub.catalog import Catalog
from madang_hub.places import APP_IMAGE, Places
from madang_hub.settings import Settings
from madang_hub.user_container import (
    APP_PLACE,
    HOME,
    HUB_HOST,
    SERVER_PORT,
    persons_prefix,
)
from madang_hub.warm import names


@dataclass(frozen=True)
class Rules:
    """What user servers of one installation may be.

    Memory and swap are in bytes, ``max_cpu`` is in cores, ``max_pids`` counts processes and
    threads. ``read_only_binds`` maps a place inside the container to the one folder that may be
    mounted there, read-only. ``devices`` are names of CDI devices that may be handed out. ``warm`` is the
    folder of the slots of waiting containers; None: there are none. ``app_image`` is the image of dashboards
    (empty: there are none), which show snapshots in the folder ``snapshots``, each at ``app_place``.
    """

    images: frozenset[str]
    homes: PurePosixPath
    pool: IPv4Network
    instance: str = "madang"
    prefix: str = "madang-user-"
    warm: PurePosixPath | None = None
    warm_prefix: str = names.prefix("madang")
    app_image: str = ""
    snapshots: PurePosixPath | None = None
    app_place: str = APP_PLACE
    bridge_prefix: str = "mdg"
    user: str = "1000:1000"
    home: str = HOME
    hub_host: str = HUB_HOST
    server_port: int = SERVER_PORT
    max_memory: int = 16 * 2**30
    max_cpu: float = 8.0
    max_pids: int = 4096
    max_tmpfs: int = 2 * 2**30
    max_shm: int = 2 * 2**30
    read_only_binds: Mapping[str, str] = field(default_factory=dict)
    devices: frozenset[str] = frozenset()
    security_options: frozenset[str] = frozenset()


def rules_for(settings: Settings, catalog: Catalog, homes: Path | None = None) -> Rules:
    """What the settings and the table say that user servers may be.

    The limits are those of the table's largest size.
    """
    sizes = catalog.sizes.values()
    places = Places(settings, "server")
    return Rules(
        images=frozenset(catalog.reference(e.image) for e in catalog.environments.values()),
        homes=PurePosixPath(homes or places.homes),
        pool=settings.network,
        instance=settings.instance,
        prefix=persons_prefix(settings.instance),
        warm=PurePosixPath(places.warm_slots),
        warm_prefix=names.prefix(settings.instance),
        app_image=catalog.reference(APP_IMAGE) if APP_IMAGE in catalog.images else "",
        snapshots=PurePosixPath(places.snapshots),
        bridge_prefix=settings.bridge_prefix,
        max_memory=max(size.memory for size in sizes),
        max_cpu=max(size.cpu for size in sizes),
        max_pids=max(size.pids for size in sizes),
    )
