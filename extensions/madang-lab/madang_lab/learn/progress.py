"""What a learner has passed: ``.madang/lessons/progress.json``, written by ``madang_learn`` in kernels.

``{"format": 1, "passed": {"f0.1": {"at": "2026-11-28T10:29:26Z", "version": "2026.11.1"}}}``. The file is the
learner's: what is not of this form counts as nothing passed.
"""

from __future__ import annotations

from collections.abc import Sequence


def passed(raw: object, checks: Sequence[str]) -> tuple[str, ...]:
    """Those of ``checks`` that are passed, in their order."""
    names = raw.get("passed") if isinstance(raw, dict) else None
    return tuple(check for check in checks if check in names) if isinstance(names, dict) else ()
