"""What an operator allows with accelerators. Rules only; the settings are read in ``broker/policy.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator allows. Lengths in seconds.

    Attributes:
        longest: of one lease, extensions included. The bound on waiting grows with it.
        claim: how long a granted lease is kept for its person.
        starting: how long after a claim its container may take to be there, and how long the server that
            runs without it may take to stop.
        settle: how long a container may take to go away; a slot that is held for longer does not count
            as one that comes back until it does.
        patience: who has waited for longer gets a turn whatever the shares say ...
        every: ... with every so-many-th grant, and at least 1.
        gap: a request for which classes leave no room within this time gets no turn.
        half_life: after which use counts half, as Slurm's ``PriorityDecayHalfLife``.
        idle: after how long an accelerator that does nothing is warned about; 0: never.
        grace: how long after that, and while somebody waits for it, it goes back.
        on_cpu: whether a server whose lease is over is started again without an accelerator.
        weights: what a second of a model, or else of a kind, counts; 1 where neither is named.
    """

    longest: int = 8 * 3600
    claim: int = 120
    starting: int = 300
    settle: int = 60
    patience: int = 24 * 3600
    every: int = 4
    gap: int = 24 * 3600
    half_life: int = 7 * 24 * 3600
    idle: int = 30 * 60
    grace: int = 10 * 60
    on_cpu: bool = False
    weights: Mapping[str, float] = field(default_factory=dict)

    def weight(self, kind: str, model: str) -> float:
        return self.weights.get(model, self.weights.get(kind, 1.0))

    def rate(self, kind: str, model: str, count: int, parts: int) -> float:
        """What one second of ``count`` slots counts, or of one of ``parts`` of a slot."""
        return self.weight(kind, model) * count / parts
