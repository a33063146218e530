"""The plain Hub as a process for the time of the measurement."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import requests
from support.deployment import ROOT, Deployment, wait_for

from madang_hub.catalog import Catalog
from madang_hub.deploy.envs import ensure_proxy, node


@contextmanager
def plain_hub(
    folder: Path, catalog: Catalog, size: str, *, name: str = "plain-bench", device: str = ""
) -> Iterator[Deployment]:
    """A plain JupyterHub with DockerSpawner; what is yielded is only used for its address.

    ``device``: the full CDI name of one that every server gets.
    """
    engine = docker.DockerClient.from_env()
    network = engine.networks.create(name, driver="bridge")
    network.reload()
    place = Deployment("embedded", folder)
    environ = {
        **os.environ,
        "PATH": f"{node().parent}:{os.environ['PATH']}",
        "PLAIN_PORT": str(place.port),
        "PLAIN_HUB_PORT": str(place.hub_port),
        "PLAIN_PROXY_API_PORT": str(place.proxy_api_port),
        "PLAIN_GATEWAY": network.attrs["IPAM"]["Config"][0]["Gateway"],
        "PLAIN_PROXY": f"{node()} {ensure_proxy(ROOT)}",
        "PLAIN_FOLDER": str(folder),
        "PLAIN_IMAGE": catalog.reference("lab"),
        "PLAIN_PREFIX": name,
        "PLAIN_DEVICE": device,
        "PLAIN_NETWORK": network.name,
        "PLAIN_MEMORY": str(catalog.sizes[size].memory),
        "PLAIN_CPU": str(catalog.sizes[size].cpu),
    }
    log = (folder / "plain.log").open("wb")
    hub = subprocess.Popen(
        [sys.executable, "-m", "jupyterhub", "-f", str(ROOT / "tests/bench/plain_config.py")],
        env=environ,
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
    )

    def answers() -> bool:
        assert hub.poll() is None, (folder / "plain.log").read_text()
        try:
            return requests.get(f"{place.url}/hub/health", timeout=5).ok
        except requests.RequestException:
            return False

    try:
        wait_for(answers, "the plain Hub")
        yield place
    except BaseException:
        print((folder / "plain.log").read_text(errors="replace")[-6000:], file=sys.stderr)
        raise
    finally:
        hub.terminate()
        hub.wait(60)
        log.close()
        for container in engine.containers.list(all=True, filters={"name": f"^{name}-"}):
            container.remove(force=True)
        network.remove()
        engine.close()
