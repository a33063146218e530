"""A class's timetable: when it meets, in which environment and size. Rules only.

*Weekly time*: a weekday with begin and end. *Meeting*: one date's weekly time, from a moment to a moment.
(A *lesson* is a tutorial notebook, not an hour of class.) Times of day are the zone's, moments are UTC.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from madang_hub.people.sentences import Sentence
from madang_hub.texts import Text
from madang_hub.web.i18n import N_

WEEKDAYS = (
    Text(ko="월", en="mon"),
    Text(ko="화", en="tue"),
    Text(ko="수", en="wed"),
    Text(ko="목", en="thu"),
    Text(ko="금", en="fri"),
    Text(ko="토", en="sat"),
    Text(ko="일", en="sun"),
)
_DAY_NUMBER = {
    word: number
    for number, day in enumerate(WEEKDAYS)
    for word in (day.ko, f"{day.ko}요일", day.en)
}


class TimetableError(ValueError):
    """The timetable cannot be so; ``sentence`` says why and what to write."""

    def __init__(self, sentence: Sentence) -> None:
        self.sentence = sentence
        super().__init__(sentence.text("en"))


@dataclass(frozen=True, order=True)
class WeeklyTime:
    """``weekday`` 0 is Monday; ``begin`` and ``end`` are times of the zone, on the same day."""

    weekday: int
    begin: time
    end: time
    environment: str
    size: str

    def __post_init__(self) -> None:
        if not self.begin < self.end:
            raise TimetableError(
                Sentence(
                    N_("{begin}-{end}: the end must come after the beginning, on the same day."),
                    {"begin": f"{self.begin:%H:%M}", "end": f"{self.end:%H:%M}"},
                )
            )

    def text(self, language: str) -> str:
        """As it is written on the command line: ``mon 09:00-12:00 lab small``."""
        day = WEEKDAYS[self.weekday].for_language(language)
        return f"{day} {self.begin:%H:%M}-{self.end:%H:%M} {self.environment} {self.size}"


@dataclass(frozen=True)
class Meeting:
    """The class meets from ``begin`` to (not at) ``end``."""

    begin: datetime
    end: datetime
    environment: str
    size: str


@dataclass(frozen=True)
class Timetable:
    """When a class meets: the ``weekly`` times from ``first`` to ``last`` day but not on days ``off``.

    Weekly times never overlap; one may begin at the moment when another ends.
    """

    zone: ZoneInfo
    weekly: tuple[WeeklyTime, ...] = ()
    off: frozenset[date] = frozenset()
    first: date | None = None
    last: date | None = None

    def __post_init__(self) -> None:
        ordered = sorted(self.weekly)
        object.__setattr__(self, "weekly", tuple(ordered))
        for one, other in pairwise(ordered):
            if one.weekday == other.weekday and other.begin < one.end:
                raise TimetableError(
                    Sentence(
                        N_("Two times overlap: {one} and {other}. Remove or change one."),
                        {
                            "one": Text(ko=one.text("ko"), en=one.text("en")),
                            "other": Text(ko=other.text("ko"), en=other.text("en")),
                        },
                    )
                )

    def on(self, day: date) -> list[Meeting]:
        """The meetings that begin on ``day`` (a date of the zone), in order."""
        if (
            day in self.off
            or (self.first is not None and day < self.first)
            or (self.last is not None and day > self.last)
        ):
            return []
        found = []
        for weekly in self.weekly:
            if weekly.weekday == day.weekday():
                begin, end = (
                    datetime.combine(day, t, self.zone).astimezone(UTC)
                    for t in (weekly.begin, weekly.end)
                )
                # a time inside the hour that the start of summer time leaves out does not happen
                if begin < end:
                    found.append(Meeting(begin, end, weekly.environment, weekly.size))
        return sorted(found, key=lambda m: m.begin)

    def between(self, begin: datetime, end: datetime) -> Iterator[Meeting]:
        """The meetings of which some part is in ``begin`` to (not at) ``end``, in order."""
        day = begin.astimezone(self.zone).date()
        while day <= end.astimezone(self.zone).date():
            yield from (m for m in self.on(day) if m.begin < end and begin < m.end)
            day += timedelta(days=1)

    def spans(self, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """The same as begin and end of whole stretches: meetings without a break between are one."""
        found: list[tuple[datetime, datetime]] = []
        for meeting in self.between(begin, end):
            if found and found[-1][1] == meeting.begin:
                found[-1] = (found[-1][0], meeting.end)
            else:
                found.append((meeting.begin, meeting.end))
        return found

    def meeting_at(self, now: datetime) -> Meeting | None:
        """The meeting that is going on at ``now``."""
        today = self.on(now.astimezone(self.zone).date())
        return next((m for m in today if m.begin <= now < m.end), None)

    def next_meeting(self, now: datetime) -> Meeting | None:
        """The first meeting that begins after ``now``; None when there is no more."""
        if not self.weekly:
            return None
        day = now.astimezone(self.zone).date()
        if self.first is not None and self.first > day:
            day = self.first
        # every day of a longer time without a meeting must be off or behind the last day
        for _ in range(8 + len(self.off) * 7):
            if self.last is not None and day > self.last:
                return None
            for meeting in self.on(day):
                if meeting.begin > now:
                    return meeting
            day += timedelta(days=1)
        return None

    def over_at(self, now: datetime) -> datetime | None:
        """When the class that is going on at ``now`` is over: the end of the last meeting that follows
        without a break. None when none is going on."""
        meeting = self.meeting_at(now)
        if meeting is None:
            return None
        end = meeting.end
        while following := self.meeting_at(end):
            end = following.end
        return end

    def warn_at(self, now: datetime, minutes: int) -> datetime | None:
        """The end of the class going on, if it is at most ``minutes`` away, else None."""
        end = self.over_at(now)
        return end if end is not None and end - now <= timedelta(minutes=minutes) else None


# ---- the text form --------------------------------------------------------------------------


def parse_times(text: str) -> list[WeeklyTime]:
    """The weekly times of ``mon,wed 09:00-12:00 lab small`` (``월수 09:00-12:00 lab small``).

    Weekdays are divided by commas, ``mon-fri`` is all from Monday to Friday, Korean days may stand
    together.

    Raises:
        TimetableError: it is not written so.
    """
    found = re.fullmatch(
        r"\s*(\S+)\s+(\d{1,2}:\d{2})\s*[-~]\s*(\d{1,2}:\d{2})\s+(\S+)\s+(\S+)\s*", text
    )
    if found is None:
        raise TimetableError(
            Sentence(
                N_(
                    "“{text}” is no time of a class; write it like “mon,wed 09:00-12:00 lab small”."
                ),
                {"text": text[:60]},
            )
        )
    begin, end = _time(found[2]), _time(found[3])
    return [WeeklyTime(day, begin, end, found[4], found[5]) for day in parse_days(found[1])]


def parse_days(text: str) -> list[int]:
    """The weekdays of ``mon,wed``, ``mon-fri`` or ``월수금``, in the week's order.

    Raises:
        TimetableError: a word is no weekday.
    """
    days: set[int] = set()
    for part in text.casefold().split(","):
        first, dash, last = part.partition("-")
        if dash:
            begin, end = _day(first), _day(last)
            days |= {(begin + i) % 7 for i in range((end - begin) % 7 + 1)}
        elif part in _DAY_NUMBER:
            days.add(_DAY_NUMBER[part])
        else:
            days |= (
                {_day(sign) for sign in part}
                if part.isalpha() and not part.isascii()
                else {_day(part)}
            )
    return sorted(days)


def _day(word: str) -> int:
    if word not in _DAY_NUMBER:
        raise TimetableError(
            Sentence(
                N_("“{word}” is no weekday; write {days}."),
                {"word": word[:20], "days": WEEKDAYS},
            )
        )
    return _DAY_NUMBER[word]


def _time(text: str) -> time:
    hours, _, minutes = text.partition(":")
    try:
        return time(int(hours), int(minutes))
    except ValueError:
        raise TimetableError(
            Sentence(
                N_("{text} is no time of day; write it between 00:00 and 23:59."), {"text": text}
            )
        ) from None


def parse_dates(text: str) -> list[date]:
    """The dates of ``2026-12-25``, ``2026-12-24..2026-12-31`` or several divided by commas.

    Raises:
        TimetableError: it is not written so, or more than a year long.
    """
    days: list[date] = []
    for part in text.split(","):
        first, dots, last = (p.strip() for p in part.partition(".."))
        begin = parse_date(first)
        end = parse_date(last) if dots else begin
        if not 0 <= (end - begin).days <= 366:
            raise TimetableError(
                Sentence(
                    N_(
                        "{first}..{last}: the first day comes first, and at most a year after it the last."
                    ),
                    {"first": begin, "last": end},
                )
            )
        days += [begin + timedelta(days=i) for i in range((end - begin).days + 1)]
    return days


def parse_date(text: str) -> date:
    """``2026-12-25`` as a date.

    Raises:
        TimetableError: it is none.
    """
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise TimetableError(
        Sentence(N_("“{text}” is no date; write it like 2026-12-25."), {"text": text[:20]})
    )


def changed(
    old: Timetable,
    add: Iterable[WeeklyTime] = (),
    remove: Collection[tuple[int, time]] = (),
    off: Iterable[date] = (),
    on: Collection[date] = (),
) -> Timetable:
    """``old`` without the times that begin at ``remove`` (weekday, begin), then with ``add``; the dates
    ``off`` are free, the dates ``on`` are not any more.

    Raises:
        TimetableError: times overlap, or there is nothing at ``remove``.
    """
    begins = {(w.weekday, w.begin) for w in old.weekly}
    for weekday, begin in remove:
        if (weekday, begin) not in begins:
            raise TimetableError(
                Sentence(
                    N_("No time of the class begins on {day} at {begin}."),
                    {"day": WEEKDAYS[weekday], "begin": f"{begin:%H:%M}"},
                )
            )
    kept = [w for w in old.weekly if (w.weekday, w.begin) not in remove]
    # the same time once more is no overlap
    weekly = dict.fromkeys([*kept, *add])
    return Timetable(
        old.zone, tuple(weekly), (old.off | frozenset(off)) - frozenset(on), old.first, old.last
    )


def parse_begin(text: str) -> list[tuple[int, time]]:
    """Weekdays and begin of ``mon,wed 09:00``, to remove them.

    Raises:
        TimetableError: it is not written so.
    """
    found = re.fullmatch(r"\s*(\S+)\s+(\d{1,2}:\d{2})\s*", text)
    if found is None:
        raise TimetableError(
            Sentence(
                N_("“{text}”: write weekday and begin, like “mon 09:00”."), {"text": text[:60]}
            )
        )
    return [(day, _time(found[2])) for day in parse_days(found[1])]
