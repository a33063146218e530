"""What the page is told about the person's own packages, read again only when they changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from madang_lab.layer import Layer, is_full
from madang_lab.shadows import key_of, shadowed


class Packages:
    """The packages in ``layer``, beside those of the environment."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._seen: int | None = None
        self._shadows: list[dict[str, Any]] = []
        self._key = ""

    def state(self) -> dict[str, Any]:
        """Why the layer cannot be used (``trouble``: ``full``, ``broken`` or empty), and what it replaces."""
        changed = _changed(self._layer.site)
        if changed != self._seen:
            own = self._layer.own()
            found = shadowed(own, self._layer.beneath([package.name for package in own]))
            self._shadows = [
                {
                    "name": one.name,
                    "own": one.own,
                    "instead_of": one.instead_of,
                    "kernel": one.in_kernel,
                }
                for one in found
            ]
            self._key, self._seen = key_of(found), changed
        trouble = self._trouble()
        shadows = [] if trouble else self._shadows
        return {"trouble": trouble, "shadows": shadows, "key": "" if trouble else self._key}

    def _trouble(self) -> str:
        if self._layer.usable:
            return ""
        if is_full(self._layer.folder):
            return "full"
        # before the first kernel or terminal there is none, and that is well
        return "broken" if self._layer.made else ""


def _changed(site: Path) -> int | None:
    try:
        return site.stat().st_mtime_ns
    except OSError:
        return None
