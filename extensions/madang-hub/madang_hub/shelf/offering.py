"""What is on the shelf for one person: the table, environments of the person's teams, and earlier versions
that the person still uses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.exc import SQLAlchemyError

from madang_hub.catalog import Catalog, Environment, Person
from madang_hub.people.database import Database
from madang_hub.places import Places
from madang_hub.shelf.installed import TEAM_MADE, Installed
from madang_hub.shelf.proposal_store import Proposals
from madang_hub.shelf.starts import Starts
from madang_hub.shelf.versions import Start, Version, open_earlier, with_earlier

log = logging.getLogger("jupyterhub.madang")


def _none() -> Sequence[Version]:
    return ()


def _no_proposals() -> Collection[str]:
    return ()


def _nobody(person: str) -> Mapping[str, Start]:
    return {}


class Shelf:
    """Puts table, installed versions and people's last starts together; every answer is a catalogue.

    Args:
        table: ``images/images.toml``.
        versions: what is installed (:meth:`Installed.versions`).
        starts: the last starts of somebody (:meth:`Starts.of`); it blocks for one short query, and is
            only asked while there are superseded versions.
        days: for how long a superseded version stays open.
        zone: of the days that people read.
        team_made: what was proposed by mentors and built; ``offered`` names those of it that are on the
            shelf now (a withdrawal takes effect at once). It blocks, and is asked only where there are some.
    """

    def __init__(
        self,
        table: Catalog,
        versions: Callable[[], Sequence[Version]] = _none,
        starts: Callable[[str], Mapping[str, Start]] = _nobody,
        *,
        days: int = 60,
        zone: tzinfo = UTC,
        team_made: Callable[[], Sequence[Version]] = _none,
        offered: Callable[[], Collection[str]] = _no_proposals,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.table = table
        self._versions = versions
        self._starts = starts
        self._days = days
        self._zone = zone
        self._team_made = team_made
        self._offered = offered
        self._now = now

    def __deepcopy__(self, memo: dict[int, Any]) -> Shelf:
        """Itself: traitlets copies every configured value."""
        return self

    def everything(self) -> Catalog:
        """All that may be running, for saying what it is."""
        base = with_team_made(self.table, self._team_made())
        return self._with(base, [v for v in self._versions() if v.superseded is not None])

    def present(self) -> Catalog:
        """The table and all environments of teams, without earlier versions."""
        made = self._team_made()
        if not made:
            return self.table
        try:
            offered = self._offered()
        except SQLAlchemyError as error:
            log.error("Teams' environments are not offered now: %s", type(error).__name__)
            return self.table
        return with_team_made(self.table, [v for v in made if v.environment in offered])

    def open_to(self, person: Person) -> Catalog:
        """What there is for ``person`` to choose from; the catalogue's rules decide what of it is open."""
        now = self._now()
        base = self.present()
        superseded = [
            v
            for v in self._versions()
            if (until := v.open_until(self._days)) is not None and now < until
        ]
        if not superseded:
            return base
        try:
            starts = self._starts(person.name)
        except SQLAlchemyError as error:
            log.error("Earlier versions are not offered now: %s", type(error).__name__)
            return base
        return self._with(base, open_earlier(superseded, starts, now, self._days))

    def _with(self, base: Catalog, earlier: Sequence[Version]) -> Catalog:
        return with_earlier(base, earlier, self._days, self._zone) if earlier else base


def with_team_made(catalog: Catalog, made: Sequence[Version]) -> Catalog:
    """The table with environments that were made for teams after its own; sizes that are gone are left out."""
    if not made:
        return catalog
    more = {
        v.environment: Environment(
            name=v.environment,
            image=v.image,
            title=v.title,
            purpose=v.purpose,
            sizes=tuple(s for s in v.sizes if s in catalog.sizes),
            who=v.who,
            accelerators=(),
            release=v.release,
        )
        for v in made
        if v.environment not in catalog.environments
    }
    return replace(catalog, environments=MappingProxyType({**catalog.environments, **more}))


def shelf_of(places: Places, catalog: Catalog, database: Database) -> Shelf:
    """The shelf of the installation at ``places``; without an engine there is the table alone."""
    if places.mode == "embedded":
        return Shelf(catalog)
    settings, proposals = places.settings, Proposals(database)
    return Shelf(
        catalog,
        Installed(places.environments).versions,
        Starts(database).of,
        days=settings.version_days,
        zone=ZoneInfo(settings.timezone),
        team_made=Installed(places.environments, TEAM_MADE).versions,
        offered=lambda: {f"proposed-{identity}" for identity in proposals.offered()},
    )
