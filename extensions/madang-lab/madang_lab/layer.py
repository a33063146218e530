"""The person's own packages: where they are and what is in them.

A layer is a virtual environment in the home, one per environment and Python version, that sees the
environment's packages behind its own. ``bin/madang-layer`` makes it; kernels and terminals run in it.
JupyterLab's own process only reads here what :mod:`importlib.metadata` tells, and imports nothing from it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from madang_lab.shadows import Package, name_of

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
LAYERS = ".madang/packages"
"""The folder in a home that holds all layers of a person."""
STAND_IN = "madang"
"""What stands in ``INSTALLER`` of a stand-in (:mod:`madang_lab.uv`): no package of the person."""


def site_of(prefix: Path) -> Path:
    """The folder with the packages of the environment at ``prefix``."""
    return prefix / "lib" / PYTHON / "site-packages"


@dataclass(frozen=True)
class Layer:
    """One layer: ``folder`` in the home, and the environment at ``prefix`` that it lies on."""

    folder: Path
    prefix: Path

    @property
    def site(self) -> Path:
        """Where its packages are."""
        return site_of(self.folder)

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.folder / "bin" / "python"

    @property
    def made(self) -> bool:
        """Whether it is there, whole or not."""
        return os.path.lexists(self.folder)

    @property
    def usable(self) -> bool:
        """Whether kernels run in it, as ``bin/madang-layer`` decides."""
        template = self.prefix / "share" / "madang"
        try:
            wanted = (template / "layer.mark").read_text(encoding="ascii")
            return (self.folder / ".madang").read_text(encoding="ascii") == wanted and os.access(
                self.python, os.X_OK
            )
        except (OSError, ValueError):
            return False

    def own(self) -> list[Package]:
        """The person's packages, by name."""
        found = {
            name_of(one.metadata["Name"]): one
            for one in distributions(path=[str(self.site)])
            if one.metadata["Name"] and not is_stand_in(one)
        }
        return [Package(name, one.version) for name, one in sorted(found.items())]

    def beneath(self, names: Iterable[str]) -> list[Package]:
        """Those of ``names`` that the environment has as well, at its versions."""
        path = [str(site_of(self.prefix))]
        found = ((name, next(iter(distributions(name=name, path=path)), None)) for name in names)
        return [Package(name, one.version) for name, one in found if one is not None]


def is_stand_in(one: Distribution) -> bool:
    """Whether ``one`` only stands for a package of the environment while uv runs."""
    return (one.read_text("INSTALLER") or "").strip() == STAND_IN


def home_of(environ: Mapping[str, str]) -> Path:
    """The person's folder: ``MADANG_HOME`` in the rescue environment, where programs have another ``HOME``."""
    return Path(environ.get("MADANG_HOME") or environ["HOME"])


def layers_in(home: Path) -> Path:
    """The folder that holds all layers in ``home``."""
    return home / LAYERS


def layer_of(environ: Mapping[str, str], prefix: Path | None = None) -> Layer:
    """The layer of this server, in ``HOME``; ``bin/madang-layer`` names it by the same rule."""
    name = f"{environ.get('MADANG_ENVIRONMENT') or 'base'}-py{PYTHON.removeprefix('python')}"
    return Layer(layers_in(Path(environ["HOME"])) / name, prefix or Path(sys.prefix))


def bytes_of(folder: Path) -> int:
    """What the files in ``folder`` take up on the disk."""
    total = 0
    for parent, _, files in os.walk(folder):
        for file in files:
            try:
                total += os.lstat(Path(parent) / file).st_blocks * 512
            except OSError:
                continue  # removed meanwhile
    return total


def is_full(folder: Path) -> bool:
    """Whether nothing more can be written where ``folder`` is."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free == 0
