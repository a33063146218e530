"""What this process measures of its own work; :mod:`.metrics` shows it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram

REGISTRY = CollectorRegistry()
DECISION = Histogram(
    "madang_accelerator_decision_seconds",
    "Time in which it was decided who is served",
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
    registry=REGISTRY,
)
