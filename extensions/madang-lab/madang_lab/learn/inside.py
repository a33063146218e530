"""Files inside a home: no link is followed on the way, and what is written is there whole or not at all.

Folders are held open as file descriptors, so nothing outside is reached even where one becomes a link.
A new text is written beside, on the same file system, and takes the name's place in one step. Where a file is
replaced, old and new change places and then the old one is looked at: if it is not the one that was read,
because somebody saved in between, they change back, and whatever was saved meanwhile is kept.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MAX_SIZE = 64 * 2**20
"""Bytes of a learner's notebook at most; a larger one is left alone."""
DRAFT, WHOLE = "draft", "whole"
"""Names of what is being written: not finished, and finished (or what was replaced by it)."""
_NOREPLACE, _EXCHANGE = 1, 2  # linux/fs.h: RENAME_…
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class LinkInTheWayError(Exception):
    """A part of the way is a link, or not what it should be."""


class ChangedError(Exception):
    """The file is not the one that was read."""


@dataclass(frozen=True)
class Mark:
    """By which a file is known again; ``changed`` is in nanoseconds since 1970."""

    inode: int
    size: int
    changed: int


@dataclass(frozen=True)
class Found:
    """A file as it was read; ``mode`` are its permissions."""

    data: bytes
    mark: Mark
    mode: int

    @property
    def writable(self) -> bool:
        """Whether its owner may change it."""
        return bool(self.mode & stat.S_IWUSR)


@contextmanager
def folder(home: Path, way: Sequence[str], make: bool = False) -> Iterator[int]:
    """The folder at ``way`` below ``home``, open.

    Raises:
        LinkInTheWayError: a part of the way is a link or no folder.
        FileNotFoundError: it is not there, and not to be made.
        OSError: it cannot be entered or made.
    """
    inside = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in way:
            if make:
                try:
                    os.mkdir(part, 0o755, dir_fd=inside)
                except FileExistsError:
                    pass
            deeper = _open(part, _FOLDER, inside)
            os.close(inside)
            inside = deeper
        yield inside
    finally:
        os.close(inside)


