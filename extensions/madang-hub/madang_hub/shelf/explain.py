"""A failed build in one sentence: which package or step, why as far as it can be told, and what to do."""

from __future__ import annotations

import re
from pathlib import Path

_MIRRORS = "docs/howto/mirrors-and-certificates.md"

HINTS: tuple[tuple[str, str], ...] = (
    (
        r"no version of (?P<package>torch==\S+\+cpu)",
        f"{{package}} is not on the package index; say where PyTorch's CPU build is ({_MIRRORS})",
    ),
    (
        r"no version of (?P<package>[\w.-]+==\S+)",
        f"the package index has no {{package}}; check the mirror ({_MIRRORS}), or run `make locks`",
    ),
    (
        r"Hash mismatch for `(?P<package>[^`]+)`",
        "{package} differs from its lock; check the mirror, or run `make locks`",
    ),
    (
        r"Failed to build `(?P<package>[^`]+)`",
        "{package} has no ready-made wheel for this Python and processor; choose a version that has one "
        "in requirements.in and run `make locks`",
    ),
    (
        r"Unable to locate package (?P<package>\S+)",
        "the Debian mirror lacks {package}; refresh it, or the base image with "
        "`scripts/base-image --refresh`",
    ),
    (r"No solution found", "the lock does not fit this Python; run `make locks`"),
    (r"certificate", f"the site's certificates are missing; see {_MIRRORS}"),
    (r"Could not resolve", f"the build has no network; see {_MIRRORS}"),
    (
        r"Failed to (?:fetch|download)(?:: | )`?(?P<package>[^`\s]+)`?",
        "{package} cannot be had; check the network with `make doctor`",
    ),
    (r"no space left", "the engine's disk is full; `docker system prune` makes room"),
)
"""What builds print and what it means, the more exact first; compared without regard to case."""


def explain(name: str, output: str, log: Path) -> str:
    """Why the image ``name`` cannot be built, the last lines of ``output``, and where the ``log`` is."""
    lines = [line for line in output.splitlines() if line.strip()]
    why = next((hint for pattern, text in HINTS if (hint := _meant(pattern, text, output))), "")
    step = next((line for line in lines if "ERROR" in line or "failed to solve" in line), "")
    tail = "\n".join(lines[-8:])
    return (
        f"The image {name} cannot be built: {why or step or 'see the log'}.\n{tail}\n"
        f"The whole log is in {log}."
    )


def _meant(pattern: str, text: str, output: str) -> str:
    found = re.search(pattern, output, re.IGNORECASE)
    return text.format(**found.groupdict()) if found else ""
