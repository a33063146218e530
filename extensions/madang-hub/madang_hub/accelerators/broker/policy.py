"""From the operator's settings to the rules' policy. Rules only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from madang_hub.accelerators.leases import Policy
from madang_hub.settings.accelerators import AcceleratorSettings

MINUTE, HOUR = 60, 3600


@dataclass(frozen=True)
class Limits:
    """What an operator says about teams; budgets in weighed slot-seconds of a month, None: no limit.

    Attributes:
        weights: shares of teams; 1 where none is named.
        budget: of a team that ``budgets`` does not name.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    budget: float | None = None
    budgets: Mapping[str, float | None] = field(default_factory=dict)

    def budget_of(self, team: str) -> float | None:
        return self.budgets.get(team, self.budget)


def policy_of(settings: AcceleratorSettings) -> Policy:
    """The policy of leases and of the queue."""
    return Policy(
        longest=round(settings.accelerator_longest_hours * HOUR),
        claim=settings.accelerator_claim_seconds,
        starting=settings.accelerator_start_seconds,
        patience=round(settings.accelerator_patience_hours * HOUR),
        every=settings.accelerator_turn_every,
        half_life=round(settings.accelerator_half_life_days * 24 * HOUR),
        idle=round(settings.accelerator_idle_minutes * MINUTE),
        grace=round(settings.accelerator_idle_grace_minutes * MINUTE),
        on_cpu=settings.accelerator_after == "cpu",
        weights=dict(settings.accelerator_weights),
    )


def limits_of(settings: AcceleratorSettings) -> Limits:
    """Shares and budgets of teams."""

    def seconds(hours: float) -> float | None:
        return hours * HOUR if hours else None

    return Limits(
        weights=dict(settings.accelerator_team_weights),
        budget=seconds(settings.accelerator_budget_hours),
        budgets={name: seconds(hours) for name, hours in settings.accelerator_budgets},
    )
