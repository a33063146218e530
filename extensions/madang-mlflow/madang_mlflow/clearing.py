"""Deleted runs, models and experiments are cleared: by MLflow's own ``mlflow gc``, one workspace after another.

MLflow's pages only mark what is deleted, so that it can be restored; rows and files stay. ``mlflow gc``
removes both, but reaches the files through the server, which knows no operator. Here it reaches them as the
server does, and only below the workspace's own place.

Beside that it leaves the files of traces and of models in an experiment that it removes, which nobody could
find any more; they are removed here before.

For the task alone (`madang_mlflow.tasks`); everything blocks.
"""

import contextlib
import io
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from madang_mlflow import artifacts, census
from madang_mlflow.storage import Storage, path_of

#: Of ``mlflow gc --older-than``.
AGE = re.compile(r"(?=\d)(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?")


class ClearingError(Exception):
    """A workspace could not be cleared; the text is MLflow's reason."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What clearing a workspace would remove.

    Attributes:
        workspace: its name.
        runs: ids of runs.
        models: ids of logged models.
        experiments: ids of experiments.
        bytes: of their files.
        registered: versions of registered models (``name/version``) whose files are among them.
    """

    workspace: str
    runs: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    experiments: list[str] = field(default_factory=list)
    bytes: int = 0
    registered: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not (self.runs or self.models or self.experiments)


def milliseconds(age: str) -> int:
    """An age such as ``30d`` or ``12h30m``, as MLflow writes it.

    Raises:
        ClearingError: it is none.
    """
    found = AGE.fullmatch(age)
    if not found:
        raise ClearingError(f"{age!r} is no age: write 30d, 12h or 1d12h.")
    days, hours, minutes = (int(found[unit] or 0) for unit in ("days", "hours", "minutes"))
    return ((days * 24 + hours) * 60 + minutes) * 60_000


def plan(storage: Storage, workspace: str, older_than: str) -> Plan:
    """What is due, by the conditions of ``mlflow gc``.

    Raises:
        ClearingError: the age cannot be read.
        StorageError: the storage does not answer.
    """
    from mlflow.entities import ViewType

    age = milliseconds(older_than)
    made = Plan(workspace)
    places: list[str] = []
    with census.inside(workspace) as client:
        store = _store()
        limit = int(time.time() * 1000) - age
        deleted = {"filter_string": f"last_update_time < {limit}"}
        due = census.pages(
            lambda token: client.search_experiments(
                ViewType.DELETED_ONLY, page_token=token, **deleted
            )
        )
        for experiment in due:
            made.experiments.append(experiment.experiment_id)
            places.append(experiment.artifact_location)
        for run_id in store._get_deleted_runs(older_than=age):
            made.runs.append(run_id)
            places.append(client.get_run(run_id).info.artifact_uri)
        for model_id in store._get_deleted_logged_models(older_than=age):
            made.models.append(model_id)
            model = store.get_logged_model(model_id, allow_deleted=True)
            places.append(model.artifact_location)
        below = tuple(_below(place, workspace) for place in places)
        for version in census.versions(client):
            source = _place_of(store, str(version.source))
            run_id = source.removeprefix("runs:/").split("/")[0]
            if run_id in made.runs or _below(source, workspace).startswith(below):
                made.registered.append(f"{version.name}/{version.version}")
    found = artifacts.files(storage, workspace)
    size = sum(file.size for file in found if file.path.startswith(below))
    return replace(made, bytes=size)


def clear(storage: Storage, due: Plan, older_than: str) -> None:
    """Remove what is due in one workspace, for good.

    Raises:
        ClearingError: MLflow did not do all of it.
    """
    from mlflow.cli import gc
    from mlflow.exceptions import MlflowException

    with census.inside(due.workspace) as client, reaching(storage, due.workspace) as repository:
        try:
            for experiment in due.experiments:
                repository(client.get_experiment(experiment).artifact_location).delete_artifacts()
            words = ["--workspace", due.workspace, "--older-than", older_than]
            words += ["--tracking-uri", os.environ["MLFLOW_TRACKING_URI"]]
            with contextlib.redirect_stdout(io.StringIO()):
                gc.main(words, prog_name="mlflow gc", standalone_mode=False)
        except (MlflowException, ValueError, OSError) as error:
            raise ClearingError(f"{due.workspace}: {error}") from error


def _store() -> Any:
    # where `mlflow gc` itself has it from
    from mlflow.tracking._tracking_service.utils import _get_store

    return _get_store()


def _place_of(store: Any, source: str) -> str:
    """Where a model version's files lie; its source where that says it."""
    from mlflow.exceptions import MlflowException

    if not source.startswith("models:/"):
        return source
    try:
        model = store.get_logged_model(source.removeprefix("models:/"), allow_deleted=True)
    except MlflowException:  # a version of another registered model, which is looked at itself
        return source
    return str(model.artifact_location)


def _below(uri: str, workspace: str) -> str:
    """An address of MLflow's as a path below the workspace's place; one that is elsewhere stays as it is."""
    try:
        return path_of(uri, workspace).split("/", 2)[2] + "/"
    except ValueError:
        return uri


@contextlib.contextmanager
def reaching(storage: Storage, workspace: str) -> Iterator[Any]:
    """While this lasts, MLflow reaches ``mlflow-artifacts:`` without a server, in one workspace alone."""
    from mlflow.store.artifact import artifact_repository_registry as known

    registry = known._artifact_repository_registry
    usual = registry._registry["mlflow-artifacts"]

    def repository(artifact_uri: str, *args: Any, **kwargs: Any) -> Any:
        path = path_of(artifact_uri, workspace)
        return known.get_artifact_repository(f"{storage.destination.rstrip('/')}/{path}")

    registry.register("mlflow-artifacts", repository)
    try:
        yield repository
    finally:
        registry.register("mlflow-artifacts", usual)
