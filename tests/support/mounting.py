"""The mounter's process and what it works with: homes, slots, containers that wait."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import pytest

from madang_hub.mounter import rules
from madang_hub.mounter.client import NotMountedError, mount
from madang_hub.warm.names import slot_name
from support.deployment import wait_for
from support.namespaces import USER, Maker, Waiting

MOUNTS = Path("/proc/self/mountinfo")
AS_IN_THE_STACK = (
    *("setpriv", "--no-new-privs", "--inh-caps=-all"),
    "--bounding-set=-all,+sys_admin,+sys_chroot",
)
"""What docker-compose.yml leaves it of root's rights."""


@dataclass
class Site:
    """An installation's folders and its mounter."""

    folder: Path
    maker: Maker
    mounter: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        for name, mode in (("homes", 0o711), ("warm", 0o711), ("mounter", 0o700)):
            (self.folder / name).mkdir()
            (self.folder / name).chmod(mode)
        for name in ("kim", "james"):
            self.home(name)

    @property
    def socket(self) -> Path:
        return self.folder / "mounter" / "mounter.sock"

    @property
    def homes(self) -> Path:
        return self.folder / "homes"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def home(self, name: str, owner: int = USER) -> Path:
        home = self.homes / name
        home.mkdir(mode=0o700)
        (home / f"of-{name}").touch()
        os.chown(home, owner, owner)
        return home

    def start(self, *before: str, program: Sequence[str] = ("-m", "madang_hub.mounter")) -> None:
        """Start the mounter and wait until it listens; ``before``: words of a command that runs it."""
        with (self.folder / "log").open("ab") as log:
            before_it = self.log.count("listening\n")
            self.mounter = subprocess.Popen(
                [
                    *(*before, *AS_IN_THE_STACK, sys.executable, *program),
                    *("--homes", self.homes, "--slots", self.folder / "warm"),
                    *("--socket", self.socket),
                ],
                stderr=log,
            )
        wait_for(lambda: self.log.count("listening\n") > before_it, "the mounter", 20)

    def stop(self, how: int = signal.SIGTERM) -> int:
        self.mounter.send_signal(how)
        return self.mounter.wait(timeout=20)

    def slot(self) -> Path:
        """A new slot's folder, with the Hub's end of the line in it."""
        made = self.folder / "warm" / slot_name()
        made.mkdir(mode=0o755)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
            line.bind(str(made / "line"))
        return made

    @contextmanager
    def waiting(self, **how: str) -> Iterator[tuple[Waiting, str]]:
        """A container that waits in a slot of its own, and the slot."""
        slot = self.slot()
        with self.maker.container(slot, **how) as made:
            yield made, slot.name

    def claim(self, container: Waiting, home: str, slot: str) -> None:
        mount(self.socket, home, slot, container.namespace)

    def refusal(self, container: Waiting, home: str, slot: str) -> str:
        """Why nothing was mounted, after a look that nothing was."""
        before = container.look()["mounts"]
        with pytest.raises(NotMountedError) as caught:
            self.claim(container, home, slot)
        assert container.look()["mounts"] == before
        assert self.of_here() == []
        return str(caught.value)

    def of_here(self) -> list[str]:
        """What of this installation is mounted on the machine."""
        return [line for line in MOUNTS.read_text().splitlines() if str(self.folder) in line]

    def says(self, text: bytes, descriptors: list[int]) -> str:
        """Why this packet is refused."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
            line.settimeout(20)
            line.connect(str(self.socket))
            if descriptors:
                socket.send_fds(line, [text], descriptors)
            else:
                line.send(text)
            return rules.reason(line.recv(rules.MAX_PACKET))


@contextmanager
def watched(site: Site) -> Iterator[list[str]]:
    """Everything of this installation that the machine has mounted meanwhile."""
    found: list[str] = []
    over = Event()

    def watch() -> None:
        while not over.is_set():
            found.extend(site.of_here())

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()
