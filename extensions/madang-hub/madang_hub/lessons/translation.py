"""The English of a lesson: ``en.toml``, a table per text cell, keyed by the cell's id.

    [intro]
    ko = "1f0c…"         # hash of the Korean text that it was translated from
    en = '''
    The English text.
    '''

A text whose Korean has changed since is *stale* and fails the build until somebody has looked at it. ``madang
lessons translate`` writes the new Korean beside it, with ``look = true``; who has looked takes that line away.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from madang_hub.lessons.source import Cell, LessonError


def hash_of(text: str) -> str:
    """What stands for a Korean text in ``en.toml``: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read(text: str, name: str) -> dict[str, Any]:
    """The tables of ``en.toml``.

    Raises:
        LessonError: it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LessonError(f"{name}: {error}.") from error


def english(cells: Sequence[Cell], tables: Mapping[str, Any], name: str) -> dict[str, str]:
    """The English text of every text cell, by id.

    Raises:
        LessonError: a text is missing, stale or left over; all such cells are named.
    """
    texts = {cell.id: cell.source for cell in cells if cell.kind == "markdown"}
    missing = [i for i in texts if not str(tables.get(i, {}).get("en", "")).strip()]
    stale = [
        i
        for i in texts
        if i not in missing and (tables[i].get("ko") != hash_of(texts[i]) or tables[i].get("look"))
    ]
    over = [i for i in tables if i not in texts]
    said = [
        f"{word} {', '.join(ids)}"
        for word, ids in (
            ("not translated:", missing),
            ("Korean has changed:", stale),
            ("no such cell:", over),
        )
        if ids
    ]
    if said:
        raise LessonError(
            f"{name}: {'; '.join(said)}. `scripts/madang lessons translate` writes what to fill in."
        )
    return {i: str(tables[i]["en"]).strip("\n") for i in texts}


def updated(cells: Sequence[Cell], tables: Mapping[str, Any], heading: str) -> str:
    """``en.toml`` for these cells: what fits stays, the rest waits for its author, the left-over goes."""
    parts = [heading.rstrip() + "\n"]
    for cell in cells:
        if cell.kind != "markdown":
            continue
        known = tables.get(cell.id, {})
        text, mark = str(known.get("en", "")).strip("\n"), hash_of(cell.source)
        fresh = bool(text.strip()) and known.get("ko") == mark and not known.get("look")
        lines = [f"[{cell.id}]", f'ko = "{mark}"']
        if not fresh:
            lines += [f"# {line}".rstrip() for line in cell.source.splitlines()]
            lines += ["look = true"] if text.strip() else []
        quotes = '"""' if "'''" in text else "'''"
        lines += [f"en = {quotes}", *([text] if text else []), quotes]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
