"""The few files of an uploaded archive that matter, read in memory: nothing is unpacked to the disk."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from madang_hub.people.sentences import Sentence
from madang_hub.shelf.repository import MAX_FILE, Fault, RepositoryError, relevant
from madang_hub.web.i18n import N_

MAX_ENTRIES = 20_000
"""Entries of an archive that are looked at."""
MAX_UNPACKED = 256 * 2**20
"""Bytes that a compressed tar may unpack to: to find a file in it, all before it is unpacked."""


class _TooLarge(Exception):  # noqa: N818  # read as a state: it is too large
    pass


def files_of(data: bytes) -> dict[str, bytes]:
    """The relevant files of a ``.zip`` or ``.tar.gz``, by their path below the repository's top.

    Forges put the whole repository into one folder of the archive; then that folder is the top. Links are
    no files. Of a file that is too large one byte more than is allowed is returned, so that it is noticed.

    Raises:
        RepositoryError: it is no such archive, damaged, or too large.
    """
    try:
        if data[:4] == b"PK\x03\x04":
            found = dict(_zip(data))
        elif data[:2] == b"\x1f\x8b":
            found = dict(_tar(data))
        else:
            raise _no_archive()
    except _TooLarge as error:
        raise _error(
            N_("The archive holds too much. Upload only the files that name the packages.")
        ) from error
    except (
        zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError,
        NotImplementedError, RuntimeError, ValueError, UnicodeError,
    ) as error:  # fmt: skip
        if isinstance(error, RepositoryError):
            raise
        raise _error(N_("The archive is damaged or has a password. Make it anew.")) from error
    return found


def _zip(data: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise _TooLarge
        top = _top([e.filename for e in entries if not e.is_dir()])
        for entry in entries:
            path = relevant(entry.filename.removeprefix(top))
            is_link = (entry.external_attr >> 16) & 0o170000 == 0o120000
            if path and not entry.is_dir() and not is_link:
                with archive.open(entry) as file:
                    yield path, file.read(MAX_FILE + 1)


class _Limited:
    """What comes out of the gzip stream, up to a limit; as much of a file as a stream of tar needs."""

    def __init__(self, source: gzip.GzipFile) -> None:
        self._source, self._left = source, MAX_UNPACKED

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._source.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise _TooLarge
        return chunk


def _tar(data: bytes) -> Iterator[tuple[str, bytes]]:
    every: list[str] = []
    kept: dict[str, bytes] = {}
    stream: Any = _Limited(gzip.GzipFile(fileobj=io.BytesIO(data)))
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for entry in archive:
            if len(every) >= MAX_ENTRIES:
                raise _TooLarge
            if not entry.isfile():
                continue
            name = entry.name.removeprefix("./")
            every.append(name)
            # the top is known at the end only
            if relevant(name) or relevant(name.partition("/")[2]):
                file = archive.extractfile(entry)
                if file is not None:
                    kept[name] = file.read(MAX_FILE + 1)
    top = _top(every)
    for name, content in kept.items():
        if path := relevant(name.removeprefix(top)):
            yield path, content


def _top(names: list[str]) -> str:
    """The one folder that holds everything, with a slash; "" where there is none (or it is binder/)."""
    firsts = {name.partition("/")[0] if "/" in name else "" for name in names}
    if len(firsts) != 1:
        return ""
    (first,) = firsts
    return f"{first}/" if first and first not in ("binder", ".binder", ".", "..") else ""


def _error(message: str) -> RepositoryError:
    return RepositoryError([Fault("", 0, Sentence(message))])


def _no_archive() -> RepositoryError:
    return _error(N_("This is no .zip and no .tar.gz."))
