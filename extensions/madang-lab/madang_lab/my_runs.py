"""What the panel *My runs* shows, as JSON has it. Rules only; who asks MLflow is ``tracking.py``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from madang_lab.runs import Run, address, thinned, verdict

POINTS = 60
"""Points of a sparkline at most; it is as many pixels wide or little more."""


def first_of_each(baselines: Iterable[Run]) -> dict[str, Run]:
    """The baseline of each experiment: the newest, as ``baselines`` are ordered so."""
    found: dict[str, Run] = {}
    for run in baselines:
        if run.is_baseline:
            found.setdefault(run.experiment, run)
    return found


def wanted(runs: Iterable[Run], baselines: Mapping[str, Run]) -> dict[str, str]:
    """The main metric of each run (by id) that has logged it."""
    found = {}
    for run in runs:
        metric = run.main(_baseline(run, baselines))
        if metric is not None and run.value(metric) is not None:
            found[run.id] = metric
    return found


def row(
    run: Run,
    experiment: str,
    baseline: Run | None,
    history: Sequence[tuple[int, float]],
    base: str,
    workspace: str,
) -> dict[str, Any]:
    """One run as the panel shows it.

    Args:
        run: it.
        experiment: the experiment's name.
        baseline: the experiment's, if it has one (which may be ``run`` itself).
        history: steps and values of its main metric, in order.
        base: the browser's address of MLflow.
        workspace: where the run lies.
    """
    other = baseline if baseline is not None and baseline.id != run.id else None
    name = run.main(other)
    value = run.value(name)
    return {
        "id": run.id,
        "name": run.name or run.id[:8],
        "experiment": experiment,
        "status": run.status,
        "started": run.started,
        "url": address(base, workspace, run.experiment, run.id),
        "is_baseline": run.is_baseline,
        "metric": None
        if name is None or value is None
        else {
            "name": name,
            # JSON has no word for the others
            "value": value if math.isfinite(value) else None,
            "points": thinned(list(history), POINTS),
        },
        "baseline": None if other is None or name is None else compared(run, other, name),
    }


def compared(run: Run, baseline: Run, metric: str) -> dict[str, Any] | None:
    """How ``metric`` of a run differs from the baseline's; None where one of the two has no number.

    ``difference`` is the run's minus the baseline's; ``verdict`` is ``better``, ``worse``, ``same``, or
    empty where nobody can say which way is better.
    """
    mine, theirs = run.value(metric), baseline.value(metric)
    if mine is None or theirs is None or not math.isfinite(mine) or not math.isfinite(theirs):
        return None
    difference = mine - theirs
    if not math.isfinite(difference):  # two numbers at the far ends
        return None
    return {
        "value": theirs,
        "difference": difference,
        "verdict": verdict(mine, theirs, run.better(metric, baseline)),
    }


def _baseline(run: Run, baselines: Mapping[str, Run]) -> Run | None:
    found = baselines.get(run.experiment)
    return found if found is not None and found.id != run.id else None
