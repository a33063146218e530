"""What a caller may use, asked for where it can matter: own and teams', mentors' classes, an admin's view.

An admin is who holds the scope `READS_ALL`, in a browser that signed in through the Hub; the gate takes it
from every caller with a token in a header. Neither a name nor the user model's ``admin`` flag counts: the
flag is true on the weakest token of an admin, one inside a notebook.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Protocol

from madang_mlflow import workspaces
from madang_mlflow.classes import Classes
from madang_mlflow.identity import Identity
from madang_mlflow.workspaces import Access, Right

log = logging.getLogger("madang.tracking")

#: MLflow's own workspace: what was logged before there were others lies there.
BEFORE = "default"
#: Who looks on at the same workspace is noted again after so many seconds.
NOTED_AGAIN = 3600.0


class Names(Protocol):
    """Where workspaces are kept (`madang_mlflow.store.Store`)."""

    async def names(self) -> Collection[str]:
        """Every workspace there is."""


class Grants(Protocol):
    """Which workspaces were handed over (`madang_mlflow.handed.Handed`)."""

    def of(self, name: str) -> Mapping[str, str]:
        """Those handed to a person, each with whose it was."""


def widened(given: Access, existing: Collection[str]) -> Access:
    """What an admin may use: everything that there is, to read.

    Args:
        given: what the person may use without being an admin; it stays as it is.
        existing: every workspace there is.
    """
    seen = frozenset(existing) - given.rights.keys()
    titles = dict.fromkeys(seen, "") | {BEFORE: "from before there were workspaces"}
    return replace(
        given,
        rights={**dict.fromkeys(seen, Right.READ), **given.rights},
        titles={**titles, **given.titles},
        seen=seen,
    )


class Entrances:
    """Answers what somebody may use. The Hub and MLflow are asked only where the answer may depend on it."""

    def __init__(
        self,
        classes: Classes,
        store: Names,
        handed: Grants,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._classes = classes
        self._store = store
        self._handed = handed
        self._clock = clock
        self._noted: dict[tuple[str, str], float] = {}

    async def of(self, caller: Identity, wanted: str | None) -> Access:
        """What a caller may use.

        Args:
            caller: who asks.
            wanted: the workspace it is about; None for all.
        """
        handed = self._handed.of(caller.name)
        given = workspaces.access(caller.name, caller.groups, None, handed)
        mentored = workspaces.mentored(caller.groups)
        if mentored and wanted not in given.rights:
            people = await self._classes.people(mentored)
            given = workspaces.access(caller.name, caller.groups, people, handed)
        if caller.reads_all and wanted not in given.rights:
            given = widened(given, await self._store.names())
            if wanted in given.seen:
                self._note(caller.name, wanted)
        return given

    def _note(self, admin: str, workspace: str) -> None:
        last, now = self._noted.get((admin, workspace)), self._clock()
        if last is None or now - last >= NOTED_AGAIN:
            self._noted[admin, workspace] = now
            log.warning("%s looks at the workspace %s as an admin.", admin, workspace)
