"""Passwords: stored safely, judged understandably, guessed slowly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang_hub.people import passwords
from madang_hub.people.passwords import Guesses


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=8, deadline=None)
def test_only_the_same_password_matches(one: str, other: str) -> None:
    stored = passwords.digest(one)
    assert passwords.matches(one, stored)
    assert passwords.matches(other, stored) == (one == other)


def test_the_same_password_is_stored_differently_each_time() -> None:
    assert passwords.digest("같은 비밀번호") != passwords.digest("같은 비밀번호")


def test_another_kind_of_storage_is_not_taken_for_a_wrong_password() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        passwords.matches("x", "md5$1$1$1$aa==$aa==")


def test_one_time_passwords_differ_and_pass_the_rules() -> None:
    made = {passwords.one_time() for _ in range(200)}
    assert len(made) == 200
    assert all(passwords.weakness(p, "kim") is None for p in made)


@pytest.mark.parametrize(
    ("password", "name", "weak"),
    [
        ("short", "kim", True),
        ("x" * 201, "kim", True),
        ("abababababab", "kim", True),
        ("ilikeminjialot", "minji", True),
        ("마당 열린 뜰 놀이터", "kim", False),
        ("correct horse battery", "kim", False),
    ],
)
def test_what_is_too_weak(password: str, name: str, weak: bool) -> None:
    assert (passwords.weakness(password, name) is not None) == weak


def test_a_few_wrong_passwords_cost_nothing() -> None:
    guesses = Guesses()
    for _ in range(passwords.FREE_TRIES - 1):
        guesses = guesses.failed(now=100.0)
    assert guesses.wait(100.0) == 0
    assert guesses.failed(100.0).wait(100.0) == passwords.FIRST_WAIT


@given(st.integers(1, 200), st.floats(0, 1e6))
def test_the_wait_grows_up_to_its_limit_and_ends(wrong: int, start: float) -> None:
    now, guesses, before = start, Guesses(), 0.0
    for _ in range(wrong):
        guesses = guesses.failed(now)
        wait = guesses.wait(now)
        assert before <= wait + 1e-6
        assert wait <= passwords.LONGEST_WAIT + 1e-6
        before = wait
        now += wait
    assert guesses.wait(now + 1e-3) == 0
