"""Lessons: from one source per lesson (``tutorials/<id>``) to notebooks in two languages.

Only the standard library and pydantic: lessons are built on every operator's machine, also without a network.
How to write one: docs/howto/write-a-lesson.md.
"""

from madang_hub.catalog import Catalog

SOURCE = "tutorials"
"""Where lessons are written. An image that has this among its sources has the lessons."""


def are_in(catalog: Catalog, image: str) -> bool:
    """Whether ``image`` has lessons: it, or what it stands on, is built from their sources."""
    return any(SOURCE in catalog.images[name].sources for name in catalog.lineage(image))
