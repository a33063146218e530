"""Loading a bundle: nothing is changed before all is checked, and what a folder holds is respected."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bundles import FILES, bundle

from madang_hub.bundle.archive import Archive
from madang_hub.bundle.engine import Engine
from madang_hub.bundle.loading import PLACE, digests, load, loaded, refusal
from madang_hub.bundle.manifest import (
    IMAGES,
    SOURCE,
    WHEELS,
    BundledImage,
    BundleError,
    Manifest,
    plan_sources,
)


class Shelf(Engine):
    """An engine that keeps what it is given; ``deaf``: it forgets it at once."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.images = b""
        self.deaf = deaf

    def require(self) -> None:
        pass

    def root(self) -> Path | None:
        return Path("/")

    def lacks(self, image: BundledImage) -> bool:
        return self.deaf or not self.images

    def load(self, give: Callable[[IO[bytes]], None]) -> None:
        given = io.BytesIO()
        give(given)
        self.images = given.getvalue()


def quiet(line: str) -> None:
    pass


def test_everything_is_put_in_its_place(tmp_path: Path) -> None:
    engine, folder = Shelf(), tmp_path / "madang"
    said: list[str] = []
    archive = Archive(bundle(tmp_path / "madang.tar"))
    load(archive, folder, engine, said.append)
    assert engine.images == FILES[IMAGES[1]]
    for name, data in FILES.items():
        if name.startswith(SOURCE):
            assert (folder / name.removeprefix(SOURCE)).read_bytes() == data
    assert [w.name for w in (folder / PLACE / "wheels").iterdir()] == ["uv-1-py3-none-any.whl"]
    assert loaded(folder) == archive.manifest
    load(archive, folder, engine, said.append)
    assert "images: all there" in said
    assert "sources: 0 new, 0 replaced, 0 removed" in said


def damaged(path: Path) -> Path:
    data = bytearray(bundle(path).read_bytes())
    data[data.index(bytes(range(256))) + 300] ^= 1
    path.write_bytes(data)
    return path


def test_nothing_is_changed_by_a_damaged_bundle(tmp_path: Path) -> None:
    engine, folder = Shelf(), tmp_path / "madang"
    with pytest.raises(BundleError, match="is damaged or was changed"):
        load(Archive(damaged(tmp_path / "madang.tar")), folder, engine, quiet)
    assert not engine.images
    assert not folder.exists()


def test_nothing_is_changed_where_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, folder = Shelf(), tmp_path / "madang"
    archive = Archive(bundle(tmp_path / "madang.tar"))
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 90, 10))
    with pytest.raises(BundleError, match="make room"):
        load(archive, folder, engine, quiet)
    assert not engine.images
    assert not folder.exists()


@pytest.mark.parametrize(("key", "value"), [("machine", "vax"), ("python", ("2.7",))])
def test_nothing_is_changed_on_a_machine_that_does_not_fit(
    tmp_path: Path, key: str, value: object
) -> None:
    engine, folder = Shelf(), tmp_path / "madang"
    path = bundle(tmp_path / "madang.tar", FILES, **{key: value})
    with pytest.raises(BundleError, match="this machine"):
        load(Archive(path), folder, engine, quiet)
    assert not engine.images
    assert not folder.exists()


def test_an_engine_that_took_something_else_is_told(tmp_path: Path) -> None:
    archive = Archive(bundle(tmp_path / "madang.tar"))
    with pytest.raises(BundleError, match="not as the bundle has them"):
        load(archive, tmp_path / "madang", Shelf(deaf=True), quiet)


def test_an_update_leaves_data_and_settings(tmp_path: Path) -> None:
    engine, folder = Shelf(), tmp_path / "madang"
    old = FILES | {f"{SOURCE}old/part/gone.py": b"1", f"{WHEELS}old-1-py3-none-any.whl": b"1"}
    load(Archive(bundle(tmp_path / "old.tar", old)), folder, engine, quiet)
    (folder / "madang.env").write_text("MADANG_PORT=80")
    new = FILES | {f"{SOURCE}images/images.toml": b'release = "0.2.0"\n'}
    archive = Archive(bundle(tmp_path / "new.tar", new, release="0.2.0"))
    with pytest.raises(BundleError, match="--update"):
        load(archive, folder, engine, quiet)
    assert (folder / "old" / "part" / "gone.py").exists()
    load(archive, folder, engine, quiet, update=True)
    assert not (folder / "old").exists()
    assert "0.2.0" in (folder / "images" / "images.toml").read_text()
    assert (folder / "madang.env").read_text() == "MADANG_PORT=80"
    assert [w.name for w in (folder / PLACE / "wheels").iterdir()] == ["uv-1-py3-none-any.whl"]


