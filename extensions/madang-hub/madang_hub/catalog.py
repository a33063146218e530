"""The shelf: which images exist, which of them people may start, and in what sizes.

Rules only: :meth:`Catalog.load` reads one file, everything else is pure. The table itself is
``images/images.toml``; its vocabulary is *image* (something that is built), *environment* (an image
that is offered to people) and *size* (CPU, memory and process limit of one server).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic import ValidationError as PydanticError

OUTSIDE_PARENT = "debian:bookworm-slim"
"""The one image that does not come from the table (``scripts/base-image`` provides it)."""

TABLE = Path("images/images.toml")
"""The table, in the folder of the source."""
EVERYONE = "everyone"
ADMIN = "admin"
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


class CatalogError(ValueError):
    """The table is wrong; the message names file, line and fix of everything found, a line each."""


class OptionError(ValueError):
    """A person asked for something that they may not start.

    ``message`` is an English sentence with ``{named}`` places (a msgid of the catalogues), ``values``
    fill them (see :meth:`values_in`), ``reason`` is a short label for metrics.
    """

    def __init__(self, message: str, reason: str, **values: str | tuple[Text, ...]) -> None:
        self.message = message
        self.reason = reason
        self.values = values
        super().__init__(message.format(**self.values_in("en")))

    def values_in(self, language: str) -> dict[str, str]:
        """The values as words of ``language``."""
        return {
            name: value
            if isinstance(value, str)
            else ", ".join(text.for_language(language) for text in value)
            for name, value in self.values.items()
        }


@dataclass(frozen=True)
class Person:
    """Who asks: the JupyterHub user name, the names of the user's groups, and the admin flag."""

    name: str
    groups: frozenset[str] = frozenset()
    admin: bool = False

    def is_one_of(self, who: tuple[str, ...]) -> bool:
        """Whether one of ``who`` ("everyone", "admin", "group:<name>") means this person."""
        return (
            EVERYONE in who
            or (self.admin and ADMIN in who)
            or any(w.startswith("group:") and w.removeprefix("group:") in self.groups for w in who)
        )


# ---- the rows as they are written -----------------------------------------------------------


def _bytes(value: Any) -> Any:
    if isinstance(value, str) and (found := re.fullmatch(r"(\d+(?:\.\d+)?)([KMG])", value)):
        return int(float(found[1]) * _UNITS[found[2]])
    raise ValueError('write memory as a number with K, M or G, for example "2G"')


def _audience(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"everyone|admin|group:\S.*", value):
        raise ValueError('write "everyone", "admin" or "group:<name>"')
    return value


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Who = Annotated[tuple[Annotated[str, BeforeValidator(_audience)], ...], Field(min_length=1)]
Install = Literal["always", "on demand", "by name"]
Sentence = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(_Row):
    """One text in the two languages of Madang."""

    ko: Sentence
    en: Sentence

    def for_language(self, language: str) -> str:
        """The text in ``language`` ("ko" or "en"); anything else gets Korean."""
        return self.en if language == "en" else self.ko


class _SizeRow(_Row):
    title: Text
    cpu: Annotated[float, Field(gt=0)]
    memory: Annotated[int, BeforeValidator(_bytes), Field(ge=256 * 2**20)]
    pids: Annotated[int, Field(ge=64)]
    who: Who = (EVERYONE,)


class _OfferRow(_Row):
    title: Text
    purpose: Text
    sizes: Annotated[tuple[str, ...], Field(min_length=1)]
    who: Who = (EVERYONE,)
    accelerators: tuple[str, ...] = ()
    rescue: bool = False


class _ImageRow(_Row):
    parent: str
    folder: Sentence
    dockerfile: Sentence | None = None
    tool: str | None = None
    locks: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    install: Install = "always"
    offer: _OfferRow | None = None


class _Default(_Row):
    environment: str
    size: str


class _Table(_Row):
    release: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,60}$")]
    default: _Default
    size: Annotated[dict[Name, _SizeRow], Field(min_length=1)]
    image: Annotated[dict[Name, _ImageRow], Field(min_length=1)]


# ---- what the rest of Madang works with -----------------------------------------------------


@dataclass(frozen=True)
class Size:
    """What one server may use: ``cpu`` cores, ``memory`` bytes, ``pids`` processes and threads."""

    name: str
    title: Text
    cpu: float
    memory: int
    pids: int
    who: tuple[str, ...]


@dataclass(frozen=True)
class Image:
    """Something that is built from ``folder`` (with ``locks`` and ``sources``) on top of ``parent``.

    ``dockerfile`` is relative to the checkout; ``tool`` names the image whose programs the build
    borrows (empty: none). ``install``: by every installation (``always``), by those whose settings name it
    (``on demand``), and the large ones only when the command that builds names them (``by name``).
    ``offered``: people may start it.
    """

    name: str
    parent: str
    folder: str
    locks: tuple[str, ...]
    sources: tuple[str, ...]
    dockerfile: str = ""
    tool: str = ""
    install: Install = "always"
    offered: bool = False


