"""A container that waits for its person, as docker-py asks the engine for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker

from madang_hub.catalog import Catalog, Choice
from madang_hub.isolation.networks import NetworkPlan
from madang_hub.user_container import WAIT, hostname, warm_host_config, warm_labels
from madang_hub.warm import names


def waiting(
    client: docker.APIClient,
    catalog: Catalog,
    choice: Choice,
    instance: str,
    plan: NetworkPlan,
    slot: Path,
    accelerator: str = "",
    devices: Sequence[str] = (),
) -> dict[str, Any]:
    """Arguments of docker-py's ``create_container``; ``slot``: the folder of its line."""
    version = choice.environment.release or catalog.release
    return {
        "image": catalog.reference_of(choice.environment),
        "command": list(WAIT),
        "name": names.container_name(instance, slot.name),
        "user": "1000:1000",
        "hostname": hostname(choice.environment),
        "labels": warm_labels(instance, slot.name, plan, choice, version, accelerator, devices),
        "host_config": client.create_host_config(**warm_host_config(plan, choice, slot, devices)),
    }
