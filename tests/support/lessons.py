"""The lessons of this checkout, and kernels to run them in."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from madang_hub.lessons import build, source
from madang_hub.places import bin_of

PROGRAM = Path(__file__).with_name("lesson_kernel.py")


def in_lab(root: Path, home: Path, *words: str, **environ: str) -> Any:
    """Run :mod:`support.lesson_kernel` with the Python of the environment ``lab``, as in somebody's server."""
    home.mkdir(parents=True, exist_ok=True)
    result = home / "result.json"
    own = {
        "PATH": f"{bin_of(root, 'lab')}:{os.defpath}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "MATPLOTLIBRC": str(root / "images" / "os" / "matplotlibrc"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "LESSON_RESULT": str(result),
        **environ,
    }
    done = subprocess.run(
        [str(bin_of(root, "lab") / "python"), str(PROGRAM), *words],
        env=own,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(result.read_text(encoding="utf-8"))


def answers_of(lesson: build.Written) -> dict[int, dict[str, list[str]]]:
    """The wrong and the right answers that a lesson's author gives to each exercise."""
    text = (lesson.folder / "answers.toml").read_text(encoding="utf-8")
    return {int(number): answers for number, answers in tomllib.loads(text).items()}


def answers_plan(lesson: build.Written) -> list[dict[str, Any]]:
    """The cells of the solution, in order; at each check also the cells with the author's other answers."""
    given = answers_of(lesson)
    steps = []
    for cell in lesson.cells:
        if cell.kind == "markdown" or not cell.is_in("solution"):
            continue
        asked = re.search(r"q\[(\d+)\]\.check\(", cell.source)
        number = int(asked[1]) if asked else 0
        tries = [
            (answer, with_answer(cell.source, answer))
            for kind in ("wrong", "right")
            for answer in (given[number][kind] if number else [])
        ]
        check = f"{lesson.about.id}.{number}" if number else ""
        steps.append({"code": cell.of("solution"), "check": check, "tries": tries})
    return steps


def with_answer(text: str, answer: str) -> str:
    """A cell's source with ``answer`` in place of the solution, or in front of it where there is none."""
    if "# solution" not in text:
        return f"{answer}\n{text}"
    inside = re.sub(r"(?ms)^# stub$.*?(?=^# solution$)", "", text)
    return source.cut(
        re.sub(r"(?ms)^# solution$.*?(?=^# end$|\Z)", lambda _: f"# solution\n{answer}\n", inside),
        "solution",
    )
