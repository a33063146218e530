"""Colours: every text is readable on its ground, in light and in dark (WCAG 2.2 AA)."""

from __future__ import annotations

import re

import pytest

from madang_hub.web.static_files import STATIC

CSS = (STATIC / "madang.css").read_text(encoding="utf-8")
TEXT_ON_GROUND = [
    *((ink, ground) for ink in ("ink", "soft", "accent-strong") for ground in ("ground", "sheet")),
    ("ink", "tint"),
    ("soft", "tint"),
    ("accent-strong", "tint"),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("danger", "sheet"),
    ("danger", "bad-ground"),
    ("warn-ink", "warn-ground"),
    ("bad-ink", "bad-ground"),
    ("info-ink", "info-ground"),
]
EDGES = [("edge", "sheet"), ("edge", "ground"), ("accent", "ground"), ("accent", "sheet"),
         ("good", "sheet")]  # fmt: skip


def colours(theme: str) -> dict[str, str]:
    """The colour variables of ``theme``; dark ones replace light ones."""
    light = re.search(r":root \{(.*?)\n\}", CSS, re.DOTALL)
    dark = re.search(r':root\[data-theme="dark"\] \{(.*?)\n\}', CSS, re.DOTALL)
    assert light
    assert dark
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light[1]))
    if theme == "dark":
        found.update(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark[1]))
    return found


def luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT_ON_GROUND)
def test_text_is_readable(theme: str, ink: str, ground: str) -> None:
    found = colours(theme)
    assert contrast(found[ink], found[ground]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("edge", "ground"), EDGES)
def test_edges_and_focus_are_seen(theme: str, edge: str, ground: str) -> None:
    found = colours(theme)
    assert contrast(found[edge], found[ground]) >= 3


def test_nothing_comes_from_elsewhere() -> None:
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path.name
        assert "https://" not in text, path.name
        assert "@import" not in text, path.name
