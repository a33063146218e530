"""What is built, in which order, and what a build is told: the rules of the shelf."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub.catalog import Catalog, Image
from madang_hub.image_table import OUTSIDE_PARENT
from madang_hub.shelf import build, plan, site
from madang_hub.shelf.explain import explain

REAL = Catalog.load(Path(__file__).resolve().parents[2] / "images" / "images.toml")


def shelf(parents: Mapping[str, str], release: str = "1") -> Catalog:
    """A catalogue whose images have these parents, in this order."""
    images = {n: Image(n, p, f"images/{n}", (f"locks/{n}.txt",), ()) for n, p in parents.items()}
    return dataclasses.replace(REAL, release=release, images=images)


@st.composite
def shelves(draw: st.DrawFn) -> Catalog:
    """Forests of up to eight images, listed in any order."""
    names = [f"i{number}" for number in range(draw(st.integers(1, 8)))]
    parents = {
        name: draw(st.sampled_from([OUTSIDE_PARENT, *names[:number]]))
        for number, name in enumerate(names)
    }
    return shelf({name: parents[name] for name in draw(st.permutations(names))})


def inputs(catalog: Catalog) -> dict[str, str]:
    return {name: f"files of {name}" for name in catalog.images}


# ---- order --------------------------------------------------------------------------------


@given(shelves(), st.data())
def test_parents_come_first_and_nothing_twice_or_in_vain(
    catalog: Catalog, data: st.DataObject
) -> None:
    names = data.draw(st.lists(st.sampled_from(list(catalog.images)), unique=True))
    found = plan.order(catalog, names)
    assert len(found) == len(set(found))
    assert set(found) == {ancestor for name in names for ancestor in catalog.lineage(name)}
    for name in found:
        parent = catalog.images[name].parent
        assert parent == OUTSIDE_PARENT or found.index(parent) < found.index(name)


def test_a_tool_comes_before_those_that_borrow_it_and_its_change_reaches_them() -> None:
    plain = shelf({"lab": "base", "base": OUTSIDE_PARENT, "guard": OUTSIDE_PARENT, "tool": "guard"})
    images = {
        n: dataclasses.replace(i, tool="tool") if n == "lab" else i for n, i in plain.images.items()
    }
    catalog = dataclasses.replace(plain, images=images)
    assert plan.order(catalog, ["lab"]) == ["base", "guard", "tool", "lab"]
    before = plan.fingerprints(catalog, inputs(catalog), "base")
    after = plan.fingerprints(catalog, {**inputs(catalog), "tool": "other files"}, "base")
    assert {n for n in images if before[n] != after[n]} == {"tool", "lab"}


def test_a_shared_dockerfile_is_among_what_a_build_reads() -> None:
    assert "images/python.Dockerfile" in plan.inputs_of(REAL, "torch")
    assert "images/python.Dockerfile" not in plan.inputs_of(REAL, "lab")


def test_without_names_everything_is_built() -> None:
    assert set(plan.order(REAL)) == set(REAL.images)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(plan.UnknownImage, match=r"no image labb; there are base, lab"):
        plan.order(shelf({"base": OUTSIDE_PARENT, "lab": "base"}), ["base", "labb"])


# ---- fingerprints -------------------------------------------------------------------------


@given(shelves(), st.data())
def test_a_change_reaches_the_image_and_its_descendants_only(
    catalog: Catalog, data: st.DataObject
) -> None:
    changed = data.draw(st.sampled_from(list(catalog.images)))
    before = plan.fingerprints(catalog, inputs(catalog), "base")
    after = plan.fingerprints(catalog, {**inputs(catalog), changed: "other files"}, "base")
    differ = {name for name in catalog.images if before[name] != after[name]}
    assert differ == {name for name in catalog.images if changed in catalog.lineage(name)}


@given(shelves())
def test_release_and_outside_image_reach_everything(catalog: Catalog) -> None:
    before = plan.fingerprints(catalog, inputs(catalog), "base")
    renewed = plan.fingerprints(catalog, inputs(catalog), "a newer base")
    released = plan.fingerprints(dataclasses.replace(catalog, release="2"), inputs(catalog), "base")
    for name in catalog.images:
        assert len({before[name], renewed[name], released[name]}) == 3


def test_another_parent_is_another_image() -> None:
    one = shelf({"base": OUTSIDE_PARENT, "other": OUTSIDE_PARENT, "lab": "base"})
    two = shelf({"base": OUTSIDE_PARENT, "other": OUTSIDE_PARENT, "lab": "other"})
    before, after = (plan.fingerprints(c, inputs(c), "base") for c in (one, two))
    assert before["lab"] != after["lab"]
    assert before["base"] == after["base"]


def test_stale_is_what_has_another_label_or_none() -> None:
    wanted = {"a": "1", "b": "2", "c": "3"}
    assert plan.stale(["a", "b", "c"], wanted, {"a": "1", "b": "old", "c": ""}) == ["b", "c"]
    assert plan.stale(["a"], wanted, {}) == ["a"]


# ---- what a build reads -------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the image ``base`` and the child ``lab``."""
    for name, text in {
        "images/base/Dockerfile": "FROM x",
        "images/base/start": "#!/bin/sh",
        "images/base/etc/settings.json": "{}",
        "images/lab/Dockerfile": "FROM base",
        "locks/base.txt": "a==1",
        "locks/lab.txt": "b==1",
        **dict.fromkeys(plan.COMMON, ""),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def of(checkout: Path) -> dict[str, str]:
    catalog = shelf({"base": OUTSIDE_PARENT, "lab": "base"})
    found = {n: plan.digest(checkout, plan.inputs_of(catalog, n)) for n in catalog.images}
    return plan.fingerprints(catalog, found, "base")


Change = Callable[[Path], object]


@pytest.mark.parametrize(
    ("change", "differ"),
    [
        pytest.param(lambda c: (c / "images/base/start").write_text("x"), "base lab", id="content"),
        pytest.param(lambda c: (c / "images/base/start").chmod(0o755), "base lab", id="mode"),
        pytest.param(
            lambda c: (c / "images/base/start").rename(c / "images/base/begin"),
            "base lab",
            id="name",
        ),
        pytest.param(lambda c: (c / "images/lab/more").write_text(""), "lab", id="new file"),
        pytest.param(
            lambda c: (c / "images/base/etc/settings.json").unlink(), "base lab", id="removed file"
        ),
        pytest.param(lambda c: (c / "locks/base.txt").write_text("a==2"), "base lab", id="lock"),
        pytest.param(lambda c: (c / "locks/lab.txt").write_text("b==2"), "lab", id="child's lock"),
        pytest.param(lambda c: (c / "images/site").write_text("x"), "base lab", id="common file"),
        pytest.param(lambda c: (c / "README.md").write_text("x"), "", id="unread file"),
        pytest.param(
            lambda c: (c / "images/base/__pycache__").mkdir(), "", id="cache of the interpreter"
        ),
        pytest.param(lambda c: (c / "images/base/start").touch(), "", id="time alone"),
    ],
)
def test_what_makes_an_image_stale(checkout: Path, change: Change, differ: str) -> None:
    before = of(checkout)
    change(checkout)
    after = of(checkout)
    assert [name for name in before if before[name] != after[name]] == differ.split()


def test_every_file_that_the_real_table_names_is_there(root: Path) -> None:
    for name in REAL.images:
        assert [p for p in plan.inputs_of(REAL, name) if not (root / p).exists()] == []
        assert (root / REAL.images[name].dockerfile).is_file()


# ---- messages -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "hint"),
    [
        ("cause: Hash mismatch for `x==1`", "x==1 differs from its lock"),
        (
            "Because there is no version of torch==2.13.0+cpu and you",
            "say where PyTorch's CPU build",
        ),
        ("there is no version of numpy==9 and you", "the package index has no numpy==9"),
        ("error: Failed to download `numpy==2.4.6`\n cause: refused", "numpy==2.4.6 cannot be had"),
        ("  × Failed to build `pysam==0.24.1`", "pysam==0.24.1 has no ready-made wheel"),
        ("SSL: certificate verify failed", "mirrors-and-certificates"),
        ("Temporary failure: Could not resolve 'deb'", "no network"),
        ("E: Unable to locate package nano", "the Debian mirror lacks nano"),
        ("write /x: no space left on device", "disk is full"),
        ("#9 ERROR: process did not complete\nmore", "#9 ERROR: process did not complete"),
        ("", "see the log"),
    ],
)
def test_a_failed_build_says_why_and_where_to_look(output: str, hint: str) -> None:
    message = explain("lab", output, Path("build/log/image-lab.log"))
    first, *_ = message.splitlines()
    assert first.startswith("The image lab cannot be built: ")
    assert hint in first
    assert message.endswith("build/log/image-lab.log.")


