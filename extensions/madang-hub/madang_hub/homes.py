"""Homes: one folder per person under the homes' root.

The folder's name is the escaped user name (``slug``), so that no name can leave the root. The root
belongs to the operator; only the folders below it belong to the users' uid, so a person cannot replace
the own folder by a link.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import escapism

USER_UID = 1000
USER_GID = 1000
"""The account inside every user image (``images/base``)."""

LOW_SPACE = 200 * 2**20
"""Bytes that the disk of the homes must have free for a server to start."""


class HomeError(RuntimeError):
    """The home cannot be used; the message is for the log."""


class DiskFullError(HomeError):
    """The disk of the homes is full."""


def slug(name: str) -> str:
    """``name`` as a folder name: unique per name, without separators, never ``.`` or ``..``."""
    safe = set("abcdefghijklmnopqrstuvwxyz0123456789")
    return str(escapism.escape(name, safe=safe, escape_char="-")).lower()


def name_of(folder: str) -> str:
    """The user name of which :func:`slug` made ``folder``; empty where it made no such one."""
    try:
        return str(escapism.unescape(folder, escape_char="-"))
    except UnicodeDecodeError:
        return ""


def home_of(root: Path, name: str) -> Path:
    """Where the files of ``name`` are."""
    return root / slug(name)


def ensure_home(
    root: Path, name: str, uid: int = USER_UID, gid: int = USER_GID, space: int = LOW_SPACE
) -> Path:
    """Make the home of ``name`` if it is missing, with the right owner and mode 0700.

    Ownership is changed only by a process that may (the Hub in its container runs as root with
    CAP_CHOWN); elsewhere the folder stays the caller's, which is right in embedded mode.

    Raises:
        DiskFullError: less than ``space`` bytes are free.
        HomeError: the folder cannot be made, or something that is no folder is in its place.
    """
    home = home_of(root, name)
    try:
        if shutil.disk_usage(root).free < space:
            raise DiskFullError(f"less than {space >> 20} MiB free under {root}")
        home.mkdir(mode=0o700, exist_ok=True)
        state = home.lstat()
        if home.is_symlink():
            raise HomeError(f"{home} is a link; put the folder itself there")
        if os.geteuid() == 0 and state.st_uid != uid:
            os.chown(home, uid, gid, follow_symlinks=False)
    except OSError as error:
        raise HomeError(f"{home}: {error.strerror}") from error
    return home
