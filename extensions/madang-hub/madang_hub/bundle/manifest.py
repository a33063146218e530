"""Rules: what a bundle says of itself, which names it may hold, and which machine it fits."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = 1
TOP = "madang-bundle"
MANIFEST = f"{TOP}/manifest.json"
LOADER = f"{TOP}/load/"
SOURCE = f"{TOP}/source/"
WHEELS = f"{TOP}/wheels/"
IMAGES = (f"{TOP}/images.tar.zst", f"{TOP}/images.tar.gz")
LARGEST_MANIFEST = 16 * 2**20
"""Bytes; a larger one is not read (it may come from anywhere)."""


class BundleError(RuntimeError):
    """A bundle cannot be made or loaded; the message says why and what to do."""


@dataclass(frozen=True)
class Entry:
    """One file of the bundle. ``size`` in bytes; ``executable``: its owner may run it."""

    path: str
    size: int
    sha256: str
    executable: bool = False


@dataclass(frozen=True)
class BundledImage:
    """One image. ``content`` names its layers in every kind of engine store, which the id does not.

    ``inputs`` is the fingerprint in its label ``madang.inputs`` (empty for the outside image), ``own``
    the bytes that it adds to its parent.
    """

    name: str
    reference: str
    id: str
    content: str
    inputs: str
    own: int


@dataclass(frozen=True)
class Manifest:
    """Everything that a bundle says of itself.

    ``machine`` is the processor as ``uname -m`` names it, ``python`` the versions for which packages are
    inside, ``created`` a moment in UTC, ``changed`` whether the checkout had changes beside ``revision``.
    """

    release: str
    revision: str
    changed: bool
    created: str
    machine: str
    python: tuple[str, ...]
    images: tuple[BundledImage, ...]
    left_out: tuple[str, ...]
    files: tuple[Entry, ...]
    format: int = FORMAT

    def text(self) -> str:
        """As it is written into the bundle."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the manifest, which holds those of all other files: it names the whole bundle."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    @property
    def sources(self) -> dict[str, Entry]:
        """The checkout's files by their path in the checkout."""
        return {e.path.removeprefix(SOURCE): e for e in self.files if e.path.startswith(SOURCE)}

    @property
    def wheels(self) -> dict[str, Entry]:
        return {e.path.removeprefix(WHEELS): e for e in self.files if e.path.startswith(WHEELS)}

    @property
    def image_file(self) -> Entry:
        """The file with the images."""
        return next(e for e in self.files if e.path in IMAGES)

    def of_table(self) -> tuple[str, ...]:
        """The names in the table of the images inside (the outside image is not of the table)."""
        return tuple(image.name for image in self.images if image.inputs)

    def described(self) -> list[str]:
        """What the bundle is, in lines for the operator."""
        changed = ", with changes that are not committed" if self.changed else ""
        lines = [
            f"Madang {self.release}, sources {self.revision[:12]}{changed}",
            f"made {self.created} for {self.machine} with Python {' or '.join(self.python)}",
            f"images ({readable(self.image_file.size)}): {', '.join(i.name for i in self.images)}",
            f"sources and documentation: {len(self.sources)} files; packages: {len(self.wheels)}",
        ]
        if self.left_out:
            lines.append(
                f"not in it, so not installed where it is loaded: {', '.join(self.left_out)}"
            )
        return lines


def readable(size: float) -> str:
    """``size`` bytes in words: 340 MiB, 1.2 GiB."""
    mib = size / 2**20
    return f"{mib:.0f} MiB" if mib < 1000 else f"{mib / 1024:.1f} GiB"


# ---- reading --------------------------------------------------------------------------------


def parse(text: bytes) -> Manifest:
    """The manifest in ``text``; nothing about it is trusted.

    Raises:
        BundleError: it is no manifest, of another format, or names what may not be in a bundle.
    """
    try:
        raw = json.loads(text)
        if not isinstance(raw, dict):
            raise TypeError("no table")
        if raw.get("format") != FORMAT:
            raise BundleError(
                f"The bundle has format {raw.get('format')!r} and this Madang reads {FORMAT}: use the loader "
                "inside of the bundle (docs/howto/offline.md)."
            )
        found = Manifest(
            **{
                **raw,
                "python": tuple(raw["python"]),
                "left_out": tuple(raw["left_out"]),
                "images": tuple(BundledImage(**i) for i in raw["images"]),
                "files": tuple(Entry(**e) for e in raw["files"]),
            }
        )
        _check(found)
        if found.text().encode() != text:
            raise ValueError("it is not written as Madang writes it")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BundleError(f"The manifest of the bundle cannot be used: {error}.") from error
    return found


