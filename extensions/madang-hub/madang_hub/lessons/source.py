"""Reading a lesson: jupytext's percent format, of which lessons use a small part, and the cut of solutions.

    # %% [markdown] id="intro"        a text cell: every line is a comment
    # %% id="ex1" exercise=1          a code cell; here of exercise 1
    # %% id="fix" only="solution"     a cell of one edition alone (learner or solution)

Inside a code cell of an exercise, marks on lines of their own:

    # stub
    what the learner finds
    # solution
    what the solution has instead
    # end

``# stub`` may be missing, ``# end`` at the end of the cell, too. What stands outside is in both editions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Edition = Literal["learner", "solution"]
EDITIONS: tuple[Edition, ...] = ("learner", "solution")
MOST_CELLS = 25
"""A lesson that needs more is two lessons."""

_HEADER = re.compile(r'# %%(?P<text> \[markdown\])?(?P<pairs>( \w+=("[^"]*"|\d+))*)\s*')
_PAIR = re.compile(r'(\w+)=(?:"([^"]*)"|(\d+))')
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_KEYS = {"id", "exercise", "only"}
_MARKS = ("# stub", "# solution", "# end")


class LessonError(ValueError):
    """A lesson cannot be built; the message names file and line or cell, and what to do."""


@dataclass(frozen=True)
class Cell:
    """One cell of the source. ``source`` of a code cell still has its marks."""

    id: str
    kind: Literal["markdown", "code"]
    source: str
    exercise: int = 0
    only: str = ""

    def is_in(self, edition: Edition) -> bool:
        """Whether that edition has this cell."""
        return self.only in ("", edition)

    def of(self, edition: Edition) -> str:
        """This cell's source in that edition."""
        return self.source if self.kind == "markdown" else cut(self.source, edition)


def read(text: str, name: str) -> list[Cell]:
    """The cells of a lesson's source.

    Args:
        name: the file's name, for messages.

    Raises:
        LessonError: it is not in the format, or breaks a rule.
    """
    cells: list[Cell] = []
    header: tuple[int, re.Match[str]] | None = None
    body: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("# %%"):
            if header:
                cells.append(_cell(name, *header, body))
            found = _HEADER.fullmatch(line)
            if not found:
                raise LessonError(
                    f'{name}:{number}: write a cell\'s first line like `# %% [markdown] id="intro"`.'
                )
            header, body = (number, found), []
        elif header:
            body.append(line)
        elif line.strip() and not line.startswith("#"):
            raise LessonError(f"{name}:{number}: only comments may stand before the first cell.")
    if header:
        cells.append(_cell(name, *header, body))
    _check(cells, name)
    return cells


def _cell(name: str, number: int, header: re.Match[str], body: list[str]) -> Cell:
    values = {key: text or digits for key, text, digits in _PAIR.findall(header["pairs"])}
    if unknown := set(values) - _KEYS:
        raise LessonError(f"{name}:{number}: a cell knows no {sorted(unknown)[0]!r}.")
    identity = values.get("id", "")
    if not _ID.fullmatch(identity):
        raise LessonError(
            f'{name}:{number}: a cell needs an id of its own, id="…" of small letters, digits and hyphens.'
        )
    if values.get("only", "learner") not in EDITIONS:
        raise LessonError(f'{name}:{number}: only="…" is learner or solution.')
    kind: Literal["markdown", "code"] = "markdown" if header["text"] else "code"
    if kind == "markdown":
        for place, line in enumerate(body, start=number + 1):
            if line.strip() and line != "#" and not line.startswith("# "):
                raise LessonError(f"{name}:{place}: every line of a text cell begins with `# `.")
        body = [line[2:] for line in body]
    source = "\n".join(body).strip("\n")
    if not source.strip():
        raise LessonError(f"{name}:{number}: cell {identity} is empty.")
    made = Cell(identity, kind, source, int(values.get("exercise", 0)), values.get("only", ""))
    for edition in EDITIONS:
        try:
            rest = made.of(edition)
        except LessonError as error:
            raise LessonError(f"{name}:{number}: cell {identity}: {error}") from error
        if not rest.strip():
            raise LessonError(
                f"{name}:{number}: cell {identity} has nothing left for the {edition}."
            )
    if kind == "code" and "# solution" in source and not made.exercise:
        raise LessonError(
            f"{name}:{number}: cell {identity} has a solution, so it needs exercise=…."
        )
    return made


def _check(cells: list[Cell], name: str) -> None:
    for edition in EDITIONS:
        seen: set[str] = set()
        for cell in cells:
            if cell.is_in(edition) and cell.id in seen:
                raise LessonError(f"{name}: two cells have the id {cell.id}; ids are unique.")
            if cell.is_in(edition):
                seen.add(cell.id)
        if len(seen) > MOST_CELLS:
            raise LessonError(f"{name}: {len(seen)} cells; a lesson has at most {MOST_CELLS}.")
    numbers = sorted({cell.exercise for cell in cells} - {0})
    if numbers != list(range(1, len(numbers) + 1)):
        raise LessonError(f"{name}: exercises are numbered 1, 2, 3 …, here they are {numbers}.")


def exercises(cells: list[Cell]) -> list[int]:
    """The numbers of the exercises, in order."""
    return sorted({cell.exercise for cell in cells} - {0})


def cut(source: str, edition: Edition) -> str:
    """A code cell's source in ``edition``, without marks.

    Raises:
        LessonError: the marks are not in order.
    """
    part = "both"
    kept: list[str] = []
    for line in source.splitlines():
        mark = line.strip()
        if mark in _MARKS:
            before = {"# stub": ("both",), "# solution": ("both", "stub"), "# end": ("solution",)}
            if part not in before[mark]:
                raise LessonError(
                    f"`{mark}` cannot stand here: first # stub, then # solution, then # end."
                )
            part = {"# stub": "stub", "# solution": "solution", "# end": "both"}[mark]
        elif part == "both" or part == ("stub" if edition == "learner" else "solution"):
            kept.append(line)
    if part == "stub":
        raise LessonError("`# stub` needs a `# solution` after it.")
    return "\n".join(kept).strip("\n")


def solution_lines(source: str) -> list[str]:
    """The lines of a code cell that only the solution has."""
    learner = set(cut(source, "learner").splitlines())
    return [line for line in cut(source, "solution").splitlines() if line not in learner]
