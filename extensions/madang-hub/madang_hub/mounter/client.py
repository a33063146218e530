"""How the Hub asks the mounter."""

from __future__ import annotations

import socket
from pathlib import Path

from madang_hub.mounter.rules import MAX_PACKET, Request, packet, reason

WAIT = 5.0
"""Seconds until the Hub gives up: a request's two and those of one that stands before it."""


class NotMountedError(Exception):
    """No home is mounted, or nobody knows; the container must not be used. The message says why."""


def mount(socket_path: Path, home: str, slot: str, namespace: int) -> None:
    """Have the folder ``home`` (its name below the homes) mounted in the container of ``slot``.

    ``namespace`` is a descriptor of that container's mount namespace; it stays open. This blocks, for five
    seconds at most.

    Raises:
        NotMountedError: it was refused, or there was no answer.
    """
    request = packet(Request(home, slot))
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
            line.settimeout(WAIT)
            line.connect(str(socket_path))
            socket.send_fds(line, [request], [namespace])
            said = line.recv(MAX_PACKET)
    except TimeoutError:
        raise NotMountedError(f"the mounter did not answer within {WAIT:.0f} seconds") from None
    except OSError as error:
        raise NotMountedError(f"the mounter does not answer ({error})") from error
    if refused := reason(said):
        raise NotMountedError(refused)
