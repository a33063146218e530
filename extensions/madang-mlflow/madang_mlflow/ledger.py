"""What workspaces hold, kept for all workers of the server in one SQLite file.

The file holds nothing that cannot be measured again. Every method blocks for a moment.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from madang_mlflow.quota import LOST_AFTER, Usage, fits

#: The file's name.
NAME = "usage.sqlite"

_TABLES = """
CREATE TABLE IF NOT EXISTS usage (
  workspace TEXT PRIMARY KEY, measured INTEGER NOT NULL, at REAL NOT NULL, added INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS passing (
  id INTEGER PRIMARY KEY, workspace TEXT NOT NULL, size INTEGER NOT NULL, began REAL NOT NULL
);
"""


class Ledger:
    """The counts; times are seconds since 1970, sizes bytes.

    Args:
        path: of the file; ``:memory:`` for one that this process alone sees.
    """

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._file = sqlite3.connect(
            path, timeout=30, isolation_level=None, check_same_thread=False
        )
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=OFF")  # losing it costs a measuring
        self._file.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def forget(self) -> None:
        """Forget everything: the server begins anew, and nothing is on its way."""
        with self._changing():
            self._file.execute("DELETE FROM usage")
            self._file.execute("DELETE FROM passing")

    def usage(self, workspace: str) -> Usage | None:
        """What is known; None before the first measuring."""
        with self._lock:
            return self._usage(workspace)

    def begin(self, workspace: str, size: int, limit: int, now: float) -> int | None:
        """An upload begins; its number, or None where it does not fit. It must be measured by then."""
        with self._changing():
            usage = self._usage(workspace)
            if usage is None or not fits(usage, size, limit):
                return None
            added = self._file.execute(
                "INSERT INTO passing (workspace, size, began) VALUES (?, ?, ?)",
                (workspace, size, now),
            )
            return added.lastrowid

    def grow(self, number: int, workspace: str, more: int, limit: int) -> bool:
        """An upload is larger than it said; False where that does not fit."""
        with self._changing():
            usage = self._usage(workspace)
            if usage is None or not fits(usage, more, limit):
                return False
            self._file.execute("UPDATE passing SET size = size + ? WHERE id = ?", (more, number))
            return True

    def end(self, number: int, workspace: str, stored: int) -> None:
        """An upload has ended, with so many bytes stored (0 where it failed)."""
        with self._changing():
            self._file.execute("DELETE FROM passing WHERE id = ?", (number,))
            self._file.execute(
                "UPDATE usage SET added = added + ? WHERE workspace = ?", (stored, workspace)
            )

    def measure(self, workspace: str, count: Callable[[], int], now: float) -> Usage:
        """Measure.

        What is uploaded meanwhile counts as added whether it was seen or not: rather twice than not at
        all.

        Args:
            workspace: which.
            count: counts the bytes that lie there; takes as long as it takes.
            now: the time.
        """
        before = self.usage(workspace)
        measured = count()
        with self._changing():
            self._file.execute("DELETE FROM passing WHERE began < ?", (now - LOST_AFTER,))
            known = self._usage(workspace)
            if known is not None and (before is None or known.at != before.at):
                return known  # another worker measured meanwhile
            added = known.added - before.added if known and before else 0
            self._file.execute(
                "INSERT OR REPLACE INTO usage (workspace, measured, at, added) VALUES (?, ?, ?, ?)",
                (workspace, measured, now, added),
            )
            found = self._usage(workspace)
            assert found is not None  # noqa: S101 - it was written in this transaction
            return found

    def _usage(self, workspace: str) -> Usage | None:
        row = self._file.execute(
            "SELECT measured, at, added,"
            " (SELECT COALESCE(SUM(size), 0) FROM passing WHERE passing.workspace = usage.workspace)"
            " FROM usage WHERE workspace = ?",
            (workspace,),
        ).fetchone()
        return None if row is None else Usage(*row)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._file.execute("ROLLBACK")
                raise
            self._file.execute("COMMIT")
