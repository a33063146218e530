"""The bundled lessons where people use them: in images, and in the environments of embedded mode."""

from __future__ import annotations

from pathlib import Path

from madang_hub.deploy import envs
from madang_hub.lessons import build
from madang_hub.lessons.source import LessonError

MEMBER = "extensions/madang-learn"
"""What lessons import."""


def folder_of(root: Path) -> Path:
    """Where the lessons of the checkout ``root`` are built."""
    return root / "build" / "lessons"


def ensure(root: Path) -> Path:
    """Build the lessons if their sources changed; returns the folder.

    Raises:
        BuildError: one cannot be built; the message says which and why.
    """
    folder_of(root).parent.mkdir(exist_ok=True)
    try:
        with envs.alone(root / "build" / ".lessons.lock"):
            build.build(root, folder_of(root))
    except LessonError as error:
        raise envs.BuildError(f"A lesson cannot be built: {error}") from error
    return folder_of(root)
