"""What the container of a user server may do, beside its memory and CPU limits. Rules only.

Plain values from plain arguments, so that tests and the engine's gateway can hold them against the
isolation rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from madang_hub.catalog import Choice, Environment
from madang_hub.isolation.networks import INSTANCE_LABEL, NETWORK_LABEL, NetworkPlan
from madang_hub.lending import Lent
from madang_hub.warm.names import LINE_PLACE, PROGRAM, WARM_LABEL

HOME = "/home/madang"
HUB_HOST = "hub.madang"
"""The host name under which a user container finds the proxy: its own network's gateway."""
SERVER_PORT = 8888
APP_PLACE = "/srv/dashboard"
"""Where a dashboard's container has its snapshot."""
PERSON_LABEL = "madang.user"
ENVIRONMENT_LABEL = "madang.environment"
VERSION_LABEL = "madang.version"
SIZE_LABEL = "madang.size"
LEASE_LABEL = "madang.lease"
SLOTS_LABEL = "madang.slots"
DEVICES_LABEL = "madang.devices"
"""Labels of a container with accelerators: whose, by which lease, which slots, which CDI devices (with spaces
between). What holds what is read from them, also when everything else was lost."""
TMP_BYTES = 512 * 2**20
CPU_PERIOD = 100_000
"""Microseconds that a CPU limit is counted over, as DockerSpawner has it."""
WAIT = (PROGRAM,)
"""Command of a container that waits for its person."""


def hostname(environment: Environment) -> str:
    """The host name in a server's container, as the prompt of a terminal shows it: the environment's.

    Not the person's: one that was made ahead is nobody's yet.
    """
    return environment.image[:63]


def persons_prefix(instance: str) -> str:
    """How the names of this installation's containers of people begin; the escaped user name follows."""
    return f"{instance}-user-"


def lease_labels(lent: Lent) -> dict[str, str]:
    """What the container says of the lease whose devices it has; nothing without one."""
    if not lent.lease:
        return {}
    return {
        LEASE_LABEL: lent.lease,
        SLOTS_LABEL: " ".join(lent.slots),
        DEVICES_LABEL: " ".join(lent.devices),
    }


def host_config(
    plan: NetworkPlan, choice: Choice, home: Path, devices: Sequence[str] = ()
) -> dict[str, Any]:
    """Docker host settings of a user container beside its memory and CPU limits.

    ``devices``: full CDI names of what is lent to its person.
    """
    return {
        **_device_requests(devices),
        "binds": {str(home): {"bind": HOME, "mode": "rw"}},
        "network_mode": plan.name,
        **_every(plan, choice),
    }


def app_host_config(plan: NetworkPlan, choice: Choice, snapshot: Path) -> dict[str, Any]:
    """Docker host settings of a dashboard's container beside its memory and CPU limits.

    No home, no name for the proxy, a network that leads nowhere; and no init before the runner, which would
    show the runner's key in its environment.
    """
    found = {
        **_every(plan, choice),
        "binds": {str(snapshot): {"bind": APP_PLACE, "mode": "ro"}},
        "network_mode": plan.name,
        "init": False,
    }
    del found["extra_hosts"]
    return found


def warm_host_config(
    plan: NetworkPlan, choice: Choice, slot: Path, devices: Sequence[str] = ()
) -> dict[str, Any]:
    """Docker host settings of a container that waits, memory and CPU limits included.

    It has no home and no network yet: ``slot`` is the folder of its line to the Hub, ``plan`` the network that
    it is connected to when somebody gets it. ``devices``: full CDI names of the accelerator that it waits with.
    """
    return {
        **_device_requests(devices),
        "binds": {str(slot): {"bind": LINE_PLACE, "mode": "ro"}},
        "network_mode": "none",
        "mem_limit": choice.size.memory,
        "cpu_period": CPU_PERIOD,
        "cpu_quota": int(choice.size.cpu * CPU_PERIOD),
        **_every(plan, choice),
    }


def warm_labels(
    instance: str,
    slot: str,
    plan: NetworkPlan,
    choice: Choice,
    version: str,
    accelerator: str = "",
    devices: Sequence[str] = (),
) -> dict[str, str]:
    """Labels of a container that waits in ``slot``, made from this ``version`` of its environment.

    They stay when somebody gets it: whose it is then is said by its name alone. ``accelerator``: the slot of
    the accelerator that it waits with, by these ``devices``; which lease has it follows from whose it is.
    """
    lent = {SLOTS_LABEL: accelerator, DEVICES_LABEL: " ".join(devices)} if accelerator else {}
    return {
        **lent,
        INSTANCE_LABEL: instance,
        WARM_LABEL: slot,
        ENVIRONMENT_LABEL: choice.environment.name,
        VERSION_LABEL: version,
        SIZE_LABEL: choice.size.name,
        NETWORK_LABEL: str(plan.index),
    }


def _device_requests(devices: Sequence[str]) -> dict[str, Any]:
    requests = [{"driver": "cdi", "device_ids": list(devices)}]
    return {"device_requests": requests} if devices else {}


def _every(plan: NetworkPlan, choice: Choice) -> dict[str, Any]:
    """What all user containers have."""
    return {
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "pids_limit": choice.size.pids,
        "memswap_limit": choice.size.memory,
        "read_only": True,
        "tmpfs": {
            "/tmp": f"rw,nosuid,nodev,exec,size={TMP_BYTES},mode=1777",  # noqa: S108  # in the container
            "/run": "rw,nosuid,nodev,noexec,size=16777216,mode=0755",
        },
        "extra_hosts": {HUB_HOST: str(plan.gateway)},
        "init": True,
        # kept until stop() removes it: how it ended (out of memory?) must be seen first
        "auto_remove": False,
        "log_config": {"Type": "json-file", "Config": {"max-size": "5m", "max-file": "2"}},
    }
