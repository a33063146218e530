"""What the built images say about themselves from outside, and what is taken out of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import docker
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from images.containers import CATALOG, IMAGES, ROOT
from madang_hub.image_table import OUTSIDE_PARENT
from madang_hub.shelf import labels, plan, publish

pytestmark = [pytest.mark.images, pytest.mark.engine]
OCI = "org.opencontainers.image."
every_image = pytest.mark.parametrize("image", IMAGES)


def labels_of(engine: docker.DockerClient, image: str) -> dict[str, str]:
    found: dict[str, str] = engine.images.get(CATALOG.reference(image)).labels
    return found


@every_image
def test_labels_say_which_image_it_is_and_where_it_comes_from(
    engine: docker.DockerClient, image: str
) -> None:
    found = labels_of(engine, image)
    row = CATALOG.images[image]
    parent = CATALOG.reference(row.parent) if row.parent in CATALOG.images else row.parent
    assert found[f"{OCI}title"] == f"madang/{image}"
    assert found[f"{OCI}description"] == labels.description(CATALOG, image, ROOT)
    assert found[f"{OCI}version"] == CATALOG.release
    assert found[f"{OCI}base.name"] == parent
    assert found["madang.main"] == " ".join(labels.main_packages(CATALOG, image, ROOT))
    created = datetime.fromisoformat(found[f"{OCI}created"])
    assert timedelta() < datetime.now(UTC) - created < timedelta(days=3650)
    assert {name for name in found if name.startswith(OCI)} == {
        OCI + name
        for name in ("title", "description", "version", "revision", "created", "base.name")
    }, "licenses and source would not be true; see labels.py"


@every_image
def test_the_revision_is_a_commit_that_had_this_content(
    engine: docker.DockerClient, image: str
) -> None:
    revision = labels_of(engine, image)[f"{OCI}revision"]
    assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?", revision)
    if revision.endswith("+changes"):
        return
    read = [p for name in CATALOG.lineage(image) for p in plan.inputs_of(CATALOG, name)]
    differs = subprocess.run(
        ["git", "-C", str(ROOT), "diff", "--stat", revision, "--", *read],
        capture_output=True,
        text=True,
        check=True,
    )
    assert differs.stdout == ""


def test_what_is_in_the_images_is_taken_out_of_them(
    engine: docker.DockerClient, tmp_path: Path
) -> None:
    assert publish.publish(CATALOG, IMAGES, tmp_path) == list(IMAGES)
    for image in IMAGES:
        folder = tmp_path / image / CATALOG.release
        manifest = json.loads((folder / publish.MANIFEST).read_text(encoding="utf-8"))
        assert manifest["inputs"] == labels_of(engine, image)["madang.inputs"]
        assert manifest["bytes"] > 50_000_000
        for kind in ("python", "debian", "npm", "other"):
            total = manifest["totals"][kind]
            assert total["packages"] == len(manifest[kind])
            assert total["bytes"] == sum(row["bytes"] for row in manifest[kind])
        text = (folder / publish.SBOM).read_text(encoding="utf-8")
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
        assert error is None, error
    assert publish.publish(CATALOG, IMAGES, tmp_path) == [], "nothing has changed"


@pytest.mark.skipif("proxy" not in IMAGES, reason="not among the images asked for")
def test_what_npm_brought_is_listed(tmp_path: Path) -> None:
    publish.publish(CATALOG, ["proxy"], tmp_path)
    proxy = json.loads((tmp_path / "proxy" / CATALOG.release / publish.MANIFEST).read_text())
    assert "configurable-http-proxy" in {row["name"] for row in proxy["npm"]}
    assert [row["name"] for row in proxy["other"]] == ["node"]


def test_what_holds_no_list_is_passed_over_and_no_engine_is_said(tmp_path: Path) -> None:
    class Others:
        release = "0"

        def reference(self, name: str) -> str:
            return name

    references = ["madang/no-such-image:0", OUTSIDE_PARENT]
    assert publish.publish(Others(), references, tmp_path) == []  # type: ignore[arg-type]  # all of a catalogue that it asks
    assert list(tmp_path.iterdir()) == []
    environ = {"PATH": os.environ["PATH"], "DOCKER_HOST": "unix:///nowhere.sock"}
    with pytest.raises(publish.PublishError, match="docker image inspect failed"):
        publish.publish(CATALOG, ["lab"], tmp_path, environ)
