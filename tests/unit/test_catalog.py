"""The table of environments: what it says, who may use what, and how its faults are told."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub.catalog import Catalog, OptionError, Person
from madang_hub.image_table import CatalogError, line_of

TABLE = """\
release = "1.0"
default = { environment = "lab", size = "small" }

[size.small]
title = { ko = "작게", en = "Small" }
cpu = 1
memory = "1.5G"
pids = 100

[size.large]
title = { ko = "크게", en = "Large" }
cpu = 8
memory = "32G"
pids = 1000
who = ["admin", "group:team:gpu"]

[image.base]
parent = "debian:bookworm-slim"
folder = "images/base"

[image.lab]
parent = "base"
folder = "images/lab"

[image.lab.offer]
title = { ko = "실습", en = "Lab" }
purpose = { ko = "모두", en = "All" }
sizes = ["small", "large"]

[image.secret]
parent = "lab"
folder = "images/secret"

[image.secret.offer]
title = { ko = "비밀", en = "Secret" }
purpose = { ko = "한 팀", en = "One team" }
sizes = ["large", "small"]
who = ["group:team:gpu"]
"""
ANYBODY = Person("kim")
MEMBER = Person("lee", frozenset({"team:gpu"}))
ADMIN = Person("root", admin=True)


@pytest.fixture
def catalog() -> Catalog:
    return Catalog.parse(TABLE)


def offered(catalog: Catalog, person: Person) -> dict[str, list[str]]:
    return {o.environment.name: [s.name for s in o.sizes] for o in catalog.offers(person)}


def test_sizes_are_in_bytes_and_cores(catalog: Catalog) -> None:
    assert catalog.sizes["small"].memory == 3 * 2**29
    assert catalog.sizes["large"].cpu == 8.0


def test_a_copy_is_the_same(catalog: Catalog) -> None:
    assert copy.deepcopy(catalog) is catalog


def test_lineage_and_reference(catalog: Catalog) -> None:
    assert catalog.lineage("secret") == ("secret", "lab", "base")
    assert catalog.reference("lab") == "madang/lab:1.0"


def test_offers_depend_on_the_person(catalog: Catalog) -> None:
    assert offered(catalog, ANYBODY) == {"lab": ["small"]}
    assert offered(catalog, MEMBER) == {"lab": ["small", "large"], "secret": ["large", "small"]}
    assert offered(catalog, ADMIN) == {"lab": ["small", "large"]}


def test_nothing_asked_gets_the_default(catalog: Catalog) -> None:
    choice = catalog.choose({}, ANYBODY)
    assert (choice.environment.name, choice.size.name) == ("lab", "small")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"image": "madang/hub:1.0"}, "unknown-option"),
        ({"environment": "lab", "size": "small", "mem_limit": "1T"}, "unknown-option"),
        ({"environment": "secret"}, "environment"),
        ({"environment": "base"}, "environment"),
        ({"environment": ["lab"]}, "environment"),
        ({"environment": None, "size": {"a": 1}}, "size"),
        ({"environment": "lab", "size": "large"}, "size"),
        ({"size": "../large"}, "size"),
    ],
)
def test_hand_made_requests_are_refused(
    catalog: Catalog, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(OptionError) as refused:
        catalog.choose(options, ANYBODY)
    assert refused.value.reason == reason


wild: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.text(max_size=60),
    st.integers(),
    st.lists(st.text(), max_size=2),
    st.sampled_from(["lab", "secret", "small", "large", "base"]),
)


@given(
    st.dictionaries(st.one_of(st.text(max_size=12), st.sampled_from(["environment", "size"])), wild)
)
def test_whatever_is_asked_only_offers_come_out(options: dict[str, Any]) -> None:
    """The invariant of the shelf: no request starts what was not offered to that person."""
    catalog = Catalog.parse(TABLE)
    for person in (ANYBODY, MEMBER, ADMIN):
        try:
            choice = catalog.choose(options, person)
        except OptionError:
            continue
        assert choice.size.name in offered(catalog, person)[choice.environment.name]


def test_a_refusal_names_the_choices_by_their_titles(catalog: Catalog) -> None:
    with pytest.raises(OptionError) as refused:
        catalog.choose({"size": "huge"}, MEMBER)
    assert refused.value.values_in("ko") == {"name": "huge", "choices": "작게, 크게"}
    assert "Small, Large" in str(refused.value)


def test_a_person_without_any_offer_is_told_so() -> None:
    closed = TABLE.replace('who = ["admin", "group:team:gpu"]', 'who = ["admin"]').replace(
        "pids = 100\n", 'pids = 100\nwho = ["admin"]\n', 1
    )
    with pytest.raises(OptionError) as refused:
        Catalog.parse(closed).choose({}, ANYBODY)
    assert refused.value.reason == "nothing-offered"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('memory = "1.5G"', "memory = 4", 7, '"2G"'),
        ("cpu = 8", "cpu = 0", 12, "greater than 0"),
        ("pids = 1000", "pids = 1000\ncolour = 1", 15, "is not a key"),
        ('parent = "base"', 'parent = "bse"', 22, "is no image of this table"),
        ('parent = "base"', 'parent = "secret"', 22, "circle"),
        ('sizes = ["small", "large"]', 'sizes = ["tiny"]', 28, "is no size of this table"),
        ('environment = "lab"', 'environment = "base"', 2, "is not offered"),
        ('who = ["group:team:gpu"]', 'who = ["grp:x"]', 38, "group:<name>"),
        ('folder = "images/secret"', "", 30, "is missing"),
    ],
)
def test_faults_name_line_and_fix(old: str, new: str, line: int, says: str) -> None:
    assert TABLE.count(old) >= 1
    with pytest.raises(CatalogError) as found:
        Catalog.parse(TABLE.replace(old, new), Path("t.toml"))
    assert f"t.toml:{line}:" in str(found.value)
    assert says in str(found.value)


def test_all_faults_are_told_at_once() -> None:
    broken = TABLE.replace("cpu = 8", "cpu = -8").replace('"1.5G"', '"lots"')
    with pytest.raises(CatalogError) as found:
        Catalog.parse(broken)
    assert len(str(found.value).splitlines()) == 2


def test_not_toml_and_not_there(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="not valid TOML"):
        Catalog.parse("[[")
    with pytest.raises(CatalogError, match="cannot be read"):
        Catalog.load(tmp_path / "none.toml")


def test_line_of_falls_back_to_the_table() -> None:
    assert line_of(TABLE, ("size", "large", "nothing")) == 10
    assert line_of(TABLE, ("nowhere",)) == 1


def test_the_real_table_is_good(root: Path) -> None:
    catalog = Catalog.load(root / "images" / "images.toml")
    assert offered(catalog, ANYBODY)
    for image in catalog.images.values():
        assert (root / image.dockerfile).is_file(), image.name
        for needed in (*image.locks, *image.sources):
            assert (root / needed).exists(), needed


# ---- what an installation takes of it -----------------------------------------------------

MORE = (
    TABLE
    + """
