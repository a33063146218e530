"""Images that people start, each run with the spawner's own settings.

``units/<image>/`` holds programs that must succeed inside that image and inside every image that is
built on it.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from support.deployment import wait_for

from images.containers import (
    CATALOG,
    TOKEN,
    UNITS,
    USER_IMAGES,
    Place,
    Running,
    complaints,
    place_on,
)
from images.kernels import execute

pytestmark = [pytest.mark.images, pytest.mark.engine]

INHERITED = [
    pytest.param(image, unit, id=f"{image}-{unit.parent.name}-{unit.stem}")
    for image in USER_IMAGES
    for ancestor in reversed(CATALOG.lineage(image))
    # variants of an image share its folder, and so its units
    for unit in sorted((UNITS / Path(CATALOG.images[ancestor].folder).name).glob("*.py"))
]


@pytest.mark.parametrize(("image", "unit"), INHERITED)
def test_unit(fresh: Place, image: str, unit: Path) -> None:
    done = fresh.run(image, "python", f"/units/{unit.relative_to(UNITS)}")
    assert done.code == 0, done.log


# ---- a running server ---------------------------------------------------------------------


@pytest.fixture(scope="module", params=USER_IMAGES)
def running(
    request: pytest.FixtureRequest,
    engine: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    homes = tmp_path_factory.mktemp("homes")
    with place_on(engine, homes) as place, place.server(request.param) as server:
        yield server


def test_jupyterlab_answers_its_person(running: Running) -> None:
    page = running.session.get(f"{running.url}/lab", timeout=60)
    assert page.status_code == 200
    assert "jupyter-config-data" in page.text
    assert '"buildCheck": false' in page.text  # there is no Node to build it anew


def test_a_cell_runs_in_a_kernel_over_ipc(running: Running) -> None:
    made = running.session.post(f"{running.url}/api/kernels", json={"name": "python3"}, timeout=60)
    assert made.status_code == 201, made.text
    identity = made.json()["id"]
    try:
        assert asyncio.run(execute(running.url, identity, "print('안녕', 6 * 7)")) == "안녕 42\n"
        file = f"/tmp/jupyter-runtime/kernel-{identity}.json"
        assert json.loads(running.run("cat", file))["transport"] == "ipc"
        # addresses in hexadecimal, last byte first (7F is loopback, 22B8 is 8888); 0A is listening
        table = running.run("cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
        listening = {line.split()[1] for line in table if " 0A " in line}
        reachable = {address for address in listening if not address.split(":")[0].endswith("7F")}
        assert reachable == {"00000000:22B8"}
    finally:
        running.session.delete(f"{running.url}/api/kernels/{identity}", timeout=60)


def test_its_health_check_finds_it_healthy(running: Running) -> None:
    wait_for(lambda: running.health == "healthy", "the health check", 90)


def test_extensions_cannot_be_installed_from_the_page(running: Running) -> None:
    reply = running.session.get(f"{running.url}/lab/api/extensions", timeout=60)
    config = running.session.get(f"{running.url}/lab", timeout=60).text
    assert reply.ok
    assert '"can_install": true' not in config


def test_its_log_is_clean(running: Running) -> None:
    assert complaints(running.log) == []


def test_nobody_else_is_answered(running: Running) -> None:
    # after the look at the log: a refusal is logged as a warning
    running.session.headers.pop("Authorization")
    try:
        assert running.session.get(f"{running.url}/api/contents", timeout=60).status_code == 403
    finally:
        running.session.headers["Authorization"] = f"token {TOKEN}"


# ---- the first start ----------------------------------------------------------------------


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


LANGUAGE_SETTINGS = (
    ".jupyter/lab/user-settings/@jupyterlab/translation-extension/plugin.jupyterlab-settings"
)


def test_the_first_start_copies_the_samples(fresh: Place, root: Path) -> None:
    assert fresh.run("lab", "true").code == 0
    assert content(fresh.home / "welcome") == content(root / "images" / "lab" / "samples")
    assert {file.stat().st_uid for file in fresh.home.rglob("*")} == {1000}
    assert not (fresh.home / ".welcome-new").exists()
    assert not (fresh.home / ".madang-writable").exists()


def test_a_later_start_leaves_a_persons_files_alone(fresh: Place) -> None:
    assert fresh.run("lab", "true", MADANG_LANG="en").code == 0
    changed, removed = fresh.home / "welcome/en/wine.csv", fresh.home / "welcome/ko/README.md"
    changed.write_text("mine")
    removed.unlink()
    settings = fresh.home / LANGUAGE_SETTINGS
    settings.write_text('{"locale": "ko_KR"}')
    before = content(fresh.home)
    assert fresh.run("lab", "true", MADANG_LANG="en").code == 0
    assert content(fresh.home) == before


def test_a_copy_that_broke_off_is_made_again(fresh: Place) -> None:
    half = fresh.home / ".welcome-new"
    half.mkdir()
    (half / "half").write_text("")
    for made in (half, half / "half"):
        os.chown(made, 1000, 1000)
    assert fresh.run("lab", "true").code == 0
    assert not half.exists()
    assert not (fresh.home / "welcome" / "half").exists()


@pytest.mark.parametrize(("language", "locale"), [("ko", None), ("en", "en")])
def test_the_first_start_sets_the_persons_language(
    fresh: Place, language: str, locale: str | None
) -> None:
    assert fresh.run("base", "true", MADANG_LANG=language).code == 0
    settings = fresh.home / LANGUAGE_SETTINGS
    # Korean is the installation's default: nothing has to be written for it
    assert (json.loads(settings.read_text())["locale"] if settings.exists() else None) == locale


@pytest.mark.parametrize(("language", "locale"), [("ko", "ko_KR"), ("en", "en")])
def test_the_page_is_in_the_persons_language(fresh: Place, language: str, locale: str) -> None:
    with fresh.server("base", MADANG_LANG=language) as server:
        reply = server.session.get(
            f"{server.url}/lab/api/settings/@jupyterlab/translation-extension:plugin", timeout=60
        )
        settings = reply.json()
        merged = {"locale": settings["schema"]["properties"]["locale"]["default"]}
        merged.update(settings["settings"])
        assert merged["locale"] == locale
        catalogue = server.session.get(f"{server.url}/lab/api/translations/ko_KR", timeout=60)
        assert len(catalogue.json()["data"]) > 5


def test_a_home_that_cannot_be_written_is_explained(fresh: Place) -> None:
    os.chown(fresh.home, 0, 0)
    fresh.home.chmod(0o755)
    done = fresh.run("base", "true")
    assert done.code == 77
    assert "The home cannot be written (owner 0, this is 1000)" in done.log
    assert "홈 폴더에 쓸 수 없습니다" in done.log
