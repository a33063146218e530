"""Fixtures: a person's place on the engine, and a shell inside an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from images.containers import CATALOG, ROOT, UNITS, Ended, Place, log_of, place_on
from madang_hub.homes import ensure_home
from madang_hub.image_table import OUTSIDE_PARENT


@pytest.fixture(scope="module")
def place(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Where one container after the other runs."""
    with place_on(engine, tmp_path_factory.mktemp("homes")) as found:
        yield found


@pytest.fixture
def fresh(place: Place, tmp_path: Path) -> Place:
    """The same place with a new, empty home."""
    return Place(
        place.engine, place.network, place.hub_port, ensure_home(tmp_path, "kim"), place.choice
    )


@pytest.fixture
def in_image(engine: docker.DockerClient) -> Callable[..., Ended]:
    """Run a shell line in an image, by its own user, with no network and nothing to write to."""

    def run(image: str, line: str, **settings: Any) -> Ended:
        container = engine.containers.create(
            CATALOG.reference(image) if image != OUTSIDE_PARENT else image,
            ["-c", line],
            entrypoint=["sh"],
            **{
                "network_mode": "none",
                "read_only": True,
                "tmpfs": {"/tmp": "mode=1777"},
                "cap_drop": ["ALL"],
                "volumes": {
                    str(UNITS): {"bind": "/units", "mode": "ro"},
                    str(ROOT / "locks"): {"bind": "/locks", "mode": "ro"},
                    str(ROOT / "mlflow"): {"bind": "/mlflow", "mode": "ro"},
                    str(ROOT / "images"): {"bind": "/images", "mode": "ro"},
                },
                **settings,
            },
        )
        try:
            container.start()
            code = container.wait(timeout=300)["StatusCode"]
            return Ended(int(code), log_of(container))
        finally:
            container.remove(force=True, v=True)

    return run
