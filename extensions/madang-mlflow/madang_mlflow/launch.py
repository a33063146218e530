"""Rules for starting ``mlflow server``: its environment and its arguments."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from madang_mlflow import settings, storage


@dataclass(frozen=True, slots=True)
class Launch:
    """A command and the environment it runs in (which holds secrets)."""

    command: list[str]
    env: dict[str, str] = field(repr=False)


def plan(env: Mapping[str, str]) -> Launch:
    """What to run.

    Args:
        env: this process's environment. ``MADANG_TRACKING_BACKEND`` (or ``…_BACKEND_FILE``, a file
            that holds it) is the database's address, ``MADANG_TRACKING_ARTIFACTS`` and more where
            artifacts lie (`storage.read`), ``MADANG_TRACKING_PORT`` the port on 127.0.0.1 (5000),
            ``MADANG_TRACKING_WORKERS`` the number of processes (2). The rest: `settings.read`.

    Raises:
        SettingsError: naming everything that is missing or unsafe.
    """
    problems: list[str] = []
    port = _number(env, "MADANG_TRACKING_PORT", 5000, 65535, problems)
    workers = _number(env, "MADANG_TRACKING_WORKERS", 2, 64, problems)
    database = store(env, problems)
    artifacts = storage.read(env, problems)
    try:
        gate = settings.read(env, settings.machine_names())
    except settings.SettingsError as error:
        raise settings.SettingsError([*problems, *error.problems]) from None
    if problems:
        raise settings.SettingsError(problems)
    return Launch(
        command=[
            *(sys.executable, "-m", "mlflow", "server", "--app-name", "madang"),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)),
            *("--serve-artifacts", "--artifacts-destination", artifacts.destination),
            # The gate judges hosts and origins and shows MLflow one name, this one.
            *("--allowed-hosts", urlsplit(gate.public_url).netloc),
            *("--cors-allowed-origins", gate.public_url),
            # No access log (an OAuth code is in a query), and nobody may say who they are by
            # X-Forwarded-For.
            *("--uvicorn-opts", "--no-access-log --no-proxy-headers --no-server-header"),
        ],
        env=environment(env, database, artifacts),
    )


def environment(
    env: Mapping[str, str], database: str, artifacts: storage.Storage
) -> dict[str, str]:
    """The environment that MLflow runs in.

    Args:
        env: this process's.
        database: its address.
        artifacts: where artifacts lie.
    """
    # MLflow's own settings come from here alone; one left over in a shell must not weaken them
    foreign = ("MLFLOW_", "_MLFLOW_", "UVICORN_", "FORWARDED_ALLOW_IPS", "AWS_", "BOTO")
    result = {name: value for name, value in env.items() if not name.startswith(foreign)}
    result |= artifacts.variables
    result |= {name: value for name, value, _ in settings.INSISTED if value}
    result |= {
        "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX": settings.SOURCE_REGEX,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_BACKEND_STORE_URI": database,  # not an argument: it may hold a password
        "PYTHONSAFEPATH": "1",
    }
    return result


def store(env: Mapping[str, str], problems: list[str]) -> str:
    """The database's address, from the environment or the file that it names."""
    value = env.get("MADANG_TRACKING_BACKEND", "")
    file = env.get("MADANG_TRACKING_BACKEND_FILE", "")
    if file and not value:
        try:
            value = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"MADANG_TRACKING_BACKEND_FILE: {file} cannot be read ({error}).")
            return ""
    if not value.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg2://")):
        problems.append(
            "MADANG_TRACKING_BACKEND must be a database such as sqlite:////srv/madang/mlflow/"
            "mlflow.db or postgresql://mlflow:PASSWORD@/mlflow?host=/run/postgres."
        )
    # SQLAlchemy would look for another driver than the one that is installed
    scheme, found, rest = value.partition("://")
    return f"postgresql+psycopg2://{rest}" if found and scheme == "postgresql" else value


def _number(env: Mapping[str, str], name: str, default: int, most: int, problems: list[str]) -> int:
    text = env.get(name, "") or str(default)
    if text.isascii() and text.isdigit() and 1 <= int(text) <= most:
        return int(text)
    problems.append(f"{name} must be a number from 1 to {most}, such as {default}.")
    return default
