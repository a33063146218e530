"""The life of a dashboard. Rules only; every move returns what becomes of it and what is written down.

::

    unpublished <----> published         shown: exactly when it is published, and then a version that passed
      |  ^   |            |  |
      |  |   +-> stopped <+  |           its author has no access any more, and nobody took it over
      |  |        |  |       |
      v  +--------+  v       v
     deleted (comes back as unpublished) ---- 7 days ----> gone

A version comes by an upload and is checked. When it passes it is shown by itself, unless somebody has said
something else meanwhile; when it fails, what was shown before stays. Checks may end in any order, twice, late
or never.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from madang_hub.dashboards.audience import Audience
from madang_hub.dashboards.model import (
    Actor,
    Check,
    Dashboard,
    Event,
    Policy,
    State,
    Version,
    What,
)
from madang_hub.dashboards.refusals import MayNotError, MoveError, NotFoundError
from madang_hub.dashboards.rights import Do, must, must_receive
from madang_hub.dashboards.texts import plain
from madang_hub.web.i18n import N_

Step = tuple[Dashboard, Event]

TITLE, DESCRIPTION, WHY = 120, 2000, 20_000
"""Characters at most; of a failed check's text the end is kept."""
_HERE = (State.UNPUBLISHED, State.PUBLISHED)


def must_publish(actor: Actor) -> None:
    """Whether ``actor`` may publish at all.

    Raises:
        MayNotError: the actor may not.
    """
    if not actor.publishes:
        raise MayNotError(N_("You may not publish dashboards. Ask a mentor or an admin."))


def new(
    slug: str, actor: Actor, title: str, now: int, *, team: str = "", description: str = ""
) -> Step:
    """A dashboard without a version yet; nobody but its author is let in.

    Raises:
        MayNotError: the actor may not publish, or not for this team.
        MoveError: a text is missing or too long.
    """
    must_publish(actor)
    if team and team not in actor.teams | actor.mentor_of:
        raise MayNotError(N_("You are not in {team}. Choose a team of your own."), team=team)
    made = Dashboard(
        slug,
        actor.name,
        _text(title, TITLE, needed=True),
        now,
        team,
        _text(description, DESCRIPTION),
        changed=now,
    )
    return made, Event(now, slug, What.MADE, actor.name)


def upload(
    dashboard: Dashboard,
    content: str,
    notebook: str,
    actor: Actor,
    now: int,
    policy: Policy,
    *,
    environment: str = "",
    size: str = "",
) -> Step:
    """A new version, whose check begins. One whose check still runs is replaced by it.

    Raises:
        MayNotError: the actor may not.
        MoveError: it is stopped or deleted.
    """
    must(actor, Do.PUBLISH, dashboard, now)
    _must_be_here(dashboard)
    number = dashboard.last + 1
    version = Version(
        number, content, notebook, environment, size, actor.name, now, word=dashboard.word
    )
    known = [
        replace(v, check=Check.REPLACED) if v.check is Check.CHECKING else v
        for v in dashboard.versions
    ]
    spare = [v for v in known if v.number != dashboard.current]
    gone = {v.number for v in spare[: max(0, len(known) + 1 - policy.kept)]}
    versions = (*(v for v in known if v.number not in gone), version)
    return _moved(dashboard, now, What.UPLOADED, actor.name, number, versions=versions, last=number)


def passed(dashboard: Dashboard, number: int, now: int) -> Step:
    """The check of a version went well: it is shown, unless somebody said something else meanwhile.

    Raises:
        MoveError: its check had ended before.
        NotFoundError: there is no such version.
    """
    version = _checking(dashboard, number)
    changes: dict[str, Any] = {"versions": _with(dashboard, replace(version, check=Check.PASSED))}
    heard = version.word == dashboard.word and number > dashboard.current
    if heard and dashboard.state in _HERE:
        changes |= {"current": number, "state": State.PUBLISHED}
    return _moved(dashboard, now, What.PASSED, "", number, **changes)


def failed(dashboard: Dashboard, number: int, why: str, now: int) -> Step:
    """The check of a version went wrong; what was shown stays.

    Raises:
        MoveError: its check had ended before.
        NotFoundError: there is no such version.
    """
    said = plain(why[-WHY:], "\n\t")
    version = replace(_checking(dashboard, number), check=Check.FAILED, why=said)
    return _moved(dashboard, now, What.FAILED, "", number, versions=_with(dashboard, version))


