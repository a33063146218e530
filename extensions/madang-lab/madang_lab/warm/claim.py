"""What a claim says, and whether a warm server may take it: rules only.

A claim is one JSON object in one packet, with three open files beside it (stdin, stdout and stderr):

=========== ==========================================================================
``version`` the version of the environment that the person is to get, as the Hub knows it
``start``   path of the start script (``madang-start``)
``command`` the server's program and its arguments
``environ`` all its variables
``cwd``     its working directory
=========== ==========================================================================

The answer is ``{"pid": …}`` or ``{"refused": "<why>"}``. The server goes on only after the word :data:`GO`,
so that a claim that the Hub gave up never leaves a second server behind. ``{"status": …}`` follows when the
server has ended: its exit status, negative for a signal, as :class:`subprocess.Popen` has it.

A claim of a container has ``command`` and ``environ`` only: what differs from the variables that its image, its
name and so on gave it already. The answer is ``{"taken": 1}`` or ``{"refused": "<why>"}``. Then it prepares,
and goes on after the word :data:`GO` too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

GO = b"go"
LIMIT = 1 << 20
"""Bytes that a claim may have; a packet is whole or not there."""

READ_AT_START = (
    "AIOHTTP_",
    "ANDROID_DATA",
    "CRYPTOGRAPHY_",
    "FROZENLIST_",
    "GATEWAY_",
    "GLIBC_TUNABLES",
    "IN_SPHINX_RUN",
    "IPYTHON_",
    "IPY_TEST",
    "JUPYTERHUB_METRICS_",
    "JUPYTERHUB_SERVER_SPAWN_",
    "JUPYTERHUB_SERVER_STOP_",
    "JUPYTERHUB_XSRF_",
    "JUPYTER_ALLOW_INSECURE",
    "JUPYTER_GATEWAY_",
    "KERNEL_LAUNCH_TIMEOUT",
    "LANG",
    "LC_",
    "LD_",
    "MALLOC_",
    "MULTIDICT_",
    "OPENSSL_",
    "PROMETHEUS_",
    "PROPCACHE_",
    "PSUTIL_",
    "PYTHON",
    "PYZMQ_",
    "SSLKEYLOGFILE",
    "SSL_CERT_",
    "TERM",
    "TORNADO_",
    "TRAITLETS_",
    "TZ",
    "YARL_",
    "_PYTHON_",
    "prometheus_",
)
"""How the names of variables begin that Python, the C library or a module reads when it starts or is imported.

In a warm server that has happened before the claim, so these must be as the parent got them.
"""


class ClaimError(ValueError):
    """This claim cannot be taken; the message says why."""


@dataclass(frozen=True)
class Claim:
    """What the server becomes."""

    start: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    cwd: str


def read(packet: bytes, version: str, own: Mapping[str, str]) -> Claim:
    """The claim in ``packet``, for a parent of ``version`` that was started with the variables ``own``.

    Raises:
        ClaimError: it is no claim, is for another version, or needs other variables at the start.
    """
    with _understood():
        told = json.loads(packet)
        wanted = str(told["version"])
        start, cwd = _texts(told["start"], told["cwd"])
        found = Claim(start, _command(told), _environ(told), cwd)
    if wanted != version:
        raise ClaimError("version")
    return _fitting(found, own)


def read_in_container(packet: bytes, own: Mapping[str, str], start: str, cwd: str) -> Claim:
    """The claim in ``packet`` for a container that was started with the variables ``own``.

    ``start`` and ``cwd``: its start script, and the folder that it was started in.

    Raises:
        ClaimError: it is no claim, or needs other variables at the start.
    """
    with _understood():
        told = json.loads(packet)
        found = Claim(start, _command(told), {**own, **_environ(told)}, cwd)
    return _fitting(found, own)


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ClaimError("malformed") from error


def _fitting(claim: Claim, own: Mapping[str, str]) -> Claim:
    if differing(claim.environ, own):
        raise ClaimError("variables")
    return claim


def _texts(*given: Any) -> tuple[str, ...]:
    """What the system takes as arguments, paths and variables."""
    if None in given:
        raise ValueError("nothing is no text")
    texts = tuple(map(str, given))
    for text in texts:
        if "\0" in text:
            raise ValueError("a text of the system has no zero byte")
        text.encode("utf-8", "surrogateescape")
    return texts


def _command(told: dict[str, Any]) -> tuple[str, ...]:
    if not isinstance(told["command"], list) or not told["command"]:
        raise ValueError("a command is a program and its arguments")
    return _texts(*told["command"])


def _environ(told: dict[str, Any]) -> dict[str, str]:
    names, values = _texts(*told["environ"]), _texts(*told["environ"].values())
    if any(not name or "=" in name for name in names):
        raise ValueError("no name of a variable")
    return dict(zip(names, values, strict=True))


def differing(wanted: Mapping[str, str], own: Mapping[str, str]) -> list[str]:
    """Names of variables that are read at the start and not the same in both."""
    names = {name for name in {*wanted, *own} if name.startswith(READ_AT_START)}
    return sorted(name for name in names if wanted.get(name) != own.get(name))
