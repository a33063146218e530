"""``madang-wait [FOLDER]``: import everything, then wait in a container for the claim that makes it a server.

It connects to ``FOLDER/line`` (a socket of the Hub's, whole packets) and sends ``{"waiting": 1}`` with a
descriptor of its mount namespace, into which the home of the person who comes is mounted. Then it blocks: no
thread, no timer, no event loop. It ends when the line is closed: the Hub wants it no more, or is gone. The
claim that comes by the line is answered (:mod:`madang_lab.warm.claim`); then this process becomes the server,
which goes on by the word that it has its network (:mod:`madang_lab.warm.network`).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from madang_lab.layer import layer_of
from madang_lab.warm import becoming, imports, kernels, network, process
from madang_lab.warm.claim import LIMIT, Claim, ClaimError, read_in_container

PLACE = "/run/madang"
LINE = "line"
START = "madang-start"
"""The start script, found on PATH as the image's entry point is."""


def connect(folder: Path) -> socket.socket:
    """The line to the Hub.

    Raises:
        OSError: nobody listens there.
    """
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        # by the folder's descriptor: an address holds 107 bytes, a path may be longer
        handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            line.connect(f"/proc/self/fd/{handle}/{LINE}")
        finally:
            os.close(handle)
    except BaseException:
        line.close()
        raise
    return line


def wait(line: socket.socket, started: Mapping[str, str], cwd: str) -> Claim | None:
    """What this process is to become; None if nothing: the line was closed, or the claim was none to take.

    ``started`` and ``cwd``: the variables and the folder that the container gave.
    """
    # a line that breaks is a line that was closed
    with contextlib.suppress(ConnectionError):
        namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            socket.send_fds(line, [_packet(waiting=1)], [namespace])
        finally:
            os.close(namespace)
        packet, _, flags, _ = line.recvmsg(LIMIT)
        if not packet:
            return None
        try:
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise ClaimError("malformed")
            claim = read_in_container(packet, started, START, cwd)
        except ClaimError as error:
            line.send(_packet(refused=str(error)))
            return None
        line.send(_packet(taken=1))
        return claim
    return None


def _packet(**told: int | str) -> bytes:
    return json.dumps(told).encode()


def environment(prefix: Path) -> str:
    """The name of the environment at ``prefix``, as its image says; empty where nothing says so."""
    try:
        return str(json.loads((prefix / "manifest.json").read_bytes())["image"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def everything(started: dict[str, str]) -> None:
    """Import, on the way with what forks kernels: in the layer that whoever comes will have."""
    imports.both()
    person = {**started, "MADANG_ENVIRONMENT": environment(Path(sys.prefix))}
    kernels.begin(layer_of(person).python, started, imports.kernel)
    imports.everything()


def run(
    folder: Path, prepare: Callable[[dict[str, str]], None], at_once: Callable[[], bool]
) -> None:
    """``prepare`` (told the variables that this was started with), wait, and become the server.

    ``at_once``: whether the server itself awaits the word to go on (:mod:`madang_lab.warm.network`); asked
    when the person's home and variables are there.

    Raises:
        SystemExit: nobody listens at the line, or the server ended.
    """
    started, cwd = process.started_with(), str(Path.cwd())
    added = becoming.coerced(started, os.environ)
    with process.behind_others():
        prepare(started)
    try:
        line = connect(folder)
    except OSError as error:
        sys.exit(
            f"madang-wait: nobody listens at {folder / LINE} ({error.strerror}); Madang's Hub starts this "
            "program, in containers that it makes ahead."
        )
    claim = wait(line, started, cwd)
    if claim is None:
        line.close()
        return
    program = becoming.ready(claim, added)
    network.expect(line)
    if not at_once():
        network.await_word()
    becoming.run(program)


def main() -> None:
    """The program; the folder of the line may be given."""
    (folder,) = sys.argv[1:] or [PLACE]
    run(Path(folder), everything, lambda: "madang_lab" in imports.enabled())
