"""The archive of a plan: the same files give the same bytes, whoever packs them and whenever."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
from pathlib import Path
from typing import Any, BinaryIO, cast

from madang_lab.publish.bounds import Limits
from madang_lab.publish.plan import File, Note, Plan


class ChangedMeanwhileError(RuntimeError):
    """A file is not as it was when the plan was made; make it again."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path} has changed meanwhile; try again.")


class TooMuchError(RuntimeError):
    """The service would not take the archive; ``note`` says why (:func:`.sentences.said`)."""

    def __init__(self, note: Note) -> None:
        self.note = note
        super().__init__(f"the service does not take this archive: {note.kind}")


def pack(plan: Plan, target: BinaryIO, limits: Limits | None = None) -> None:
    """Write the archive to ``target``; blocks, for as long as the files are large.

    Raises:
        ValueError: the plan says that it cannot be published.
        ChangedMeanwhileError: a file is gone since, is a link now, or has another size.
        TooMuchError: the archive became too large, or would grow too much; it is to be thrown away.
        OSError: a file cannot be read, or ``target`` not be written.
    """
    if not plan.ready:
        raise ValueError("this plan has something that stops it")
    limits = limits or Limits()
    counted = _Counted(target)
    # no name and no time in gzip's header either
    with gzip.GzipFile(
        filename="", mode="wb", fileobj=cast("Any", counted), compresslevel=6, mtime=0
    ) as packed:
        with tarfile.open(
            fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8"
        ) as tar:
            for file in plan.files:
                _add(tar, Path(plan.folder), file)
                if counted.size > limits.packed:
                    raise TooMuchError(Note("packed"))
        grown = packed.tell()
    if counted.size > limits.packed:
        raise TooMuchError(Note("packed"))
    if grown > limits.spared and grown > counted.size * limits.ratio:
        raise TooMuchError(Note("ratio"))


class _Counted:
    """Counts the bytes that pass on their way to ``target``."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self.size = 0

    def write(self, part: bytes) -> int:
        self.size += len(part)
        return self._target.write(part)

    def flush(self) -> None:
        self._target.flush()


def _add(tar: tarfile.TarFile, folder: Path, file: File) -> None:
    try:
        # a link in its place is not followed, a pipe not waited for
        handle = os.open(folder / file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise ChangedMeanwhileError(file.path) from error
    except OSError as error:
        if (folder / file.path).is_symlink():
            raise ChangedMeanwhileError(file.path) from error
        raise
    with os.fdopen(handle, "rb") as content:
        state = os.fstat(handle)
        # a link in the place of one of its folders was followed
        if Path(f"/proc/self/fd/{handle}").readlink() != folder / file.path:
            raise ChangedMeanwhileError(file.path)
        if not stat.S_ISREG(state.st_mode) or state.st_size != file.size:
            raise ChangedMeanwhileError(file.path)
        member = tarfile.TarInfo(file.path)
        member.size = file.size
        member.mode = 0o644
        try:
            tar.addfile(member, content)
        except OSError as error:
            if os.fstat(content.fileno()).st_size < file.size:
                raise ChangedMeanwhileError(file.path) from error
            raise
