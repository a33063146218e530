"""What a visitor reads from the runner itself, in Korean and English. Causes are for the author."""

from __future__ import annotations

from html import escape
from typing import Literal

State = Literal["full", "gone", "failed", "ended"]

_TEXTS: dict[State, tuple[str, str]] = {
    "full": (
        "지금은 자리가 모두 찼습니다. 잠시 후 다시 열어 주세요.",
        "All seats are taken at the moment. Please open it again in a little while.",
    ),
    "gone": (
        "이 주소는 이미 사용되었습니다. 대시보드를 다시 열어 주세요.",
        "This address has been used already. Please open the dashboard again.",
    ),
    "failed": (
        "대시보드를 열지 못했습니다. 만든 사람에게 알려 주세요.",
        "The dashboard could not be opened. Please tell its author.",
    ),
    "ended": (
        "이 대시보드와의 연결이 끝났습니다. 다시 열어 주세요.",
        "The connection to this dashboard has ended. Please open it again.",
    ),
}


def korean(languages: str) -> bool:
    """Whether a visitor with this ``Accept-Language`` reads Korean first; Korean where nothing is said."""
    first = languages.split(",")[0].strip().lower()
    return not first or first == "*" or first.split(";")[0].split("-")[0] == "ko"


def sentence(state: State, languages: str) -> str:
    """One sentence, with the way out."""
    return _TEXTS[state][0 if korean(languages) else 1]


def both(state: State) -> dict[str, str]:
    """The sentence in both languages, by their codes."""
    return dict(zip(("ko", "en"), _TEXTS[state], strict=True))


def page(state: State, languages: str) -> str:
    """A page that says it, without a script or a file."""
    language = "ko" if korean(languages) else "en"
    text = escape(sentence(state, languages))
    return (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Madang</title>'
        "<style>:root{color-scheme:light dark}body{font:1.1rem/1.6 system-ui,sans-serif;display:grid;"
        "place-items:center;min-height:90vh;margin:0 1rem;word-break:keep-all;text-align:center}</style>"
        f"<p>{text}</p></html>\n"
    )
