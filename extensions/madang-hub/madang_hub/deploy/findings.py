"""What ``make doctor`` finds, a line each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["good", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``mend`` says what to do about a bad one."""

    level: Level
    what: str
    mend: str = ""


def report(findings: Iterable[Finding]) -> str:
    """The findings as text; bad ones with what to do."""
    marks = {"good": "ok  ", "note": "note", "bad": "BAD "}
    lines = []
    for finding in findings:
        lines.append(f"{marks[finding.level]}  {finding.what}")
        if finding.level == "bad" and finding.mend:
            lines.append(f"      → {finding.mend}")
    return "\n".join(lines)
