"""The tables of dashboards, versions and what happened; see :mod:`.store`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa

from madang_hub.dashboards.audience import Audience, Link
from madang_hub.dashboards.model import Check, Dashboard, Event, State, Version, What
from madang_hub.people.database import META

# one row, which every change locks first
TURNS = sa.Table(
    "madang_dashboards_turns",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("turns", sa.Integer, nullable=False),
)
DASHBOARDS = sa.Table(
    "madang_dashboards",
    META,
    sa.Column("slug", sa.String(64), primary_key=True),
    sa.Column("owner", sa.String(255), nullable=False, index=True),
    sa.Column("team", sa.String(255), nullable=False, index=True),
    sa.Column("title", sa.String(255), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    # JSON: it is read and written whole, and who may see is decided by the rules, not by a query
    sa.Column("audience", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("current", sa.Integer, nullable=False),
    sa.Column("last", sa.Integer, nullable=False),
    sa.Column("word", sa.Integer, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("made", sa.BigInteger, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Column("ends", sa.BigInteger, nullable=False),
)
VERSIONS = sa.Table(
    "madang_dashboard_versions",
    META,
    sa.Column("slug", sa.ForeignKey("madang_dashboards.slug"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("content", sa.String(64), nullable=False, index=True),
    sa.Column("notebook", sa.Text, nullable=False),
    sa.Column("environment", sa.String(255), nullable=False),
    sa.Column("size", sa.String(255), nullable=False),
    sa.Column("by", sa.String(255), nullable=False),
    sa.Column("made", sa.BigInteger, nullable=False),
    sa.Column("check", sa.String(16), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("word", sa.Integer, nullable=False),
)
# only ever added to, and kept when its dashboard is gone
EVENTS = sa.Table(
    "madang_dashboard_events",
    META,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("slug", sa.String(64), nullable=False, index=True),
    sa.Column("moment", sa.BigInteger, nullable=False),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("by", sa.String(255), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("detail", sa.String(255), nullable=False),
)
# snapshots that nothing names, and since when
SPARE = sa.Table(
    "madang_dashboard_spare",
    META,
    sa.Column("content", sa.String(64), primary_key=True),
    sa.Column("since", sa.BigInteger, nullable=False),
)
# how many visits began on which day; of nobody in particular
VISITS = sa.Table(
    "madang_dashboard_visits",
    META,
    sa.Column("slug", sa.ForeignKey("madang_dashboards.slug"), primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("visits", sa.Integer, nullable=False),
)

_DASHBOARD = [f.name for f in fields(Dashboard) if f.name not in ("audience", "state", "versions")]
_VERSION = [f.name for f in fields(Version) if f.name != "check"]


def select(db: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Dashboard]:
    """Dashboards with their versions, those first that changed last."""
    query = sa.select(DASHBOARDS).where(*conditions)
    rows = db.execute(query.order_by(DASHBOARDS.c.changed.desc(), DASHBOARDS.c.slug)).mappings()
    found = list(rows)
    versions: dict[str, list[Version]] = {row["slug"]: [] for row in found}
    which = VERSIONS.c.slug.in_(sa.select(DASHBOARDS.c.slug).where(*conditions))
    kept = db.execute(sa.select(VERSIONS).where(which).order_by(VERSIONS.c.number)).mappings()
    for row in kept:
        if row["slug"] in versions:
            versions[row["slug"]].append(_version_of(row))
    return [_dashboard_of(row, versions[row["slug"]]) for row in found]


def insert(db: sa.Connection, dashboard: Dashboard) -> None:
    """Keep a new one.

    Raises:
        IntegrityError: there is one of that slug.
    """
    db.execute(DASHBOARDS.insert().values(_row_of(dashboard)))
    _save_versions(db, dashboard.slug, (), dashboard.versions)


def save(db: sa.Connection, before: Dashboard, after: Dashboard) -> bool:
    """Keep a step, if ``before`` is still what is kept; whether it was. One that is gone is removed."""
    same = (DASHBOARDS.c.slug == before.slug) & (DASHBOARDS.c.revision == before.revision)
    if db.execute(DASHBOARDS.update().where(same).values(_row_of(after))).rowcount != 1:
        return False
    if after.state is State.GONE:
        db.execute(VERSIONS.delete().where(VERSIONS.c.slug == before.slug))
        db.execute(VISITS.delete().where(VISITS.c.slug == before.slug))
        db.execute(DASHBOARDS.delete().where(DASHBOARDS.c.slug == before.slug))
    else:
        _save_versions(db, before.slug, before.versions, after.versions)
    return True


def note(db: sa.Connection, event: Event) -> None:
    """Write down what happened."""
    row = {f.name: getattr(event, f.name) for f in fields(Event)}
    db.execute(EVENTS.insert().values(row | {"what": event.what.value}))


def event_of(row: Any) -> Event:
    """A row of :data:`EVENTS` as an event."""
    values = {f.name: row[f.name] for f in fields(Event)}
    return Event(**(values | {"what": What(row["what"])}))


def named(db: sa.Connection) -> frozenset[str]:
    """The snapshots that a version names."""
    return frozenset(db.execute(sa.select(VERSIONS.c.content).distinct()).scalars())


def _save_versions(
    db: sa.Connection, slug: str, before: Iterable[Version], after: Iterable[Version]
) -> None:
    known, kept = {v.number: v for v in before}, {v.number: v for v in after}
    for number in known.keys() - kept.keys():
        db.execute(VERSIONS.delete().filter_by(slug=slug, number=number))
    for number, version in kept.items():
        if number not in known:
            db.execute(VERSIONS.insert().values(_row_of_version(slug, version)))
        elif version != known[number]:
            which = VERSIONS.update().filter_by(slug=slug, number=number)
            db.execute(which.values(_row_of_version(slug, version)))


def _row_of(dashboard: Dashboard) -> dict[str, Any]:
    row = {name: getattr(dashboard, name) for name in _DASHBOARD}
    return row | {"state": dashboard.state.value, "audience": audience_text(dashboard.audience)}


def _dashboard_of(row: Any, versions: Iterable[Version]) -> Dashboard:
    return Dashboard(
        **{name: row[name] for name in _DASHBOARD},
        state=State(row["state"]),
        audience=audience_of(row["audience"]),
        versions=tuple(versions),
    )


def _row_of_version(slug: str, version: Version) -> dict[str, Any]:
    row = {name: getattr(version, name) for name in _VERSION}
    return row | {"slug": slug, "check": version.check.value}


def _version_of(row: Any) -> Version:
    return Version(**{name: row[name] for name in _VERSION}, check=Check(row["check"]))


def audience_text(audience: Audience) -> str:
    """An audience as the table keeps it."""
    found = {
        "people": sorted(audience.people),
        "teams": sorted(audience.teams),
        "signed_in": audience.signed_in,
        "links": [asdict(link) for link in audience.links],
    }
    return json.dumps(found, ensure_ascii=False)


def audience_of(text: str) -> Audience:
    """The other way round."""
    found = json.loads(text)
    return Audience(
        frozenset(found["people"]),
        frozenset(found["teams"]),
        found["signed_in"],
        tuple(Link(**link) for link in found["links"]),
    )
