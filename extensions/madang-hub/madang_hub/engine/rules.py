"""What user servers of one installation may be (data; see ``policy.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Rules:
    """What user servers of one installation may be.

    Memory and swap are in bytes, ``max_cpu`` is in cores, ``max_pids`` counts processes and
    threads. ``read_only_binds`` maps a place inside the container to the one folder that may be
    mounted there, read-only. ``devices`` are names of CDI devices that may be handed out.
    """

    images: frozenset[str]
    homes: PurePosixPath
    pool: IPv4Network
    instance: str = "madang"
    prefix: str = "madang-user-"
    bridge_prefix: str = "mdg"
    user: str = "1000:1000"
    home: str = "/home/madang"
    hub_host: str = "hub.madang"
    server_port: int = 8888
    max_memory: int = 16 * 2**30
    max_cpu: float = 8.0
    max_pids: int = 4096
    max_tmpfs: int = 2 * 2**30
    max_shm: int = 2 * 2**30
    read_only_binds: Mapping[str, str] = field(default_factory=dict)
    devices: frozenset[str] = frozenset()
    security_options: frozenset[str] = frozenset()
