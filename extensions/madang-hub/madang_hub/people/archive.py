"""The archive: homes of people whose access has ended, one file each.

An archive is a tar file (POSIX format, sparse files stay sparse, owners as numbers, links as links) beside
a small JSON file that says whose it is, when and why it was made, and its SHA-256. A home is removed only
when its archive was read again from the disk and every entry compared with the home. Whatever goes wrong
before that leaves the home as it was.

No server of the person may run meanwhile: the caller sees to that. Packing and comparing is in ``packing.py``.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from madang_hub.homes import LOW_SPACE, home_of, slug
from madang_hub.people import packing
from madang_hub.people.lifetime import Kept
from madang_hub.people.packing import ArchiveError

__all__ = ["Archive", "ArchiveError"]

_MADE = ".removing-", ".restoring-"


@dataclass(frozen=True)
class _Note:
    """What is written beside a tar file."""

    person: str
    made: str
    why: str
    size: int
    sha256: str
    entries: int


class Archive:
    """Archives in ``folder`` of homes under ``homes``. Every method blocks, as long as copying takes."""

    def __init__(self, folder: Path, homes: Path) -> None:
        self._folder = folder
        self._homes = homes

    def kept(self) -> list[Kept]:
        """Every complete archive, the oldest first."""
        found = []
        for path in sorted(self._folder.glob("*.json")) if self._folder.is_dir() else ():
            note = _read_note(path)
            if note is not None and path.with_suffix(".tar").is_file():
                made = datetime.fromisoformat(note.made)
                found.append(Kept(note.person, path.with_suffix(".tar").name, made, note.why))
        return sorted(found, key=lambda k: k.made)

    def has_home(self, name: str) -> bool:
        """Whether there is something in the place of the home of ``name``."""
        return bool(name) and os.path.lexists(home_of(self._homes, name))

    def _home(self, name: str) -> Path:
        if not name:
            raise ArchiveError("Say whose home.")
        return home_of(self._homes, name)

    def store(self, name: str, why: str, now: datetime) -> Kept:
        """Archive the home of ``name``, then remove it.

        Raises:
            ArchiveError: it was not archived; the home is as it was.
        """
        home = self._home(name)
        with self._lock():
            entries, size = packing.survey(home)
            free = shutil.disk_usage(self._folder).free
            if free < size + LOW_SPACE:
                raise ArchiveError(
                    f"The archive of {name} needs {_mib(size)} MiB in {self._folder}, and {_mib(LOW_SPACE)} "
                    f"MiB must stay free there: only {_mib(free)} MiB are. Make room and try again."
                )
            stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
            final = self._folder / f"{slug(name)}-{stamp}.tar"
            if final.exists():
                raise ArchiveError(
                    f"There is an archive {final.name} already; try again in a second."
                )
            partial = self._folder / f".partial-{final.name}"
            try:
                packing.pack(home, partial)
                checksum = packing.checksum(partial)
                packing.compare(home, partial, entries)
                note = _Note(
                    name,
                    now.astimezone(UTC).isoformat(),
                    why,
                    partial.stat().st_size,
                    checksum,
                    len(entries),
                )
                self._write_note(final.with_suffix(".json"), note)
                partial.rename(final)
                packing.sync_folder(self._folder)
            except OSError as error:
                raise ArchiveError(
                    f"{home} could not be archived: {packing.reason(error)}"
                ) from error
            finally:
                partial.unlink(missing_ok=True)
                if not final.exists():
                    final.with_suffix(".json").unlink(missing_ok=True)
            # one step takes the home away; deleting it may be cut short and goes on the next time
            aside = self._homes / f"{_MADE[0]}{home.name}"
            try:
                home.rename(aside)
                packing.sync_folder(self._homes)
            except OSError as error:
                raise ArchiveError(
                    f"{final} is complete, but {home} stays: {packing.reason(error)}"
                ) from error
            packing.delete(aside)
        return Kept(name, final.name, now, why)

    def restore(self, name: str, uid: int, gid: int) -> Kept:
        """Bring the newest archived home of ``name`` back, for the account ``uid`` and ``gid``; the archive
        stays. Owners are set only by a process that may (root); elsewhere the files are the caller's.

        Raises:
            ArchiveError: there is none, it is damaged, or there is a home with something in it.
        """
        home = self._home(name)
        with self._lock():
            mine = [k for k in self.kept() if k.person == name]
            if not mine:
                raise ArchiveError(f"There is no archive of {name}; 'madang home list' shows all.")
            newest = mine[-1]
            file = self._folder / newest.file
            note = _read_note(file.with_suffix(".json"))
            if note is None or packing.checksum(file) != note.sha256:
                raise ArchiveError(
                    f"{file} is damaged (its checksum differs). Take it from your backup and try again."
                )
            if os.path.lexists(home) and (
                home.is_symlink() or not home.is_dir() or any(home.iterdir())
            ):
                raise ArchiveError(
                    f"{name} has files in {home}. Move them away, or archive them first: madang home archive "
                    f"{name}"
                )
            needs = packing.content(file)
            if shutil.disk_usage(self._homes).free < needs + LOW_SPACE:
                raise ArchiveError(
                    f"The files of {name} need {_mib(needs)} MiB in {self._homes}; make room there."
                )
            aside = self._homes / f"{_MADE[1]}{home.name}"
            aside.mkdir(mode=0o700)
            try:
                packing.unpack(file, aside)
                if os.geteuid() == 0:
                    os.chown(aside, uid, gid)
                aside.chmod(0o700)
                if home.is_dir():
                    home.rmdir()
                aside.rename(home)
                packing.sync_folder(self._homes)
            except OSError as error:
                raise ArchiveError(
                    f"{home} could not be brought back: {packing.reason(error)}"
                ) from error
            finally:
                packing.delete(aside)
        return newest

    def forget(self, file: str) -> None:
        """Remove the archive ``file`` (as :meth:`kept` names it) for good."""
        if not re.fullmatch(r"[a-z0-9-]+-\d{8}T\d{6}Z\.tar", file):
            raise ArchiveError(f"{file!r} is no archive.")
        with self._lock():
            (self._folder / file).unlink(missing_ok=True)
            (self._folder / file).with_suffix(".json").unlink(missing_ok=True)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One at a time, in whatever process; what an earlier one left behind is cleared away first."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        with (self._folder / ".lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ArchiveError(
                    "Another home is being archived or brought back just now; try again when it is done."
                ) from None
            for path in self._folder.glob(".partial-*"):
                path.unlink(missing_ok=True)
            for path in self._homes.iterdir():
                if path.name.startswith(_MADE):
                    packing.delete(path)
            yield

    def _write_note(self, path: Path, note: _Note) -> None:
        partial = path.with_name(f".partial-{path.name}")
        with partial.open("w", encoding="utf-8") as file:
            json.dump(asdict(note), file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)


def _read_note(path: Path) -> _Note | None:
    try:
        return _Note(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _mib(size: int) -> int:
    return -(-size // 2**20)
