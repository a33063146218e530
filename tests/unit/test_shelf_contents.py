"""What is in an image: the list, the bill of materials made from it, and the labels."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from support.repositories import committed

from madang_hub.catalog import Catalog
from madang_hub.shelf import contents, labels, publish, sbom, sizes
from madang_hub.shelf.contents import Contents, Package
from madang_hub.shelf.sources import UNKNOWN, revision_of

REAL = Catalog.load(Path(__file__).resolve().parents[2] / "images" / "images.toml")

LISTED: dict[str, Any] = {
    "format": 1,
    "image": "lab",
    "release": "0.1.0",
    "system": "Debian GNU/Linux 12 (bookworm)",
    "distro": "debian-12",
    "python_version": "3.11.2",
    "totals": {"python": {"packages": 3, "bytes": 600}},
    "python": [
        {"name": "NumPy", "version": "2.4.0", "licence": "BSD-3-Clause AND MIT", "bytes": 100},
        {
            "name": "odd_one",
            "version": "1",
            "licence": "see /opt/x/LICENSE",
            "bytes": 200,
        },
        {"name": "madang-lab", "version": "0.1.0", "licence": "Apache-2.0", "bytes": 300},
    ],
    "debian": [
        {
            "name": "libperl5.36",
            "version": "5.36.0-7+deb12u2",
            "licence": "GPL-1+ or Artistic; Expat; GPL-2+",
            "bytes": 4096,
            "arch": "amd64",
            "source": "perl",
            "source_version": "5.36.0-7+deb12u2",
        },
        {
            "name": "libc6",
            "version": "1:2.36-9",
            "licence": "not stated",
            "bytes": 1024,
            "arch": "amd64",
            "source": "glibc",
            "source_version": "2.36-9",
        },
    ],
    "npm": [{"name": "@a/b", "version": "1.0.0", "licence": "MIT", "bytes": 5}],
    "other": [{"name": "node", "version": "24.1.0", "licence": "MIT", "bytes": 6}],
}


def documented(**other: Any) -> str:
    facts = {
        "identity": "sha256:1",
        "parent": "madang/base:0.1.0",
        "revision": "a" * 40,
        "created": "2026-11-25T09:00:00+00:00",
        "inputs": "f" * 64,
        "size": 12345,
        "main": ["odd-one", "numpy", "gone"],
        **other,
    }
    return json.dumps(contents.document(json.dumps(LISTED), **facts))


def found() -> Contents:
    return contents.read(documented())


# ---- the list -----------------------------------------------------------------------------


def test_a_document_has_the_list_and_where_it_comes_from() -> None:
    known = found()
    assert (known.image, known.release, known.parent) == ("lab", "0.1.0", "madang/base:0.1.0")
    assert known.built == datetime(2026, 11, 25, 9, tzinfo=UTC)
    assert not known.changed
    assert (known.bytes, known.total("python"), known.total("debian")) == (12345, 600, 5120)
    assert contents.identity(documented()) == "sha256:1"
    assert list(json.loads(documented()))[-4:] == list(contents.KINDS), "the long part comes last"


def test_the_main_packages_are_those_asked_for_in_that_order() -> None:
    assert [p.name for p in found().main_packages] == ["odd_one", "NumPy"]


def test_requirements_are_read_without_comments_versions_and_options() -> None:
    text = "# why\nnumpy\njupyterlab==4.6.6\n  # more\n--constraint x\npandas[excel]>=2  # x\n\n"
    assert contents.asked_for(text) == ["numpy", "jupyterlab", "pandas"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"image": 1, "release": 2, "python": [1]}']
)
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(contents.ContentsError):
        contents.read(text)


def test_a_licence_is_names_or_the_file_that_holds_it() -> None:
    numpy, odd, _ = found().of("python")
    assert (numpy.licence_names, numpy.licence_file) == (("BSD-3-Clause AND MIT",), "")
    assert (odd.licence_names, odd.licence_file) == ((), "/opt/x/LICENSE")
    perl, libc = found().of("debian")
    assert perl.licence_names == ("GPL-1+ or Artistic", "Expat", "GPL-2+")
    assert libc.licence_names == ()


# ---- the bill of materials ----------------------------------------------------------------


def test_the_bill_follows_the_schema_of_cyclonedx() -> None:
    text = sbom.bill(found())
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert error is None, error
    broken = text.replace('"type": "library"', '"type": "something"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


def test_the_same_contents_give_the_same_bill() -> None:
    assert sbom.bill(found()) == sbom.bill(found())


def test_every_package_is_in_the_bill_under_the_name_that_the_world_knows() -> None:
    bill = json.loads(sbom.bill(found()))
    rows = {row["name"]: row for row in bill["components"]}
    assert {name: row.get("purl") for name, row in rows.items()} == {
        "NumPy": "pkg:pypi/numpy@2.4.0",
        "odd_one": "pkg:pypi/odd-one@1",
        "madang-lab": None,
        "libperl5.36": "pkg:deb/debian/libperl5.36@5.36.0-7%2Bdeb12u2"
        "?arch=amd64&distro=debian-12&upstream=perl",
        "libc6": "pkg:deb/debian/libc6@1:2.36-9?arch=amd64&distro=debian-12&upstream=glibc%402.36-9",
        "@a/b": "pkg:npm/%40a/b@1.0.0",
        "node": "pkg:generic/node@24.1.0",
    }
    assert rows["NumPy"]["licenses"] == [{"expression": "BSD-3-Clause AND MIT"}]
    assert rows["libperl5.36"]["licenses"] == [
        {"license": {"id": "GPL-2.0-or-later"}},
        {"license": {"id": "MIT"}},
        {"license": {"name": "GPL-1+ or Artistic"}},
    ]
    assert "licenses" not in rows["libc6"]
    assert {"name": "madang:licence-file", "value": "/opt/x/LICENSE"} in rows["odd_one"][
        "properties"
    ]
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"], root["type"]) == ("madang/lab", "0.1.0", "container")
    assert {"name": "madang:revision", "value": "a" * 40} in root["properties"]
    assert len(bill["dependencies"][0]["dependsOn"]) == len(rows)


def test_debians_licence_names_are_spdx_ids_where_they_mean_the_same() -> None:
    for spdx in sbom.DEBIAN_LICENCES.values():
        package = Package("debian", "x", "1", spdx, 0)
        [made] = sbom._licences(package)
        assert getattr(made, "id", None) == spdx


# ---- labels -------------------------------------------------------------------------------


def test_labels_say_where_an_image_comes_from_and_are_read_back(root: Path) -> None:
    created = datetime(2026, 11, 25, 9, 0, 0, 123, tzinfo=UTC)
    origin = labels.Origin("madang/base:0.1.0", "abc+changes", "f00", created)
    made = labels.labels(REAL, "lab", root, origin)
    assert made["org.opencontainers.image.created"] == "2026-11-25T09:00:00+00:00"
    assert labels.Origin.of(made) == {
        "parent": "madang/base:0.1.0",
        "revision": "abc+changes",
        "inputs": "f00",
        "created": "2026-11-25T09:00:00+00:00",
    }
    assert all(made.values())


def test_every_image_of_the_table_says_what_it_is_for(root: Path) -> None:
    for name in REAL.images:
        text = labels.description(REAL, name, root)
        assert text.endswith("."), f"{name}: the Dockerfile's first comment is its description"
    assert (
        labels.description(REAL, "guard", root)
        == "The guard: firewall rules for the networks of user servers."
    )
    assert labels.description(REAL, "lab", root) == REAL.environments["lab"].purpose.en


def test_the_main_packages_of_an_image_are_its_own_and_its_ancestors(root: Path) -> None:
    lab, base = (labels.own_packages(REAL, n, root) for n in ("lab", "base"))
    assert "numpy" in lab
    assert "jupyterlab" in base
    assert labels.main_packages(REAL, "lab", root) == [*lab, *base]
    hub = labels.main_packages(REAL, "hub", root)
    assert "dockerspawner" in hub
    assert "cyclonedx-python-lib" not in hub, "it is left out"


# ---- the revision -------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with everything that images/guard reads."""
    names = (
        "images/guard/Dockerfile",
        "images/manifest",
        "images/site",
        "locks/tool.txt",
        ".dockerignore",
        "README.md",
    )
    return committed(tmp_path, dict.fromkeys(names, "x"))


