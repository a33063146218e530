"""Runs as MLflow's REST API tells of them; which of a run's metrics is the *main* one; what is better.

Rules only. The panel in JupyterLab and the mentor's page both go by them, from two environments that share no
package: ``madang_lab/runs.py`` and ``madang_hub/runs.py`` are the same file, letter for letter, and a unit
test holds them together. How it is explained to people: ``docs/explanation/tracking.md``.

Everything in MLflow's answers was written by users: what is not of its kind is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

MAIN_TAG = "madang.main_metric"
"""Tag of a run (or of the baseline): the name of the metric that counts."""
BETTER_TAG = "madang.better"
"""Tag of a run (or of the baseline): ``lower`` or ``higher``; anything else is as if it were not there."""
ROLE_TAG = "madang.role"
"""Tag of a run: :data:`BASELINE` makes it what the experiment's other runs are compared with."""
BASELINE = "baseline"

STATUSES = ("running", "scheduled", "finished", "failed", "killed")
"""MLflow's states of a run, in small letters."""
MAX_NAME = 250
"""Characters of a name that are shown at most; MLflow's own limit of a metric's name."""

Better = Literal["lower", "higher"]
Verdict = Literal["better", "worse", "same", ""]

_UNSEEN = (
    frozenset({"val", "valid", "validation", "eval", "evaluation", "dev", "holdout"}),
    frozenset({"test"}),
)
"""Words for data that the model did not learn from, those first that are measured along the way."""
_LEARNED = frozenset({"train", "training"})
_QUALITIES: tuple[tuple[frozenset[str], Better], ...] = (
    (frozenset({"accuracy", "acc"}), "higher"),
    (frozenset({"f1", "auc", "auroc", "auprc", "map", "ap", "iou", "dice"}), "higher"),
    (frozenset({"r2", "precision", "recall", "bleu", "rouge"}), "higher"),
    (frozenset({"rmse", "rmsle"}), "lower"),
    (frozenset({"mae", "mape", "smape"}), "lower"),
    (frozenset({"mse", "msle", "l1", "l2"}), "lower"),
    (frozenset({"error", "err", "wer", "cer"}), "lower"),
    (frozenset({"loss", "logloss", "nll", "entropy", "perplexity", "ppl"}), "lower"),
)
"""Measures by a word of their names: what people speak about before what the machine minimises."""
_OTHERS: dict[str, Better] = {"score": "higher", "distance": "lower", "divergence": "lower"}
"""Words that say which way is better, but do not make a metric the main one."""


def words(name: str) -> list[str]:
    """The words of a metric's name, in small letters: ``valLoss`` and ``val/loss`` are ``val``, ``loss``."""
    # not within "mAP" and "IoU"
    spaced = re.sub(r"(?<=[a-z]{3})(?=[A-Z])|(?<=[a-z0-9])(?=[A-Z][a-z])", " ", name)
    found = re.findall(r"[^\W_]+", spaced.lower())
    # scikit-learn writes some measures out
    text = " ".join(found).replace("mean squared error", "mse").replace("root mse", "rmse")
    text = text.replace("mean absolute error", "mae").replace(
        "mean absolute percentage error", "mape"
    )
    return text.split()


def _rank(name: str) -> tuple[int, int, int, str]:
    said = set(words(name))
    data = next((place for place, known in enumerate(_UNSEEN) if said & known), None)
    if data is None:
        data = len(_UNSEEN) + bool(said & _LEARNED)
    measure = next(
        (place for place, (known, _) in enumerate(_QUALITIES) if said & known), len(_QUALITIES)
    )
    return data, measure, len(name), name


def main_metric(
    names: Iterable[str], tags: Mapping[str, str], baseline: str | None = None
) -> str | None:
    """The main metric of a run; None where nothing was logged that could be one.

    - The tag :data:`MAIN_TAG` names it, also before it is logged.
    - Else it is the main metric of the experiment's baseline, if this run has logged it, too.
    - Else the first by its name: what was measured on data that the model did not learn from (``val``
      before ``test``) comes before the rest, and what was measured on the training data last; among
      these accuracy, F1 and the like come before errors, errors before losses, and those before all else;
      then the shortest name.

    MLflow's own ``system/…`` metrics are never chosen by name.

    Args:
        names: the metrics that the run has logged.
        tags: the run's tags.
        baseline: the main metric of the experiment's baseline, if it has one.
    """
    named = tags.get(MAIN_TAG, "").strip()
    if named:
        return named
    there = {name for name in names if not name.startswith("system/")}
    if baseline in there:
        return baseline
    return min(there, key=_rank, default=None)


def better_when(name: str, *tags: Mapping[str, str]) -> Better | None:
    """Whether a metric is better when it is lower or higher; None where neither tags nor its name say.

    Args:
        name: the metric's name.
        tags: of the run, then of the baseline; the first that says it counts.
    """
    for found in tags:
        said = found.get(BETTER_TAG, "").strip().lower()
        if said in ("lower", "higher"):
            return "lower" if said == "lower" else "higher"
    own = words(name)
    by_word = {word: way for known, way in _QUALITIES for word in known} | _OTHERS
    # the last word that says it: an "error_score" is a score
    way = next((by_word[word] for word in reversed(own) if word in by_word), None)
    if way is not None and "neg" in own:  # scikit-learn's scorers turn errors round
        return "higher" if way == "lower" else "lower"
    return way


