"""Be another Python than the one that was started: the one of a virtual environment on the same packages.

A layer of a person's own packages (:mod:`madang_lab.layer`) is a virtual environment whose packages lie before
those of the environment. While it holds none, a kernel in it differs from one in the environment in what Python
worked out about itself at its start. ``tests/integration/test_warm_kernels.py`` compares both.
"""

from __future__ import annotations

import importlib
import site
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import jupyter_core.paths

from madang_lab.layer import site_of


def prefix_of(python: Path) -> Path:
    """The environment whose ``bin`` has this Python."""
    return python.parent.parent


def paths_with(paths: Iterable[str], before: str, new: str) -> list[str]:
    """``paths`` with ``new`` right before ``before``; at the end where that is not among them."""
    found = list(paths)
    found.insert(found.index(before) if before in found else len(found), new)
    return found


def take_on(python: Path) -> None:
    """Be ``python``; nothing is done where this is it already."""
    was, prefix = sys.prefix, str(prefix_of(python))
    sys.executable = str(python)
    if prefix == was:
        return
    sys.path = paths_with(sys.path, str(site_of(Path(was))), str(site_of(Path(prefix))))
    sys.prefix = sys.exec_prefix = prefix
    site.PREFIXES[:] = [prefix]
    importlib.reload(sysconfig)
    # these stay the same lists, for other modules have taken them from here
    for kept in (jupyter_core.paths.ENV_CONFIG_PATH, jupyter_core.paths.ENV_JUPYTER_PATH):
        kept[:] = [path.replace(was, prefix, 1) for path in kept]
