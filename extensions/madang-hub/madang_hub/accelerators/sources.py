"""Takes the inventory of this machine: from NVIDIA's driver, CDI specifications and the operator's table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from madang_hub.accelerators import cdi_files, table
from madang_hub.accelerators.inventory import Inventory, join
from madang_hub.accelerators.nvml import Nvml


class Sources:
    """What the inventory is taken from. Keep one, so that a driver that hangs is asked only once.

    Args:
        root: the folder with ``accelerators.toml``.
        folders: of CDI specifications, in rising priority; the engine's own.
        under: where the machine's ``/dev`` is, if this process has another.
    """

    def __init__(
        self,
        root: Path,
        folders: Iterable[Path] = cdi_files.FOLDERS,
        nvml: Nvml | None = None,
        under: Path = Path("/"),
    ) -> None:
        self.root = root
        self.folders = tuple(folders)
        self.nvml = nvml or Nvml()
        self.under = under

    def take(self, last: Inventory | None = None) -> Inventory:
        """The inventory of now; ``last`` as in :func:`join`. Takes at most NVML's time limit.

        Raises:
            TableError: the operator's table is wrong.
        """
        written = table.read(self.root)
        parts, faults = cdi_files.read(self.folders, self.under)
        return join(self.nvml.read(), parts, written, faults, last)
