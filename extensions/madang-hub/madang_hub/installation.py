"""What the ``madang`` commands share: where Madang is, its settings, its table, its engine and mode."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from madang_hub.bundle.loading import loaded
from madang_hub.catalog import Catalog
from madang_hub.deploy import server
from madang_hub.deploy.engine import EngineFacts, ModeError, decide, look
from madang_hub.image_table import TABLE
from madang_hub.places import Mode, Places
from madang_hub.settings import Settings
from madang_hub.shelf.offered import offered


def root() -> Path:
    """The checkout, or in the Hub's image its copy."""
    given = os.environ.get("MADANG_ROOT")
    return Path(given) if given else Path(__file__).resolve().parents[3]


class Installation:
    """What the commands share: settings, table, engine and mode, each found out when first needed."""

    def __init__(self) -> None:
        self.root = root()
        self.settings = self._of_bundle(Settings.load(self.root))
        self.inside = os.environ.get("MADANG_INSIDE") == "1"
        self._facts: EngineFacts | None = None

    def _of_bundle(self, settings: Settings) -> Settings:
        """Where a bundle was loaded, what it brought is offered unless the settings name something."""
        bundle = loaded(self.root)
        if bundle is None or settings.environments:
            return settings
        table = Catalog.load(self.root / TABLE)
        brought = tuple(image.name for image in bundle.images if image.name in table.every)
        return settings.model_copy(update={"environments": brought})

    @property
    def facts(self) -> EngineFacts:
        if self._facts is None:
            self._facts = look()
        return self._facts

    def places(self) -> tuple[Places, str]:
        """Folders and addresses for the mode in use, and why it is that mode."""
        mode: Mode
        if (runs_as := os.environ.get("MADANG_RUNS_AS")) in ("server", "embedded"):
            mode, why = ("server" if runs_as == "server" else "embedded"), "started so"
        else:
            made_in = Places(self.settings, "server").made_in
            mode, why = decide(self.settings.mode, self.facts, made_in)
            if mode == "embedded" and self.settings.mode == "auto" and loaded(self.root):
                raise ModeError(
                    f"This Madang was loaded from a bundle, which needs a container engine, but {why}."
                )
        return Places(self.settings, mode), why

    def stack(self, places: Places) -> server.Stack:
        return server.Stack(places, offered(self.root, self.settings), self.facts, self.root)


Command = Callable[[argparse.Namespace, Installation], int]
"""What runs a command; its exit status."""

Add = Callable[[str, Command], argparse.ArgumentParser]
"""Makes the parser of a command by its name."""
