"""What a check says, and what an exercise is. Nothing here reads or writes anything.

An exercise's rule is a function of the learner's values that returns :func:`right` or :func:`wrong`. It need
not fear what it is given: whatever it raises becomes a sentence.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import SupportsFloat

from madang_learn.words import Text, short


@dataclass(frozen=True)
class Outcome:
    """Whether an answer is right, and a sentence about it."""

    ok: bool
    text: Text


@dataclass(frozen=True)
class Exercise:
    """A rule and its hints, from a nudge to nearly the answer."""

    rule: Callable[..., Outcome]
    hints: tuple[Text, ...]


def right(ko: str, en: str) -> Outcome:
    """The answer is right; the sentence says what was understood."""
    return Outcome(True, Text(ko, en))


def wrong(ko: str, en: str) -> Outcome:
    """The answer is wrong; the sentence says what to look at, and not the answer."""
    return Outcome(False, Text(ko, en))


def judged(exercise: Exercise, answers: tuple[object, ...]) -> Outcome:
    """The outcome for ``answers``; never raises, except what stops a kernel (KeyboardInterrupt)."""
    if not answers or any(a is None or a is ... for a in answers):
        return wrong(
            "아직 답이 없습니다. 위 칸을 채우고 다시 실행하세요.",
            "There is no answer yet. Fill in the gap above and run the cell again.",
        )
    try:
        inspect.signature(exercise.rule).bind(*answers)
    except TypeError:
        return wrong(
            f"check()에 넣은 값이 {len(answers)}개입니다. 처음 있던 check 줄로 되돌려 주세요.",
            f"check() was given {len(answers)} values. Put the check line back as it was.",
        )
    try:
        return exercise.rule(*answers)
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {short(str(error), 120)}"
        return wrong(
            f"답을 확인하다가 멈췄습니다. 값의 종류가 맞는지 보세요. ({what})",
            f"Checking the answer stopped. See whether the value is of the right kind. ({what})",
        )


def number(value: object) -> float:
    """A learner's number, also a numpy one, as a float.

    Raises:
        TypeError: it is text, a truth value, a table or something else that is not one number.
    """
    truth = isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"
    # text has no `__float__`; a table of more than one number has it, and says no
    if truth or not isinstance(value, SupportsFloat):
        raise TypeError(f"{short(value)} is not a number")
    return float(value)
