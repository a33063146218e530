"""People's own packages: the rules, and the layer itself on a small environment (real Python, real uv)."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.wheels import make_wheel

from madang_lab import env_command, fittings, uv
from madang_lab.layer import PYTHON, Layer, bytes_of, is_full, layer_of, site_of
from madang_lab.packages import Packages
from madang_lab.shadows import KERNEL_PARTS, Package, Shadow, key_of, name_of, shadowed

MEMBER = Path(__file__).resolve().parents[2] / "extensions" / "madang-lab"


# ---- the rules ----------------------------------------------------------------------------

NAMES = st.sampled_from(["numpy", "pandas", "ipykernel", "seaborn", "mine"])
VERSIONS = st.sampled_from(["1.0", "2.0", "2.1"])
PACKAGES = st.dictionaries(NAMES, VERSIONS).map(
    lambda found: [Package(name, version) for name, version in found.items()]
)


@given(PACKAGES, PACKAGES)
def test_a_shadow_is_in_both_at_different_versions(
    own: list[Package], image: list[Package]
) -> None:
    found = shadowed(own, image)
    assert found == sorted(found)
    for one in found:
        assert one.own != one.instead_of
        assert Package(one.name, one.own) in own
        assert Package(one.name, one.instead_of) in image
    both = {p.name for p in own} & {p.name for p in image}
    same = {p.name for p in own if p in image}
    assert {one.name for one in found} == both - same


@given(PACKAGES, PACKAGES, PACKAGES)
def test_a_key_names_one_state(
    own: list[Package], later: list[Package], image: list[Package]
) -> None:
    one, two = shadowed(own, image), shadowed(later, image)
    assert (key_of(one) == key_of(two)) == (one == two)
    assert key_of(reversed(one)) == key_of(one)
    assert key_of([]) == ""


def test_names_are_normalised() -> None:
    assert name_of("Jupyter__Client.X") == "jupyter-client-x"


def test_what_a_kernel_needs_is_in_every_image(root: Path) -> None:
    lock = (root / "locks" / "base.txt").read_text("ascii")
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    assert locked >= KERNEL_PARTS
    assert {"pip", "uv"} <= locked
    assert Shadow("ipykernel", "7", "6").in_kernel
    assert not Shadow("numpy", "7", "6").in_kernel


# ---- a small environment ------------------------------------------------------------------


@dataclass
class Place:
    """An environment that has ``base-thing`` 1.0, and a person's home."""

    prefix: Path
    home: Path
    wheels: Path

    @property
    def layer(self) -> Layer:
        return layer_of(self.environ, self.prefix)

    @property
    def environ(self) -> Mapping[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": f"{self.prefix / 'bin'}:/usr/bin:/bin",
            "MADANG_ENVIRONMENT": "lab",
            "MADANG_LANG": "en",
            "UV_OFFLINE": "1",
            "UV_NO_INDEX": "1",
            "UV_FIND_LINKS": str(self.wheels),
        }

    def run(self, *words: str, fails: bool = False, **environ: str) -> str:
        """What a command says in the layer, as a terminal runs it."""
        done = subprocess.run(
            [str(self.prefix / "bin" / "madang-layer"), *words],
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def version(self, module: str) -> str:
        """Which version a kernel in the layer imports."""
        return self.run("python", "-c", f"import {module}; print({module}.__version__)").strip()


@pytest.fixture(scope="module")
def environment(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix = tmp_path_factory.mktemp("environment")
    tool = root / "build" / "env" / "tool" / "bin" / "uv"
    subprocess.run([str(tool), "venv", "-q", "--clear", "-p", sys.executable, prefix], check=True)
    shutil.copy(MEMBER / "bin" / "madang-layer", prefix / "bin")
    (prefix / "bin" / "uv").symlink_to(tool)
    (site_of(prefix) / "member.pth").write_text(f"{MEMBER}\n")
    wheel = make_wheel(tmp_path_factory.mktemp("wheel"), "base-thing", "1.0")
    shutil.unpack_archive(wheel, site_of(prefix), "zip")
    kernel = prefix / "share" / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "logo.svg").write_text("<svg/>")
    arguments = ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(
        json.dumps({"argv": arguments, "display_name": "Python 3", "language": "python"})
    )
    subprocess.run([str(prefix / "bin" / "python"), "-m", "madang_lab.fittings"], check=True)
    return prefix


@pytest.fixture
def place(environment: Path, tmp_path: Path) -> Place:
    home, wheels = tmp_path / "home", tmp_path / "wheels"
    home.mkdir()
    wheels.mkdir()
    return Place(environment, home, wheels)


def test_a_new_layer_sees_the_environment_and_is_its_own(place: Place) -> None:
    code = "import sys, base_thing; print(sys.prefix, sys.executable, base_thing.__version__)"
    layer = place.layer.folder
    assert place.run("python", "-c", code) == f"{layer} {layer}/bin/python 1.0\n"
    assert layer.name == f"lab-py{PYTHON.removeprefix('python')}"
    assert place.layer.usable
    assert place.layer.own() == []
    assert {path.name for path in layer.parent.iterdir()} == {layer.name, ".lock"}
    assert place.run("sh", "-c", "echo $VIRTUAL_ENV").strip() == str(layer)


def test_without_a_command_it_is_a_shell(place: Place) -> None:
    assert place.run(SHELL="/usr/bin/env").splitlines()[-1:] != [""]
    assert f"VIRTUAL_ENV={place.layer.folder}" in place.run(SHELL="/usr/bin/env")


def test_kernels_are_ipykernels_own_in_and_without_the_layer(environment: Path) -> None:
    for language, name in fittings.PLAIN.items():
        folder = environment / "share" / "madang" / language / "kernels"
        inside = json.loads((folder / "python3" / "kernel.json").read_text("utf-8"))
        plain = json.loads((folder / "python3-plain" / "kernel.json").read_text("utf-8"))
        arguments = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
        assert inside["argv"] == [f"{environment}/bin/madang-layer", "python", *arguments]
        assert plain["argv"] == [f"{environment}/bin/python", *arguments]
        assert (inside["display_name"], plain["display_name"]) == ("Python 3", name)
        assert (folder / "python3-plain" / "logo.svg").is_file()


def test_uv_takes_what_the_environment_has(place: Place) -> None:
    """The newer one that the index has is left alone: what is there fits."""
    make_wheel(place.wheels, "base-thing", "2.0")
    make_wheel(place.wheels, "wanting", "1.0", "", "base-thing>=1.0")
    said = place.run("uv", "pip", "install", "wanting")
    assert "+ wanting==1.0" in said
    assert "base-thing" not in said
    assert place.layer.own() == [Package("wanting", "1.0")]
    assert [info.name for info in place.layer.site.glob("*.dist-info")] == ["wanting-1.0.dist-info"]
    assert list(place.layer.site.rglob("wanting.*.pyc")), "not compiled"
    assert place.version("base_thing") == "1.0"
    # by Python's own way to it as well, which %uv takes
    assert "base-thing" in place.run("uv", "pip", "list")
    make_wheel(place.wheels, "wanting", "2.0", "", "base-thing>=2.0")
    assert "+ base-thing==2.0" in place.run("uv", "pip", "install", "wanting>=2.0")
    assert place.version("base_thing") == "2.0"


def test_uv_installs_in_front_and_the_image_is_back_afterwards(place: Place) -> None:
    make_wheel(place.wheels, "base-thing", "2.0")
    before = sorted(site_of(place.prefix).rglob("*"))
    assert "+ base-thing==2.0" in place.run("uv", "pip", "install", "base-thing==2.0")
    assert place.version("base_thing") == "2.0"
    place.run("uv", "pip", "uninstall", "base-thing")
    assert place.version("base_thing") == "1.0"
    # the environment's own cannot be taken away
    place.run("uv", "pip", "uninstall", "base-thing")
    assert place.version("base_thing") == "1.0"
    assert sorted(site_of(place.prefix).rglob("*")) == before


def test_stand_ins_of_a_killed_uv_are_no_packages_and_go(place: Place) -> None:
    place.run("true")
    uv._put(place.layer)
    assert [info.name for info in place.layer.site.glob("*.dist-info")] == [
        "base_thing-1.0.dist-info"
    ]
    assert place.layer.own() == []
    with uv.stand_ins(place.layer):
        pass
    assert list(place.layer.site.glob("*.dist-info")) == []


@pytest.mark.parametrize(
    ("line", "sees"),
    [
        ("pip install numpy", True),
        ("--quiet pip install -r x.txt", True),
        ("pip list", True),
        ("pip uninstall numpy", False),
        ("pip sync x.txt", False),
        ("venv", False),
        ("run pip-tool install", False),
        ("", False),
    ],
)
def test_uv_sees_the_environment_for_pips_words(line: str, sees: bool) -> None:
    layer = Path("/home/x/.madang/packages/lab-py3.11")
    assert uv.sees_the_environment(line.split(), {"VIRTUAL_ENV": str(layer)}, layer) == sees
    # in a project's own environment uv is left as it is
    assert not uv.sees_the_environment(line.split(), {"VIRTUAL_ENV": "/home/x/.venv"}, layer)


# ---- what may be wrong --------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        "bin/python",
        "bin/uv",
        "pyvenv.cfg",
        ".madang",
        f"lib/{PYTHON}/site-packages/_madang.pth",
        "bin",
    ],
)
def test_a_damaged_layer_is_repaired_and_keeps_its_packages(place: Place, damage: str) -> None:
    make_wheel(place.wheels, "mine", "1.0")
    place.run("uv", "pip", "install", "mine")
    path = place.layer.folder / damage
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
        path.write_text("")
    if damage == "bin/uv":
        # not looked at on every start; a new mark (another image) writes it anew
        (place.layer.folder / ".madang").write_text("old\n")
    assert place.version("mine") == "1.0"
    assert place.version("base_thing") == "1.0"
    assert place.layer.usable
    assert mode_of(place.layer.folder / "bin" / "uv") == 0o755


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("part", ["", "lib", f"lib/{PYTHON}/site-packages", "bin"])
def test_what_cannot_be_repaired_is_set_aside(place: Place, part: str) -> None:
    place.run("true")
    path = place.layer.folder / part
    shutil.rmtree(path)
    path.write_text("mine")
    assert "is set aside" in place.run("true")
    assert place.version("base_thing") == "1.0"
    [aside] = place.layer.folder.parent.glob("*.aside-*")
    assert (aside / part if part else aside).read_text() == "mine"


