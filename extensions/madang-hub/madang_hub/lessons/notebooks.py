"""Notebooks of a lesson, as Jupyter's format 4.5 has them and as nbformat would write them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from madang_hub.lessons.source import Cell, Edition


def notebook(
    cells: Sequence[Cell],
    edition: Edition,
    texts: Mapping[str, str],
    about: Mapping[str, str],
) -> dict[str, Any]:
    """One edition of a lesson in one language.

    Args:
        texts: the text cells' texts in that language, by id.
        about: what stands in the notebook's metadata below ``madang``.
    """
    made = []
    for cell in cells:
        if not cell.is_in(edition):
            continue
        source = texts[cell.id] if cell.kind == "markdown" else cell.of(edition)
        # where `q[1].solution()` looks
        mark = {"madang": {"exercise": cell.exercise}}
        entry: dict[str, Any] = {
            "cell_type": cell.kind,
            "id": cell.id,
            "metadata": mark if edition == "solution" and cell.exercise else {},
            "source": source.splitlines(keepends=True),
        }
        if cell.kind == "code":
            entry |= {"execution_count": None, "outputs": []}
        made.append(entry)
    return {
        "cells": made,
        "metadata": {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
            "madang": dict(about),
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def written(content: Mapping[str, Any]) -> bytes:
    """The bytes of a file with ``content``: the same content gives the same bytes."""
    return (json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def hashes(made: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of each cell's source, by id."""
    return {
        cell["id"]: hashlib.sha256("".join(cell["source"]).encode()).hexdigest()
        for cell in made["cells"]
    }
