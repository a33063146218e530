"""Passwords: stored safely, judged understandably, guessed slowly."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang_hub.people import passwords
from madang_hub.people.passwords import Guesses, Spray, sender


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


# ---- many names from one address -----------------------------------------------------------------


def test_a_class_behind_one_address_signs_in_for_the_first_time() -> None:
    spray = Spray()
    for _ in range(40 * 2):
        assert spray.wait(100.0) == 0
        spray = spray.failed(100.0)
    assert spray.wait(100.0) == 0


@given(st.lists(st.floats(0, 50), min_size=1, max_size=400))
def test_nobody_tries_more_often_than_the_limits(gaps: list[float]) -> None:
    now, spray, tries = 1000.0, Spray(), 0
    for gap in gaps:
        now += gap
        if spray.wait(now) == 0:
            spray = spray.failed(now)
            tries += 1
    assert tries <= passwords.ADDRESS_TRIES + (now - 1000.0) / passwords.ADDRESS_SECONDS + 1


@given(st.integers(100, 150))
def test_the_wait_of_an_address_ends(wrong: int) -> None:
    spray = Spray()
    for _ in range(wrong):
        spray = spray.failed(5.0)
    wait = spray.wait(5.0)
    assert wait > 0
    assert spray.wait(5.0 + wait + 1e-3) == 0
    assert spray.wait(4.0) >= 0  # a clock that steps back


TRUSTED = [ip_network("10.0.0.0/8"), ip_network("::1/128")]


@pytest.mark.parametrize(
    ("forwarded", "peer", "who"),
    [
        ("", "127.0.0.1", "127.0.0.1"),
        ("203.0.113.9", "127.0.0.1", "203.0.113.9"),
        # what the visitor wrote stands before what our proxy added
        ("1.2.3.4, 203.0.113.9", "127.0.0.1", "203.0.113.9"),
        ("1.2.3.4, 203.0.113.9, 10.0.0.7", "127.0.0.1", "203.0.113.9"),
        ("1.2.3.4,10.0.0.1,10.0.0.7", "127.0.0.1", "1.2.3.4"),
        ("10.0.0.1", "127.0.0.1", "10.0.0.1"),
        ("nonsense, 10.0.0.7", "127.0.0.1", "10.0.0.7"),
        ("nonsense", "127.0.0.1", "127.0.0.1"),
        ("::ffff:203.0.113.9", "127.0.0.1", "203.0.113.9"),
        ("2001:db8:1:2:aaaa::1", "127.0.0.1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::1", "127.0.0.1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "127.0.0.1", "fe80::/64"),
        ("", "unix-socket", "unix-socket"),
    ],
)
def test_whom_a_try_counts_for(forwarded: str, peer: str, who: str) -> None:
    assert sender(forwarded, peer, TRUSTED) == who


@given(st.text(max_size=60))
def test_no_header_breaks_it(forwarded: str) -> None:
    assert sender(forwarded + ", 203.0.113.9", "127.0.0.1") == "203.0.113.9"
    assert sender(forwarded, "127.0.0.1")
