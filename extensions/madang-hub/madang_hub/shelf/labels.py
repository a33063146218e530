"""Where an image comes from, as its labels say it. Rules only.

The names are those of the OCI image specification (annotations). Two of them we leave out, because we would
not tell the truth: ``licenses`` is about all software inside, which has more licences than one expression
can name (the list of contents has them), and ``source`` is an address that only an operator knows.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from madang_hub.catalog import Catalog
from madang_hub.shelf.contents import asked_for

INPUTS = "madang.inputs"
"""The fingerprint of what the build read (:mod:`madang_hub.shelf.plan`)."""
MAIN = "madang.main"
"""The Python packages that were asked for by name; the others came with them."""
OCI = "org.opencontainers.image."


@dataclass(frozen=True)
class Origin:
    """What one build stood on: the parent's name, the revision of the source, the inputs, the time."""

    parent: str
    revision: str
    inputs: str
    created: datetime

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> dict[str, str]:
        """The facts that ``labels`` hold, "" where one is missing."""
        return {
            "parent": labels.get(f"{OCI}base.name", ""),
            "revision": labels.get(f"{OCI}revision", ""),
            "inputs": labels.get(INPUTS, ""),
            "created": labels.get(f"{OCI}created", ""),
        }


def labels(catalog: Catalog, name: str, root: Path, origin: Origin) -> dict[str, str]:
    """Every label of the image ``name``, built from the checkout ``root``."""
    return {
        f"{OCI}title": f"madang/{name}",
        f"{OCI}description": description(catalog, name, root),
        f"{OCI}version": catalog.release,
        f"{OCI}revision": origin.revision,
        f"{OCI}created": origin.created.isoformat(timespec="seconds"),
        f"{OCI}base.name": origin.parent,
        INPUTS: origin.inputs,
        MAIN: " ".join(main_packages(catalog, name, root)),
    }


def description(catalog: Catalog, name: str, root: Path) -> str:
    """What an image is for: what the picker says, else the comment that its Dockerfile begins with."""
    if name in catalog.every:
        return catalog.every[name].purpose.en
    dockerfile = root / catalog.images[name].dockerfile
    words = []
    for line in dockerfile.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") or not line.strip("# "):
            break
        if not line.startswith("# syntax="):
            words.append(line.strip("# "))
    return " ".join(words)


def own_packages(catalog: Catalog, name: str, root: Path) -> list[str]:
    """What the image ``name`` adds by name: its ``requirements.in`` with the variant's file, or what its
    distributions ask for.

    Without what the image leaves out (``leave-out.txt``).
    """
    image = catalog.images[name]
    left_out = root / image.folder / "leave-out.txt"
    without = asked_for(left_out.read_text(encoding="utf-8")) if left_out.is_file() else []
    variant = "cuda.in" if name.endswith("-cuda") else "cpu.in"
    named = [root / image.folder / n for n in (variant, "requirements.in")]
    if any(file.is_file() for file in named):
        return [p for f in named if f.is_file() for p in asked_for(f.read_text(encoding="utf-8"))]
    found: list[str] = []
    for source in image.sources:
        project = root / source / "pyproject.toml"
        if project.is_file():
            with project.open("rb") as file:
                found += asked_for("\n".join(tomllib.load(file)["project"]["dependencies"]))
    return [package for package in found if package not in without]


def main_packages(catalog: Catalog, name: str, root: Path) -> list[str]:
    """The same with what its ancestors add, nearest first."""
    found = [p for n in catalog.lineage(name) for p in own_packages(catalog, n, root)]
    return list(dict.fromkeys(found))
