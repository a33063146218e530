"""The page that stands where a lesson could not be opened: a sentence, the lessons there are, the way back."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from urllib.parse import quote

from madang_lab.learn.manifest import Lesson

WORDS = {
    "ko": {
        "title": "실습을 열지 못했습니다",
        "lessons": "이런 실습이 있습니다",
        "minutes": "{}분",
        "lab": "주피터랩으로",
    },
    "en": {
        "title": "The lesson could not be opened",
        "lessons": "These lessons are here",
        "minutes": "{} min",
        "lab": "To JupyterLab",
    },
}

STYLE = """
:root { color-scheme: light dark; }
body { max-width: 36rem; margin: 12vh auto 4rem; padding: 0 1.25rem; font: 1rem/1.6 system-ui, "Nanum Gothic",
  sans-serif; word-break: keep-all; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { margin-top: 2rem; font-size: 1.05rem; }
ul { padding: 0; list-style: none; } li { padding: .35rem 0; }
small { opacity: .75; white-space: nowrap; }
.lab { display: inline-block; margin-top: 1.25rem; padding: .5rem 1rem; border: 1px solid; }
"""


def page(base_url: str, language: str, sentence: str, lessons: Iterable[Lesson]) -> str:
    """The page in ``ko`` or ``en``.

    Args:
        base_url: where the user server is, with a slash at its end.
        sentence: what went wrong and the way out.
    """
    words = WORDS[language]
    rows = "".join(
        f'<li><a href="{escape(base_url)}learn/{quote(one.id)}?lang={language}">'
        f"{escape(one.title[language])}</a> <small>{words['minutes'].format(one.minutes)}</small></li>"
        for one in lessons
    )
    there = f"<h2>{words['lessons']}</h2><ul>{rows}</ul>" if rows else ""
    return (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{words['title']}</title><style>{STYLE}</style>"
        f"<main><h1>{words['title']}</h1><p>{escape(sentence)}</p>"
        f'<a class="lab" href="{escape(base_url)}lab">{words["lab"]}</a>{there}</main></html>\n'
    )
