"""The gate's rules about where a request comes from, and its pages."""

import pytest

from madang_mlflow import opening, pages
from madang_mlflow.exchange import Request, bearer, same_site


def request(method: str, **headers: str) -> Request:
    named = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return Request(method, b"/", b"", [(b"host", b"hub:8000"), *named])


@pytest.mark.parametrize(
    ("method", "headers", "allowed"),
    [
        ("POST", {}, False),
        ("POST", {"origin": "http://hub:8000"}, True),
        ("POST", {"origin": "https://hub:8000"}, False),
        ("POST", {"origin": "http://hub"}, False),
        ("POST", {"origin": "null"}, False),
        ("POST", {"sec_fetch_site": "same-origin"}, True),
        ("POST", {"sec_fetch_site": "same-site"}, False),
        ("POST", {"sec_fetch_site": "none"}, False),
        ("POST", {"sec_fetch_site": "cross-site", "origin": "http://hub:8000"}, False),
        ("GET", {}, True),
        ("GET", {"origin": "http://evil.example"}, False),
        ("GET", {"sec_fetch_site": "cross-site"}, False),
        ("GET", {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, True),
        (
            "GET",
            {
                "sec_fetch_site": "cross-site",
                "sec_fetch_mode": "navigate",
                "sec_fetch_dest": "iframe",
            },
            False,
        ),
    ],
)
def test_same_site(method: str, headers: dict[str, str], allowed: bool) -> None:
    assert same_site(request(method, **headers), "http") is allowed


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("token abc", "abc"), ("Basic abc", ""), ("Bearer", ""), ("", "")],
)
def test_bearer(header: str, token: str) -> None:
    assert bearer(header) == token


@pytest.mark.parametrize(
    ("cookies", "accept", "lang"),
    [
        ({}, "", "ko"),
        ({}, "en-GB,ko;q=0.5", "en"),
        ({}, "de,ko;q=0.5", "ko"),
        ({"madang_lang": "en"}, "ko", "en"),
        ({"madang_lang": "xx"}, "", "ko"),
    ],
)
def test_language(cookies: dict[str, str], accept: str, lang: str) -> None:
    assert pages.language(cookies, accept) == lang


def test_every_message_is_there_in_both_languages() -> None:
    messages = [value for value in vars(pages).values() if isinstance(value, pages.Message)]
    assert len(messages) > 8
    for message in messages:
        assert any("가" <= letter <= "힣" for letter in message.ko)
        assert message.en.isascii()
        for lang in ("ko", "en"):
            page = pages.page(message, lang, "/services/mlflow/").decode()
            assert f'lang="{lang}"' in page
            assert getattr(message, lang) in page


@pytest.mark.parametrize("head", [b"<head>", b'<HEAD lang="en">', b"<head\n>"])
def test_the_script_comes_before_all_others(head: bytes) -> None:
    page = b"<html>" + head + b"<script src=main.js></script></head><header></header></html>"
    found = opening.opened_at(page, "u-ann")
    assert found.startswith(b"<html>" + head + b"<script>")
    assert found.endswith(b"</script>" + page.removeprefix(b"<html>" + head))
    assert b'("u-ann");' in found
    assert b"HOME" not in found


def test_a_page_without_a_head_stays_as_it_is() -> None:
    assert opening.opened_at(b"<header>", "u-ann") == b"<header>"


def test_the_page_is_asked_for_whole() -> None:
    given = request(
        "GET", if_none_match="x", range="bytes=0-1", accept_encoding="gzip", accept="*/*"
    )
    assert [name for name, _ in opening.whole(given).headers] == [b"host", b"accept"]
