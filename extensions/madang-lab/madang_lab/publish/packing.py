"""The archive of a plan: the same files give the same bytes, whoever packs them and whenever."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
from pathlib import Path
from typing import BinaryIO

from madang_lab.publish.plan import File, Plan


class ChangedMeanwhileError(RuntimeError):
    """A file is not as it was when the plan was made; make it again."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path} has changed meanwhile; try again.")


def pack(plan: Plan, target: BinaryIO) -> None:
    """Write the archive to ``target``; blocks, for as long as the files are large.

    Raises:
        ValueError: the plan says that it cannot be published.
        ChangedMeanwhileError: a file is gone since, is a link now, or has another size.
        OSError: a file cannot be read, or ``target`` not be written.
    """
    if not plan.ready:
        raise ValueError("this plan has something that stops it")
    # no name and no time in gzip's header either
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=target, compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar,
    ):
        for file in plan.files:
            _add(tar, Path(plan.folder), file)


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
        state = os.fstat(content.fileno())
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
