"""What will be packed of a notebook's folder, what its author is told, and the archive of it."""

from __future__ import annotations

import io
import json
import os
import socket
import tarfile
import tempfile
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.snapshots import packed

from madang_hub.dashboards import bounds as theirs
from madang_hub.dashboards.archive import Manifest, received
from madang_hub.dashboards.refusals import ArchiveRefusedError
from madang_lab.publish import bounds as ours
from madang_lab.publish import plan as rules
from madang_lab.publish.bounds import Fault, Limits
from madang_lab.publish.folder import plan
from madang_lab.publish.packing import ChangedMeanwhileError, TooMuchError, pack
from madang_lab.publish.plan import File, Note, Plan, Warn
from madang_lab.publish.reading import Cell, Read, cells, reads
from madang_lab.publish.sentences import SENTENCES, said, summary

MIB = 2**20


def test_who_packs_and_who_unpacks_go_by_the_same_rules() -> None:
    assert Path(ours.__file__).read_bytes() == Path(theirs.__file__).read_bytes()


def code(*sources: str, **fields: Any) -> dict[str, Any]:
    """A notebook of code cells."""
    made: list[dict[str, Any]] = [
        {"cell_type": "code", "source": s, "metadata": {}, "outputs": [], "execution_count": None}
        for s in sources
    ]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made, **fields}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


@pytest.fixture
def folder(home: Path) -> Path:
    """A folder with a notebook and what usually lies around."""
    made = home / "판매"
    for path, content in {
        "판매.ipynb": json.dumps(code("import pandas as pd\ndf = pd.read_csv('data/a.csv')")),
        "data/a.csv": "1,2\n",
        "helper.py": "X = 1\n",
        ".git/config": "[core]",
        ".madang/state": "x",
        ".env": "PASSWORD=x",
        ".ipynb_checkpoints/판매-checkpoint.ipynb": "{}",
        "data/.DS_Store": "x",
        "__pycache__/helper.cpython-311.pyc": "x",
        "old.pyc": "x",
        "env/pyvenv.cfg": "home = /usr",
        "env/lib/x.py": "x",
    }.items():
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_text(content, encoding="utf-8")
    return made


def archived(made: Plan) -> bytes:
    target = io.BytesIO()
    pack(made, target)
    return target.getvalue()


def taken(tmp_path: Path, sent: bytes) -> Manifest:
    with received(io.BytesIO(sent), tmp_path / "versions", theirs.Limits()) as incoming:
        incoming.keep()
        return incoming.manifest


# ---- what is packed ---------------------------------------------------------------------------------


def test_the_folder_goes_along_without_what_is_hidden_or_made_again(
    folder: Path, home: Path
) -> None:
    (folder / "link.csv").symlink_to("data/a.csv")
    (folder / "far").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    made = plan(folder / "판매.ipynb", home)
    assert [f.path for f in made.files] == ["data/a.csv", "helper.py", "판매.ipynb"]
    assert made.notebook == "판매.ipynb"
    assert made.size == sum((folder / f.path).stat().st_size for f in made.files)
    assert dict(made.left) == {
        ".git": "hidden",
        ".madang": "hidden",
        ".env": "hidden",
        ".ipynb_checkpoints": "hidden",
        "data/.DS_Store": "hidden",
        "__pycache__": "made again",
        "old.pyc": "made again",
        "env": "environment",
        "link.csv": "link",
        "far": "link",
        "pipe": "special",
    }
    assert (made.stops, made.warnings, made.ready) == ((), (), True)
    assert made.unseen == 1  # the data


def test_it_comes_out_of_the_archive_as_it_went_in(
    folder: Path, home: Path, tmp_path: Path
) -> None:
    made = plan(folder / "판매.ipynb", home)
    manifest = taken(tmp_path, archived(made))
    assert [(f.path, f.size) for f in manifest.files] == [(f.path, f.size) for f in made.files]
    for file in made.files:
        there = tmp_path / "versions" / manifest.content / "files" / file.path
        assert there.read_bytes() == (folder / file.path).read_bytes()


