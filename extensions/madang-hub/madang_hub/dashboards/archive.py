"""From an archive that nobody trusts to a snapshot: a folder that never changes, named after its content.

In the store's folder::

    <sha256>/manifest.json    what is in it, made here
    <sha256>/files/…          the files, readable by everybody, writable by nobody
    .incoming-…/              a snapshot that is being made
    .removing-…/              one that is being removed

An archive is a gzipped tar of plain files and folders. It is unpacked beside the snapshots, written to the disk
and hashed; then one rename makes it count. Whatever ends before that leaves a folder that counts for nothing
and that :func:`clear` removes. Who calls :meth:`Incoming.keep` and :func:`set_aside` sees to it that no two
do so at once (:mod:`.store`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from madang_hub.dashboards.bounds import Fault, Limits, Names
from madang_hub.dashboards.refusals import ArchiveRefusedError, NoRoomError
from madang_hub.dashboards.unpacking import CHUNK, Readable, Unpacked, damaged
from madang_hub.homes import LOW_SPACE
from madang_hub.web.i18n import N_

FILES, MANIFEST = "files", "manifest.json"
INCOMING, REMOVING = ".incoming-", ".removing-"
CONTENT = re.compile(r"[0-9a-f]{64}")
"""The name of a snapshot."""
_FORMAT = 1
_FILE = (tarfile.REGTYPE, tarfile.AREGTYPE)
_SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX

_SAID: dict[Fault, str] = {
    "absolute": N_(
        "{path} is an absolute path. Only files of the notebook's folder can be published."
    ),
    "odd": N_("{path} leads out of the notebook's folder. Only what is in it can be published."),
    "long": N_("The name {path} is too long. Give it a shorter one."),
    "deep": N_("{path} lies too deep in folders. Move it up."),
    "characters": N_("The name {path} has characters that do not show. Rename it."),
    "form": N_(
        "The name {path} is written in a form that other machines write otherwise. Rename it."
    ),
    "hidden": N_("{path} is hidden (it begins with a dot), and hidden files are not published."),
    "reserved": N_("The name {path} is kept for Madang. Rename the file."),
    "twice": N_("{path} is in the archive twice."),
    "alike": N_("{path} and another name differ in capitals only. Rename one of them."),
    "both": N_("{path} is in the archive as a file and as a folder."),
}


@dataclass(frozen=True, slots=True)
class File:
    """A file of a snapshot; ``size`` in bytes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot holds, in the order of the bytes of the paths."""

    files: tuple[File, ...]
    folders: tuple[str, ...]

    @property
    def content(self) -> str:
        """SHA-256 over all paths and all bytes: the snapshot's name. Who made it, and when, is not in it."""
        lines = [f"madang-snapshot {_FORMAT}"]
        lines += [f"folder {path}" for path in self.folders]
        lines += [f"file {one.sha256} {one.size} {one.path}" for one in self.files]
        # no path has a line break in it
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(one.size for one in self.files)

    def to_json(self) -> str:
        """As it is written beside the files; the same content is the same text."""
        found = {
            "format": _FORMAT,
            "content": self.content,
            "folders": self.folders,
            "files": [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in self.files],
        }
        return json.dumps(found, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """The other way round.

        Raises:
            ValueError: it is none.
        """
        try:
            found = json.loads(text)
            files = tuple(File(f["path"], f["size"], f["sha256"]) for f in found["files"])
            made = cls(files, tuple(found["folders"]))
        except (KeyError, TypeError) as error:
            raise ValueError("no manifest of a snapshot") from error
        if made.to_json() != text:
            raise ValueError("a manifest that does not say what its content is")
        return made


@dataclass(slots=True)
class Incoming:
    """A snapshot that is whole on the disk and does not count yet."""

    manifest: Manifest
    store: Path
    _folder: Path

    @property
    def content(self) -> str:
        return self.manifest.content

    def keep(self) -> Path:
        """Make it count; the folder of the snapshot. The same content once more is the same snapshot."""
        final = self.store / self.content
        if intact(final, self.manifest):
            return final
        if os.path.lexists(final):
            # it was damaged from outside: what is whole takes its place
            set_aside(self.store, self.content)
        self._folder.rename(final)
        _sync(self.store)
        return final


@contextmanager
def received(source: Readable, store: Path, limits: Limits) -> Iterator[Incoming]:
    """The snapshot that ``source`` (a gzipped tar) holds; it is removed at the end unless it was kept.

    Blocks, for as long as ``source`` takes. ``store`` is made if it is not there.

    Raises:
        ArchiveRefusedError: the archive is not taken.
        NoRoomError: the disk is too full.
        OSError: it could not be written, or ``source`` not be read.
    """
    # names in it are the files' own sums: who is not told one, finds none
    store.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=INCOMING, dir=store))
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # says that somebody is at it, see clear()
        fcntl.flock(handle, fcntl.LOCK_EX)
        manifest = _unpack(source, folder / FILES, limits)
        # all at the end: one after the other the disk would be waited for once per file
        for file in manifest.files:
            _sync(folder / FILES / file.path)
        _write(folder / MANIFEST, manifest.to_json().encode())
        for path in (*(folder / FILES / f for f in manifest.folders), folder / FILES, folder):
            path.chmod(0o755)  # whatever the umask is
            _sync(path)
        yield Incoming(manifest, store, folder)
    finally:
        os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(source: Readable, folder: Path, limits: Limits) -> Manifest:
    unpacked = Unpacked(source, limits)
    names, files, total = Names(limits), list[File](), 0
    folder.mkdir()
    try:
        with tarfile.open(
            # read, tell and seek are all it needs
            fileobj=cast("Any", unpacked),
            mode="r:",
            encoding="utf-8",
            errors="strict",
        ) as tar:
            while (member := tar.next()) is not None:
                if tar.pax_headers:
                    # headers for all that follows: every entry would keep a copy of them
                    raise damaged()
                # it is kept for going back, which nothing here does (typeshed does not know it)
                cast("Any", tar).members.clear()
                _check(member, names, folder, limits)
                target = folder / member.name
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                total += member.size
                if total > limits.total:
                    raise ArchiveRefusedError(
                        N_(
                            "The files have more than {most} MB together. Publish fewer or smaller ones."
                        ),
                        most=limits.total // 2**20,
                    )
                _room(folder, member.size)
                target.parent.mkdir(parents=True, exist_ok=True)
                unpacked.content = True
                files.append(_copy(tar, member, target))
                unpacked.content = False
            unpacked.finish()
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, ArchiveRefusedError | NoRoomError):
            raise
        raise damaged() from error
    if not files:
        raise ArchiveRefusedError(N_("There are no files in the archive."))
    return Manifest(
        tuple(sorted(files, key=lambda f: f.path.encode())),
        tuple(sorted(names.folders, key=str.encode)),
    )


