"""Containers of which the Hub knows nothing: removed after two looks, and only where it could know of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import pytest
from requests import ReadTimeout

from madang_hub.isolation.forgotten import Forgotten
from madang_hub.isolation.pool import NetworkPool

PREFIX = "madang-user-"


def row(name: str, index: int) -> dict[str, Any]:
    return {"Id": f"id of {name}", "Names": [f"/{name}"], "Labels": {"madang.network": str(index)}}


class Networks:
    """What an engine has."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = list(rows)
        self.dropped: list[tuple[str, int]] = []

    async def containers(self) -> list[dict[str, Any]]:
        return self.rows

    async def clear(self, container: str, index: int) -> None:
        self.dropped.append((container, index))
        self.rows = [row for row in self.rows if row["Id"] != container]


class World:
    def __init__(self, networks: Networks, known: Collection[str] | None) -> None:
        self.networks, self.known = networks, known
        self.looks = Forgotten(cast(NetworkPool, networks), PREFIX, self._known)

    async def _known(self) -> Collection[str] | None:
        return self.known


@pytest.fixture
def world() -> World:
    rows = [row("madang-user-kim", 1), row("madang-user-lee", 2), row("madang-warm-1", 3)]
    return World(Networks(*rows), {"madang-user-kim"})


async def test_what_two_looks_find_unknown_is_removed_with_its_network(world: World) -> None:
    await world.looks.look()
    assert world.networks.dropped == []
    await world.looks.look()
    assert world.networks.dropped == [("id of madang-user-lee", 2)]
    for _ in range(3):
        await world.looks.look()
    assert world.networks.dropped == [("id of madang-user-lee", 2)]


async def test_one_that_cannot_be_removed_keeps_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.known = set()
    clear = world.networks.clear

    async def stuck(container: str, index: int) -> None:
        if index == 1:
            raise ReadTimeout
        await clear(container, index)

    monkeypatch.setattr(world.networks, "clear", stuck)
    for _ in range(2):
        await world.looks.look()
    assert world.networks.dropped == [("id of madang-user-lee", 2)]
    monkeypatch.undo()
    await world.looks.look()
    assert world.networks.dropped[1:] == [("id of madang-user-kim", 1)]


async def test_what_is_known_at_the_second_look_stays(world: World) -> None:
    await world.looks.look()
    world.known = {"madang-user-kim", "madang-user-lee"}
    for _ in range(3):
        await world.looks.look()
    assert world.networks.dropped == []


async def test_a_hub_that_cannot_say_what_it_has_removes_nothing(world: World) -> None:
    world.known = None
    for _ in range(3):
        await world.looks.look()
    assert world.networks.dropped == []
    # and what was unknown before that counts anew
    world.known = ["madang-user-kim"]
    await world.looks.look()
    world.known = None
    await world.looks.look()
    world.known = ["madang-user-kim"]
    await world.looks.look()
    assert world.networks.dropped == []


async def test_what_waits_or_has_no_name_is_not_a_persons(world: World) -> None:
    world.networks.rows = [row("madang-warm-1", 3), {"Id": "1", "Names": None, "Labels": {}}]
    for _ in range(3):
        await world.looks.look()
    assert world.networks.dropped == []
