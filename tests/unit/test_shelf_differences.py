"""What renewed locks bring, in plain words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.repositories import committed

from madang_hub.catalog import Catalog
from madang_hub.shelf import refresh
from madang_hub.shelf.differences import Change, Lock, Report, changes, npm_lock, python_lock

BEFORE = """\
numpy==2.3.1 \\
    --hash=sha256:00
    # via -r images/lab/requirements.in
pandas==2.3.0 ; python_full_version < '3.12' \\
    --hash=sha256:00
pandas==2.2.0 ; python_full_version >= '3.12' \\
    --hash=sha256:00
uvicorn[standard]==0.1 \\
    --hash=sha256:00
"""


def report(before: str, after: str, *, names: tuple[str, ...] = ("lab",)) -> Report:
    return Report.of({name: (python_lock(before), python_lock(after)) for name in names})


def test_a_lock_is_read_with_all_its_versions_and_without_hashes() -> None:
    assert python_lock(BEFORE) == {
        "numpy": ("2.3.1",),
        "pandas": ("2.2.0", "2.3.0"),
        "uvicorn": ("0.1",),
    }


def test_versions_are_compared_as_numbers() -> None:
    assert Change("a", ("2.9",), ("2.10",)).kind == "up"
    assert Change("a", ("2.10",), ("2.9",)).kind == "down"
    assert python_lock("a==2.10\na==2.9\n")["a"] == ("2.9", "2.10")


def test_npm_locks_are_read_by_package_not_by_place() -> None:
    lock = {
        "packages": {
            "": {"name": "proxy", "version": "1"},
            "node_modules/@a/b": {"version": "1.0.0"},
            "node_modules/c/node_modules/@a/b": {"version": "2.0.0-beta.1"},
            "node_modules/alias": {"name": "real", "version": "3.0.0"},
            "packages/own": {"version": "9.9.9"},
        }
    }
    assert npm_lock(json.dumps(lock)) == {"@a/b": ("1.0.0", "2.0.0-beta.1"), "real": ("3.0.0",)}
    assert npm_lock("") == {}


@pytest.mark.parametrize(
    ("before", "after", "major"),
    [
        ("2.3.1", "2.4.0", False),
        ("2.3.1", "3.0.0", True),
        ("0.9", "0.10", False),
        ("1.0", "1!1.0", True),
        ("2024.1", "2025.1", True),
        ("not-a-version-1", "not-a-version-2", True),
    ],
)
def test_a_jump_of_the_major_version_is_seen(before: str, after: str, major: bool) -> None:
    assert Change("a", (before,), (after,)).major is major


def test_the_same_change_in_several_locks_is_one_line() -> None:
    after = BEFORE.replace("2.3.1", "2.4.0")
    text = report(BEFORE, after, names=("lab", "torch")).text()
    assert text == "Newer (1)\n  numpy 2.3.1 → 2.4.0 (lab, torch)\n"


def test_every_kind_of_change_is_told_major_ones_first() -> None:
    after = "numpy==2.3.2 \\\n    --hash=sha256:00\npandas==3.0.0\npolars==1.0\nuvicorn[standard]==0.0.9\n"
    found = Report.of(
        {
            "lab": (python_lock(BEFORE + "old==1\n"), python_lock(after)),
            "hub": (python_lock("x==1"), python_lock("x==1")),
        }
    )
    assert found.text(["lab", "torch"]).splitlines() == [
        "Newer (2)",
        "  pandas 2.2.0 and 2.3.0 → 3.0.0 (lab): new major version",
        "  numpy 2.3.1 → 2.3.2 (lab)",
        "",
        "Older (1)",
        "  uvicorn 0.1 → 0.0.9 (lab)",
        "",
        "Added (1)",
        "  polars 1.0 (lab)",
        "",
        "Removed (1)",
        "  old 1 (lab)",
        "",
        "Nothing changed in: hub",
        "",
        "The next build makes these images anew: lab, torch",
    ]
    assert "**Removed (1)**\n\n- old 1 (lab)\n" in found.text(markdown=True)


def test_that_nothing_changed_is_said() -> None:
    assert report(BEFORE, BEFORE).text() == "Nothing changed: every lock is as it is committed.\n"


versions = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    st.lists(st.sampled_from(["1.0", "1.1", "2.0"]), min_size=1, max_size=2, unique=True).map(
        lambda found: tuple(sorted(found))
    ),
)


@given(versions, versions)
def test_the_changes_lead_from_one_state_to_the_other(before: Lock, after: Lock) -> None:
    found = dict(before)
    for change in changes(before, after):
        assert found.get(change.name, ()) == change.before
        if change.after:
            found[change.name] = change.after
        else:
            del found[change.name]
    assert found == after
    assert [str(c) for c in changes(after, before) if c.kind == "added"] == [
        str(c) for c in changes(before, after) if c.kind == "removed"
    ]


# ---- against git --------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a lock of each kind committed."""
    package = '{"packages": {"node_modules/a": {"version": "1.0.0"}}}'
    files = {
        "locks/lab.txt": BEFORE,
        "locks/constraints.in": "numpy<3",
        "images/proxy/package-lock.json": package,
    }
    return committed(tmp_path, files)


def test_the_comparison_is_with_what_is_committed_and_can_be_repeated(checkout: Path) -> None:
    (checkout / "locks/lab.txt").write_text(BEFORE.replace("2.3.1", "2.4.0"))
    (checkout / "locks/torch.txt").write_text("torch==2.13.0\n")
    first = refresh.compare(checkout)
    assert set(first) == {"locks/lab.txt", "locks/torch.txt", "images/proxy/package-lock.json"}
    titles = {refresh.title_of(path): both for path, both in first.items()}
    assert Report.of(titles).text().splitlines() == [
        "Newer (1)",
        "  numpy 2.3.1 → 2.4.0 (lab)",
        "",
        "Added (1)",
        "  torch 2.13.0 (torch)",
        "",
        "Nothing changed in: proxy (npm)",
    ]
    assert refresh.compare(checkout) == first


def test_images_on_a_changed_lock_and_their_descendants_are_named(root: Path) -> None:
    catalog = Catalog.load(root / "images" / "images.toml")
    changed: tuple[Lock, Lock] = ({"a": ("1",)}, {"a": ("2",)})
    found = refresh.rebuilt(catalog, {"locks/base.txt": changed, "locks/hub.txt": ({}, {})})
    assert found == [n for n in catalog.images if "base" in catalog.lineage(n)]
    assert refresh.rebuilt(catalog, {"images/proxy/package-lock.json": changed}) == ["proxy"]
    assert set(refresh.rebuilt(catalog, {"locks/tool.txt": changed})) == {
        n for n in catalog.images if any(catalog.images[a].tool for a in catalog.lineage(n))
    } | {"tool"}
