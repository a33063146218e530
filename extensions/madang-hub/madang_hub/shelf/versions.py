"""Rules of versions: an environment's former version stays open to who used it, until they moved.

Vocabulary: a *version* is an environment at one release of the table; it is *present* while the table
offers it, *superseded* from the moment at which a table with another release (or without it) was
installed. A superseded version is open to the people whose last start of that environment was with it,
for a number of days. ``lab@0.0.9`` in a request means the superseded version 0.0.9 of ``lab``; no name of
the table has an ``@``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from types import MappingProxyType

from pydantic import AwareDatetime, BaseModel, ConfigDict

from madang_hub.catalog import Catalog, Environment
from madang_hub.texts import Text


class Version(BaseModel):
    """One environment at one release, as it was offered when it was present."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    environment: str
    image: str
    release: str
    title: Text
    purpose: Text
    sizes: tuple[str, ...]
    who: tuple[str, ...]
    installed: AwareDatetime
    superseded: AwareDatetime | None = None

    @property
    def reference(self) -> str:
        """The engine's name of its image, as :meth:`Catalog.reference` makes it."""
        return f"madang/{self.image}:{self.release}"

    @property
    def name(self) -> str:
        """What a request calls it once it is superseded."""
        return f"{self.environment}@{self.release}"

    def open_until(self, days: int) -> datetime | None:
        """The moment after which nobody may start it; None while it is present."""
        return None if self.superseded is None else self.superseded + timedelta(days=days)


@dataclass(frozen=True)
class Start:
    """The last start of ``environment`` by ``person``: with which release, and when."""

    person: str
    environment: str
    release: str
    time: datetime


def install(versions: Iterable[Version], catalog: Catalog, now: datetime) -> list[Version]:
    """The versions after the table ``catalog`` was installed at ``now``.

    What the table offers is present (again, where an operator went back to a former release); what it
    does not offer is superseded from now, or since it was first.
    """
    known = {(v.environment, v.release): v for v in versions}
    for environment in catalog.environments.values():
        key = (environment.name, catalog.release)
        before = known.get(key)
        known[key] = Version(
            environment=environment.name,
            image=environment.image,
            release=catalog.release,
            title=environment.title,
            purpose=environment.purpose,
            sizes=environment.sizes,
            who=environment.who,
            installed=before.installed if before and before.superseded is None else now,
        )
    present = {(name, catalog.release) for name in catalog.environments}
    return [
        v
        if key in present or v.superseded is not None
        else v.model_copy(update={"superseded": now})
        for key, v in known.items()
    ]


def open_earlier(
    versions: Iterable[Version], starts: Mapping[str, Start], now: datetime, days: int
) -> list[Version]:
    """The superseded versions that are open to the person whose last starts are ``starts``.

    ``starts`` has one entry for each environment that the person ever started. Whether the person may use
    the environment at all is asked of its ``who``, as for every other (:meth:`Catalog.offers`).
    """
    found = []
    for version in versions:
        until = version.open_until(days)
        last = starts.get(version.environment)
        if until is not None and now < until and last and last.release == version.release:
            found.append(version)
    return found


def with_earlier(catalog: Catalog, earlier: Sequence[Version], days: int, zone: tzinfo) -> Catalog:
    """The table with these superseded versions as environments of their own, each after its present one."""
    environments: dict[str, Environment] = {}
    left = list(earlier)
    for name, environment in catalog.environments.items():
        environments[name] = environment
        for version in [v for v in left if v.environment == name]:
            environments[version.name] = _as_environment(version, environment, days, zone)
            left.remove(version)
    for version in left:  # the table no longer has it at all
        environments[version.name] = _as_environment(version, None, days, zone)
    return replace(catalog, environments=MappingProxyType(environments))


def _as_environment(
    version: Version, present: Environment | None, days: int, zone: tzinfo
) -> Environment:
    until = version.open_until(days)
    return Environment(
        name=version.name,
        image=version.image,
        title=_marked(version.title, version.release),
        purpose=_explained(None if until is None else until.astimezone(zone).date()),
        # what somebody may do follows from the present table: a right that is gone does not come back
        sizes=present.sizes if present else version.sizes,
        who=present.who if present else version.who,
        accelerators=present.accelerators if present else (),
        release=version.release,
    )


def _marked(title: Text, release: str) -> Text:
    return Text(
        ko=f"{title.ko} (이전 버전 {release})", en=f"{title.en} (earlier version {release})"
    )


def _explained(until: date | None) -> Text:
    return Text(
        ko=f"지난번에 쓰던 버전입니다. 새 버전을 시작하거나 {until}이 지나면 목록에서 사라집니다.",
        en=f"The version you used last. It leaves this list once you start the new one, or after {until}.",
    )


def removable(
    versions: Iterable[Version],
    starts: Iterable[Start],
    people: Collection[str],
    now: datetime,
    days: int,
) -> list[Version]:
    """The versions that nobody may start any more; a present one is never among them.

    Args:
        starts: the last start of each environment by each person.
        people: everybody whose access has not ended.
    """
    mine: dict[str, dict[str, Start]] = {}
    for start in starts:
        if start.person in people:
            mine.setdefault(start.person, {})[start.environment] = start
    versions = list(versions)
    wanted = {v.name for of_one in mine.values() for v in open_earlier(versions, of_one, now, days)}
    return [v for v in versions if v.superseded is not None and v.name not in wanted]
