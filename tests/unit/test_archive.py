"""Archives on a real disk: everything comes back; odd homes, full disks and faults leave all as it was."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import resource
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from madang_hub.homes import home_of, slug
from madang_hub.people import packing
from madang_hub.people.archive import Archive, ArchiveError

NOW = datetime(2026, 7, 16, 3, 4, 5, tzinfo=UTC)
ROOT = os.geteuid() == 0


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    folder = tmp_path / "homes"
    folder.mkdir()
    return folder


@pytest.fixture
def archive(tmp_path: Path, homes: Path) -> Archive:
    return Archive(tmp_path / "archive", homes)


def state(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything about every entry of ``folder`` that must come back."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [folder, *folder.rglob("*")]:
        s = path.lstat()
        content: object = None
        if path.is_symlink():
            content = path.readlink()
        elif path.is_file() and s.st_size < 2**24:
            content = path.read_bytes()
        elif path.is_file():
            content = s.st_size
        found[str(path.relative_to(folder))] = (
            s.st_mode,
            s.st_uid,
            s.st_gid,
            s.st_mtime_ns,
            content,
        )
    return found


def rich(home: Path) -> None:
    """A home with one of everything."""
    home.mkdir(mode=0o700)
    (home / "실습").mkdir()
    (home / "실습" / "1강 시작.ipynb").write_text("{}")
    (home / "-rf").write_text("a name like an option")
    (home / "a\nb\\c\t*?").write_text("an odd name")
    Path(os.fsdecode(os.fsencode(home) + b"/\xff\xfe")).write_text("no UTF-8")
    (home / ("x" * 255)).write_text("a long name")
    (home / "run.sh").write_text("#!/bin/sh\n")
    (home / "run.sh").chmod(0o750)
    (home / "secret").write_bytes(os.urandom(3_000_001))
    (home / "secret").chmod(0o600)
    (home / "empty").touch()
    os.utime(home / "empty", ns=(1, 1_234_567_890_123_456_789))
    (home / "outside").symlink_to("/etc/passwd")
    (home / "nowhere").symlink_to("missing")
    (home / "folder-link").symlink_to("/etc")
    (home / "twin").hardlink_to(home / "secret")
    os.mkfifo(home / "pipe")
    with (home / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(2**36)
        file.write(b"middle")
        file.truncate(2**38)
    with (home / "only-holes").open("wb") as file:
        file.truncate(2**40)
    (home / "zeros").write_bytes(bytes(100_000))
    deep = home
    for _ in range(60):
        deep = deep / "deep"
        deep.mkdir()
    (deep / "file").write_text("down here")
    if ROOT:
        os.chown(home / "run.sh", 1000, 1000)
        os.chown(home / "outside", 1234, 1235, follow_symlinks=False)
    os.utime(home, ns=(1, 1_600_000_000_000_000_000))


def test_everything_comes_back(archive: Archive, homes: Path, tmp_path: Path) -> None:
    home = home_of(homes, "kim.minji")
    rich(home)
    before = state(home)
    kept = archive.store("kim.minji", "expired", NOW)
    assert not os.path.lexists(home)
    assert [p.name for p in homes.iterdir()] == []
    assert archive.kept() == [kept]
    file = tmp_path / "archive" / kept.file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.stat().st_size < 10**7  # holes take no room
    note = json.loads(file.with_suffix(".json").read_text())
    assert note["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert note["person"] == "kim.minji"

    archive.restore("kim.minji", home.parent.stat().st_uid, home.parent.stat().st_gid)
    assert state(home) == before
    assert (home / "twin").stat().st_ino == (home / "secret").stat().st_ino
    assert (home / "sparse").stat().st_blocks < 100
    assert archive.kept() == [kept]


def test_a_socket_is_left_out_and_no_reason_to_refuse(
    archive: Archive, homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(homes, "kim")
    home.mkdir()
    monkeypatch.chdir(home)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
        (home / "file").touch()
        archive.store("kim", "expired", NOW)
    monkeypatch.chdir(homes)
    archive.restore("kim", os.geteuid(), os.getegid())
    assert [p.name for p in home.iterdir()] == ["file"]


def test_the_newest_comes_back(archive: Archive, homes: Path) -> None:
    home = home_of(homes, "kim")
    for number in range(3):
        home.mkdir()
        (home / "number").write_text(str(number))
        archive.store("kim", "operator", NOW + timedelta(days=number))
    archive.restore("kim", os.geteuid(), os.getegid())
    assert (home / "number").read_text() == "2"


@contextmanager
def unchanged(home: Path, folder: Path) -> Iterator[None]:
    """Refused with a reason, the home as it was, and nothing left in the archive."""
    before = state(home) if home.is_dir() and not home.is_symlink() else None
    with pytest.raises(ArchiveError) as error:
        yield
    assert str(error.value)
    if before is not None:
        assert state(home) == before
    left = [p.name for p in folder.iterdir()] if folder.exists() else []
    assert [n for n in left if n != ".lock"] == []


@pytest.mark.parametrize("kind", ["missing", "link", "file", "link to a home"])
def test_what_is_no_home_is_refused(
    archive: Archive, homes: Path, tmp_path: Path, kind: str
) -> None:
    home = home_of(homes, "kim")
    other = home_of(homes, "other")
    other.mkdir()
    (other / "file").touch()
    if kind == "link":
        home.symlink_to("/etc")
    elif kind == "file":
        home.write_text("kept")
    elif kind == "link to a home":
        home.symlink_to(other)
    with unchanged(other, tmp_path / "archive"):
        archive.store("kim", "expired", NOW)
    assert os.path.lexists(home) == (kind != "missing")


@pytest.mark.parametrize("name", ["../other", ".", "", "a/b", "홍길동"])
def test_no_name_leaves_the_homes(archive: Archive, homes: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "other").mkdir()
    (homes / "a").mkdir()
    (homes / "a" / "b").mkdir()
    with pytest.raises(ArchiveError):
        archive.store(name, "expired", NOW)
    assert (tmp_path / "other").is_dir()
    assert (homes / "a" / "b").is_dir()


@pytest.mark.skipif(not ROOT, reason="only root makes device files")
def test_a_device_file_is_refused(archive: Archive, homes: Path, tmp_path: Path) -> None:
    home = home_of(homes, "kim")
    home.mkdir()
    try:
        os.mknod(home / "disk", stat.S_IFBLK | 0o600, os.makedev(8, 0))
    except PermissionError:
        pytest.skip("this container may not make device files")
    with unchanged(home, tmp_path / "archive"):
        archive.store("kim", "expired", NOW)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 2 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_something_mounted_in_a_home_is_refused(
    archive: Archive, homes: Path, tmp_path: Path, small_disk: Path
) -> None:
    (small_disk / "precious").write_text("kept")
    home = home_of(homes, "kim")
    (home / "in here").mkdir(parents=True)
    (home / "in here").rmdir()
    small_disk.parent.joinpath("archive").mkdir()
    mounted = home / "my disk"
    mounted.mkdir()
    subprocess.run(["mount", "--bind", str(small_disk), str(mounted)], check=True)
    try:
        with unchanged(home, tmp_path / "archive"):
            archive.store("kim", "expired", NOW)
        assert (mounted / "precious").read_text() == "kept"
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


def test_a_disk_that_fills_up_leaves_everything_as_it_was(
    homes: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(homes, "kim")
    home.mkdir()
    (home / "data").write_bytes(os.urandom(4 * 2**20))
    folder = small_disk / "archive"
    with unchanged(home, folder):
        Archive(folder, homes).store("kim", "expired", NOW)
    # the same when the room went only while it was written
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 0, 2**40))
    with unchanged(home, folder):
        Archive(folder, homes).store("kim", "expired", NOW)
    assert shutil.which("tar")


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_no_room_is_noticed_before_anything_is_written(
    archive: Archive, homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(homes, "kim")
    home.mkdir()
    (home / "data").write_bytes(os.urandom(2**20))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 2**40, 2**20))
    with unchanged(home, tmp_path / "archive"):
        archive.store("kim", "expired", NOW)


def test_a_tar_that_dies_leaves_everything_as_it_was(
    archive: Archive, homes: Path, tmp_path: Path
) -> None:
    home = home_of(homes, "kim")
    home.mkdir()
    (home / "data").write_bytes(os.urandom(4 * 2**20))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    try:
        with unchanged(home, tmp_path / "archive"):
            archive.store("kim", "expired", NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", ["content", "shorter", "mode", "new file", "gone", "link", "hole"])
def test_a_home_that_changes_meanwhile_is_not_removed(
    archive: Archive, homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    home = home_of(homes, "kim")
    home.mkdir()
    (home / "file").write_bytes(b"x" * 10_000)
    (home / "link").symlink_to("here")
    with (home / "sparse").open("wb") as file:
        file.truncate(10**6)
    times = (home / "file").stat()
    pack = packing.pack

    def changing(source: Path, target: Path) -> None:
        pack(source, target)
        if kind == "content":
            (home / "file").write_bytes(b"x" * 9_999 + b"y")
        elif kind == "shorter":
            (home / "file").write_bytes(b"x" * 9_999)
        elif kind == "mode":
            (home / "file").chmod(0o777)
        elif kind == "new file":
            (home / "file2").touch()
        elif kind == "gone":
            (home / "file").unlink()
        elif kind == "link":
            (home / "link").unlink()
            (home / "link").symlink_to("elsewhere")
        else:
            with (home / "sparse").open("r+b") as file:
                file.seek(500_000)
                file.write(b"!")
        for path in (home / "file", home / "sparse"):
            if path.exists():
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    monkeypatch.setattr(packing, "pack", changing)
    if kind == "new file":
        # seen only by the folder's time: an entry that came after the survey
        os.utime(home, ns=(1, 1))
    with pytest.raises(ArchiveError):
        archive.store("kim", "expired", NOW)
    assert home.is_dir()
    assert [p.name for p in (tmp_path / "archive").iterdir()] == [".lock"]


def test_an_archive_that_was_written_badly_is_noticed(
    archive: Archive, homes: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = home_of(homes, "kim")
    home.mkdir()
    (home / "file").write_bytes(b"x" * 10_000)
    pack = packing.pack

    def flipping(source: Path, target: Path) -> None:
        pack(source, target)
        data = bytearray(target.read_bytes())
        where = data.index(b"x" * 100)
        data[where] ^= 1
        target.write_bytes(bytes(data))

    monkeypatch.setattr(packing, "pack", flipping)
    with unchanged(home, tmp_path / "archive"):
        archive.store("kim", "expired", NOW)


def test_a_damaged_archive_does_not_come_back(
    archive: Archive, homes: Path, tmp_path: Path
) -> None:
    home = home_of(homes, "kim")
    home.mkdir()
    (home / "file").write_bytes(b"x" * 10_000)
    kept = archive.store("kim", "expired", NOW)
    file = tmp_path / "archive" / kept.file
    file.write_bytes(file.read_bytes().replace(b"xxxx", b"xxyx", 1))
    with pytest.raises(ArchiveError, match="checksum"):
        archive.restore("kim", 0, 0)
    assert list(homes.iterdir()) == []


def test_restoring_replaces_no_files(archive: Archive, homes: Path) -> None:
    home = home_of(homes, "kim")
    home.mkdir()
    (home / "old").touch()
    archive.store("kim", "expired", NOW)
    home.mkdir()
    (home / "new").touch()
    with pytest.raises(ArchiveError, match="has files"):
        archive.restore("kim", os.geteuid(), os.getegid())
    assert [p.name for p in home.iterdir()] == ["new"]
    (home / "new").unlink()
    archive.restore("kim", os.geteuid(), os.getegid())  # an empty one is no loss
    assert [p.name for p in home.iterdir()] == ["old"]
    with pytest.raises(ArchiveError, match="no archive of lee"):
        archive.restore("lee", 0, 0)


def test_what_was_cut_short_is_cleared_away(archive: Archive, homes: Path, tmp_path: Path) -> None:
    """A crash after the archive was complete leaves a folder aside; one before leaves a part of a file."""
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / f".partial-{slug('kim')}-x.tar").write_text("half")
    (homes / f".removing-{slug('lee')}" / "folder").mkdir(parents=True)
    (homes / f".restoring-{slug('park')}").mkdir()
    home = home_of(homes, "kim")
    home.mkdir()
    archive.store("kim", "expired", NOW)
    assert list(homes.iterdir()) == []
    assert len(list((tmp_path / "archive").iterdir())) == 3  # tar, JSON and lock


def test_one_at_a_time(archive: Archive, homes: Path, tmp_path: Path) -> None:
    home_of(homes, "kim").mkdir()
    (tmp_path / "archive").mkdir()
    with (tmp_path / "archive" / ".lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ArchiveError, match="just now"):
            archive.store("kim", "expired", NOW)
    archive.store("kim", "expired", NOW)


@pytest.mark.parametrize(
    "file", ["../x.tar", "x.tar", "", "/etc/passwd", "a-20260716T030405Z.json"]
)
def test_only_archives_are_forgotten(archive: Archive, tmp_path: Path, file: str) -> None:
    (tmp_path / "x.tar").touch()
    with pytest.raises(ArchiveError):
        archive.forget(file)
    assert (tmp_path / "x.tar").exists()


def test_forgotten_means_gone(archive: Archive, homes: Path, tmp_path: Path) -> None:
    home_of(homes, "kim").mkdir()
    kept = archive.store("kim", "expired", NOW)
    archive.forget(kept.file)
    assert archive.kept() == []
    assert [p.name for p in (tmp_path / "archive").iterdir()] == [".lock"]


def test_a_folder_deeper_than_any_path_is_refused(archive: Archive, homes: Path) -> None:
    home = home_of(homes, "kim")
    home.mkdir()
    handle = os.open(home, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("dddd", dir_fd=handle)
        inner = os.open("dddd", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)
    with pytest.raises(ArchiveError, match=os.strerror(errno.ENAMETOOLONG)) as error:
        archive.store("kim", "expired", NOW)
    assert len(str(error.value)) < 700
    assert [p.name for p in home.iterdir()] == ["dddd"]
    assert archive.kept() == []
    subprocess.run(["rm", "-rf", str(home)], check=True)
