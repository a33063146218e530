"""Homes: no name leaves the root, no link is followed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub.homes import DiskFullError, HomeError, ensure_home, home_of, name_of, slug


@given(st.text(min_size=1, max_size=80))
def test_every_name_is_one_folder_below_the_root(name: str) -> None:
    root = Path("/srv/homes")
    home = home_of(root, name)
    assert home.parent == root
    assert home.name not in ("", ".", "..")


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_two_names_never_share_a_folder(one: str, other: str) -> None:
    assert (slug(one) == slug(other)) == (one == other)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=30))
def test_a_folder_says_whose_it_is(name: str) -> None:
    assert name_of(slug(name)) == name
    assert name_of("minji-ff") == ""


def test_a_home_is_made_once_and_is_private(tmp_path: Path) -> None:
    home = ensure_home(tmp_path, "kim", os.geteuid(), os.getegid())
    (home / "file").write_text("kept")
    assert ensure_home(tmp_path, "kim", os.geteuid(), os.getegid()) == home
    assert (home / "file").read_text() == "kept"
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_link_in_the_place_of_a_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    home_of(tmp_path, "kim").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeError):
        ensure_home(tmp_path, "kim", os.geteuid(), os.getegid())


def test_a_file_in_the_place_of_a_home_is_refused(tmp_path: Path) -> None:
    home_of(tmp_path, "kim").write_text("")
    with pytest.raises(HomeError):
        ensure_home(tmp_path, "kim", os.geteuid(), os.getegid())


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_full_disk_is_noticed_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10, 10, 0))
    with pytest.raises(DiskFullError):
        ensure_home(tmp_path, "kim", os.geteuid(), os.getegid())
