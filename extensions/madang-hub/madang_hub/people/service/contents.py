"""What is in an environment: a page for those who may start it, and its two files.

The lists are files of the data folder (:mod:`madang_hub.shelf.publish`), a folder per image and release.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from madang_hub.catalog import Environment
from madang_hub.catalog import Person as Chooser
from madang_hub.people.service.base import NOTHING_HERE, Page, Problem
from madang_hub.shelf.contents import KINDS, Contents, ContentsError, read
from madang_hub.shelf.publish import MANIFEST, SBOM

NAME = r"([a-z][a-z0-9-]{0,30})"
RELEASE = r"([0-9A-Za-z][0-9A-Za-z._-]{0,60})"
FILE = rf"({MANIFEST}|{SBOM})".replace(".", r"\.")


class OfEnvironment(Page):
    """What the page and the files share: who is let in, and where the lists are."""

    def _frame(self) -> dict[str, Any]:
        return {**super()._frame(), "here": "environments"}

    def offered(self, name: str) -> Environment:
        """The environment, if the viewer may start it; an admin sees all of them."""
        catalog, me = self.parts.catalog, self.viewer
        chooser = Chooser(me.name, me.teams, me.admin)
        open_to_me = {o.environment.name for o in catalog.offers(chooser)}
        environment = catalog.environments.get(name)
        if environment is None or not (me.admin or name in open_to_me):
            raise Problem(404, NOTHING_HERE)
        return environment

    def folder(self, environment: Environment) -> Path:
        return self.parts.environments / environment.image


class ContentsPage(OfEnvironment):
    """The list as a page; without a release, of the one that is offered now."""

    async def get(self, name: str, release: str = "") -> None:
        environment = self.offered(name)
        now = self.parts.catalog.release
        wanted = release or now
        folder = self.folder(environment)
        contents = await self.off_loop(contents_in, folder / wanted)
        releases = await self.off_loop(releases_in, folder)
        if contents is None and wanted != now:
            raise Problem(404, NOTHING_HERE)
        self.render(
            "contents.html",
            environment=environment,
            release=wanted,
            others=[r for r in releases if r != wanted],
            contents=contents,
            **(self._facts(contents) if contents else {}),
        )

    def _facts(self, contents: Contents) -> dict[str, Any]:
        built = contents.built
        return {
            "built": built.astimezone(self.parts.zone) if built else None,
            "kinds": [kind for kind in KINDS if contents.of(kind)],
            "whole": contents.bytes or sum(contents.total(kind) for kind in KINDS),
            "files": (MANIFEST, SBOM),
        }


class ContentsFile(OfEnvironment):
    """One of the two files, to keep."""

    async def get(self, name: str, release: str, file: str) -> None:
        environment = self.offered(name)
        path = self.folder(environment) / release / file
        content = self.found(await self.off_loop(bytes_of, path))
        self.set_header("Content-Type", "application/json")
        self.set_header(
            "Content-Disposition", f'attachment; filename="madang-{name}-{release}-{file}"'
        )
        self.finish(content)


def contents_in(folder: Path) -> Contents | None:
    """The contents that ``folder`` describes, None where it does not (yet)."""
    content = bytes_of(folder / MANIFEST)
    try:
        return read(content.decode()) if content else None
    except (ContentsError, UnicodeDecodeError):
        return None


def releases_in(folder: Path) -> list[str]:
    """The releases that are described below ``folder``, newest last."""
    found = [(path.stat().st_mtime, path.parent.name) for path in folder.glob(f"*/{MANIFEST}")]
    return [name for _, name in sorted(found)]


def bytes_of(path: Path) -> bytes | None:
    """What a file holds, None if it is not there."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
