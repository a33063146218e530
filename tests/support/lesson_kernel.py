"""Lessons as learners run them, as a program for the environment `lab`, which has kernels and numpy.

``notebooks FILE…`` executes each with a fresh kernel and notes what its cells put out; ``answers PLAN``
runs cells in one IPython after the other and tries answers in between (:func:`support.lessons.answers_plan`).
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any


def notebooks(files: list[str]) -> dict[str, Any]:
    """What every cell of each notebook put out; an error does not end the others."""
    nbformat: Any = importlib.import_module("nbformat")
    client_of: Any = importlib.import_module("nbclient").NotebookClient
    found = {}
    for file in files:
        book = nbformat.read(file, as_version=4)
        began, before = time.monotonic(), _cpu()
        client = client_of(book, timeout=300, kernel_name="python3", allow_errors=True)
        client.execute(cwd=os.environ["HOME"])
        cells = {
            cell["id"]: [_plain(output) for output in cell["outputs"]]
            for cell in book.cells
            if cell["cell_type"] == "code"
        }
        found[file] = {
            "cells": cells,
            "cpu_s": _cpu() - before,
            "wall_s": time.monotonic() - began,
        }
    return found


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _plain(output: dict[str, Any]) -> dict[str, str]:
    """An output as kind and text: ``stdout``, ``stderr``, ``error``, ``image``, or ``value``."""
    kind = output["output_type"]
    if kind == "stream":
        return {"kind": output["name"], "text": output["text"]}
    if kind == "error":
        return {"kind": "error", "text": "\n".join(output["traceback"])}
    data = output["data"]
    if "image/png" in data:
        return {"kind": "image", "text": ""}
    return {"kind": "value", "text": data.get("text/plain", "")}


def answers(plan: str) -> list[dict[str, str]]:
    """What the check printed for each answer of the plan: its exercise, the answer, the text."""
    from IPython.core.interactiveshell import InteractiveShell

    found = []
    for lesson in json.loads(Path(plan).read_text(encoding="utf-8")):
        InteractiveShell.clear_instance()
        shell = InteractiveShell.instance()
        for step in lesson:
            for answer, code in step["tries"]:
                kept = dict(shell.user_ns)
                said = _run(shell, code, history=False)
                found.append({"check": step["check"], "answer": answer, "said": said})
                shell.user_ns.clear()
                shell.user_ns.update(kept)
            _run(shell, step["code"], history=True)
    return found


def _run(shell: Any, code: str, history: bool) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        done = shell.run_cell(code, store_history=history)
    return printed.getvalue() + ("" if done.success else f"ERROR {done.error_in_exec!r}")


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    result = notebooks(words) if what == "notebooks" else answers(words[0])
    Path(os.environ["LESSON_RESULT"]).write_text(json.dumps(result), encoding="utf-8")