def test_the_revision_says_whether_the_build_read_something_else(checkout: Path) -> None:
    clean = revision_of(checkout, REAL, "guard")
    assert len(clean) == 40
    (checkout / "README.md").write_text("other")
    assert revision_of(checkout, REAL, "guard") == clean, "no build reads it"
    (checkout / "images/guard/new").write_text("y")
    assert revision_of(checkout, REAL, "guard") == clean + "+changes"
    (checkout / "images/guard/new").unlink()
    (checkout / "images/site").write_text("other")
    assert revision_of(checkout, REAL, "guard") == clean + "+changes"


def test_a_folder_that_is_no_checkout_has_no_revision(tmp_path: Path) -> None:
    assert revision_of(tmp_path, REAL, "guard") == UNKNOWN


# ---- getting the list out of an image -----------------------------------------------------

ENGINE = """#!/bin/sh
echo "$*" >> {folder}/asked
case "$1" in
  image) cat {folder}/image.json;;
  create) echo c1;;
  cp) cp {folder}/listed.json "$3/manifest.json";;
esac
"""


def test_what_was_listed_before_is_copied_and_no_image_is_asked(tmp_path: Path) -> None:
    engine = tmp_path / "docker"
    engine.write_text(ENGINE.format(folder=tmp_path))
    engine.chmod(0o755)
    (tmp_path / "listed.json").write_text(json.dumps(LISTED))
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}

    def published(folder: str, identity: str, before: str = "") -> tuple[dict[str, str], bool]:
        about = [{"Id": identity, "Size": 7, "Config": {"Labels": {}}}]
        (tmp_path / "image.json").write_text(json.dumps(about))
        (tmp_path / "asked").unlink(missing_ok=True)
        where, other = tmp_path / folder, tmp_path / before if before else None
        assert publish.publish(REAL, ["lab"], where, environ, before=other) == ["lab"]
        found = {p.name: p.read_text("utf-8") for p in (where / "lab" / REAL.release).iterdir()}
        return found, "create" in (tmp_path / "asked").read_text()

    first, asked = published("built", "sha256:1")
    assert asked
    assert first.keys() == {"manifest.json", "sbom.cdx.json"}
    assert published("data", "sha256:1", before="built") == (first, False)
    newer, asked = published("newer", "sha256:2", before="built")
    assert asked, "another build"
    assert contents.identity(newer["manifest.json"]) == "sha256:2"
    (tmp_path / "built" / "lab" / REAL.release / "sbom.cdx.json").unlink()
    assert published("half", "sha256:1", before="built")[1], "half of it is not there"
    assert published("none", "sha256:1", before="nowhere")[1]