# ---- what is done to a folder ---------------------------------------------------------------


def test_the_plan_for_a_folder() -> None:
    new = {"same": "1", "new": "2", "newer": "3", "mine": "4"}
    old = {"same": "1", "newer": "0", "mine": "0", "gone": "5", "gone-mine": "6", "lost": "7"}
    present = {"same": "1", "newer": "0", "mine": "X", "gone": "5", "gone-mine": "Y"}
    plan = plan_sources(new, old, present)
    assert plan.write == ("new",)
    assert plan.replace == ("mine", "newer")
    assert plan.remove == ("gone", "gone-mine")
    assert plan.changed == ("mine", "gone-mine")
    assert plan.same == 1


DIGESTS = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("123"))


@given(DIGESTS, DIGESTS, DIGESTS)
def test_a_plan_brings_the_bundle_and_touches_nothing_else(
    new: dict[str, str], old: dict[str, str], present: dict[str, str]
) -> None:
    plan = plan_sources(new, old, present)
    after = dict(present)
    after |= {path: new[path] for path in (*plan.write, *plan.replace)}
    for path in plan.remove:
        del after[path]
    assert {p: d for p, d in after.items() if p in new} == new
    strangers = present.keys() - new.keys() - old.keys()
    assert strangers <= after.keys()
    # what nobody changed is all that goes without a word
    for path in {*plan.replace, *plan.remove} - {*plan.changed}:
        assert present[path] == old[path]


def folder_of(tmp_path: Path, archive: Archive) -> Path:
    """As loading leaves it."""
    folder = tmp_path / "madang"
    for path, entry in archive.manifest.sources.items():
        archive.take(entry, folder / path)
    archive.take_manifest(folder / PLACE / "manifest.json")
    return folder


def refused(folder: Path, new: Manifest, *, update: bool = False) -> str:
    old = loaded(folder)
    before = {p: e.sha256 for p, e in old.sources.items()} if old else {}
    sums = {p: e.sha256 for p, e in new.sources.items()}
    plan = plan_sources(sums, before, digests(folder, sums.keys() | before.keys()))
    return refusal(folder, plan, new, old, update=update)


def test_a_new_folder_and_the_same_bundle_again_are_welcome(tmp_path: Path) -> None:
    archive = Archive(bundle(tmp_path / "madang.tar"))
    assert refused(tmp_path / "none", archive.manifest) == ""
    assert refused(folder_of(tmp_path, archive), archive.manifest) == ""


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    archive = Archive(bundle(tmp_path / "madang.tar"))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    assert "other things" in refused(tmp_path / "photos", archive.manifest)


def test_another_release_needs_a_word(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, Archive(bundle(tmp_path / "old.tar")))
    newer = FILES | {f"{SOURCE}images/images.toml": b'release = "0.2.0"\n'}
    new = replace(Archive(bundle(tmp_path / "new.tar", newer)).manifest, release="0.2.0")
    said = refused(folder, new)
    assert "0.1.0" in said
    assert "0.2.0" in said
    assert "--update" in said
    assert refused(folder, new, update=True) == ""
    (folder / "images" / "images.toml").write_text('release = "0.1.0-mine"\n')
    assert "images/images.toml" in refused(folder, new, update=True)


def test_a_git_checkout_is_not_overwritten(tmp_path: Path) -> None:
    archive = Archive(bundle(tmp_path / "madang.tar"))
    folder = folder_of(tmp_path, archive)
    (folder / PLACE / "manifest.json").unlink()
    assert refused(folder, archive.manifest) == ""
    (folder / "images" / "images.toml").write_text('release = "0.0.9"\n')
    said = refused(folder, archive.manifest, update=True)
    assert "checkout of Madang 0.0.9" in said
    assert "python3 madang-bundle/load FILE FOLDER" in said