# ---- mirrors and secrets ------------------------------------------------------------------


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What pip and npm of "this machine" are set to; a test fills it in."""
    found: dict[str, str] = {}
    keys = {"registry": "npm", "global.index-url": "pip"}
    monkeypatch.setattr(
        site,
        "_setting",
        lambda command, environ: found.get(keys.get(command[-1], command[-1]), ""),
    )
    return found


def test_what_is_not_set_is_not_handed_in(settings: dict[str, str]) -> None:
    assert settings == {}
    assert site.mirrors({}) == {}


def test_a_mirror_of_pip_serves_uv_as_well(settings: dict[str, str]) -> None:
    settings["pip"] = "https://mirror.example/simple"
    mirrors = site.mirrors({})
    assert mirrors["PIP_INDEX_URL"] == mirrors["UV_DEFAULT_INDEX"] == settings["pip"]


def test_the_environment_wins_over_pips_file(settings: dict[str, str]) -> None:
    settings["pip"] = "https://mirror.example/simple"
    found = site.mirrors({"PIP_INDEX_URL": "https://other.example/simple"})
    assert found["PIP_INDEX_URL"] == "https://other.example/simple"


@pytest.mark.parametrize("index", ["file:///opt/mirror", "/opt/mirror", ""])
def test_an_index_on_this_machine_is_not_handed_in(settings: dict[str, str], index: str) -> None:
    settings["pip"] = index
    assert site.mirrors({"PIP_INDEX_URL": index}) == {}


def test_further_indexes_and_links_go_to_pip_and_uv(settings: dict[str, str]) -> None:
    settings["global.extra-index-url"] = "https://a.example/cpu file:///opt/x https://b.example/"
    settings["global.find-links"] = "/opt/wheels https://c.example/list https://d.example/list"
    assert site.mirrors({}) == {
        "PIP_EXTRA_INDEX_URL": "https://a.example/cpu https://b.example/",
        "UV_INDEX": "https://a.example/cpu https://b.example/",
        "PIP_FIND_LINKS": "https://c.example/list https://d.example/list",
        "UV_FIND_LINKS": "https://c.example/list,https://d.example/list",
    }


def test_a_folder_of_wheels_is_found(settings: dict[str, str], tmp_path: Path) -> None:
    cpu, usual = "numpy==2\ntorch==2.13.0+cpu \\\n    --hash=x\n", "torch==2.13.0 \\\n    # a+b\n"
    assert site.wheels(cpu, {}) is None
    folder = tmp_path / "내 바퀴"
    folder.mkdir()
    settings["global.find-links"] = f"https://c.example/list {folder.as_uri()}"
    assert site.wheels(cpu, {}) == folder
    assert site.wheels(usual, {}) is None, "an installer would prefer the local version"
    assert site.wheels(cpu, {"PIP_FIND_LINKS": str(tmp_path)}) == tmp_path
    assert site.wheels(cpu, {"PIP_FIND_LINKS": str(tmp_path / "missing")}) is None


def test_proxies_in_either_spelling(settings: dict[str, str]) -> None:
    given = {"https_proxy": "http://p.example:3128", "NO_PROXY": "localhost", "HTTP_PROXY": ""}
    assert site.mirrors(given) == {
        "https_proxy": "http://p.example:3128",
        "NO_PROXY": "localhost",
    }


def test_a_password_of_a_mirror_is_in_a_file_and_in_no_argument(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    address = "https://somebody:Geheim'nis@mirror.example/simple"
    settings["pip"] = address
    seen: dict[str, str] = {}

    def run(command: list[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        if command[:2] == ["docker", "build"]:
            seen["command"] = " ".join(command)
            source = next(w for w in command if w.startswith("id=mirrors,src=")).split("src=")[1]
            seen["file"] = source
            shell = f'. "{source}"; printf %s "$PIP_INDEX_URL"'
            done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
            seen["index"] = done.stdout
        return subprocess.CompletedProcess(
            command, 0, "sha256:1" if "{{.Id}}" in command else "{}", ""
        )

    monkeypatch.setattr(build, "_run", run)
    for name in (
        "images",
        "locks",
        "mlflow",
        "extensions",
        "tutorials",
        ".dockerignore",
        "jupyterhub_config.py",
    ):
        (tmp_path / name).symlink_to(root / name)
    built = build.build(REAL, tmp_path, ["guard"], {})
    assert [str(b) for b in built] == [f"{REAL.reference('guard')}: built"]
    assert "Geheim" not in seen["command"]
    assert seen["index"] == address
    assert not Path(seen["file"]).exists(), "the secret must not outlive the build"


def test_an_engine_that_does_not_answer_is_not_taken_for_an_empty_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        build,
        "_run",
        lambda command, environ: subprocess.CompletedProcess(
            command, 1, "", "Cannot connect to the Docker daemon"
        ),
    )
    with pytest.raises(build.BuildError, match="cannot be asked"):
        build._label("madang/lab:1", {})
