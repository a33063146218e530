"""What a setting's text may be, and what it becomes."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Port = Annotated[int, Field(ge=1, le=65535)]


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


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""Separated by spaces or commas."""
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
"""Separated by spaces."""
Networks = Annotated[tuple[IPv4Network, ...], BeforeValidator(_listed)]
Addresses = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_listed)]
Zone = Annotated[str, AfterValidator(_zone)]
ByRole = Annotated[str, AfterValidator(_by_role)]
"""``ROLE=NUMBER``, separated by spaces or commas."""
