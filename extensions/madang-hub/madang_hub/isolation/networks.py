"""One small network per user server (rules; no I/O).

*Pool*: the private range of the setting ``network``. It is cut into *slices* of eight addresses;
the slice's number is the *index* of a server. Name, bridge interface, gateway and address of a
server's network all follow from the index, so nothing about networks needs to be stored: the
engine's own list says which indices are taken.

A *closed* network leads nowhere: the machine reaches the server in it, the server nothing. Its index is its
slice's number and :data:`CLOSED_FROM`; the guard tells it by the letter after the prefix of its bridge.

Explicit slices are needed because an engine's default address pools hold about thirty networks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

SLICE_PREFIX = 29
"""Prefix length of one server's network: eight addresses, of which a gateway and a server are
used."""

INTERFACE_NAME_MAX = 15
"""What the kernel takes for the name of an interface (``IFNAMSIZ`` less the ending zero)."""

CLOSED_FROM = 100_000_000
"""Indices from here on are those of closed networks; no pool has so many slices."""
CLOSED = "d"
"""The letter before the number in the name of a closed network's bridge; ``images/guard/guard`` knows it."""

INSTANCE_LABEL = "madang.instance"
NETWORK_LABEL = "madang.network"


class PoolExhausted(RuntimeError):  # noqa: N818  # read as a state: the pool is exhausted
    """Every slice of the pool is in use; the message says how to make the pool larger."""


@dataclass(frozen=True)
class NetworkPlan:
    """Everything about the network of the server with this ``index``.

    ``gateway`` is the host's end (the proxy answers there, but in a ``closed`` network), ``address`` is the
    server's.
    """

    index: int
    name: str
    bridge: str
    subnet: IPv4Network
    gateway: IPv4Address
    address: IPv4Address
    labels: Mapping[str, str]
    closed: bool = False


def capacity(pool: IPv4Network) -> int:
    """How many servers can run at the same time with this pool (0 if it is smaller than a /29)."""
    if pool.prefixlen > SLICE_PREFIX:
        return 0
    return int(2 ** (SLICE_PREFIX - pool.prefixlen))


def slice_of(index: int) -> int:
    """The number of the slice of the network with this ``index``."""
    return index - CLOSED_FROM if index >= CLOSED_FROM else index


def plan(
    pool: IPv4Network, index: int, *, instance: str = "madang", prefix: str = "mdg"
) -> NetworkPlan:
    """The network of the server with this ``index``.

    Args:
        pool: the range that networks are cut from.
        index: 0 up to ``capacity(pool) - 1``, or the same from :data:`CLOSED_FROM` on.
        instance: name of the installation, the start of the network's name.
        prefix: start of the bridge interface's name; the guard's rules are for these interfaces.

    Raises:
        ValueError: ``index`` is not in the pool, or the interface's name would be too long.
    """
    number, closed = slice_of(index), index >= CLOSED_FROM
    if not 0 <= number < capacity(pool):
        raise ValueError(
            f"network {index} is outside of {pool}, which holds 0 to {capacity(pool) - 1}; "
            "set MADANG_NETWORK to a larger range"
        )
    bridge = f"{prefix}{CLOSED if closed else ''}{number}"
    if len(bridge) > INTERFACE_NAME_MAX:
        raise ValueError(
            f"the interface name {bridge} is longer than {INTERFACE_NAME_MAX} characters; "
            "set MADANG_BRIDGE_PREFIX to a shorter one"
        )
    start = int(pool.network_address) + number * 2 ** (32 - SLICE_PREFIX)
    subnet = IPv4Network((start, SLICE_PREFIX))
    return NetworkPlan(
        index=index,
        name=f"{instance}-u-{index}",
        bridge=bridge,
        subnet=subnet,
        gateway=subnet[1],
        address=subnet[2],
        labels={INSTANCE_LABEL: instance, NETWORK_LABEL: str(index)},
        closed=closed,
    )


def next_free(used: Set[int], pool: IPv4Network) -> int:
    """The lowest slice that is not in ``used``.

    Raises:
        PoolExhausted: there is none.
    """
    places = capacity(pool)
    for index in range(places):
        if index not in used:
            return index
    raise PoolExhausted(
        f"all {places} networks of {pool} are in use; stop servers that nobody needs, "
        "or set MADANG_NETWORK to a larger range"
    )


def index_of(name: str, *, instance: str = "madang") -> int | None:
    """The index in a network's name as :func:`plan` writes it; None if the name is another's."""
    found = re.fullmatch(re.escape(instance) + r"-u-(0|[1-9][0-9]{0,8})", name, re.ASCII)
    return int(found[1]) if found else None


def index_in(labels: Mapping[str, str] | None) -> int:
    """The index of the network of a container with these labels; -1 where it has none."""
    return int((labels or {}).get(NETWORK_LABEL, -1))


def is_as_planned(inspected: Mapping[str, Any], plan: NetworkPlan) -> bool:
    """Whether the engine's description of a network is what :func:`plan` asks for (its range may have
    been another before a change of the settings)."""
    ranges = (inspected.get("IPAM") or {}).get("Config") or []
    bridge = (inspected.get("Options") or {}).get("com.docker.network.bridge.name")
    same = bridge == plan.bridge and bool(inspected.get("Internal")) == plan.closed
    return same and [(r.get("Subnet"), r.get("Gateway")) for r in ranges] == [
        (str(plan.subnet), str(plan.gateway))
    ]


def create_kwargs(plan: NetworkPlan) -> dict[str, Any]:
    """Arguments of docker-py's ``APIClient.create_network`` for this plan.

    The network has no IPv6. It is not ``internal``: people install packages from the internet; what
    they must not reach is closed by the guard, which an internal network would not do (the host's
    own ports stay reachable from those). A closed one is both: nothing routes out of it, the engine looks up no
    names for it, and the guard closes the machine's ports.
    """
    return {
        "name": plan.name,
        "driver": "bridge",
        "check_duplicate": True,
        "enable_ipv6": False,
        **({"internal": True} if plan.closed else {}),
        "labels": dict(plan.labels),
        "options": {"com.docker.network.bridge.name": plan.bridge},
        "ipam": {
            "Driver": "default",
            "Config": [{"Subnet": str(plan.subnet), "Gateway": str(plan.gateway)}],
        },
    }
