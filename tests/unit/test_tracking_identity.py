"""How long the Hub's answers are believed."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_mlflow.identity import (
    READS_ALL,
    Answer,
    Directory,
    HubUnreachableError,
    Identity,
    Times,
    Unsure,
    look_up,
    while_unreachable,
)

ANN = Identity("ann", "user", may_enter=True)
TIMES = Times(fresh=60, negative=10, stale=600, timeout=1, breaker=10)


def test_fresh_answers_are_believed() -> None:
    assert look_up(None, 0, TIMES) is None
    assert look_up(Answer(ANN, 0), 59.9, TIMES) == ANN
    assert look_up(Answer(ANN, 0), 60, TIMES) is None
    assert look_up(Answer(None, 0), 9.9, TIMES) is Unsure.REFUSED
    assert look_up(Answer(None, 0), 10, TIMES) is None


def test_while_the_hub_is_away_only_a_yes_is_good() -> None:
    assert while_unreachable(Answer(ANN, 0), 599, TIMES) == ANN
    assert while_unreachable(Answer(ANN, 0), 600, TIMES) is Unsure.UNREACHABLE
    assert while_unreachable(Answer(None, 0), 11, TIMES) is Unsure.UNREACHABLE
    assert while_unreachable(None, 0, TIMES) is Unsure.UNREACHABLE


class FakeHub:
    """Says what it is told to; counts how often it is asked."""

    def __init__(self) -> None:
        self.now = 0.0
        self.known = {"good": {"name": "ann", "kind": "user", "scopes": ["enter"]}}
        self.away = False
        self.asked = 0
        self.gate: asyncio.Event | None = None

    async def owner(self, token: str) -> Mapping[str, Any] | None:
        self.asked += 1
        if self.gate:
            await self.gate.wait()
        if self.away:
            raise HubUnreachableError("away")
        return self.known.get(token)

    def directory(self, **kwargs: Any) -> Directory:
        return Directory(
            self.owner, lambda scopes: "enter" in scopes, TIMES, clock=lambda: self.now, **kwargs
        )


async def test_a_revoked_token_never_revives() -> None:
    hub = FakeHub()
    directory = hub.directory()
    assert await directory.identify("good") == ANN
    model = hub.known.pop("good")
    hub.now = 60
    assert await directory.identify("good") is Unsure.REFUSED
    hub.away = True
    for hub.now in (61.0, 75.0, 300.0, 599.0):
        assert not isinstance(await directory.identify("good"), Identity)
    hub.away, hub.known["other"], hub.now = False, model, 700
    assert await directory.identify("good") is Unsure.REFUSED


async def test_the_hub_is_asked_once_for_many_and_not_again_when_it_failed() -> None:
    hub = FakeHub()
    directory = hub.directory()
    hub.gate = asyncio.Event()
    waiting = [asyncio.create_task(directory.identify("good")) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting[0].cancel()  # one caller hangs up
    hub.gate.set()
    assert set(await asyncio.gather(*waiting[1:])) == {ANN}
    assert hub.asked == 1
    hub.away = True
    assert await directory.identify("new") is Unsure.UNREACHABLE
    assert await directory.identify("newer") is Unsure.UNREACHABLE
    assert hub.asked == 2
    hub.now, hub.away = 10, False
    assert await directory.identify("good") == ANN
    assert await directory.identify("new") is Unsure.REFUSED


async def test_a_slow_hub_is_an_unreachable_hub() -> None:
    hub = FakeHub()
    hub.gate = asyncio.Event()
    quick = Times(timeout=0.01)
    directory = Directory(hub.owner, lambda scopes: True, quick, clock=lambda: hub.now)
    assert await directory.identify("good") is Unsure.UNREACHABLE


async def test_made_up_tokens_push_nobody_out() -> None:
    hub = FakeHub()
    directory = hub.directory(size=3)
    assert await directory.identify("good") == ANN
    for number in range(50):
        assert await directory.identify(f"bad{number}") is Unsure.REFUSED
    hub.away, hub.now = True, 100
    assert await directory.identify("good") == ANN


@pytest.mark.parametrize("token", ["", "a b", "a\n", "가", "x" * 513, "a\x00"])
async def test_what_cannot_be_a_token_is_refused_unasked(token: str) -> None:
    hub = FakeHub()
    assert await hub.directory().identify(token) is Unsure.REFUSED
    assert hub.asked == 0


@pytest.mark.parametrize(
    ("model", "enters"),
    [
        ({"name": "ann", "kind": "user", "scopes": ["enter"]}, True),
        ({"name": "ann", "kind": "user", "scopes": []}, False),
        ({"name": "svc", "kind": "service", "scopes": ["enter"]}, False),
        ({"name": "ann", "kind": "user", "scopes": [], "admin": True}, False),
    ],
)
async def test_who_may_enter(model: dict[str, Any], enters: bool) -> None:
    hub = FakeHub()
    hub.known["t"] = model
    identity = await hub.directory().identify("t")
    assert isinstance(identity, Identity)
    assert identity.may_enter is enters


@pytest.mark.parametrize(
    ("scopes", "admin", "reads_all"),
    [
        (["enter", READS_ALL], False, True),
        ([READS_ALL], True, False),  # may not enter at all
        (["enter", f"{READS_ALL}!user=ann"], True, False),
        (["enter", "admin:users", "access:services", "custom:mlflow:read"], True, False),
    ],
)
async def test_who_reads_all_is_said_by_the_scopes_alone(
    scopes: list[str], admin: bool, reads_all: bool
) -> None:
    hub = FakeHub()
    model: dict[str, Any] = {"name": "admin", "kind": "user", "scopes": scopes, "admin": admin}
    hub.known["t"] = model
    identity = await hub.directory().identify("t")
    assert isinstance(identity, Identity)
    assert identity.reads_all is reads_all


@given(
    st.lists(
        st.tuples(st.sampled_from(["yes", "no", "away"]), st.floats(0, 700)),
        min_size=1,
        max_size=12,
    )
)
def test_nobody_is_let_in_without_a_yes_that_is_young_enough(
    history: list[tuple[str, float]],
) -> None:
    async def live() -> None:
        hub = FakeHub()
        directory = hub.directory()
        last_yes: float | None = None
        model = hub.known["good"]
        for state, passed in history:
            hub.now += passed
            hub.away = state == "away"
            hub.known = {"good": model} if state == "yes" else {}
            before = hub.asked
            verdict = await directory.identify("good")
            if hub.asked > before and state != "away":
                last_yes = hub.now if state == "yes" else None
            if isinstance(verdict, Identity):
                assert last_yes is not None
                assert hub.now - last_yes < TIMES.stale

    asyncio.run(live())
