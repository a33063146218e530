"""Bodies of the engine's calls about a container that waits for its person: create, connect, disconnect.

Rules; no I/O. Such a container is made without a person, a home or a network; what makes it somebody's is that
it is renamed, connected and given the home. Its label of a slot stays, so what it is now is said by its name
(``ours.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from madang_hub.engine.bodies import (
    CONFIG,
    CONFIG_UNSET,
    basis,
    create_container,
    devices,
    limits,
)
from madang_hub.engine.checks import (
    Refused,
    a_ref,
    a_text,
    an_object,
    empty,
    need,
    only,
    texts,
)
from madang_hub.engine.devices import said
from madang_hub.engine.network_bodies import network_of
from madang_hub.engine.rules import Rules
from madang_hub.isolation import networks
from madang_hub.user_container import (
    DEVICES_LABEL,
    ENVIRONMENT_LABEL,
    PERSON_LABEL,
    SIZE_LABEL,
    SLOTS_LABEL,
    VERSION_LABEL,
    WAIT,
)
from madang_hub.warm.names import LINE_PLACE, SLOT, WARM_LABEL

LABELS = frozenset(
    {
        networks.INSTANCE_LABEL,
        networks.NETWORK_LABEL,
        WARM_LABEL,
        ENVIRONMENT_LABEL,
        VERSION_LABEL,
        SIZE_LABEL,
    }
)
OF_AN_ACCELERATOR = frozenset({SLOTS_LABEL, DEVICES_LABEL})
"""Besides, of a container that waits with an accelerator. No lease has it yet."""
_CONFIG = {
    "Image",
    "User",
    "Hostname",
    "Cmd",
    "Labels",
    "HostConfig",
    "AttachStdout",
    "AttachStderr",
}


def create(value: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """The body of ``containers/create``: a waiting container's where it has the label of one, else a person's.

    Raises:
        Refused: it is neither, or both.
    """
    labels = value.get("Labels")
    if isinstance(labels, Mapping) and WARM_LABEL in labels:
        need(PERSON_LABEL not in labels, f"{PERSON_LABEL} does not go with {WARM_LABEL}")
        return _waiting(value, rules)
    return create_container(value, rules)


def fits(query: Mapping[str, str], body: Mapping[str, Any], rules: Rules) -> None:
    """Whether the name in a checked ``query`` of ``containers/create`` is one for the checked ``body``.

    Raises:
        Refused: it is not.
    """
    slot = body["Labels"].get(WARM_LABEL)
    if slot is None:
        need(query["name"].startswith(rules.prefix), f"the name must start with {rules.prefix}")
    else:
        expected = rules.warm_prefix + slot
        need(query["name"] == expected, "the name of a waiting container must end with its slot")


def _waiting(value: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    only(value, "", _CONFIG, (CONFIG | CONFIG_UNSET) - _CONFIG)
    out = basis(value, rules)
    labels = out["Labels"]
    host = an_object(value.get("HostConfig"), "HostConfig")
    lent = _lent(host, labels, rules)
    expected = LABELS | OF_AN_ACCELERATOR if lent else LABELS
    need(
        set(labels) == expected,
        f"Labels of this one that waits must be {' '.join(sorted(expected))}",
    )
    need(SLOT.fullmatch(labels[WARM_LABEL]), f"the label {WARM_LABEL} must be 16 hex digits")
    own = out.get("Hostname") == labels[ENVIRONMENT_LABEL]
    need(own, "Hostname of a waiting container must be its environment")
    plan = planned(labels[networks.NETWORK_LABEL], rules)
    need(texts(value.get("Cmd"), "Cmd") == list(WAIT), f"Cmd of a waiting container must be {WAIT}")
    where = "HostConfig."
    hosts = [f"{rules.hub_host}:{plan.gateway}"]
    bind = f"{_folder(rules)}/{labels[WARM_LABEL]}:{LINE_PLACE}:ro"
    out["Cmd"] = list(WAIT)
    # nothing listens in it, and a program started every minute would be most of what it costs
    out["Healthcheck"] = {"Test": ["NONE"]}
    out["HostConfig"] = limits(host, rules)
    need(
        host.get("NetworkMode") == "none", where + "NetworkMode of a waiting container must be none"
    )
    need(host.get("Binds") == [bind], where + "Binds of a waiting container may only hold its slot")
    need(host.get("ExtraHosts") == hosts, where + f"ExtraHosts must be {hosts[0]}")
    out["HostConfig"] |= lent
    out["HostConfig"] |= {
        "NetworkMode": "none",
        "Binds": [f"{bind},rprivate"],
        "ExtraHosts": hosts,
    }
    return out


def _lent(host: Mapping[str, Any], labels: Mapping[str, str], rules: Rules) -> dict[str, Any]:
    """The devices of one slot of an accelerator, said in the labels; nothing where none is asked for."""
    if empty(host.get("DeviceRequests")):
        return {}
    requests = devices(host["DeviceRequests"], rules)
    said(labels, requests)
    slots = labels.get(SLOTS_LABEL, "").split()
    need(len(slots) == 1, f"{SLOTS_LABEL} of one that waits with devices must be one slot")
    return {"DeviceRequests": requests}


def _folder(rules: Rules) -> str:
    need(rules.warm is not None, "no container may wait here")
    return str(rules.warm)


def planned(index: str, rules: Rules) -> networks.NetworkPlan:
    """The network whose label is ``index``.

    Raises:
        Refused: the pool has none.
    """
    try:
        plan = network_of(f"{rules.instance}-u-{index}", rules)
        need(not plan.closed, "it leads nowhere")
        return plan
    except Refused as refusal:
        raise Refused(f"the label {networks.NETWORK_LABEL} must be a network's") from refusal


# ---- networks/…/disconnect and …/connect -----------------------------------------------------------


def disconnect(value: Mapping[str, Any], _: Rules) -> dict[str, Any]:
    """The body of ``networks/none/disconnect``: the container, and no force.

    Raises:
        Refused: there is more, or no container.
    """
    only(value, "", ("Container",), ("Force",))
    return {"Container": a_ref(value.get("Container"), "Container"), "Force": False}


def connect(value: Mapping[str, Any], _: Rules) -> dict[str, Any]:
    """The body of ``networks/…/connect``: the container, and its address there.

    Whether it is the one is seen when the network was looked up (``ours.py``).

    Raises:
        Refused: there is more, or less.
    """
    only(value, "", ("Container", "EndpointConfig"), ())
    container = a_ref(value.get("Container"), "Container")
    end = an_object(value.get("EndpointConfig"), "EndpointConfig")
    only(end, "EndpointConfig.", ("IPAMConfig",), ())
    own = an_object(end.get("IPAMConfig"), "EndpointConfig.IPAMConfig")
    only(own, "EndpointConfig.IPAMConfig.", ("IPv4Address",), ())
    address = a_text(own.get("IPv4Address"), "EndpointConfig.IPAMConfig.IPv4Address", 15)
    return {"Container": container, "EndpointConfig": {"IPAMConfig": {"IPv4Address": address}}}
