"""Bundles: what they say of themselves, what goes in, and what is refused."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import pytest
from conftest import missing
from hypothesis import given
from hypothesis import strategies as st
from support.bundles import FILES, bundle, manifest

from madang_hub.bundle import contents
from madang_hub.bundle.archive import Archive, Writer, new_file
from madang_hub.bundle.creating import Bench, add_images, checkout_files
from madang_hub.bundle.engine import Engine
from madang_hub.bundle.manifest import (
    IMAGES,
    MANIFEST,
    SOURCE,
    TOP,
    WHEELS,
    BundleError,
    Entry,
    Manifest,
    bad_name,
    parse,
    unfit,
)
from madang_hub.catalog import Catalog

# ---- the file -------------------------------------------------------------------------------


def test_what_is_put_in_comes_out(tmp_path: Path) -> None:
    archive = Archive(bundle(tmp_path / "madang.tar"))
    archive.check()
    for entry in archive.manifest.files:
        archive.take(entry, tmp_path / "out" / entry.path)
        assert (tmp_path / "out" / entry.path).read_bytes() == FILES[entry.path]
    mode = (tmp_path / "out" / f"{TOP}/load/__main__.py").stat().st_mode & 0o777
    assert mode == 0o755
    assert archive.manifest.of_table() == ("hub",)


def test_it_is_a_tar_file_for_everybody_and_always_the_same(tmp_path: Path) -> None:
    first, second = bundle(tmp_path / "a.tar"), bundle(tmp_path / "b.tar")
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        assert tar.getnames() == [*FILES, MANIFEST]
        text = tar.extractfile(MANIFEST)
        assert text is not None
        named = hashlib.sha256(text.read()).hexdigest()
    assert named == Archive(first).manifest.fingerprint


def test_a_cut_file_is_refused_wherever_it_was_cut(tmp_path: Path) -> None:
    whole = bundle(tmp_path / "whole.tar").read_bytes()
    cut = tmp_path / "cut.tar"
    for size in [0, 100, 511, 512, 700, *range(1024, len(whole) - 1024, 50_000), len(whole) - 1200]:
        cut.write_bytes(whole[:size])
        with pytest.raises(BundleError, match="Copy it again"):
            Archive(cut).check()


@pytest.mark.parametrize("name", [name for name, data in FILES.items() if data])
def test_a_changed_byte_is_found(tmp_path: Path, name: str) -> None:
    path = bundle(tmp_path / "madang.tar")
    data = path.read_bytes()
    with tarfile.open(path) as tar:
        place = tar.getmember(name).offset_data
    path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    with pytest.raises(BundleError, match=name):
        Archive(path).check()


@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_nothing_stays_of_a_bundle_that_failed(tmp_path: Path, trouble: BaseException) -> None:
    def fail() -> None:
        with new_file(tmp_path / "madang.tar") as file:
            file.write(b"half")
            raise trouble

    with pytest.raises((KeyboardInterrupt, BundleError)):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_older_bundle_is_not_replaced(tmp_path: Path) -> None:
    path = bundle(tmp_path / "madang.tar")
    with pytest.raises(BundleError, match="exists already"):
        bundle(path)


def tar_of(path: Path, *members: tarfile.TarInfo) -> Path:
    """A tar file that Madang would not make: ``members`` before a good manifest."""
    text = manifest([Entry(IMAGES[0], 0, hashlib.sha256().hexdigest())]).text().encode()
    last, images = tarfile.TarInfo(MANIFEST), tarfile.TarInfo(IMAGES[0])
    last.size = len(text)
    with tarfile.open(path, "w") as tar:
        for member in (*members, images):
            tar.addfile(member, io.BytesIO(b"x" * member.size))
        tar.addfile(last, io.BytesIO(text))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_the_tar_file_of_these_tests_is_good_without_a_bad_member(tmp_path: Path) -> None:
    Archive(tar_of(tmp_path / "good.tar")).check()


@pytest.mark.parametrize(
    "bad",
    [
        member("/etc/passwd"),
        member("../outside"),
        member(f"{SOURCE}../../../etc/passwd"),
        member(f"{SOURCE}docs/../../x"),
        member(f"{SOURCE}.git/hooks/post-checkout"),
        member(f"{SOURCE}build/env/hub/bin/python"),
        member(f"{TOP}/other"),
        member(f"{SOURCE}a\nb"),
        member(f"{SOURCE}link", tarfile.SYMTYPE, "/etc/passwd"),
        member(f"{SOURCE}hard", tarfile.LNKTYPE, "/etc/passwd"),
        member(f"{SOURCE}device", tarfile.CHRTYPE),
        member(f"{SOURCE}pipe", tarfile.FIFOTYPE),
        member(f"{SOURCE}folder", tarfile.DIRTYPE),
        member(f"{SOURCE}not-in-the-manifest"),
        member(IMAGES[0]),
    ],
    ids=lambda m: m.name.encode("unicode_escape").decode(),
)
def test_what_madang_would_not_put_in_is_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    with pytest.raises(BundleError, match="is refused"):
        Archive(tar_of(tmp_path / "bad.tar", bad))
    assert [p.name for p in tmp_path.iterdir()] == ["bad.tar"]


def test_something_else_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8" * 4000)
    with pytest.raises(BundleError, match="not a whole bundle"):
        Archive(tmp_path / "photo.jpg")
    with pytest.raises(BundleError, match="cannot be read"):
        Archive(tmp_path / "none.tar")


# ---- the manifest ---------------------------------------------------------------------------


def good() -> Manifest:
    return manifest([Entry(IMAGES[0], 5, "0" * 64), Entry(f"{SOURCE}README.md", 1, "1" * 64)])


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert parse(good().text().encode()) == good()


@pytest.mark.parametrize(
    "change",
    [
        {"release": 5},
        {"release": "\x1b[2J"},
        {"python": 3},
        {"images": [{"name": "hub"}]},
        {"files": []},
        {"files": [{"path": "../x", "size": 1, "sha256": "0" * 64, "executable": False}]},
        {"files": [{"path": IMAGES[0], "size": -1, "sha256": "0" * 64, "executable": False}]},
        {"files": [{"path": IMAGES[0], "size": 1, "sha256": "zz", "executable": False}]},
        {"more": 1},
        {"format": 2},
    ],
)
def test_a_manifest_of_something_else_is_refused(change: dict[str, object]) -> None:
    raw = json.loads(good().text()) | change
    with pytest.raises(BundleError):
        parse((json.dumps(raw, indent=1, sort_keys=True) + "\n").encode())


VALUES = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*vars(good())]), inner),
)


@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_no_text_breaks_the_reading(text: bytes) -> None:
    with pytest.raises(BundleError):
        parse(text)


@given(st.text(max_size=30))
def test_no_name_leads_out_of_a_folder(name: str) -> None:
    for start in (SOURCE, WHEELS, TOP + "/", ""):
        if not bad_name(start + name):
            path = Path("/somewhere/new", start + name)
            assert path.is_relative_to(f"/somewhere/new/{TOP}")
            assert ".." not in path.parts


def test_the_machine_must_fit() -> None:
    assert unfit(good(), "x86_64", "3.11") == ""
    assert "aarch64" in unfit(good(), "aarch64", "3.11")
    assert "--python 3.13" in unfit(good(), "x86_64", "3.13")


# ---- what goes in ---------------------------------------------------------------------------

OFFER = """
[image.{name}.offer]
title = {{ ko = "가", en = "A" }}
purpose = {{ ko = "나", en = "B" }}
sizes = ["small"]
"""


@pytest.fixture
def table(root: Path) -> Catalog:
    """The real table with two more environments."""
    text = (root / "images" / "images.toml").read_text(encoding="utf-8")
    for name, parent in (("deep", "lab"), ("deeper", "deep")):
        text += f'\n[image.{name}]\nparent = "{parent}"\nfolder = "images/{name}"\n'
        text += OFFER.format(name=name)
    return Catalog.parse(text)


@pytest.fixture
def compose(root: Path) -> str:
    return (root / "docker-compose.yml").read_text(encoding="utf-8")


def test_all_that_is_current_goes_in(table: Catalog, compose: str) -> None:
    chosen = contents.choose(table, compose, [])
    assert set(chosen.images) == set(table.images)
    assert chosen.left_out == ()
    assert chosen.images.index("lab") < chosen.images.index("deep")


def test_what_is_stale_or_stands_on_something_stale_stays_out(table: Catalog, compose: str) -> None:
    chosen = contents.choose(table, compose, ["deep"])
    assert "deeper" not in chosen.images
    assert chosen.left_out == ("deep", "deeper")


def test_only_some_environments(table: Catalog, compose: str) -> None:
    chosen = contents.choose(table, compose, ["deeper"], ["deep"])
    assert "deep" in chosen.images
    assert "deeper" not in chosen.images
    least = {"hub", "mlflow", "proxy", "database", "guard", "os", "base", "lab", "tool"}
    assert set(contents.choose(table, compose, ["deeper"], []).images) == least


@pytest.mark.parametrize("lacking", ["hub", "proxy", "guard", "database", "mlflow", "base", "lab"])
def test_madang_itself_must_be_built(table: Catalog, compose: str, lacking: str) -> None:
    with pytest.raises(BundleError, match=f"scripts/madang images.*{lacking}"):
        contents.choose(table, compose, [lacking])


def test_a_wanted_environment_must_be_built(table: Catalog, compose: str) -> None:
    with pytest.raises(BundleError, match="scripts/madang images deep"):
        contents.choose(table, compose, ["deep"], ["deeper"])


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git checkout with a file of each kind."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name, text in {
        ".gitignore": "/build/\n/madang.env\n",
        "committed": "1",
        "removed": "1",
        "docs/말.md": "한국어",
        "madang.env": "MADANG_PORT=80",
        "build/x": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    subprocess.run(["git", "-C", str(tmp_path), "add", "."], check=True)
    (tmp_path / "removed").unlink()
    (tmp_path / "own").touch()
    return tmp_path


def test_the_checkout_goes_in_as_it_is_now(checkout: Path) -> None:
    assert checkout_files(checkout) == [".gitignore", "committed", "docs/말.md", "own"]


def test_a_link_in_the_checkout_is_told(checkout: Path) -> None:
    (checkout / "link").symlink_to("/etc/passwd")
    with pytest.raises(BundleError, match="link is no plain file"):
        checkout_files(checkout)


def test_without_git_the_sources_are_not_known(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no git checkout"):
        checkout_files(tmp_path)


class Saving(Engine):
    """An engine whose images are these bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def save(self, references: Sequence[str], take: Callable[[IO[bytes]], None]) -> None:
        take(io.BytesIO(self.data))


