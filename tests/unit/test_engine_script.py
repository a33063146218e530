"""`scripts/engine` empties only a folder of its own, and a removal that was cut short can be taken up again."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "engine"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="scripts/engine is for root")


def run(folder: Path, *words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    settings = {
        **os.environ,
        "MADANG_ENGINE_DIR": str(folder),
        "PATH": path + os.environ["PATH"],
    }
    return subprocess.run(
        [str(SCRIPT), *words], env=settings, capture_output=True, text=True, check=False
    )


@pytest.fixture
def engine_folder(tmp_path: Path) -> Path:
    """As `up` leaves it, with nothing running."""
    folder = tmp_path / "engine"
    for name in ("bin", "cache/trixie", "data/overlay2/layer", "run"):
        (folder / name).mkdir(parents=True)
    (folder / ".madang-engine").touch()
    (folder / "daemon.json").write_text("{}")
    return folder


def test_down_keeps_the_downloads_when_told(engine_folder: Path) -> None:
    assert run(engine_folder, "down", "--keep-cache").returncode == 0
    assert {entry.name for entry in engine_folder.iterdir()} == {".madang-engine", "cache", "lock"}


def test_down_removes_the_folder(engine_folder: Path) -> None:
    assert run(engine_folder, "down").returncode == 0
    assert not engine_folder.exists()


def test_a_removal_that_was_cut_short_is_taken_up_again(engine_folder: Path) -> None:
    broken = engine_folder.parent / "broken"
    broken.mkdir()
    # removes all but the engine's data, as when it is killed on the way
    (broken / "rm").write_text(
        '#!/bin/sh\nfor word; do case $word in -*|*/data) ;; *) /bin/rm -rf "$word" ;; esac; done\nexit 1\n'
    )
    (broken / "rm").chmod(0o755)
    assert run(engine_folder, "down", "--keep-cache", path=f"{broken}:").returncode != 0
    assert (engine_folder / "data").exists()
    assert not (engine_folder / "daemon.json").exists()

    again = run(engine_folder, "down")
    assert again.returncode == 0, again.stderr
    assert not engine_folder.exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("mine")
    answer = run(tmp_path, "down")
    assert answer.returncode != 0
    assert "holds other files" in answer.stderr
    assert (tmp_path / "letters").read_text() == "mine"
