"""What an archive may be, and what becomes of one that is not: nothing. Real bytes, a real folder."""

from __future__ import annotations

import gzip
import io
import multiprocessing
import os
import shutil
import stat
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.snapshots import entry, packed, tar

from madang_hub.dashboards.archive import (
    Manifest,
    clear,
    contents,
    intact,
    manifest_of,
    received,
    set_aside,
)
from madang_hub.dashboards.bounds import Limits, Names, path_fault
from madang_hub.dashboards.refusals import ArchiveRefusedError, NoRoomError

LIMITS = Limits()
MIB = 2**20


def folder(name: str, **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, b"", type=tarfile.DIRTYPE, **fields)


def take(store: Path, sent: bytes, limits: Limits = LIMITS) -> Manifest:
    with received(io.BytesIO(sent), store, limits) as incoming:
        incoming.keep()
        return incoming.manifest


def refused(store: Path, sent: bytes, limits: Limits = LIMITS) -> str:
    """The sentence with which it is refused; nothing is left of it."""
    with pytest.raises(ArchiveRefusedError) as found, received(io.BytesIO(sent), store, limits):
        pass
    assert list(store.iterdir()) == []
    assert found.value.sentence.text("ko") != str(found.value)
    return str(found.value)


GOOD = (folder("data"), entry("판매.ipynb", b"{}"), entry("data/a.csv", b"1,2"), folder("empty"))


def test_a_good_archive_becomes_a_snapshot(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        made = take(tmp_path, packed(*GOOD))
    finally:
        os.umask(before)
    assert [(f.path, f.size) for f in made.files] == [("data/a.csv", 3), ("판매.ipynb", 2)]
    assert made.folders == ("data", "empty")
    assert made.size == 5
    there = tmp_path / made.content
    assert [p.name for p in tmp_path.iterdir()] == [made.content]
    # a store that was not there yet: whoever is not told a name finds none
    take(tmp_path / "new", packed(*GOOD))
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) & 0o066 == 0
    shutil.rmtree(tmp_path / "new")
    assert (there / "files" / "판매.ipynb").read_bytes() == b"{}"
    assert manifest_of(tmp_path, made.content) == made
    assert intact(there, made)
    # everybody in a container may read it, nobody write it
    for path in there.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o755 if path.is_dir() else 0o444), path


def test_its_name_is_its_content_and_nothing_else(tmp_path: Path) -> None:
    one = take(tmp_path, packed(*GOOD))
    late = [(replace_info(m, mtime=99, uid=7, uname="kim", mode=0o600), c) for m, c in GOOD]
    # another order, another level of compression, folders that only their files name
    again = take(tmp_path, gzip.compress(tar(*reversed(late[1:])), 1))
    assert again == one
    assert contents(tmp_path) == {one.content}
    others = [
        (entry("판매.ipynb", b"[]"), GOOD[2], GOOD[3]),
        (entry("판매2.ipynb", b"{}"), GOOD[2], GOOD[3]),
        GOOD[1:3],
        (entry("판매.ipynb", b"{}"), entry("data", b"1,2"), GOOD[3]),
    ]
    names = {take(tmp_path, packed(*other)).content for other in others}
    assert len(names | {one.content}) == len(others) + 1


def replace_info(member: tarfile.TarInfo, **fields: object) -> tarfile.TarInfo:
    found = member.replace()
    for key, value in fields.items():
        setattr(found, key, value)
    return found


