"""When a running server ends: idle, too old, after class, or because access has ended.

Rules only: pure functions, ``now`` is passed in, times are aware. Vocabulary:

deadline   when a server would end for one reason, and from when on that is said
warning    the notice with the *extend* button; it **stands** while somebody keeps looking: a look at the
           server every :attr:`Limits.gap` at most. When nobody looked for longer (the Hub or the culler
           was away) it begins anew, because nobody could see it or answer
extension  one press of *extend*

A server is stopped only when a deadline has passed and a warning has stood for :attr:`Limits.warning`. The
one exception is access that has ended, where the operator's policy may say *stop at once*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Literal

from madang_hub.people.sentences import Sentence
from madang_hub.people.timetable import Meeting
from madang_hub.web.i18n import N_

Why = Literal["idle", "limit", "class", "account", "provider"]
Role = Literal["trainee", "member", "mentor", "admin"]
ClassEnd = Literal["stop", "warn", "keep"]
EndedServer = Literal["stop", "warn"]

ROLES: tuple[Role, ...] = ("trainee", "member", "mentor", "admin")
"""From the least to the most; who has several has the last one's limits."""

BUSY_FRESH = timedelta(seconds=150)
"""How long a busy report holds; a server repeats it every 60 s while something runs."""
EARLY = timedelta(minutes=15)
"""Who starts a server this long before class starts it for the class."""
BREAK = timedelta(minutes=30)
"""Meetings with no more than this between them are one to a server: it is not stopped in the break."""


@dataclass(frozen=True)
class Limits:
    """What an operator allows one role. None: without end."""

    idle: timedelta | None = timedelta(minutes=60)
    age: timedelta | None = timedelta(hours=24)
    warning: timedelta = timedelta(minutes=10)
    extend: timedelta = timedelta(minutes=60)
    presses: int = 3
    class_end: ClassEnd = "warn"
    ended: EndedServer = "stop"
    gap: timedelta = timedelta(minutes=4)


@dataclass(frozen=True)
class Running:
    """A server as the Hub knows it. ``active``: when it was last used."""

    started: datetime
    active: datetime


@dataclass(frozen=True)
class Kept:
    """What is remembered about a run of a server; all of it is forgotten at the next start."""

    seen: datetime | None = None
    """When somebody last looked whether this server should end."""
    warned: datetime | None = None
    """Since when the warning has been shown."""
    busy_at: datetime | None = None
    busy_why: str = ""
    """Empty: it was busy until ``busy_at`` and is not any more."""
    extended_at: datetime | None = None
    extended_until: datetime | None = None
    presses: int = 0


@dataclass(frozen=True)
class Circumstances:
    """What is around a server: limits of its person's role, end of class, end of access."""

    limits: Limits
    class_end: datetime | None = None
    access_ends: datetime | None = None
    access_why: Literal["account", "provider"] = "account"


@dataclass(frozen=True)
class Deadline:
    """It is over ``at``, which is said from ``says`` on; ``at_once``: whether warned or not."""

    why: Why
    says: datetime
    at: datetime
    at_once: bool = False


@dataclass(frozen=True)
class Decision:
    """What to do with a server now.

    ``ends`` and ``why``: with a warning, when and why it will be stopped unless something changes; while
    all is well, the next end that comes whatever its person does (end of class, limit), if there is one.
    ``warned``: since when the warning stands, to be remembered.
    """

    action: Literal["go", "warn", "stop"]
    ends: datetime | None = None
    why: Why | None = None
    warned: datetime | None = None


class ExtensionRefused(ValueError):  # noqa: N818 (as the other refusals)
    """A server may not go on for longer; ``sentence`` says why, for its person."""

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(str(sentence))
        self.sentence = sentence


# ---- the decision ---------------------------------------------------------------------------


def decide(server: Running, kept: Kept, around: Circumstances, now: datetime) -> Decision:
    """What to do with ``server`` now."""
    found = deadlines(server, kept, around, now)
    for deadline in found:
        if deadline.at_once and now >= deadline.at:
            return Decision("stop", deadline.at, deadline.why, kept.warned)
    said = [d for d in found if now >= d.says]
    if not said:
        coming = [d for d in found if d.why in ("class", "limit")]
        sure = min(coming, key=lambda d: d.at, default=None)
        return Decision("go", sure.at, sure.why) if sure else Decision("go")
    limits = around.limits
    stands = kept.seen is not None and now - kept.seen <= limits.gap
    warned = min(kept.warned, now) if kept.warned is not None and stands else now
    first = min(said, key=lambda d: d.at)
    ends = max(first.at, warned + limits.warning)
    return Decision("stop" if now >= ends else "warn", ends, first.why, warned)


