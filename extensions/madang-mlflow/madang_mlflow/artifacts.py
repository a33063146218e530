"""The stored artifacts themselves, past MLflow: whether the storage can be used, and what lies there.

Everything here blocks.
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madang_mlflow.storage import Storage


class StorageError(Exception):
    """The storage does not do what is asked; the text says what it answered, in one sentence."""


@dataclass(frozen=True, slots=True)
class File:
    """One stored file.

    Attributes:
        path: below the place that was listed.
        size: in bytes.
        changed: when, in seconds since 1970.
    """

    path: str
    size: int
    changed: float


def files(storage: Storage, workspace: str) -> Iterator[File]:
    """Every file of a workspace, in no order.

    Raises:
        StorageError: the storage does not answer, or refuses.
    """
    place = storage.place_of(workspace)
    return _in_bucket(storage, place) if storage.bucket else _in_folder(Path(place))


@contextmanager
def opened(storage: Storage, workspace: str, path: str) -> Iterator[Any]:
    """A stored file (`File.path`) to read from.

    Raises:
        StorageError: the storage does not give it.
    """
    place = storage.place_of(workspace)
    if not storage.bucket:
        with (Path(place) / path).open("rb") as file:
            yield file
        return
    with _answering(storage) as client:
        yield client.get_object(Bucket=storage.bucket, Key=place + path)["Body"]


def check(storage: Storage) -> str:
    """Write, read and remove a small file; says in a sentence what was found.

    Raises:
        StorageError: it cannot be done.
    """
    content = secrets.token_bytes(16)
    if not storage.bucket:
        path = Path(storage.prefix) / f".check-{secrets.token_hex(8)}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.unlink()
        except OSError as error:
            raise StorageError(
                f"The folder {storage.prefix} cannot be written: {error}."
            ) from error
        return f"Runs' files lie in {storage.prefix}, which can be written."
    with _answering(storage) as client:
        key = storage.place_of(f".check-{secrets.token_hex(8)}") + "file"
        client.put_object(Bucket=storage.bucket, Key=key, Body=content)
        same = client.get_object(Bucket=storage.bucket, Key=key)["Body"].read() == content
        client.delete_object(Bucket=storage.bucket, Key=key)
        if not same:
            raise StorageError(f"{_named(storage)} gave back something else than was put there.")
    return f"{_named(storage)} can be written and read."


def _named(storage: Storage) -> str:
    where = storage.variables.get("MLFLOW_S3_ENDPOINT_URL") or "Amazon S3"
    return f"The bucket {storage.bucket!r} at {where}"


def client_of(variables: Mapping[str, str]) -> Any:
    """boto3's client with what `storage.read` found; this process's environment has it already."""
    import boto3
    from botocore.config import Config

    style = variables.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "auto")
    return boto3.client(
        "s3",
        endpoint_url=variables.get("MLFLOW_S3_ENDPOINT_URL"),
        config=Config(
            s3={"addressing_style": style},
            connect_timeout=10,
            read_timeout=60,
            retries={"total_max_attempts": 3},
        ),
    )


@contextmanager
def _answering(storage: Storage) -> Iterator[Any]:
    """A client; what goes wrong inside becomes a `StorageError`."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield client_of(storage.variables)
    except ClientError as error:
        said = error.response.get("Error", {})
        text = f"{said.get('Code', '?')}: {said.get('Message', '')}".rstrip(": .")
        raise StorageError(f"{_named(storage)} answered {text}.") from error
    except (BotoCoreError, Boto3Error) as error:
        raise StorageError(f"{_named(storage)} cannot be used: {error}") from error


def _in_bucket(storage: Storage, place: str) -> Iterator[File]:
    with _answering(storage) as client:
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=storage.bucket, Prefix=place
        )
        for page in pages:
            for found in page.get("Contents", []):
                changed = found["LastModified"].timestamp()
                yield File(found["Key"].removeprefix(place), found["Size"], changed)


def _in_folder(folder: Path) -> Iterator[File]:
    # links are neither followed nor counted: MLflow makes none
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            try:
                found = path.lstat()
            except FileNotFoundError:  # removed meanwhile
                continue
            yield File(str(path.relative_to(folder)), found.st_size, found.st_mtime)
