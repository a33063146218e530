"""Who a token belongs to: the Hub's answer, and how long it may be believed.

The rules (`look_up`, `while_unreachable`) are pure and take `now`; `Directory` is the adapter
that asks the Hub and keeps the answers.

Words: an *answer* is what the Hub said about a token, an `Identity` or None ("the Hub said no").
Answers are kept by the token's SHA-256, never by the token.
"""

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

log = logging.getLogger("madang.tracking")

#: What a Hub token may look like. Anything else is refused without asking the Hub, so that a
#: header which no HTTP client can send on cannot look like an unreachable Hub.
TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}\Z", re.ASCII)

#: The scope of those who may read everybody's workspace (`madang_hub.permissions` gives it to admins).
READS_ALL = "custom:mlflow:admin"


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller the Hub vouched for.

    Attributes:
        name: the Hub's user name.
        kind: ``user`` or ``service``.
        may_enter: holds the scope that opens this service.
        groups: the person's groups at the Hub.
        reads_all: holds the scope `READS_ALL`.
    """

    name: str
    kind: str
    may_enter: bool
    groups: frozenset[str] = frozenset()
    reads_all: bool = False


@dataclass(frozen=True, slots=True)
class Times:
    """How long answers are believed, in seconds.

    Attributes:
        fresh: a yes, before the Hub is asked again.
        negative: a no, before the Hub is asked again.
        stale: a yes, counted from when it was given, while the Hub cannot be reached.
        timeout: how long one question to the Hub may take.
        breaker: after a failed question, how long no further one is put.
    """

    fresh: float = 60.0
    negative: float = 10.0
    stale: float = 600.0
    timeout: float = 2.0
    breaker: float = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the Hub said, and when (monotonic seconds)."""

    identity: Identity | None
    at: float


class Unsure(Enum):
    """The two ways in which there is no identity."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"


Verdict = Identity | Unsure


def _verdict(answer: Answer) -> Verdict:
    return Unsure.REFUSED if answer.identity is None else answer.identity


def look_up(answer: Answer | None, now: float, times: Times) -> Verdict | None:
    """The verdict from what is remembered, or None when the Hub must be asked."""
    if answer is None:
        return None
    limit = times.negative if answer.identity is None else times.fresh
    return _verdict(answer) if now - answer.at < limit else None


def while_unreachable(answer: Answer | None, now: float, times: Times) -> Verdict:
    """The verdict when the Hub had to be asked and could not be.

    A yes is good for `Times.stale`. An old no is not repeated: the caller hears "try again",
    and is never let in by it.
    """
    if answer is not None and answer.identity is not None and now - answer.at < times.stale:
        return answer.identity
    return Unsure.UNREACHABLE


class HubUnreachableError(Exception):
    """The Hub did not answer, or answered with a failure of its own."""


#: Asks the Hub for the model of a token's owner; None when the Hub does not know the token.
Ask = Callable[[str], Awaitable[Mapping[str, Any] | None]]
#: Whether a set of scopes opens this service.
MayEnter = Callable[[frozenset[str]], bool]


class CodeRefusedError(Exception):
    """The Hub did not accept an OAuth code: it is wrong, used, or another browser's."""


class Directory:
    """Tokens to identities, asking the Hub at most once at a time for each token.

    A yes and a no are kept apart, so that a flood of made-up tokens cannot push out the
    answers that keep people working while the Hub is away.
    """

    def __init__(
        self,
        ask: Ask,
        may_enter: MayEnter,
        times: Times,
        *,
        clock: Callable[[], float] = time.monotonic,
        size: int = 10_000,
    ) -> None:
        self._ask = ask
        self._may_enter = may_enter
        self._times = times
        self._clock = clock
        self._size = size
        self._yes: dict[bytes, Answer] = {}
        self._no: dict[bytes, Answer] = {}
        self._asking: dict[bytes, asyncio.Task[Verdict]] = {}
        self._closed_until = float("-inf")

    async def identify(self, token: str) -> Verdict:
        """The owner of a token, `Unsure.REFUSED`, or `Unsure.UNREACHABLE`. Never raises."""
        if not TOKEN.match(token):
            return Unsure.REFUSED
        key = hashlib.sha256(token.encode()).digest()
        known = self._known(key)
        verdict = look_up(known, self._clock(), self._times)
        if verdict is not None:
            return verdict
        task = self._asking.get(key)
        if task is None:
            if self._clock() < self._closed_until:
                return while_unreachable(known, self._clock(), self._times)
            task = asyncio.create_task(self._question(key, token))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        # A caller who hangs up must not take the answer away from the others who wait for it.
        return await asyncio.shield(task)

    def _known(self, key: bytes) -> Answer | None:
        return self._yes.get(key) or self._no.get(key)

    async def _question(self, key: bytes, token: str) -> Verdict:
        try:
            async with asyncio.timeout(self._times.timeout):
                model = await self._ask(token)
            identity = None if model is None else self._read(model)
        except (HubUnreachableError, TimeoutError) as error:
            self._closed_until = self._clock() + self._times.breaker
            log.warning("The Hub could not be asked about a token: %s", error or "it timed out")
            return while_unreachable(self._known(key), self._clock(), self._times)
        answer = Answer(identity, self._clock())
        self._remember(key, answer)
        return _verdict(answer)

    def _remember(self, key: bytes, answer: Answer) -> None:
        self._yes.pop(key, None)
        self._no.pop(key, None)
        kept = self._no if answer.identity is None else self._yes
        kept[key] = answer
        if len(kept) > self._size:
            # dicts keep their order and answers are put in anew, so the first one is the oldest
            del kept[next(iter(kept))]

    def _read(self, model: Mapping[str, Any]) -> Identity:
        try:
            name, kind, scopes = model["name"], model["kind"], frozenset(model["scopes"])
            groups = frozenset(map(str, model.get("groups") or ()))  # none known: no team's rights
        except (KeyError, TypeError) as error:
            raise HubUnreachableError(f"its answer lacks {error}") from error
        may_enter = kind == "user" and self._may_enter(scopes)
        return Identity(str(name), str(kind), may_enter, groups, may_enter and READS_ALL in scopes)
