"""Bars as SVG, made on the server: no library, the page's own colours, words for who listens.

Rules only. The figures themselves belong into a table beside.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

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
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="soft" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{top * part:g}</text>'
        )
    for index, (name, value) in enumerate(bars):
        height = HEIGHT * value / top
        x = LEFT + index * step
        parts.append(
            f'<rect x="{x + step * 0.15:.1f}" y="{TOP + HEIGHT - height:.1f}" '
            f'width="{step * 0.7:.1f}" height="{height:.1f}" rx="2"/>'
        )
        if index == 0 or (index + 1) % every == 0:
            parts.append(
                f'<text class="soft" x="{x + step / 2:.1f}" y="{TOP + HEIGHT + 19}" '
                f'text-anchor="middle">{escape(name)}</text>'
            )
    return _svg(identity, title, desc, TOP + HEIGHT + BOTTOM, parts)


def lying(identity: str, title: str, desc: str, bars: Sequence[tuple[str, float]]) -> Markup:
    """Bars below each other, each with its name before and its value behind it."""
    top = max((value for _, value in bars), default=0.0) or 1.0
    room = WIDTH - NAME - 80
    parts = []
    for index, (name, value) in enumerate(bars):
        y, width = index * ROW, room * value / top
        parts.append(
            f'<text x="{NAME - 10}" y="{y + 20}" text-anchor="end">{escape(_short(name))}</text>'
        )
        parts.append(f'<rect x="{NAME}" y="{y + 6}" width="{width:.1f}" height="18" rx="3"/>')
        parts.append(
            f'<text class="soft" x="{NAME + width + 8:.1f}" y="{y + 20}">{value:.1f}</text>'
        )
    return _svg(identity, title, desc, max(1, len(bars)) * ROW, parts)


def _svg(identity: str, title: str, desc: str, height: int, parts: Sequence[str]) -> Markup:
    # every part is numbers and escaped names
    return Markup(  # noqa: S704
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-labelledby="{escape(identity)}-title {escape(identity)}-desc">'
        f'<title id="{escape(identity)}-title">{escape(title)}</title>'
        f'<desc id="{escape(identity)}-desc">{escape(desc)}</desc>' + "".join(parts) + "</svg>"
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
