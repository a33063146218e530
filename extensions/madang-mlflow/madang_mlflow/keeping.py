"""A workspace in one file: a tar of every stored file, and of what MLflow knows in JSON.

MLflow has no export of its own. What is read here comes through its client, so a later MLflow (or anything
that reads JSON) can make use of it. Nothing is removed.

The tar holds ``workspace.json`` (experiments, models, registered models), ``runs.jsonl`` (a run with its whole
history of metrics, a line each), ``traces.jsonl`` and, below ``files/``, the files as they are stored.

For the task alone (`madang_mlflow.tasks`); everything blocks.
"""

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from madang_mlflow import artifacts, census, clearing
from madang_mlflow.storage import Storage

#: Bytes that must stay free on the disk.
SPARE = 10**9


class KeepingError(Exception):
    """The file could not be made; the text says why."""


def keep(storage: Storage, workspace: str, folder: Path, now: datetime) -> Path:
    """Make the file; returns its path.

    Raises:
        KeepingError: there is no such workspace, no room, or the file differs from what was put in.
        StorageError: the storage does not answer.
    """
    if workspace not in census.workspaces():
        raise KeepingError(f"There is no workspace {workspace!r}: madang tracking list shows all.")
    stored = sorted(artifacts.files(storage, workspace), key=lambda file: file.path)
    size = sum(file.size for file in stored)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < size + SPARE:
        raise KeepingError(
            f"The file needs {size / 1e9:.2f} GB in {folder}, where {free / 1e9:.2f} GB are free and "
            f"{SPARE / 1e9:g} GB must stay so."
        )
    final = folder / f"{workspace}-{now:%Y%m%dT%H%M%SZ}.tar"
    partial = folder / f".{final.name}.partial"
    try:
        with partial.open("wb") as raw:
            partial.chmod(0o600)
            with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for name, lines in _told(storage, workspace):
                    # on the disk: the metrics of years do not fit into memory
                    with tempfile.TemporaryFile(dir=folder) as content:
                        for line in lines:
                            content.write(_json(line).encode() + b"\n")
                        entry = tarfile.TarInfo(name)
                        entry.size, entry.mtime, entry.mode = content.tell(), now.timestamp(), 0o600
                        content.seek(0)
                        tar.addfile(entry, content)
                for file in stored:
                    entry = tarfile.TarInfo(f"files/{file.path}")
                    entry.size, entry.mtime, entry.mode = file.size, file.changed, 0o600
                    with artifacts.opened(storage, workspace, file.path) as content_of:
                        tar.addfile(entry, content_of)
            raw.flush()
            os.fsync(raw.fileno())
        _look_again(partial, stored)
        partial.rename(final)
    except (OSError, tarfile.TarError) as error:
        raise KeepingError(f"{final} could not be made: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return final


def _look_again(path: Path, stored: list[artifacts.File]) -> None:
    wanted = {f"files/{file.path}": file.size for file in stored}
    with tarfile.open(path) as tar:
        found = {entry.name: entry.size for entry in tar if entry.name.startswith("files/")}
    if found != wanted:
        raise KeepingError("What was written differs from what is stored; try again.")


def _told(storage: Storage, workspace: str) -> Iterator[tuple[str, Iterable[Any]]]:
    """What MLflow knows, as files of JSON lines."""
    with census.inside(workspace) as client, clearing.reaching(storage, workspace):
        every = census.experiments(client)
        models = [
            model.to_dictionary() for one in every for model in _models(client, one.experiment_id)
        ]
        versions: dict[str, list[Any]] = {}
        for version in census.versions(client):
            versions.setdefault(version.name, []).append(_plain(version))
        names = census.pages(lambda token: client.search_registered_models(page_token=token))
        registered = [{**_plain(one), "versions": versions.get(one.name, [])} for one in names]
        about = {
            "workspace": workspace,
            "experiments": [_plain(one) for one in every],
            "models": models,
            "registered_models": registered,
        }
        yield "workspace.json", [about]
        ids = [one.experiment_id for one in every]
        yield "runs.jsonl", (_run(client, run) for one in ids for run in census.runs(client, one))
        traces = census.traces(client, ids)
        yield "traces.jsonl", [json.loads(trace.to_json()) for trace in traces]


def _models(client: Any, experiment: str) -> list[Any]:
    return census.pages(lambda token: client.search_logged_models([experiment], page_token=token))


def _run(client: Any, run: Any) -> dict[str, Any]:
    history = {
        key: [
            [metric.step, metric.timestamp, metric.value]
            for metric in client.get_metric_history(run.info.run_id, key)
        ]
        for key in run.data.metrics
    }
    found: dict[str, Any] = run.to_dictionary()
    return {**found, "history": history}


def _plain(thing: Any) -> dict[str, Any]:
    """The fields of one of MLflow's objects as JSON has them."""
    plain: dict[str, Any] = json.loads(_json(dict(thing)))
    return plain


def _json(thing: Any) -> str:
    """JSON, with MLflow's objects inside by their fields."""

    def fields(one: Any) -> Any:
        try:
            return dict(one)
        except (TypeError, ValueError):
            return str(one)

    return json.dumps(thing, default=fields, ensure_ascii=False)
