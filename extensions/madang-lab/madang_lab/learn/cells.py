"""Cells of notebooks (nbformat 4, as plain dictionaries): which is which, and whether two say the same.

A cell is known by its id. Editors older than 2021 write none, and some write one twice: such cells are
recognised by what they say, or else get an id of their own.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Any

Cell = dict[str, Any]
Notebook = dict[str, Any]

ALIKE = 0.6
"""Two texts at least so alike (:class:`difflib.SequenceMatcher`) may be one cell before and after an edit."""
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def source(cell: Cell) -> str:
    """A cell's text; files hold it as one string or as a list of lines."""
    found = cell.get("source", "")
    return "".join(found) if isinstance(found, list) else str(found)


def said(cell: Cell) -> tuple[str, str, str]:
    """What a person reads in a cell, to compare: kind, text, attached pictures.

    Line ends at the very end and ``\\r`` do not count: editors add and drop them by themselves.
    """
    text = source(cell).replace("\r\n", "\n").rstrip("\n")
    attached = json.dumps(cell.get("attachments") or {}, sort_keys=True)
    return str(cell.get("cell_type", "")), text, attached


def same(one: Cell | None, other: Cell | None) -> bool:
    """Whether both are there and say the same."""
    return one is not None and other is not None and said(one) == said(other)


def headline(cell: Cell) -> str:
    """A cell's first line with something in it, to name the cell; at most 80 characters."""
    lines = (line.strip().lstrip("#").strip() for line in source(cell).splitlines())
    return next((line for line in lines if line), "")[:80]


def by_id(cells: Iterable[Cell]) -> dict[str, Cell]:
    """The cells by their ids, in order."""
    return {str(cell["id"]): cell for cell in cells}


def fresh(cell: Cell, taken: Iterable[str]) -> str:
    """An id for ``cell`` that is not ``taken``; the same cell gets the same one."""
    used, number = set(taken), 0
    while True:
        name = hashlib.sha256(repr((said(cell), number)).encode()).hexdigest()[:12]
        if name not in used:
            return name
        number += 1


def identified(
    cells: Sequence[Cell], known: Sequence[Cell] = (), reserved: Iterable[str] = ()
) -> list[Cell]:
    """Copies of ``cells``, each with an id that no other of them has.

    Of cells with one id, the first that says what the ``known`` cell of that id says keeps it, else the first.
    A cell without an id is the ``known`` one that says the same or nearly the same, in the same order; else it
    is somebody's own and gets a new id.

    Args:
        known: the cells of the version that these came from; they have ids.
        reserved: ids that mean something else and must not be given.
    """
    found = [copy.deepcopy(cell) for cell in cells]
    pristine, holders = by_id(known), _holders(found, by_id(known))
    nameless = [place for place, cell in enumerate(found) if not _has_id(cell)]
    left = [cell for identity, cell in pristine.items() if identity not in holders]
    names = {place: str(cell["id"]) for place, cell in _recognised(found, nameless, left).items()}
    names.update({place: identity for identity, place in holders.items()})
    taken = {*reserved, *pristine, *names.values()}
    for place, cell in enumerate(found):
        if place not in names:
            names[place] = fresh(cell, taken)
            taken.add(names[place])
        cell["id"] = names[place]
    return found


def _has_id(cell: Cell) -> bool:
    identity = cell.get("id")
    return isinstance(identity, str) and _ID.fullmatch(identity) is not None


def _holders(cells: Sequence[Cell], pristine: dict[str, Cell]) -> dict[str, int]:
    """By id, the place of the cell that keeps it."""
    holders: dict[str, int] = {}
    for place, cell in enumerate(cells):
        if not _has_id(cell):
            continue
        identity = cell["id"]
        first, before = holders.setdefault(identity, place), pristine.get(identity)
        if same(cell, before) and not same(cells[first], before):
            holders[identity] = place
    return holders


def _recognised(
    cells: Sequence[Cell], places: Sequence[int], left: Sequence[Cell]
) -> dict[int, Cell]:
    """By place, the cell of ``left`` that the one there is."""
    found: dict[int, Cell] = {}
    mine, theirs = [said(cells[place]) for place in places], [said(cell) for cell in left]
    steps = SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes()
    for step, a, a_end, b, b_end in steps:
        if step == "equal":
            found.update(zip(places[a:a_end], left[b:b_end], strict=True))
        elif step == "replace":
            for one in range(b, b_end):
                alike = [p for p in range(a, a_end) if _alike(mine[p], theirs[one])]
                if alike:
                    found[places[alike[0]]] = left[one]
                    a = alike[0] + 1
    return found


def _alike(mine: tuple[str, str, str], theirs: tuple[str, str, str]) -> bool:
    if mine[0] != theirs[0]:
        return False
    matcher = SequenceMatcher(None, mine[1], theirs[1], autojunk=False)
    return matcher.real_quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE
