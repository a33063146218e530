"""Everything that the image's lock names is installed at that version, and can be imported.

Usage: imports.py LOCK [LEAVE_OUT]
"""

import importlib
import sys
import warnings
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

# top-level modules that are not imported here, and why
NOT_MEANT = {
    "git": "needs the program git; the tracking server has no use for it",
    "matplotlib_inline": "loaded by matplotlib, which not every image has",
    "pylab": "matplotlib's old all-in-one name, which draws at import",
}


def wanted(lock: str, leave_out: str) -> list[Requirement]:
    """The packages that this image should have."""
    without = {line for line in leave_out.splitlines() if line and not line.startswith("#")}
    heads = [line for line in lock.splitlines() if line[:1].isalnum()]
    rows = [Requirement(head.rstrip("\\ ")) for head in heads]
    return [
        row
        for row in rows
        if row.name not in without and (row.marker is None or row.marker.evaluate())
    ]


def modules(found: Distribution) -> set[str]:
    """The top-level names that a distribution installs."""
    names = set()
    for file in found.files or ():
        first = file.parts[0]
        if len(file.parts) == 1 and first.endswith(".py"):
            names.add(first.removesuffix(".py"))
        elif len(file.parts) == 2 and file.parts[1] == "__init__.py":
            names.add(first)
    return {name for name in names if name.isidentifier() and name not in NOT_MEANT}


lock, *more = (Path(argument).read_text() for argument in sys.argv[1:])
requirements = wanted(lock, "".join(more))
assert len(requirements) > 20
trouble = []
# setuptools first: after pip it no longer finds its own distutils in the same process
for requirement in sorted(requirements, key=lambda row: row.name != "setuptools"):
    package = distribution(requirement.name)
    if not requirement.specifier.contains(package.version, prereleases=True):
        trouble.append(f"{requirement} is locked, {package.version} is installed")
    for name in sorted(modules(package)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module(name)
        except Exception as error:
            trouble.append(f"import {name} ({requirement.name}): {error!r}")
for text in more:
    for name in (line for line in text.splitlines() if line and not line.startswith("#")):
        try:
            distribution(name)
        except ImportError:
            continue
        trouble.append(f"{name} should have been left out")
assert not trouble, "\n".join(trouble)
