"""Tasks of the operator beside the server: ``python -m madang_mlflow TASK`` with the server's settings.

``madang tracking …`` and ``make doctor`` run them, in server mode in the tracking server's container. What
comes out is for those commands.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from madang_mlflow import (
    artifacts,
    census,
    clearing,
    handed,
    keeping,
    launch,
    quota,
    settings,
    storage,
)
from madang_mlflow.settings import SettingsError

Task = Callable[[argparse.Namespace, storage.Storage], int]

EXPECTED = (
    SettingsError,
    artifacts.StorageError,
    clearing.ClearingError,
    handed.HandedError,
    keeping.KeepingError,
)
"""Errors with a sentence for the operator."""


def prepared(env: Mapping[str, str]) -> tuple[dict[str, str], storage.Storage]:
    """The environment in which MLflow works as the server's does, and where artifacts lie.

    Raises:
        SettingsError: naming everything that is wrong.
    """
    problems: list[str] = []
    place = storage.read(env, problems)
    store = launch.store(env, problems)
    if problems:
        raise SettingsError(problems)
    # what is asked of MLflow here is asked of the database, as the server does
    reached = {"MLFLOW_TRACKING_URI": store, "MLFLOW_REGISTRY_URI": store}
    return {**launch.environment(env, store, place), **reached}, place


def check(args: argparse.Namespace, place: storage.Storage) -> int:
    """Whether the storage of artifacts can be used."""
    print(artifacts.check(place))
    return 0


def everything(args: argparse.Namespace, place: storage.Storage) -> int:
    """All workspaces: runs, bytes, limit, last use; one JSON object a line."""
    limits = quota.limits(os.environ, [])
    for workspace in census.workspaces():
        found = census.line(place, workspace)
        print(json.dumps({**asdict(found), "limit": limits.of(workspace)}), flush=True)
    return 0


def gc(args: argparse.Namespace, place: storage.Storage) -> int:
    """What is deleted and old enough, one JSON object a workspace; with ``--yes`` it is cleared."""
    clearing.milliseconds(
        args.older_than
    )  # a wrong age is said also where there is nothing to look at
    for workspace in census.workspaces():
        # nobody deletes in MLflow's own one by the network, and its files lie elsewhere
        if workspace == "default":
            continue
        due = clearing.plan(place, workspace, args.older_than)
        if due.empty:
            continue
        said = {**asdict(due), "error": ""}
        if args.yes:
            try:
                clearing.clear(place, due, args.older_than)
            except clearing.ClearingError as error:  # the others must not wait for this one
                said["error"] = str(error)
        print(json.dumps(said), flush=True)
    return 0


def hand_over(args: argparse.Namespace, place: storage.Storage) -> int:
    """Let somebody read another's workspace, or with ``--end`` no more."""
    path = _state() / handed.NAME
    known = handed.load(path)
    if args.end:
        left = handed.without(known, args.workspace, args.to)
        if left == known:
            raise handed.HandedError(f"{args.workspace} was not handed to {args.to}.")
        handed.save(path, left)
        return 0
    until = datetime.now(UTC) + timedelta(days=args.days)
    one = handed.Grant(args.workspace, args.to, args.title, until.isoformat(timespec="seconds"))
    # read back before it is written: a grant that makes no sense would close all others
    handed.save(path, handed.parse(handed.write(handed.with_one(known, one))))
    return 0


def archive(args: argparse.Namespace, place: storage.Storage) -> int:
    """A workspace in one file, in the server's own folder; says its path below that."""
    folder = _state() / "archive"
    print(keeping.keep(place, args.workspace, folder, datetime.now(UTC)).name)
    return 0


def _state() -> Path:
    folder = settings.state_folder(os.environ)
    if folder is None:
        raise handed.HandedError("MADANG_TRACKING_STATE must be a folder of the server's own.")
    return folder


def parser() -> argparse.ArgumentParser:
    """The tasks and their words."""
    top = argparse.ArgumentParser(prog="madang_mlflow")
    tasks = top.add_subparsers(dest="task", required=True, metavar="TASK")

    def add(name: str, run: Task) -> argparse.ArgumentParser:
        text = (run.__doc__ or "").strip().splitlines()[0]
        task = tasks.add_parser(name, help=text, description=text)
        task.set_defaults(run=run)
        return task

    add("storage", check)
    add("list", everything)
    add("archive", archive).add_argument("workspace")
    hand = add("hand-over", hand_over)
    hand.add_argument("workspace")
    hand.add_argument("to")
    hand.add_argument("--title", default="")
    hand.add_argument("--days", type=int, default=30)
    hand.add_argument("--end", action="store_true")
    clear = add("gc", gc)
    clear.add_argument("--older-than", default="30d")
    clear.add_argument("--yes", action="store_true")
    return top


def main(argv: Sequence[str]) -> int:
    """Do one task; 0 when it was done, 1 with a sentence on stderr when not."""
    args = parser().parse_args(argv)
    try:
        env, place = prepared(os.environ)
        # libraries read the process's own environment, and it must hold nothing else of theirs
        os.environ.clear()
        os.environ.update(env)
        return int(args.run(args, place))
    except EXPECTED as error:
        print(error, file=sys.stderr)
        return 1
