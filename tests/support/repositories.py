"""Git repositories for tests."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path


def committed(folder: Path, files: Mapping[str, str]) -> Path:
    """``folder`` as a repository with one commit of ``files`` (path to text)."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for words in (
        ("init", "--quiet"),
        ("add", "."),
        ("-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "-m", "x"),
    ):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder
