"""The catalogues hold every text of the code and the pages, and nothing else, in both languages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import jupyterhub
import pytest
from jupyterhub.scopes import scope_definitions

from madang_hub.people.passwords import weakness
from madang_hub.web import foreign_texts
from madang_hub.web.i18n import gettext_for, translated

ROOT = Path(__file__).parents[2]
HANGUL = re.compile("[가-힣]")


def test_the_catalogues_are_complete() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/translations", "check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("scope", sorted(scope_definitions))
def test_every_permission_of_the_installed_jupyterhub_has_korean(scope: str) -> None:
    description = scope_definitions[scope]["description"]
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
