"""The system calls that Python has no name for. Each raises ``OSError`` as those of ``os`` do.

Numbers and layouts: Linux's ``include/uapi``. These calls have the same number on every processor that Madang
runs on. ``mount_setattr`` is the newest: Linux 5.12.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from dataclasses import dataclass
from typing import Any

_OPEN_TREE, _MOVE_MOUNT, _OPENAT2, _MOUNT_SETATTR = 428, 429, 437, 442

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_FROM_EMPTY_PATH, _TO_EMPTY_PATH = 0x04, 0x40
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS = 0x02, 0x04
_MS_PRIVATE = 1 << 18
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
_CLONE_NEWNS = 0x00020000
_NS_GET_NSTYPE = 0xB703
_STATX_MNT_ID = 0x1000
_STATX_ATTR_MOUNT_ROOT = 0x2000

FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a folder is opened that is only named, never read."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


@dataclass(frozen=True)
class Mount:
    """Which mount an open folder is on, by its number in ``mountinfo``, and whether it is that mount's root."""

    number: int
    is_root: bool


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _call(number: int, *arguments: int | bytes | ctypes.Array[Any]) -> int:
    # whole words: what a C compiler would do with each argument, ctypes does not know
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *words))


def open_folder(path: str, folder: int = _AT_FDCWD) -> int:
    """Open a folder, below ``folder`` if given, without following a symbolic link anywhere in ``path``."""
    how = struct.pack("=QQQ", FOLDER, 0, _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS)
    held = ctypes.create_string_buffer(how, len(how))
    return _call(_OPENAT2, folder, os.fsencode(path), held, len(how))


def mount_of(folder: int) -> Mount:
    """The mount that the open ``folder`` is on.

    Raises:
        OSError: as for any call; ``ENOSYS`` where the kernel does not say so (before Linux 5.8).
    """
    held = ctypes.create_string_buffer(256)
    flags = ctypes.c_int(_AT_EMPTY_PATH)
    _checked(_libc.statx(ctypes.c_int(folder), b"", flags, ctypes.c_uint(_STATX_MNT_ID), held))
    mask, _, attributes = struct.unpack_from("=IIQ", held)
    (known,) = struct.unpack_from("=Q", held, 56)
    (number,) = struct.unpack_from("=Q", held, 144)
    if not mask & _STATX_MNT_ID or not known & _STATX_ATTR_MOUNT_ROOT:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return Mount(number, bool(attributes & _STATX_ATTR_MOUNT_ROOT))


def is_mount_namespace(descriptor: int) -> bool:
    """Whether this is one, and not something else (ioctl_ns(2))."""
    try:
        return fcntl.ioctl(descriptor, _NS_GET_NSTYPE) == _CLONE_NEWNS
    except OSError:
        return False


def detached(folder: int) -> int:
    """The tree below the open ``folder`` as a mount that is nowhere yet, and that nothing else follows."""
    flags = _OPEN_TREE_CLONE | _AT_EMPTY_PATH | _AT_RECURSIVE | os.O_CLOEXEC
    tree = _call(_OPEN_TREE, folder, b"", flags)
    change = struct.pack("=QQQQ", 0, 0, _MS_PRIVATE, 0)
    held = ctypes.create_string_buffer(change, len(change))
    _call(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, held, len(change))
    return tree


def enter(namespace: int) -> None:
    """Go into this mount namespace, for good; root and working folder are then its root."""
    _checked(_libc.setns(ctypes.c_int(namespace), ctypes.c_int(_CLONE_NEWNS)))


def attach(tree: int, place: int) -> None:
    """Mount a :func:`detached` tree onto the open folder ``place``."""
    _call(_MOVE_MOUNT, tree, b"", place, b"", _FROM_EMPTY_PATH | _TO_EMPTY_PATH)


def take_away(name: str) -> None:
    """Unmount ``name`` in the working folder, also while it is in use; a link is not followed."""
    flags = ctypes.c_int(_MNT_DETACH | _UMOUNT_NOFOLLOW)
    _checked(_libc.umount2(os.fsencode(name), flags))
