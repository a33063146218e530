"""What is known of the container engine, and how Madang runs because of it."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

from madang_hub.places import Mode

OLDEST_ENGINE = (24, 0)
OLDEST_API = "1.24"
"""Spoken by every engine still in use, so that an old one can be asked for its version."""
DEFAULT_SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True)
class EngineFacts:
    """What the engine says of itself. ``trouble`` names why it cannot be used, empty when it can."""

    socket: str
    version: str = ""
    compose: str = ""
    trouble: str = ""


class ModeError(RuntimeError):
    """The wanted mode is not possible here; the message says why and what to do."""


def decide(wanted: str, facts: EngineFacts, made_in: Mode | None = None) -> tuple[Mode, str]:
    """The mode to run in and, in one sentence, why.

    Each mode has a database of its own. So what is there already decides before what would be possible: an
    engine that is away for a moment must not show people an empty Madang.

    Args:
        wanted: the setting ``MADANG_MODE``.
        made_in: the mode that the data folder was made in (`Places.made_in`); None for a new one.

    Raises:
        ModeError: server mode is wanted, or the data are its own, or an engine is there, but the engine
            cannot serve.
    """
    if wanted == "embedded":
        return "embedded", "the setting MADANG_MODE asks for it"
    if wanted == "auto" and made_in == "embedded":
        new = "; MADANG_MODE=server begins anew with accounts of its own" if facts.version else ""
        return "embedded", f"the accounts and runs in the data folder are of this mode{new}"
    if facts.version and facts.trouble:
        raise ModeError(
            f"A container engine is there, but {facts.trouble}. "
            "(MADANG_MODE=embedded runs Madang without it.)"
        )
    if facts.version:
        return "server", f"Docker Engine {facts.version} answers at {facts.socket}"
    if wanted == "server":
        raise ModeError(f"MADANG_MODE asks for server mode, but {facts.trouble}.")
    if made_in == "server":
        raise ModeError(
            f"The accounts and runs in the data folder are of server mode, but {facts.trouble}. Start the "
            "engine, or set DOCKER_HOST to where it listens. (MADANG_MODE=embedded begins anew, with "
            "accounts of its own.)"
        )
    return "embedded", facts.trouble


def look(environ: Mapping[str, str] = os.environ) -> EngineFacts:
    """Ask the engine at ``DOCKER_HOST`` (or the usual socket) and the Compose plug-in for versions."""
    host = environ.get("DOCKER_HOST", f"unix://{DEFAULT_SOCKET}")
    if not host.startswith("unix://"):
        return EngineFacts(
            host,
            trouble=f"DOCKER_HOST is {host}: Madang needs an engine on this machine (unix://…)",
        )
    path = host.removeprefix("unix://")
    try:
        _reach(path)
        with closing(docker.APIClient(base_url=host, version=OLDEST_API, timeout=10)) as client:
            version = str(client.version(api_version=False)["Version"])
    except PermissionError:
        return EngineFacts(
            path,
            trouble=f"this account may not use the engine's socket {path} "
            "(add it to the group 'docker' and sign in again)",
        )
    except (OSError, DockerException, RequestException):
        return EngineFacts(path, trouble=f"no container engine answers at {path}")
    trouble = ""
    if tuple(int(n) for n in version.split("-")[0].split(".")[:2]) < OLDEST_ENGINE:
        trouble = (
            f"it is {version} and Madang needs {'.'.join(map(str, OLDEST_ENGINE))} or newer "
            "(install a current docker-ce, or Debian 13's docker.io)"
        )
    try:
        done = subprocess.run(
            ["docker", "compose", "version", "--short"],
            capture_output=True,
            text=True,
            timeout=20,
            env=dict(environ),
            check=False,
        )
        compose = done.stdout.strip() if done.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        compose = ""
    if not compose and not trouble:
        trouble = "'docker compose' does not work (install docker-compose-plugin, or Debian's docker-compose)"
    return EngineFacts(path, version, compose, trouble)


def _reach(path: str) -> None:
    """docker-py leaves a socket open when it cannot connect, and wraps the cause twice.

    Raises:
        OSError: nobody listens at ``path``.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(10)
        probe.connect(path)


def cdi_folders(facts: EngineFacts) -> tuple[Path, ...] | None:
    """Where the engine looks for CDI specifications, in rising priority.

    Empty where it names none (CDI is switched off, or the engine is older than 25); None where there is no
    engine to ask.
    """
    if not facts.version:
        return None
    try:
        _reach(facts.socket)
        with closing(docker.APIClient(base_url=f"unix://{facts.socket}", timeout=10)) as client:
            named = client.info().get("CDISpecDirs")
    except (OSError, DockerException, RequestException):
        return None
    return tuple(Path(folder) for folder in named or ())
