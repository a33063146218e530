"""Proposals of environments in tests: one that is there, and repositories to propose."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from madang_hub.shelf.proposals import Proposal
from madang_hub.texts import Text

TEXTS = {
    "title_ko": "문서 만들기",
    "title_en": "Documents",
    "purpose_ko": "보고서와 워드 문서를 노트북에서 만듭니다.",
    "purpose_en": "Makes reports and Word documents from notebooks.",
}
FORM: dict[str, Any] = {**TEXTS, "sizes": ["small"]}
"""What the form holds beside team and archive."""


def proposal(team: str, author: str, made: datetime, **facts: Any) -> Proposal:
    """A proposal that is not kept yet."""
    values: dict[str, Any] = {
        "title": Text(ko="그래프", en="Graphs"),
        "purpose": Text(ko="분석", en="Analysis"),
        "sizes": ("small",),
        "source": {"kind": "upload", "name": "x.zip"},
        "files": {"requirements.txt": "rich"},
        "requirements": ("rich",),
        "apt": ("tree",),
        "lock": "rich==13.0.0 --hash=sha256:00",
        "added": (("rich", "13.0.0"),),
        "notes": (),
    }
    return Proposal(0, team, author, made, **{**values, **facts})


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """A ``.zip`` as a forge makes it: everything in one folder."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(f"course-main/{name}", content)
    return data.getvalue()
