"""The warm parents as an installation has them, and the first of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from madang_hub.catalog import Catalog
from madang_hub.local import jupyter_config
from madang_hub.places import ENVIRONMENTS, SERVER_MARK, Places
from madang_hub.warm.parents import WarmParents


def warm_parents(places: Places, root: Path, catalog: Catalog) -> WarmParents:
    """The parents of this installation; where a Hub is starting, the default environment's is begun.

    The others are started when somebody first asks for their environment.
    """
    given = {
        # `madang down` finds what is left by this
        SERVER_MARK: str(places.homes),
        "JUPYTER_CONFIG_PATH": str(jupyter_config(root / "images")),
    }
    parents = WarmParents(root / ENVIRONMENTS, places.warm_slots, places.log, given)
    try:
        # the Hub reads its configuration inside its loop; tests and commands have none
        asyncio.get_running_loop()
    except RuntimeError:
        return parents
    parents.soon(catalog.environments[catalog.default[0]].image)
    return parents
