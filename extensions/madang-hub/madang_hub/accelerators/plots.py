"""Bars as SVG, made on the server: no library, the page's own colours, words for who listens.

Rules only. The figures themselves belong into a table beside.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

WIDTH = 720
HEIGHT = 200
LEFT, TOP, BOTTOM = 56, 16, 28
ROW = 30
NAME = 210
"""Width of the names of :func:`lying`."""
LONGEST = 22
"""Characters of a name that are shown; Hangul is as wide as two letters."""


def standing(
    identity: str, title: str, desc: str, bars: Sequence[tuple[str, float]], every: int = 5
) -> Markup:
    """Bars side by side, such as the days of a month; each ``every``-th has its name below.

    Args:
        identity: an id of the page; ``title`` and ``desc`` are its words for who listens.
    """
    top = _round_up(max((value for _, value in bars), default=0.0))
    step = (WIDTH - LEFT) / max(1, len(bars))
    parts = []
    for part in (0.0, 0.5, 1.0):
        y = TOP + HEIGHT * (1 - part)
        parts.append(
            Markup('<line x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}"/>').format(LEFT, y, WIDTH, y)
        )
        parts.append(_text(LEFT - 8, y + 4, f"{top * part:g}", "end", soft=True))
    for index, (name, value) in enumerate(bars):
        height = HEIGHT * value / top
        x = LEFT + index * step
        parts.append(_rect(x + step * 0.15, TOP + HEIGHT - height, step * 0.7, height, 2))
        if index == 0 or (index + 1) % every == 0:
            parts.append(_text(x + step / 2, TOP + HEIGHT + 19, name, "middle", soft=True))
    return _svg(identity, title, desc, TOP + HEIGHT + BOTTOM, parts)


def lying(identity: str, title: str, desc: str, bars: Sequence[tuple[str, float]]) -> Markup:
    """Bars below each other, each with its name before and its value behind it; see :func:`standing`."""
    top = max((value for _, value in bars), default=0.0) or 1.0
    room = WIDTH - NAME - 80
    parts = []
    for index, (name, value) in enumerate(bars):
        y, width = index * ROW, room * value / top
        parts.append(_text(NAME - 10, y + 20, _short(name), "end"))
        parts.append(_rect(NAME, y + 6, width, 18, 3))
        parts.append(_text(NAME + width + 8, y + 20, f"{value:.1f}", "start", soft=True))
    return _svg(identity, title, desc, max(1, len(bars)) * ROW, parts)


def _text(x: float, y: float, words: str, anchor: str, soft: bool = False) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        "soft" if soft else "", x, y, anchor, words
    )


def _rect(x: float, y: float, width: float, height: float, radius: int) -> Markup:
    return Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="{}"/>').format(
        x, y, width, height, radius
    )


def _svg(identity: str, title: str, desc: str, height: int, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="plot" viewBox="0 0 {width} {height}" role="img" '
        'aria-labelledby="{id}-title {id}-desc">'
        '<title id="{id}-title">{title}</title><desc id="{id}-desc">{desc}</desc>{parts}</svg>'
    ).format(
        width=WIDTH,
        height=height,
        id=identity,
        title=title,
        desc=desc,
        parts=Markup("").join(parts),
    )


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 … that is not less; the axis ends there."""
    step = 1.0
    while True:
        for factor in (1, 2, 5):
            if value <= factor * step:
                return factor * step
        step *= 10


def _short(name: str) -> str:
    width, kept = 0, ""
    for sign in name:
        width += 2 if ord(sign) > 0x10FF else 1
        if width > LONGEST:
            return kept + "…"
        kept += sign
    return kept
