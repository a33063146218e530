"""Looks for secrets in what will be published, with bc-detect-secrets. It asks no network and keeps no secret.

Only rules that know what a secret looks like are used; those that count randomness would name every picture
in a notebook's output. A line that its author has marked ``pragma: allowlist secret`` is passed over.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from madang_lab.publish.plan import File, Note
from madang_lab.publish.reading import Cell, cells

KNOWN = (
    "ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "CloudantDetector",
    "DiscordBotTokenDetector", "GitHubTokenDetector", "IbmCloudIamDetector", "IbmCosHmacDetector",
    "JwtTokenDetector", "KeywordDetector", "MailchimpDetector", "NpmDetector", "PrivateKeyDetector",
    "SendGridDetector", "SlackDetector", "SoftlayerDetector", "SquareOAuthDetector", "StripeDetector",
    "TwilioKeyDetector",
)  # fmt: skip
OURS = ("HuggingFaceDetector", "OpenAIDetector", "GitLabDetector", "PackageIndexDetector")
LARGEST = 256 * 1024
"""Bytes of a file, or characters of what a cell printed, that are looked through at most."""
TEXTS = frozenset(
    {
        "", ".bash", ".cfg", ".conf", ".csh", ".css", ".env", ".htm", ".html", ".ini", ".ipynb", ".js",
        ".json", ".key", ".md", ".netrc", ".pem", ".pgpass", ".properties", ".ps1", ".py", ".pyi", ".r",
        ".rst", ".sh", ".sql", ".tex", ".toml", ".ts", ".txt", ".xml", ".yaml", ".yml",
    }
)  # fmt: skip
"""Endings of files that are looked through; data files are not."""
_ONE = threading.Lock()  # the scanner's settings are the process's


def scan(folder: Path, files: Iterable[File]) -> tuple[list[Note], int]:
    """Where secrets may stand, and how many files were not looked through, or not to the end.

    Raises:
        OSError: a file cannot be read.
    """
    from detect_secrets.settings import (
        transient_settings,
    )  # half a second: only who publishes waits

    own = f"file://{Path(__file__).with_name('tokens.py')}"
    plugins: list[dict[str, Any]] = [{"name": name} for name in KNOWN]
    plugins += [{"name": name, "path": own} for name in OURS]
    found: list[Note] = []
    unseen = 0
    with _ONE, transient_settings({"plugins_used": plugins}), tempfile.TemporaryDirectory() as work:
        for file in files:
            ending = Path(file.path).suffix.lower()
            if ending not in TEXTS or (file.size > LARGEST and ending != ".ipynb"):
                unseen += 1
            elif ending == ".ipynb":
                notes, whole = _notebook(folder, file.path, Path(work))
                found += notes
                unseen += not whole
            else:
                found += [
                    Note("secret", file.path, 0, line, what)
                    for line, what in _secrets(folder / file.path)
                ]
    return found, unseen


def _notebook(folder: Path, path: str, work: Path) -> tuple[list[Note], bool]:
    """Cell by cell, as their authors see them (in a notebook's JSON quotes look otherwise), and whether all
    of it was looked through."""
    try:
        found = cells(json.loads((folder / path).read_text(encoding="utf-8")))
    except (ValueError, RecursionError):
        return [], False
    notes, whole = list[Note](), True
    for cell in found:
        whole &= all(len(text) <= LARGEST for text in (cell.source, *cell.printed))
        for line, what in _cell(cell, work):
            note = Note("secret", path, cell.number, line, what)
            if note not in notes:
                notes.append(note)
    return notes, whole


def _cell(cell: Cell, work: Path) -> list[tuple[int, str]]:
    source = work / ("cell.py" if cell.kind == "code" else "cell.md")
    source.write_text(cell.source[:LARGEST], encoding="utf-8", errors="replace")
    found = _secrets(source)
    printed = work / "printed.txt"
    for text in cell.printed:
        printed.write_text(text[:LARGEST], encoding="utf-8", errors="replace")
        found += [(0, what) for _, what in _secrets(printed)]
    return found


def _secrets(path: Path) -> list[tuple[int, str]]:
    """Lines and kinds."""
    from detect_secrets import SecretsCollection  # type: ignore[attr-defined]  # as its manual does

    found = SecretsCollection()
    found.scan_file(str(path))
    return sorted({(secret.line_number, secret.type) for _, secret in found})