@pytest.mark.parametrize("program", ["zstd", ""])
def test_images_are_packed_as_they_are(
    root: Path,
    table: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
) -> None:
    unpack = [shutil.which(program or "gzip") or "", "-dc"]
    if not unpack[0]:
        missing(f"the program {program or 'gzip'}")
    monkeypatch.setattr(shutil, "which", lambda name: unpack[0] if program else None)
    data, counted = bytes(range(256)) * 20_000, [0]

    def told(done: int, total: int) -> None:
        counted.append(done)

    bench = Bench(root, table, {}, lambda line: None, told)
    with new_file(tmp_path / "madang.tar") as file:
        writer = Writer(file)
        add_images(writer, bench, Saving(data), [], len(data))
        writer.finish(manifest(writer.entries))
    archive = Archive(tmp_path / "madang.tar")
    archive.check()
    packed = io.BytesIO()
    archive.copy(archive.manifest.image_file, packed)
    assert archive.manifest.image_file.path == IMAGES[0 if program else 1]
    assert len(packed.getvalue()) < len(data) / 10
    done = subprocess.run(unpack, input=packed.getvalue(), capture_output=True, check=True)
    assert done.stdout == data
    assert counted[-1] == len(data)


def test_a_packer_that_fails_is_told(
    root: Path, table: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "zstd"
    broken.write_text("#!/bin/sh\necho no space left >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(broken))
    bench = Bench(root, table, {}, lambda line: None, lambda done, total: None)

    def make() -> None:
        with new_file(tmp_path / "madang.tar") as file:
            add_images(Writer(file), bench, Saving(b"x" * 10_000_000), [], 1)

    with pytest.raises(BundleError, match="no space left"):
        make()
    assert [p.name for p in tmp_path.iterdir()] == ["zstd"]
