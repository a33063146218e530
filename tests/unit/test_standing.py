"""What a provider's refusals and silences mean for somebody who is signed in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub.people.standing import (
    AT_MOST,
    LATELY,
    Held,
    ProviderAwayError,
    Reply,
    answered,
    ends,
    held,
    refused_grant,
    renewed,
    understood,
)

NOW = 1_800_000_000.0


def test_answers_by_status() -> None:
    assert [answered(s) for s in (200, 204)] == ["yes", "yes"]
    assert [answered(s) for s in (400, 401, 403, 404)] == ["no"] * 4
    assert [answered(s) for s in (408, 425, 429, 500, 502, 503, 599, 302)] == ["away"] * 8


def test_an_answer_is_read_or_the_provider_is_away() -> None:
    assert understood("here", 200, {}, b'{"a": 1}') == Reply(200, {"a": 1})
    assert understood("here", 200, {}, b"") == Reply(200, None)
    assert understood("here", 403, {}, b"<html>") == Reply(403, None)
    for status, headers in (
        (502, {}),
        (403, {"Retry-After": "60"}),
        (403, {"X-RateLimit-Remaining": "0"}),
    ):
        with pytest.raises(ProviderAwayError, match=f"^here: status {status}$"):
            understood("here", status, headers, b"{}")


def test_a_renewed_sign_in_keeps_what_the_new_tokens_do_not_say() -> None:
    old = {
        "access_token": "a1",
        "refresh_token": "r1",
        "id_token": "i1",
        "checked": NOW - 60,
        "signed_out": True,
        "scope": ["openid"],
    }
    assert renewed(old, {"access_token": "a2", "expires_in": 300, "scope": "more"}, NOW) == {
        "access_token": "a2",
        "token_type": "Bearer",
        "refresh_token": "r1",
        "id_token": "i1",
        "access_ends": NOW + 300,
        "refresh_ends": None,
        "checked": NOW - 60,
        "signed_out": True,
    }
    first = renewed({}, {"access_token": "a", "refresh_token": "r", "token_type": "x"}, NOW)
    assert (first["refresh_token"], first["token_type"], first["checked"]) == ("r", "x", NOW)


def test_whose_fault_a_refused_renewal_is() -> None:
    assert refused_grant(400, {"error": "invalid_grant"}) == "person"
    assert refused_grant(200, {"error": "bad_refresh_token"}) == "person"
    assert refused_grant(401, {"error": "invalid_client"}) == "client"
    assert refused_grant(400, {"error": "unauthorized_client"}) == "client"
    assert refused_grant(400, None) == "client"
    assert refused_grant(400, ["invalid_grant"]) == "client"


def test_removed_is_who_was_known_a_moment_ago() -> None:
    person = Held(checked=NOW - 60, access_ends=NOW + 600, refresh_token="r")
    assert person.meaning_of_no(NOW) == "gone"
    assert person.meaning_of_no(NOW + LATELY) == "stale", "tokens that lay unused end by themselves"


@pytest.mark.parametrize(
    "person",
    [
        Held(NOW - 60, refresh_token="r", refresh_ends=NOW - 1),
        Held(NOW - 60, access_ends=NOW - 1),
        Held(NOW - 60, refresh_token="r", signed_out=True),
    ],
)
def test_ended_tokens_are_no_removal(person: Held) -> None:
    assert person.meaning_of_no(NOW) == "stale"


def test_an_access_token_that_ends_is_not_tried_where_it_can_be_renewed() -> None:
    assert Held(NOW, access_ends=NOW + 5, refresh_token="r").access_is_over(NOW)
    assert not Held(NOW, access_ends=NOW + 500, refresh_token="r").access_is_over(NOW)
    assert not Held(NOW, access_ends=NOW - 5).access_is_over(NOW)
    assert not Held(NOW, refresh_token="r").access_is_over(NOW)


def test_silence_counts_for_a_day() -> None:
    assert Held(NOW).meaning_of_silence(NOW + 3600) == "away"
    assert Held(NOW).meaning_of_silence(NOW + AT_MOST + 1) == "stale"
    assert Held().meaning_of_silence(NOW) == "stale"


def test_lifetimes() -> None:
    assert ends(NOW, 60) == NOW + 60
    assert ends(NOW, "60") == NOW + 60
    assert ends(NOW, 0) is None
    assert ends(NOW, None) is None
    assert ends(NOW, -1) is None
    assert ends(NOW, True) is None
    assert ends(NOW, "²") is None


KEYS = st.sampled_from(["checked", "access_ends", "refresh_ends", "refresh_token", "signed_out"])
ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@given(st.dictionaries(KEYS, ODD), st.floats(0, 1e11))
def test_odd_states_never_raise_and_never_forgive_for_ever(
    state: dict[str, Any], now: float
) -> None:
    found = held(state)
    assert found.meaning_of_no(now) in ("gone", "stale")
    assert found.access_is_over(now) in (True, False)
    assert found.meaning_of_silence(found.checked + AT_MOST + 1) == "stale"