LINKS = [
    entry("a", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    entry("a", b"", type=tarfile.SYMTYPE, linkname="b"),
    entry("a", b"", type=tarfile.LNKTYPE, linkname="x"),
    entry("a", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    entry("a", b"", type=tarfile.BLKTYPE),
    entry("a", b"", type=tarfile.FIFOTYPE),
    entry("a", type=tarfile.CONTTYPE),
    entry("a", b"", type=b"V"),
    entry("a", b"", type=b"D"),
    entry("a", mode=0o4755),
    entry("a", mode=0o2755),
    folder("a", mode=0o1777),
    entry("a", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"}),
    entry("a", pax_headers={"GNU.sparse.size": "99999999999", "GNU.sparse.numblocks": "0"}),
    entry(
        "a",
        b"1\n0\n0\n".ljust(512, b"\0"),
        pax_headers={
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.realsize": "99999999999",
            "GNU.sparse.name": "b",
        },
    ),
]


@pytest.mark.parametrize("number", range(len(LINKS)))
def test_only_plain_files_and_folders(tmp_path: Path, number: int) -> None:
    assert "no plain file" in refused(tmp_path, packed(entry("x"), LINKS[number]))


NAMES = {
    "/etc/cron": "absolute",
    "../x": "leads out",
    "a/../../x": "leads out",
    "a/..": "leads out",
    "./a": "leads out",
    "a//b": "leads out",
    "n" * 201: "too long",
    "가" * 67: "too long",
    "/".join(["d" * 99] * 5): "too long",
    "/".join("abcdefghijklm"): "too deep",
    "a\\b": "do not show",
    "a\nb": "do not show",
    "a\x1b[31m": "do not show",
    "a\u202egpj.exe": "do not show",
    "\u1112\u1161\u11ab.csv": "a form that other machines",
    ".git/config": "hidden",
    "a/.env": "hidden",
    "manifest.json": "kept for Madang",
    "VOILA.json": "kept for Madang",
    "jupyter_server_config.py": "kept for Madang",
}


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_that_no_snapshot_has(tmp_path: Path, name: str) -> None:
    assert NAMES[name] in refused(tmp_path, packed(entry("x"), entry(name)))


def test_names_that_look_bad_and_are_not(tmp_path: Path) -> None:
    names = ["data/manifest.json", "a..b", "-rf", "con", " ", "👩‍🔬.md", "가" * 66, "x/voila.py"]
    made = take(tmp_path, packed(*map(entry, names)))
    assert {f.path for f in made.files} == set(names)


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ((entry("a"), entry("a")), "twice"),
        ((folder("a"), folder("a")), "twice"),
        ((entry("A.csv"), entry("a.csv")), "capitals"),
        ((entry("D/x"), entry("d/y")), "capitals"),
        ((entry("straße"), entry("STRASSE")), "capitals"),
        ((entry("ﬁle"), entry("file")), "capitals"),
        ((entry("a"), entry("a/b")), "file and as a folder"),
        ((entry("a/b"), entry("a")), "file and as a folder"),
    ],
)
def test_no_name_is_there_twice(
    tmp_path: Path, entries: Iterable[tuple[tarfile.TarInfo, bytes]], sentence: str
) -> None:
    assert sentence in refused(tmp_path, packed(*entries))


@pytest.mark.parametrize(
    ("limits", "entries", "sentence"),
    [
        (Limits(entries=3), [entry(f"{n}") for n in range(4)], "more than 3 files"),
        (Limits(entries=3), [entry("a/b/c/d")], "more than 3 files"),
        (Limits(file=MIB), [entry("a", bytes(MIB + 1))], "1 MB"),
        (Limits(total=MIB), [entry(f"{n}", bytes(MIB // 2)) for n in range(3)], "1 MB together"),
        (Limits(packed=MIB), [entry("a", os.urandom(MIB + 9))], "archive has more than 1 MB"),
        (Limits(spared=MIB), [entry("a", bytes(4 * MIB))], "200 times"),
    ],
)
def test_every_limit(
    tmp_path: Path, limits: Limits, entries: list[tuple[tarfile.TarInfo, bytes]], sentence: str
) -> None:
    assert sentence in refused(tmp_path, packed(*entries), limits)
    take(tmp_path, packed(*entries))


def test_what_fits_exactly_fits(tmp_path: Path) -> None:
    limits = Limits(entries=2, file=MIB, total=2 * MIB)
    made = take(tmp_path, packed(*(entry(n, os.urandom(MIB)) for n in "ab")), limits)
    assert made.size == 2 * MIB


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


END = bytes(1024)
BLOCK = b"x".ljust(512, b"\0")
BROKEN: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no gzip": lambda: tar(entry("a")),
    "no tar": lambda: gzip.compress(b"hello" * 1000),
    "cut gzip": lambda: packed(entry("a", os.urandom(5000)))[:-100],
    "without its checksum": lambda: packed(entry("a"))[:-8],
    "a wrong checksum": lambda: packed(entry("a"))[:-8] + bytes(8),
    "two gzips": lambda: packed(entry("a")) * 2,
    "more behind it": lambda: packed(entry("a")) + b"!",
    "hidden behind the end": lambda: gzip.compress(tar(entry("a")) + tar(entry("b"))),
    "no end": lambda: gzip.compress(header("a", 1) + BLOCK),
    "a broken header": lambda: gzip.compress(header("a", 1) + BLOCK + b"!" * 512 + END),
    "less than promised": lambda: gzip.compress(header("a", 5000) + BLOCK),
    "a negative size": lambda: gzip.compress(header("a", -512) + END),
    "a folder with content": lambda: gzip.compress(header("a", 512, tarfile.DIRTYPE) + BLOCK + END),
    "a name that is no text": lambda: gzip.compress(tar(entry("a\udcff"), form=tarfile.GNU_FORMAT)),
    "negative by pax": lambda: packed(entry("a", pax_headers={"size": "-1024"})),
    "size by pax": lambda: packed(entry("a", pax_headers={"size": "99999"})),
    "headers in headers": lambda: gzip.compress(
        header("h", 512, tarfile.XHDTYPE).join([b"8 a=bcd\n".ljust(512, b"\0")] * 3000)
    ),
    "headers without end": lambda: packed(
        *(entry(f"{n}", pax_headers={f"k{n}": "v" * 40000}) for n in range(200))
    ),
    "a header for all": lambda: gzip.compress(
        tarfile.TarInfo.create_pax_global_header({"comment": "x"}) + tar(entry("a"))
    ),
    "a long header": lambda: packed(entry("a", pax_headers={"comment": "v" * 5000})),
    "only folders": lambda: packed(folder("a")),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_archive(tmp_path: Path, case: str) -> None:
    said = refused(tmp_path, BROKEN[case]())
    assert "no files" in said if case == "only folders" else "damaged" in said


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_no_header_takes_the_memory(tmp_path: Path, kind: bytes) -> None:
    size = 8 * MIB
    sent = gzip.compress(header("h", size, kind) + bytes(size) + header("a", 0) + END)
    tracemalloc.start()
    try:
        assert "damaged" in refused(tmp_path, sent)
        assert tracemalloc.get_traced_memory()[1] < 2 * MIB
    finally:
        tracemalloc.stop()


def test_headers_for_all_are_not_kept_with_each(tmp_path: Path) -> None:
    keys = [{f"k{part}.{n}": "v" for n in range(150)} for part in range(40)]
    start = b"".join(map(tarfile.TarInfo.create_pax_global_header, keys))
    sent = gzip.compress(start + tar(*(entry(str(n), b"") for n in range(300))))
    tracemalloc.start()
    try:
        assert "damaged" in refused(tmp_path, sent)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


class Endless(io.RawIOBase):
    """A gzip that begins with ``start`` and never stops giving zeros."""

    def __init__(self, start: bytes) -> None:
        self._gzip = zlib.compressobj(wbits=31)
        self._ready = self._gzip.compress(start)
        self.made = len(start)

    def read(self, size: int = -1) -> bytes:
        while not self._ready:
            self._ready = self._gzip.compress(bytes(MIB))
            self.made += MIB
        found, self._ready = self._ready[:size], self._ready[size:]
        return found


BOMBS = {
    "behind the end of the tar": tar(entry("a")),
    "in a file": header("a", 10**9),
    "in a file that says it is small": header("a", 1),
    "in a long name": header("a", 10**9, tarfile.GNUTYPE_LONGNAME),
}


@pytest.mark.parametrize("start", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_stopped_by_its_bytes(tmp_path: Path, start: bytes) -> None:
    """Whatever its headers say: no end of it ever comes, and neither memory nor disk are filled."""
    source = Endless(start)
    limits = replace(LIMITS, file=10**9, total=10**9)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveRefusedError), received(source, tmp_path, limits):
            pass
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
    # what zlib holds back is beside it
    assert source.made < limits.spared + 70 * MIB
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_no_fault_of_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(NoRoomError), received(io.BytesIO(packed(*GOOD)), tmp_path, LIMITS):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_kept_is_gone(tmp_path: Path) -> None:
    with received(io.BytesIO(packed(*GOOD)), tmp_path, LIMITS) as incoming:
        assert contents(tmp_path) == frozenset()
        assert len(list(tmp_path.iterdir())) == 1
        # somebody is at it, however old it is
        clear(tmp_path, now=1e12)
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
    assert incoming.content


def die(store: Path, at: int) -> None:
    """End at the fsync with that number."""
    real, left = os.fsync, [at]

    def fsync(handle: Any) -> None:
        left[0] -= 1
        if not left[0]:
            os._exit(9)
        real(handle)

    os.fsync = fsync  # type: ignore[assignment]  # this process ends
    take(store, packed(*GOOD))


@pytest.mark.parametrize("at", [1, 2, 3, 5, 7])
def test_a_crash_leaves_nothing_that_counts(tmp_path: Path, at: int) -> None:
    context = multiprocessing.get_context("fork")
    victim = context.Process(target=die, args=(tmp_path, at))
    victim.start()
    victim.join(60)
    assert victim.exitcode == 9
    assert contents(tmp_path) == frozenset()
    (left,) = tmp_path.iterdir()
    clear(tmp_path, now=left.stat().st_mtime)  # it may still be at it
    assert left.exists()
    clear(tmp_path, now=left.stat().st_mtime + 3601)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_snapshot_is_replaced_by_a_whole_one(tmp_path: Path) -> None:
    made = take(tmp_path, packed(*GOOD))
    there = tmp_path / made.content / "files" / "판매.ipynb"
    there.unlink()
    assert not intact(tmp_path / made.content, made)
    take(tmp_path, packed(*GOOD))
    assert there.read_bytes() == b"{}"
    assert contents(tmp_path) == {made.content}
    (tmp_path / made.content / "manifest.json").chmod(0o644)
    (tmp_path / made.content / "manifest.json").write_text("{}")
    with pytest.raises(ValueError, match="manifest"):
        manifest_of(tmp_path, made.content)


def test_what_is_set_aside_does_not_count(tmp_path: Path) -> None:
    made = take(tmp_path, packed(*GOOD))
    set_aside(tmp_path, made.content)
    assert contents(tmp_path) == frozenset()
    clear(tmp_path, now=0)
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.text(max_size=12), max_size=8))
def test_what_is_taken_lies_within(paths: list[str]) -> None:
    """Whatever names come: those that pass are below the folder, and no two are one file anywhere."""
    names = Names(LIMITS)
    taken = [p for p in paths if names.fault(p, folder=False) is None]
    for path in taken:
        assert path_fault(path, LIMITS) is None
        assert os.path.normpath(path) == path
        assert not Path(path).is_absolute()
        assert ".." not in Path(path).parts
    assert len({p.casefold() for p in taken}) == len(taken)
