"""How many servers were started warm and cold, and why cold, on the Hub's page ``/hub/metrics``."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Mapping

from prometheus_client import Counter, Gauge, Histogram

REASONS = ("none", "starting", "version", "variables", "malformed", "failed")
"""Why a server was started cold: none waited (yet), the warm parent was of another version, it had been started
with other variables, it did not understand, the claim did not work."""

STARTS = Counter("madang_server_starts", "User servers that were started, warm or cold", ["how"])
COLD = Counter("madang_cold_starts", "User servers that were started cold, by reason", ["reason"])
CLAIM = Histogram(
    "madang_warm_claim_duration_seconds",
    "Time that the claim of a warm server took",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15),
)
WAITING = Gauge(
    "madang_warm_servers", "Servers that wait to be claimed (server mode)", ["kind", "state"]
)
WANTED = Gauge(
    "madang_warm_servers_wanted", "How many of a kind should wait (server mode)", ["kind"]
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


def pool(states: Iterable[tuple[str, str]], wanted: Mapping[str, int] | None = None) -> None:
    """Show those that wait, each by its kind and ``ready`` or ``starting``, and how many are wanted."""
    WAITING.clear()
    for (kind, state), number in Tally(states).items():
        WAITING.labels(kind, state).set(number)
    if wanted is not None:
        WANTED.clear()
        for kind, number in wanted.items():
            WANTED.labels(kind).set(number)
