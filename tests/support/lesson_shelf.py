"""Lessons for tests: notebooks, and a shelf of them as the manifest's format says (``madang_lab/learn``)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

Notebook = dict[str, Any]


def cell(identity: str, text: str, kind: str = "code", **more: Any) -> dict[str, Any]:
    made = {"cell_type": kind, "metadata": {}, "source": text, **more}
    if identity:
        made["id"] = identity
    if kind == "code":
        made = {"execution_count": None, "outputs": [], **made}
    return made


def book(*cells: dict[str, Any], **metadata: Any) -> Notebook:
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def lesson_book(identity: str, language: str, version: int = 1) -> Notebook:
    """A small lesson; each version differs in ``fix`` and has one cell more."""
    words = {
        "ko": ("셀과 커널", "값을 바꿔 보세요.", "마무리"),
        "en": ("Cells and kernels", "Change the value.", "The end"),
    }
    title, ask, end = words[language]
    more = [cell(f"more-{n}", f"print({n})") for n in range(2, version + 1)]
    return book(
        cell("title", f"# {title}", "markdown"),
        cell("ask", ask, "markdown"),
        cell("answer", "value = 1"),
        cell("fix", f"print('version', {version})"),
        *more,
        cell("end", f"{end}: {identity}", "markdown"),
        kernelspec={"name": "python3", "display_name": "Python 3", "language": "python"},
        language_info={"name": "python"},
    )


LESSONS: tuple[tuple[str, str, int, str, str], ...] = (
    ("f0", "first-hour", 6, "셀과 커널", "Cells and kernels"),
    ("f1", "first-hour", 8, "데이터 읽기", "Reading data"),
    ("e3", "energy", 45, "전력 수요 예측", "Forecasting power demand"),
)
"""Id, path, minutes, title in Korean and in English."""


def shelf(folder: Path, version: int = 1) -> Path:
    """Write a shelf of lessons into ``folder`` (what is there is replaced); returns it."""
    listed = []
    for order, (identity, path, minutes, ko, en) in enumerate(LESSONS):
        names = {"ko": f"{identity.upper()} {ko}.ipynb", "en": f"{identity.upper()} {en}.ipynb"}
        cells = {}
        for language, name in names.items():
            made = lesson_book(identity, language, version)
            place = folder / language / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", "utf-8")
            cells[language] = {
                one["id"]: hashlib.sha256(one["source"].encode()).hexdigest()
                for one in made["cells"]
            }
        heavy = path != "first-hour"
        listed.append(
            {
                "id": identity,
                "path": path,
                "order": order,
                "minutes": minutes,
                "title": {"ko": ko, "en": en},
                "summary": {"ko": f"{ko}: 짧은 소개.", "en": f"{en}: what it is about."},
                "file": names,
                "needs": {
                    "accelerator": heavy,
                    "memory_mb": 4096 if heavy else 512,
                    "tracking": heavy,
                },
                "checks": [f"{identity}.1", f"{identity}.2"],
                "data": [],
                "cells": cells,
            }
        )
    paths = [
        {"id": "first-hour", "title": {"ko": "첫 시간", "en": "First hour"}},
        {"id": "energy", "title": {"ko": "에너지", "en": "Energy"}},
    ]
    manifest = {
        "format": 1,
        "version": f"2026.11.{version}",
        "paths": paths,
        "lessons": listed,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False), "utf-8")
    return folder
