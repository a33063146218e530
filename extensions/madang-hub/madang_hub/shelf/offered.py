"""What this installation offers of the table: the environments that its settings name."""

from __future__ import annotations

from pathlib import Path

from madang_hub.catalog import Catalog
from madang_hub.image_table import TABLE
from madang_hub.settings import Settings


def offered(root: Path, settings: Settings, table: Path | None = None) -> Catalog:
    """The table below ``root`` (or at ``table``) with the environments of ``settings``.

    Raises:
        CatalogError: the table is wrong, or MADANG_ENVIRONMENTS names something that is not in it.
    """
    return Catalog.load(table or root / TABLE).offering(settings.environments)