def deadlines(server: Running, kept: Kept, around: Circumstances, now: datetime) -> list[Deadline]:
    """Every deadline of ``server`` as things stand, in no order."""
    limits, found = around.limits, []
    if limits.idle is not None:
        at = active(server, kept, now) + limits.idle
        if kept.extended_until is not None:
            at = max(at, kept.extended_until)
        found.append(Deadline("idle", at - _lead(limits, limits.idle), at))
    if limits.age is not None:
        at = server.started + limits.age
        found.append(Deadline("limit", at - _lead(limits, limits.age), at))
    if around.class_end is not None:
        if limits.class_end == "stop":
            at = around.class_end
            found.append(Deadline("class", at - limits.warning, at))
        elif limits.class_end == "warn" and not _stays(kept, around.class_end):
            found.append(Deadline("class", around.class_end, around.class_end + limits.warning))
    if around.access_ends is not None:
        says, at_once = around.access_ends - limits.warning, limits.ended == "stop"
        found.append(Deadline(around.access_why, says, around.access_ends, at_once))
    return found


def active(server: Running, kept: Kept, now: datetime) -> datetime:
    """When something was last done with ``server``: by its person, or by a busy kernel."""
    moments = [server.started, server.active]
    if kept.extended_at is not None:
        moments.append(kept.extended_at)
    if kept.busy_at is not None:
        moments.append(now if busy(kept, now) else kept.busy_at)
    return max(moments)


def busy(kept: Kept, now: datetime) -> bool:
    """Whether the server said a short time ago that something runs in it."""
    return bool(kept.busy_why) and kept.busy_at is not None and now - kept.busy_at <= BUSY_FRESH


def _lead(limits: Limits, whole: timedelta) -> timedelta:
    """How long before a deadline it is said; less where the whole time is hardly longer."""
    return min(limits.warning, whole / 2)


def _stays(kept: Kept, class_end: datetime) -> bool:
    """Whether the person extended after the end of class: then they stay."""
    return kept.extended_at is not None and kept.extended_at >= class_end


# ---- extending ------------------------------------------------------------------------------


def extend(server: Running, kept: Kept, around: Circumstances, now: datetime) -> Kept:
    """What is to be remembered after a press of *extend*.

    Raises:
        ExtensionRefused: no warning stands, the presses are used up, or nothing would be gained.
    """
    limits = around.limits
    before = decide(server, kept, around, now)
    if before.action == "go":
        raise ExtensionRefused(
            Sentence(N_("There is nothing to extend: your server is not about to stop."))
        )
    if before.why in ("account", "provider"):
        raise ExtensionRefused(Sentence(N_("Your access ends, so your server cannot be extended.")))
    if kept.presses >= limits.presses:
        raise ExtensionRefused(
            Sentence(
                N_(
                    "This server cannot be extended any more. Save your work; you can start a server again "
                    "afterwards."
                )
            )
        )
    ceilings = []
    if limits.age is not None:
        ceilings.append(server.started + limits.age)
    if around.class_end is not None and limits.class_end == "stop":
        ceilings.append(around.class_end)
    until = min([now + limits.extend, *ceilings])
    after = Kept(
        seen=kept.seen,
        warned=kept.warned,
        busy_at=kept.busy_at,
        busy_why=kept.busy_why,
        extended_at=now,
        extended_until=max(until, kept.extended_until or until),
        presses=kept.presses + 1,
    )
    then = decide(server, after, around, now)
    gained = then.action == "go" or (
        then.ends is not None and before.ends is not None and then.ends > before.ends
    )
    if not gained:
        raise ExtensionRefused(
            Sentence(
                N_(
                    "Servers of this class stop when it is over. Save your work; then start a new server."
                )
                if before.why == "class"
                else N_(
                    "Your server has run for as long as one may. Save your work; then start a new one."
                )
            )
        )
    return after


def can_extend(server: Running, kept: Kept, around: Circumstances, now: datetime) -> bool:
    """Whether a press of *extend* would be taken now."""
    try:
        extend(server, kept, around, now)
    except ExtensionRefused:
        return False
    return True


# ---- what is around a server ----------------------------------------------------------------


def class_end(started: datetime, meetings: Iterable[Meeting]) -> datetime | None:
    """The end of the class that a server was started in or for, or None when it was for none.

    ``meetings`` are those of the person's classes about that time, in any order. Meetings with a short
    break between them are one.
    """
    end = None
    for meeting in sorted(meetings, key=lambda m: (m.begin, m.end)):
        if end is None:
            if meeting.begin - EARLY <= started < meeting.end:
                end = meeting.end
        elif meeting.begin - end <= BREAK:
            end = max(end, meeting.end)
    return end


def access_ends(expires: date, zone: tzinfo) -> datetime:
    """The moment when access ends that works up to and including the day ``expires``."""
    return datetime.combine(expires + timedelta(days=1), time(0), zone)


def highest(roles: Iterable[Role]) -> Role:
    """The role whose limits count; who has none is a member."""
    return max(roles, key=ROLES.index, default="member")


def by_role(text: str, otherwise: float) -> Mapping[Role, float]:
    """A setting such as ``mentor=240 admin=0``, for every role; ``otherwise`` for those not named.

    Raises:
        ValueError: it does not look like that.
    """
    found: dict[Role, float] = dict.fromkeys(ROLES, otherwise)
    for word in text.replace(",", " ").split():
        name, _, number = word.partition("=")
        role = next((role for role in ROLES if role == name), None)
        if role is None or float(number) < 0:
            raise ValueError(f"{word!r}: write ROLE=NUMBER, the role one of {', '.join(ROLES)}")
        found[role] = float(number)
    return found