@dataclass(frozen=True)
class Environment:
    """An image that people may start.

    ``accelerators``: the kinds that it can use, as CDI vendors and classes (``nvidia.com/gpu``).
    ``rescue``: it starts also where a full disk keeps the others from starting.
    ``release`` is empty where it is the table's.
    """

    name: str
    image: str
    title: Text
    purpose: Text
    sizes: tuple[str, ...]
    who: tuple[str, ...]
    accelerators: tuple[str, ...]
    rescue: bool = False
    release: str = ""


@dataclass(frozen=True)
class Offer:
    """An environment and the sizes of it that one person may start."""

    environment: Environment
    sizes: tuple[Size, ...]


@dataclass(frozen=True)
class Choice:
    """A checked wish: what is started, and how large."""

    environment: Environment
    size: Size


@dataclass(frozen=True)
class Catalog:
    """The table, checked.

    ``environments`` are those that are offered here (:meth:`offering`), ``every`` those of the whole table.
    """

    release: str
    images: Mapping[str, Image]
    environments: Mapping[str, Environment]
    sizes: Mapping[str, Size]
    default: tuple[str, str]
    path: Path = field(default=TABLE, compare=False)
    every: Mapping[str, Environment] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Catalog:
        """Read and check the table at ``path``.

        Raises:
            CatalogError: the file is missing, is not TOML, or says something that cannot be; every
                fault is listed with its line and what to write instead.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise CatalogError(f"{path}: cannot be read ({error.strerror})") from error
        return cls.parse(text, path)

    @classmethod
    def parse(cls, text: str, path: Path = TABLE) -> Catalog:
        """The same for the ``text`` of a table; ``path`` is only named in errors."""
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise CatalogError(f"{path}: not valid TOML: {error}") from error
        faults: list[tuple[tuple[str, ...], str]] = []
        try:
            table = _Table.model_validate(raw)
        except PydanticError as error:
            faults = [
                (_words(e["loc"]), _plain(e["type"], e["msg"], e.get("ctx", {})))
                for e in error.errors()
            ]
        else:
            faults = _contradictions(table)
        if faults:
            raise CatalogError(
                "\n".join(_located(path, text, where, what) for where, what in faults)
            )
        every = MappingProxyType(
            {
                n: Environment(n, n, o.title, o.purpose, o.sizes, o.who, o.accelerators, o.rescue)
                for n, r in table.image.items()
                if (o := r.offer) is not None
            }
        )
        return cls(
            release=table.release,
            images=MappingProxyType(
                {
                    n: Image(
                        n,
                        r.parent,
                        r.folder,
                        r.locks,
                        r.sources,
                        r.dockerfile or f"{r.folder}/Dockerfile",
                        r.tool or "",
                        r.install,
                        r.offer is not None,
                    )
                    for n, r in table.image.items()
                }
            ),
            environments=every,
            every=every,
            sizes=MappingProxyType(
                {n: Size(n, s.title, s.cpu, s.memory, s.pids, s.who) for n, s in table.size.items()}
            ),
            default=(table.default.environment, table.default.size),
            path=path,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Catalog:
        """Itself: nothing in it can change, and traitlets copies every configured value."""
        return self

    def reference(self, image: str) -> str:
        """The engine's name of ``image``: ``madang/<image>:<release>``."""
        return f"madang/{self.images[image].name}:{self.release}"

    def reference_of(self, environment: Environment) -> str:
        """The engine's name of the image of ``environment``, which may be of an earlier release."""
        return f"madang/{environment.image}:{environment.release or self.release}"

    def lineage(self, image: str) -> tuple[str, ...]:
        """``image`` and its ancestors inside the table, nearest first."""
        names: list[str] = []
        while image in self.images:
            names.append(image)
            image = self.images[image].parent
        return tuple(names)

    def offering(self, names: Sequence[str]) -> Catalog:
        """The same table with only these environments (none named: those that are always installed).

        Raises:
            CatalogError: a name is no environment of the table, or the default would be missing.
        """
        wanted = list(names) or [n for n in self.every if self.images[n].install == "always"]
        if unknown := [name for name in wanted if name not in self.every]:
            raise CatalogError(
                f"no environment {', '.join(unknown)}; there are {', '.join(self.every)}"
            )
        kept = {n: e for n, e in self.every.items() if n in wanted}
        default = self.default
        if default[0] not in kept:
            first = next(iter(kept.values()))
            default = (first.name, first.sizes[0])
        return replace(self, environments=MappingProxyType(kept), default=default)

    def needed(self) -> list[str]:
        """The images of the stack and of the environments that are offered here."""
        return [
            name
            for name, image in self.images.items()
            if name in self.environments or (image.install == "always" and not image.offered)
        ]

    def offers(self, person: Person) -> list[Offer]:
        """What ``person`` may start, in the table's order; an environment without a size is left out."""
        found = []
        for environment in self.environments.values():
            sizes = tuple(
                size
                for name in environment.sizes
                if person.is_one_of((size := self.sizes[name]).who)
            )
            if sizes and person.is_one_of(environment.who):
                found.append(Offer(environment, sizes))
        return found

    def choose(self, options: Mapping[str, Any], person: Person) -> Choice:
        """Check ``options`` (straight from a request; nothing about them is trusted).

        Missing keys get the table's default, or the first that the person may use.

        Raises:
            OptionError: an unknown key, a value that is not offered, or nothing is offered at all.
        """
        unknown = sorted(str(key)[:40] for key in options if key not in ("environment", "size"))
        if unknown:
            raise OptionError(
                "Unknown option: {name}. Only environment and size can be chosen.",
                "unknown-option",
                name=", ".join(unknown[:5]),
            )
        offers = {o.environment.name: o for o in self.offers(person)}
        if not offers:
            raise OptionError(
                "No environment is open to you yet. Ask your mentor or the operator.",
                "nothing-offered",
            )
        wish = options.get("environment", self.default[0] if self.default[0] in offers else None)
        name = wish if wish is not None else next(iter(offers))
        if isinstance(name, str) and "@" in name and name not in offers:
            raise OptionError(
                "The earlier version {name} is not open to you any more. Choose one of: {choices}.",
                "version",
                name=_short(name),
                choices=tuple(o.environment.title for o in offers.values()),
            )
        if not isinstance(name, str) or name not in offers:
            raise OptionError(
                "The environment {name} is not open to you. Choose one of: {choices}.",
                "environment",
                name=_short(name),
                choices=tuple(o.environment.title for o in offers.values()),
            )
        sizes = {s.name: s for s in offers[name].sizes}
        wish = options.get("size", self.default[1] if self.default[1] in sizes else None)
        size = wish if wish is not None else next(iter(sizes))
        if not isinstance(size, str) or size not in sizes:
            raise OptionError(
                "The size {name} is not open to you. Choose one of: {choices}.",
                "size",
                name=_short(size),
                choices=tuple(s.title for s in sizes.values()),
            )
        return Choice(offers[name].environment, sizes[size])


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:39] + "…"


