"""What a repository asks for, read by repo2docker's conventions; rules only.

The conventions (repo2docker's documentation, "Configuration files"): the files are in ``binder/`` or
``.binder/`` where there is one, else at the top; ``environment.yml`` counts before ``requirements.txt``;
``apt.txt`` names Debian packages, ``runtime.txt`` the version of the language. Madang takes what can be
reviewed by reading and built without running anything of the repository. Everything else is refused, all
of it at once, by file and line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from madang_hub.people.sentences import Sentence
from madang_hub.shelf import conda
from madang_hub.web.i18n import N_

FOLDERS = ("binder", ".binder")
PYTHON = "3.11"
"""The Python of the user images."""
MAX_FILE = 64 * 2**10
"""Bytes of one file; the longest real ones have a few thousand."""
MAX_PACKAGES = 200

READ = ("environment.yml", "requirements.txt", "apt.txt", "runtime.txt")
"""Files whose content counts."""

REFUSED: dict[str, str] = {
    "Dockerfile": N_(
        "{file}: a Dockerfile runs commands as root while the image is built. Name the packages in "
        "requirements.txt, environment.yml and apt.txt instead, and remove it."
    ),
    "postBuild": N_(
        "{file}: a script that runs while the image is built cannot be reviewed by its result. Remove it, "
        "and let a notebook do this work."
    ),
    "start": N_(
        "{file}: a script that runs before every server is not supported. Remove it; a notebook can do this "
        "work."
    ),
    "environment.yaml": N_("{file}: repo2docker reads environment.yml. Rename the file."),
    "Pipfile": N_("{file}: write the packages into requirements.txt instead of a Pipfile."),
    "Pipfile.lock": N_("{file}: write the packages into requirements.txt instead of a Pipfile."),
    **dict.fromkeys(
        ("install.R", "DESCRIPTION"),
        N_("{file}: R is not in Madang's environments. Only Python packages can be added."),
    ),
    **dict.fromkeys(
        ("Project.toml", "JuliaProject.toml", "REQUIRE"),
        N_("{file}: Julia is not in Madang's environments. Only Python packages can be added."),
    ),
    "default.nix": N_(
        "{file}: Nix is not supported. Name the packages in requirements.txt or environment.yml, and in "
        "apt.txt."
    ),
}
"""Files of repo2docker that are refused, and why."""

NAMES = frozenset({*READ, *REFUSED, "setup.py"})
"""Every name that is looked for."""

APT = re.compile(r"[a-z0-9][a-z0-9+.-]+", re.ASCII)
"""A Debian package's name (Debian Policy 5.6.1)."""


@dataclass(frozen=True)
class Fault:
    """Something that cannot be used; ``line`` counts from 1, 0 is the file as a whole."""

    file: str
    line: int
    sentence: Sentence

    def text(self, language: str) -> str:
        where = f"{self.file}:{self.line}: " if self.line else ""
        return where + self.sentence.text(language)


