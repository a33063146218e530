"""A newer version of a lesson into a learner's copy: a three-way merge by cells. Rules only.

Of each cell there are up to three: as the copy was made from it (``base``), as the learner has it (``mine``)
and as the new version has it (``new``).

- What only the new version changed is taken; what only the learner changed stays.
- What both changed stays as the learner has it and becomes a *choice*: mine, new, or both.
- Cells that the learner added keep their place behind the cell they stood behind.
- A cell that was not changed keeps its outputs; one whose text is replaced loses them.
- Every text that is taken is listed, and so is everything that is not.

No line of the learner's is left out, and no change of the new version is without a word. Merging the same
version again changes nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from madang_lab.learn.cells import (
    Cell,
    Notebook,
    by_id,
    fresh,
    headline,
    identified,
    same,
)

ChangeKind = Literal["changed", "added", "removed", "order", "order-kept", "settings-kept"]
ChoiceKind = Literal["changed", "removed", "deleted"]
How = Literal["mine", "new", "both"]

_KERNELS = frozenset({"kernelspec", "language_info"})
"""Written by the kernel that was used last: of no interest to a reader."""


@dataclass(frozen=True)
class Change:
    """Something that the new version brought.

    ``order``: its order of cells was taken; ``order-kept``: the learner had moved cells, too, and theirs stays;
    ``settings-kept``: both changed the same setting (metadata), the learner's stays. ``cell`` is empty where
    the whole notebook is meant.
    """

    kind: ChangeKind
    cell: str = ""
    title: str = ""


@dataclass(frozen=True)
class Choice:
    """What needs a decision; until then the notebook is as the learner has it.

    ``changed``: both changed the cell; ``removed``: the new version drops a cell that the learner changed;
    ``deleted``: the learner dropped a cell that the new version changed.
    """

    kind: ChoiceKind
    cell: str
    title: str = ""

    @property
    def ways(self) -> tuple[How, ...]:
        """What can be chosen."""
        return ("mine", "new", "both") if self.kind == "changed" else ("mine", "new")


@dataclass(frozen=True)
class Merged:
    """The outcome of a merge."""

    notebook: Notebook
    changes: tuple[Change, ...]
    choices: tuple[Choice, ...]


def merge(base: Notebook, mine: Notebook, new: Notebook) -> Merged:
    """The learner's notebook with what is new; the three stay as they are.

    Args:
        base: the version that ``mine`` was made from; a notebook without cells if it is not known, then all
            cells in which the two differ become choices.
        mine, new: notebooks of nbformat 4.
    """
    was = by_id(identified(base.get("cells", [])))
    now = by_id(identified(new.get("cells", []), list(was.values())))
    have = by_id(identified(mine.get("cells", []), list(was.values()) or list(now.values()), now))
    changes: list[Change] = []
    choices: list[Choice] = []
    cells: dict[str, Cell] = {}
    for identity in dict.fromkeys((*have, *now, *was)):
        b, m, n = was.get(identity), have.get(identity), now.get(identity)
        kept = _cell(identity, b, m, n, changes, choices)
        if kept is not None:
            cells[identity] = kept
    order = _order(was, have, now, cells, changes)
    settings, kept_ones = _settings(*(one.get("metadata") or {} for one in (base, mine, new)))
    if kept_ones - _KERNELS:
        changes.append(Change("settings-kept"))
    minors = (int(one.get("nbformat_minor", 0)) for one in (mine, new))
    notebook = {
        "cells": [cells[identity] for identity in order],
        "metadata": settings,
        "nbformat": 4,
        # the first with ids
        "nbformat_minor": max(5, *minors),
    }
    return Merged(notebook, tuple(changes), tuple(choices))


def standing(choices: Iterable[Choice], mine: Notebook, upstream: Notebook) -> list[Choice]:
    """Those of ``choices`` that are still open, as the learner has the notebook now.

    Args:
        upstream: the version that was merged last.
    """
    now = by_id(identified(upstream.get("cells", [])))
    have = by_id(identified(mine.get("cells", []), list(now.values())))
    found = []
    for choice in choices:
        m, n = have.get(choice.cell), now.get(choice.cell)
        is_open = {
            "changed": m is not None and n is not None and not same(m, n),
            "removed": m is not None and n is None,
            "deleted": m is None and n is not None,
        }
        if is_open[choice.kind]:
            found.append(choice)
    return found


def decide(choice: Choice, how: How, mine: Notebook, upstream: Notebook) -> Notebook:
    """The learner's notebook after a decision; doing it twice is doing it once.

    ``both``: the new cell, and below it the learner's as a cell of their own, so that theirs runs last.

    Raises:
        ValueError: ``how`` is not among ``choice.ways``.
    """
    if how not in choice.ways:
        raise ValueError(f"{how} is none of {choice.ways}")
    now = by_id(identified(upstream.get("cells", [])))
    have = by_id(identified(mine.get("cells", []), list(now.values())))
    notebook = {**copy.deepcopy({k: v for k, v in mine.items() if k != "cells"}), "nbformat": 4}
    notebook["nbformat_minor"] = max(5, int(mine.get("nbformat_minor", 0)))
    order, cells = list(have), dict(have)
    m, n = have.get(choice.cell), now.get(choice.cell)
    if how == "new" and n is None and m is not None:
        order.remove(choice.cell)
    elif how != "mine" and n is not None and not same(m, n):
        if m is None:
            _put(choice.cell, order, list(now), have, now)
        elif how == "both":
            own = fresh(m, {*have, *now})
            cells[own] = {**copy.deepcopy(m), "id": own}
            order.insert(order.index(choice.cell) + 1, own)
        cells[choice.cell] = _taken(None, m, n)[0]
    notebook["cells"] = [cells[identity] for identity in order]
    return notebook


def _cell(
    identity: str,
    b: Cell | None,
    m: Cell | None,
    n: Cell | None,
    changes: list[Change],
    choices: list[Choice],
) -> Cell | None:
    """The cell of that id after the merge, None for no such cell; notes what there is to say about it."""
    if m is None:
        if n is None or (b is not None and same(b, n)):
            return None  # the learner removed it, and nobody has changed it since
        if b is not None:
            choices.append(Choice("deleted", identity, headline(n)))
            return None
        changes.append(Change("added", identity, headline(n)))
        return copy.deepcopy(n)
    if n is None:
        if b is None:
            return m  # the learner's own
        if same(b, m):
            changes.append(Change("removed", identity, headline(m)))
            return None
        choices.append(Choice("removed", identity, headline(m)))
        return m
    if same(b, m) and not same(m, n):
        changes.append(Change("changed", identity, headline(n)))
        cell, kept = _taken(b, m, n)
    else:
        if not same(m, n) and not same(b, n):
            choices.append(Choice("changed", identity, headline(n)))
        cell, kept = _with_settings(m, b, m, n)
    if kept:
        changes.append(Change("settings-kept", identity, headline(cell)))
    return cell


def _taken(b: Cell | None, m: Cell | None, n: Cell) -> tuple[Cell, bool]:
    """The new cell in the learner's place, without outputs: they came from another text."""
    return _with_settings(copy.deepcopy(n), b, m, n)


