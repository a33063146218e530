"""Rules of building: in which order, and which images are stale.

An image's *fingerprint* is a hash over everything that its build reads: its folder, its locks and
sources, the files that all builds share, and its parent's fingerprint. It is kept in the label
``madang.inputs``; an image whose label is its fingerprint need not be built.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from madang_hub.catalog import Catalog

COMMON = ("images/manifest", "images/site", ".dockerignore")
"""What every build reads."""

_LEAVE_OUT = {"__pycache__", "node_modules", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


class UnknownImage(ValueError):  # noqa: N818  # reads as what it is
    """A name that is not in the table; the message lists those that are."""


def order(catalog: Catalog, names: Sequence[str] | None = None) -> list[str]:
    """The images ``names`` (all of them if None), their ancestors and tools, each after what it needs.

    Raises:
        UnknownImage: a name is not in the table.
    """
    wanted = list(catalog.images) if names is None else list(names)
    if unknown := [name for name in wanted if name not in catalog.images]:
        raise UnknownImage(f"no image {', '.join(unknown)}; there are {', '.join(catalog.images)}")
    found: list[str] = []
    for name in wanted:
        for ancestor in reversed(catalog.lineage(name)):
            tool = catalog.images[ancestor].tool
            for needed in [*reversed(catalog.lineage(tool)), ancestor]:
                if needed not in found:
                    found.append(needed)
    return found


def fingerprints(catalog: Catalog, inputs: Mapping[str, str], base: str) -> dict[str, str]:
    """Every image's fingerprint.

    Args:
        inputs: for each image the digest of the files that its build reads (:func:`digest`).
        base: the identity of the outside image that everything stands on: its layers, which are the same
            in every engine's store (its id is not).
    """
    found: dict[str, str] = {}
    for name in order(catalog):
        image = catalog.images[name]
        below = (found.get(image.parent, base), found.get(image.tool, ""))
        text = "\n".join((catalog.release, *below, inputs[name]))
        found[name] = hashlib.sha256(text.encode()).hexdigest()
    return found


def stale(names: Iterable[str], wanted: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    """Those of ``names`` whose label (``present``) is not their fingerprint (``wanted``)."""
    return [name for name in names if present.get(name) != wanted[name]]


def inputs_of(catalog: Catalog, name: str) -> list[str]:
    """The files and folders, relative to the checkout, that the build of ``name`` reads."""
    image = catalog.images[name]
    own = image.dockerfile.startswith(f"{image.folder}/")
    elsewhere = [] if own or not image.dockerfile else [image.dockerfile]
    return [image.folder, *elsewhere, *image.locks, *image.sources, *COMMON]


def digest(root: Path, paths: Iterable[str]) -> str:
    """SHA-256 over names, modes and contents of the files at and below ``paths``."""
    total = hashlib.sha256()
    for path in paths:
        for file in files(root / path):
            mode = "x" if file.stat().st_mode & 0o100 else "-"
            total.update(f"{file.relative_to(root)}\0{mode}\0".encode())
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def files(path: Path) -> Iterator[Path]:
    """The files at and below ``path`` that a build reads, in order."""
    if path.is_file():
        yield path
        return
    for child in sorted(path.iterdir()):
        if child.name not in _LEAVE_OUT and not child.name.endswith((".egg-info", ".pyc")):
            yield from files(child)