def test_a_link_that_leads_nowhere_is_set_aside(place: Place) -> None:
    place.layer.folder.parent.mkdir(parents=True)
    place.layer.folder.symlink_to("nowhere")
    assert "is set aside" in place.run("true")
    assert place.layer.usable


def test_where_no_layer_can_be_a_kernel_runs_without(place: Place) -> None:
    (place.home / ".madang").write_text("no folder")
    code = "import sys, base_thing; print(sys.prefix, base_thing.__version__)"
    said = place.run("python", "-c", code)
    assert f"{place.prefix} 1.0" in said
    assert "cannot be used now" in said
    assert "쓸 수 없습니다" in said
    assert not place.layer.usable


def test_many_first_starts_at_once_make_one_layer(place: Place) -> None:
    program = str(place.prefix / "bin" / "madang-layer")
    code = "import sys; print(sys.prefix)"
    started = [
        subprocess.Popen(
            [program, "python", "-c", code],
            env=dict(place.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for process in started:
        said, errors = process.communicate(timeout=60)
        assert (said.strip(), errors) == (str(place.layer.folder), "")
    made = {path.name for path in place.layer.folder.parent.iterdir()}
    assert made == {place.layer.folder.name, ".lock"}


def test_another_python_gets_a_layer_of_its_own(place: Place) -> None:
    place.layer.folder.parent.mkdir(parents=True)
    old = place.layer.folder.parent / "lab-py3.9"
    (old / "bin").mkdir(parents=True)
    (old / "bin" / "python").symlink_to("/usr/bin/python3.9")
    assert place.version("base_thing") == "1.0"
    assert place.layer.usable
    assert "lab-py3.9" in "\n".join(env_command.show(place.environ, place.layer))


# ---- what people are told -----------------------------------------------------------------


def test_the_page_is_told_what_is_replaced(place: Place) -> None:
    packages = Packages(place.layer)
    nothing = {"trouble": "", "shadows": [], "key": ""}
    assert packages.state() == nothing
    place.run("true")
    assert packages.state() == nothing
    make_wheel(place.wheels, "base-thing", "2.0")
    place.run("uv", "pip", "install", "base-thing==2.0")
    row = {"name": "base-thing", "own": "2.0", "instead_of": "1.0", "kernel": False}
    assert packages.state() == {
        "trouble": "",
        "shadows": [row],
        "key": "base-thing=2.0<1.0",
    }
    (place.layer.folder / ".madang").unlink()
    assert packages.state() == {**nothing, "trouble": "broken"}
    place.run("uv", "pip", "uninstall", "base-thing")
    assert packages.state() == nothing


def test_a_full_home_is_told_apart_from_a_damaged_layer(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("madang_lab.packages.is_full", lambda folder: True)
    assert Packages(place.layer).state()["trouble"] == "full"
    # what is there already works in a full home too
    place.run("true")
    assert Packages(place.layer).state()["trouble"] == ""
    monkeypatch.undo()
    assert not is_full(place.layer.folder / "not" / "there")


def test_the_list_and_the_way_back(place: Place) -> None:
    for name, version in (("base-thing", "2.0"), ("mine", "1.0")):
        make_wheel(place.wheels, name, version)
    python = str(place.prefix / "bin" / "python")
    assert "not added any" in place.run(python, "-m", "madang_lab.command", "env", "list")
    place.run("uv", "pip", "install", "base-thing==2.0", "mine")
    said = env_command.show(place.environ, place.layer)
    assert said[:2] == ["base-thing 2.0  (instead of 1.0)", "mine 1.0"]
    assert said[2].startswith(f"{place.layer.folder.name}: ")
    korean = env_command.show({**place.environ, "MADANG_LANG": "ko"}, place.layer)
    assert korean[0] == "base-thing 2.0  (1.0 대신 사용)"

    removed = env_command.reset(place.environ, place.layer, datetime(2026, 11, 25, 9, 30))
    assert removed[0].startswith("Removed 2 packages")
    assert place.layer.own() == []
    assert place.version("base_thing") == "1.0"
    [kept] = place.layer.folder.parent.glob("*.txt")
    assert kept.name == f"{place.layer.folder.name}-20261125-093000.txt"
    assert str(kept) in removed[1]
    place.run("uv", "pip", "install", "-r", str(kept))
    assert place.version("base_thing") == "2.0"


@pytest.mark.parametrize("language", ["ko", "en"])
def test_reset_by_name_takes_only_that(place: Place, language: str) -> None:
    place.run("true")
    other = place.layer.folder.parent / "torch-py3.11"
    other.mkdir()
    words = (str(place.prefix / "bin" / "python"), "-m", "madang_lab.command", "env", "reset")
    assert "../.." in place.run(*words, "../..", fails=True, MADANG_LANG=language)
    place.run(*words, "torch-py3.11", MADANG_LANG=language)
    assert not other.exists()
    assert place.layer.usable
    place.run(*words, MADANG_LANG=language)


def test_reset_helps_where_the_layer_is_no_folder(place: Place) -> None:
    place.layer.folder.parent.mkdir(parents=True)
    place.layer.folder.write_text("")
    env_command.reset(place.environ, place.layer, datetime(2026, 11, 25))
    place.run("true")
    assert place.layer.folder.is_dir()


def test_every_sentence_has_both_languages() -> None:
    for sentence in env_command.SENTENCES.values():
        assert set(sentence) == {"ko", "en"}
        assert re.search("[가-힣]", sentence["ko"])
        places = re.compile(r"\{\w+\}")
        assert sorted(set(places.findall(sentence["ko"]))) == sorted(
            set(places.findall(sentence["en"]))
        )


def test_bytes_are_those_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "file").write_bytes(os.urandom(100_000))
    (tmp_path / "link").symlink_to("/etc")
    assert 100_000 <= bytes_of(tmp_path) < 140_000
    assert bytes_of(tmp_path / "none") == 0