def test_the_same_files_are_the_same_archive(folder: Path, home: Path, tmp_path: Path) -> None:
    first = archived(plan(folder / "판매.ipynb", home))
    again = home / "copy"
    again.mkdir()
    for path in ("판매.ipynb", "helper.py", "data/a.csv"):
        (again / path).parent.mkdir(exist_ok=True)
        (again / path).write_bytes((folder / path).read_bytes())
        (again / path).chmod(0o600)
        os.utime(again / path, (1, 1))
    second = archived(plan(again / "판매.ipynb", home))
    assert first == second
    # nobody's name and no time is in it
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.uname, member.mode) == (0, 0, "", 0o644)
    assert first[4:8] == bytes(4)
    # and the service names by content, whoever packed
    other = packed(*((m, (folder / m.name).read_bytes()) for m in _members(first)))
    assert taken(tmp_path, other) == taken(tmp_path, first)


NAMES = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=20)


def _members(sent: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(sent)) as tar:
        return tar.getmembers()


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=40), max_size=5))
def test_whatever_a_plan_lets_through_the_service_takes(contents: dict[str, bytes]) -> None:
    """And what the service would refuse, the plan stops."""
    with tempfile.TemporaryDirectory() as work:
        home = Path(work, "home")
        folder = home / "f"
        folder.mkdir(parents=True)
        (folder / "n.ipynb").write_text(json.dumps(code()))
        for name, content in contents.items():
            try:
                (folder / name).write_bytes(content)
            except OSError:
                continue  # a name that no file has
        made = plan(folder / "n.ipynb", home)
        if made.ready:
            manifest = taken(Path(work), archived(made))
            assert {f.path for f in manifest.files} == {f.path for f in made.files}
        else:
            assert {note.kind for note in made.stops} <= {*get_args(Fault)}


# ---- what stops ---------------------------------------------------------------------------------------


def kinds(made: Plan) -> list[tuple[str, str]]:
    assert not made.ready
    with pytest.raises(ValueError, match="stops"):
        pack(made, io.BytesIO())
    return [(note.kind, note.path) for note in made.stops]


def test_names_that_the_service_would_refuse(folder: Path, home: Path) -> None:
    for name in ("manifest.json", "A.csv", "a.csv", "back\\slash", "\u1112\u1161\u11ab"):
        (folder / name).touch()
    assert kinds(plan(folder / "판매.ipynb", home)) == [
        ("alike", "a.csv"),
        ("characters", "back\\slash"),
        ("reserved", "manifest.json"),
        ("form", "\u1112\u1161\u11ab"),
    ]


def test_more_than_the_service_takes(folder: Path, home: Path) -> None:
    notebook = folder / "판매.ipynb"
    assert kinds(plan(notebook, home, Limits(entries=3))) == [("entries", "")]
    (folder / "big").write_bytes(bytes(MIB))
    assert kinds(plan(notebook, home, Limits(total=MIB))) == [("total", "")]
    assert kinds(plan(notebook, home, Limits(file=MIB - 1))) == [("file", "big")]


