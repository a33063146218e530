"""Reading what a client of the engine sent: small checks that refuse, never mend (no I/O)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

MAX_BODY = 256 * 1024
"""Bytes of the largest body that is read; a real one has about four thousand."""


class Refused(Exception):  # noqa: N818  # read as a state: the call is refused
    """The call is not allowed; the message says which part of it, never what was in it."""


REF = r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}"


def need(condition: object, message: str) -> None:
    if not condition:
        raise Refused(message)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        need(key not in found, f"the body has the key {show(key)} twice")
        found[key] = value
    return found


def _constant(_: str) -> Any:
    raise Refused("the body has a number that JSON does not know")


def show(text: str) -> str:
    """``text`` for a message: short, and with nothing that could forge a line of the log."""
    return repr(text if len(text) <= 60 else text[:59] + "…")


def parse_body(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``.

    Raises:
        Refused: it is too large, no object, or not what every reader reads in the same way.
    """
    need(len(body) <= MAX_BODY, f"the body is larger than {MAX_BODY} bytes")
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_pairs, parse_constant=_constant)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Refused("the body is not JSON") from error
    need(isinstance(value, dict), "the body is not a JSON object")
    return dict(value)


def canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False).encode("ascii")


def an_object(value: Any, where: str) -> dict[str, Any]:
    need(isinstance(value, dict), f"{where} must be an object")
    return dict(value)


def a_text(value: Any, where: str, limit: int = 4096) -> str:
    need(isinstance(value, str), f"{where} must be text")
    need(len(value) <= limit and "\0" not in value, f"{where} is too long or holds a zero")
    return str(value)


def a_ref(value: Any, where: str) -> str:
    need(
        isinstance(value, str) and re.fullmatch(REF, value, re.ASCII),
        f"{where} must be a name or an id",
    )
    return str(value)


def texts(value: Any, where: str, limit: int = 32768, count: int = 512) -> list[str]:
    need(isinstance(value, list) and len(value) <= count, f"{where} must be a list of texts")
    return [a_text(item, where, limit) for item in value]


def whole(value: Any, where: str, low: int, high: int) -> int:
    need(
        type(value) is int and low <= value <= high,
        f"{where} must be a whole number from {low} to {high}",
    )
    return int(value)


def flag(value: Any, where: str) -> bool:
    need(isinstance(value, bool), f"{where} must be true or false")
    return bool(value)


def empty(value: Any) -> bool:
    """Whether the engine would read ``value`` as "not set", whatever the key's type."""
    return (
        value is None
        or value is False
        or value in ("", [], {})
        or (type(value) is int and value == 0)
    )


def only(value: Mapping[str, Any], where: str, known: Iterable[str], unset: Iterable[str]) -> None:
    """Refuse keys that are in neither list, and keys of ``unset`` that say something."""
    known, unset = set(known), set(unset)
    for key in value:
        if key in known:
            continue
        need(key in unset, f"{where}{show(key)} is not a key that user servers need")
        need(empty(value[key]), f"{where}{key} may not be set")
