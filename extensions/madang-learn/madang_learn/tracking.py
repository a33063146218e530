"""A lesson's runs on the tracking server, with its tags; and a lesson that goes on where no server answers.

MLflow's client waits ten minutes for a server that is away, which is right for a training that runs for hours
(docs/explanation/tracking.md) and wrong for a lesson. So calls in here wait for some seconds. Then runs of this
kernel go to a folder in the home, in MLflow's own format, so that the rest of the lesson finds them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from madang_learn import progress
from madang_learn.words import Text, language, short

IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
"""Three tries: to nobody it takes four seconds (MLflow's own pauses), to a silent host after twenty."""

AWAY = Text(
    "⚠️ 실험 기록 서버에 연결할 수 없습니다. 실습은 그대로 이어집니다. 지금부터 이 노트북의 실행은 홈 폴더의 "
    ".madang/lessons/runs에만 남고, 실험 기록 화면에는 보이지 않습니다.",
    "⚠️ The tracking server cannot be reached. The lesson goes on. From here, this notebook's runs are kept "
    "only in .madang/lessons/runs of your home folder and do not show on the experiments page.",
)
NOWHERE = Text(
    "⚠️ 실행을 기록하지 못했습니다. 실습은 그대로 이어집니다.",
    "⚠️ The run could not be recorded. The lesson goes on.",
)


class Runs:
    """The runs of one lesson in this kernel."""

    def __init__(self, lesson: str, version: str) -> None:
        self.experiment = f"tutorial/{lesson}"
        self._lesson, self._version = lesson, version

    def tags(self, baseline: bool, main_metric: str, better: str, device: str) -> dict[str, str]:
        """What is written on a run beside its metrics."""
        image = os.environ.get("JUPYTER_IMAGE_SPEC") or os.environ.get("MADANG_ENVIRONMENT")
        found = {
            "lesson.id": self._lesson,
            "lesson.version": self._version,
            "image.tag": image or "unknown",
            "lang": language(),
            "device": device,
            "madang.role": "baseline" if baseline else "",
            "madang.main_metric": main_metric,
            "madang.better": better,
        }
        return {key: value for key, value in found.items() if value}

    @contextmanager
    def run(
        self, name: str, baseline: bool, main_metric: str, better: str, device: str
    ) -> Iterator[None]:
        """A run around what the body logs. Only what the tracking server does wrong is swallowed."""
        import mlflow

        tags = self.tags(baseline, main_metric, better, device)
        with _impatient():
            is_begun = self._begin(name, tags)
            try:
                yield
            except Exception as error:
                with suppress(Exception):
                    mlflow.end_run("FAILED")
                if not is_begun and isinstance(error, (OSError, mlflow.exceptions.MlflowException)):
                    return  # that runs cannot be recorded was said
                if not _is_trouble(error):
                    raise
                _away(error)
                return
            try:
                mlflow.end_run()
            except Exception as error:
                _away(error)

    def _begin(self, name: str, tags: dict[str, str]) -> bool:
        """Start the run; False if it can be recorded nowhere, which is said."""
        import mlflow

        # a run that an interrupted cell left open would be this one's parent
        with suppress(Exception):
            mlflow.end_run()
        for last in (False, True):
            try:
                _require_server()
                mlflow.start_run(experiment_id=self._experiment(), run_name=name, tags=tags)
            except Exception as error:
                if last:
                    print(f"{NOWHERE} ({_reason(error)})")
                else:
                    _away(error)
            else:
                return True
        return False

    def _experiment(self) -> str:
        """The experiment's id; made at its first run (two notebooks at once: one of them makes it)."""
        import mlflow

        client = mlflow.MlflowClient()
        found = client.get_experiment_by_name(self.experiment)
        if found is None:
            with suppress(mlflow.exceptions.RestException):
                return str(client.create_experiment(self.experiment))
            found = client.get_experiment_by_name(self.experiment)
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def table(self) -> Any:
        """The lesson's runs, newest first (a pandas table); those in the home where no server answers.

        Without any where the home cannot hold them either.
        """
        import pandas as pd

        with _impatient():
            try:
                _require_server()
                return self._search()
            except Exception as error:
                _away(error)
            with suppress(Exception):
                return self._search()
            return pd.DataFrame()

    def _search(self) -> Any:
        import mlflow
        import pandas as pd

        found = mlflow.MlflowClient().get_experiment_by_name(self.experiment)
        if found is None:
            return pd.DataFrame()
        return mlflow.search_runs(experiment_ids=[found.experiment_id])


def _require_server() -> None:
    """Without an address MLflow would make a database in the folder of the notebook."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise ConnectionError("MLFLOW_TRACKING_URI is not set")


@contextmanager
def _impatient() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in IMPATIENT}
    os.environ.update(IMPATIENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _away(error: Exception) -> None:
    """Say that the server is away, and let this kernel's runs go to the home."""
    import mlflow

    folder = progress.folder_of(Path.home()) / "runs"
    print(f"{AWAY} ({_reason(error)})")
    # MLflow keeps this format for those who ask for it
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    os.environ["MLFLOW_TRACKING_URI"] = folder.as_uri()
    mlflow.set_tracking_uri(folder.as_uri())


def _is_trouble(error: Exception) -> bool:
    """Whether the tracking server failed, and not what the learner wrote: nobody there, 5xx, 429, no right."""
    import mlflow
    import requests

    if isinstance(error, mlflow.exceptions.MlflowException):
        status = error.get_http_status_code()
        return status >= 500 or status in (401, 403, 429)
    return isinstance(error, requests.RequestException)


def _reason(error: Exception) -> str:
    return short(f"{type(error).__name__}: {error}".splitlines()[0], 100).strip("'\"")
