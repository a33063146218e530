"""How many visits fit into this container."""

from __future__ import annotations

MIB = 1024 * 1024

OWN = 150 * MIB
"""What the runner itself may take, in bytes."""
MARGIN = 1.3
"""A kernel may grow to this many times the largest that was measured."""
FIRST_GUESS = 94 * MIB
"""A kernel's size in bytes until one was measured: the largest of those that the design was measured with."""
OWN_PIDS = 64
"""Processes and threads of the runner itself."""
KERNEL_PIDS = 16
"""Processes and threads of one kernel."""


def seats(memory: int | None, kernel: int, pids: int | None, most: int) -> int:
    """Visits that fit at the same time; at least one, so that an author sees the dashboard.

    Args:
        memory: the container's limit in bytes; None where it has none.
        kernel: the measured size of the largest kernel, in bytes; 0 where none was measured.
        pids: the container's limit of processes and threads; None where it has none.
        most: never more than this, whatever fits.
    """
    fit = most
    if memory is not None:
        fit = min(fit, int((memory - OWN) / (MARGIN * (kernel or FIRST_GUESS))))
    if pids is not None:
        fit = min(fit, (pids - OWN_PIDS) // KERNEL_PIDS)
    return max(1, fit)
