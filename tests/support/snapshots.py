"""Archives and snapshots, as the tests of dashboards make them."""

from __future__ import annotations

import gzip
import io
import tarfile
from contextlib import AbstractContextManager
from pathlib import Path

from madang_hub.dashboards.archive import Incoming, received
from madang_hub.dashboards.bounds import Limits


def entry(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """A file of a tar; ``fields`` are of its header."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in fields.items():
        setattr(member, key, value)
    return member, content


def tar(*entries: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of these, whatever their headers say."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form, errors="surrogateescape") as file:
        for member, content in entries:
            file.addfile(member, io.BytesIO(content))
    return made.getvalue()


def packed(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """The same, gzipped."""
    return gzip.compress(tar(*entries))


def sent(store: Path, content: str, notebook: str = "a.ipynb") -> AbstractContextManager[Incoming]:
    """A snapshot with one notebook, on its way into ``store``."""
    return received(io.BytesIO(packed(entry(notebook, content.encode()))), store, Limits())