class RepositoryError(ValueError):
    """The repository cannot become an environment; ``faults`` says everything that is wrong."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(fault.text("en") for fault in faults))
        self.faults = faults


@dataclass(frozen=True)
class Reading:
    """What is asked for: requirements (written anew from what was understood) and Debian packages.

    ``files`` holds the texts that were read, for the reviewer; ``notes`` (msgids) what is good to know.
    """

    requirements: tuple[str, ...]
    apt: tuple[str, ...]
    files: Mapping[str, str]
    notes: tuple[str, ...] = ()


def relevant(path: str) -> str:
    """The place of ``path`` (relative to the repository's top) among the files looked for; "" if none."""
    folder, _, name = path.rpartition("/")
    at_top = folder in FOLDERS or path == name
    return path if name in NAMES and at_top else ""


def read(files: Mapping[str, bytes], python: str = PYTHON) -> Reading:
    """What the repository with these ``files`` asks for (path to content, only :func:`relevant` ones).

    Raises:
        RepositoryError: with every fault.
    """
    faults: list[Fault] = []
    folders = [f for f in FOLDERS if any(p.startswith(f + "/") for p in files)]
    if len(folders) > 1:
        faults.append(
            _whole(".binder", N_("{file}: there are both binder/ and .binder/. Keep one of them."))
        )
    prefix = folders[0] + "/" if folders else ""
    mine = {p.removeprefix(prefix): p for p in sorted(files) if p.rpartition("/")[0] + "/" == prefix
            or (not prefix and "/" not in p)}  # fmt: skip
    faults += [_whole(mine[name], REFUSED[name]) for name in REFUSED if name in mine]
    texts: dict[str, str] = {}
    for name in READ:
        if name in mine:
            text = _text(mine[name], files[mine[name]], faults)
            if text is not None:
                texts[name] = text
    requirements: list[str] = []
    notes: list[str] = []
    if "environment.yml" in texts:
        found = conda.read(texts["environment.yml"], python)
        faults += [Fault(mine["environment.yml"], line, said) for line, said in found.faults]
        for line, text in found.requirements:
            _requirement(mine["environment.yml"], line, text, requirements, faults, notes)
        if "requirements.txt" in mine:
            notes.append(N_("requirements.txt is not read, because there is an environment.yml."))
    elif "requirements.txt" in texts:
        for line, text in _logical(texts["requirements.txt"]):
            _requirement(mine["requirements.txt"], line, text, requirements, faults, notes)
    apt = _apt(mine.get("apt.txt", ""), texts.get("apt.txt", ""), faults)
    if "runtime.txt" in texts:
        _runtime(mine["runtime.txt"], texts["runtime.txt"], python, faults)
    if "setup.py" in mine:
        notes.append(N_("setup.py is not run: the repository's own package is not installed."))
    if len(requirements) > MAX_PACKAGES or len(apt) > MAX_PACKAGES:
        faults.append(
            _whole("", N_("More than {count} packages are too many."), count=MAX_PACKAGES)
        )
    if not faults and not requirements and not apt:
        faults.append(
            _whole(
                "",
                N_(
                    "No package is asked for. Put a requirements.txt, an environment.yml or an apt.txt at the "
                    "top of the repository, or into its folder binder/."
                ),
            )
        )
    if faults:
        raise RepositoryError(faults)
    shown = {mine[name]: text for name, text in texts.items()}
    return Reading(tuple(dict.fromkeys(requirements)), apt, shown, tuple(dict.fromkeys(notes)))


def _whole(file: str, message: str, **values: str | int) -> Fault:
    return Fault(file, 0, Sentence(message, {"file": file, **values}))


def _text(path: str, content: bytes, faults: list[Fault]) -> str | None:
    if len(content) > MAX_FILE:
        faults.append(_whole(path, N_("{file}: larger than {size} KB."), size=MAX_FILE // 2**10))
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        faults.append(_whole(path, N_("{file}: not a text in UTF-8. Save it as UTF-8.")))
        return None
    if "\0" in text:
        faults.append(_whole(path, N_("{file}: not a text in UTF-8. Save it as UTF-8.")))
        return None
    return text


def _logical(text: str) -> list[tuple[int, str]]:
    """Lines of a requirements file as pip joins them, without comments; each with its first line's number."""
    found: list[tuple[int, str]] = []
    begun, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        first = first or number
        line = re.sub(r"(^|\s)#.*$", "", line)
        if line.rstrip().endswith("\\"):
            begun += line.rstrip()[:-1] + " "
            continue
        whole = (begun + line).strip()
        if whole:
            found.append((first, whole))
        begun, first = "", 0
    if begun.strip():
        found.append((first, begun.strip()))
    return found


def _requirement(
    file: str, line: int, text: str, found: list[str], faults: list[Fault], notes: list[str]
) -> None:
    def fault(message: str) -> None:
        faults.append(Fault(file, line, Sentence(message, {"text": text[:80]})))

    if text.startswith(("-r", "-c", "--requirement", "--constraint")):
        fault(N_("“{text}” points to another file. Write all packages into this one."))
        return
    if text.startswith(("-e", "--editable", ".", "/", "file:")):
        fault(
            N_(
                "“{text}” is a folder of the repository, which is not built. Name published packages."
            )
        )
        return
    if text.startswith("-"):
        fault(
            N_(
                "“{text}” is an option of pip; the package index is the operator's choice. Remove it."
            )
        )
        return
    if " --hash" in text:
        text = text.partition(" --hash")[0].strip()
        notes.append(N_("Hashes in the file are not used: all packages are locked anew."))
    if re.match(r"(git|hg|svn|bzr)\+|https?:", text):
        fault(
            N_(
                "“{text}” is an address. Its content can change after the review; name a published package."
            )
        )
        return
    try:
        wanted = Requirement(text)
    except InvalidRequirement:
        fault(N_("“{text}” is no requirement. Write a package and its version, like pandas>=2.2."))
        return
    if wanted.url:
        fault(
            N_(
                "“{text}” is an address. Its content can change after the review; name a published package."
            )
        )
        return
    found.append(str(wanted))


def _apt(file: str, text: str, faults: list[Fault]) -> tuple[str, ...]:
    found: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        for name in line.partition("#")[0].split():
            if APT.fullmatch(name):
                found.append(name)
            else:
                said = N_(
                    "“{text}” is no name of a Debian package: small letters, digits, + - and dots only."
                )
                faults.append(Fault(file, number, Sentence(said, {"text": name[:80]})))
    return tuple(dict.fromkeys(found))


def _runtime(file: str, text: str, python: str, faults: list[Fault]) -> None:
    wish = text.strip()
    asked = re.fullmatch(r"python-(\d+)(?:\.(\d+))?(?:\.\d+)?", wish, re.ASCII)
    major, minor = python.split(".")
    if not (asked and asked[1] == major and asked[2] in (None, minor)):
        said = N_("“{text}” cannot be had: Madang's environments have Python {python}.")
        faults.append(Fault(file, 1, Sentence(said, {"text": wish[:40], "python": python})))


def names_of(requirements: tuple[str, ...]) -> list[str]:
    """The packages that are asked for by name, in their normal spelling."""
    return [canonicalize_name(Requirement(r).name) for r in requirements]
