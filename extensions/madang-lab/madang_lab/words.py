"""Sentences of programs in a user server, in the person's language."""

from __future__ import annotations

from collections.abc import Mapping

Sentences = Mapping[str, Mapping[str, str]]
"""A sentence's name, and what it is in ``ko`` and ``en``."""


def said(
    sentences: Sentences, environ: Mapping[str, str], sentence: str, /, **values: object
) -> str:
    """The sentence of that name in the language that ``MADANG_LANG`` says (Korean unless ``en``)."""
    language = "en" if environ.get("MADANG_LANG") == "en" else "ko"
    return sentences[sentence][language].format(**values)


def size_words(size: int) -> str:
    """Bytes as people read them: 12 KB, 0.4 MB, 37 MB, 1.2 GB (powers of 1024)."""
    mib = size / 2**20
    if mib < 0.1:
        return f"{size / 1024:.0f} KB" if size >= 1024 else f"{size} B"
    if mib >= 1000:
        return f"{mib / 1024:.1f} GB"
    return f"{mib:.0f} MB" if mib >= 10 else f"{mib:.1f} MB"


def path_words(path: str) -> str:
    """A path that fits on a line and does nothing to a terminal: what does not print is escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in path
    )
