"""One file brings all of Madang to a machine with an engine and no network, and says so when it cannot.

Proven on an island: a network namespace without a route out, an engine without images, an empty folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import missing
from support.deployment import ROOT, Deployment, wait_for
from support.island import Island, island, routes

from madang_hub.catalog import Catalog

# minutes: everything is packed, and loaded and started on an island
pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(900)]

OUTSIDE = "import socket; socket.create_connection(('1.1.1.1', 443), timeout=5)"
HEALTH = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/hub/health').status)"


@pytest.fixture(scope="module")
def bundle(engine: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bundle of this checkout, with no environment but the one that is always there."""
    if os.geteuid() != 0:
        missing("root, who may make network namespaces")
    path = tmp_path_factory.mktemp("bundle") / "madang.tar"
    python = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = subprocess.check_output(["python3", "-c", python], text=True).strip()
    deployment = Deployment("server", path.parent / "data")
    said = deployment.madang("bundle", "create", str(path), "--only", "", "--python", version)
    assert "Fingerprint" in said
    yield path
    path.unlink()


def test_nothing_stays_of_a_bundle_that_was_interrupted(engine: object, tmp_path: Path) -> None:
    deployment = Deployment("server", tmp_path / "data")
    place = tmp_path / "out"
    place.mkdir()
    words = [str(ROOT / "scripts" / "madang"), "bundle", "create", str(place / "madang.tar")]
    words += ["--only", ""]
    with subprocess.Popen(
        words, env=deployment.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as making:

        def begun() -> bool:
            assert making.poll() is None, making.communicate()[0]
            return any(part.stat().st_size > 2**20 for part in place.glob(".*.part"))

        wait_for(begun, "the bundle to grow", 180)
        making.terminate()
        said = making.communicate(timeout=60)[0]
    assert making.returncode == 1
    assert "Interrupted" in said
    assert list(place.iterdir()) == []


@pytest.fixture(scope="module")
def away() -> Iterator[Island]:
    with island() as here:
        yield here


@pytest.fixture(scope="module")
def folder(bundle: Path, away: Island) -> Iterator[Path]:
    """The folder into which the bundle was loaded, by the two commands of the documentation."""
    away.must("tar", "xf", str(bundle), "madang-bundle/load", cwd=away.folder)
    target = away.folder / "madang"
    said = load(away, bundle, target)
    assert "loading images" in said
    assert f"cd {target} && make up" in said
    yield target
    away.run(["scripts/madang", "reset", "--yes"], target)


def load(away: Island, bundle: Path, target: Path) -> str:
    return away.must("python3", "madang-bundle/load", str(bundle), str(target), cwd=away.folder)


def test_there_is_no_way_out(away: Island) -> None:
    assert "default" not in routes(away)
    done = away.run([sys.executable, "-c", OUTSIDE])
    assert "Network is unreachable" in done.stdout


def test_loading_again_changes_nothing(bundle: Path, away: Island, folder: Path) -> None:
    said = load(away, bundle, folder)
    assert "images: all there" in said
    assert "sources: 0 new, 0 replaced, 0 removed" in said


def test_a_missing_package_is_said(bundle: Path, away: Island, folder: Path) -> None:
    wheel = next((folder / "build" / "bundle" / "wheels").glob("jupyterhub-*.whl"))
    wheel.unlink()
    done = away.run(["make", "up"], folder)
    assert done.returncode != 0
    assert "lacks packages of locks/hub.txt: load the bundle of this release again" in done.stdout
    load(away, bundle, folder)
    assert wheel.exists()


def test_a_missing_image_is_said(away: Island, folder: Path) -> None:
    guard = Catalog.load(folder / "images" / "images.toml").reference("guard")
    away.must("docker", "tag", guard, "kept:guard")
    away.must("docker", "rmi", guard)
    done = away.run(["make", "up"], folder)
    away.must("docker", "tag", "kept:guard", guard)
    assert done.returncode != 0
    assert f"The engine does not have {guard} as the bundle brought it" in done.stdout


def test_a_change_that_needs_a_build_is_said(away: Island, folder: Path) -> None:
    file = folder / "images" / "guard" / "guard"
    before = file.read_bytes()
    file.write_bytes(before + b"\n# changed\n")
    done = away.run(["make", "up"], folder)
    file.write_bytes(before)
    assert done.returncode != 0
    assert "images are made (guard)" in done.stdout


def test_madang_comes_up_and_somebody_works(away: Island, folder: Path) -> None:
    said = away.must("make", "up", cwd=folder)
    assert "server mode" in said
    assert "building madang/" not in said
    shown = away.must("scripts/madang", "config", "show", cwd=folder)
    assert "MADANG_ENVIRONMENTS=lab\n" in shown, "only what the bundle brought is offered"
    assert away.must(sys.executable, "-c", HEALTH).strip() == "200"
    added = away.must("scripts/madang", "user", "add", "minji", cwd=folder)
    one_time = Deployment("server", folder).one_time_password(added)
    printed = away.must(
        *(sys.executable, "-m", "support.first_cell", "8000", "minji", one_time),
        cwd=ROOT / "tests",
        environ={"PYTHONPATH": str(ROOT / "tests")},
    )
    assert printed.strip().endswith("42")


def test_a_changed_bundle_changes_nothing(bundle: Path, away: Island) -> None:
    with bundle.open("r+b") as file:
        file.seek(-2_000_000, os.SEEK_END)
        kept = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([kept[0] ^ 1]))
    new = away.folder / "other"
    words = ["python3", "madang-bundle/load", str(bundle), str(new)]
    done = away.run(words, away.folder)
    assert done.returncode == 1
    assert "is damaged or was changed" in done.stdout
    assert not new.exists()
