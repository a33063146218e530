"""Dashboards as JSON and pages show them. Rules only."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from madang_hub.dashboards.audience import Visitor
from madang_hub.dashboards.gateway.gateway import AppState, CheckResult, Doing
from madang_hub.dashboards.model import Actor, Check, Dashboard, State, Version
from madang_hub.dashboards.rights import allowed, looks_after
from madang_hub.dashboards.versions import WHY
from madang_hub.dashboards.web.people import link_id

_CELL = re.compile(r"cell (\d{1,6})\n")
NOT_RUN = "not run\n"
"""Before what is kept of a check that could not be run: that says nothing of the notebook."""


class Said(NamedTuple):
    """What a check said of a version.

    Attributes:
        cell: from 1; None: none is to blame.
        text: a traceback or sentence; "" where there is none.
        how: ``not run``: the installation could not run the check; ``no answer``: none came in time.
    """

    cell: int | None
    text: str
    how: Literal["ran", "not run", "no answer"]


def moment(seconds: float) -> str | None:
    """A moment as JSON has it (ISO, UTC); None for 0, which is "not"."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None


def kept(result: CheckResult) -> str:
    """What went wrong, as a version keeps it: the cell (counted from 1) before the end of the traceback."""
    if result.trouble is None:
        return ""
    before = "" if result.trouble.cell is None else f"cell {result.trouble.cell + 1}\n"
    if not result.ran:
        before = NOT_RUN
    return before + result.why[-(WHY - len(before)) :]


def said(version: Version) -> Said:
    """The other way round."""
    why = version.why
    if found := _CELL.match(why):
        return Said(int(found[1]), why[found.end() :], "ran")
    if why.startswith(NOT_RUN):
        return Said(None, why.removeprefix(NOT_RUN), "not run")
    silent = version.check is Check.FAILED and not why
    return Said(None, why, "no answer" if silent else "ran")


def version_model(version: Version, *, author: bool, long: bool = True) -> dict[str, Any]:
    """One version; ``long``: with the traceback, which may have 20,000 characters."""
    cell, text, how = said(version)
    return {
        "number": version.number,
        "made": moment(version.made),
        "notebook": version.notebook if author else "",
        "size": version.size,
        "check": version.check.value,
        # lines of the author's code stand in it
        "cell": cell if author else None,
        "said": text if author and long else "",
        # false: that it failed says nothing of the notebook
        "ran": how == "ran",
    }


def model(
    dashboard: Dashboard, actor: Actor, prefix: str, now: int, *, long: bool = True
) -> dict[str, Any]:
    """The dashboard as its author and others who may do something to it get it; ``long``: with tracebacks."""
    audience, author = dashboard.audience, actor.name == dashboard.owner
    links = [
        {"id": link_id(link), "until": moment(link.ends)}
        for link in audience.links
        if link.open(now)
    ]
    return {
        "slug": dashboard.slug,
        "url": f"{prefix}d/{dashboard.slug}/",
        "title": dashboard.title,
        "description": dashboard.description,
        "owner": dashboard.owner,
        "team": dashboard.team,
        "state": dashboard.state.value,
        "revision": dashboard.revision,
        "current": dashboard.current,
        "ends": moment(dashboard.ends),
        "audience": {
            "people": sorted(audience.people),
            "teams": sorted(audience.teams),
            "everyone": audience.signed_in,
            "links": links if author else [],
        },
        "versions": [
            version_model(v, author=author, long=long) for v in reversed(dashboard.versions)
        ],
        "may": sorted(do.value for do in allowed(actor, dashboard, now)),
    }


def state_model(state: AppState, language: str) -> dict[str, Any]:
    return {
        "state": state.doing.value,
        "percent": state.percent,
        "sentence": state.sentence.text(language),
    }


@dataclass(frozen=True)
class Card:
    """A dashboard in the gallery.

    Attributes:
        kinds: why it is here, for the filters: ``mine``, ``shared`` (with the person or one of the person's
            teams), ``team`` (one of the person's teams looks after it or may see it), ``everyone``,
            ``admin``.
        awake: it runs now.
        state: for who looks after it: the dashboard's own, or how its newest version is.
    """

    dashboard: Dashboard
    kinds: frozenset[str]
    visited: bool
    manages: bool
    awake: bool
    state: str


def card(dashboard: Dashboard, actor: Actor, visitor: Visitor, state: AppState, now: int) -> Card:
    audience, mine = dashboard.audience, dashboard.owner == actor.name
    teams = actor.teams | actor.mentor_of
    kinds = set[str]()
    if mine:
        kinds.add("mine")
    elif actor.name in audience.people or audience.teams & teams:
        kinds.add("shared")
    if dashboard.team in teams or audience.teams & teams:
        kinds.add("team")
    if audience.signed_in:
        kinds.add("everyone")
    return Card(
        dashboard,
        frozenset(kinds or {"admin"}),
        visited=dashboard.published,
        manages=looks_after(actor, dashboard, now),
        awake=dashboard.published and state.doing in (Doing.READY, Doing.FULL),
        state=shown_state(dashboard),
    )


def shown_state(dashboard: Dashboard) -> str:
    """In one word: ``checking`` and ``failed`` are about the newest version where nothing is shown."""
    if dashboard.state is not State.UNPUBLISHED or not dashboard.versions:
        return str(dashboard.state.value)
    newest = dashboard.versions[-1].check
    shown: Check | State = newest if newest in (Check.CHECKING, Check.FAILED) else dashboard.state
    return str(shown.value)


def listed(mine: Collection[Dashboard], *others: Collection[Dashboard]) -> list[Dashboard]:
    """All of them once, the own first."""
    found = {d.slug: d for d in mine}
    for some in others:
        for dashboard in some:
            found.setdefault(dashboard.slug, dashboard)
    return list(found.values())
