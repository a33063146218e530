"""The script that lists what is in an image (images/manifest), on packages made for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LONG = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy\n        of this"
)


@pytest.fixture
def row(root: Path, tmp_path: Path) -> Any:
    """The line of a package that has this metadata and these files."""

    def make(metadata: str, files: dict[str, str], name: str = "oddly-made") -> dict[str, Any]:
        site = tmp_path / "site"
        info = f"{name.replace('-', '_')}-1.0.dist-info"
        files = {
            **files,
            f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{metadata}",
        }
        for path, text in files.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(text, encoding="utf-8")
        (site / info / "RECORD").write_text("".join(f"{path},,\n" for path in files))
        target = tmp_path / "manifest.json"
        done = subprocess.run(
            [str(root / "images" / "manifest"), "lab", "0.1.0", str(target), sys.executable],
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        listed = json.loads(target.read_text(encoding="utf-8"))["python"]
        [found] = [r for r in listed if r["name"] == name]
        return {str(key): value for key, value in found.items()}

    return make


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        pytest.param(
            "License-Expression: MIT AND Zlib\nLicense: other\n", "MIT AND Zlib", id="PEP 639"
        ),
        pytest.param("License: BSD-3-Clause\n", "BSD-3-Clause", id="the old field"),
        pytest.param(
            f"License: {LONG}\nClassifier: License :: OSI Approved :: MIT License\n",
            "MIT License",
            id="a text in the old field",
        ),
        pytest.param(
            "License: see the file LICENSE\nClassifier: License :: OSI Approved :: ISC License (ISCL)\n",
            "ISC License (ISCL)",
            id="a hint in the old field",
        ),
        pytest.param(
            "License: UNKNOWN\nClassifier: License :: OSI Approved\n", "not stated", id="nothing"
        ),
        pytest.param(
            "License: Apache License\n        Version 2.0, January 2004\n        …\n",
            "Apache License",
            id="the title of a text",
        ),
        pytest.param(
            'License: A "quoted\\ name" 한글\n', 'A "quoted\\ name" 한글', id="odd letters"
        ),
    ],
)
def test_the_licence_is_what_the_package_states(row: Any, metadata: str, licence: str) -> None:
    assert row(metadata, {})["licence"] == licence


def test_a_package_without_a_name_for_its_licence_says_where_it_is(row: Any) -> None:
    path = "oddly_made-1.0.dist-info/licenses/terms.txt"
    licence = row("License-File: terms.txt\n", {path: "…"})["licence"]
    assert licence.startswith("see /")
    assert licence.endswith(path)


def test_the_size_is_what_the_files_take_with_compiled_ones(row: Any, tmp_path: Path) -> None:
    cache = tmp_path / "site" / "mine" / "__pycache__"
    cache.mkdir(parents=True)
    (cache / f"one.{sys.implementation.cache_tag}.pyc").write_bytes(b"c" * 1000)
    metadata = "License: MIT\n"
    bytes_ = row(metadata, {"mine/one.py": "x" * 10})["bytes"]
    head = "Metadata-Version: 2.4\nName: oddly-made\nVersion: 1.0\n"
    assert bytes_ == 1000 + 10 + len(head + metadata)
