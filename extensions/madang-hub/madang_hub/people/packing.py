"""A home as a tar file: what is in it, packing, comparing the file with the home, unpacking.

It is done by Debian's own tar, find and rm, which also cope with what people make by accident (very deep
folders, odd names). Files are compared by their blocks that hold anything but zeros, however holes are stored.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import re
import stat
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

BLOCK = 4096
"""Bytes of a block that is compared."""
_ENVIRON = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}  # no TAR_OPTIONS of the caller's


class ArchiveError(RuntimeError):
    """A home cannot be archived or brought back; the message says why. Nothing was lost."""


def reason(error: OSError) -> str:
    """The reason in one line; a path in it may be as long as its maker liked."""
    text = f"{error.strerror}: {error.filename!r}" if error.filename else str(error)
    return text if len(text) < 400 else f"{text[:200]} … {text[-150:]}"


def _run(command: list[str]) -> bytes:
    """Run ``command``; what it printed.

    Raises:
        OSError: it failed; the message holds its last lines.
    """
    done = subprocess.run(command, env=_ENVIRON, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-3:]
        raise OSError(f"{command[0]} failed ({done.returncode}): {' / '.join(said)}")
    return done.stdout


def survey(home: Path) -> tuple[dict[bytes, bytes], int]:
    """Every entry of ``home`` (relative path to find's letter of its type), and the bytes it takes.

    Raises:
        ArchiveError: it is no folder, or holds what a home cannot hold by itself.
    """
    try:
        state = home.lstat()
    except FileNotFoundError:
        raise ArchiveError(f"There is no home {home}.") from None
    if not stat.S_ISDIR(state.st_mode):
        raise ArchiveError(f"{home} is no folder; look at it, and put the folder itself there.")
    real = os.fsencode(home.resolve())
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        point = re.sub(rb"\\(\d{3})", lambda m: bytes([int(m[1], 8)]), line.split()[4])
        if point == real or point.startswith(real + b"/"):
            raise ArchiveError(f"Something is mounted in {home}; unmount it first.")
    try:
        out = _run(["find", str(home), "-xdev", "-printf", r"%y %D %b %P\0"])
    except OSError as error:
        raise ArchiveError(f"{home} cannot be read: {reason(error)}") from error
    entries: dict[bytes, bytes] = {}
    blocks = 0
    for record in out.split(b"\0")[:-1]:
        kind, device, used, path = record.split(b" ", 3)
        if int(device) != state.st_dev:
            raise ArchiveError(f"Something is mounted in {home}; unmount it first.")
        if kind not in b"fdlps":
            raise ArchiveError(
                f"{home} holds a device file ({os.fsdecode(path)!r}), which no person can make. Look at it."
            )
        entries[path] = kind
        blocks += int(used)
    # a header and its extension for each entry
    return entries, blocks * 512 + len(entries) * 2048


def pack(home: Path, target: Path) -> None:
    with target.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
    _run(
        [
            "tar",
            "--create",
            f"--file={target}",
            f"--directory={home}",
            "--format=posix",
            "--pax-option=delete=atime,delete=ctime",
            "--sparse",
            "--numeric-owner",
            "--one-file-system",
            ".",
        ]
    )
    with target.open("rb") as file:
        os.fsync(file.fileno())
        # what follows shall read the disk, not the memory
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def unpack(file: Path, folder: Path) -> None:
    """Put what is in ``file`` into ``folder``; owners are set only by a process that may (root).

    Raises:
        OSError: tar failed.
    """
    owner = "--same-owner" if os.geteuid() == 0 else "--no-same-owner"
    _run(
        [
            "tar",
            "--extract",
            f"--file={file}",
            f"--directory={folder}",
            "--numeric-owner",
            "--preserve-permissions",
            owner,
        ]
    )


def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content(path: Path) -> int:
    """Bytes that the files of an archive take when they are unpacked, about."""
    with tarfile.open(path, encoding="utf-8") as tar:
        return sum(BLOCK + sum(size for _, size in _segments(member)) for member in tar)


def _segments(member: tarfile.TarInfo) -> list[tuple[int, int]]:
    """Where the data of a file begins and how much it is, in bytes of the file; no holes."""
    if not member.isreg():
        return []
    # types say bytes, but it is a list: https://docs.python.org/3/library/tarfile.html#tarfile.TarInfo.sparse
    sparse = cast("list[tuple[int, int]] | None", member.sparse)
    return [(0, member.size)] if sparse is None else sparse


def compare(home: Path, path: Path, entries: dict[bytes, bytes]) -> None:
    """Read the archive ``path`` and compare every entry with ``home``.

    Raises:
        OSError: something differs, is missing or is there too much.
    """
    # a socket is nothing without its process, and tar leaves it out
    missing = {p for p, kind in entries.items() if kind != b"s"}
    with tarfile.open(path, encoding="utf-8") as tar, path.open("rb") as raw:
        for member in tar:
            name = member.name.removeprefix(".").removeprefix("/")
            key = os.fsencode(name)
            if key not in missing:
                raise OSError(f"the archive has {name!r}, which the home had not")
            missing.discard(key)
            here = os.path.join(os.fsencode(home), key) if key else os.fsencode(home)  # noqa: PTH118  # bytes: names need not be text
            state = os.lstat(here)
            same = (
                (member.mode, member.uid, member.gid)
                == (stat.S_IMODE(state.st_mode), state.st_uid, state.st_gid)
                and math.floor(member.mtime) == state.st_mtime_ns // 10**9
                and _KINDS.get(member.type) in (None, stat.S_IFMT(state.st_mode))
            )
            if member.issym():
                same = same and os.fsencode(member.linkname) == os.readlink(here)  # noqa: PTH115  # bytes: names need not be text
            elif member.islnk():
                first = member.linkname.removeprefix("./")
                other = os.lstat(os.path.join(os.fsencode(home), os.fsencode(first)))  # noqa: PTH118  # bytes: names need not be text
                same = same and (other.st_dev, other.st_ino) == (state.st_dev, state.st_ino)
            elif member.isreg():
                same = same and member.size == state.st_size
                raw.seek(member.offset_data)
                same = same and _archived(raw.read, _segments(member)) == _on_disk(here)
            if not same:
                raise OSError(f"{name!r} changed while it was archived, or was not written well")
    if missing:
        example = os.fsdecode(min(missing))
        raise OSError(f"{len(missing)} entries are not in the archive, for example {example!r}")


_KINDS = {
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
    tarfile.REGTYPE: stat.S_IFREG,
}


class _Blocks:
    """A digest of a file's blocks that hold anything; pieces come in order, holes are left out."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._start = 0
        self._block = bytearray()

    def piece(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        done = 0
        while done < len(view):
            start = (offset + done) // BLOCK * BLOCK
            if start != self._start:
                self._finish()
                self._start = start
            inside = offset + done - start
            part = view[done : done + BLOCK - inside]
            self._block.extend(bytes(inside - len(self._block)))
            self._block.extend(part)
            done += len(part)

    def _finish(self) -> None:
        block = bytes(self._block).rstrip(b"\0")
        if block:
            self._digest.update(self._start.to_bytes(8, "big") + len(block).to_bytes(2, "big"))
            self._digest.update(block)
        self._block.clear()

    def result(self) -> bytes:
        self._finish()
        return self._digest.digest()


_CHUNK = 256 * BLOCK


def _archived(read: Callable[[int], bytes], segments: Sequence[tuple[int, int]]) -> bytes:
    """The digest of a file inside an archive: its data, one segment (offset, size) after the other."""
    blocks = _Blocks()
    for offset, size in segments:
        done = 0
        while done < size:
            data = read(min(_CHUNK, size - done))
            if not data:
                raise OSError("the archive ends too early")
            blocks.piece(offset + done, data)
            done += len(data)
    return blocks.result()


def _on_disk(path: bytes) -> bytes:
    """The digest of a file of the home; its holes, of whatever length, are not read."""
    blocks = _Blocks()
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        end = 0
        while (begin := _seek(handle, end, os.SEEK_DATA)) is not None:
            end = _seek(handle, begin, os.SEEK_HOLE) or begin
            while begin < end:
                data = os.pread(handle, min(_CHUNK, end - begin), begin)
                if not data:
                    raise OSError("a file became shorter")
                blocks.piece(begin, data)
                begin += len(data)
    finally:
        os.close(handle)
    return blocks.result()


def _seek(handle: int, offset: int, what: int) -> int | None:
    """Where data (or a hole) begins from ``offset`` on; None behind the last."""
    try:
        return os.lseek(handle, offset, what)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def delete(path: Path) -> None:
    """Delete a folder of our own making with all in it, if it is there.

    Raises:
        ArchiveError: something is left; the next use of the archive tries again.
    """
    if not os.path.lexists(path):
        return
    try:
        _run(["rm", "--recursive", "--force", "--one-file-system", "--", str(path)])
    except OSError as error:
        raise ArchiveError(f"{path} cannot be deleted: {error}") from error
