"""``environment.yml`` as far as pip can install it; rules only.

Conda's packages are other builds than the index's, often under other names and with things that are no
Python at all. What can be said exactly as a requirement is taken; of everything else we say why not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from madang_hub.people.sentences import Sentence
from madang_hub.web.i18n import N_

OTHER_NAMES = {
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "matplotlib-base": "matplotlib",
    "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "tensorflow-gpu": "tensorflow",
    "pytables": "tables",
    "python-graphviz": "graphviz",
    "dask-core": "dask",
    "seaborn-base": "seaborn",
    "py-xgboost": "xgboost",
}
"""Packages that the package index calls otherwise (and not just in other letters)."""

NO_PYTHON = re.compile(
    r"r-.+|r|bioconductor-.+|_.+|julia|nodejs|openjdk|ffmpeg|cmake|make|git|gcc.*|gxx.*|gfortran.*"
    r"|c-compiler|cxx-compiler|compilers|fortran-compiler|clang.*|cuda.*|cudatoolkit.*|cudnn|nccl|mkl|blas"
    r"|openblas|lib.+|mamba|conda|conda-.+|anaconda|gdal|proj|geos|hdf5|netcdf4?|graphviz|pandoc|texlive.*",
    re.ASCII,
)
"""Packages of conda that are no Python package, or not the one that the index has by that name."""

MATCH = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<spec>(?:[=<>!~].*)?)", re.ASCII)


@dataclass
class Found:
    """Requirements and faults, each with its line."""

    requirements: list[tuple[int, str]] = field(default_factory=list)
    faults: list[tuple[int, Sentence]] = field(default_factory=list)

    def fault(self, line: int, message: str, **values: str) -> None:
        self.faults.append((line, Sentence(message, values)))


def read(text: str, python: str) -> Found:
    """What ``text`` asks for; ``python`` is the version that is there, like ``3.11``."""
    found = Found()
    try:
        # nodes, not values: they know their lines, and an alias is not copied out
        top = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        found.fault(mark.line + 1 if mark else 1, N_("This is no valid YAML."))
        return found
    if not isinstance(top, yaml.MappingNode):
        found.fault(1, N_("This is no environment.yml: it has no list “dependencies”."))
        return found
    for key, value in top.value:
        word = str(key.value)
        if word == "dependencies":
            _dependencies(value, python, found)
        elif word not in ("name", "channels", "prefix"):
            line = key.start_mark.line + 1
            found.fault(line, N_("“{text}” is not supported here. Remove it."), text=word[:40])
    return found


def _dependencies(node: yaml.Node, python: str, found: Found) -> None:
    if not isinstance(node, yaml.SequenceNode):
        found.fault(node.start_mark.line + 1, N_("“dependencies” must be a list."))
        return
    for item in node.value:
        line = item.start_mark.line + 1
        if isinstance(item, yaml.ScalarNode):
            _package(str(item.value).strip(), line, python, found)
        elif isinstance(item, yaml.MappingNode) and [k.value for k, _ in item.value] == ["pip"]:
            _pip(item.value[0][1], found)
        else:
            found.fault(line, N_("Only package names and one list “pip:” can stand here."))


def _pip(node: yaml.Node, found: Found) -> None:
    if not isinstance(node, yaml.SequenceNode):
        found.fault(node.start_mark.line + 1, N_("“pip:” must be a list."))
        return
    for item in node.value:
        line = item.start_mark.line + 1
        if isinstance(item, yaml.ScalarNode):
            found.requirements.append((line, str(item.value).strip()))
        else:
            found.fault(line, N_("Only package names and one list “pip:” can stand here."))


def _package(text: str, line: int, python: str, found: Found) -> None:
    match = MATCH.fullmatch(text)
    spec = specifier(match["spec"]) if match else None
    if match is None or spec is None:
        found.fault(
            line,
            N_(
                "“{text}” cannot be said as a Python package: no channels, builds or alternatives. Write a "
                "name and a version, or put it under pip:."
            ),
            text=text[:80],
        )
        return
    name = match["name"].lower()
    if name == "python":
        if not fits(spec, python):
            found.fault(
                line,
                N_("“{text}” cannot be had: Madang's environments have Python {python}."),
                text=text[:40],
                python=python,
            )
    elif name in OTHER_NAMES:
        found.fault(
            line,
            N_("“{text}” is called {other} in the Python package index. Put {other} under pip:."),
            text=name,
            other=OTHER_NAMES[name],
        )
    elif NO_PYTHON.fullmatch(name):
        found.fault(
            line,
            N_(
                "“{text}” exists as a conda package only, and Madang installs from the Python package index. "
                "Look for a Debian package for apt.txt, or leave it out."
            ),
            text=name,
        )
    elif name != "pip":
        found.requirements.append((line, name + spec))


def specifier(text: str) -> str | None:
    """Conda's versions as pip's: ``=1.2`` is ``==1.2.*``; None where there is no exact counterpart."""
    text = text.replace(" ", "")
    if not text:
        return ""
    if re.fullmatch(r"=[0-9][0-9A-Za-z.]*", text, re.ASCII):
        text = f"={text}.*"
    elif re.fullmatch(r"={1,2}[0-9][0-9A-Za-z.]*\*", text, re.ASCII):
        text = "==" + text.lstrip("=").removesuffix("*").removesuffix(".") + ".*"
    if "|" in text or re.search(r"[0-9*]=", text):
        return None
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return None
    return text


def fits(specifier: str, python: str) -> bool:
    """Whether a version like ``>=3.10`` allows some release of our Python."""
    try:
        wanted = SpecifierSet(specifier)
    except InvalidSpecifier:
        return False
    return any(wanted.contains(f"{python}.{patch}") for patch in range(40))
