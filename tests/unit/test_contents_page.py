"""The page of an environment's contents, without a service around it: what it shows of a list."""

from __future__ import annotations

import dataclasses
import html
import re
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from support.tables import DEEP, environment, image, size, table

from madang_hub.catalog import Catalog
from madang_hub.people.service.app import ROUTES
from madang_hub.people.service.base import Problem
from madang_hub.people.service.contents import OfEnvironment, contents_in, releases_in
from madang_hub.people.service.parts import templates
from madang_hub.people.service.who import Viewer
from madang_hub.shelf.contents import Contents, Package

ENVIRONMENT = Catalog.load(
    Path(__file__).resolve().parents[2] / "images" / "images.toml"
).environments["lab"]
CONTENTS = Contents(
    image="lab",
    release="0.1.0",
    parent="madang/base:0.1.0",
    revision="0123456789abcdef0123+changes",
    created="2026-11-25T09:00:00+00:00",
    inputs="f",
    system="Debian GNU/Linux 12 (bookworm)",
    distro="debian-12",
    python_version="3.11.2",
    bytes=1_206_000_000,
    main=("numpy",),
    packages=MappingProxyType(
        {
            "python": (
                Package("python", "numpy", "2.4.0", "BSD-3-Clause", 30_000_000),
                Package("python", "<i>odd</i>", "1", "see /x/LICENSE", 10),
            ),
            "debian": (Package("debian", "git", "1:2", "GPL-2; MIT; Zlib; X11", 40_000_000),),
        }
    ),
)


def page(contents: Contents | None = CONTENTS, language: str = "ko", **other: Any) -> str:
    frame = {
        **dict.fromkeys(("xsrf_token", "logo_url", "announcement"), ""),
        "static_url": lambda path: path,
        "base_url": "/hub/",
        "prefix": "/",
        "service_url": "/services/people/",
        "user": None,
        "services": [],
        "parsed_scopes": set(),
        "tracking_service": "mlflow",
        "people_service": "people",
        "login_url": "",
        "logout_url": "",
        "here": "people",
        "madang_page_language": language,
        "environment": ENVIRONMENT,
        "release": "0.1.0",
        "others": ["0.0.9"],
        "contents": contents,
        "built": datetime(2026, 11, 25, 18, tzinfo=UTC),
        "kinds": ["python", "debian"],
        "whole": 1_206_000_000,
        "files": ("manifest.json", "sbom.cdx.json"),
        **other,
    }
    return templates().get_template("contents.html").render(frame)


def text(source: str) -> str:
    """What of a page can be read."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", source)).split())


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "ko",
            [
                "들어 있는 것",
                "주요 패키지",
                "이후 수정 포함",
                "GPL-2, MIT 외 2개",
                "라이선스 파일 참고",
            ],
        ),
        (
            "en",
            [
                "What is in",
                "Main packages",
                "with changes",
                "GPL-2, MIT and 2 more",
                "licence file",
            ],
        ),
    ],
)
def test_what_is_shown_of_a_list(language: str, words: list[str]) -> None:
    shown = text(page(language=language))
    for word in [*words, "0123456789ab", "2026-11-25 18:00", "1.2 GB", "3.11.2", "30.0 MB"]:
        assert word in shown, word
    assert "<i>odd</i>" in shown, "a name is text"
    assert "<i>odd</i>" not in page(language=language)


def test_links_lead_to_the_files_and_other_versions_of_this_one() -> None:
    source = page()
    links = set(re.findall(r'href="(/services/people/environment/[^"]*)"', source))
    assert links == {
        "/services/people/environment/lab/0.1.0/manifest.json",
        "/services/people/environment/lab/0.1.0/sbom.cdx.json",
        "/services/people/environment/lab/0.0.9",
    }
    patterns = [pattern for pattern, _ in ROUTES]
    for link in links:
        path = link.removeprefix("/services/people/")
        assert any(re.fullmatch(pattern, path) for pattern in patterns), link


def test_without_a_list_the_page_says_so_and_without_a_revision_it_is_silent() -> None:
    assert "data-no-contents" in page(None)
    assert "소스 리비전" not in text(page(dataclasses.replace(CONTENTS, revision="")))


@pytest.mark.parametrize(
    "path", ["lab/..", "lab/.hidden", "lab/a/b", "../lab", "LAB", "lab/0.1.0/x"]
)
def test_no_route_leads_out_of_the_folder(path: str) -> None:
    assert not any(re.fullmatch(pattern, f"environment/{path}") for pattern, _ in ROUTES)


TABLE = table(
    size(),
    image("base"),
    environment("lab", ("과학", "Science"), ("표", "Tables"), parent="base"),
    DEEP,
)


@pytest.mark.parametrize(
    ("viewer", "seen"),
    [
        (Viewer("kim"), {"lab"}),
        (Viewer("lee", teams=frozenset({"class:ai"})), {"lab", "deep"}),
        (Viewer("park", teams=frozenset({"class:other"})), {"lab"}),
        (Viewer("choi", admin=True), {"lab", "deep"}),
    ],
)
def test_only_who_may_start_an_environment_is_told_what_is_in_it(
    viewer: Viewer, seen: set[str]
) -> None:
    handler: Any = SimpleNamespace(
        parts=SimpleNamespace(catalog=Catalog.parse(TABLE)), viewer=viewer
    )
    for name in ("lab", "deep", "base", "gone"):
        if name in seen:
            assert OfEnvironment.offered(handler, name).name == name
        else:
            with pytest.raises(Problem) as refused:
                OfEnvironment.offered(handler, name)
            assert refused.value.status_code == 404


def test_a_damaged_or_missing_list_is_none(tmp_path: Path) -> None:
    assert contents_in(tmp_path) is None
    (tmp_path / "manifest.json").write_bytes(b"\xff{")
    assert contents_in(tmp_path) is None


def test_releases_are_those_that_are_described(tmp_path: Path) -> None:
    (tmp_path / "0.1.0").mkdir()
    (tmp_path / "0.1.0" / "manifest.json").touch()
    (tmp_path / "0.0.9").mkdir()
    assert releases_in(tmp_path) == ["0.1.0"]
    assert releases_in(tmp_path / "gone") == []
