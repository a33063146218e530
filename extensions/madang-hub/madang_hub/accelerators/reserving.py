"""What classes need, and the reservations that follow from their timetables. Rules only.

A *need* is "this class needs so many slots of this kind (and model)". Its timetable says when, so a need is a
:class:`.pools.Reservation` for every stretch of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from madang_hub.accelerators.policy import Policy
from madang_hub.accelerators.pools import Fleet, Reservation, pools_at, reservations
from madang_hub.accelerators.refusals import LeaseError
from madang_hub.accelerators.slots import Health, Slot
from madang_hub.people.timetable import Timetable
from madang_hub.web.i18n import N_

DAY = 24 * 3600
CHECKED = 35 * DAY
"""For so long ahead it is checked that all classes together do not need more than there is."""


class ReservationRefusedError(LeaseError):
    """More than there is for the class at its times."""


@dataclass(frozen=True, slots=True)
class Need:
    """``count`` slots of ``kind`` (``model``: empty, any) while ``team`` meets; ``by`` said so at ``since``."""

    team: str
    kind: str
    model: str
    count: int
    by: str = ""
    since: int = 0

    @property
    def what(self) -> tuple[str, str, str]:
        """What there is one need of: team, kind and model."""
        return (self.team, self.kind, self.model)


def horizon(policy: Policy) -> int:
    """How many seconds ahead a decision must know of classes: as far as the queue plans."""
    return policy.longest + policy.claim + policy.settle + policy.gap


def coming(
    needs: Iterable[Need], timetables: Mapping[str, Timetable], now: int, ahead: int
) -> list[Reservation]:
    """The reservations that are on at ``now`` or begin within ``ahead`` seconds, the earlier first; and those
    of the day before, which decide together with the others who has which slots.

    A stretch that began earlier is the same one as it was then: leases remember by its name that they were
    given from it.
    """
    found = [
        one
        for need in needs
        if need.team in timetables
        for one in reservations(
            need.team,
            timetables[need.team],
            need.kind,
            need.count,
            now - DAY,
            now + ahead,
            need.model,
        )
        if one.begin < now + ahead
    ]
    return sorted(found, key=lambda r: (r.begin, r.team, r.kind, r.model))


def following(need: Need, timetable: Timetable, now: int) -> tuple[int, int] | None:
    """Begin and end of the stretch that is on, or else of the next; None: the class does not meet any more."""
    at = datetime.fromtimestamp(now, UTC)
    meeting = timetable.next_meeting(at)
    begin = meeting.begin if meeting is not None else at
    ahead = int(begin.timestamp()) - now + DAY
    found = coming([need], {need.team: timetable}, now, max(ahead, DAY))
    stretches = [one for one in found if one.end > now]
    return (stretches[0].begin, stretches[0].end) if stretches else None


def check(
    need: Need,
    needs: Collection[Need],
    timetables: Mapping[str, Timetable],
    slots: Collection[Slot],
    now: int,
    policy: Policy,
) -> None:
    """Whether the class can have what it needs beside what the other classes (``needs``) have.

    Ill slots may be well again, and drained ones come back: they count.

    Raises:
        ReservationRefusedError: it cannot.
    """
    fitting = [s for s in slots if s.kind == need.kind and need.model in ("", s.model)]
    if need.count > len(fitting):
        raise ReservationRefusedError(
            N_("There are {most} such accelerators here, so a class cannot have {count}."),
            most=len(fitting),
            count=need.count,
        )
    others = [n for n in needs if n.what != need.what]
    wanted = coming([*others, need], timetables, now, CHECKED)
    missing = _missing(wanted, slots, now, policy)
    for one in wanted:
        if one.end > now and (lacking := missing.get(one.id, 0)):
            raise ReservationRefusedError(
                N_(
                    "Classes that meet at the same time have reserved accelerators too: {lacking} would be "
                    "missing for {team} on {day}."
                ),
                lacking=lacking,
                team=one.team,
                day=datetime.fromtimestamp(one.begin, timetables[one.team].zone).date(),
            )


def _missing(
    wanted: Iterable[Reservation], slots: Collection[Slot], now: int, policy: Policy
) -> dict[str, int]:
    """How many slots each reservation would not get, by its id, when all of ``slots`` are good."""
    good = tuple(replace(s, health=Health.GOOD) for s in slots)
    known = list(wanted)
    reserved = pools_at(now, Fleet(good), (), known, policy).reserved
    return {
        one.id: lacking
        for one in known
        if (lacking := one.count - sum(reserved.get(one.id, {}).values())) > 0
    }
