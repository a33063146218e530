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
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

GO = b"go"
LIMIT = 1 << 20
"""Bytes that a claim may have; a packet is whole or not there."""

READ_AT_START = (
    "AIOHTTP_",
    "ANDROID_DATA",
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
    "PROMETHEUS_",
    "PROPCACHE_",
    "PSUTIL_",
    "PYTHON",
    "PYZMQ_",
    "SSLKEYLOGFILE",
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
    try:
        told = json.loads(packet)
        wanted = str(told["version"])
        found = Claim(
            start=str(told["start"]),
            command=tuple(map(str, told["command"])),
            environ={str(name): str(value) for name, value in told["environ"].items()},
            cwd=str(told["cwd"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClaimError("malformed") from error
    if not found.command:
        raise ClaimError("malformed")
    if wanted != version:
        raise ClaimError("version")
    if differing(found.environ, own):
        raise ClaimError("variables")
    return found


def differing(wanted: Mapping[str, str], own: Mapping[str, str]) -> list[str]:
    """Names of variables that are read at the start and not the same in both."""
    names = {name for name in {*wanted, *own} if name.startswith(READ_AT_START)}
    return sorted(name for name in names if wanted.get(name) != own.get(name))
