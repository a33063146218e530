"""Messages of a kernel as a websocket carries them: Jupyter's subprotocol ``v1.kernel.websocket.jupyter.org``.

The format is described in Jupyter Server's documentation, "WebSocket kernel wire protocols": a count of
offsets, the offsets, each 8 bytes little-endian, then channel, header, parent header, metadata, content
and buffers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

PROTOCOL = "v1.kernel.websocket.jupyter.org"

BUFFERS = 1024
"""Most binary parts of one message."""

_WORD = 8
_PARTS = 5
"""Channel, header, parent header, metadata, content."""


class FrameError(ValueError):
    """These bytes are no message."""


@dataclass(frozen=True)
class Frame:
    """A message, its parts not read yet."""

    channel: str
    header: bytes
    parent: bytes
    metadata: bytes
    content: bytes
    buffers: Sequence[bytes] = ()

    def joined(self) -> bytes:
        """The message as bytes."""
        channel = self.channel.encode()
        parts = [channel, self.header, self.parent, self.metadata, self.content, *self.buffers]
        at = _WORD * (len(parts) + 2)
        offsets = [at]
        for part in parts:
            at += len(part)
            offsets.append(at)
        words = [len(offsets), *offsets]
        return b"".join([*(word.to_bytes(_WORD, "little") for word in words), *parts])


def split(message: bytes) -> Frame:
    """The parts of ``message``.

    Raises:
        FrameError: offsets that are missing, out of order or outside, too many parts, or no UTF-8 channel.
    """
    count = int.from_bytes(message[:_WORD], "little")
    if not _PARTS + 1 <= count <= _PARTS + 1 + BUFFERS:
        raise FrameError(f"{count} offsets")
    first = _WORD * (count + 1)
    if len(message) < first:
        raise FrameError("shorter than its offsets")
    offsets = [
        int.from_bytes(message[at : at + _WORD], "little") for at in range(_WORD, first, _WORD)
    ]
    ends = [*offsets[1:], len(message)]
    if offsets[0] < first or any(begin > end for begin, end in zip(offsets, ends, strict=True)):
        raise FrameError("offsets out of order or outside")
    parts = [message[begin:end] for begin, end in pairwise(offsets)]
    try:
        channel = parts[0].decode()
    except UnicodeDecodeError:
        raise FrameError("no channel") from None
    header, parent, metadata, content = parts[1:_PARTS]
    return Frame(channel, header, parent, metadata, content, tuple(parts[_PARTS:]))


def read(part: bytes) -> dict[str, Any]:
    """A part that is a JSON object.

    Raises:
        FrameError: it is none.
    """
    try:
        found = json.loads(part)
    except (ValueError, RecursionError):
        raise FrameError("no JSON") from None
    if not isinstance(found, dict):
        raise FrameError("no JSON object")
    return found


def written(part: Any) -> bytes:
    """``part`` as JSON."""
    return json.dumps(part, ensure_ascii=False, separators=(",", ":")).encode()