def _with_settings(cell: Cell, b: Cell | None, m: Cell | None, n: Cell) -> tuple[Cell, bool]:
    three = ((one or {}).get("metadata") or {} for one in (b, m, n))
    settings, kept = _settings(*three)
    return {**cell, "metadata": settings}, bool(kept)


def _settings(
    b: Mapping[str, Any], m: Mapping[str, Any], n: Mapping[str, Any]
) -> tuple[dict[str, Any], set[str]]:
    """Metadata after the merge, and the keys in which both changed something and the learner's stays."""
    found, kept = {}, set()
    for key in dict.fromkeys((*m, *n)):
        before, own, theirs = (key in one and (one[key],) for one in (b, m, n))
        take = own if theirs in (before, own) else theirs
        if own != before and theirs not in (before, own):
            take = own
            kept.add(key)
        if take:
            found[key] = copy.deepcopy(take[0])
    return found, kept


def _order(
    was: Mapping[str, Cell],
    have: Mapping[str, Cell],
    now: Mapping[str, Cell],
    cells: Mapping[str, Cell],
    changes: list[Change],
) -> list[str]:
    """The ids of the merged cells in order."""
    before, own, theirs = (
        [identity for identity in one if identity in was and identity in have and identity in now]
        for one in (was, have, now)
    )
    if theirs not in (before, own):
        if own == before:
            changes.append(Change("order"))
            order = [identity for identity in now if identity in cells]
            for identity in have:
                if identity in cells and identity not in order:
                    _put(identity, order, list(have))
            return order
        changes.append(Change("order-kept"))
    order = [identity for identity in have if identity in cells]
    for identity in now:
        if identity in cells and identity not in order:
            _put(identity, order, list(now), have, now)
    return order


def _put(
    identity: str,
    order: list[str],
    around: Sequence[str],
    have: Mapping[str, Cell] | None = None,
    now: Mapping[str, Cell] | None = None,
) -> None:
    """Put a cell into ``order`` behind the nearest that it follows in ``around``; at the top if there is none.

    With ``have`` and ``now``: behind those, too, that the learner put there.
    """
    place = 0
    for one in reversed(around[: around.index(identity)]):
        if one in order:
            place = order.index(one) + 1
            break
    if have is not None and now is not None:
        while place < len(order) and order[place] in have and order[place] not in now:
            place += 1
    order.insert(place, identity)
