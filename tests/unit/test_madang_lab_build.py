"""When the JupyterLab extension is built: only if its sources changed, and never half."""

from __future__ import annotations

from pathlib import Path

import pytest

from madang_hub.catalog import Catalog
from madang_hub.deploy import envs, lab_extension
from madang_hub.shelf import build, plan


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with an extension of two files."""
    source = tmp_path / lab_extension.SOURCE
    for name in ("src/index.ts", "package.json"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    return tmp_path


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The builds that were made; each leaves a wheel."""
    made: list[Path] = []

    def note(root: Path, work: Path, dist: Path) -> None:
        made.append(work)
        dist.mkdir(parents=True)
        (dist / "madang_lab-0.1.0-py3-none-any.whl").write_text(f"build {len(made)}")

    monkeypatch.setattr(lab_extension, "_build", note)
    return made


def test_it_is_built_once_for_the_same_sources(checkout: Path, builds: list[Path]) -> None:
    first = lab_extension.ensure(checkout)
    assert lab_extension.ensure(checkout) == first
    assert len(builds) == 1
    (checkout / lab_extension.SOURCE / "src" / "index.ts").write_text("changed")
    assert lab_extension.ensure(checkout).read_text() == "build 2"
    assert len(builds) == 2


def test_a_wheel_that_was_removed_is_built_again(checkout: Path, builds: list[Path]) -> None:
    lab_extension.ensure(checkout).unlink()
    assert lab_extension.ensure(checkout).is_file()
    assert len(builds) == 2


def test_a_build_that_fails_leaves_no_wheel_behind(
    checkout: Path, builds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab_extension.ensure(checkout)
    source = checkout / lab_extension.SOURCE / "package.json"
    source.write_text("broken")

    def fail(root: Path, work: Path, dist: Path) -> None:
        raise envs.BuildError("no network")

    with monkeypatch.context() as patched:
        patched.setattr(lab_extension, "_build", fail)
        with pytest.raises(envs.BuildError, match="no network"):
            lab_extension.ensure(checkout)
    assert list((checkout / "build" / "lab-extension").glob("dist/*")) == []
    # also when the sources are as they were before
    source.write_text("package.json")
    assert lab_extension.ensure(checkout).is_file()
    assert len(builds) == 2


def test_the_copy_holds_the_sources_and_the_packages_only(checkout: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    for name in ("node_modules/react/index.js", "src/gone.ts", "lib/index.js", ".madang-packages"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text("old")
    lab_extension._copy(checkout / lab_extension.SOURCE, work)
    files = {str(path.relative_to(work)) for path in work.rglob("*") if path.is_file()}
    kept = {"node_modules/react/index.js", ".madang-packages"}
    assert files == {*kept, "src/index.ts", "package.json"}


def test_every_user_image_is_built_anew_with_it(root: Path) -> None:
    catalog = Catalog.load(root / "images" / "images.toml")
    assert lab_extension.SOURCE in plan.inputs_of(catalog, "base")
    # what its build reads is let through to the engine
    allowed = (root / ".dockerignore").read_text("utf-8").split()
    folder = lab_extension.folder_of(root).relative_to(root) / "dist"
    assert f"!{folder}" in allowed
    dockerfile = (root / catalog.images["base"].folder / "Dockerfile").read_text("utf-8")
    assert f"source={folder}," in dockerfile


@pytest.mark.parametrize(("names", "count"), [(["base", "lab"], 1), (["hub"], 0), ([], 0)])
def test_an_image_build_makes_it_first_where_it_is_needed(
    root: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], count: int
) -> None:
    asked: list[Path] = []

    def ensure(where: Path) -> Path:
        asked.append(where)
        return where

    monkeypatch.setattr(lab_extension, "ensure", ensure)
    catalog = Catalog.load(root / "images" / "images.toml")
    build._ensure_built_before(catalog, root, names)
    assert asked == [root] * count
