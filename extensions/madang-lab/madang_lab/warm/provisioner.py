"""Where this server's kernels come from: forked from one that has imported everything, else as everywhere.

A kernel provisioner of jupyter_client, the usual one in user servers (``KernelProvisionerFactory`` in
``images/base/etc/jupyter_server_config.json``). Not named in ``kernel.json``: other programs than these
servers read that too, and could start no kernel without this package.

A kernel is forked where a new process would be the same: Python's own kernel, started as its file says, with
no package of the person's own, and with the same values of what it reads at its start as what forks it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner
from traitlets.config import Config

from madang_lab.layer import layer_of
from madang_lab.warm import kernels
from madang_lab.warm.claim import differing
from madang_lab.warm.kernels import Keeper, NoKernelError, Wanted

LAYER = "madang-layer"
LISTENS_WITHIN, LOOK_EVERY = 5.0, 0.005
"""Seconds that a kernel may take to listen before nobody waits for that, and between two looks."""
KERNEL_START = (
    "DEBUGPY_",
    "DEBUG_PYDEVD_",
    "DISPLAY",
    "GEVENT_",
    "IPYTHONENABLE",
    "JPY_INTERRUPT_EVENT",
    "PATHS_FROM_ECLIPSE_TO_PYTHON",
    "PYCHARM_",
    "PYDEVD_",
    "PYDEV_",
)
"""Variables that a kernel's modules read when they are imported, beside those of a server's."""


def look_ahead() -> None:
    """Read which provisioners are installed: a file for each package, else at the first kernel's start.

    They are the image's packages, the same for whoever comes.
    """
    KernelProvisionerFactory.instance()


def configured(config: Config) -> None:
    """Who was made by :func:`look_ahead` learns the server's configuration, which came later."""
    if KernelProvisionerFactory.initialized():
        KernelProvisionerFactory.instance().update_config(config)


def runs(pid: int) -> bool:
    """Whether the process is there and has not ended (proc(5))."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] not in ("Z", "X")


class Forked:
    """A kernel's process, as far as :class:`LocalProvisioner` asks a :class:`subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, keeper: Keeper) -> None:
        self.pid, self._keeper = pid, keeper
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""
        if self.returncode is None:
            try:
                self.returncode = self._keeper.status(self.pid)
            except NoKernelError:
                # nobody says how it ended; whether it runs, the system says
                self.returncode = None if runs(self.pid) else 1
        return self.returncode

    def wait(self) -> int:
        """Its exit status; called when it has ended."""
        status = self.poll()
        return 0 if status is None else status

    def send_signal(self, signum: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def in_layer(command: Sequence[str], prefix: Path) -> bool | None:
    """Whether ``command`` starts Python's kernel in the person's layer, or without it; None: something else."""
    programs = prefix / "bin"
    if list(command[-4:-1]) != ["-m", kernels.MODULE, "-f"]:
        return None
    before = list(command[:-4])
    if before == [str(programs / LAYER), "python"]:
        return True
    return False if before == [str(programs / "python")] else None


def read_at_start(wanted: Mapping[str, str], own: Mapping[str, str]) -> list[str]:
    """Names of variables that a kernel reads before it can be told them, and that are not the same in both."""
    names = {name for name in {*wanted, *own} if name.startswith(KERNEL_START)}
    more = {name for name in names if wanted.get(name) != own.get(name)}
    return sorted({*differing(wanted, own), *more})


def wanted(command: Sequence[str], environ: Mapping[str, str], cwd: str, keeper: Keeper) -> Wanted:
    """The kernel that ``command`` would start; a layer is made or mended by it, as in a cold start.

    ``environ``: its variables.

    Raises:
        NoKernelError: it would be another one if it were forked.
    """
    prefix = Path(sys.prefix)
    layered = in_layer(command, prefix)
    if layered is None:
        raise NoKernelError("another command")
    found = dict(environ)
    rest = list(command)
    if layered:
        rest = rest[1:]
        # what the layer's program adds to the variables
        done = subprocess.run(
            [command[0], "env", "-0"], env=found, cwd=cwd, stdout=subprocess.PIPE, check=False
        )
        pairs = os.fsdecode(done.stdout).split("\0")
        found = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        layer = layer_of(found, prefix)
        if done.returncode or found.get("VIRTUAL_ENV") != str(layer.folder):
            raise NoKernelError("the layer is not there")
        # Python's own finder and its caches ask nobody else
        if {path.name for path in layer.site.iterdir()} - {"__pycache__"} != {"_madang.pth"}:
            raise NoKernelError("own packages")
    python = shutil.which(rest[0], path=found.get("PATH"))
    if python != str(keeper.python):
        raise NoKernelError(f"another Python: {python}")
    if names := read_at_start(found, keeper.started):
        raise NoKernelError(f"variables: {', '.join(names)}")
    return Wanted(tuple(rest), found, cwd)


class Provisioner(LocalProvisioner):
    """Starts a kernel by fork where that makes no difference to it, else like :class:`LocalProvisioner`."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start the kernel; returns how to connect to it."""
        keeper = kernels.keeper()
        if keeper is not None:
            try:
                return await self._fork(keeper, cmd, kwargs)
            except (NoKernelError, OSError) as error:
                self.log.info("A kernel is started cold (%s)", error)
        return await super().launch_kernel(cmd, **kwargs)

    async def _fork(self, keeper: Keeper, cmd: list[str], kwargs: dict[str, Any]) -> Any:
        if unknown := {*kwargs} - {"env", "cwd", "kernel_id", "extra_arguments"}:
            raise NoKernelError(f"arguments: {', '.join(sorted(unknown))}")
        # as jupyter_client.launcher does it
        environ = {**(kwargs.get("env") or os.environ), "JPY_PARENT_PID": str(os.getpid())}
        cwd = str(kwargs.get("cwd") or Path.cwd())
        kernel = await asyncio.to_thread(wanted, cmd, environ, cwd, keeper)
        # its stdin is at its end, as that of every kernel
        stdin, end = os.pipe()
        os.close(end)
        try:
            pid = await asyncio.to_thread(keeper.start, kernel, [stdin, 1, 2])
        finally:
            os.close(stdin)
        self.process = Forked(pid, keeper)
        self.pid = self.pgid = pid
        self.cwd = Path(cwd)
        await self._listens(self.process)
        return self.connection_info

    async def _listens(self, process: Forked) -> None:
        """Return when the kernel listens at its ports.

        Jupyter Server connects at once. To a port where nobody listens ZeroMQ comes back later, and
        meanwhile the first word of a fast kernel is missed, which Jupyter Server asks for again only
        after half a second.
        """
        # the port that it binds last
        ip, port = str(self.connection_info["ip"]), int(self.connection_info["hb_port"])
        local = self.connection_info["transport"] == "ipc"
        ends = time.monotonic() + LISTENS_WITHIN
        while time.monotonic() < ends and process.poll() is None:
            try:
                if local:
                    _, writer = await asyncio.open_unix_connection(f"{ip}-{port}")
                else:
                    _, writer = await asyncio.open_connection(ip, port)
            except OSError:
                await asyncio.sleep(LOOK_EVERY)
            else:
                writer.close()
                return
