"""Which language a page speaks, and how sentences come into it."""

from __future__ import annotations

from http.cookies import SimpleCookie
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub.web.i18n import (
    LANGUAGES,
    gettext_for,
    language_of,
    language_of_handler,
    translated,
    with_language,
)

anything = st.one_of(st.none(), st.text(max_size=40), st.sampled_from(["ko", "en", "KO", ""]))
headers = st.one_of(
    st.none(),
    st.text(max_size=60),
    st.lists(
        st.tuples(
            st.sampled_from(["ko", "en", "ko-KR", "en-GB", "fr", "*", "korean"]),
            st.sampled_from(["", ";q=0.1", ";q=0.9", ";q=0", ";q=1.0", "; q = 0.5"]),
        ),
        max_size=5,
    ).map(lambda parts: ", ".join(tag + weight for tag, weight in parts)),
)


@given(anything, anything, headers, st.sampled_from(LANGUAGES))
def test_the_answer_is_always_one_of_ours_and_the_nearest_wish_wins(
    query: str | None, cookie: str | None, accept: str | None, default: str
) -> None:
    answer = language_of(query, cookie, accept, "en" if default == "en" else "ko")
    assert answer in LANGUAGES
    if query in LANGUAGES:
        assert answer == query
    elif cookie in LANGUAGES:
        assert answer == cookie
    elif not accept:
        assert answer == default


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        ("ko", "ko"),
        ("en", "en"),
        ("en-GB,en;q=0.9,ko;q=0.8", "en"),
        ("en;q=0.5, ko-KR;q=0.7", "ko"),
        ("fr-FR, en;q=0.3", "en"),
        ("fr, de", "ko"),
        ("en;q=0", "ko"),
        ("en;q=0, ko;q=0.1", "ko"),
        ("EN-us", "en"),
        ("en;q=broken", "ko"),
        ("*", "ko"),
        ("", "ko"),
        (None, "ko"),
    ],
)
def test_what_browsers_send(accept: str | None, answer: str) -> None:
    assert language_of(None, None, accept) == answer


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=4))
def test_the_switch_keeps_the_rest_of_the_address(arguments: dict[str, str]) -> None:
    from urllib.parse import urlencode

    switched = parse_qs(with_language(urlencode(arguments), "en"), keep_blank_values=True)
    assert switched.pop("lang") == ["en"]
    arguments.pop("lang", None)
    assert switched == {key: [value] for key, value in arguments.items()}


def test_a_handler_is_asked_for_query_cookie_and_header() -> None:
    cookies = SimpleCookie("madang_lang=en")
    request = SimpleNamespace(
        query_arguments={}, cookies=cookies, headers={"Accept-Language": "ko"}
    )
    handler = SimpleNamespace(request=request, settings={"madang_language": "ko"})
    assert language_of_handler(handler) == "en"
    request.query_arguments = {"lang": [b"en", b"ko"]}
    assert language_of_handler(handler) == "ko"
    request.query_arguments = {"lang": [b"\xff"]}
    request.cookies = SimpleCookie()
    request.headers = {}
    assert language_of_handler(handler) == "ko"
    handler.settings = {"madang_language": "en"}
    assert language_of_handler(handler) == "en"


def test_without_a_handler_the_default_serves() -> None:
    assert language_of_handler(None) == "ko"


def test_sentences_come_in_both_languages() -> None:
    assert gettext_for("ko")("Sign in") == "로그인"
    assert gettext_for("en")("Sign in") == "Sign in"
    assert gettext_for("ko")("No such sentence") == "No such sentence"


@pytest.mark.parametrize(
    ("text", "korean"),
    [
        ("Invalid username or password", "사용자 이름이나 비밀번호가 맞지 않습니다."),
        ("No such user: <b>&'\"", "<b>&'\" 사용자가 없습니다."),
        ("No such user kim", "kim 사용자가 없습니다."),
        ("user kim", "kim 사용자"),
        ("users in group team:마당 1", "team:마당 1 그룹의 사람들"),
        ("'_xsrf' argument missing from POST", "화면을 연 지 너무 오래되었습니다."),
        ("XSRF cookie does not match POST argument", "화면을 연 지 너무 오래되었습니다."),
        ("503 SpawnException(reason=x): 디스크가 가득 찼습니다.", "디스크가 가득 찼습니다."),
        ("Failed to reach your server.  Please try again later.  Contact admin if the issue persists.",
         "서버에 연결하지 못했습니다."),
        ("이미 한국어", "이미 한국어"),
        ("", ""),
    ],
)  # fmt: skip
def test_jupyterhubs_own_sentences_are_known(text: str, korean: str) -> None:
    assert translated(text, "ko").startswith(korean)


@given(st.text(max_size=200))
def test_any_text_can_be_asked_for(text: str) -> None:
    for language in LANGUAGES:
        assert isinstance(translated(text, language), str)


def test_braces_in_a_name_are_not_places() -> None:
    assert translated("No such user: {name}{0}", "en") == "There is no user {name}{0}."
