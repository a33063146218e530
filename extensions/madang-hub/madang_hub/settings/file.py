"""The file that settings are written in."""

from __future__ import annotations

from pathlib import Path


class SettingsError(ValueError):
    """A setting cannot be used; the message names each one and what to write, a line each."""


def read_env_file(path: Path) -> dict[str, str]:
    """Lines ``NAME=value`` of ``path``; blank lines and ``#`` comments are passed over.

    The same subset that ``docker compose --env-file`` reads, so that one file serves both.
    A missing file has no lines.
    """
    if not path.is_file():
        return {}
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip().isidentifier():
            raise SettingsError(f"{path.name}:{number}: write NAME=value")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name.strip()] = value
    return found
