"""A lesson in a notebook: ``q = lesson("f1")``, ``q[1].check(value)``, ``q[1].hint()``, ``q[1].solution()``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from madang_learn import bundled, progress
from madang_learn.outcomes import Exercise, judged
from madang_learn.tracking import Runs
from madang_learn.words import Text, language

NOT_NOTED = Text(
    "통과했지만 진도를 저장하지 못했습니다. 홈 폴더에 빈자리가 있는지 보세요.",
    "Passed, but your progress could not be saved. See whether your home folder has room.",
)
NO_SOLUTION = Text(
    "이 서버에는 풀이가 들어 있지 않습니다. 멘토에게 물어보세요.",
    "There are no solutions on this server. Ask your mentor.",
)
MORE_HINTS = Text(
    "힌트가 더 있습니다. 한 번 더 실행하세요.", "There is another hint: run this again."
)


class Task:
    """One exercise of a lesson; all that it says, it prints."""

    def __init__(self, lesson: str, number: int, exercise: Exercise) -> None:
        self._lesson, self._number, self._exercise = lesson, number, exercise
        self._hints = 0
        self.passed = False
        """Whether what was checked last, in this kernel, was right."""

    @property
    def name(self) -> str:
        """The check's name, for example ``f1.2``."""
        return f"{self._lesson}.{self._number}"

    def check(self, *answers: object) -> None:
        """Say ✅ or ❌ and why; a pass is written down."""
        outcome = judged(self._exercise, answers)
        self.passed = outcome.ok
        print(f"{'✅' if outcome.ok else '❌'} {self.name} · {outcome.text}")
        if not outcome.ok:
            helps = f"q[{self._number}].hint() · q[{self._number}].solution()"
            print(Text(f"   막히면: {helps}", f"   Stuck? {helps}"))
            return
        try:
            progress.note(Path.home(), self.name, bundled.version(), datetime.now(UTC))
        except OSError:
            print(f"   {NOT_NOTED}")

    def hint(self) -> None:
        """Print a hint; each time one more."""
        self._hints = min(self._hints + 1, len(self._exercise.hints))
        for hint in self._exercise.hints[: self._hints]:
            print(f"💡 {hint}")
        if self._hints < len(self._exercise.hints):
            print(f"   {MORE_HINTS}")

    def solution(self) -> None:
        """Print one way to solve it."""
        cells = bundled.solution(self._lesson, self._number, language())
        print("\n\n".join(cells) if cells else NO_SOLUTION)

    def __repr__(self) -> str:
        return f"q[{self._number}]"


class Lesson:
    """A lesson's exercises, by their numbers from 1, and its runs on the tracking server."""

    def __init__(self, name: str, exercises: dict[int, Exercise]) -> None:
        self.id = name
        self.version = bundled.version()
        self._tasks = {n: Task(name, n, exercise) for n, exercise in exercises.items()}
        self._runs = Runs(name, self.version)

    def __getitem__(self, number: int) -> Task:
        if number not in self._tasks:
            raise IndexError(
                Text(
                    f"이 실습에는 {number}번 문제가 없습니다. 문제는 {len(self._tasks)}개입니다.",
                    f"This lesson has no exercise {number}; it has {len(self._tasks)}.",
                )
            )
        return self._tasks[number]

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def experiment(self) -> str:
        """The name of this lesson's experiment."""
        return self._runs.experiment

    @contextmanager
    def run(
        self,
        name: str,
        *,
        baseline: bool = False,
        main_metric: str = "",
        better: str = "",
        device: str = "cpu",
    ) -> Iterator[None]:
        """An MLflow run of this lesson: ``with q.run("3-NN"): mlflow.log_metric("accuracy", a)``.

        Where the tracking server does not answer it says so, and the lesson goes on.

        Args:
            baseline: the run that others are compared with.
            main_metric: with it, the metric that lists show; ``better``: ``higher`` or ``lower``.
            device: what computed, for example ``cuda:0``.
        """
        with self._runs.run(name, baseline, main_metric, better, device):
            yield

    def runs(self) -> Any:
        """The runs of this lesson, newest first, as ``mlflow.search_runs`` gives them (a pandas table)."""
        return self._runs.table()

    def __repr__(self) -> str:
        return f"lesson({self.id!r})"


def lesson(name: str) -> Lesson:
    """The lesson of that id.

    Raises:
        LookupError: this version of Madang has no such lesson.
    """
    module = f"madang_learn.exercises.{name}"
    if not name.isidentifier() or find_spec(module) is None:
        raise LookupError(
            Text(
                f"이 서버에는 {name} 실습이 없습니다. 서버를 껐다가 새 버전으로 시작해 보세요.",
                f"This server has no lesson {name}. Stop it and start it at the newest version.",
            )
        )
    exercises: dict[int, Exercise] = import_module(module).EXERCISES
    return Lesson(name, exercises)
