"""Looking through a home, and removing what is emptiable in it. Writes nothing, and follows no link."""

from __future__ import annotations

import heapq
import os
import shutil
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from madang_lab.space import Emptiable, Space, is_whole, kind_of, parent_of

FILES = 10
"""How many of the largest files are remembered."""


@dataclass
class _Scan:
    home: Path
    environments: Collection[str]
    device: int
    folders: dict[str, int] = field(default_factory=lambda: {"": 0})
    files: list[tuple[int, str]] = field(default_factory=list)
    emptiable: list[Emptiable] = field(default_factory=list)
    mounted: list[Emptiable] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    counted: set[int] = field(default_factory=set)

    def look(self, waiting: list[_Folder]) -> None:
        """Look into the last folder of ``waiting``, and put those in it there."""
        folder = waiting.pop()
        try:
            with os.scandir(self.home / folder.path) as entries:
                found = list(entries)
        except OSError:
            self.unread.append(folder.path)
            return
        for entry in found:
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # removed meanwhile
            path = f"{folder.path}/{entry.name}" if folder.path else entry.name
            if not stat.S_ISDIR(info.st_mode):
                self.count(path, info, folder)
            elif info.st_dev == self.device:
                waiting.append(self.entered(path, info, folder))
            elif folder.emptiable:
                self.mounted.append(folder.emptiable)

    def entered(self, path: str, info: os.stat_result, parent: _Folder) -> _Folder:
        emptiable = parent.emptiable
        if emptiable is None and (kind := kind_of(path, self.environments)):
            emptiable = Emptiable(path, kind)
            self.emptiable.append(emptiable)
        size = info.st_blocks * 512
        if emptiable:
            emptiable.add(size)
        whole = parent.whole
        if not whole:
            self.folders[path] = 0
            whole = path if emptiable or is_whole(path) else ""
        self.folders[whole or path] += size
        return _Folder(path, whole, emptiable)

    def count(self, path: str, info: os.stat_result, folder: _Folder) -> None:
        size = info.st_blocks * 512
        if folder.emptiable:
            folder.emptiable.add(size, info.st_ino, info.st_nlink)
        if info.st_nlink > 1:
            if info.st_ino in self.counted:
                return
            self.counted.add(info.st_ino)
        self.folders[folder.whole or folder.path] += size
        if not folder.whole:
            keep = heapq.heappush if len(self.files) < FILES else heapq.heappushpop
            keep(self.files, (size, path))


@dataclass(frozen=True)
class _Folder:
    """A folder to look into: what it is counted for where it is not listed, and what it would go with."""

    path: str
    whole: str = ""
    emptiable: Emptiable | None = None


def scan(home: Path, environments: Collection[str] = ()) -> Space:
    """What is in ``home``. What is mounted in it is left out, and so is an emptiable folder that holds a mount.

    Raises:
        OSError: ``home`` is not there.
    """
    found = _Scan(home, environments, home.stat().st_dev)
    waiting = [_Folder("")]
    while waiting:
        found.look(waiting)
    # parents were put in before what they hold
    for folder in reversed(found.folders):
        if folder:
            found.folders[parent_of(folder)] += found.folders[folder]
    return Space(
        found.folders,
        tuple((path, size) for size, path in sorted(found.files, reverse=True)),
        tuple(one for one in found.emptiable if one not in found.mounted),
        tuple(found.unread),
    )


def remove(home: Path, folder: str) -> bool:
    """Remove ``folder`` of ``home`` with all that is in it; whether nothing is left of it.

    Every step of the way is opened without following a link, so nothing outside the home is reached even
    where a folder becomes a link meanwhile.
    """
    *way, name = folder.split("/")
    inside = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in way:
            deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=inside)
            os.close(inside)
            inside = deeper
        shutil.rmtree(name, ignore_errors=True, dir_fd=inside)
        os.stat(name, dir_fd=inside, follow_symlinks=False)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    finally:
        os.close(inside)
    return False
