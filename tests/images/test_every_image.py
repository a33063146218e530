"""What holds for every image of the table."""

from __future__ import annotations

import json
from collections.abc import Callable

import docker
import pytest

from images.containers import CATALOG, IMAGES, PYTHON_IMAGES, ROOT, USER_IMAGES, Ended

pytestmark = [pytest.mark.images, pytest.mark.engine]
InImage = Callable[..., Ended]
every_image = pytest.mark.parametrize("image", IMAGES)

ROOT_IMAGES = {
    "hub": "makes homes and hands them to their owners; the stack gives it three capabilities",
    "guard": "sets firewall rules; the stack gives it CAP_NET_ADMIN",
}
"""Images whose programs run as root, and why."""


@every_image
def test_who_it_runs_as(engine: docker.DockerClient, image: str) -> None:
    user = engine.images.get(CATALOG.reference(image)).attrs["Config"]["User"]
    if image in ROOT_IMAGES:
        assert user == ""
    else:
        assert user == ("1000:1000" if "os" in CATALOG.lineage(image) else "990:990")


@every_image
def test_the_manifest_lists_what_is_installed(in_image: InImage, image: str) -> None:
    manifest = json.loads(in_image(image, "cat /opt/madang/manifest.json").log)
    assert (manifest["image"], manifest["release"]) == (image, CATALOG.release)
    query = "dpkg-query --show --showformat '${db:Status-Abbrev}\\t${Package}\\t${Version}\\n'"
    rows = [line.split("\t") for line in in_image(image, query).log.splitlines()]
    assert {status for status, _, _ in rows} == {"ii "}, "packages are half removed"
    listed = {(row["name"], row["version"]) for row in manifest["debian"]}
    assert listed == {(name, version) for _, name, version in rows}


@every_image
def test_nothing_of_the_build_is_left(in_image: InImage, image: str) -> None:
    # people add packages of their own with pip and uv; the stack's images have no use for them
    tools = "" if image in USER_IMAGES else "uv pip"
    left = in_image(
        image,
        f"for p in gcc cc g++ make ld npm {tools}; do command -v $p; done; "
        "ls -d /build /tmp/* /run/secrets ~root/.cache ~root/.npm /var/lib/apt/lists/?* "
        "/var/cache/apt/archives/*.deb /var/cache/apt/*.bin 2>/dev/null; true",
    )
    # empty folders in which the build's files were mounted
    assert [line for line in left.log.split() if line not in ("/build", "/run/secrets")] == []


@every_image
def test_no_address_of_the_build_machine_is_in_it(engine: docker.DockerClient, image: str) -> None:
    history = json.dumps(engine.images.get(CATALOG.reference(image)).history())
    settings = json.dumps(engine.images.get(CATALOG.reference(image)).attrs["Config"])
    for word in ("http_proxy", "HTTPS_PROXY", "INDEX_URL", "CERTIFICATE-----"):
        assert word not in history + settings


@pytest.mark.parametrize("image", PYTHON_IMAGES)
@pytest.mark.parametrize("unit", ["bytecode", "imports", "manifest"])
def test_python(in_image: InImage, image: str, unit: str) -> None:
    arguments = ""
    if unit == "imports":
        arguments = f"/{CATALOG.images[image].locks[0]}"
        leave_out = f"{CATALOG.images[image].folder}/leave-out.txt"
        if (ROOT / leave_out).is_file():
            arguments += f" /{leave_out}"
    done = in_image(image, f"/opt/madang/bin/python /units/python/{unit}.py {arguments}")
    assert done.code == 0, done.log
