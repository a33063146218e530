"""The rules about runs that the panel in JupyterLab and the mentor's page go by."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_lab.my_runs import POINTS, first_of_each, row, wanted
from madang_lab.runs import (
    Metric,
    Run,
    address,
    better_when,
    main_metric,
    number,
    points,
    run_from,
    runs_from,
    thinned,
    verdict,
    words,
)
from madang_lab.tracking import place_of

EXTENSIONS = Path(__file__).resolve().parents[2] / "extensions"


def test_both_packages_hold_the_same_rules() -> None:
    """A server's environment has no package in common with the Hub's that could hold them once."""
    [lab, hub] = [EXTENSIONS / f"madang-{x}" / f"madang_{x}" / "runs.py" for x in ("lab", "hub")]
    assert lab.read_bytes() == hub.read_bytes()


# ---- which metric ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("valLoss", ["val", "loss"]),
        ("val/loss", ["val", "loss"]),
        ("validation_0-logloss", ["validation", "0", "logloss"]),
        ("training_root_mean_squared_error", ["training", "rmse"]),
        ("mAP", ["map"]),
        ("valMAE", ["val", "mae"]),
        ("F1Score", ["f1", "score"]),
        ("검증 손실", ["검증", "손실"]),
    ],
)
def test_names_come_apart_into_words(name: str, expected: list[str]) -> None:
    assert words(name) == expected


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        # by hand; Keras; Lightning
        (["loss", "val_loss"], "val_loss"),
        (["loss", "accuracy", "val_loss", "val_accuracy"], "val_accuracy"),
        (["train_loss", "val_loss", "epoch", "lr"], "val_loss"),
        # Transformers; scikit-learn; XGBoost
        (["eval_loss", "train_loss", "eval_runtime"], "eval_loss"),
        (
            ["training_score", "training_accuracy_score", "training_log_loss"],
            "training_accuracy_score",
        ),
        (["training_r2_score", "training_mean_squared_error", "test_rmse"], "test_rmse"),
        (["train-logloss", "validation_0-logloss"], "validation_0-logloss"),
        # on data that it did not learn from comes before a nicer measure
        (["accuracy", "test_loss"], "test_loss"),
        (["loss", "train_accuracy"], "loss"),
        (["system/cpu_utilization_percentage", "depth"], "depth"),
        (["system/cpu_utilization_percentage"], None),
        ([], None),
    ],
)
def test_the_main_metric_by_name(names: list[str], chosen: str | None) -> None:
    assert main_metric(names, {}) == chosen
    assert main_metric(reversed(names), {}) == chosen


def test_a_tag_names_the_main_metric_before_all_else() -> None:
    names = ["val_loss", "kwh"]
    assert main_metric(names, {"madang.main_metric": "kwh"}, "val_loss") == "kwh"
    assert main_metric(names, {"madang.main_metric": "not_yet"}) == "not_yet"
    assert main_metric(names, {"madang.main_metric": " "}) == "val_loss"


def test_the_baselines_metric_counts_where_it_was_logged() -> None:
    assert main_metric(["val_loss", "kwh"], {}, "kwh") == "kwh"
    assert main_metric(["val_loss"], {}, "kwh") == "val_loss"


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("val_loss", "lower"),
        ("error", "lower"),
        ("test_rmse", "lower"),
        ("mean_absolute_error", "lower"),
        ("valid_0-l2", "lower"),
        ("training_log_loss", "lower"),
        ("val_accuracy", "higher"),
        ("r2_score", "higher"),
        ("score", "higher"),
        ("neg_mean_squared_error", "higher"),
        ("depth", None),
        ("손실", None),
    ],
)
def test_which_way_is_better_by_name(name: str, way: str | None) -> None:
    assert better_when(name) == way


def test_a_tag_says_which_way_is_better_the_runs_own_first() -> None:
    lower, higher = {"madang.better": "lower"}, {"madang.better": "Higher "}
    assert better_when("val_accuracy", lower) == "lower"
    assert better_when("val_loss", {}, higher) == "higher"
    assert better_when("val_loss", lower, higher) == "lower"
    assert better_when("val_loss", {"madang.better": "sideways"}) == "lower"


def test_verdicts() -> None:
    assert verdict(0.4, 0.5, "lower") == "better"
    assert verdict(0.6, 0.5, "lower") == "worse"
    assert verdict(0.6, 0.5, "higher") == "better"
    assert verdict(0.4, 0.5, "higher") == "worse"
    assert verdict(0.5, 0.5, "lower") == "same"
    assert verdict(0.6, 0.5, None) == ""


@given(st.lists(st.text(max_size=12)), st.text(max_size=12))
def test_any_name_can_be_a_metrics(names: list[str], base: str) -> None:
    chosen = main_metric(names, {}, base)
    assert chosen is None or chosen in names
    for name in names:
        assert better_when(name) in ("lower", "higher", None)


# ---- what MLflow says -------------------------------------------------------------------------


def model(**changes: Any) -> dict[str, Any]:
    info = {
        "run_id": "r1",
        "experiment_id": "7",
        "run_name": "first",
        "status": "FINISHED",
        "start_time": 1_700_000_000_000,
        "end_time": "1700000001000",
        **changes,
    }
    metrics = [
        {"key": "val_loss", "value": 0.5, "step": "3", "timestamp": 9},
        {"key": "odd", "value": "NaN", "step": 0, "timestamp": 1},
    ]
    return {"info": info, "data": {"metrics": metrics, "tags": [{"key": "a", "value": "b"}]}}


def test_a_run_is_read() -> None:
    run = run_from(model())
    assert run is not None
    assert (run.id, run.experiment, run.name, run.status) == ("r1", "7", "first", "finished")
    assert run.started == 1_700_000_000_000
    assert run.tags == {"a": "b"}
    assert run.metrics is not None
    assert run.metrics["val_loss"] == Metric(0.5, 3, 9)
    assert math.isnan(run.metrics["odd"].value)
    assert not run.is_baseline
    assert run.value("none") is None


@pytest.mark.parametrize(
    "raw", [None, 3, {}, {"info": []}, model(run_id=None), model(experiment_id=3)]
)
def test_what_is_no_run_is_left_out(raw: object) -> None:
    assert run_from(raw) is None
    assert [run.id for run in runs_from({"runs": [raw, model()]})] == ["r1"]
    assert runs_from(raw) == []


def test_odd_parts_of_a_run_are_left_out() -> None:
    odd = model(status="JUMPING", start_time="soon", run_name=None)
    odd["data"] = {"metrics": [{"key": "a", "value": "x"}, 3, {"value": 1}], "tags": "no"}
    run = run_from(odd)
    assert run == Run("r1", "7", "", "", None, {}, {})


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values)
def test_no_answer_breaks_the_reader(raw: object) -> None:
    runs_from({"runs": [raw, {"info": raw, "data": {"metrics": raw, "tags": raw}}]})
    points({"metrics": raw})
    points(raw)
    number(raw)


def test_histories_are_in_order_and_finite() -> None:
    rows = [
        {"run_id": "a", "value": 2, "step": 1, "timestamp": 5},
        {"run_id": "a", "value": 1.5, "step": 0, "timestamp": 9},
        {"run_id": "a", "value": "NaN", "step": 2, "timestamp": 9},
        {"run_id": "b", "value": 7, "step": "0", "timestamp": 2},
        {"run_id": "b", "value": 6, "step": 0, "timestamp": 1},
    ]
    assert points({"metrics": rows}) == {"a": [(0, 1.5), (1, 2.0)], "b": [(0, 6.0), (0, 7.0)]}


@given(st.integers(0, 500), st.integers(2, 80))
def test_a_curve_keeps_its_ends(length: int, most: int) -> None:
    values = [(step, float(step)) for step in range(length)]
    kept = thinned(values, most)
    assert len(kept) == min(length, most)
    assert kept == sorted(set(kept))
    if values:
        assert (kept[0], kept[-1]) == (values[0], values[-1])


def test_addresses_are_quoted() -> None:
    base = "/services/mlflow/"
    there = "/services/mlflow/#/experiments/7/runs/r1?workspace=u-ann"
    assert address(base, "u-ann", "7", "r1") == there
    assert address(base, "u-ann", "7") == "/services/mlflow/#/experiments/7?workspace=u-ann"
    assert (
        address(base, "u", "../x?", 'a"b')
        == "/services/mlflow/#/experiments/..%2Fx%3F/runs/a%22b?workspace=u"
    )


# ---- the panel ----------------------------------------------------------------------------------


def run(identity: str, value: float | None, started: int = 1, **tags: str) -> Run:
    metrics = {} if value is None else {"val_loss": Metric(value)}
    named = {key.replace("__", "."): text for key, text in tags.items()}
    return Run(identity, "7", f"run {identity}", "finished", started, metrics, named)


BASE = run("base", 0.5, madang__role="baseline")


def shown(one: Run, baseline: Run | None = None) -> dict[str, Any]:
    found = row(one, "lesson", baseline, [(0, 1.0), (1, 0.4)], "/services/mlflow/", "u-ann")
    json.dumps(found, allow_nan=False)
    return found


def test_a_row_of_the_panel() -> None:
    found = shown(run("a", 0.4))
    assert found["name"] == "run a"
    assert found["experiment"] == "lesson"
    assert found["url"].endswith("/7/runs/a?workspace=u-ann")
    assert found["metric"] == {"name": "val_loss", "value": 0.4, "points": [(0, 1.0), (1, 0.4)]}
    assert found["baseline"] is None
    assert shown(run("a", None))["metric"] is None
    assert shown(run("a", math.nan))["metric"]["value"] is None


def test_runs_are_compared_with_the_newest_baseline_of_their_experiment() -> None:
    older = run("older", 0.9, madang__role="baseline")
    elsewhere = Run("x", "8", tags={"madang.role": "baseline"})
    assert first_of_each([BASE, run("a", 1), older, elsewhere]) == {"7": BASE, "8": elsewhere}
    found = shown(run("a", 0.4), BASE)["baseline"]
    assert found["value"] == 0.5
    assert found["difference"] == pytest.approx(-0.1)
    assert found["verdict"] == "better"
    assert shown(run("a", 0.6), BASE)["baseline"]["verdict"] == "worse"
    assert shown(run("a", 0.6, madang__better="higher"), BASE)["baseline"]["verdict"] == "better"
    # itself, or nothing to compare
    assert shown(BASE, BASE)["baseline"] is None
    assert shown(BASE, BASE)["is_baseline"]
    assert shown(run("a", None), BASE)["baseline"] is None
    assert shown(run("a", math.inf), BASE)["baseline"] is None
    assert shown(run("a", 0.4), run("base", None))["baseline"] is None


def test_the_baseline_says_for_all_runs_which_metric_counts() -> None:
    base = Run("base", "7", metrics={"val_loss": Metric(1), "kwh": Metric(2)})
    base = Run(
        "base",
        "7",
        metrics=base.metrics,
        tags={"madang.main_metric": "kwh", "madang.better": "lower"},
    )
    mine = Run("a", "7", metrics={"val_loss": Metric(1), "kwh": Metric(3)})
    assert wanted([mine, run("b", 1)], {"7": base}) == {"a": "kwh", "b": "val_loss"}
    found = shown(mine, base)
    assert found["metric"]["name"] == "kwh"
    assert found["baseline"] == {"value": 2, "difference": 1, "verdict": "worse"}
    assert wanted([run("c", None)], {}) == {}


def test_long_curves_are_thinned() -> None:
    long = [(step, 1.0) for step in range(500)]
    found = row(run("a", 1), "", None, long, "/", "u")
    assert len(found["metric"]["points"]) == POINTS


# ---- where to ask -----------------------------------------------------------------------------


ENVIRON = {
    "MLFLOW_TRACKING_URI": "http://hub.madang:8000/services/mlflow",
    "MLFLOW_TRACKING_TOKEN": "t",
    "MLFLOW_WORKSPACE": "u-ann",
    "MLFLOW_EXPERIMENT_NAME": "ann",
}


def test_the_browser_finds_mlflow_by_the_proxys_path() -> None:
    place = place_of(ENVIRON)
    assert place is not None
    assert place.uri == "http://hub.madang:8000/services/mlflow"
    assert place.pages == "/services/mlflow/"
    assert place.home == "/services/mlflow/#/experiments?workspace=u-ann"
    with_hosts = place_of({**ENVIRON, "JUPYTERHUB_HOST": "https://hub.example.org"})
    assert with_hosts is not None
    assert with_hosts.pages == "https://hub.example.org/services/mlflow/"


@pytest.mark.parametrize(
    "changes",
    [
        {"MLFLOW_TRACKING_URI": ""},
        {"MLFLOW_TRACKING_URI": "sqlite:///x.db"},
        {"MLFLOW_TRACKING_URI": "http://host"},
        {"MLFLOW_TRACKING_TOKEN": ""},
        {"MLFLOW_WORKSPACE": ""},
    ],
)
def test_without_madangs_tracking_server_there_is_no_place(changes: dict[str, str]) -> None:
    assert place_of({**ENVIRON, **changes}) is None
