"""Which packages of a person's own stand in front of the environment's. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

KERNEL_PARTS = frozenset(
    {
        "comm",
        "debugpy",
        "ipykernel",
        "ipython",
        "jupyter-client",
        "jupyter-core",
        "matplotlib-inline",
        "psutil",
        "pyzmq",
        "tornado",
        "traitlets",
    }
)
"""What a kernel imports to start: another version of one may keep notebooks from running."""


@dataclass(frozen=True, order=True)
class Package:
    """A package by its normalised name."""

    name: str
    version: str


@dataclass(frozen=True, order=True)
class Shadow:
    """A package of the person's (``own``) that is used in place of the environment's version."""

    name: str
    own: str
    instead_of: str

    @property
    def in_kernel(self) -> bool:
        """Whether a kernel needs it to start."""
        return self.name in KERNEL_PARTS


def name_of(name: str) -> str:
    """The normalised name: Python's packaging rules, “Names and normalization”."""
    return re.sub(r"[-_.]+", "-", name).lower()


def shadowed(own: Iterable[Package], image: Iterable[Package]) -> list[Shadow]:
    """The packages that are in both at different versions, by name."""
    versions = {package.name: package.version for package in image}
    return sorted(
        Shadow(package.name, package.version, versions[package.name])
        for package in own
        if versions.get(package.name, package.version) != package.version
    )


def key_of(shadows: Iterable[Shadow]) -> str:
    """One word for a state, equal only for equal ones: what was noticed once need not be said again."""
    return " ".join(f"{one.name}={one.own}<{one.instead_of}" for one in sorted(shadows))