def show(dashboard: Dashboard, number: int, actor: Actor, now: int) -> Step:
    """Show this version from now on: roll back, or publish again.

    Raises:
        MayNotError: the actor may not.
        MoveError: its check did not pass, or the dashboard is stopped or deleted.
        NotFoundError: there is no such version (any more).
    """
    must(actor, Do.SHOW, dashboard, now)
    _must_be_here(dashboard)
    version = _version(dashboard, number)
    if version.check is not Check.PASSED:
        raise MoveError(
            N_("Version {number} did not pass its check, so it cannot be shown."), number=number
        )
    what = What.ROLLED_BACK if number < dashboard.current else What.SHOWN
    return _moved(
        dashboard,
        now,
        what,
        actor.name,
        number,
        current=number,
        state=State.PUBLISHED,
        word=dashboard.word + 1,
    )


def unpublish(dashboard: Dashboard, actor: Actor, now: int) -> Step:
    """Show nothing from now on; a version whose check runs will not be shown by itself either.

    Raises:
        MayNotError: the actor may not.
        MoveError: it is stopped or deleted.
    """
    must(actor, Do.UNPUBLISH, dashboard, now)
    _must_be_here(dashboard)
    return _moved(
        dashboard, now, What.UNPUBLISHED, actor.name, dashboard.current, **_off(dashboard)
    )


def edit(dashboard: Dashboard, title: str, description: str, actor: Actor, now: int) -> Step:
    """Other words.

    Raises:
        MayNotError: the actor may not.
        MoveError: a text is missing or too long, or it is stopped or deleted.
    """
    must(actor, Do.EDIT, dashboard, now)
    _must_be_here(dashboard)
    return _moved(
        dashboard,
        now,
        What.EDITED,
        actor.name,
        title=_text(title, TITLE, needed=True),
        description=_text(description, DESCRIPTION),
    )


def for_whom(dashboard: Dashboard, audience: Audience, actor: Actor, now: int) -> Step:
    """Another audience; who may not stay is told by :func:`.audience.over`.

    Raises:
        MayNotError: the actor may not.
        MoveError: it is stopped or deleted.
    """
    must(actor, Do.EDIT, dashboard, now)
    _must_be_here(dashboard)
    return _moved(dashboard, now, What.AUDIENCE, actor.name, audience=audience)


def delete(dashboard: Dashboard, actor: Actor, now: int, policy: Policy) -> Step:
    """Take it away; for a while it can be brought back.

    Raises:
        MayNotError: the actor may not.
        MoveError: it is deleted.
    """
    must(actor, Do.DELETE, dashboard, now)
    if dashboard.state in (State.DELETED, State.GONE):
        raise MoveError(N_("This dashboard is deleted. Bring it back first."))
    return _moved(
        dashboard,
        now,
        What.DELETED,
        actor.name,
        **_off(dashboard, State.DELETED),
        ends=now + policy.grace,
    )


def undelete(dashboard: Dashboard, actor: Actor, now: int) -> Step:
    """Bring it back; nothing is shown until its author says which version.

    Raises:
        MayNotError: the actor may not.
        MoveError: it is not deleted, or it is too late.
    """
    must(actor, Do.UNDELETE, dashboard, now)
    if dashboard.state is not State.DELETED or now >= dashboard.ends:
        raise MoveError(N_("This dashboard cannot be brought back (any more)."))
    return _moved(dashboard, now, What.UNDELETED, actor.name, state=State.UNPUBLISHED, ends=0)


def hand_over(dashboard: Dashboard, to: Actor, actor: Actor, now: int) -> Step:
    """Make it somebody else's. What is shown stays; a stopped one shows nothing until its new author says so.

    Raises:
        MayNotError: the actor may not, or the other may not have it.
        MoveError: it is deleted.
    """
    must(actor, Do.HAND_OVER, dashboard, now)
    if dashboard.state in (State.DELETED, State.GONE):
        raise MoveError(N_("This dashboard is deleted. Bring it back first."))
    must_receive(to, dashboard.team)
    return _handed(dashboard, to.name, actor.name, now)


