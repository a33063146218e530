"""A version comes: ``PUT api/dashboards/<slug>/versions``, the archive as the body.

It is written to a file without a name while it comes, so memory does not grow with it and nothing is left of
one that breaks off; then it is unpacked by :mod:`madang_hub.dashboards.archive`, which trusts nothing in it.
"""

from __future__ import annotations

import asyncio
import tempfile
from functools import partial
from typing import IO, Any, cast

from tornado.web import stream_request_body

from madang_hub.dashboards.archive import received
from madang_hub.dashboards.model import Actor, Dashboard
from madang_hub.dashboards.rights import Do, must
from madang_hub.dashboards.web.api import Answering
from madang_hub.dashboards.web.parts import ENVIRONMENT, UNPACKERS, Parts
from madang_hub.dashboards.web.wishes import WishError, expected
from madang_hub.people.service.base import Problem
from madang_hub.web.i18n import N_

BUSY = N_("Others are publishing just now, or you are in another window. Try again in a minute.")
TOO_LARGE = N_("The archive is larger than {most} MB. Leave files out.")


@stream_request_body
class Versions(Answering):
    """``PUT api/dashboards/<slug>/versions?notebook=&size=&expect=``; 202 as its check begins then.

    The body is only read when it is known that the person may publish here.
    """

    _file: IO[bytes] | None = None
    _holds = False
    _closed = False
    _begun = False
    """Whether the archive is here: then its name is given back when it is unpacked, whoever hangs up."""

    @property
    def _coming(self) -> set[str]:
        """Whose archives are on their way; of the whole service."""
        found: set[str] = self.settings.setdefault("coming", set())
        return found

    async def prepare(self) -> None:
        most = self.parts_limit()
        cast(Any, self.request.connection).set_max_body_size(most)
        await super().prepare()
        if self.request.method != "PUT":
            raise Problem(405, N_("The request is not understood."))
        slug = self.path_args[0]
        dashboard = await self.managed(slug)
        must(self.actor, Do.PUBLISH, dashboard, self.parts.seconds())
        length = self.request.headers.get("Content-Length", "0")
        if length.isdigit() and int(length) > most:
            raise Problem(413, TOO_LARGE, most=str(most // 2**20))
        if self.viewer.name in self._coming or len(self._coming) >= UNPACKERS:
            raise Problem(429, BUSY)
        if self._closed:
            # while it was asked who comes; nothing follows
            return
        self._coming.add(self.viewer.name)
        self._holds = True
        folder = self.parts.store.snapshots.parent
        self._file = await self.off_loop(tempfile.TemporaryFile, dir=folder)
        if not self._holds:
            # hung up meanwhile
            self._let_go()

    def parts_limit(self) -> int:
        return self.parts.limits.packed

    def data_received(self, chunk: bytes) -> None:
        if self._file is not None:
            self._file.write(chunk)

    async def put(self, slug: str) -> None:
        self._begun = True
        try:
            after = await self._take(slug)
        finally:
            self._begun = False
            self._let_go()
        self.rounds.wake()
        self.send(self.model(after), 202)

    async def _take(self, slug: str) -> Dashboard:
        parts, file = self.parts, self._file
        notebook = self.get_query_argument("notebook", "")
        size = self.get_query_argument("size", "") or parts.default_size
        expect = expected(self.get_query_argument("expect", None))
        if all(s.name != size for s in parts.sizes_for(self.viewer)):
            raise WishError(N_("The size {name} is not open to you."), name=size[:60])
        if file is None:
            raise WishError
        file.seek(0)
        # a connection that is lost from here on stops nothing: the archive is there
        keep = partial(_keep, parts, file, slug, notebook, self.actor, size, expect)
        return await asyncio.get_running_loop().run_in_executor(parts.unpackers, keep)

    def on_finish(self) -> None:
        self._let_go()

    def on_connection_close(self) -> None:
        # what waits for the rest of the body ends
        super().on_connection_close()
        self._closed = True
        self._let_go()

    def _let_go(self) -> None:
        if self._begun:
            return
        if self._holds:
            self._coming.discard(self.viewer.name)
            self._holds = False
        if self._file is not None:
            self._file.close()
            self._file = None


def _keep(
    parts: Parts,
    file: IO[bytes],
    slug: str,
    notebook: str,
    actor: Actor,
    size: str,
    expect: int | None,
) -> Dashboard:
    """Unpack and keep; blocks, outside of the store's thread as it may take a minute."""
    with received(file, parts.store.snapshots, parts.limits) as incoming:
        kept = parts.worker.submit(
            parts.store.publish,
            slug,
            incoming,
            notebook,
            actor,
            parts.seconds(),
            environment=ENVIRONMENT,
            size=size,
            expect=expect,
        )
        return kept.result()
