"""``images/images.toml`` as it is written: its rows, and what is wrong with them, by line.

Rules only; ``catalog.py`` makes of the rows what the rest of Madang works with.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic import ValidationError as PydanticError

from madang_hub.texts import Sentence, Text

OUTSIDE_PARENT = "debian:bookworm-slim"
"""The one image that does not come from the table (``scripts/base-image`` provides it)."""

TABLE = Path("images/images.toml")
"""The table, relative to the checkout (or to its copy in the Hub's image)."""
EVERYONE = "everyone"
ADMIN = "admin"
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


class CatalogError(ValueError):
    """The table is wrong; the message names file, line and fix of everything found, a line each."""


# ---- the rows ------------------------------------------------------------------------------------


def parse_bytes(value: Any) -> Any:
    """Bytes of ``2G`` and the like, for a validator of pydantic."""
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


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SizeRow(_Row):
    title: Text
    cpu: Annotated[float, Field(gt=0)]
    memory: Annotated[int, BeforeValidator(parse_bytes), Field(ge=256 * 2**20)]
    pids: Annotated[int, Field(ge=64)]
    who: Who = (EVERYONE,)


class OfferRow(_Row):
    title: Text
    purpose: Text
    sizes: Annotated[tuple[str, ...], Field(min_length=1)]
    who: Who = (EVERYONE,)
    accelerators: tuple[str, ...] = ()
    rescue: bool = False


class ImageRow(_Row):
    parent: str
    folder: Sentence
    dockerfile: Sentence | None = None
    tool: str | None = None
    locks: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    install: Install = "always"
    offer: OfferRow | None = None


class DefaultRow(_Row):
    environment: str
    size: str


class Table(_Row):
    release: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,60}$")]
    default: DefaultRow
    size: Annotated[dict[Name, SizeRow], Field(min_length=1)]
    image: Annotated[dict[Name, ImageRow], Field(min_length=1)]


def read(text: str, path: Path = TABLE) -> Table:
    """The rows of the ``text`` of a table, checked; ``path`` is only named in errors.

    Raises:
        CatalogError: it is not TOML, or says something that cannot be; every fault is listed with its
            line and what to write instead.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(f"{path}: not valid TOML: {error}") from error
    faults: list[tuple[tuple[str, ...], str]] = []
    try:
        table = Table.model_validate(raw)
    except PydanticError as error:
        faults = [
            (_words(e["loc"]), _plain(e["type"], e["msg"], e.get("ctx", {})))
            for e in error.errors()
        ]
    else:
        faults = _contradictions(table)
    if faults:
        raise CatalogError("\n".join(_located(path, text, where, what) for where, what in faults))
    return table


# ---- faults -------------------------------------------------------------------------------------


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


def _contradictions(table: Table) -> list[tuple[tuple[str, ...], str]]:
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
