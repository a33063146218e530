"""Kernels that start at once: a process with everything imported forks each.

It is forked from a process that waits, before that imports what servers need alone, and imports what kernels
need (:data:`madang_lab.warm.imports.KERNEL`). So a kernel has the modules that one started cold has, and no
others. The server, which the waiting process becomes, asks it by a pair of sockets, whole packets each way:

=============================================== ==================================================
``{"kernel": {…}}`` (:class:`Wanted`), 3 files  ``{"pid": …}``, or ``{"failed": "…"}`` and no kernel
``{"status": pid}``                             ``{"status": null}`` while it runs, else as
                                                :class:`subprocess.Popen` has it; said once
=============================================== ==================================================

Both have the number ``n`` of the question, so that an answer that comes late is not taken for another's.

It runs no thread, no timer and no event loop, and ends with the server: then the line is closed. Kernels
watch their parent, so they end with it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from madang_lab.warm import identity, imports, process, title

LIMIT = 1 << 20
"""Bytes that a packet may have."""
PATIENCE, SOON = 10.0, 0.5
"""Seconds that a server waits for a kernel, on a machine that has other things to do, and for a status."""
NAME = "madang-kernels"
MODULE = "ipykernel_launcher"


class NoKernelError(Exception):
    """None can be forked; the message says why. One can still be started cold."""


@dataclass(frozen=True)
class Wanted:
    """A kernel as a cold start would make it.

    Args:
        command: all its arguments, as its process is to show them: ``[python, "-m", MODULE, …]``.
        environ: its variables.
        cwd: its working directory.
    """

    command: tuple[str, ...]
    environ: dict[str, str]
    cwd: str


class Keeper:
    """The server's end: asks for kernels.

    Args:
        python: path of the Python that they run.
        started: the variables that the other end was started with.
    """

    def __init__(self, line: socket.socket, python: Path, started: dict[str, str]) -> None:
        self._line, self.python, self.started = line, python, started
        self._turn = threading.Lock()
        self._asked = 0

    def start(self, wanted: Wanted, files: Sequence[int]) -> int:
        """Fork one, with ``files`` (descriptors) as its stdin, stdout and stderr; returns its process id.

        Raises:
            NoKernelError: there is none.
        """
        answer = self._ask({"kernel": asdict(wanted)}, files, PATIENCE)
        if "pid" not in answer:
            raise NoKernelError(str(answer.get("failed")))
        return int(answer["pid"])

    def status(self, pid: int) -> int | None:
        """How the kernel ended; None while it runs. Ask no more when it was told.

        Raises:
            NoKernelError: nobody tells just now.
        """
        status = self._ask({"status": pid}, (), SOON).get("status")
        return None if status is None else int(status)

    def _ask(self, told: dict[str, Any], files: Sequence[int], within: float) -> dict[str, Any]:
        ends = time.monotonic() + within
        if not self._turn.acquire(timeout=within):
            raise NoKernelError("the process that forks kernels is busy")
        try:
            self._asked += 1
            packet = json.dumps({**told, "n": self._asked}).encode()
            self._line.settimeout(within)
            socket.send_fds(self._line, [packet], files)
            while True:
                self._line.settimeout(max(0.001, ends - time.monotonic()))
                said = self._line.recv(LIMIT)
                if not said:
                    raise NoKernelError("the process that forks kernels has ended")
                answer: dict[str, Any] = json.loads(said)
                if answer["n"] == self._asked:
                    return answer
        except OSError as error:
            raise NoKernelError(str(error)) from error
        finally:
            self._turn.release()


_keepers: list[Keeper] = []


def keeper() -> Keeper | None:
    """Where this server's kernels are forked; None in a server that was started cold."""
    return _keepers[0] if _keepers else None


def begin(python: Path, started: dict[str, str], prepare: Callable[[], None]) -> None:
    """Fork the process that ``prepare``s (imports) and then forks kernels; from here on it is :func:`keeper`.

    It never returns there and in the kernels: they end in here.

    Args:
        python: the Python that kernels run; it need not be there yet.
        started: the variables that this process was started with.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork():
        theirs.close()
        _keepers.append(Keeper(ours, python, started))
        return
    ours.close()
    server, parent = os.getppid(), "JPY_PARENT_PID"
    before = dict(os.environ)
    # read when ipykernel is imported: whose end is the kernel's end too. Process 1 ends with everything
    os.environ[parent] = str(server if server == 1 else os.getpid())
    try:
        # before anything is imported that asks which one it is
        identity.take_on(python)
        prepare()
        # what this process was forked in the middle of is no kernel's
        os.sched_setscheduler(0, process.POLICY, os.sched_param(0))
        added = {n: v for n, v in os.environ.items() if n != parent and before.get(n) != v}
        title.show([NAME], started, NAME)
        wanted = keep(theirs)
        if wanted is None:
            os._exit(0)
    except BaseException as error:  # nothing of the server's may run here
        print(f"{NAME}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    become(wanted, added)


def keep(line: socket.socket) -> Wanted | None:
    """Answer until the line is closed: None. In each kernel that was forked: what it is to be."""
    with line:
        while True:
            packet, files, _, _ = socket.recv_fds(line, LIMIT, 3, socket.MSG_CMSG_CLOEXEC)
            if not packet:
                return None
            told = json.loads(packet)
            if "kernel" in told:
                wanted = Wanted(**{**told["kernel"], "command": tuple(told["kernel"]["command"])})
                answer = _fork(wanted, files)
                for file in files:
                    os.close(file)
                if answer is None:
                    return wanted
            else:
                answer = {"status": _status(int(told["status"]))}
            line.send(json.dumps({**answer, "n": told["n"]}).encode())


def _status(pid: int) -> int | None:
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # it was told before
        return 0
    return os.waitstatus_to_exitcode(status) if ended else None


def _fork(wanted: Wanted, files: Sequence[int]) -> dict[str, Any] | None:
    """The answer; None in the kernel. One that cannot be is no other's end."""
    if len(files) != 3:
        return {"failed": "no files came"}
    try:
        told, tell = os.pipe()
    except OSError as error:
        return {"failed": str(error)}
    try:
        pid = os.fork()
    except (OSError, MemoryError) as error:
        for end in (told, tell):
            os.close(end)
        return {"failed": str(error)}
    if not pid:
        try:
            # a session of its own, before anybody can signal it
            os.setsid()
            for number, file in enumerate(files):
                os.dup2(file, number)
            os.chdir(wanted.cwd)
        except OSError as error:
            os.write(tell, str(error).encode())
            os._exit(1)
        for end in (told, tell):
            os.close(end)
        return None
    os.close(tell)
    with os.fdopen(told, "rb") as said:
        failed = said.read()
    if not failed:
        return {"pid": pid}
    os.waitpid(pid, 0)
    return {"failed": failed.decode()}


def become(wanted: Wanted, added: dict[str, str]) -> NoReturn:
    """Be the kernel, and end with it. ``added``: variables that its modules set when they are imported."""
    os.environ.clear()
    os.environ.update({**wanted.environ, **added})
    sys.orig_argv = list(wanted.command)
    sys.argv = [MODULE, *wanted.command[3:]]
    # the layer was not there yet, and Python remembers that
    importlib.invalidate_caches()
    # as `python -m` does
    sys.path[0] = wanted.cwd
    title.show(wanted.command, wanted.environ, Path(wanted.command[0]).name)
    signal.set_wakeup_fd(-1)
    imports.forget_madang()
    runpy.run_module(MODULE, run_name="__main__", alter_sys=True)
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    raise SystemExit
