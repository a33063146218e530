"""How many servers were started warm and cold, and why cold, on the Hub's page ``/hub/metrics``."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

REASONS = ("none", "starting", "version", "variables", "malformed", "failed")
"""Why a server was started cold: no warm parent (yet), it was of another version, it had been started with
other variables, it did not understand, it did not answer."""

STARTS = Counter(
    "madang_server_starts", "User servers that were started, warm or cold (embedded mode)", ["how"]
)
COLD = Counter("madang_cold_starts", "User servers that were started cold, by reason", ["reason"])
CLAIM = Histogram(
    "madang_warm_claim_duration_seconds",
    "Time that the claim of a warm server took",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2),
)
for _how in ("warm", "cold"):
    STARTS.labels(_how)
for _reason in REASONS:
    COLD.labels(_reason)


def cold(reason: str) -> None:
    """Count one that was started cold."""
    STARTS.labels("cold").inc()
    COLD.labels(reason if reason in REASONS else "failed").inc()


def warm(seconds: float) -> None:
    """Count one that was claimed, in ``seconds``."""
    STARTS.labels("warm").inc()
    CLAIM.observe(seconds)
