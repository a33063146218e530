"""What somebody asks for, from the body of a request to the rules' request. Rules only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from madang_hub.accelerators.leases import Request
from madang_hub.accelerators.reserving import Need
from madang_hub.accelerators.slots import Slot
from madang_hub.catalog import Environment
from madang_hub.people.sentences import Sentence, Value
from madang_hub.web.i18n import N_

FIELDS = frozenset(
    {"team", "kind", "model", "memory", "count", "shared", "minutes", "environment", "size"},
)
MOST_MINUTES = 10**6
NOT_UNDERSTOOD = N_("The request is not understood.")


class WishError(ValueError):
    """This cannot be asked for; ``sentence`` says why, for its person, and ``status`` is HTTP's."""

    def __init__(self, message: str, status: int = 400, **values: Value) -> None:
        self.sentence = Sentence(message, values)
        self.status = status
        super().__init__(str(self.sentence))


def wish_of(body: Mapping[str, Any], person: str, teams: Collection[str]) -> Request:
    """The request of ``person``, who is in ``teams``.

    ``body`` is straight from the network: ``kind`` and ``minutes``; where wanted ``team`` (not needed by
    somebody in one team), ``model``, ``memory`` (bytes, the least of each), ``count``, ``shared`` (a part of
    one that is shared in the team is enough), and ``environment`` with ``size``: the server that is to be
    started when it is this person's turn.

    Raises:
        WishError: it is not understood, or the team is not this person's.
    """
    if unknown := sorted(str(name)[:40] for name in body if name not in FIELDS):
        raise WishError(N_("Unknown word in the request: {name}."), name=unknown[0])
    environment, size = text_of(body, "environment"), text_of(body, "size")
    if size and not environment:
        raise WishError(N_("Choose an environment and a size."))
    kind = text_of(body, "kind")
    if not kind:
        raise WishError(N_("Say which kind of accelerator you want."))
    shared = body.get("shared", False)
    if not isinstance(shared, bool):
        raise WishError(NOT_UNDERSTOOD)
    return Request(
        person=person,
        team=_team(text_of(body, "team"), teams),
        kind=kind,
        seconds=60 * _number(body, "minutes", MOST_MINUTES),
        model=text_of(body, "model"),
        memory=_number(body, "memory", 2**60) if "memory" in body else 0,
        count=_number(body, "count", 10**4) if "count" in body else 1,
        shared=shared,
        environment=environment,
        size=size,
    )


def need_of(body: Mapping[str, Any], by: str, now: int) -> Need:
    """What a class needs: ``team``, ``kind``, ``model`` where wanted, and ``count``; 0: nothing any more.

    Raises:
        WishError: it is not understood.
    """
    if set(body) - {"team", "kind", "model", "count"}:
        raise WishError(NOT_UNDERSTOOD)
    team, kind = text_of(body, "team"), text_of(body, "kind")
    if not team or not kind:
        raise WishError(NOT_UNDERSTOOD)
    none = body.get("count") == 0 and not isinstance(body["count"], bool)
    count = 0 if none else _number(body, "count", 10**4)
    return Need(team, kind, text_of(body, "model"), count, by, now)


def _team(wish: str, teams: Collection[str]) -> str:
    if not teams:
        raise WishError(
            N_(
                "Accelerators are lent to people of a team or class. Ask your mentor or the operator."
            ),
            403,
        )
    if not wish and len(teams) > 1:
        raise WishError(N_("Say for which of your teams: {teams}."), teams=", ".join(sorted(teams)))
    if wish and wish not in teams:
        raise WishError(N_("You are not in the team that you ask for."), 403)
    return wish or next(iter(teams))


def text_of(body: Mapping[str, Any], name: str) -> str:
    """The text ``name`` of a body; empty where there is none.

    Raises:
        WishError: it is no text, or longer than 255 characters.
    """
    value = body.get(name, "")
    if not isinstance(value, str) or len(value) > 255:
        raise WishError(NOT_UNDERSTOOD)
    return value


def _number(body: Mapping[str, Any], name: str, most: int) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= most:
        raise WishError(NOT_UNDERSTOOD)
    return value


def seconds_of(body: Mapping[str, Any]) -> int:
    """The seconds of a body with nothing but ``minutes``.

    Raises:
        WishError: it is not understood.
    """
    if set(body) != {"minutes"}:
        raise WishError(NOT_UNDERSTOOD)
    return 60 * _number(body, "minutes", MOST_MINUTES)


@dataclass(frozen=True)
class RestartWish:
    """The running server is to be stopped and started again; ``environment`` may be empty."""

    environment: str = ""
    size: str = ""

    def over(self, request: Request, running: Mapping[str, Any]) -> Request:
        """``request`` with what is to be started: the first of this wish, the request, and what the server
        that runs was started with (``running``, the Hub's user options) that names an environment."""
        named = (
            (self.environment, self.size),
            (request.environment, request.size),
            (running.get("environment", ""), running.get("size", "")),
        )
        environment, size = next((n for n in named if n[0]), ("", ""))
        if not isinstance(environment, str) or not isinstance(size, str):
            raise WishError(NOT_UNDERSTOOD)
        return replace(request, environment=environment, size=size)


def restart_of(body: Mapping[str, Any]) -> RestartWish | None:
    """What the body of *take* says about the server that runs; None: leave it alone.

    Raises:
        WishError: it is not understood.
    """
    restart = body.get("restart", False)
    if set(body) - {"restart", "environment", "size"} or not isinstance(restart, bool):
        raise WishError(NOT_UNDERSTOOD)
    environment, size = text_of(body, "environment"), text_of(body, "size")
    if (environment and not restart) or (size and not environment):
        raise WishError(NOT_UNDERSTOOD)
    return RestartWish(environment, size) if restart else None


def check_there(request: Request, slots: Iterable[Slot]) -> None:
    """Whether this machine could ever serve ``request``; ill slots may be well again, drained ones come back.

    Raises:
        WishError: it could not, so nobody should wait for it.
    """
    known = list(slots)
    found = fitting(request, known)
    if request.shared and not found and fitting(replace(request, shared=False), known):
        raise WishError(N_("Such accelerators are not shared here. Ask for a whole one."), 404)
    most = max(Counter((s.model, s.memory, s.shares) for s in found).values(), default=0)
    if not most:
        raise WishError(N_("There is no such accelerator here."), 404)
    if request.count > most:
        raise WishError(
            N_("There are not so many of one model here; ask for at most {most}."), most=most
        )


def fitting(request: Request, slots: Iterable[Slot]) -> list[Slot]:
    """The slots that could serve ``request``, as they are on a good day."""
    return [
        s
        for s in slots
        if s.kind == request.kind
        and s.memory >= request.memory
        and request.model in ("", s.model)
        and (s.shares > 1 or not request.shared)
    ]


def parts_of(request: Request, slots: Iterable[Slot]) -> int:
    """Of how many parts of a slot the largest is one that ``request`` may get; 1: it wants whole ones."""
    if not request.shared:
        return 1
    return min((s.shares for s in fitting(request, slots)), default=1)


def check_environment(request: Request, environment: Environment) -> None:
    """Whether the server that is to be started can use what is asked for.

    Raises:
        WishError: it cannot.
    """
    if request.kind not in environment.accelerators:
        raise WishError(
            N_("The environment {name} cannot use this kind of accelerator. Choose another."),
            name=environment.title,
        )