@contextmanager
def alone(inside: int) -> Iterator[None]:
    """One at a time, over all processes, as long as this goes on."""
    lock = _open(".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, inside)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def look(inside: int, name: str) -> Mark | None:
    """The file of that name without reading it; None if there is none.

    Raises:
        LinkInTheWayError: it is no plain file.
    """
    try:
        info = os.stat(name, dir_fd=inside, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return _mark(name, info)


def read(inside: int, name: str) -> Found | None:
    """The file of that name; None if there is none.

    Raises:
        LinkInTheWayError: it is no plain file, or too large.
        OSError: it cannot be read.
    """
    # a pipe without a writer would be waited for
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        opened = _open(name, flags, inside)
    except FileNotFoundError:
        return None
    try:
        info = os.fstat(opened)
        mark = _mark(name, info)
        if mark.size > MAX_SIZE:
            raise LinkInTheWayError(f"{name} is larger than {MAX_SIZE} bytes")
        with os.fdopen(opened, "rb", closefd=False) as file:
            data = file.read()
        if _mark(name, os.fstat(opened)) != mark or len(data) != mark.size:
            raise ChangedError(name)
        return Found(data, mark, stat.S_IMODE(info.st_mode))
    finally:
        os.close(opened)


def put(inside: int, name: str, data: bytes) -> None:
    """Write a file of our own, over an older one of that name."""
    _draft(inside, data, 0o644)
    os.rename(DRAFT, name, src_dir_fd=inside, dst_dir_fd=inside)
    os.fsync(inside)


def place(
    beside: int, inside: int, name: str, data: bytes, old: Found | None, kept: str = ""
) -> Mark:
    """Write a learner's file, if it is still ``old`` (None: still not there); returns the new one's mark.

    Args:
        beside: a folder of the same file system for what is not finished. What :data:`WHOLE` names there after
            a crash may be the learner's: it must be kept.
        kept: what the old file itself is called from then on, beside. Not only its text: a program that still
            has it open may go on writing.

    Raises:
        ChangedError: it is not; nothing was changed.
        OSError: it cannot be written; nothing was changed.
    """
    _draft(beside, data, 0o644 if old is None else old.mode)
    os.rename(DRAFT, WHOLE, src_dir_fd=beside, dst_dir_fd=beside)
    mark = _mark(name, os.stat(WHOLE, dir_fd=beside, follow_symlinks=False))
    if old is None:
        _appear(beside, inside, name)
    elif _change_places(beside, inside, name, old, data):
        os.rename(WHOLE, kept, src_dir_fd=beside, dst_dir_fd=beside)
    os.fsync(inside)
    return mark


def _appear(beside: int, inside: int, name: str) -> None:
    """Give what is finished its name, which nothing has yet."""
    try:
        _rename2(beside, WHOLE, inside, name, _NOREPLACE)
        return
    except OSError as error:
        if error.errno not in _CANNOT:
            forget(beside, WHOLE)
            if isinstance(error, FileExistsError):
                raise ChangedError(name) from error
            raise
    if look(inside, name) is not None:
        forget(beside, WHOLE)
        raise ChangedError(name)
    os.rename(WHOLE, name, src_dir_fd=beside, dst_dir_fd=inside)


def _change_places(beside: int, inside: int, name: str, old: Found, data: bytes) -> bool:
    """Give what is finished the name of ``old``; whether that is beside afterwards (else it is gone)."""
    try:
        _rename2(beside, WHOLE, inside, name, _EXCHANGE)
    except OSError as error:
        if error.errno not in _CANNOT:
            forget(beside, WHOLE)
            if isinstance(error, FileNotFoundError):
                raise ChangedError(name) from error
            raise
        _replace(beside, inside, name, old)
        return False
    if _whole(beside) != old.data:
        # if this fails, the learner's file stays beside, to be kept; so does what was saved once more meanwhile
        _rename2(beside, WHOLE, inside, name, _EXCHANGE)
        if _whole(beside) == data:
            forget(beside, WHOLE)
        raise ChangedError(name)
    return True


def _whole(beside: int) -> bytes | None:
    """What :data:`WHOLE` holds; None where that cannot be read."""
    try:
        found = read(beside, WHOLE)
    except (ChangedError, LinkInTheWayError, OSError):
        return None
    return None if found is None else found.data


def _replace(beside: int, inside: int, name: str, old: Found) -> None:
    """As some network file systems can: the look just before is all there is."""
    try:
        if look(inside, name) != old.mark:
            raise ChangedError(name)
    except (ChangedError, LinkInTheWayError):
        forget(beside, WHOLE)
        raise
    os.rename(WHOLE, name, src_dir_fd=beside, dst_dir_fd=inside)


def _draft(inside: int, data: bytes, mode: int) -> None:
    forget(inside, DRAFT)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    opened = os.open(DRAFT, flags, 0o600, dir_fd=inside)
    try:
        with os.fdopen(opened, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(opened, mode)
            os.fsync(opened)
    except BaseException:
        forget(inside, DRAFT)
        raise


def forget(inside: int, name: str) -> None:
    """Remove a file, if it is there."""
    try:
        os.unlink(name, dir_fd=inside)
    except FileNotFoundError:
        pass


def _open(name: str, flags: int, inside: int) -> int:
    try:
        return os.open(name, flags, 0o644, dir_fd=inside)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO):
            raise LinkInTheWayError(f"{name} is a link, or not what it should be") from error
        raise


def _mark(name: str, info: os.stat_result) -> Mark:
    if not stat.S_ISREG(info.st_mode):
        raise LinkInTheWayError(f"{name} is a link, or no plain file")
    return Mark(info.st_ino, info.st_size, info.st_mtime_ns)


def _rename2(beside: int, one: str, inside: int, other: str, flags: int) -> None:
    """Linux's ``renameat2``, which Python does not have."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(beside, os.fsencode(one), inside, os.fsencode(other), flags):
        failed = ctypes.get_errno()
        raise OSError(failed, os.strerror(failed), other)
