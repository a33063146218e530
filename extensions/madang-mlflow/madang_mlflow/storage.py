"""Rules: where artifacts lie (a folder, or an S3-compatible storage) and what is missing for it."""

import configparser
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

#: What MLflow calls a storage behind the server: `madang_mlflow.bucket.Bucket`, S3 without the ways around
#: the gate.
SCHEME = "madang-s3"

#: MLflow's folder for everything that is not in its workspace ``default``.
WORKSPACES = "workspaces"

_ADDRESS = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)/?",
    re.ASCII,
)
_WAY_OUT = "see docs/howto/tracking-storage.md"


@dataclass(frozen=True, slots=True)
class Storage:
    """Where artifacts lie.

    Attributes:
        destination: for ``mlflow server --artifacts-destination``; it holds no secret.
        bucket: its name; empty where artifacts lie in a folder.
        prefix: of all keys in the bucket, without slashes at the ends; or the folder.
        variables: the environment that reaches the storage. It names files with keys and holds none.
    """

    destination: str
    bucket: str
    prefix: str
    variables: Mapping[str, str] = field(default_factory=dict)

    def place_of(self, workspace: str) -> str:
        """The folder, or the keys' prefix, of a workspace's artifacts; it ends with a slash."""
        parts = [self.prefix.rstrip("/"), WORKSPACES, workspace, ""]
        return "/".join(parts if self.prefix else parts[1:])


def path_of(uri: str, workspace: str) -> str:
    """Where files lie below the destination that MLflow calls by this address.

    Args:
        uri: ``mlflow-artifacts:/workspaces/<workspace>/…``.
        workspace: to which they must belong.

    Raises:
        ValueError: it is another address, or leads elsewhere.
    """
    path = uri.removeprefix("mlflow-artifacts:/")
    parts = path.split("/")
    odd = {"", ".", ".."} & set(parts)
    if path == uri or parts[:2] != [WORKSPACES, workspace] or len(parts) < 3 or odd or "\\" in path:
        raise ValueError(f"{uri!r} is not a place of the workspace {workspace!r}.")
    return path


def read(env: Mapping[str, str], problems: list[str]) -> Storage:
    """What an environment says about storage.

    Args:
        env: ``MADANG_TRACKING_ARTIFACTS``, a folder or ``s3://bucket/prefix``; with the latter
            ``MADANG_TRACKING_S3_KEYS_FILE``, which has them as Amazon's tools write it, and if it is not
            Amazon's, ``MADANG_TRACKING_S3_ENDPOINT``; if needed ``MADANG_TRACKING_S3_REGION`` and
            ``MADANG_TRACKING_S3_CA_FILE``, certificates to trust.
        problems: a sentence for each thing that is wrong is added.
    """
    address = env.get("MADANG_TRACKING_ARTIFACTS", "")
    if not address:
        problems.append(
            "MADANG_TRACKING_ARTIFACTS must be the folder or storage address of artifacts."
        )
        return Storage("", "", "")
    if "://" not in address:
        return Storage(address, "", address)
    found = _ADDRESS.fullmatch(address)
    if not found or found["prefix"].endswith(f"/{WORKSPACES}") or f"/{WORKSPACES}/" in address:
        problems.append(
            f"MADANG_TRACKING_ARTIFACTS is {address!r}: write a folder, or s3://bucket or "
            f"s3://bucket/prefix (no part of the prefix may be {WORKSPACES!r})."
        )
        return Storage("", "", "")
    return Storage(
        destination=f"{SCHEME}://{found['bucket']}{found['prefix']}",
        bucket=found["bucket"],
        prefix=found["prefix"].strip("/"),
        variables=_variables(env, problems),
    )


def _variables(env: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    keys = env.get("MADANG_TRACKING_S3_KEYS_FILE", "")
    problems += _keys_problems(keys)
    region = env.get("MADANG_TRACKING_S3_REGION", "") or "us-east-1"
    if not re.fullmatch(r"[A-Za-z0-9-]{1,40}", region):
        problems.append(f"MADANG_TRACKING_S3_REGION is {region!r}: write a name such as us-east-1.")
    result = {
        "AWS_SHARED_CREDENTIALS_FILE": keys,
        # nothing but that file: no profile of an account, no keys of the machine that this runs on
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": region,
    }
    if endpoint := env.get("MADANG_TRACKING_S3_ENDPOINT", "").rstrip("/"):
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            problems.append(
                "MADANG_TRACKING_S3_ENDPOINT must be the storage's address, such as "
                "https://storage.example.org, and hold no keys."
            )
        result |= {
            "MLFLOW_S3_ENDPOINT_URL": endpoint,
            # others than Amazon seldom have a name for each bucket, nor the newest checksums
            "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }
    if authority := env.get("MADANG_TRACKING_S3_CA_FILE", ""):
        if not os.access(authority, os.R_OK):
            problems.append(f"MADANG_TRACKING_S3_CA_FILE: {authority} cannot be read.")
        result["AWS_CA_BUNDLE"] = authority
    return result


def _keys_problems(file: str) -> list[str]:
    """What is wrong with the file of keys; no sentence holds anything that is in it."""
    name = "MADANG_TRACKING_S3_KEYS_FILE"
    if not file:
        return [f"{name} must name the file with the storage's keys; {_WAY_OUT}."]
    path = Path(file)
    try:
        open_to_all = path.stat().st_mode & 0o007
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        return [f"{name}: {file} cannot be read ({reason}); {_WAY_OUT}."]
    found = [f"{name}: anybody can read {file}; run: chmod o= {file}"] if open_to_all else []
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
        complete = all(
            parser.get("default", option, fallback="")
            for option in ("aws_access_key_id", "aws_secret_access_key")
        )
    except configparser.Error:
        complete = False
    if not complete:
        found.append(
            f"{name}: {file} must have a line [default] and below it aws_access_key_id = … and "
            f"aws_secret_access_key = …; {_WAY_OUT}."
        )
    return found
