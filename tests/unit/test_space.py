"""What takes room in a home, and what of it may go."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_lab import space_command
from madang_lab.home_scan import remove, scan
from madang_lab.space import Emptiable, freed, is_whole, kind_of, largest_folders, parent_of
from madang_lab.words import path_words, size_words

MIB = 2**20
KNOWN_HERE = frozenset({"lab", "torch"})


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        (".cache/pip", "cache"),
        (".cache/uv", "cache"),
        (".cache/matplotlib", "cache"),
        (".cache/huggingface/hub", "downloads"),
        (".cache/torch/hub", "downloads"),
        (".local/share/Trash", "trash"),
        (".ipynb_checkpoints", "checkpoints"),
        ("수업/1주차/.ipynb_checkpoints", "checkpoints"),
        (".madang/packages/energy-py3.11", "packages"),
        (".madang/packages/.gone-lab-py3.11", "leftover"),
        # the person's own, or in use
        ("", ""),
        (".cache", ""),
        (".cache/huggingface", ""),
        (".cache/huggingface/token", ""),
        (".cache/mine", ""),
        ("data/.cache/pip", ""),
        ("pip", ""),
        (".local/share", ""),
        (".madang/packages/lab-py3.9", ""),
        (".madang/packages/energy-py3.11.aside-20261125-093000", ""),
        (".madang/packages/energy", ""),
        ("x/.madang/packages/energy-py3.11", ""),
        ("ipynb_checkpoints", ""),
    ],
)
def test_what_may_go(folder: str, kind: str) -> None:
    assert kind_of(folder, KNOWN_HERE) == kind


def test_no_packages_go_where_the_environments_are_not_known() -> None:
    assert kind_of(".madang/packages/energy-py3.11", frozenset()) == ""
    assert space_command.environments_of({"MADANG_ENVIRONMENT": "lab"}) == frozenset()
    told = {"MADANG_ENVIRONMENT": "rescue", "MADANG_ENVIRONMENTS": "lab torch"}
    assert space_command.environments_of(told) == {"lab", "torch", "rescue"}


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), max_size=12))
def test_a_listed_folder_says_where_the_room_is(leaves: list[list[str]]) -> None:
    folders = {"": 0}
    for parts in leaves:
        for depth in range(len(parts) + 1):
            path = "/".join(parts[:depth])
            folders[path] = folders.get(path, 0) + 1
    rows = largest_folders(folders, 5, 2)
    assert len(rows) <= 5
    assert [size for _, size in rows] == sorted((size for _, size in rows), reverse=True)
    for folder, size in rows:
        assert folder
        assert size == folders[folder] >= 2
        inside = [s for path, s in folders.items() if path and parent_of(path) == folder]
        assert max(inside, default=0) < 0.8 * size


def test_a_file_with_several_names_is_free_when_all_of_them_go() -> None:
    cache, packages = Emptiable(".cache/uv", "cache"), Emptiable("p", "packages")
    cache.add(7)
    for one in (cache, cache, packages):
        one.add(100, number=5, names=3)
    assert (freed([cache]), freed([packages]), freed([cache, packages])) == (7, 0, 107)


def test_sizes_and_names_in_words() -> None:
    sizes = (0, 400_000, 37 * MIB, 999 * MIB, 1200 * MIB)
    assert [size_words(size) for size in sizes] == ["0 B", "0.4 MB", "37 MB", "999 MB", "1.2 GB"]
    assert path_words("큰 파일.bin") == "큰 파일.bin"
    assert path_words("a\nb\x1b[2J\udcff") == r"a\nb\x1b[2J\udcff"
    assert is_whole("mine/.git")
    assert not is_whole("mine")


# ---- a home on the disk -------------------------------------------------------------------


def fill(file: Path, mib: int) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(os.urandom(mib * MIB))
    return file


@pytest.fixture
def home(tmp_path: Path) -> Path:
    found = tmp_path / "home"
    found.mkdir()
    return found


def names(home: Path, **environ: str) -> set[str]:
    return {one.path for one in scan(home, space_command.environments_of(environ)).emptiable}


def test_sizes_are_added_up_and_links_not_followed(home: Path, tmp_path: Path) -> None:
    outside = fill(tmp_path / "outside" / "other.bin", 5)
    big = fill(home / "수업" / "깊은" / "큰\n파일.bin", 3)
    (home / "same.bin").hardlink_to(big)
    (home / "link").symlink_to(outside.parent)
    (home / "one").symlink_to(outside)
    space = scan(home)
    assert 3 * MIB <= space.size < 4 * MIB
    assert (
        space.folders["수업"]
        == space.folders["수업/깊은"] + os.lstat(home / "수업").st_blocks * 512
    )
    assert "link" not in space.folders
    assert len([path for path, size in space.files if size >= 3 * MIB]) == 1
    assert space.unread == ()


def test_what_is_one_thing_is_not_taken_apart(home: Path) -> None:
    layer = ".madang/packages/lab-py3.11"
    fill(home / layer / "lib" / "big.so", 2)
    fill(home / "work" / ".git" / "objects" / "pack", 2)
    fill(home / ".cache" / "pip" / "http" / "x", 2)
    space = scan(home, KNOWN_HERE)
    assert {layer, "work/.git", ".cache/pip"} <= set(space.folders)
    assert not [path for path in space.folders if re.search("objects|lib|http", path)]
    assert space.files == ()
    assert [one.path for one in space.emptiable] == [".cache/pip"]


def test_a_way_over_a_link_is_nobodys_cache(home: Path, tmp_path: Path) -> None:
    """Neither a folder that is a link, nor one that is reached by one."""
    kept = [fill(tmp_path / "team" / name / "x", 1) for name in ("pip", "Trash")]
    (home / ".cache").symlink_to(tmp_path / "team")
    (home / ".local/share").mkdir(parents=True)
    (home / ".local/share/Trash").symlink_to(tmp_path / "team" / "Trash")
    assert names(home) == set()
    # and when it becomes one after the look
    assert not remove(home, ".cache/pip")
    assert not remove(home, ".local/share/Trash")
    assert all(file.exists() for file in kept)


def test_a_link_inside_goes_and_what_it_leads_to_stays(home: Path, tmp_path: Path) -> None:
    kept = fill(tmp_path / "team" / "x", 1)
    trash = home / ".local/share/Trash"
    trash.mkdir(parents=True)
    (trash / "to team").symlink_to(kept.parent)
    assert remove(home, ".local/share/Trash")
    assert not trash.exists()
    assert kept.exists()
    assert remove(home, ".local/share/Trash"), "removed meanwhile is removed"


@contextmanager
def as_somebody(home: Path) -> Iterator[None]:
    """Not as root, whom nothing keeps out."""
    if os.geteuid() != 0:
        yield
        return
    for path in (home, *home.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_cannot_be_read_or_removed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        fill(home / "closed" / "x", 1)
        fill(home / ".cache" / "pip" / "fixed" / "x", 1)
        fill(home / ".cache" / "uv" / "x", 1)
        with as_somebody(home):
            (home / "closed").chmod(0)
            (home / ".cache/pip/fixed").chmod(0o500)
            space = scan(home)
            said = space_command.show({"MADANG_LANG": "en"}, home, space, 0)
            status = space_command.clean({"MADANG_LANG": "en"}, home, space, sure=True)
            (home / "closed").chmod(0o700)
            assert (home / ".cache/pip/fixed/x").exists()
            (home / ".cache/pip/fixed").chmod(0o700)
        assert space.unread == ("closed",)
        assert said[-1] == "Not counted, because they cannot be read (1): closed"
        assert status == 1
        assert capsys.readouterr().err == "Could not be removed entirely: .cache/pip\n"
        assert not (home / ".cache" / "uv").exists()


# ---- the command --------------------------------------------------------------------------


def madang(
    home: Path,
    *arguments: str,
    answer: str = "",
    code: int = 0,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> str:
    member = Path(__file__).resolve().parents[2] / "extensions" / "madang-lab"
    done = subprocess.run(
        [sys.executable, "-m", "madang_lab.command", "space", *arguments],
        env={
            "HOME": str(home),
            "PYTHONPATH": str(member),
            "PYTHONUTF8": "1",
            "MADANG_LANG": "en",
            **environ,
        },
        input=answer,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def full_of(home: Path) -> Mapping[str, Path]:
    """A file in everything that may go, and in what may not."""
    return {
        "pip": fill(home / ".cache/pip/http/a", 2),
        "models": fill(home / ".cache/huggingface/hub/b", 3),
        "checkpoints": fill(home / "수업\n1/.ipynb_checkpoints/c.ipynb", 1),
        "packages": fill(home / ".madang/packages/old-py3.11/d", 1),
        "mine": fill(home / "수업\n1/e.ipynb", 2),
        "token": fill(home / ".cache/huggingface/token", 1),
        "layer": fill(home / ".madang/packages/lab-py3.11/f", 1),
    }


OFFERED = {"MADANG_ENVIRONMENT": "rescue", "MADANG_ENVIRONMENTS": "lab rescue"}


def test_what_takes_room_is_shown_and_nothing_changes(home: Path) -> None:
    full_of(home)
    before = sorted((str(path), path.stat().st_mtime_ns) for path in home.rglob("*"))
    said = madang(home, environ=OFFERED)
    assert "11 MB in use" in said
    assert r"수업\n1/e.ipynb" in said
    assert "notebook checkpoints  (1 folders)" in said
    assert re.search(r"3\.\d MB  \.cache/huggingface/hub  \(downloads", said)
    assert ".madang/packages/old-py3.11  (own packages for an environment" in said
    assert "in all (`madang space clean` removes it)" in said
    assert sorted((str(path), path.stat().st_mtime_ns) for path in home.rglob("*")) == before
    korean = madang(home, environ={**OFFERED, "MADANG_LANG": "ko"})
    assert "지워도 괜찮은 것, 모두" in korean
    # in the rescue environment HOME is another folder
    assert "11 MB in use" in madang(home / "none", environ={**OFFERED, "MADANG_HOME": str(home)})


@pytest.mark.parametrize("answer", ["\n", "n\n", "nonsense\n"])
def test_only_a_yes_removes(home: Path, answer: str) -> None:
    files = full_of(home)
    assert "Nothing was removed." in madang(home, "clean", answer=answer, environ=OFFERED)
    said = madang(home, "clean", code=1, environ=OFFERED)
    assert "--yes" in said
    assert all(file.exists() for file in files.values())


@pytest.mark.parametrize(("words", "answer"), [(["--yes"], ""), ([], "예\n"), ([], "Y\n")])
def test_a_yes_removes_that_and_nothing_else(home: Path, words: list[str], answer: str) -> None:
    files = full_of(home)
    said = madang(home, "clean", *words, answer=answer, environ=OFFERED)
    assert r"수업\n1/.ipynb_checkpoints" in said
    assert re.search(r"Removed; that made room for 7\.\d MB", said)
    left = {name for name, file in files.items() if file.exists()}
    assert left == {"mine", "token", "layer"}
    assert "There are no caches" in madang(home, "clean", environ=OFFERED)


def test_a_home_that_is_not_there_is_said(home: Path) -> None:
    assert "cannot be read (No such file" in madang(home / "none", code=1)


def test_every_sentence_is_in_both_languages() -> None:
    places = re.compile(r"\{\w+\}")
    for sentence in space_command.SENTENCES.values():
        assert set(sentence) == {"ko", "en"}
        assert re.search("[가-힣]", sentence["ko"])
        ko, en = (sorted(places.findall(sentence[language])) for language in ("ko", "en"))
        assert ko == en
