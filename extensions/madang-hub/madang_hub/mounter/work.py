"""One request, in a process of its own: everything is looked at first, then the home is mounted.

Nothing is mounted anywhere but in the container's namespace: the home is made a mount that is nowhere
(open_tree(2)), carried into the namespace, and put in its place there as the last thing that is done.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from madang_hub.mounter import kernel
from madang_hub.mounter.rules import HOME_PLACE, OWNER, RefusedError, Request, is_private
from madang_hub.warm.names import LINE_PLACE

OWN = "/proc/self"


@dataclass(frozen=True)
class Where:
    """The folders of homes and of slots, and the places in a container for a home and for a slot's folder."""

    homes: Path
    slots: Path
    home_place: str = HOME_PLACE
    line_place: str = LINE_PLACE


@contextmanager
def _step(failed: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RefusedError(f"{failed} ({error.strerror})") from error


def _home(request: Request, where: Where) -> int:
    """The home, opened: from here on nobody can put another in its place."""
    with _step("the home is no folder that can be opened"):
        homes = os.open(where.homes, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        home = os.open(request.home, kernel.FOLDER, dir_fd=homes)
    owner = os.fstat(home).st_uid
    if owner != OWNER:
        raise RefusedError(f"the home belongs to account {owner} and not to {OWNER}")
    return home


def _slot(request: Request, where: Where) -> os.stat_result:
    with _step("the slot has no folder that can be opened"):
        slots = os.open(where.slots, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return os.fstat(os.open(request.slot, kernel.FOLDER, dir_fd=slots))


def _check_namespace(namespace: int) -> None:
    if not kernel.is_mount_namespace(namespace):
        raise RefusedError("the descriptor is not a mount namespace")
    if os.path.samestat(os.fstat(namespace), Path(OWN, "ns", "mnt").stat()):
        raise RefusedError("the mount namespace is the mounter's own")


def _text(descriptor: int) -> bytes:
    parts = []
    while part := os.read(descriptor, 2**16):
        parts.append(part)
    return b"".join(parts)


def put(request: Request, namespace: int, where: Where) -> None:
    """Mount the home of ``request`` in ``namespace``, and take the slot's folder away there.

    This process stays in the namespace. It loads nothing any more: the files there are the container's.

    Raises:
        RefusedError: nothing is mounted; the message says why.
    """
    home = _home(request, where)
    slot = _slot(request, where)
    _check_namespace(namespace)
    with _step("the home cannot be made a mount, for which Linux 5.12 is needed"):
        tree = kernel.detached(home)
    own = os.open(OWN, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    sys.meta_path.clear()
    with _step("the mount namespace cannot be entered"):
        kernel.enter(namespace)
    outer, _, name = where.line_place.rpartition("/")
    with _step("the container has no place for a home and a line"):
        place = kernel.open_folder(where.home_place)
        above = kernel.open_folder(outer)
        line = kernel.open_folder(name, above)
        home_mount, line_mount, above_mount = map(kernel.mount_of, (place, line, above))
    if not line_mount.is_root or not os.path.samestat(os.fstat(line), slot):
        raise RefusedError("the mount namespace is not that of the slot's container")
    if home_mount.is_root:
        raise RefusedError("the container has a home already")
    with _step("the container's mounts cannot be read"):
        mounts = _text(os.open("mountinfo", os.O_RDONLY, dir_fd=own))
    if not all(is_private(mounts, mount.number) for mount in (home_mount, above_mount)):
        raise RefusedError("what is done to the container's mounts would be seen outside it")
    with _step("the slot's folder cannot be taken away from the container"):
        os.fchdir(above)
        kernel.take_away(name)
    with _step("the home cannot be mounted"):
        kernel.attach(tree, place)
    # an empty folder, where a container that did not wait has none; nothing depends on it
    with suppress(OSError):
        os.rmdir(name)  # noqa: PTH106  # below the working folder
