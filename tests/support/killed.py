"""A step of the shelf of lessons, killed before each call that changes something on the disk.

Run as a program, so that forking meets no threads: ``killed.py TEMPLATE LESSONS ACTION WORK``. TEMPLATE is a
home; for every call there is a copy of it below WORK in which a process was killed (SIGKILL) just there. Prints
a JSON list with an object per copy: ``home``, ``killed``, ``call``.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat

from madang_lab.learn import inside
from madang_lab.learn.manifest import Reader
from madang_lab.learn.shelf import Shelf

LATER = 2_000_000_000.0
"""Seconds since 1970 at which nothing was changed just now."""
CHANGING = ("fchmod", "flush", "mkdir", "open", "rename", "unlink", "write")
"""Between two of these, and the step by which old and new change places, nothing on the disk changes."""


def no_wait(fd: Any) -> None:
    """In place of ``fsync``: a process that is killed loses nothing of what it wrote, only a machine does."""


def act(shelf: Shelf, action: str) -> None:
    """Do it; ``restore`` takes the backup with ``my_own`` in it."""
    lesson, language = shelf.lesson("f0"), "ko"
    if action == "choose":
        shelf.choose(lesson, language, "fix", "both")
    elif action == "restore":
        folder = shelf.home / ".madang" / "lessons" / "f0.ko"
        [mine] = [path for path in folder.glob("*Z-*.ipynb") if b"my_own" in path.read_bytes()]
        shelf.restore(lesson, language, mine.name)
    else:
        getattr(shelf, action)(lesson, language)


def shelf_of(home: Path, lessons: Path) -> Shelf:
    return Shelf(Reader(lessons, logging.getLogger("test")), home, clock=lambda: LATER)


class Killer:
    """Ends this process at the given call, counted from zero."""

    def __init__(self, at: int, told: int) -> None:
        self.at, self.count, self.told = at, 0, told

    def step(self, name: str) -> None:
        if self.count == self.at:
            os.write(self.told, name.encode())
            sys.setprofile(None)
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1

    def profile(self, frame: Any, event: str, called: Any) -> None:
        if event == "c_call" and frame.f_code.co_filename == inside.__file__:
            name = getattr(called, "__name__", "")
            if name in CHANGING:
                self.step(name)

    def wrap(self, call: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*words: Any) -> None:
            self.step("renameat2")
            call(*words)
            self.step("after renameat2")

        return wrapped


def killed_at(step: int, home: Path, lessons: Path, action: str) -> str | None:
    """The call at which it ended; None if it came to its end by itself."""
    hear, told = os.pipe()
    child = os.fork()
    if child == 0:
        killer, shelf = Killer(step, told), shelf_of(home, lessons)
        inside._rename2 = killer.wrap(inside._rename2)
        os.fsync = no_wait
        sys.setprofile(killer.profile)
        try:
            act(shelf, action)
        finally:
            sys.setprofile(None)
        os._exit(0)
    os.close(told)
    with os.fdopen(hear, "rb") as pipe:
        call = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return call
    assert os.WEXITSTATUS(status) == 0, f"{action} failed"
    return None


def main(template: Path, lessons: Path, action: str, work: Path) -> None:
    found, step, call = [], 0, ""
    # reads its schema once, not in every child
    nbformat.validate({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    while True:
        home = work / f"{action}-{step}"
        shutil.copytree(template, home)
        ended = killed_at(step, home, lessons, action)
        found.append({"home": str(home), "killed": ended is not None, "call": ended or call})
        if ended is None:
            break
        step += 1
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