def take_over(dashboard: Dashboard, actor: Actor, now: int) -> Step:
    """A mentor of its team makes a stopped one the own.

    Raises:
        MayNotError: the actor may not: only its author could see it, say.
    """
    must(actor, Do.TAKE_OVER, dashboard, now)
    must_receive(actor, dashboard.team)
    return _handed(dashboard, actor.name, actor.name, now)


def owner_gone(
    dashboard: Dashboard, heirs: Iterable[Actor], now: int, policy: Policy
) -> Step | None:
    """Its author has no access any more; None: nothing changes.

    It passes to the first (by name) of ``heirs``, the mentors of its team, if the policy says so. One that
    only its author could see passes to nobody: it stops.
    """
    if dashboard.state not in _HERE:
        return None
    fit = sorted(
        a.name
        for a in heirs
        if a.publishes and dashboard.team in a.mentor_of and a.name != dashboard.owner
    )
    if policy.passes_on and dashboard.team and fit and not dashboard.audience.private(now):
        return _handed(dashboard, fit[0], "", now)
    return _moved(
        dashboard, now, What.STOPPED, "", dashboard.current, **_off(dashboard, State.STOPPED)
    )


def owner_back(dashboard: Dashboard, now: int) -> Step | None:
    """Its author has access again: a stopped one can be shown again, which the author must say."""
    if dashboard.state is not State.STOPPED:
        return None
    return _moved(dashboard, now, What.BACK, "", state=State.UNPUBLISHED)


def due(dashboard: Dashboard, now: int, policy: Policy) -> Step | None:
    """What the clock alone makes of it: a check that never answered has failed, a deleted one is gone."""
    if dashboard.state is State.DELETED and now >= dashboard.ends:
        return _moved(dashboard, now, What.REMOVED, "", state=State.GONE)
    for version in dashboard.versions:
        if version.check is Check.CHECKING and now >= version.made + policy.checking:
            return failed(dashboard, version.number, "", now)
    return None


def _handed(dashboard: Dashboard, to: str, by: str, now: int) -> Step:
    state = State.UNPUBLISHED if dashboard.state is State.STOPPED else dashboard.state
    return _moved(dashboard, now, What.HANDED_OVER, by, detail=to, owner=to, state=state)


def _moved(
    dashboard: Dashboard,
    now: int,
    what: What,
    by: str,
    number: int = 0,
    detail: str = "",
    **changes: Any,
) -> Step:
    after = replace(dashboard, revision=dashboard.revision + 1, changed=now, **changes)
    return after, Event(now, dashboard.slug, what, by, number, detail)


def _off(dashboard: Dashboard, state: State = State.UNPUBLISHED) -> dict[str, Any]:
    return {"current": 0, "state": state, "word": dashboard.word + 1}


def _with(dashboard: Dashboard, version: Version) -> tuple[Version, ...]:
    return tuple(version if v.number == version.number else v for v in dashboard.versions)


def _version(dashboard: Dashboard, number: int) -> Version:
    found = dashboard.version(number)
    if found is None:
        raise NotFoundError(N_("There is no version {number} (any more)."), number=number)
    return found


def _checking(dashboard: Dashboard, number: int) -> Version:
    version = _version(dashboard, number)
    if version.check is not Check.CHECKING:
        raise MoveError(N_("The check of version {number} has ended before."), number=number)
    return version


def _must_be_here(dashboard: Dashboard) -> None:
    if dashboard.state in (State.DELETED, State.GONE):
        raise MoveError(N_("This dashboard is deleted. Bring it back first."))
    if dashboard.state is State.STOPPED:
        raise MoveError(N_("This dashboard has stopped, as its author left. Take it over first."))


def _text(text: str, most: int, *, needed: bool = False) -> str:
    """As it is kept: composed, without space around it and without characters that do not show.

    Raises:
        MoveError: it is empty though it is needed, or too long.
    """
    kept = plain(unicodedata.normalize("NFC", text)).strip()
    if needed:
        kept = " ".join(kept.split())
    if needed and not kept:
        raise MoveError(N_("Give the dashboard a title."))
    if len(kept) > most:
        raise MoveError(N_("This text may have {most} characters; shorten it."), most=most)
    return kept