def verdict(value: float, against: float, better: Better | None) -> Verdict:
    """How ``value`` compares with ``against`` (finite numbers both); empty where nobody can say."""
    if value == against:
        return "same"
    if better is None:
        return ""
    return "better" if (value < against) == (better == "lower") else "worse"


@dataclass(frozen=True)
class Metric:
    """The last value of a metric (may be NaN or infinite), its step, and when it was logged (ms)."""

    value: float
    step: int = 0
    time: int = 0


@dataclass(frozen=True)
class Run:
    """A run; ``started`` is in milliseconds since 1970 (None: unknown), ``status`` "" if unknown."""

    id: str
    experiment: str
    name: str = ""
    status: str = ""
    started: int | None = None
    metrics: Mapping[str, Metric] | None = None
    tags: Mapping[str, str] | None = None

    @property
    def is_baseline(self) -> bool:
        """Whether the experiment's other runs are compared with this one."""
        return (self.tags or {}).get(ROLE_TAG) == BASELINE

    def main(self, baseline: Run | None = None) -> str | None:
        """The name of the main metric (:func:`main_metric`)."""
        base = baseline.main() if baseline is not None else None
        return main_metric(self.metrics or {}, self.tags or {}, base)

    def value(self, metric: str | None) -> float | None:
        """The last value of a metric; None where there is none."""
        found = (self.metrics or {}).get(metric or "")
        return found.value if found is not None else None

    def better(self, metric: str, baseline: Run | None = None) -> Better | None:
        """Which way a metric of this run is better (:func:`better_when`)."""
        base = (baseline.tags if baseline is not None else None) or {}
        return better_when(metric, self.tags or {}, base)


def runs_from(answer: object) -> list[Run]:
    """The runs of an answer to ``runs/search``, in its order."""
    found = answer.get("runs") if isinstance(answer, dict) else None
    runs = (run_from(one) for one in found) if isinstance(found, list) else ()
    return [run for run in runs if run is not None]


def run_from(model: object) -> Run | None:
    """A run of MLflow's API; None if it is none."""
    info, data = _part(model, "info"), _part(model, "data")
    run, experiment = info.get("run_id"), info.get("experiment_id")
    if not isinstance(run, str) or not isinstance(experiment, str) or not run or not experiment:
        return None
    status = str(info.get("status", "")).lower()
    return Run(
        id=run,
        experiment=experiment,
        name=str(info.get("run_name") or "")[:MAX_NAME],
        status=status if status in STATUSES else "",
        started=_whole(info.get("start_time")),
        metrics=_metrics(data.get("metrics")),
        tags={
            str(row["key"]): str(row["value"])
            for row in _rows(data.get("tags"))
            if "key" in row and "value" in row
        },
    )


def points(answer: object) -> dict[str, list[tuple[int, float]]]:
    """By run, the finite values of an answer to ``metrics/get-history-bulk-interval`` with their steps."""
    found: dict[str, list[tuple[int, int, float]]] = {}
    for row in _rows(answer.get("metrics") if isinstance(answer, dict) else None):
        value = number(row.get("value"))
        if value is not None and math.isfinite(value):
            when = (_whole(row.get("step")) or 0, _whole(row.get("timestamp")) or 0)
            found.setdefault(str(row.get("run_id")), []).append((*when, value))
    return {run: [(step, v) for step, _, v in sorted(rows)] for run, rows in found.items()}


def thinned(values: list[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """At most ``most`` (two or more) of ``values``, evenly, the first and the last among them."""
    if len(values) <= most:
        return values
    last = len(values) - 1
    return [values[round(place * last / (most - 1))] for place in range(most)]


def number(raw: object) -> float | None:
    """A number as JSON made by MLflow has it, where NaN and infinity are words; None if it is none."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    try:
        return float(raw)
    except (ValueError, OverflowError):
        return None


def address(base: str, workspace: str, experiment: str, run: str = "") -> str:
    """Where MLflow's pages show a run, or without one the experiment.

    Args:
        base: the address of MLflow's pages, with a slash at its end.
    """
    path = f"experiments/{quote(experiment, safe='')}"
    if run:
        path += f"/runs/{quote(run, safe='')}"
    return f"{base}#/{path}?workspace={quote(workspace, safe='')}"


def _part(model: object, name: str) -> dict[str, Any]:
    found = model.get(name) if isinstance(model, dict) else None
    return found if isinstance(found, dict) else {}


def _rows(raw: object) -> list[dict[str, Any]]:
    return [row for row in raw if isinstance(row, dict)] if isinstance(raw, list) else []


def _whole(raw: object) -> int | None:
    found = number(raw)
    return int(found) if found is not None and math.isfinite(found) else None


def _metrics(raw: object) -> dict[str, Metric]:
    found = {}
    for row in _rows(raw):
        value = number(row.get("value"))
        if value is not None and row.get("key"):
            when = _whole(row.get("step")) or 0, _whole(row.get("timestamp")) or 0
            found[str(row["key"])] = Metric(value, *when)
    return found
