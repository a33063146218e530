"""What the gateway and the spawner agree on, over a Hub that others may ask as well. Rules only.

Both hold one secret of the installation. An *order* says what a server of the service account is to show. It is
sealed with the server's name, so nobody else can have one started, and none is started as another; an admin who
starts a server again gets the same one. The runner's *key* follows from the name and is written down nowhere:
not in the Hub's database, not in options that the Hub shows.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import PurePosixPath
from typing import Any

NAME = re.compile(r"app-[a-z]{20}", re.ASCII)
_CONTENT = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SLUG = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class UnsealedError(ValueError):
    """These are no options that the gateway gave to this server."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a server is to show.

    Attributes:
        slug: of the dashboard; version: its number.
        content: the snapshot's name; notebook: path in it.
        size: of the table.
        check: whether it is for the check run, not for visitors.
    """

    slug: str
    version: int
    content: str
    notebook: str
    size: str
    check: bool = False


def new_name() -> str:
    """A name for a server that none had before."""
    return "app-" + "".join(secrets.choice(_LETTERS) for _ in range(20))


def key(secret: str, name: str) -> str:
    """The key of the runner in the server ``name``: 64 characters."""
    return _mac(secret, "key", name)


def new_nonce() -> str:
    """A question that nobody was asked before: 43 characters."""
    return secrets.token_urlsafe(32)


def proof(key: str, nonce: str) -> str:
    """What only a runner with ``key`` answers to ``nonce`` (``madang_dashboard.gate``): 64 characters."""
    return hmac.new(key.encode(), f"proof\0{nonce}".encode(), hashlib.sha256).hexdigest()


def options(secret: str, name: str, order: Order) -> dict[str, Any]:
    """The options to start the server ``name`` with."""
    return {"order": asdict(order), "seal": _mac(secret, "order", _text(name, order))}


def order_of(secret: str, name: str, given: Any) -> Order:
    """The order in a server's options.

    Raises:
        UnsealedError: the gateway did not give them, or to another server.
    """
    if not isinstance(given, Mapping) or set(given) != {"order", "seal"} or not secret:
        raise UnsealedError(name)
    found, seal = given["order"], given["seal"]
    kinds = {f.name: type_ for f, type_ in zip(fields(Order), _KINDS, strict=True)}
    if (
        not isinstance(found, Mapping)
        or not isinstance(seal, str)
        or set(found) != set(kinds)
        or any(type(found[n]) is not kind for n, kind in kinds.items())
        or not NAME.fullmatch(name)
    ):
        raise UnsealedError(name)
    order = Order(**found)
    right = _mac(secret, "order", _text(name, order))
    if not hmac.compare_digest(right.encode(), seal.encode("utf-8", "replace")):
        raise UnsealedError(name)
    parts = PurePosixPath(order.notebook)
    if (
        not _CONTENT.fullmatch(order.content)
        or not _SLUG.fullmatch(order.slug)
        or parts.is_absolute()
        or ".." in parts.parts
    ):
        # sealed by somebody who has the secret, and still no order
        raise UnsealedError(name)
    return order


_KINDS = (str, int, str, str, str, bool)


def _text(name: str, order: Order) -> str:
    return json.dumps([name, asdict(order)], sort_keys=True)


def _mac(secret: str, purpose: str, text: str) -> str:
    if not secret:
        raise ValueError("the secret of dashboards is empty")
    return hmac.new(secret.encode(), f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()
