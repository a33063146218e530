"""What the broker answers to who starts a server, and that nobody waits for a broker that is away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from madang_hub.lending import (
    BrokerAwayError,
    Lent,
    NotUsableError,
    Vacancy,
    ask,
    cuda_visible,
    lent_from,
    vacancies_from,
    vacant,
)

LEASE = {"lease": "a" * 32, "slots": ["GPU-1234"], "devices": ["nvidia.com/gpu=GPU-1234"]}
GPU = ("nvidia.com/gpu",)
NOTHING = b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"lease": null}'
"""The broker's answer when nothing is lent."""


def test_a_lease() -> None:
    found = lent_from(200, {**LEASE, "kinds": [*GPU]})
    assert found == Lent("a" * 32, ("GPU-1234",), ("nvidia.com/gpu=GPU-1234",), GPU)


def test_nothing_is_lent() -> None:
    answer = {"lease": None, "slots": [], "devices": [], "kinds": [*GPU]}
    assert lent_from(200, answer) == Lent(kinds=GPU)


def test_what_does_not_work_is_said_in_the_brokers_words() -> None:
    with pytest.raises(NotUsableError, match=r"^It is ill$"):
        lent_from(409, {"message": "It is ill"})


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {}),
        (200, {"lease": ""}),
        (200, {**LEASE, "devices": "nvidia.com/gpu=all"}),
        (200, {**LEASE, "slots": [1]}),
        (200, []),
        (302, {}),
        (403, {"message": "no"}),
        (500, {"lease": None}),
        (404, None),
        (404, {"message": "nothing here"}),
        (200, {"lease": None, "slots": None}),
        (502, {"message": "the Hub is away"}),
    ],
)
def test_any_other_answer_is_none(status: int, body: Any) -> None:
    with pytest.raises(BrokerAwayError):
        lent_from(status, body)


@pytest.mark.parametrize(
    ("lent", "visible"),
    [
        (Lent(), None),
        (Lent(kinds=("rebellions.ai/npu",)), None),
        (Lent(kinds=GPU), ""),
        (Lent("x", ("GPU-1", "MIG-2"), (), GPU), "GPU-1,MIG-2"),
        (Lent("x", ("rebellions.ai/npu=0",), (), (*GPU, "rebellions.ai/npu")), ""),
    ],
)
def test_what_cuda_is_told(lent: Lent, visible: str | None) -> None:
    assert cuda_visible(lent) == visible


def answered_with(*replies: bytes) -> Lent:
    """Ask a broker that says one reply after another, and then takes a question and says nothing."""
    left = iter(replies)

    async def asked() -> Lent:
        over = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"GET /services/accelerators/api/devices/%EA%B9%80%2Fa HTTP/1.1")
            assert b"Authorization: token secret\r\n" in head
            if (reply := next(left, None)) is None:
                await over.wait()
            else:
                writer.write(reply)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            async with asyncio.timeout(20):
                return await ask(f"http://127.0.0.1:{port}", "secret", "김/a", "ko", 0.5)
        finally:
            over.set()
            server.close()

    return asyncio.run(asked())


def test_a_broker_that_answers() -> None:
    assert answered_with(NOTHING) == Lent()


@pytest.mark.parametrize(
    "replies",
    [
        [],
        [b""],
        [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"],
        # the token goes nowhere else
        [
            b"HTTP/1.1 307 Temporary Redirect\r\nConnection: close\r\nLocation: %EA%B9%80%2Fa\r\n\r\n{}",
            NOTHING,
        ],
    ],
)
def test_a_broker_that_does_not(replies: list[bytes]) -> None:
    with pytest.raises(BrokerAwayError):
        answered_with(*replies)


def test_a_broker_that_is_not_there() -> None:
    with pytest.raises(BrokerAwayError, match="ClientConnectorError"):
        asyncio.run(ask("http://127.0.0.1:1", "secret", "kim", "ko"))


SLOT = {
    "slot": "GPU-1234",
    "kind": "nvidia.com/gpu",
    "devices": ["nvidia.com/gpu=GPU-1234"],
    "kept": False,
    "environment": "",
    "size": "",
}


def test_for_which_slots_a_server_may_wait() -> None:
    kept = {**SLOT, "slot": "GPU-2", "kept": True, "environment": "torch", "size": "small"}
    devices = ("nvidia.com/gpu=GPU-1234",)
    assert vacancies_from(200, {"slots": [SLOT, kept]}) == (
        Vacancy("GPU-1234", *GPU, devices),
        Vacancy("GPU-2", *GPU, devices, kept=True, environment="torch", size="small"),
    )
    assert vacancies_from(200, {"slots": []}) == ()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, []),
        (200, {}),
        (200, {"slots": None}),
        (200, {"slots": ["GPU-1234"]}),
        *((200, {"slots": [{k: v for k, v in SLOT.items() if k != name}]}) for name in SLOT
          if name != "devices"),
        *((200, {"slots": [{**SLOT, name: 7}]}) for name in SLOT),
        (403, {"slots": []}),
        (502, {"message": "nobody says what runs"}),
    ],
)  # fmt: skip
def test_who_says_anything_else_says_nothing_about_slots(status: int, body: Any) -> None:
    with pytest.raises(BrokerAwayError):
        vacancies_from(status, body)


def test_a_broker_that_is_not_there_says_nothing_about_slots() -> None:
    with pytest.raises(BrokerAwayError, match="ClientConnectorError"):
        asyncio.run(vacant("http://127.0.0.1:1", "secret"))
