"""Who may do what to a dashboard. Rules only.

=============  ======================================================================================
author         everything, as long as there is the right to publish; without it, only take it off, delete
               it, bring it back and hand it over
team's mentor  take it off; take it over when it has stopped and others than the author could see it
admin          take it off, delete it, bring it back, hand it over; never speak for the author: neither
               publish nor change words and audience
=============  ======================================================================================

A mentor of another team, and a mentor of the same one who is not the author, edits nothing.
"""

from __future__ import annotations

from enum import Enum

from madang_hub.dashboards.model import Actor, Dashboard, State
from madang_hub.dashboards.refusals import MayNotError
from madang_hub.web.i18n import N_


class Do(Enum):
    """What somebody wants to do to a dashboard."""

    PUBLISH = "publish"
    SHOW = "show"
    EDIT = "edit"
    UNPUBLISH = "unpublish"
    DELETE = "delete"
    UNDELETE = "undelete"
    HAND_OVER = "hand-over"
    TAKE_OVER = "take-over"


_SPEAKS = frozenset({Do.PUBLISH, Do.SHOW, Do.EDIT})
"""What a person says to visitors; it needs the right to publish."""
_AUTHOR = frozenset(Do) - {Do.TAKE_OVER}
_ADMIN = frozenset({Do.UNPUBLISH, Do.DELETE, Do.UNDELETE, Do.HAND_OVER})


def allowed(actor: Actor, dashboard: Dashboard, now: int) -> frozenset[Do]:
    """What ``actor`` may do to it, in whatever state it is."""
    if not actor.name:
        return frozenset()
    found = frozenset[Do]()
    if actor.name == dashboard.owner:
        found |= _AUTHOR if actor.publishes else _AUTHOR - _SPEAKS
    if actor.admin:
        found |= _ADMIN
    if dashboard.team and dashboard.team in actor.mentor_of:
        found |= {Do.UNPUBLISH}
        stopped = dashboard.state is State.STOPPED and not dashboard.audience.private(now)
        if stopped and actor.publishes:
            found |= {Do.TAKE_OVER}
    return found


def looks_after(actor: Actor, dashboard: Dashboard, now: int) -> bool:
    """Whether ``actor`` is told that there is this dashboard, beside whoever may visit it.

    Its author and admins are, in every state. A mentor of its team is where there is something to do: it is
    shown to others, or has stopped and can be taken over. Drafts, and what only its author sees, are nobody's
    else.
    """
    may = allowed(actor, dashboard, now)
    if actor.name == dashboard.owner or actor.admin:
        return bool(may)
    shown = dashboard.published and not dashboard.audience.private(now)
    return Do.TAKE_OVER in may or (Do.UNPUBLISH in may and shown)


def must(actor: Actor, do: Do, dashboard: Dashboard, now: int) -> None:
    """Whether ``actor`` may.

    Raises:
        MayNotError: the actor may not.
    """
    if do in allowed(actor, dashboard, now):
        return
    if actor.name == dashboard.owner and do in _SPEAKS:
        raise MayNotError(N_("You may not publish any more. Ask an admin."))
    raise MayNotError(N_("This dashboard is somebody else's; only its author may do this."))


def must_receive(to: Actor, team: str) -> None:
    """Whether a dashboard of ``team`` may become theirs.

    Raises:
        MayNotError: it may not.
    """
    if not to.publishes or (team and team not in to.teams | to.mentor_of):
        raise MayNotError(
            N_("{person} may not publish for this team, so the dashboard cannot be theirs."),
            person=to.name,
        )
