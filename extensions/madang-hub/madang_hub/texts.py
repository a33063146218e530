"""A text in the two languages of Madang, as the table and the pages hold it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Sentence = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
"""A text that says something: not empty, without space around it."""


class Text(BaseModel):
    """One text in the two languages of Madang."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ko: Sentence
    en: Sentence

    def for_language(self, language: str) -> str:
        """The text in ``language`` ("ko" or "en"); anything else gets Korean."""
        return self.en if language == "en" else self.ko
