"""The network of a server that waited, which the Hub has connected while the server prepared.

A server asks the Hub when JupyterHub's extension is loaded. Until then it needs no network, so the word that
there is one (:data:`madang_lab.warm.claim.GO`) is awaited at the last moment: when ours is linked, which is
before any is loaded.
"""

from __future__ import annotations

import contextlib
import socket

from madang_lab.warm.claim import GO

_lines: list[socket.socket] = []


def expect(line: socket.socket) -> None:
    """The word comes by ``line``."""
    _lines.append(line)


def await_word() -> None:
    """Return when this server has its network; at once where it always had one.

    Raises:
        SystemExit: the Hub closed the line instead: nobody is to have this server.
    """
    while _lines:
        told = b""
        with _lines.pop() as line, contextlib.suppress(ConnectionError):
            told = line.recv(len(GO))
        if told != GO:
            raise SystemExit(0)
