"""Warm servers in tests: a program that tells what it finds about itself, and the Hub's end of the line."""

from __future__ import annotations

import json
import select
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.deployment import wait_for

_PROGRAM = """\
facts_are_here = True
import json, os, resource, signal, sys
def lines(*starts):
    # SigQ counts signals of all processes of the account
    return [line for line in open("/proc/self/status") if line.startswith(starts) and "SigQ" not in line]
def texts(name):
    return open(f"/proc/self/{name}").read().removesuffix("\\0").split("\\0")
facts = {
    "argv": sys.argv,
    "orig_argv": sys.orig_argv,
    "path": sys.path,
    "environ": dict(os.environ),
    "order": list(os.environ),
    "cwd": os.getcwd(),
    "folder": [os.stat(".").st_dev, os.stat(".").st_ino],
    "main": [__name__, __file__, sys.modules["__main__"].__dict__["facts_are_here"]],
    "status": lines("Umask", "Sig", "Threads", "Cap", "NoNewPrivs", "Seccomp"),
    "handlers": [str(signal.getsignal(n)) for n in (2, 15, 17)],
    "limits": open("/proc/self/limits").read(),
    "files": sorted(os.listdir("/proc/self/fd"))[:-1],
    "open": [os.readlink(f"/proc/self/fd/{n}") for n in (0, 1, 2)],
    "session": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
    "policy": [os.sched_getscheduler(0), os.nice(0)],
    "command": texts("cmdline"),
    "environ shown": texts("environ"),
    "name": open("/proc/self/comm").read(),
    "oom": open("/proc/self/oom_score_adj").read(),
    "program": os.readlink("/proc/self/exe"),
    "account": [os.getresuid(), os.getresgid(), os.getgroups()],
    "flags": str(sys.flags),
}
print("said on stderr", file=sys.stderr, flush=True)
print(json.dumps(facts), flush=True)
if "--stay" in sys.argv:
    signal.pause()
sys.exit(7)
"""
ENDS_WITH = 7
"""Its exit status, unless it is told to ``--stay``."""


def write_program(folder: Path) -> Path:
    """The server's program for tests in the new ``folder``: it tells of itself and ends."""
    folder.mkdir()
    return write_python(folder / "jupyterhub-singleuser", _PROGRAM)


def write_python(path: Path, code: str) -> Path:
    """An executable program of this Python."""
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(0o755)
    return path


def facts_in(log: Path) -> dict[str, Any]:
    """What the program found about itself; ``log`` is its output, with nothing else in it."""
    wait_for(lambda: log.read_text().endswith("}\n"), "the program", 20)
    said, facts = log.read_text().splitlines()
    assert said == "said on stderr"
    found: dict[str, Any] = json.loads(facts)
    return found


class Line:
    """The Hub's end of the line of a container that waits."""

    def __init__(self, folder: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(folder / "line"))
        self._listener.listen()
        self._listener.settimeout(30)
        self.socket: socket.socket | None = None

    def somebody(self) -> bool:
        """Whether somebody has connected, who is not taken yet."""
        return bool(select.select([self._listener], [], [], 0)[0])

    def waits(self) -> int:
        """When somebody waits: the descriptor that came with the word."""
        if self.socket:
            self.socket.close()
        self.socket, _ = self._listener.accept()
        self.socket.settimeout(20)
        packet, files, _, _ = socket.recv_fds(self.socket, 4096, 4)
        assert json.loads(packet) == {"waiting": 1}
        (namespace,) = files
        return namespace

    def claim(self, command: Any, environ: Any, go: bool = True) -> dict[str, Any]:
        """The answer to a claim; after ``taken`` it may ``go`` on."""
        answer = self.say(json.dumps({"command": command, "environ": environ}).encode())
        if go and "taken" in answer:
            self.go()
        return answer

    def go(self) -> None:
        """It has its network."""
        assert self.socket
        self.socket.send(b"go")

    def say(self, packet: bytes) -> dict[str, Any]:
        """The answer to any packet."""
        assert self.socket
        self.socket.send(packet)
        answer: dict[str, Any] = json.loads(self.socket.recv(4096))
        return answer

    @property
    def over(self) -> bool:
        """Whether the other end has closed it; waits until it says or does something."""
        assert self.socket
        return self.socket.recv(4096) == b""

    def close(self) -> None:
        """Both what listens and the line."""
        self._listener.close()
        if self.socket:
            self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def own_memory(pid: int) -> float:
    """What this process alone holds of the memory, in MiB: not what it reads of files, which others share."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.split("\nPss_Anon:")[1].split()[0]) / 1024
