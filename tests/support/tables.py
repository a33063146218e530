"""Small tables of images, as ``images/images.toml`` writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from madang_hub.image_table import OUTSIDE_PARENT

Words = tuple[str, str]
"""Korean and English."""


def table(*rows: str, release: str = "0.1.0", environment: str = "lab") -> str:
    """A table of ``rows``; what nobody chooses is ``environment`` in the size small."""
    default = f'default = {{ environment = "{environment}", size = "small" }}'
    return "\n".join((f'release = "{release}"', default, *rows)) + "\n"


def size(
    name: str = "small",
    title: Words = ("작게", "Small"),
    cpu: float = 1,
    memory: str = "2G",
    pids: int = 512,
    who: Sequence[str] = (),
) -> str:
    return "\n".join(
        (
            f"[size.{name}]",
            _text("title", title),
            f"cpu = {cpu}",
            f'memory = "{memory}"',
            f"pids = {pids}",
            *_who(who),
        )
    )


def image(name: str, parent: str = OUTSIDE_PARENT, folder: str = "") -> str:
    return f'[image.{name}]\nparent = "{parent}"\nfolder = "{folder or f"images/{name}"}"'


def environment(
    name: str,
    title: Words,
    purpose: Words,
    parent: str = OUTSIDE_PARENT,
    sizes: Sequence[str] = ("small",),
    who: Sequence[str] = (),
    folder: str = "",
) -> str:
    """An image and that people may start it."""
    return "\n".join(
        (
            image(name, parent, folder),
            f"[image.{name}.offer]",
            _text("title", title),
            _text("purpose", purpose),
            f"sizes = {json.dumps(list(sizes))}",
            *_who(who),
        )
    )


def _text(key: str, words: Words) -> str:
    ko, en = (json.dumps(word, ensure_ascii=False) for word in words)
    return f"{key} = {{ ko = {ko}, en = {en} }}"


def _who(who: Sequence[str]) -> list[str]:
    return [f"who = {json.dumps(list(who))}"] if who else []


LAB = environment("lab", ("데이터 과학", "Data science"), ("표", "Tables"))
DEEP = environment(
    "deep", ("딥러닝", "Deep learning"), ("모델", "Models"), parent="lab", who=["group:class:ai"]
)
"""Only for people of ``class:ai``."""
