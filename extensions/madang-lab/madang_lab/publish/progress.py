"""How far one publishing is, and whose it is. Rules only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Stage = Literal["looking", "packing", "sending", "checking", "done", "failed", "stopped"]
Whom = Literal["as it was", "asked", "between", "whole"]
ENDED = ("done", "failed", "stopped")


@dataclass(slots=True)
class Course:
    """How far it is.

    Attributes:
        done, total: bytes of the archive, while it is sent.
        slug, url, version: of the dashboard, as soon as they are known.
        message: for the author, at the end.
        cell: where the check went wrong, from 1; 0: in no cell.
        traceback: what the check said.
        shown: whether visitors get this version.
        known: False: it has ended, and whether they (will) get it is not known.
        let_in: False: they get it, but those who were to be let in anew are not let in yet.
        revision: of the dashboard after what this course did to it; 0: it did nothing, or that is not known.
        audience: what became of the dashboard's audience: ``as it was``, ``asked`` (a change was asked for,
            and no answer is there), ``between`` (only for those for whom it was before and is to be), or
            ``whole`` (as it is to be).
    """

    stage: Stage = "looking"
    done: int = 0
    total: int = 0
    slug: str = ""
    url: str = ""
    title: str = ""
    version: int = 0
    message: str = ""
    cell: int = 0
    traceback: str = ""
    shown: bool = False
    known: bool = True
    let_in: bool = True
    revision: int = 0
    audience: Whom = "as it was"

    @property
    def ended(self) -> bool:
        return self.stage in ENDED

    @property
    def late(self) -> bool:
        """Whether all of it was on its way at least: the version may be shown, whatever happens here."""
        return self.stage == "checking" or 0 < self.total <= self.done

    @property
    def stoppable(self) -> bool:
        """Whether it can still be stopped: what was taken is checked and shown, whoever waits for it."""
        return self.stage in ("looking", "packing", "sending")


@dataclass(frozen=True, slots=True)
class Author:
    """Whose server it is: ``home``, and the ``language`` of sentences (``ko`` or ``en``)."""

    home: Path
    language: str

    @property
    def words(self) -> dict[str, str]:
        """As :func:`madang_lab.words.said` takes it."""
        return {"MADANG_LANG": self.language}
