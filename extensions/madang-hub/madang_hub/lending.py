"""What is lent to a person whose server is being started: asked of the broker of accelerators.

A start never waits long for the broker, and goes on without an accelerator when it is away: most people
need none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

SECONDS = 5.0
"""Until a broker that does not answer counts as away."""
NVIDIA = "nvidia.com/"


class BrokerAwayError(RuntimeError):
    """The broker does not answer, or not sensibly; the message is for the log."""


class NotUsableError(RuntimeError):
    """What is lent cannot be used now; the message is the broker's sentence, in the language asked for."""


@dataclass(frozen=True)
class Lent:
    """What a server is to get.

    Attributes:
        lease: the lease's id; empty without one.
        slots: ids of its slots.
        devices: full CDI names of their devices.
        kinds: the kinds of accelerator that are lent on this machine at all.
    """

    lease: str = ""
    slots: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Vacancy:
    """A slot of an accelerator for which a server may wait.

    Attributes:
        slot: its id.
        kind: its CDI vendor and class.
        devices: full CDI names of its devices.
        kept: it is kept for a lease, whose server alone may get one that waits.
        environment, size: of that server; empty where nobody said so yet.
    """

    slot: str
    kind: str
    devices: tuple[str, ...]
    kept: bool = False
    environment: str = ""
    size: str = ""


def lent_from(status: int, body: Any) -> Lent:
    """The broker's answer, understood.

    Raises:
        NotUsableError: there is a lease, but what it lends does not work now.
        BrokerAwayError: it is none of the answers that the broker gives.
    """
    if isinstance(body, Mapping):
        if status == 409:
            raise NotUsableError(str(body.get("message", "")))
        lease = body.get("lease", "")
        if status == 200 and (lease is None or (isinstance(lease, str) and lease)):
            slots, devices = _texts(body, "slots"), _texts(body, "devices")
            return Lent(lease or "", slots, devices, _texts(body, "kinds"))
    raise BrokerAwayError(f"it answers {status}")


def vacancies_from(status: int, body: Any) -> tuple[Vacancy, ...]:
    """The broker's answer, understood.

    Raises:
        BrokerAwayError: it is none of the answers that the broker gives.
    """
    if status != 200 or not isinstance(body, Mapping) or not isinstance(body.get("slots"), list):
        raise BrokerAwayError(f"it answers {status}")
    return tuple(map(_vacancy, body["slots"]))


def _vacancy(row: Any) -> Vacancy:
    if not isinstance(row, Mapping):
        raise BrokerAwayError("its answer has no slot")
    slot, kind, environment, size = (
        row.get(name) for name in ("slot", "kind", "environment", "size")
    )
    if not (
        isinstance(slot, str)
        and isinstance(kind, str)
        and isinstance(environment, str)
        and isinstance(size, str)
        and isinstance(row.get("kept"), bool)
    ):
        raise BrokerAwayError("its answer has no slot")
    return Vacancy(slot, kind, _texts(row, "devices"), row["kept"], environment, size)


def _texts(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = body.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise BrokerAwayError(f"its answer has no list {name}")
    return tuple(values)


async def ask(url: str, token: str, person: str, language: str, seconds: float = SECONDS) -> Lent:
    """What is lent to ``person``; ``url`` is the broker's own address, ``token`` that of what starts servers.

    Raises:
        NotUsableError: see :func:`lent_from`.
        BrokerAwayError: no sensible answer within ``seconds``.
    """
    path = f"devices/{quote(person, safe='')}"
    return lent_from(*await _answer(url, path, token, language, seconds))


async def vacant(url: str, token: str, seconds: float = SECONDS) -> tuple[Vacancy, ...]:
    """The slots for which a server may wait now; ``url`` and ``token`` as for :func:`ask`.

    Raises:
        BrokerAwayError: no sensible answer within ``seconds``, or the broker itself does not know.
    """
    return vacancies_from(*await _answer(url, "vacant", token, "en", seconds))


async def _answer(
    url: str, path: str, token: str, language: str, seconds: float
) -> tuple[int, Any]:
    """Status and JSON of what the broker says.

    Raises:
        BrokerAwayError: no answer within ``seconds``, or no JSON.
    """
    headers = {"Authorization": f"token {token}", "Accept-Language": language}
    target = f"{url}/services/accelerators/api/{path}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session,
            session.get(target, headers=headers, allow_redirects=False) as reply,
        ):
            status, text = reply.status, await reply.text()
            return status, json.loads(text)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise BrokerAwayError(error.__class__.__name__) from error
    except ValueError as error:
        raise BrokerAwayError(f"it answers {status}, and no JSON") from error


def cuda_visible(lent: Lent) -> str | None:
    """CUDA's own list of devices for a process that sees all of the machine; None: leave it alone.

    A courtesy between processes of one account and no border: whoever has a lease begins with its devices
    alone, whoever has none with none, so that nobody takes by accident what is lent to somebody else.
    """
    if not any(kind.startswith(NVIDIA) for kind in lent.kinds):
        return None
    return ",".join(slot for slot in lent.slots if slot.startswith(("GPU-", "MIG-")))