def _check(manifest: Manifest) -> None:
    """Raises:
    ValueError: a value of the wrong kind, or a name that may not be in a bundle.
    """
    texts: list[Any] = [manifest.release, manifest.revision, manifest.created, manifest.machine]
    texts += [*manifest.python, *manifest.left_out]
    for image in manifest.images:
        texts += [image.name, image.reference, image.id, image.content, image.inputs]
        _require(_is_size(image.own), f"the size of {image.name} is no number of bytes")
    for entry in manifest.files:
        _require(_is_size(entry.size), f"the size of {entry.path!r} is no number of bytes")
        _require(isinstance(entry.executable, bool), f"{entry.path!r} is not described rightly")
        _require(
            isinstance(entry.sha256, str) and bool(re.fullmatch("[0-9a-f]{64}", entry.sha256)),
            f"{entry.path!r} has no checksum",
        )
        if trouble := bad_name(entry.path):
            raise ValueError(trouble)
    for text in texts:
        _require(isinstance(text, str) and text.isprintable(), f"{str(text)[:40]!r} is no text")
    for name in manifest.wheels:
        _require(
            bool(re.fullmatch(r"[A-Za-z0-9_.+-]+\.whl", name)), f"{name!r} is no name of a package"
        )
    paths = [entry.path for entry in manifest.files]
    _require(len(set(paths)) == len(paths), "a file is named twice")
    _require(sum(path in IMAGES for path in paths) == 1, "it does not name one file of images")
    _require(MANIFEST not in paths, "it names itself")


def _require(good: bool, otherwise: str) -> None:
    if not good:
        raise ValueError(otherwise)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**50


def bad_name(path: object) -> str:
    """Why a file of this name may not be in a bundle; empty when it may."""
    if not isinstance(path, str) or not path.isprintable():
        return f"the name {str(path)[:80]!r} cannot be read"
    parts = path.split("/")
    if parts[0] != TOP or len(parts) < 2:
        return f"{path!r} lies outside of {TOP}/"
    if any(part in ("", ".", "..") for part in parts) or "\\" in path:
        return f"{path!r} is no plain path"
    inside = "/".join(parts[1:])
    known = (*(p.removeprefix(f"{TOP}/") for p in (LOADER, SOURCE, WHEELS)),)
    if inside.startswith(known) or path in (MANIFEST, *IMAGES):
        # what a checkout makes for itself does not come from a bundle
        if path.startswith(SOURCE) and parts[2] in (".git", "build", ".venv", "data", "madang.env"):
            return f"{path!r} does not belong to the sources"
        return ""
    return f"{path!r} is no part of a bundle"


# ---- what fits what -------------------------------------------------------------------------


def unfit(manifest: Manifest, machine: str, python: str) -> str:
    """Why the bundle cannot serve a machine with this processor and Python; empty when it can."""
    if manifest.machine != machine:
        return (
            f"The bundle is for {manifest.machine} and this machine is {machine}: make one on a machine of "
            "the same kind."
        )
    if python not in manifest.python:
        return (
            f"The bundle holds packages for Python {' and '.join(manifest.python)} and this machine has "
            f"{python}: make it again with  madang bundle create FILE --python {python}"
        )
    return ""


@dataclass(frozen=True)
class SourcePlan:
    """What loading does to the files of a folder: paths to write and to remove; ``same`` stay.

    ``changed``: files that somebody changed there, which loading would overwrite or remove.
    """

    write: tuple[str, ...]
    replace: tuple[str, ...]
    remove: tuple[str, ...]
    changed: tuple[str, ...]
    same: int


def plan_sources(
    new: Mapping[str, str], old: Mapping[str, str], present: Mapping[str, str]
) -> SourcePlan:
    """What to do to a folder, by digests of files at paths.

    Args:
        new: the bundle's files.
        old: the files of the bundle that was loaded there before (empty: none was).
        present: those of ``new`` and ``old`` that are there, as they are there.
    """
    write, replace, remove, changed = [], [], [], []
    for path, digest in sorted(new.items()):
        if path not in present:
            write.append(path)
        elif present[path] != digest:
            replace.append(path)
            if present[path] != old.get(path):
                changed.append(path)
    for path in sorted(old.keys() - new.keys()):
        if path in present:
            remove.append(path)
            if present[path] != old[path]:
                changed.append(path)
    same = len(new) - len(write) - len(replace)
    return SourcePlan(tuple(write), tuple(replace), tuple(remove), tuple(changed), same)


def some(names: Iterable[str], most: int = 5) -> str:
    """The first few of ``names`` for a sentence."""
    found = list(names)
    rest = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + rest
