"""What the mounter is asked, what it answers, and what it holds to. Rules only (no I/O).

One request per connection, one packet: ``{"home": <name>, "slot": <name>}`` with one descriptor, the mount
namespace of the container that waits in this slot. It is answered ``{"mounted": 1}`` or
``{"refused": <sentence>}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from madang_hub.warm.names import SLOT

HOME = re.compile(r"[a-z0-9-]{1,255}", re.ASCII)
"""A folder's name below the homes, as :func:`madang_hub.homes.slug` makes it."""
HOME_PLACE = "/home/madang"
"""Where the home belongs in the container (:data:`madang_hub.user_container.HOME`, which loads too much)."""
OWNER = 1000
"""Whose a home is (:data:`madang_hub.homes.USER_UID`)."""
MAX_PACKET = 1024
"""Bytes that a request may have; the longest takes a third of it."""
LIMIT = 2.0
"""Seconds that a request may take."""


class RefusedError(Exception):
    """Nothing is mounted; the message is one sentence that says why."""


@dataclass(frozen=True)
class Request:
    """The home ``home`` (a folder's name) into the container of ``slot``."""

    home: str
    slot: str


def packet(request: Request) -> bytes:
    """``request`` as it is sent."""
    return json.dumps({"home": request.home, "slot": request.slot}).encode("ascii")


def read(text: bytes) -> Request:
    """The request in ``text``.

    Raises:
        RefusedError: it is none.
    """
    try:
        pairs = json.loads(text.decode("ascii"), object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        raise RefusedError("the request cannot be read") from None
    if not isinstance(pairs, tuple) or [name for name, _ in pairs] not in (
        ["home", "slot"],
        ["slot", "home"],
    ):
        raise RefusedError("the request names something else than a home and a slot")
    given = dict(pairs)
    for name, pattern in (("home", HOME), ("slot", SLOT)):
        if not isinstance(given[name], str) or not pattern.fullmatch(given[name]):
            raise RefusedError(f"the name of the {name} is not one")
    return Request(given["home"], given["slot"])


def answer(refused: str = "") -> bytes:
    """What is answered: mounted, or the reason why not."""
    return json.dumps({"refused": refused} if refused else {"mounted": 1}).encode("ascii")


def reason(text: bytes) -> str:
    """Why nothing was mounted, of an answer; "" if the home is mounted."""
    try:
        said: Any = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, Mapping):
        if said == {"mounted": 1}:
            return ""
        if isinstance(said.get("refused"), str) and said["refused"]:
            return str(said["refused"])
    return "the mounter ended without an answer" if not text else "its answer cannot be read"


def is_private(mountinfo: bytes, mount: int) -> bool:
    """Whether what is mounted onto the mount with this number is seen in its own namespace alone.

    ``mountinfo``: what ``/proc/<pid>/mountinfo`` says (proc(5)). False where it does not name the mount.
    """
    for line in mountinfo.split(b"\n"):
        fields = line.split(b" ")
        if fields[0] == b"%d" % mount and b"-" in fields:
            return not any(f.startswith(b"shared:") for f in fields[6 : fields.index(b"-")])
    return False
