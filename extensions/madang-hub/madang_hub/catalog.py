"""The shelf: which images exist, which of them people may start, and in what sizes.

Rules only: :meth:`Catalog.load` reads one file, everything else is pure. The table itself is
``images/images.toml`` (``image_table.py`` reads its rows); its vocabulary is *image* (something that is
built), *environment* (an image that is offered to people) and *size* (CPU, memory and process limit of
one server).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from madang_hub.image_table import ADMIN, EVERYONE, TABLE, CatalogError, Install, read
from madang_hub.texts import Text


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
        table = read(text, path)
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
