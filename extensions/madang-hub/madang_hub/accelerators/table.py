"""``accelerators.toml`` beside ``madang.env``: what the operator knows and no source says.

One table a device, by its full CDI name; nothing has to be written. See docs/howto/accelerators.md.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from madang_hub.image_table import parse_bytes

FILE = "accelerators.toml"


class TableError(ValueError):
    """The table cannot be used; the message names the entry and what to write."""


class Row(BaseModel):
    """What is known of one device. ``memory`` in bytes, written ``16G``; 0 is unknown. ``shares``: into how
    many parts it is divided for people of one team, who use it by turns; 1: not at all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = ""
    memory: Annotated[int, BeforeValidator(parse_bytes)] = 0
    offered: bool = True
    shares: Annotated[int, Field(ge=1, le=64, strict=True)] = 1


Name = Annotated[str, Field(pattern=r"^[A-Za-z][\w.-]*/[\w.-]+=[\w.:-]+$")]
_ROWS: TypeAdapter[dict[str, Row]] = TypeAdapter(dict[Name, Row])


def parse(text: str) -> dict[str, Row]:
    """The rows of ``text``, by full CDI name.

    Raises:
        TableError: it is no TOML, or a row is wrong.
    """
    try:
        return _ROWS.validate_python(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"{FILE}: {error}.") from None
    except ValidationError as error:
        fault = error.errors()[0]
        where, *rest = (str(part) for part in fault["loc"])
        if rest == ["[key]"]:
            raise TableError(
                f'{FILE}: write the full CDI name, such as ["vendor.com/npu=0"], not {where!r}.'
            ) from None
        said = fault["msg"].removeprefix("Value error, ")
        raise TableError(f"{FILE}: {' '.join([where, *rest])}: {said}.") from None


def read(root: Path) -> Mapping[str, Row]:
    """The table in ``root``; without the file it is empty.

    Raises:
        TableError: as :func:`parse`.
    """
    file = root / FILE
    try:
        return parse(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{file} cannot be read ({error}).") from None
