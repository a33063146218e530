"""What is said in one place is true in the others."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from traitlets import HasTraits

from madang_hub import reference
from madang_hub.catalog import Catalog
from madang_hub.local import MadangLocalSpawner
from madang_hub.people.authenticator import DirectoryAuthenticator, LocalAuthenticator
from madang_hub.shelf.offering import Shelf
from madang_hub.spawner import MadangSpawner
from madang_hub.web import pages


@pytest.mark.parametrize(
    "kind", [MadangSpawner, MadangLocalSpawner, DirectoryAuthenticator, LocalAuthenticator]
)
def test_every_trait_of_ours_explains_itself(kind: type[HasTraits]) -> None:
    theirs: set[str] = set()
    upstream: Any
    for upstream in kind.__mro__:
        if not upstream.__module__.startswith("madang_hub") and hasattr(upstream, "class_traits"):
            theirs |= set(upstream.class_traits())
    ours = set(kind.class_traits()) - theirs
    assert ours
    for name in ours:
        trait = kind.class_traits()[name]
        assert len(trait.help) > 20, name
        if trait.metadata.get("config"):
            assert (
                "Default:" in trait.help or "Required" in trait.help or "required" in trait.help
            ), name


def test_reference_pages_are_fresh(root: Path) -> None:
    for path, text in reference.pages(root).items():
        assert path.read_text(encoding="utf-8") == text, (
            f"run python -m madang_hub.reference: {path.name}"
        )


def test_the_picker_offers_what_the_table_offers(root: Path) -> None:
    catalog = Catalog.load(root / "images" / "images.toml")

    class Group:
        name = "class:2026-a"

    class User:
        name = "kim"
        admin = True
        groups = (Group(),)

    class Spawner:
        user = User()
        user_options: dict[str, str] = {}  # noqa: RUF012  # nothing changes it
        handler = None
        log = None

    form = pages.options_form(Shelf(catalog))(Spawner())
    offered = set(re.findall(r'name="environment"[^>]*value="([^"]+)"', form))
    assert offered == set(catalog.environments)
    assert {name for name in catalog.sizes if f'value="{name}"' in form} == set(catalog.sizes)


def test_makefile_builds_what_the_table_names(root: Path) -> None:
    listed = subprocess.run(
        [str(root / "scripts" / "madang"), "catalog", "images"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert listed == list(Catalog.load(root / "images" / "images.toml").images)


def test_compose_uses_images_of_the_table_and_every_setting(root: Path) -> None:
    text = (root / "docker-compose.yml").read_text(encoding="utf-8")
    catalog = Catalog.load(root / "images" / "images.toml")
    used = set(re.findall(r"image: madang/([a-z-]+):", text))
    assert used <= set(catalog.images)
    below = {n for image in catalog.images.values() for n in (image.parent, image.tool)}
    # the dashboards' service starts containers of that image (a later part of the stack)
    stack = set(catalog.images) - set(catalog.environments) - below - {"dashboard"}
    assert used == stack


@pytest.mark.parametrize("folder", ["mlflow", "images", "tutorials", "docs", "scripts"])
def test_no_deploy_folder_is_a_package(root: Path, folder: str) -> None:
    assert not list((root / folder).glob("**/__init__.py"))


def test_every_target_of_the_makefile_has_its_help(root: Path) -> None:
    text = (root / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?m)^([a-z][a-z/%-]*):", text):
        assert re.search(rf"(?m)^{re.escape(target)}:.*## .", text), target


def test_no_host_of_a_registry_is_named(root: Path) -> None:
    """Mirrors come from the machine's own settings."""
    tracked = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    hosts = re.compile(
        "|".join(
            (
                "pypi" + r"\.org",
                "pythonhosted" + r"\.org",
                "npmjs" + r"\.org",
                "deb" + r"\.debian" + r"\.org",
            )
        )
    )
    found = [
        name
        for name in tracked
        if name
        and (root / name).is_file()
        and hosts.search((root / name).read_text(errors="replace"))
    ]
    assert not found