# ---- faults ---------------------------------------------------------------------------------


def _words(location: tuple[int | str, ...]) -> tuple[str, ...]:
    """Pydantic's location without its own marks ("[key]") and list positions."""
    return tuple(w for w in location if isinstance(w, str) and w != "[key]")


def _plain(kind: str, message: str, context: Mapping[str, Any]) -> str:
    if kind == "missing":
        return "is missing: add it"
    if kind == "extra_forbidden":
        return "is not a key of this table: remove it or correct its spelling"
    if kind == "value_error":
        return str(context.get("error", message))
    if kind == "string_pattern_mismatch":
        return "use lower-case letters, digits and hyphens, starting with a letter"
    return message[:1].lower() + message[1:]


def _contradictions(table: _Table) -> list[tuple[tuple[str, ...], str]]:
    """What each row for itself cannot see: names that point nowhere, circles, unusable defaults."""
    faults: list[tuple[tuple[str, ...], str]] = []
    offered = {name for name, row in table.image.items() if row.offer}
    for name, row in table.image.items():
        if row.parent != OUTSIDE_PARENT and row.parent not in table.image:
            faults.append(
                (
                    ("image", name, "parent"),
                    f'"{row.parent}" is no image of this table: name one, or "{OUTSIDE_PARENT}"',
                )
            )
        if row.tool is not None and row.tool not in table.image:
            faults.append(
                (("image", name, "tool"), f'"{row.tool}" is no image of this table: name one')
            )
        seen = [name]
        while (parent := table.image[seen[-1]].parent) in table.image:
            if parent in seen:
                circle = " → ".join([*seen, parent])
                faults.append((("image", name, "parent"), f"parents form a circle ({circle})"))
                break
            seen.append(parent)
        for size in row.offer.sizes if row.offer else ():
            if size not in table.size:
                faults.append(
                    (
                        ("image", name, "offer", "sizes"),
                        f'"{size}" is no size of this table: use {", ".join(table.size)}',
                    )
                )
    if table.default.environment not in offered:
        faults.append(
            (
                ("default",),
                f'environment "{table.default.environment}" is not offered: use one of '
                + ", ".join(sorted(offered)),
            )
        )
    elif (row := table.image[table.default.environment]).offer and (
        table.default.size not in row.offer.sizes
    ):
        faults.append(
            (("default",), f'size "{table.default.size}" is not offered with that environment')
        )
    return faults


def line_of(text: str, where: tuple[str, ...]) -> int:
    """The line (from 1) of the TOML ``text`` where the key ``where`` is, or of its nearest table."""
    best, best_depth = 1, 0
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            table = tuple(part.strip().strip("\"'") for part in header[1].split("."))
            here = table
        elif key := re.match(r"\s*([\w.\"'-]+)\s*=", line):
            here = table + tuple(part.strip("\"'") for part in key[1].split("."))
        else:
            continue
        if here == where[: len(here)] and len(here) > best_depth:
            best, best_depth = number, len(here)
    return best


def _located(path: Path, text: str, where: tuple[str, ...], what: str) -> str:
    return f"{path}:{line_of(text, where)}: {'.'.join(where) or 'the table'}: {what}"