def _check(member: tarfile.TarInfo, names: Names, folder: Path, limits: Limits) -> None:
    """Whether this entry may be.

    Raises:
        ArchiveRefusedError: it may not.
    """
    path = member.name
    sparse = member.sparse is not None or any(
        k.startswith("GNU.sparse") for k in member.pax_headers
    )
    if member.type not in (*_FILE, tarfile.DIRTYPE) or sparse or member.mode & _SPECIAL:
        raise ArchiveRefusedError(
            N_(
                "{path} is no plain file or folder (a link, say). Replace it by a copy of the file."
            ),
            path=shown(path),
        )
    if fault := names.fault(path, folder=member.isdir()):
        raise ArchiveRefusedError(_SAID[fault], path=shown(path))
    if len(names) > limits.entries:
        raise ArchiveRefusedError(
            N_("There are more than {most} files and folders. Publish fewer."), most=limits.entries
        )
    if member.size < 0 or (member.isdir() and member.size):
        raise damaged()
    if member.size > limits.file:
        raise ArchiveRefusedError(
            N_("{path} has more than {most} MB. Publish a smaller one."),
            path=shown(path),
            most=limits.file // 2**20,
        )
    # the standard library's own judgement on top; what it would change was refused above
    tarfile.data_filter(member, str(folder))


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> File:
    content = tar.extractfile(member)
    if content is None:
        raise damaged()
    digest, size = hashlib.sha256(), 0
    with _new(target) as file:
        while part := content.read(CHUNK):
            size += len(part)
            digest.update(part)
            file.write(part)
    if size != member.size:
        raise damaged()
    return File(member.name, size, digest.hexdigest())


def _room(folder: Path, size: int) -> None:
    if shutil.disk_usage(folder).free < size + LOW_SPACE:
        raise NoRoomError(
            N_("The disk for dashboards is full, so nothing was published. Tell an admin.")
        )


def shown(path: str) -> str:
    """A path of an archive in a sentence: what does not print is escaped, and it is not long."""
    text = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii")
        for c in path[:200]
    )
    return text if len(text) <= 80 else f"{text[:50]}…{text[-25:]}"


# ---- snapshots that count -------------------------------------------------------------------


def contents(store: Path) -> frozenset[str]:
    """The names of all snapshots that count."""
    if not store.is_dir():
        return frozenset()
    return frozenset(p.name for p in store.iterdir() if CONTENT.fullmatch(p.name))


def manifest_of(store: Path, content: str) -> Manifest:
    """What is in a snapshot, as it was when it was made.

    Raises:
        OSError: there is none of that name.
        ValueError: it is damaged.
    """
    made = Manifest.from_json((store / content / MANIFEST).read_text(encoding="utf-8"))
    if made.content != content:
        raise ValueError(f"{store / content} is another snapshot than its name says")
    return made


def intact(folder: Path, manifest: Manifest) -> bool:
    """Whether ``folder`` has the files of ``manifest`` in their sizes; their bytes are not read."""
    try:
        if (folder / MANIFEST).read_text(encoding="utf-8") != manifest.to_json():
            return False
        states = [(f.size, (folder / FILES / f.path).lstat()) for f in manifest.files]
        return all(stat.S_ISREG(s.st_mode) and s.st_size == size for size, s in states)
    except (OSError, ValueError):
        return False


def set_aside(store: Path, content: str) -> None:
    """From now on a snapshot does not count; :func:`clear` removes what is left of it.

    Raises:
        OSError: it is not there, or cannot be moved.
    """
    (store / content).rename(store / f"{REMOVING}{content}-{secrets.token_hex(8)}")
    _sync(store)


def clear(store: Path, now: float, older: float = 3600.0) -> None:
    """Remove what was set aside, and what others began and did not end.

    Args:
        now: seconds since 1970.
        older: so many seconds an unfinished one must be unchanged; and nobody may be at it.
    """
    for path in list(store.iterdir()) if store.is_dir() else ():
        if path.name.startswith(REMOVING) or (
            path.name.startswith(INCOMING) and _abandoned(path, now - older)
        ):
            shutil.rmtree(path, ignore_errors=True)


def _abandoned(folder: Path, before: float) -> bool:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(handle).st_mtime < before
    except BlockingIOError:
        return False
    finally:
        os.close(handle)


# ---- files ----------------------------------------------------------------------------------


def _new(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(path, flags, 0o444)
    os.fchmod(handle, 0o444)  # whatever the umask is
    return os.fdopen(handle, "wb")


def _write(path: Path, content: bytes) -> None:
    with _new(path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    """Bring a file's bytes, or a folder's names, to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
