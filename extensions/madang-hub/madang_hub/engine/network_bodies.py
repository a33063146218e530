"""What the network of a user server may look like: the body of the engine's create call.

Rules; no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from madang_hub.engine.checks import Refused, need, only
from madang_hub.engine.rules import Rules
from madang_hub.isolation import networks


def network_of(name: Any, rules: Rules) -> networks.NetworkPlan:
    """The network of one user server, as it is planned.

    Raises:
        Refused: ``name`` is not that of one, or the pool has none of this index.
    """
    index = networks.index_of(name, instance=rules.instance) if isinstance(name, str) else None
    if index is None or networks.slice_of(index) >= networks.capacity(rules.pool):
        raise Refused("NetworkMode must be a network of one user server")
    return networks.plan(rules.pool, index, instance=rules.instance, prefix=rules.bridge_prefix)


def create_network(value: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """The body of ``networks/create``: exactly one of our plans, or refused.

    Raises:
        Refused: it differs from the plan of the network that it names.
    """
    only(
        value,
        "",
        ("Name", "Driver", "Options", "IPAM", "Labels", "CheckDuplicate", "Internal"),
        ("EnableIPv6", "Attachable", "Ingress", "Scope", "ConfigOnly", "ConfigFrom"),
    )
    kwargs = networks.create_kwargs(network_of(value.get("Name"), rules))
    expected = {
        "Name": kwargs["name"],
        "Driver": kwargs["driver"],
        "Options": kwargs["options"],
        "IPAM": kwargs["ipam"],
        "Labels": kwargs["labels"],
        "EnableIPv6": kwargs["enable_ipv6"],
        "Internal": kwargs.get("internal", False),
        "CheckDuplicate": True,
    }
    need(
        bool(value.get("Internal")) == expected["Internal"], "Internal is not that of this network"
    )
    for key in ("Driver", "Options", "IPAM", "Labels"):
        need(
            value.get(key) == expected[key], f"{key} is not that of the network {expected['Name']}"
        )
    return expected
