"""What one measure found."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Result:
    """``value`` and ``baseline`` in ``unit``; ``runs`` holds the pairs (ours, plain).

    ``note`` says what must be known to read the figures, such as the database and the machine's load.
    """

    name: str
    value: float
    unit: str
    baseline: float
    ratio: float
    runs: list[tuple[float, float]]
    note: str = ""

    @classmethod
    def smaller(cls, name: str, unit: str, runs: list[tuple[float, float]]) -> Result:
        """The medians of ``runs``, where less is better."""
        ours, plain = median(r[0] for r in runs), median(r[1] for r in runs)
        return cls(name, ours, unit, plain, plain / ours, runs)

    @classmethod
    def bigger(cls, name: str, unit: str, runs: list[tuple[float, float]]) -> Result:
        """The medians of ``runs``, where more is better."""
        ours, plain = median(r[0] for r in runs), median(r[1] for r in runs)
        return cls(name, ours, unit, plain, ours / plain, runs)

    def __str__(self) -> str:
        return (
            f"{self.name:28} {self.value:7.2f} {self.unit}   plain {self.baseline:7.2f} {self.unit}   "
            f"ratio {self.ratio:.2f}" + (f"   ({self.note})" if self.note else "")
        )
