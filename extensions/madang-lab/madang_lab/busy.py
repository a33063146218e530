"""Whether this server works on something, which counts as activity when idle servers are stopped."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Literal

from madang_lab import accelerator
from madang_lab.service import AwayError, RefusedError

REPORT_EVERY = 60.0
"""Seconds between two reports while something runs."""
Why = Literal["kernel", "accelerator", ""]
"""What runs; a terminal counts as a kernel. Empty: nothing."""


def is_busy(kernels: Iterable[dict[str, Any]], terminals: Iterable[Any]) -> bool:
    """Whether a kernel runs a cell or a terminal a program.

    Args:
        kernels: models as the kernels' REST API shows them.
        terminals: terminado's terminals.
    """
    return any(kernel.get("execution_state") == "busy" for kernel in kernels) or any(
        runs_something(terminal) for terminal in terminals
    )


def runs_something(terminal: Any) -> bool:
    """Whether another program than the terminal's own shell has the foreground."""
    process = terminal.ptyproc
    try:
        # 0: a terminal that is just being made has nothing in the foreground
        return os.tcgetpgrp(process.fd) not in (0, os.getpgid(process.pid))
    except (OSError, ValueError):
        return False  # it has ended


class Reporter:
    """Tells the people service that something runs, and once that it no longer does."""

    def __init__(self, serverapp: Any, people: Any) -> None:
        self._serverapp, self._people = serverapp, people
        self._told_busy = False

    def busy(self) -> bool:
        """Whether a kernel or a terminal works now."""
        manager = self._serverapp.web_app.settings.get("terminal_manager")
        terminals = manager.terminals.values() if manager is not None else ()
        return is_busy(self._serverapp.kernel_manager.list_kernels(), terminals)

    async def why(self) -> Why:
        """What works now; the driver is asked only where nothing else does."""
        if self.busy():
            return "kernel"
        return "accelerator" if await accelerator.is_busy() else ""

    async def report(self) -> None:
        """One round."""
        why = await self.why()
        if not why and not self._told_busy:
            return
        try:
            await self._people.report(why)
            self._told_busy = bool(why)
        except (AwayError, RefusedError) as error:
            self._serverapp.log.debug("Not reported that something runs: %s", error)
