"""What a setting's text may be, and what it becomes."""

from __future__ import annotations

import math
import re
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, ClassVar, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Port = Annotated[int, Field(ge=1, le=65535)]


class Factor(NamedTuple):
    """A number for something with a name; as text ``NAME=NUMBER``."""

    name: str
    number: float


class Group(BaseModel):
    """Settings that belong together: a section of the page of settings."""

    heading: ClassVar[str]

    model_config = ConfigDict(extra="forbid", frozen=True)


def _listed(value: Any) -> Any:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _words(value: Any) -> Any:
    return tuple(value.split()) if isinstance(value, str) else value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("write a name such as Asia/Seoul or UTC") from None
    return value


def _by_role(value: str) -> str:
    word = r"(trainee|member|mentor|admin)=\d{1,6}(\.\d+)?"
    if not all(re.fullmatch(word, w) for w in value.replace(",", " ").split()):
        raise ValueError("write ROLE=NUMBER, the role trainee, member, mentor or admin")
    return value


def _factors(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = []
    for entry in filter(None, (e.strip() for e in value.split(","))):
        name, _, number = (word.strip() for word in entry.rpartition("="))
        try:
            factor = float(number)
        except ValueError:
            factor = math.nan
        if not name or not math.isfinite(factor) or factor < 0:
            raise ValueError("write NAME=NUMBER, NAME=NUMBER")
        found.append(Factor(name, factor))
    return tuple(found)


def _above_zero(value: tuple[Factor, ...]) -> tuple[Factor, ...]:
    if any(number <= 0 for _, number in value):
        raise ValueError("write numbers above 0")
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""Separated by spaces or commas."""
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
"""Separated by spaces."""
Networks = Annotated[tuple[IPv4Network, ...], BeforeValidator(_listed)]
Addresses = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_listed)]
Zone = Annotated[str, AfterValidator(_zone)]
ByRole = Annotated[str, AfterValidator(_by_role)]
"""``ROLE=NUMBER``, separated by spaces or commas."""
Factors = Annotated[tuple[Factor, ...], BeforeValidator(_factors)]
"""``NAME=NUMBER``, separated by commas; a name may hold spaces, a number is not negative."""
Weights = Annotated[Factors, AfterValidator(_above_zero)]
