"""The catalogues hold every text of the code and the pages, and nothing else, in both languages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import jupyterhub
import pytest
from babel.messages.pofile import read_po
from jupyterhub.scopes import scope_definitions

from madang_hub.people.passwords import weakness
from madang_hub.permissions import CUSTOM_SCOPES
from madang_hub.web import foreign_texts
from madang_hub.web.i18n import gettext_for, translated

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "extensions" / "madang-hub" / "madang_hub"
HANGUL = re.compile("[가-힣]")
KOREAN = PACKAGE / "web" / "locale" / "ko" / "LC_MESSAGES" / "madang.po"
OTHER_WORDS = {
    "JupyterLab": "주피터랩",
    "붙임표": "하이픈(-)",
    "아이디": "사용자 이름",
    "강사": "멘토",
    "학생": "교육생",
    "수강생": "교육생",
}
"""Words for what has another name here (``docs/reference/words.md``)."""


def test_the_catalogues_are_complete() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/translations", "check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def korean() -> dict[str, str]:
    """What stands on Korean pages, by the English text."""
    with KOREAN.open("rb") as file:
        messages = [m for m in read_po(file, locale="ko") if m.id]
    return {first(m.id): first(m.string) for m in messages}


def first(forms: object) -> str:
    """The singular of a text with more than one form."""
    return str(forms[0] if isinstance(forms, (tuple, list)) else forms)


def test_korean_has_one_word_for_one_thing() -> None:
    found = [
        f"{word} ({better}): {text}"
        for text in korean().values()
        for word, better in OTHER_WORDS.items()
        if word in text
    ]
    assert not found, "\n".join(found)


def test_korean_sentences_are_polite_without_ceremony() -> None:
    """They end in -습니다 or -세요; people are not spoken to as guests (-시-) beside that."""
    texts = korean().values()
    plain = [t for t in texts if re.search(r"(?<!니)다\.|(?<!세)요\.", t)]
    assert not plain, "\n".join(plain)
    stiff = [t for t in texts if re.search(r"[가-힣]시(고|면|기 전)\b", t)]
    assert not stiff, "\n".join(stiff)


DEFINED = {**scope_definitions, **CUSTOM_SCOPES}


@pytest.mark.parametrize("scope", sorted(DEFINED))
def test_every_permission_has_korean(scope: str) -> None:
    description = DEFINED[scope]["description"]
    assert description in foreign_texts.SCOPES
    assert HANGUL.search(translated(description, "ko"))


def test_what_the_password_rules_say_has_korean() -> None:
    for password, name in (("short", "kim"), ("x" * 500, "kim"), ("long enough kim", "kim")):
        sentence = weakness(password, name)
        assert sentence in foreign_texts.RULES
        assert HANGUL.search(gettext_for("ko")(sentence or ""))


@pytest.mark.parametrize("sentence", [s for s in foreign_texts.SENTENCES if "scopes" not in s])
def test_jupyterhub_still_says_what_we_translate(sentence: str) -> None:
    """A sentence that JupyterHub no longer has is dead weight, and its successor is untranslated."""
    package = Path(jupyterhub.__file__).parent
    first = sentence.split(". ")[0]
    sources = [p for p in package.rglob("*.py") if "tests" not in p.parts]
    assert any(first in p.read_text(encoding="utf-8") for p in sources)
