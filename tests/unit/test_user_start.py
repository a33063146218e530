"""The start of a user server: which samples a home gets, without a container."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """What an image holds: samples for everybody, and what its environment adds."""
    folder = tmp_path / "image" / "samples"
    for file in ("samples/ko/README.md", "samples.d/ai-chips/a.ipynb", "samples.d/more/b.ipynb"):
        (tmp_path / "image" / file).parent.mkdir(parents=True)
        (tmp_path / "image" / file).write_text("ours")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def start(root: Path, home: Path, samples: Path) -> set[str]:
    """Start in ``home``; the files that are there then."""
    done = subprocess.run(
        ["sh", str(root / "images" / "base" / "madang-start"), "true"],
        env={"HOME": str(home), "MADANG_SAMPLES": str(samples), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return {str(file.relative_to(home)) for file in home.rglob("*") if file.is_file()}


EVERYTHING = {"welcome/ko/README.md", "ai-chips/a.ipynb", "more/b.ipynb"}


def test_a_new_home_gets_all_samples(root: Path, home: Path, samples: Path) -> None:
    assert start(root, home, samples) == EVERYTHING


def test_a_home_that_was_begun_elsewhere_gets_what_an_environment_adds(
    root: Path, home: Path, samples: Path, tmp_path: Path
) -> None:
    only = tmp_path / "other" / "samples"
    (only / "ko").mkdir(parents=True)
    (only / "ko" / "README.md").write_text("theirs")
    assert start(root, home, only) == {"welcome/ko/README.md"}
    assert start(root, home, samples) == EVERYTHING
    assert (home / "welcome/ko/README.md").read_text() == "theirs"


def test_what_the_person_changed_stays(root: Path, home: Path, samples: Path) -> None:
    start(root, home, samples)
    (home / "ai-chips/a.ipynb").write_text("mine")
    (home / "more/b.ipynb").unlink()
    assert start(root, home, samples) == EVERYTHING - {"more/b.ipynb"}
    assert (home / "ai-chips/a.ipynb").read_text() == "mine"


def test_a_copy_that_broke_off_is_made_again(root: Path, home: Path, samples: Path) -> None:
    (home / ".ai-chips-new").mkdir()
    (home / ".ai-chips-new" / "half").write_text("")
    assert start(root, home, samples) == EVERYTHING


def test_an_image_without_samples(root: Path, home: Path, tmp_path: Path) -> None:
    assert start(root, home, tmp_path / "none") == set()