def test_what_cannot_be_read(folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so what the system says is put in its place."""
    shut, real = folder / "data", os.scandir

    def scandir(path: Path) -> Any:
        if path == shut:
            raise PermissionError
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder / "helper.py")
    assert kinds(plan(folder / "판매.ipynb", home)) == [
        ("unreadable", "helper.py"),
        ("unreadable", "data"),
    ]


def test_a_home_is_not_published(home: Path) -> None:
    (home / "a.ipynb").write_text(json.dumps(code()))
    assert kinds(plan(home / "a.ipynb", home)) == [("home", "")]
    (home.parent / "a.ipynb").write_text(json.dumps(code()))
    assert kinds(plan(home.parent / "a.ipynb", home)) == [("home", "")]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"nbformat": 3, "worksheets": []}'])
def test_what_is_no_notebook(folder: Path, home: Path, content: str) -> None:
    (folder / "판매.ipynb").write_text(content)
    assert kinds(plan(folder / "판매.ipynb", home)) == [("notebook", "판매.ipynb")]


def test_a_link_to_a_notebook_is_none(folder: Path, home: Path) -> None:
    (folder / "b.ipynb").symlink_to("판매.ipynb")
    with pytest.raises(FileNotFoundError):
        plan(folder / "b.ipynb", home)
    (folder / ".hidden.ipynb").write_text(json.dumps(code()))
    assert kinds(plan(folder / ".hidden.ipynb", home)) == [("notebook", ".hidden.ipynb")]


def test_files_that_change_while_they_are_packed(folder: Path, home: Path) -> None:
    made = plan(folder / "판매.ipynb", home)
    helper = folder / "helper.py"
    # what a link leads to is as long as the file was
    (home / "twin").write_bytes(helper.read_bytes())
    for change in (
        lambda: helper.write_text("longer than before"),
        lambda: helper.write_text(""),
        helper.unlink,
        lambda: helper.symlink_to(home / "twin"),
        helper.unlink,
        lambda: os.mkfifo(helper),
    ):
        change()
        with pytest.raises(ChangedMeanwhileError, match=r"helper\.py"):
            pack(made, io.BytesIO())


def test_a_folder_that_became_a_link_is_not_followed(folder: Path, home: Path) -> None:
    made = plan(folder / "판매.ipynb", home)
    (folder / "data").rename(home / "elsewhere")
    (folder / "data").symlink_to(home / "elsewhere")
    with pytest.raises(ChangedMeanwhileError, match=r"data/a\.csv"):
        pack(made, io.BytesIO())


@pytest.mark.parametrize(
    ("kind", "content", "limits"),
    [
        ("packed", os.urandom(5000), {"packed": 4000}),
        ("ratio", bytes(2 * MIB), {"spared": MIB}),
    ],
    ids=["packed", "ratio"],
)
def test_what_only_packing_shows_to_be_too_much(
    folder: Path, home: Path, tmp_path: Path, kind: str, content: bytes, limits: dict[str, int]
) -> None:
    (folder / "a.bin").write_bytes(content)
    made = plan(folder / "판매.ipynb", home)
    target = io.BytesIO()
    with pytest.raises(TooMuchError) as found:
        pack(made, target, Limits(**limits))
    assert found.value.note.kind == kind
    # the service would have said no as well
    target.seek(0)
    with (
        pytest.raises(ArchiveRefusedError),
        received(target, tmp_path / "versions", theirs.Limits(**limits)),
    ):
        pass


# ---- what the code reads ---------------------------------------------------------------------------------


def read(*sources: str) -> list[Read]:
    return reads(cells(code(*sources)))


FOLDER = "/home/jovyan/work"
THERE = {
    "/home/jovyan/data.csv",
    "/home/jovyan/work/.env",
    "/home/jovyan",
    "~/x.csv",
    "/usr/bin/env",
    "/home/jovyan/work/a.csv",
}
READS: list[tuple[str, str | None]] = [
    ("pd.read_csv('a.csv')", None),
    ("pd.read_csv('data/b.csv')", None),
    ("pd.read_csv('./data/../a.csv')", None),
    ("os.listdir('data')", None),
    ("pd.read_csv('c.csv')", "missing"),
    ("open('c.txt')", "missing"),
    ("open('out.txt', 'w')", None),
    ("open('out.txt', mode='a')", None),
    ("x = 'c.csv'", None),
    ("pd.read_csv('/home/jovyan/data.csv')", "absolute path"),
    ("p = '/home/jovyan/data.csv'", "absolute path"),
    ("pd.read_csv('/nowhere/data.csv')", "absolute path"),
    ("pd.read_csv('file:///home/jovyan/data.csv')", "absolute path"),
    ("route = '/api/items'", None),
    ("open('/usr/share/dict/words')", None),
    ("np.load('~/x.csv')", "absolute path"),
    ("p = '~/x.csv'", "absolute path"),
    ("pd.read_csv('../data.csv')", "outside"),
    ("sys.path.append('..')", "outside"),
    ("pd.read_csv('https://example.org/a.csv')", None),
    ("pd.read_csv('s3://bucket/a.csv')", None),
    ("open('.env')", "left out"),
    ("f'/home/jovyan/{name}.csv'", None),
    ("!cat /home/jovyan/data.csv", "absolute path"),
    ("%run ../data.csv", "outside"),
    ("%%bash\ncat '/home/jovyan/data.csv'", None),
    ("this is ' no Python '/home/jovyan/data.csv' at all", None),
    ("no Python: read('/home/jovyan/data.csv')", "absolute path"),
    ("x = 'a\\x00b/c'", None),
]


@pytest.mark.parametrize("number", range(len(READS)))
def test_what_the_code_reads_and_will_not_be_there(number: int) -> None:
    source, kind = READS[number]
    found = rules.warnings(read("", source), ["a.csv", "data/b.csv"], FOLDER, THERE.__contains__)
    assert [note.kind for note in found] == ([kind] if kind else [])
    assert all(note.cell == 2 for note in found)


def test_where_it_stands() -> None:
    notebook = code("", "# first\npd.read_csv('../data.csv')\n\nopen('../data.csv')")
    found = rules.warnings(reads(cells(notebook)), [], FOLDER, THERE.__contains__)
    assert [(n.cell, n.line, n.path) for n in found] == [
        (2, 2, "../data.csv"),
        (2, 4, "../data.csv"),
    ]


@given(st.text(max_size=80))
def test_no_cell_is_too_odd_to_be_read(source: str) -> None:
    reads([Cell(1, "code", source)])


# ---- secrets ------------------------------------------------------------------------------------------------

# put together, so that no scanner finds this file
SECRETS = {
    "Hugging Face Token": 'login("' + "hf_" + 'abcdefghijklmnopqrstuvwxyzABCDEF12")',
    "OpenAI or Anthropic Key": "print('" + "sk-" + "proj-aB3dE6gH9jK2mN5pQ8sT1vW4xY7zA0cF')",
    "GitHub Token": "t = '" + "ghp_" + "1234567890abcdefghijklmnopqrstuvwxyz'",
    "GitLab Token": "t = '" + "glpat-" + "aB3dE6gH9jK2mN5pQ8sT'",
    "PyPI Token": "t = '" + "pypi-" + "AgEIcHlwaS5vcmcCJGU1M2QxYjRlLWE5ZjctNGMyZC04ZTZi'",
    "AWS Access Key": "k = '" + "AKIA" + "QYLPMN5HHHFPZAM2'",
    "Basic Auth Credentials": "url = 'postgresql://kim:" + "s3cr3tpw9@db/x'",
    "Secret Keyword": "pass" + "word = 'hunter2hunter2'",
}
CLEAN = [
    "import os\npassword = os.environ['PASSWORD']",
    "from getpass import getpass\ntoken = getpass()",
    "df = df.set_index('key')\nkey = data['key']",
    "model.fit(x, y)  # secret sauce",
    "x = 'hf_transfer'",
]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the scanner asks the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
def test_secrets_are_found_where_they_stand_and_not_repeated(folder: Path, home: Path) -> None:
    sources = [f"# a\n{text}" for text in SECRETS.values()]
    notebook = code(*CLEAN, *sources)
    notebook["cells"][0]["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": ["token\n", SECRETS["GitHub Token"]]}
    ]
    (folder / "판매.ipynb").write_text(json.dumps(notebook))
    (folder / "helper.py").write_text("x = 1\n" + SECRETS["AWS Access Key"])
    (folder / "data" / "big.py").write_text(SECRETS["AWS Access Key"] + "\n#" + "x" * 300_000)
    made = plan(folder / "판매.ipynb", home)
    found = {(n.path, n.cell, n.line, n.what) for n in made.warnings if n.kind == "secret"}
    wanted = {("판매.ipynb", len(CLEAN) + n, 2, kind) for n, kind in enumerate(SECRETS, start=1)}
    assert wanted <= found
    assert ("판매.ipynb", 1, 0, "GitHub Token") in found
    assert ("helper.py", 0, 2, "AWS Access Key") in found
    # nothing was found in what is clean, and the secrets themselves are nowhere
    assert {(p, c) for p, c, _, _ in found} == {
        ("helper.py", 0),
        ("판매.ipynb", 1),
        *((p, c) for p, c, _, _ in wanted),
    }
    assert "hunter2" not in repr(made)
    assert made.unseen == 2  # the data, and a file that is too large
    assert made.ready


def test_a_private_key_is_found_and_a_marked_line_is_not(folder: Path, home: Path) -> None:
    lines = ["MIIEpAIBAAKCAQEA7bq98Zx1yKw3mT5vQ2sLr8dN4fGhJkPoXcVbZaWeRtYuIoPq"] * 12
    key = "\n".join(
        ["-----BEGIN RSA PRIVATE " + "KEY-----", *lines, "-----END RSA PRIVATE KEY-----"]
    )
    (folder / "id.pem").write_text(key)
    (folder / "helper.py").write_text(SECRETS["Secret Keyword"] + "  # pragma: allowlist secret")
    made = plan(folder / "판매.ipynb", home)
    assert [(n.path, n.what) for n in made.warnings] == [("id.pem", "Private Key")]


def test_what_is_not_looked_through_is_counted(folder: Path, home: Path) -> None:
    (folder / "broken.ipynb").write_text("{")
    (folder / "long.ipynb").write_text(json.dumps(code("x = 1\n#" + "x" * 300_000)))
    shown = code("1", "2", "3")
    for cell, data in zip(
        shown["cells"],
        (
            {"image/png": "x" * 300_000},
            {"text/html": ["<b>", SECRETS["GitHub Token"]]},
            {"application/json": {"key": SECRETS["AWS Access Key"]}},
        ),
        strict=True,
    ):
        cell["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": data}]
    (folder / "shown.ipynb").write_text(json.dumps(shown))
    made = plan(folder / "판매.ipynb", home)
    assert made.unseen == 3  # and the data
    found = {(n.path, n.cell, n.line, n.what) for n in made.warnings if n.kind == "secret"}
    assert found >= {
        ("shown.ipynb", 2, 0, "GitHub Token"),
        ("shown.ipynb", 3, 0, "AWS Access Key"),
    }


# ---- what is said ---------------------------------------------------------------------------


def test_everything_is_said_in_both_languages(folder: Path, home: Path) -> None:
    made = plan(folder / "판매.ipynb", home)
    every = {k for a in get_args(rules.Stop) for k in (get_args(a) or (a,))} | {*get_args(Warn)}
    assert every <= SENTENCES.keys()
    for kind in every:
        for note in (
            Note(kind, "a.csv", 3, 2, "Key"),
            Note(kind, "판매.ipynb", 3, 0, "Key"),
            Note(kind, "a.csv", 0, 2, "Key"),
        ):
            english, korean = (
                said({"MADANG_LANG": language}, note, made, Limits()) for language in ("en", "ko")
            )
            assert english != korean
            assert "{" not in english + korean


def test_how_a_note_and_the_whole_read(folder: Path, home: Path) -> None:
    made = plan(folder / "판매.ipynb", home)
    english = {"MADANG_LANG": "en"}
    outside = Note("outside", "../\x1b[31mdata.csv", 3, 2)
    assert said(english, outside, made, Limits()) == (
        r"Cell 3, line 2, uses ../\x1b[31mdata.csv, which lies outside of the notebook's folder and is not "
        "published. Copy it into the folder."
    )
    secret = Note("secret", "helper.py", 0, 2, "AWS Access Key")
    assert said({}, secret, made, Limits()).startswith(
        "helper.py의 2번째 줄에 비밀 정보(AWS Access Key)가"
    )
    assert summary(english, made) == [
        f"3 files, {made.size} B, from {folder}",
        "Not published: 8 hidden files, links and caches.",
        "Not looked through for secrets to the end: 1 files (data, pictures, large files).",
    ]


def test_what_stops_is_told_of_every_file() -> None:
    files = [File("a//b", 1), File("ok", 1), File("x" * 300, 1)]
    assert [n.kind for n in rules.stops(files, Limits())] == ["odd", "long"]
