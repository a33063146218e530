"""Sentences for people that are made by rules: an English msgid with values, put into words when shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from madang_hub.texts import Text
from madang_hub.web.i18n import gettext_for

Value = str | int | date | Text | tuple[Text, ...]
"""What may stand in a sentence; a :class:`Text` is said in the sentence's language."""


@dataclass(frozen=True)
class Sentence:
    """``message`` is a msgid of the catalogues, ``values`` fill its ``{named}`` places."""

    message: str
    values: Mapping[str, Value] = field(default_factory=dict)

    def text(self, language: str) -> str:
        """The sentence in ``language`` ("ko" or "en")."""
        words = {name: _word(value, language) for name, value in self.values.items()}
        return gettext_for(language)(self.message).format(**words)

    def __str__(self) -> str:
        return self.text("en")


def _word(value: Value, language: str) -> str:
    if isinstance(value, Text):
        return value.for_language(language)
    if isinstance(value, tuple):
        return ", ".join(text.for_language(language) for text in value)
    return str(value)
