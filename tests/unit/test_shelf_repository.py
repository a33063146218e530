"""What a repository asks for: repo2docker's files, what is refused and where, and archives of all kinds."""

from __future__ import annotations

import io
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from madang_hub.shelf import archive, conda
from madang_hub.shelf.archive import files_of
from madang_hub.shelf.repository import (
    APT,
    MAX_FILE,
    REFUSED,
    Reading,
    RepositoryError,
    read,
    relevant,
)


def asked(**files: str) -> Reading:
    """The reading of files at the top; ``_`` in a name is a dot."""
    return read({name.replace("_", "."): text.encode() for name, text in files.items()})


def faults(files: dict[str, str | bytes]) -> list[str]:
    """What is wrong, in English."""
    given = {n: t.encode() if isinstance(t, str) else t for n, t in files.items()}
    with pytest.raises(RepositoryError) as wrong:
        read(given)
    for fault in wrong.value.faults:
        assert fault.text("ko")
    return [fault.text("en") for fault in wrong.value.faults]


# ---- what is taken --------------------------------------------------------------------------


def test_requirements_and_debian_packages() -> None:
    found = asked(
        requirements_txt="# ours\npandas >= 2.2  # tables\npolars[numpy]\\\n ==1.*\n\n"
        "rich; python_version<'4'\n",
        apt_txt="graphviz\n# comment\nffmpeg libgl1\ngraphviz\n",
        runtime_txt="python-3.11\n",
    )
    assert found.requirements == (
        "pandas>=2.2",
        "polars[numpy]==1.*",
        'rich; python_version < "4"',
    )
    assert found.apt == ("graphviz", "ffmpeg", "libgl1")
    assert set(found.files) == {"requirements.txt", "apt.txt", "runtime.txt"}


def test_the_folder_binder_is_all_that_counts_where_it_is() -> None:
    found = read({"binder/apt.txt": b"tree", "requirements.txt": b"numpy", "Dockerfile": b"FROM x"})
    assert (found.requirements, found.apt) == ((), ("tree",))
    assert faults({"binder/apt.txt": "tree", ".binder/apt.txt": "x1"})[0].startswith(".binder: ")


def test_environment_yml_counts_before_requirements() -> None:
    found = asked(
        environment_yml="name: x\nchannels: [conda-forge]\ndependencies:\n- python=3.11\n- pip\n"
        "- numpy=1.26\n- pandas>=2,<3\n- scipy==1.11.4\n- polars =1.2\n- pip:\n  - rich>13\n",
        requirements_txt="flask",
    )
    assert found.requirements == (
        "numpy==1.26.*",
        "pandas<3,>=2",
        "scipy==1.11.4",
        "polars==1.2.*",
        "rich>13",
    )
    assert "requirements.txt is not read" in found.notes[0]


def test_hashes_are_dropped_and_setup_py_is_not_run() -> None:
    found = asked(requirements_txt="rich==13.0 --hash=sha256:00 --hash=sha256:11", setup_py="evil")
    assert found.requirements == ("rich==13.0",)
    assert len(found.notes) == 2
    assert "setup.py" not in found.files


# ---- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_files_that_run_code_or_are_of_other_languages_are_refused(name: str) -> None:
    (found,) = faults({name: "x", "requirements.txt": "rich"})
    assert found.startswith(f"{name}: ")
    assert faults({f"binder/{name}": "x", "binder/apt.txt": "tree"})[0].startswith(
        f"binder/{name}: "
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("-r more.txt", "another file"),
        ("--requirement=more.txt", "another file"),
        ("-e .", "folder of the repository"),
        ("./here", "folder of the repository"),
        ("--index-url https://evil.example", "option of pip"),
        ("--extra-index-url=https://evil.example", "option of pip"),
        ("-f https://evil.example", "option of pip"),
        ("git+https://example.org/x.git", "address"),
        ("x @ git+https://example.org/x.git", "address"),
        ("x @ file:///etc/passwd", "address"),
        ("https://example.org/x.whl", "address"),
        ("pandas==", "no requirement"),
        ("two words", "no requirement"),
        ("$(touch /tmp/x)", "no requirement"),
    ],
)
def test_a_line_that_cannot_be_is_named_with_its_number(line: str, says: str) -> None:
    (found,) = faults({"requirements.txt": f"rich\n\n{line}\n"})
    assert found.startswith("requirements.txt:3: ")
    assert says in found


def test_everything_wrong_is_said_at_once() -> None:
    found = faults(
        {
            "requirements.txt": "-e .\nok\n-r x\n",
            "apt.txt": "good\n--allow; rm -rf /\n",
            "postBuild": "",
            "runtime.txt": "r-4.1-2021-01-01",
        }
    )
    starts = [f.split(" ")[0] for f in found]
    assert starts == [
        "postBuild:", "requirements.txt:1:", "requirements.txt:3:", "apt.txt:2:", "apt.txt:2:",
        "apt.txt:2:", "runtime.txt:1:",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("r-ggplot2", "conda package only"),
        ("cudatoolkit=11", "conda package only"),
        ("nodejs", "conda package only"),
        ("pytorch", "called torch"),
        ("conda-forge::numpy", "no channels"),
        ("numpy=1.26=py311_0", "no channels"),
        ("numpy 1.26", "no channels"),
        ("numpy>=1|<0.5", "no channels"),
        ("python=3.9", "have Python 3.11"),
        ("[numpy]", "Only package names"),
        ("{conda: [x]}", "Only package names"),
        ("pip: x", "must be a list"),
        ("git+https://example.org/x.git", "no channels"),
    ],
)
def test_what_conda_alone_can_do_is_named(entry: str, says: str) -> None:
    (found,) = faults({"environment.yml": f"dependencies:\n- rich\n- {entry}\n"})
    assert found.startswith("environment.yml:3: ")
    assert says in found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a\n- b\n", "no list"),
        ("x: [", "no valid YAML"),
        ("dependencies: numpy", "must be a list"),
        ("dependencies: [rich]\nvariables: {A: b}\n", "not supported"),
        ("dependencies:\n- pip:\n  - {a: b}\n", "Only package names"),
        ("[" * 5000, "no valid YAML"),
        ("dependencies: &a [*a]", "Only package names"),
    ],
)
def test_a_broken_environment_yml_is_explained(text: str, says: str) -> None:
    assert says in faults({"environment.yml": text})[0]


