"""Rules about request paths: nothing that decodes to another path gets through."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_mlflow.paths import odd, safe_next, strip_prefix

PREFIX = "/services/mlflow/"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/a/b",
        "/a/b/",
        "/%EB%A7%88%EB%8B%B9.txt",
        "/a%20b",
        "/100%25",
        "/a;b",
        "/..a/b..",
        "/a%3Fb",
    ],
)
def test_plain_paths_pass(path: str) -> None:
    assert not odd(path.encode())


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "//a",
        "/a//b",
        "/../a",
        "/a/..",
        "/a/./b",
        "/%2e%2e/a",
        "/%252e%252e/a",
        "/a%2fb",
        "/a%252fb",
        "/a\\b",
        "/a%5cb",
        "/a%00",
        "/a%0d%0ab",
        "/a%zz",
        "/a%2",
        "/a%ff",
        "/%25252525252e",
    ],
)
def test_odd_paths_do_not(path: str) -> None:
    assert odd(path.encode())


@given(st.text(alphabet="./%25efEF\\0a\x00가", max_size=24))
def test_however_often_it_is_decoded_an_accepted_path_keeps_its_segments(text: str) -> None:
    raw = ("/" + text).encode()
    if odd(raw):
        return
    decoded = raw.decode()
    slashes = decoded.count("/")
    for _ in range(8):
        segments = decoded.split("/")
        assert ".." not in segments
        assert "." not in segments
        assert decoded.count("/") == slashes
        assert not set(decoded) & {"\\", "\x00"}
        decoded = unquote(decoded)


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=1))
def test_ordinary_names_in_any_script_pass(names: list[str]) -> None:
    assert not odd(("/" + "/".join(quote(name) for name in names)).encode())


@given(st.text(max_size=40))
def test_the_way_back_never_leaves_the_service(text: str) -> None:
    for target in (text, PREFIX + text, "/" + text, "//" + text, quote(text)):
        back = safe_next(target, PREFIX)
        assert back.startswith(PREFIX)
        assert not back.startswith("//")
        assert back.isascii()
        assert not set(back) & set("\r\n\\\t ")


def test_the_way_back_is_the_page_that_was_asked_for() -> None:
    assert safe_next(f"{PREFIX}a?b=c&d=/e", PREFIX) == f"{PREFIX}a?b=c&d=/e"
    assert safe_next(f"{PREFIX}/evil.example", PREFIX) == PREFIX
    assert safe_next("https://evil.example/", PREFIX) == PREFIX


def test_prefix() -> None:
    assert strip_prefix("/services/mlflow/", PREFIX) == "/"
    assert strip_prefix("/services/mlflow/a/b", PREFIX) == "/a/b"
    assert strip_prefix("/services/mlflowx", PREFIX) is None