[image.torch]
parent = "lab"
folder = "images/torch"
dockerfile = "images/python.Dockerfile"
tool = "base"
install = "on demand"

[image.torch.offer]
title = { ko = "토치", en = "Torch" }
purpose = { ko = "학습", en = "Train" }
sizes = ["large"]
accelerators = ["nvidia.com/gpu"]

[image.first-aid]
parent = "base"
folder = "images/first-aid"

[image.first-aid.offer]
title = { ko = "구조", en = "Aid" }
purpose = { ko = "정리", en = "Tidy" }
sizes = ["small"]
rescue = true

[image.hub]
parent = "debian:bookworm-slim"
folder = "images/hub"
"""
)


def test_an_installation_offers_what_is_always_there_or_what_it_names() -> None:
    whole = Catalog.parse(MORE)
    assert list(whole.offering([]).environments) == ["lab", "secret", "first-aid"]
    some = whole.offering(["torch", "first-aid"])
    assert list(some.environments) == ["torch", "first-aid"]
    assert some.default == ("torch", "large"), "the table's default is not offered here"
    assert some.environments["first-aid"].rescue
    assert some.environments["torch"].accelerators == ("nvidia.com/gpu",)


def test_it_needs_the_images_of_these_and_of_the_stack() -> None:
    whole = Catalog.parse(MORE)
    assert whole.offering(["torch"]).needed() == ["base", "torch", "hub"]
    assert whole.offering([]).needed() == ["base", "lab", "secret", "first-aid", "hub"]


def test_what_is_not_offered_here_cannot_be_chosen() -> None:
    offered = Catalog.parse(MORE).offering(["first-aid", "lab"])
    with pytest.raises(OptionError, match="not open to you"):
        offered.choose({"environment": "torch"}, ADMIN)


@pytest.mark.parametrize("names", [["labb"], ["lab", "base"], ["lab", ""]])
def test_an_environment_that_is_not_there_is_named(names: list[str]) -> None:
    with pytest.raises(CatalogError, match=rf"no environment {names[-1]}.*there are lab, secret"):
        Catalog.parse(MORE).offering(names)


def test_a_tool_that_is_no_image_is_a_fault_with_its_line() -> None:
    with pytest.raises(CatalogError, match='"hammer" is no image of this table'):
        Catalog.parse(MORE.replace('tool = "base"', 'tool = "hammer"'))