def test_options_of_pip_are_refused_in_its_list_as_well() -> None:
    (found,) = faults({"environment.yml": "dependencies:\n- pip:\n  - --pre\n"})
    assert found.startswith("environment.yml:3: ")


@pytest.mark.parametrize("wish", ["python-3.11", "python-3", "python-3.11.4"])
def test_our_python_is_fine(wish: str) -> None:
    assert asked(runtime_txt=wish, apt_txt="tree").apt == ("tree",)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"x" * (MAX_FILE + 1), "larger than 64 KB"),
        ("한글".encode("euc-kr"), "UTF-8"),
        (b"a\0b", "UTF-8"),
    ],
)
def test_a_file_that_is_no_small_text_is_refused(content: bytes, says: str) -> None:
    assert says in faults({"requirements.txt": content})[0]


def test_nothing_asked_for_is_said() -> None:
    assert faults({}) == faults({"requirements.txt": "# nothing\n"})
    assert "No package is asked for" in faults({})[0]


@given(st.text(max_size=400))
def test_no_text_makes_anything_but_requirements(text: str) -> None:
    """Whatever stands in the files: what comes out can be neither an option, an address nor for a shell."""
    files = {
        "requirements.txt": text.encode("utf-8", "replace"),
        "apt.txt": text.encode("utf-8", "replace"),
    }
    for given_files in (files, {"environment.yml": files["apt.txt"]}):
        try:
            found = read(given_files)
        except RepositoryError:
            continue
        for line in found.requirements:
            assert "\n" not in line
            assert not line.startswith("-")
            assert Requirement(line).url is None
        assert all(APT.fullmatch(name) for name in found.apt)


@given(
    st.sampled_from(["=", "==", ">=", "<=", "!=", "~=", "<", ">"]),
    st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,2}){1,2}", fullmatch=True),
)
def test_condas_versions_are_valid_versions(operator: str, version: str) -> None:
    found = conda.specifier(operator + version)
    assert found is not None
    assert Requirement(f"x{found}").specifier
    assert (found == f"=={version}.*") == (operator == "=")


# ---- archives -------------------------------------------------------------------------------


def zipped(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return data.getvalue()


def tarred(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as made:
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            made.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
    return data.getvalue()


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_both_kinds_with_and_without_a_folder_of_the_forge(pack: object) -> None:
    assert callable(pack)
    plain = {
        "requirements.txt": b"rich",
        "binder/apt.txt": b"tree",
        "src/x.py": b"",
        "a/b/apt.txt": b"no",
    }
    wanted = {"requirements.txt": b"rich", "binder/apt.txt": b"tree"}
    assert files_of(pack(plain)) == wanted
    assert files_of(pack({f"course-main/{n}": c for n, c in plain.items()})) == wanted
    assert files_of(pack({"binder/apt.txt": b"tree"})) == {"binder/apt.txt": b"tree"}
    assert files_of(pack({"../requirements.txt": b"x", "/etc/apt.txt": b"y"})) == {}


def test_links_are_no_files() -> None:
    assert files_of(tarred({}, {"requirements.txt": "/etc/passwd"})) == {}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        link = zipfile.ZipInfo("apt.txt")
        link.external_attr = 0o120777 << 16
        made.writestr(link, "/etc/passwd")
    assert files_of(data.getvalue()) == {}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no .zip and no .tar.gz"),
        (b"%PDF-1.4", "no .zip and no .tar.gz"),
        (zipped({"requirements.txt": b"rich"})[:40], "damaged"),
        (tarred({"requirements.txt": b"rich"})[:40], "damaged"),
        (b"\x1f\x8b" + b"\0" * 50, "damaged"),
    ],
    # the archives hold the time
    ids=["empty", "pdf", "half a zip", "half a tar", "no gzip"],
)
def test_no_archive(data: bytes, says: str) -> None:
    with pytest.raises(RepositoryError, match=says):
        files_of(data)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    many = zipped({"requirements.txt": b"\0" * 50_000_000})
    assert len(files_of(many)["requirements.txt"]) == MAX_FILE + 1
    monkeypatch.setattr(archive, "MAX_UNPACKED", 1_000_000)
    with pytest.raises(RepositoryError, match="too much"):
        files_of(tarred({"big.bin": b"\0" * 2_000_000, "apt.txt": b"tree"}))
    monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
    for pack in (zipped, tarred):
        with pytest.raises(RepositoryError, match="too much"):
            files_of(pack({f"f{n}": b"" for n in range(5)}))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for start in (b"", b"PK\x03\x04", b"\x1f\x8b"):
        try:
            files_of(start + data)
        except RepositoryError:
            pass


def test_only_the_files_of_the_conventions_matter() -> None:
    assert relevant("binder/apt.txt") == "binder/apt.txt"
    assert [
        relevant(p) for p in ("x/apt.txt", "apt.txt.bak", "binder/x/apt.txt", "", "/apt.txt")
    ] == [""] * 5
