"""Rules: which images go into a bundle."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from madang_hub.bundle.manifest import BundleError
from madang_hub.catalog import Catalog
from madang_hub.shelf import plan


@dataclass(frozen=True)
class Chosen:
    """The images of the table that go in, parents first, and the environments that do not."""

    images: tuple[str, ...]
    left_out: tuple[str, ...]


def required(catalog: Catalog, compose: str) -> list[str]:
    """What Madang cannot run without: the parts that the text of ``docker-compose.yml`` names, and the
    environment that people get unless they choose."""
    parts = list(dict.fromkeys(re.findall(r"image: madang/([a-z0-9-]+):", compose)))
    return plan.order(catalog, [*parts, catalog.environments[catalog.default[0]].image])


def choose(
    catalog: Catalog, compose: str, stale: Collection[str], only: Sequence[str] | None = None
) -> Chosen:
    """What goes in: all images that are built and current, or beside the required ones ``only`` these.

    Args:
        stale: images that are not built, or not from the present sources.

    Raises:
        BundleError: a required or wanted image is stale; the message says how to build it.
        plan.UnknownImage: a name is not in the table.
    """
    needed = required(catalog, compose)
    wanted = needed if only is None else plan.order(catalog, [*needed, *only])
    if lacking := [name for name in wanted if name in stale]:
        raise BundleError(
            f"Images that belong in the bundle are not built from the present sources: {', '.join(lacking)}. "
            f"Build them:  scripts/madang images {' '.join(lacking)}"
        )
    if only is None:
        # a stale parent would be built again where the bundle is loaded, and its children with it
        current = [n for n in catalog.images if not stale_lineage(catalog, n, stale)]
        wanted = plan.order(catalog, current)
    offered = [e.name for e in catalog.environments.values() if e.image not in wanted]
    return Chosen(tuple(wanted), tuple(offered))


def stale_lineage(catalog: Catalog, name: str, stale: Collection[str]) -> bool:
    """Whether ``name`` or something that it is built on or with is in ``stale``."""
    return any(needed in stale for needed in plan.order(catalog, [name]))
