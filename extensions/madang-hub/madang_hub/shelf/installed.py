"""What is installed on this machine, as the parts that run agree on it: a file in the data folder.

Written by the operator's commands only (`madang up`, `madang images prune`); the Hub and the gateway to
the engine have the folder read-only. The gateway lets nothing be started that is not in the table or in
here, so nobody who takes over the Hub can add to it.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from pydantic import TypeAdapter, ValidationError

from madang_hub.shelf.versions import Version

TEAM_MADE = "team.json"
"""The file of environments that mentors proposed, beside the one of the table's (``versions.json``)."""

log = logging.getLogger("madang.shelf")
_VERSIONS: TypeAdapter[list[Version]] = TypeAdapter(list[Version])


class ShelfError(RuntimeError):
    """The file cannot be used; the message names it and the way out."""


class Installed:
    """The file ``name`` in ``folder``; read again when it has changed."""

    def __init__(self, folder: Path, name: str = "versions.json") -> None:
        self.path = folder / name
        self._seen: tuple[int, int, int] | None = None
        self._versions: tuple[Version, ...] = ()
        self._lock = threading.Lock()

    def versions(self) -> Sequence[Version]:
        """All versions; none where nothing was ever installed.

        A file that cannot be read is logged, and what was read before it stays: people go on with the table.
        """
        with self._lock:
            try:
                found = self.path.stat()
            except OSError:
                self._seen, self._versions = None, ()
                return ()
            mark = (found.st_mtime_ns, found.st_size, found.st_ino)
            if mark != self._seen:
                self._seen = mark
                try:
                    self._versions = tuple(self.load())
                except ShelfError as error:
                    log.error("%s", error)
            return self._versions

    def load(self) -> list[Version]:
        """As :meth:`versions`, for who is going to write.

        Raises:
            ShelfError: the file cannot be read; writing would lose what it says.
        """
        try:
            return _VERSIONS.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            raise ShelfError(
                f"{self.path} cannot be read ({type(error).__name__}). Restore it from a backup, or remove it: "
                "then what it names is no longer offered."
            ) from error

    def save(self, versions: Iterable[Version]) -> None:
        """Replace the file whole: a crash leaves the former one or the new one."""
        rows = _VERSIONS.dump_python(list(versions), mode="json")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(
            "w", encoding="utf-8", dir=self.path.parent, prefix=".versions-", delete=False
        ) as file:
            try:
                json.dump(rows, file, ensure_ascii=False, indent=1)
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o644)
                Path(file.name).replace(self.path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
