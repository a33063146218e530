"""Fair shares: who has used the least for their weight comes first. Rules only.

The order is the one of Slurm's Fair Tree (https://slurm.schedmd.com/fair_tree.html) on a tree of two
levels, teams and their people:

* *Level fairshare* of a team or person is LF = S / U: its share of the weights of itself and its siblings,
  divided by its part of the use of itself and its siblings. Without use it is infinite.
* The team with the highest LF comes first, and *everybody* in it before everybody of the next team; inside
  a team the person with the highest LF comes first. So what one does can only cost one's own team's turn.
* Teams with the same LF are merged before their people are compared; people with the same LF have the same
  rank, and then the earlier request is first.

Use fades: after a half-life it counts half (Slurm's ``PriorityDecayHalfLife``), here continuously instead of
once in five minutes. What a held lease may still use counts at once, undecayed, and what it gives back early
is taken off; without that, whoever is first would get everything that frees in the same moment. Kueue does
the same at admission (https://kueue.sigs.k8s.io/docs/concepts/admission_fair_sharing/, *entry penalty*).

The costs below are 1 / LF up to a factor that all siblings have in common, so less cost is the higher LF.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Person = tuple[str, str]
"""(team, person): somebody in two teams is two leaves of the tree, as in Slurm."""


class Usage:
    """Faded use of everybody, in weighed slot-seconds; owned by whoever made it, changed by :meth:`add`."""

    def __init__(self, half_life: int) -> None:
        """``half_life`` in seconds."""
        self._rate = math.log(2) / half_life
        # what it amounted to at a moment
        self._known: dict[Person, tuple[float, int]] = {}

    def add(self, who: Person, begin: int, end: int, weight: float = 1.0) -> None:
        """``who`` used slots of ``weight`` together from ``begin`` to ``end``; in any order."""
        if end <= begin:
            return
        amount = weight * -math.expm1(-self._rate * (end - begin)) / self._rate
        before, at = self._known.get(who, (0.0, end))
        latest = max(at, end)
        self._known[who] = (
            before * math.exp(-self._rate * (latest - at))
            + amount * math.exp(-self._rate * (latest - end)),
            latest,
        )

    def at(self, now: int) -> dict[Person, float]:
        """What counts at ``now``, which is not before the end of anything added."""
        return {
            who: amount * math.exp(-self._rate * (now - at))
            for who, (amount, at) in self._known.items()
        }

    def of(self, begin: int, now: int) -> float:
        """What use by one slot of weight 1 from ``begin`` until ``now`` counts at ``now``."""
        return -math.expm1(-self._rate * max(0, now - begin)) / self._rate


@dataclass
class Shares:
    """Use at one moment beside the weights: gives each person's cost; :meth:`charge` changes it.

    Attributes:
        used: weighed slot-seconds of each person.
        weights: of teams; 1 where none is given. All are above 0.
    """

    used: dict[Person, float]
    weights: Mapping[str, float] = field(default_factory=dict)
    _teams: dict[str, float] = field(init=False)
    _sizes: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._teams, self._sizes = {}, {}
        for (team, _), amount in self.used.items():
            self._teams[team] = self._teams.get(team, 0.0) + amount
            self._sizes[team] = self._sizes.get(team, 0) + 1

    def know(self, people: Iterable[Person]) -> None:
        """These are in the tree, with or without use."""
        for who in people:
            if who not in self.used:
                self.used[who] = 0.0
                self._teams.setdefault(who[0], 0.0)
                self._sizes[who[0]] = self._sizes.get(who[0], 0) + 1

    def team_cost(self, team: str) -> float:
        return self._teams[team] / self.weights.get(team, 1.0)

    def person_cost(self, who: Person) -> float:
        """1 / LF among the people of the same team, each with the same weight."""
        of_team = self._teams[who[0]]
        return self.used[who] / of_team * self._sizes[who[0]] if of_team else 0.0

    def charge(self, who: Person, amount: float) -> None:
        """``who`` gets ``amount`` more; nobody's place becomes better by that."""
        self.used[who] += amount
        self._teams[who[0]] += amount

    def ranking(self) -> list[list[Person]]:
        """Everybody from the first to the last; who is in one list has the same rank."""
        ranks: dict[tuple[float, float], list[Person]] = {}
        for who in self.used:
            ranks.setdefault((self.team_cost(who[0]), self.person_cost(who)), []).append(who)
        return [sorted(people) for _, people in sorted(ranks.items())]
