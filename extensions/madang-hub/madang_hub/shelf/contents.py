"""What is in an image: the list that its build wrote, and where the image comes from.

``images/manifest`` writes the list inside the image as the last step of a build: packages with version,
licence and size. Where the image comes from (source revision, parent, build inputs, time) stands in its
labels, so that the same content stays the same layer. :func:`document` puts the two together; that is the
``manifest.json`` that people can look at and download. Rules only; :mod:`madang_hub.shelf.publish` gets and
writes the files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

KINDS = ("python", "debian", "npm", "other")
"""In the order in which they are shown; ``other`` is what no package manager knows."""
CHANGED = "+changes"
"""At the end of a revision: the files that the build read were not those of that revision."""
SEE, NOT_STATED = "see ", "not stated"


class ContentsError(ValueError):
    """A text is no list of contents."""


@dataclass(frozen=True)
class Package:
    """One installed package; ``bytes`` are what its files take, ``licence`` is what it states itself."""

    kind: str
    name: str
    version: str
    licence: str
    bytes: int
    arch: str = ""
    source: str = ""
    source_version: str = ""

    @property
    def licence_file(self) -> str:
        """Where the licence stands, if the package gives it no name."""
        return self.licence.removeprefix(SEE) if self.licence.startswith(SEE) else ""

    @property
    def licence_names(self) -> tuple[str, ...]:
        """The licences' names, none if the package gives none."""
        if self.licence_file or self.licence in ("", NOT_STATED):
            return ()
        return tuple(name.strip() for name in self.licence.split(";") if name.strip())


@dataclass(frozen=True)
class Contents:
    """What is in ``image`` of this ``release``; ``bytes`` is the whole image (0 where there is none)."""

    image: str
    release: str
    parent: str
    revision: str
    created: str
    inputs: str
    system: str
    distro: str
    python_version: str
    bytes: int
    main: tuple[str, ...] = ()
    packages: Mapping[str, tuple[Package, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    @property
    def changed(self) -> bool:
        """Whether the build read files that differ from the revision's."""
        return self.revision.endswith(CHANGED)

    @property
    def built(self) -> datetime | None:
        """When it was built, as far as that is known."""
        try:
            return datetime.fromisoformat(self.created)
        except ValueError:
            return None

    def of(self, kind: str) -> tuple[Package, ...]:
        return self.packages.get(kind, ())

    def total(self, kind: str) -> int:
        """Bytes of all packages of ``kind``."""
        return sum(package.bytes for package in self.of(kind))

    @property
    def main_packages(self) -> list[Package]:
        """The Python packages that were asked for by name, in that order; the others came with them."""
        here = {canonical(package.name): package for package in self.of("python")}
        return [here[name] for name in map(canonical, self.main) if name in here]


def canonical(name: str) -> str:
    """A Python package's name as the index compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def asked_for(requirements: str) -> list[str]:
    """The packages that a ``requirements.in`` names, in its order."""
    heads = (re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line) for line in requirements.splitlines())
    return [head[0] for head in heads if head]


def document(
    listed: str,
    *,
    identity: str,
    parent: str,
    revision: str,
    created: str,
    inputs: str,
    size: int,
    main: Sequence[str],
) -> dict[str, Any]:
    """The list that a build wrote (``listed``) together with where the image comes from.

    Args:
        identity: the engine's id of the image, or what else tells this build from another.
        size: bytes of the whole image.
        main: names of the packages that were asked for (:func:`asked_for`).

    Raises:
        ContentsError: ``listed`` is no such list.
    """
    found = _object(listed)
    origin = {
        "identity": identity,
        "parent": parent,
        "revision": revision,
        "created": created,
        "inputs": inputs,
        "bytes": size,
        "main": list(main),
    }
    kinds = {kind: found.pop(kind, []) for kind in KINDS}
    return {**found, **origin, **kinds}


def read(text: str) -> Contents:
    """The contents that a document holds (of a published ``manifest.json``, or of a build's own list).

    Raises:
        ContentsError: it is none.
    """
    found = _object(text)
    try:
        return Contents(
            image=str(found["image"]),
            release=str(found["release"]),
            parent=str(found.get("parent", "")),
            revision=str(found.get("revision", "")),
            created=str(found.get("created", "")),
            inputs=str(found.get("inputs", "")),
            system=str(found.get("system", "")),
            distro=str(found.get("distro", "")),
            python_version=str(found.get("python_version", "")),
            bytes=int(found.get("bytes", 0)),
            main=tuple(map(str, found.get("main", ()))),
            packages=MappingProxyType(
                {kind: tuple(_packages(kind, found.get(kind, ()))) for kind in KINDS}
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ContentsError(f"no list of an image's contents: {error!r}") from error


def identity(text: str) -> str:
    """Which build a published document is about; "" if it does not say."""
    try:
        return str(_object(text).get("identity", ""))
    except ContentsError:
        return ""


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ContentsError(f"no list of an image's contents: {error}") from error
    if not isinstance(found, dict):
        raise ContentsError("no list of an image's contents: no object")
    return found


def _packages(kind: str, rows: Iterable[Mapping[str, Any]]) -> Iterable[Package]:
    for row in rows:
        yield Package(
            kind=kind,
            name=str(row["name"]),
            version=str(row["version"]),
            licence=str(row.get("licence", NOT_STATED)),
            bytes=int(row.get("bytes", 0)),
            arch=str(row.get("arch", "")),
            source=str(row.get("source", "")),
            source_version=str(row.get("source_version", "")),
        )
