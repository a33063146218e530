"""The bundle as a file: a plain tar, written in one pass and checked before anything is taken out of it."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from madang_hub.bundle.manifest import (
    LARGEST_MANIFEST,
    MANIFEST,
    BundleError,
    Entry,
    Manifest,
    bad_name,
    parse,
)

CHUNK = 2**20
TOO_MANY = 100_000
"""Members; a bundle has some hundreds."""
Told = Callable[[int], None]
"""Called with the number of bytes that were just read."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _nobody(count: int) -> None:
    pass


# ---- writing --------------------------------------------------------------------------------


class Writer:
    """Puts files into a new bundle one after the other and remembers their sums.

    Times and owners are left out: equal content gives an equal file.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.entries: list[Entry] = []

    def add(self, path: str, source: Readable, *, executable: bool = False) -> None:
        """Copy ``source`` in as ``path``."""

        def copy(sink: IO[bytes]) -> None:
            while block := source.read(CHUNK):
                sink.write(block)

        self.add_by(path, copy, executable=executable)

    def add_by(
        self, path: str, write: Callable[[IO[bytes]], None], *, executable: bool = False
    ) -> None:
        """Add what ``write`` writes into the file it is given (also another program, by its descriptor)."""
        begin = self._file.tell()
        # its size is known only afterwards; this much is taken by any header of a short name
        header = len(self._header(path, 0, executable))
        self._file.seek(begin + header)
        self._file.flush()
        # another program goes on from here, not from where the buffer stands
        os.lseek(self._file.fileno(), begin + header, os.SEEK_SET)
        write(self._file)
        self._file.flush()
        end = self._file.seek(0, os.SEEK_END)
        size = max(0, end - begin - header)
        self._file.write(b"\0" * (-size % tarfile.BLOCKSIZE))
        self._file.seek(begin)
        written = self._header(path, size, executable)
        if len(written) != header:
            raise BundleError(f"{path} is too large for a bundle.")
        self._file.write(written)
        self._file.flush()
        self.entries.append(Entry(path, size, self._sum(begin + header, size), executable))
        self._file.seek(0, os.SEEK_END)

    def finish(self, manifest: Manifest) -> None:
        """Add the manifest, which tells a whole bundle from a cut one, and the tar file's own end."""
        text = manifest.text().encode()
        self._file.write(self._header(MANIFEST, len(text), False) + text)
        self._file.write(b"\0" * (-len(text) % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE))
        self._file.flush()
        os.fsync(self._file.fileno())

    @staticmethod
    def _header(path: str, size: int, executable: bool) -> bytes:
        member = tarfile.TarInfo(path)
        member.size = size
        member.mode = 0o755 if executable else 0o644
        return member.tobuf(tarfile.GNU_FORMAT, "utf-8")

    def _sum(self, begin: int, size: int) -> str:
        """SHA-256 of what really is in the file."""
        total = hashlib.sha256()
        self._file.seek(begin)
        while size:
            block = self._file.read(min(CHUNK, size))
            if not block:
                raise BundleError("The bundle became shorter while it was written.")
            total.update(block)
            size -= len(block)
        return total.hexdigest()


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears as ``path`` when all went well, and leaves nothing behind otherwise.

    Raises:
        BundleError: it exists already, or cannot be written.
    """
    if path.exists():
        raise BundleError(f"{path} exists already: remove it, or name another file.")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("x+b") as file:
            yield file
        part.rename(path)
    except OSError as error:
        raise BundleError(
            f"{path} cannot be written ({error.strerror}); nothing of it stays."
        ) from error
    finally:
        part.unlink(missing_ok=True)


# ---- reading --------------------------------------------------------------------------------


class Archive:
    """A bundle that is there. Opening it reads the manifest; :meth:`check` reads everything."""

    def __init__(self, path: Path) -> None:
        """Raises:
        BundleError: it is no bundle, not a whole one, or holds what may not be in one.
        """
        self.path = path
        self._members: dict[str, tarfile.TarInfo] = {}
        with self._open() as tar:
            for member in tar:
                self._admit(member)
            found = self._members.pop(MANIFEST, None)
            if found is None:
                raise BundleError(
                    f"{path} is not a whole bundle: its last part, the manifest, is missing. Copy it again."
                )
            if found.size > LARGEST_MANIFEST:
                raise BundleError(f"{path} is no bundle: its manifest is too large.")
            self._manifest = _data(tar, found).read()
        self.manifest = parse(self._manifest)
        self._compare()

    @contextmanager
    def _open(self) -> Iterator[tarfile.TarFile]:
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise BundleError(f"{self.path} cannot be read ({error.strerror}).") from error
        with file:
            try:
                with tarfile.open(fileobj=file, mode="r:") as tar:
                    yield tar
            except tarfile.TarError as error:
                raise BundleError(
                    f"{self.path} is not a whole bundle: it was cut off or changed ({error}). Copy it again."
                ) from error

    def _admit(self, member: tarfile.TarInfo) -> None:
        trouble = bad_name(member.name)
        # not isreg(): that is true of sparse files as well
        if not trouble and (
            member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.sparse
        ):
            trouble = f"{member.name!r} is a link, a device, a folder or a sparse file"
        if not trouble and member.name in self._members:
            trouble = f"{member.name!r} is in it twice"
        if not trouble and hasattr(tarfile, "data_filter"):  # Debian 12's Python has none
            try:
                tarfile.data_filter(member, str(self.path.parent))
            except tarfile.FilterError as error:
                trouble = str(error)
        if not trouble and len(self._members) >= TOO_MANY:
            trouble = "there are too many files in it"
        if trouble:
            raise BundleError(f"{self.path} is refused: {trouble}. Madang makes no such bundle.")
        self._members[member.name] = member

    def _compare(self) -> None:
        """Names and sizes are those of the manifest."""
        named = {entry.path: entry for entry in self.manifest.files}
        if lacking := sorted(named.keys() - self._members.keys()):
            raise BundleError(f"{self.path} is not a whole bundle: {lacking[0]} is missing.")
        if added := sorted(self._members.keys() - named.keys()):
            raise BundleError(f"{self.path} is refused: {added[0]} is not in its manifest.")
        for path, entry in named.items():
            if self._members[path].size != entry.size:
                raise self._damaged(path)

    def _damaged(self, path: str) -> BundleError:
        return BundleError(
            f"{self.path} is damaged or was changed: {path} is not what the manifest says. Copy it again."
        )

    def check(self, told: Told = _nobody) -> None:
        """Compare every file's sum with the manifest's; nothing is written.

        Raises:
            BundleError: one differs; the message names it.
        """
        for entry in self.manifest.files:
            self.copy(entry, None, told)

    def copy(self, entry: Entry, sink: IO[bytes] | None, told: Told = _nobody) -> None:
        """Write ``entry``'s content to ``sink``, comparing its sum on the way.

        Raises:
            BundleError: it is not what the manifest says (found out at the end).
        """
        total = hashlib.sha256()
        with self._open() as tar:
            data = _data(tar, self._members[entry.path])
            while block := data.read(CHUNK):
                total.update(block)
                told(len(block))
                if sink is not None:
                    sink.write(block)
        if total.hexdigest() != entry.sha256:
            raise self._damaged(entry.path)

    def take(self, entry: Entry, target: Path) -> None:
        """Make ``target`` from ``entry``; it is there whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        with _whole(target, 0o755 if entry.executable else 0o644) as file:
            self.copy(entry, file)

    def take_manifest(self, target: Path) -> None:
        """Make ``target`` the manifest, byte for byte."""
        with _whole(target, 0o644) as file:
            file.write(self._manifest)


@contextmanager
def _whole(target: Path, mode: int) -> Iterator[IO[bytes]]:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.chmod(mode)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _data(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    found = tar.extractfile(member)
    if found is None:
        raise BundleError(f"{member.name!r} is no file.")
    return found
