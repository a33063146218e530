"""As many networks as the design promises fit on one engine."""

from __future__ import annotations

from ipaddress import IPv4Network

import docker
import pytest

from madang_hub.isolation import networks

POOL = IPv4Network("10.216.0.0/20")
SERVERS = 300


@pytest.mark.engine
@pytest.mark.long
def test_three_hundred_servers_fit(engine: docker.DockerClient) -> None:
    """An engine's own address pools end at about thirty networks; ours have explicit subnets."""
    made = []
    try:
        for index in range(SERVERS):
            plan = networks.plan(POOL, index, instance="tcap", prefix="mdc")
            made.append(engine.api.create_network(**networks.create_kwargs(plan))["Id"])
        last = engine.containers.run(
            "debian:bookworm-slim", ["hostname", "-I"], network=plan.name, remove=True
        )
        assert last.decode().split() == [str(plan.address)]
    finally:
        for identity in made:
            engine.api.remove_network(identity)
