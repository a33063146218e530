"""The bytes of an archive that nobody trusts, as :mod:`tarfile` reads them: forward only, counted, bounded.

:mod:`tarfile` keeps a header of any size in memory, and goes back and forth where a header says so. Here no
single read is large, nothing goes back, nothing is jumped over, and every limit counts the bytes that came,
whatever a header promised.
"""

from __future__ import annotations

import zlib
from typing import Protocol

from madang_hub.dashboards.bounds import Limits
from madang_hub.dashboards.refusals import ArchiveRefusedError
from madang_hub.web.i18n import N_

CHUNK = 64 * 1024
"""The most that is read at once, in bytes."""
HEADER = 4096
"""The longest header, in bytes: a name as long as may be fits in it."""
BLOCK = 512
"""Bytes of a block of a tar file."""
HEADERS = 4 * BLOCK
"""So much of headers each entry may have on average, and once :data:`CHUNK` beside that."""
_GZIP = 31  # zlib's word for a gzip header and its checksum


def damaged() -> ArchiveRefusedError:
    """The archive is no archive, or not a whole one."""
    return ArchiveRefusedError(
        N_("The archive is damaged or incomplete. Publish the notebook again.")
    )


class Readable(Protocol):
    """Anything that bytes can be read from: a file, or a request's body."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""


class Unpacked:
    """What comes out of a gzip stream, for :func:`tarfile.open` with the mode ``r:``."""

    def __init__(self, source: Readable, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._gzip = zlib.decompressobj(_GZIP)
        self._ready = b""
        self._came = 0
        self._position = 0
        self._made = 0
        self._headers = CHUNK + HEADERS * limits.entries
        self._last = b""
        self.content = False
        """Whether what is read now is a file's content (or else headers)."""

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes, fewer only at the end.

        Raises:
            ArchiveRefusedError: a limit is passed, or it is no gzip.
        """
        if not 0 <= size <= (CHUNK if self.content else HEADER):
            raise damaged()
        parts = []
        left = size
        while left and (part := self._some(left)):
            parts.append(part)
            left -= len(part)
        found = b"".join(parts)
        self._position += len(found)
        if not self.content:
            self._last = found
            self._headers -= len(found)
            if self._headers < 0:
                raise damaged()
        return found

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        """Go on to ``position``, which is at most the end of a block away."""
        if not 0 <= position - self._position < BLOCK:
            raise damaged()
        self.read(position - self._position)
        return self._position

    def finish(self) -> None:
        """After the last entry: the tar ends as it should, nothing hides behind it, and the checksum is right.

        Raises:
            ArchiveRefusedError: if not.
        """
        if self._last != bytes(BLOCK):
            raise damaged()
        self.content = False
        while found := self.read(BLOCK):
            if found.strip(b"\0"):
                raise damaged()
        if not self._gzip.eof or self._gzip.unused_data or self._source.read(1):
            raise damaged()

    def _some(self, most: int) -> bytes:
        while not self._gzip.eof:
            if not self._ready:
                self._ready = self._source.read(CHUNK)
                self._came += len(self._ready)
                if self._came > self._limits.packed:
                    raise ArchiveRefusedError(
                        N_("The archive has more than {most} MB. Publish fewer or smaller files."),
                        most=self._limits.packed // 2**20,
                    )
            try:
                found = self._gzip.decompress(self._ready, most)
            except zlib.error:
                raise damaged() from None
            ended = not self._ready and not found
            self._ready = self._gzip.unconsumed_tail
            self._made += len(found)
            self._check()
            if found:
                return found
            if ended:
                # the stream is cut short: gzip has an end of its own
                raise damaged()
        return b""

    def _check(self) -> None:
        limits = self._limits
        if self._made > limits.spared and self._made > self._came * limits.ratio:
            raise ArchiveRefusedError(
                N_(
                    "The archive grows to more than {ratio} times its size, which no usual files do."
                ),
                ratio=limits.ratio,
            )
