"""What the operator learns about workspaces: through MLflow's own client at the database, and the stored files.

For the tasks alone (`madang_mlflow.tasks`), whose environment is the server's; everything here blocks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from madang_mlflow import artifacts
from madang_mlflow.storage import Storage

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One workspace.

    Attributes:
        workspace: its name.
        runs: how many runs there are, deleted ones not counted.
        deleted: how many runs are deleted, but not cleared.
        bytes: of its files.
        last: when something was logged last, in seconds since 1970; 0: never.
    """

    workspace: str
    runs: int
    deleted: int
    bytes: int
    last: float


def workspaces() -> list[str]:
    """The names of all workspaces."""
    import mlflow

    return sorted(workspace.name for workspace in mlflow.list_workspaces())


@contextmanager
def inside(workspace: str) -> Iterator[Any]:
    """MLflow's client in a workspace."""
    import mlflow

    mlflow.set_workspace(workspace)
    try:
        yield mlflow.MlflowClient()
    finally:
        mlflow.set_workspace(None)


def experiments(client: Any) -> list[Any]:
    """All experiments of a workspace, deleted ones too."""
    from mlflow.entities import ViewType

    return pages(lambda token: client.search_experiments(ViewType.ALL, _PAGE, page_token=token))


def runs(client: Any, experiment: str) -> list[Any]:
    """All runs of an experiment, deleted ones too."""
    from mlflow.entities import ViewType

    return pages(
        lambda token: client.search_runs(
            [experiment], run_view_type=ViewType.ALL, max_results=_PAGE, page_token=token
        )
    )


def versions(client: Any) -> list[Any]:
    """All versions of a workspace's registered models."""
    return pages(lambda token: client.search_model_versions(page_token=token))


def traces(client: Any, experiments: list[str]) -> list[Any]:
    """All traces of experiments, with their spans."""
    if not experiments:
        return []
    return pages(lambda token: client.search_traces(locations=experiments, page_token=token))


def pages(page: Any) -> list[Any]:
    """All items that a question of MLflow's client gives page by page; ``page`` takes the token."""
    found: list[Any] = []
    token: str | None = None
    while True:
        part = page(token)
        found += part
        token = part.token
        if not token:
            return found


def line(storage: Storage, workspace: str) -> Line:
    """What there is to say about one workspace.

    Raises:
        StorageError: the storage does not answer.
    """
    stored, last, kept, deleted = 0, 0.0, 0, 0
    for file in artifacts.files(storage, workspace):
        stored += file.size
        last = max(last, file.changed)
    with inside(workspace) as client:
        for experiment in experiments(client):
            for run in runs(client, experiment.experiment_id):
                times = (run.info.start_time or 0, run.info.end_time or 0)
                last = max(last, max(times) / 1000)
                if run.info.lifecycle_stage == "deleted":
                    deleted += 1
                else:
                    kept += 1
    return Line(workspace, kept, deleted, stored, last)