# ---- the script that lists, and embedded mode ---------------------------------------------


def test_an_environment_of_embedded_mode_is_listed_as_it_is(root: Path, tmp_path: Path) -> None:
    python = Path(sys.executable)
    assert publish.publish_environment(REAL, "lab", root, python, tmp_path)
    folder = tmp_path / "lab" / REAL.release
    known = contents.read((folder / "manifest.json").read_text(encoding="utf-8"))
    assert known.python_version == ".".join(map(str, sys.version_info[:3]))
    rows = {p.name.lower(): p for p in known.of("python")}
    assert rows["hypothesis"].licence_names == ("MPL-2.0",)
    assert rows["hypothesis"].bytes > 100_000
    assert not known.of("debian"), "the machine's packages are not part of it"
    text = (folder / "sbom.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert not publish.publish_environment(REAL, "lab", root, python, tmp_path), "it is there"


def test_what_is_installed_later_is_listed_as_well(root: Path, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    assert publish.publish_environment(REAL, "lab", root, python, tmp_path)
    assert not publish.publish_environment(REAL, "lab", root, python, tmp_path)
    [site] = environment.glob("lib/python*/site-packages")
    info = site / "late-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: late\nVersion: 1.0\n")
    assert publish.publish_environment(REAL, "lab", root, python, tmp_path)
    manifest = (tmp_path / "lab" / REAL.release / "manifest.json").read_text(encoding="utf-8")
    assert "late" in {p.name for p in contents.read(manifest).of("python")}


def test_an_environment_is_listed_once_for_all_data_folders(root: Path, tmp_path: Path) -> None:
    environment, checkout = tmp_path / "env", tmp_path / "checkout"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    script, count = checkout / "images" / "manifest", tmp_path / "count"
    script.parent.mkdir(parents=True)

    def listed(folder: str, how: str = "") -> tuple[str, int]:
        text = f'#!/bin/sh\necho >> {count}{how}\nexec {root}/images/manifest "$@"\n'
        script.write_text(text)
        script.chmod(0o755)
        assert publish.publish_environment(REAL, "lab", checkout, python, tmp_path / folder)
        found = (tmp_path / folder / "lab" / REAL.release / "manifest.json").read_text("utf-8")
        return found, len(count.read_text().splitlines())

    first, one = listed("first")
    assert listed("second") == (first, one)
    assert listed("third", how=" # another list") == (first, 2)
    [site] = environment.glob("lib/python*/site-packages")
    info = site / "late-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: late\nVersion: 1.0\n")
    found, times = listed("fourth")
    assert "late" in {p.name for p in contents.read(found).of("python")}
    assert times == 3
    (environment / publish.KEPT).write_bytes(b"torn\xff")
    assert listed("fifth") == (found, 4)


def test_a_folder_that_cannot_be_written_is_said(root: Path, tmp_path: Path) -> None:
    (tmp_path / "lab").write_text("a file where a folder should be")
    with pytest.raises(publish.PublishError, match="cannot be written"):
        publish.publish_environment(REAL, "lab", root, Path(sys.executable), tmp_path)


# ---- sizes for the reference page ---------------------------------------------------------


def test_sizes_are_noted_in_the_tables_order_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    old = {"hub": {"megabytes": 300, "python": 1, "debian": 2}, "gone": {}}
    (tmp_path / sizes.FILE).write_text(json.dumps(old))
    folder = tmp_path / "shelf" / "lab" / "0.1.0"
    folder.mkdir(parents=True)
    (folder / publish.MANIFEST).write_text(documented(size=1_206_600_000), encoding="utf-8")
    sizes.note(tmp_path, tmp_path / "shelf", "0.1.0", ["lab", "hub", "guard"])
    assert sizes.noted(tmp_path) == {
        "lab": {"megabytes": 1207, "python": 3, "debian": 2},
        "hub": {"megabytes": 300, "python": 1, "debian": 2},
    }
    assert list(sizes.noted(tmp_path)) == ["lab", "hub"]
    assert sizes.noted(tmp_path / "shelf") == {}
