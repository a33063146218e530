"""The rules of looking in: when a mentor may enter a trainee's server, and when that ends.

Pure: who is what, what is open and what time it is are passed in. A *look-in* is one visit of one mentor
in one person's server, asked for with a reason and for a time, told to the visited person, and ended by
the time, by the visited person, by the mentor or by an admin. ``lookins.py`` keeps them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from madang_hub.people.directory import Membership
from madang_hub.web.i18n import N_

MINUTES = (15, 30, 60)
"""How long a look-in may take."""
REASON_LENGTH = 200
"""Characters that a reason may have."""
BY_MADANG = "madang"
"""Who ended a look-in that ended by itself."""


class LookInRefused(ValueError):  # noqa: N818 (as the other refusals)
    """A look-in cannot begin; ``message`` is an English sentence of the catalogues with ``{named}`` places.

    ``status`` is the HTTP status to answer with: 400 for a faulty wish, 404 where the asker may not even
    know whether that person is there, 409 where it would be allowed at another moment.
    """

    def __init__(self, message: str, status: int = 409, **values: str) -> None:
        super().__init__(message.format(**values))
        self.message = message
        self.status = status
        self.values = values


@dataclass(frozen=True)
class LookIn:
    """One visit. ``ended`` is None while it is open; ``revoked`` None until the Hub took the share back."""

    id: int
    mentor: str
    trainee: str
    team: str
    server: str
    reason: str
    began: datetime
    until: datetime
    ended: datetime | None = None
    ended_by: str = ""
    revoked: datetime | None = None

    @property
    def open(self) -> bool:
        return self.ended is None


@dataclass(frozen=True)
class Wish:
    """What a mentor asks for; :func:`wish` makes a sound one."""

    trainee: str
    reason: str
    minutes: int


def wish(trainee: object, reason: object, minutes: object) -> Wish:
    """A request's fields as a wish.

    Raises:
        LookInRefused: (400) a field is missing or out of its range.
    """
    if not isinstance(trainee, str) or not trainee:
        raise LookInRefused(N_("Say whose server you want to enter."), 400)
    text = " ".join(reason.split()) if isinstance(reason, str) else ""
    if not text or len(text) > REASON_LENGTH:
        raise LookInRefused(
            N_(
                "Write a reason of at most {length} characters; the person whose server it is reads it."
            ),
            400,
            length=str(REASON_LENGTH),
        )
    if not isinstance(minutes, int) or isinstance(minutes, bool) or minutes not in MINUTES:
        raise LookInRefused(N_("Choose 15, 30 or 60 minutes."), 400)
    return Wish(trainee, text, minutes)


def shared_class(mentor: str, trainee: str, memberships: Iterable[Membership]) -> str | None:
    """The class in which ``mentor`` is mentor of the trainee ``trainee`` (the first by name), or None.

    Only trainees: a fellow mentor, or a member of a firm's team, is nobody's to look in at.
    """
    teams: dict[str, dict[str, set[str]]] = {}
    for m in memberships:
        teams.setdefault(m.team, {}).setdefault(m.person, set()).add(m.role)
    for team in sorted(teams):
        roles = teams[team]
        if "mentor" in roles.get(mentor, ()) and roles.get(trainee, set()) == {"trainee"}:
            return team
    return None


def begin(
    asked: Wish,
    mentor: str,
    memberships: Iterable[Membership],
    running: bool,
    open_ones: Collection[LookIn],
    now: datetime,
) -> LookIn:
    """The look-in that ``asked`` leads to (with id 0, not kept yet).

    Args:
        memberships: of the teams of both.
        running: whether the trainee's server is up.
        open_ones: every open look-in of the mentor or of the trainee.

    Raises:
        LookInRefused: with the reason.
    """
    team = None
    if mentor != asked.trainee:
        team = shared_class(mentor, asked.trainee, memberships)
    if team is None:
        raise LookInRefused(N_("There is no such trainee in your classes."), 404)
    if not running:
        raise LookInRefused(
            N_("That server is off. Start it first, or ask the person to start it.")
        )
    for other in open_ones:
        if not other.open:
            continue
        if other.mentor == mentor and other.trainee == asked.trainee:
            raise LookInRefused(N_("You are in this server already."))
        if other.mentor == mentor:
            raise LookInRefused(
                N_("You are in the server of {name}. End that first: one at a time."),
                name=other.trainee,
            )
        if other.trainee == asked.trainee:
            raise LookInRefused(
                N_("Another mentor, {name}, is in this server. Only one at a time may be."),
                name=other.mentor,
            )
    return LookIn(
        id=0,
        mentor=mentor,
        trainee=asked.trainee,
        team=team,
        server="",
        reason=asked.reason,
        began=now,
        until=now + timedelta(minutes=asked.minutes),
    )


def may_end(look_in: LookIn, person: str, admin: bool) -> bool:
    """Who may end it: the person whose server it is, the mentor, an admin."""
    return admin or person in (look_in.mentor, look_in.trainee)


def due(look_in: LookIn, memberships: Iterable[Membership], now: datetime) -> bool:
    """Whether an open look-in must end by itself: its time is over, or its ground is gone.

    The ground is that the mentor is still mentor of a class with this trainee.
    """
    if not look_in.open:
        return False
    return (
        now >= look_in.until or shared_class(look_in.mentor, look_in.trainee, memberships) is None
    )
