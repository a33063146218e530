"""What the gate costs: Madang's tracking server beside plain ``mlflow server`` and MLflow's basic-auth.

Rounds are interleaved, and who is first changes from round to round. Each name gives two results for each
database: beside plain, and beside basic-auth. With PostgreSQL the names end in ``_postgresql``.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from support.deployment import family
from support.postgres import programs

from bench.result import Result
from bench.tracking_sides import NAMES, Notebook, Side, notebook, sides

WORKERS = 2
"""What Madang starts unless it is told otherwise."""

ROUNDS = int(os.environ.get("MADANG_BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("MADANG_BENCH_SECONDS", "4"))
"""Of one client or eight that log as fast as they can."""
MEGABYTES = int(os.environ.get("MADANG_BENCH_MEGABYTES", "100"))

METRICS_OF_A_BATCH = 50
Call = Callable[[Notebook, int], None]


def log_metric(client: Notebook, step: int) -> None:
    metric = {"key": "loss", "value": 1 / (step + 1), "timestamp": step, "step": step}
    client.post("/api/2.0/mlflow/runs/log-metric", {"run_id": client.run, **metric})


def log_batch(client: Notebook, step: int) -> None:
    metrics = [
        {"key": f"m{number}", "value": number / (step + 1), "timestamp": step, "step": step}
        for number in range(METRICS_OF_A_BATCH)
    ]
    client.post("/api/2.0/mlflow/runs/log-batch", {"run_id": client.run, "metrics": metrics})


@contextmanager
def connected(clients: list[Notebook]) -> Iterator[list[Notebook]]:
    """The clients with connections anew: the servers close what is idle for some seconds.

    Which worker takes one is chance.
    """
    anew = [replace(client) for client in clients]
    try:
        yield anew
    finally:
        for client in anew:
            client.connection.close()


def rate(notebooks: list[Notebook], call: Call, seconds: float) -> float:
    """Calls in a second of clients that each call as fast as they can."""
    with connected(notebooks) as clients:
        return _rate(clients, call, seconds)


def _rate(clients: list[Notebook], call: Call, seconds: float) -> float:
    together = threading.Barrier(len(clients) + 1)

    def work(client: Notebook) -> int:
        together.wait()
        end = time.perf_counter() + seconds
        for done in count():
            if time.perf_counter() >= end:
                return done
            # a step is logged once: twice the same would be another thing to measure
            call(client, time.monotonic_ns() // 1000)
        raise AssertionError  # count() has no end

    with ThreadPoolExecutor(len(clients)) as pool:
        found = [pool.submit(work, client) for client in clients]
        together.wait()
        begin = time.perf_counter()
        calls = sum(one.result() for one in found)
        return calls / (time.perf_counter() - begin)


def _load() -> str:
    return f"load of the machine before: {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores"


def _rounds(started: dict[str, Side], measure: Callable[[Side], float]) -> list[dict[str, float]]:
    rounds = []
    for number in range(ROUNDS):
        order = [*NAMES[number % len(NAMES) :], *NAMES[: number % len(NAMES)]]
        found = {name: measure(started[name]) for name in order}
        rounds.append({name: found[name] for name in NAMES})
    return rounds


def _results(
    name: str, backend: str, unit: str, rounds: list[dict[str, float]], note: str
) -> Iterator[Result]:
    make = Result.smaller if unit == "MB" else Result.bigger
    if backend == "postgresql":
        name += "_postgresql"
    for other in NAMES[1:]:
        suffix = "" if other == "plain" else "_beside_basic_auth"
        pairs = [(found["Madang"], found[other]) for found in rounds]
        yield replace(make(name + suffix, unit, pairs), note=f"{backend}, {note}")


def _name(found: dict[str, Side], side: Side) -> str:
    return next(name for name, one in found.items() if one is side)


@contextmanager
def _all_up(found: dict[str, Side]) -> Iterator[None]:
    begun = []
    try:
        for side in found.values():
            begun.append(side)
            side.start(WORKERS)
        yield
    finally:
        for side in begun:
            side.stop()


def _rates(found: dict[str, Side], call: Call, clients: int) -> tuple[list[dict[str, float]], str]:
    makers = {name: [notebook(side) for _ in range(clients)] for name, side in found.items()}
    for mine in makers.values():
        rate(mine, call, SECONDS / 4)
    note = f"{WORKERS} workers, {_load()}"

    def measure(side: Side) -> float:
        return rate(makers[_name(found, side)], call, SECONDS)

    return _rounds(found, measure), note


def _artifacts(
    found: dict[str, Side],
) -> tuple[list[dict[str, float]], list[dict[str, float]], str]:
    content = os.urandom(MEGABYTES * 1_000_000)
    makers = {name: notebook(side) for name, side in found.items()}
    path = "/api/2.0/mlflow-artifacts/artifacts"

    def up(side: Side) -> float:
        with connected([makers[_name(found, side)]]) as (client,):
            begin = time.perf_counter()
            client.send("PUT", f"{path}{client.artifacts}/file", content, "octet-stream")
            return MEGABYTES / (time.perf_counter() - begin)

    def down(side: Side) -> float:
        with connected([makers[_name(found, side)]]) as (client,):
            begin = time.perf_counter()
            got = client.send("GET", f"{path}{client.artifacts}/file")
            seconds = time.perf_counter() - begin
        assert got == content
        return MEGABYTES / seconds

    for side in found.values():
        up(side)
        down(side)
    note = f"{MEGABYTES} MB, {WORKERS} workers, {_load()}"
    return _rounds(found, up), _rounds(found, down), note


def memory(pid: int) -> float:
    """Megabytes that a process and all below it take, each shared page counted once (PSS)."""
    total = 0
    for one in family(pid):
        rollup = (Path("/proc") / str(one) / "smaps_rollup").read_text()
        found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        total += int(found[1]) * 1024 if found else 0
    return total / 1e6


def _memory(found: dict[str, Side], workers: int) -> tuple[list[dict[str, float]], str]:
    note = f"{workers} workers, warm, alone on the machine, {_load()}"

    def measure(side: Side) -> float:
        side.start(workers)
        try:
            clients = [notebook(side) for _ in range(4 * workers)]
            rate(clients, log_metric, SECONDS)
            rate(clients, log_batch, SECONDS)
            with connected(clients) as anew:
                for client in anew:
                    client.post("/api/2.0/mlflow/experiments/search", {"max_results": 10})
            return memory(side.process.pid)
        finally:
            side.stop()

    return _rounds(found, measure), note


RATES: dict[str, tuple[Call, int]] = {
    "tracking_log_metric_1": (log_metric, 1),
    "tracking_log_metric_8": (log_metric, 8),
    "tracking_log_batch_1": (log_batch, 1),
    "tracking_log_batch_8": (log_batch, 8),
}
MEMORIES = {"tracking_memory_1_workers": 1, "tracking_memory_4_workers": 4}
MEASURES = (*RATES, "tracking_artifact_up", "tracking_artifact_down", *MEMORIES)


def measure(names: list[str]) -> Iterator[Result]:
    """The results of these of `MEASURES`, with every database that is here."""
    backends = ["sqlite", *(["postgresql"] if programs() else [])]
    backends = os.environ.get("MADANG_BENCH_DATABASES", " ".join(backends)).split()
    for backend in backends:
        with sides(backend, WORKERS) as found:
            yield from _of_backend(names, backend, found)


def _of_backend(names: list[str], backend: str, found: dict[str, Side]) -> Iterator[Result]:
    artifacts = [name for name in names if name.startswith("tracking_artifact")]
    rates = [name for name in names if name in RATES]
    if rates or artifacts:
        with _all_up(found):
            for name in rates:
                call, clients = RATES[name]
                rounds, note = _rates(found, call, clients)
                yield from _results(name, backend, "calls/s", rounds, note)
            # files do not go through the database
            if artifacts and backend == "sqlite":
                up, down, note = _artifacts(found)
                yield from _results("tracking_artifact_up", backend, "MB/s", up, note)
                yield from _results("tracking_artifact_down", backend, "MB/s", down, note)
    for name in names:
        if name in MEMORIES:
            rounds, note = _memory(found, MEMORIES[name])
            yield from _results(name, backend, "MB", rounds, note)
