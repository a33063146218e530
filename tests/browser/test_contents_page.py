"""What is in an environment, from the picker to a downloaded file, in both languages, with pictures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal

import pytest
from browser.conftest import Visit
from browser.visitor import PASSWORD, PHONE, Language, Visitor
from playwright.sync_api import Locator, expect
from support.deployment import Deployment

from madang_hub.shelf import contents, publish

EARLIER = "0.0.9"
WORDS: dict[Language, dict[str, str]] = {
    "ko": {
        "link": "들어 있는 것 보기",
        "title": "‘데이터 과학’ 환경에 들어 있는 것",
        "found": "1개 찾음",
        "none": "찾는 내용이 없습니다.",
        "more": "외 1개",
        "changed": "이후 수정 포함",
        "nothing": "없는 주소이거나 볼 수 없는 곳입니다.",
        "crumb": "실습 환경 고르기",
    },
    "en": {
        "link": "What is in it",
        "title": "What is in Data science",
        "found": "Found: 1",
        "none": "Nothing here fits.",
        "more": "and 1 more",
        "changed": "with changes made since",
        "nothing": "There is nothing here, or it is not for you.",
        "crumb": "Choose an environment",
    },
}


@pytest.fixture(scope="module", autouse=True)
def earlier(embedded_mode: Deployment) -> None:
    """An earlier release, as an image of server mode has it: with Debian packages."""
    debian = [
        {
            "name": "libc6",
            "version": "2.36",
            "licence": "LGPL-2.1+; GPL-2; MIT",
            "bytes": 13_000_000,
        },
        {"name": "<b>odd</b>", "version": "1", "licence": "see /usr/share/doc/odd", "bytes": 512},
    ]
    listed = {
        "format": 1,
        "image": "lab",
        "release": EARLIER,
        "system": "Debian GNU/Linux 12 (bookworm)",
        "distro": "debian-12",
        "python": [{"name": "numpy", "version": "2.0.0", "licence": "BSD-3-Clause", "bytes": 9e6}],
        "debian": debian,
    }
    document = contents.document(
        json.dumps(listed),
        identity="sha256:1",
        parent="madang/base:0.0.9",
        revision="0123456789abcdef" + contents.CHANGED,
        created="2026-01-02T03:04:05+00:00",
        inputs="f",
        size=1_200_000_000,
        main=["numpy"],
    )
    publish._write(Path(embedded_mode.data) / "environments" / "lab" / EARLIER, document)


def come(
    visit: Visit, deployment: Deployment, name: str, language: Language, **kw: object
) -> Visitor:
    person = visit(deployment, name, language, **kw)
    person.join()
    return person


def rows(person: Visitor) -> Locator:
    return person.page.locator("table.packages tbody tr:visible")


def test_from_the_picker_to_a_file(
    visit: Visit, embedded_mode: Deployment, language: Language
) -> None:
    words = WORDS[language]
    person = come(visit, embedded_mode, f"cp-minji-{language}", language)
    person.taken = 50
    page = person.page
    person.go("/hub/spawn")
    person.picture("picker-with-contents")
    of_lab = page.locator('[data-contents="lab"]')
    expect(of_lab).to_have_text(words["link"])
    of_lab.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(words["title"])
    expect(page.locator(".chips").first).to_contain_text("numpy")
    expect(page.locator(".chips").first).to_contain_text("jupyterlab")
    everything = rows(person).count()
    assert everything > 100
    person.picture("contents")

    find = page.get_by_role("searchbox")
    find.fill("scikit-learn BSD")
    expect(rows(person)).to_have_count(1)
    expect(page.get_by_role("status")).to_have_text(words["found"])
    find.press("Enter")  # sends nothing
    expect(rows(person)).to_have_count(1)
    find.fill("no such package")
    expect(page.get_by_role("status")).to_have_text(words["none"])
    expect(rows(person)).to_have_count(0)
    find.fill("")
    expect(rows(person)).to_have_count(everything)

    for file, key in ((publish.MANIFEST, "python_version"), (publish.SBOM, "bomFormat")):
        with page.expect_download() as coming:
            page.get_by_role("link", name=file).click()
        assert re.fullmatch(rf"madang-lab-.+-{re.escape(file)}", coming.value.suggested_filename)
        assert key in json.loads(Path(coming.value.path()).read_text(encoding="utf-8"))

    page.get_by_role("link", name=words["crumb"]).click()
    person.reads("question")


def test_an_earlier_release_and_what_is_not_there(
    visit: Visit, embedded_mode: Deployment, language: Language
) -> None:
    words = WORDS[language]
    person = come(visit, embedded_mode, f"cp-james-{language}", language)
    person.taken = 60
    page = person.page
    person.go("/services/people/environment/lab")
    page.get_by_role("link", name=EARLIER).click()
    facts = page.locator("dl.facts")
    expect(facts).to_contain_text("1.2 GB")
    expect(facts).to_contain_text("0123456789ab")
    expect(facts).to_contain_text(words["changed"])
    expect(facts).to_contain_text("2026-01-02 12:04")  # in Seoul
    expect(rows(person)).to_have_count(1)
    page.get_by_role("searchbox").fill("lgpl")
    expect(rows(person)).to_have_count(1)  # the fold opens for it
    expect(rows(person)).to_contain_text(words["more"])
    page.get_by_role("searchbox").fill("<b>odd")
    expect(rows(person)).to_have_count(1)
    person.picture("contents-earlier")
    for path in ("nothing", "lab/0.0.1", "base"):
        person.go(f"/services/people/environment/{path}")
        expect(page.locator("main")).to_contain_text(words["nothing"])


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_on_a_phone(
    visit: Visit, embedded_mode: Deployment, language: Language, colours: Literal["light", "dark"]
) -> None:
    name = f"cp-phone-{language}-{colours}"
    person = come(visit, embedded_mode, name, language, viewport=PHONE, color_scheme=colours)
    person.folder = f"{language}-phone-{colours}"
    for place, path in (
        ("picker-with-contents", "/hub/spawn"),
        ("contents", "/services/people/environment/lab"),
        ("contents-earlier", f"/services/people/environment/lab/{EARLIER}"),
    ):
        person.go(path)
        if place == "contents-earlier":
            person.page.locator("details summary").click()
        expect(person.page.locator("main")).to_be_visible()
        person.picture(place)
        person.fits()


def test_in_the_dark(visit: Visit, embedded_mode: Deployment, language: Language) -> None:
    person = visit(embedded_mode, f"cp-minji-{language}", language, color_scheme="dark")
    person.password = PASSWORD
    person.folder = f"{language}-dark"
    person.taken = 50
    person.sign_in()
    person.go("/services/people/environment/lab")
    expect(person.page.locator("html")).to_have_attribute("data-theme", "dark")
    person.picture("contents")
