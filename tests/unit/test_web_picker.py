"""The picker: it offers what a person may start, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest
from support.tables import environment, size, table

from madang_hub.catalog import Catalog
from madang_hub.shelf.offering import Shelf
from madang_hub.web.pages import chosen, options_form

TABLE = table(
    size(),
    size("half", ("반", "Half"), cpu=0.5, memory="1536M"),
    size("large", ("크게", "Large"), cpu=4, memory="16G", who=["admin"]),
    environment(
        "lab",
        ("데이터 <과학>", "Data <b>science</b>"),
        ("표 & 그래프", 'Tables & "plots"'),
        sizes=["small", "large"],
    ),
    environment(
        "deep",
        ("딥러닝", "Deep learning"),
        ("모델", "Models"),
        parent="lab",
        sizes=["small", "half"],
        who=["group:class:ai"],
    ),
)
CATALOG = Catalog.parse(TABLE)


class Fields(HTMLParser):
    """The radio buttons of a form and its visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.radios: list[dict[str, str | None]] = []
        self.text = ""
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "input":
            self.radios.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text += " " + data.strip()

    def values(self, name: str) -> list[str | None]:
        return [r["value"] for r in self.radios if r["name"] == name]

    def checked(self, name: str) -> list[str | None]:
        return [r["value"] for r in self.radios if r["name"] == name and "checked" in r]


def spawner(
    groups: Iterable[str] = (), admin: bool = False, last: Any = None, language: str = "ko"
) -> Any:
    """As much of a spawner as the picker looks at."""
    request = SimpleNamespace(query_arguments={"lang": [language.encode()]}, cookies={}, headers={})
    return SimpleNamespace(
        user=SimpleNamespace(
            name="kim", groups=[SimpleNamespace(name=g) for g in groups], admin=admin
        ),
        user_options=last if last is not None else {},
        handler=SimpleNamespace(request=request, settings={}),
    )


def picker(**facts: Any) -> Fields:
    return Fields(options_form(Shelf(CATALOG))(spawner(**facts)))


def test_a_person_sees_only_what_is_open() -> None:
    fields = picker()
    assert fields.values("environment") == ["lab"]
    assert fields.values("size") == ["small"]
    assert picker(admin=True).values("size") == ["small", "large"]
    trainee = picker(groups=["class:ai"])
    assert trainee.values("environment") == ["lab", "deep"]
    assert trainee.values("size") == ["small", "half"]
    assert [r.get("data-sizes") for r in trainee.radios[:2]] == ["small", "small half"]


def test_the_default_is_marked_and_then_what_was_used_last() -> None:
    assert picker(groups=["class:ai"]).checked("environment") == ["lab"]
    again = picker(groups=["class:ai"], last={"environment": "deep", "size": "half"})
    assert (again.checked("environment"), again.checked("size")) == (["deep"], ["half"])


@pytest.mark.parametrize(
    "last",
    [
        {"environment": "deep", "size": "half"},  # no longer in that class
        {"environment": "lab", "size": "large"},  # no longer an admin
        {"environment": "gone", "size": "gone"},
        {"environment": ["lab"], "size": None},
        {"environment": "deep"},
        "nonsense",
    ],
)
def test_a_last_choice_that_is_gone_does_no_harm(last: Any) -> None:
    fields = picker(last=last)
    assert (fields.checked("environment"), fields.checked("size")) == (["lab"], ["small"])


def test_sizes_are_told_in_words() -> None:
    korean = picker(groups=["class:ai"])
    assert "코어 1개 · 메모리 2\xa0GB" in korean.text
    assert "코어 0.5개 · 메모리 1.5\xa0GB" in korean.text
    english = picker(groups=["class:ai"], language="en")
    assert "1 core · 2\xa0GB memory" in english.text
    assert "0.5 cores · 1.5\xa0GB memory" in english.text


def test_texts_of_the_table_are_text() -> None:
    html = options_form(Shelf(CATALOG))(spawner(language="en"))
    assert "Data &lt;b&gt;science&lt;/b&gt;" in html
    assert "Tables &amp; &#34;plots&#34;" in html
    assert "b" not in Fields(html).tags


def test_who_may_start_nothing_is_told_whom_to_ask() -> None:
    nobody = Catalog.parse(TABLE.replace('"small", "large"]', '"small"]\nwho = ["group:x"]', 1))
    fields = Fields(
        options_form(Shelf(nobody))(spawner(last={"environment": "lab", "size": "small"}))
    )
    assert fields.radios == []
    assert "멘토나 운영자" in fields.text


def test_a_start_that_no_page_asked_for_is_in_the_default_language() -> None:
    lonely = spawner()
    lonely.handler = None
    assert "딥러닝" not in options_form(Shelf(CATALOG))(lonely)
    assert "작게" in options_form(Shelf(CATALOG))(lonely)


def test_what_a_server_runs_is_named_only_if_it_is_still_known() -> None:
    choice = chosen(CATALOG, {"environment": "deep", "size": "half"})
    assert choice is not None
    assert choice.environment.title.en == "Deep learning"
    stale: Any
    for stale in (None, {}, [], "x", {"environment": "deep"}, {"environment": "?", "size": "half"}):
        assert chosen(CATALOG, stale) is None
