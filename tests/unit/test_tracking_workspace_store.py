"""What the tracking server remembers of MLflow's workspaces."""

from __future__ import annotations

import threading

import pytest

from madang_mlflow.workspace_store import Memory


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Found:
    """A database that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.missing: set[str] = set()

    def find(self, name: str) -> str:
        self.asked.append(name)
        if name in self.missing:
            raise LookupError(name)
        return f"{name} {len(self.asked)}"


def remembered(seconds: float = 60, size: int = 3) -> tuple[Memory[str], Found, Clock]:
    clock = Clock()
    return Memory(seconds, size, clock), Found(), clock


def test_it_is_asked_for_once_in_its_time() -> None:
    memory, found, clock = remembered()
    assert memory.get("u-ann", lambda: found.find("u-ann")) == "u-ann 1"
    clock.now += 59.9
    assert memory.get("u-ann", lambda: found.find("u-ann")) == "u-ann 1"
    clock.now += 0.1
    assert memory.get("u-ann", lambda: found.find("u-ann")) == "u-ann 2"


def test_what_is_not_there_is_asked_for_again() -> None:
    memory, found, _ = remembered()
    found.missing.add("u-ben")
    for _ in range(2):
        with pytest.raises(LookupError):
            memory.get("u-ben", lambda: found.find("u-ben"))
    found.missing.clear()
    assert memory.get("u-ben", lambda: found.find("u-ben")) == "u-ben 3"


def test_an_old_yes_does_not_outlive_a_no() -> None:
    memory, found, clock = remembered()
    memory.get("u-ann", lambda: found.find("u-ann"))
    clock.now += 61
    found.missing.add("u-ann")
    for _ in range(2):
        with pytest.raises(LookupError):
            memory.get("u-ann", lambda: found.find("u-ann"))


def test_the_oldest_goes_when_there_are_too_many() -> None:
    memory, found, clock = remembered(size=2)
    for name in ("a", "b", "c", "c", "b", "a"):
        clock.now += 1
        memory.get(name, lambda name=name: found.find(name))  # type: ignore[misc]  # a name of the loop
    assert found.asked == ["a", "b", "c", "a"]


def test_what_is_forgotten_is_asked_for_again() -> None:
    memory, found, _ = remembered()
    memory.get("u-ann", lambda: found.find("u-ann"))
    memory.forget("u-ann")
    assert memory.get("u-ann", lambda: found.find("u-ann")) == "u-ann 2"


def test_an_answer_from_before_a_deletion_is_not_kept() -> None:
    memory, found, _ = remembered()
    asked, deleted = threading.Event(), threading.Event()

    def slow() -> str:
        answer = found.find("u-ann")
        asked.set()
        assert deleted.wait(10)
        return answer

    reader = threading.Thread(target=memory.get, args=("u-ann", slow))
    reader.start()
    assert asked.wait(10)
    memory.forget("u-ann")
    deleted.set()
    reader.join(10)
    assert memory.get("u-ann", lambda: found.find("u-ann")) == "u-ann 2"
