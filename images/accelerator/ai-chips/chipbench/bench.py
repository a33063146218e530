"""Measure every device, and log what was measured to tracking.

The same small model on every device of this server, under one schema: ``rules`` says what a figure is and what
a run must hold, ``devices`` finds the devices, ``model`` makes the model, ``runtimes`` runs it.
``python -m chipbench`` prints figures without tracking.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

from chipbench import model as models
from chipbench.devices import Device, cpu_threads, first_line, found, register_plugins
from chipbench.rules import PRECISIONS, SCHEMA, Effort, check, figures, timed
from chipbench.runtimes import Run, load_libraries, ready

EXPERIMENT = "ai-chips"
MODEL = Path("digits.onnx")
BATCH = 256
TAGS = {"schema": SCHEMA}


@dataclass(frozen=True)
class Record:
    """One device in one precision, in the words of the schema."""

    params: dict[str, str]
    metrics: dict[str, float]

    @property
    def name(self) -> str:
        """For the list of runs."""
        return f"{self.params['device']} {self.params['precision']}"


@dataclass
class Report:
    """What was measured, and in a sentence each what could not be."""

    records: list[Record] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def devices() -> tuple[list[Device], list[str]]:
    """Every device of this server, and a sentence for each plug-in that does not work."""
    load_libraries()
    failed = register_plugins(ort)
    return found(ort, torch), failed


def measure(
    effort: Effort | None = None, path: Path = MODEL, say: Callable[[str], None] = print
) -> Report:
    """Every device in every precision that it can; nothing is logged.

    ``path`` is the model's file, made if it is missing; ``say`` gets a line for each result.
    """
    effort = effort or Effort()
    here, failed = devices()
    report = Report(skipped=failed)
    data = models.digits()
    model = models.kept(path, data)
    threads = cpu_threads()
    reference: Any = None
    for device in here:
        for precision in PRECISIONS:
            try:
                run = ready(device, precision, model, data, threads)
                answers = run(data.test_x).argmax(1)
            except Exception as error:  # a maker's library raises what it likes
                if device.kind == "cpu" and precision == "fp32":
                    raise
                report.skipped.append(f"{device.name} {precision}: {first_line(error)}")
                say(f"{report.skipped[-1]} -> skipped")
                continue
            if reference is None:  # the first is fp32 on the CPU
                reference = answers
            record = Record(
                _params(device, precision, model, data, threads, effort),
                {
                    **_speed(run, data, effort),
                    "accuracy": float(np.mean(answers == data.test_y)),
                    "agreement_fp32": float(np.mean(answers == reference)),
                },
            )
            if wrong := check(record.params, record.metrics, TAGS):
                raise ValueError(f"{record.name}: {'; '.join(wrong)}")
            report.records.append(record)
            p50, sps = record.metrics["latency_p50_ms"], record.metrics["throughput_sps"]
            say(f"{record.name}: {p50:.3f} ms, {sps:,.0f} samples/s")
    return report


def _speed(run: Run, data: models.Digits, effort: Effort) -> dict[str, float]:
    one, many = data.test_x[:1], data.test_x[:BATCH]
    single = timed(lambda: run(one), effort, perf_counter_ns)
    offline = timed(lambda: run(many), effort, perf_counter_ns)
    return figures(single, offline, len(many))


def _params(
    device: Device, precision: str, model: bytes, data: models.Digits, threads: int, effort: Effort
) -> dict[str, str]:
    return {
        "device": device.name,
        "device_kind": device.kind,
        "device_model": device.model,
        "provider": device.provider,
        "precision": precision,
        "latency_batch": "1",
        "throughput_batch": str(BATCH),
        "min_seconds": str(effort.seconds),
        "threads": str(threads),
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "samples_tested": str(len(data.test_y)),
        "version_runtime": str((ort if device.runtime == "ort" else torch).__version__),
        "version_python": platform.python_version(),
    }


def log(report: Report, path: Path = MODEL, experiment: str = EXPERIMENT) -> str:
    """A run for each record below one that holds the model; the identity of that one."""
    import mlflow

    mlflow.set_experiment(experiment)
    with mlflow.start_run(run_name="comparison") as parent:
        mlflow.log_artifact(str(path))
        if report.skipped:
            mlflow.set_tag("skipped", "\n".join(report.skipped))
        for record in report.records:
            with mlflow.start_run(run_name=record.name, nested=True, tags=TAGS):
                mlflow.log_params(record.params)
                mlflow.log_metrics(record.metrics)
    return str(parent.info.run_id)


def table(experiment: str = EXPERIMENT) -> Any:
    """The latest run of each device and precision in tracking, as a pandas table.

    Of this schema, and of the model that was measured last: others cannot be compared.
    """
    import mlflow

    runs = mlflow.search_runs(
        experiment_names=[experiment],
        filter_string=f"tags.schema = '{SCHEMA}'",
        order_by=["attributes.start_time DESC"],
    )
    done = runs[runs["status"] == "FINISHED"]
    model = done["params.model_sha256"]
    same = ["params.device", "params.device_model", "params.precision"]
    latest = done[model == model.iloc[0]].drop_duplicates(same)
    latest = latest.rename(
        columns=lambda name: name.removeprefix("params.").removeprefix("metrics.")
    )
    return latest.sort_values(["device_model", "device", "precision"], ignore_index=True)
