"""Room for files: the rules, the counts that workers share, and the gate's part that applies them."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_mlflow import quota
from madang_mlflow.artifacts import StorageError
from madang_mlflow.exchange import Event, Receive, Request, Send
from madang_mlflow.ledger import Ledger
from madang_mlflow.meter import STEP, USAGE, Meter
from madang_mlflow.quota import Limits, Usage

PUT = "/api/2.0/mlflow-artifacts/artifacts/workspaces/u-ann/1/a.bin"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(str(tmp_path / "usage.sqlite"))
    yield made
    made.close()


# ---- rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "brings"),
    [
        ("PUT", PUT, True),
        ("PUT", PUT.replace("/api", "/ajax-api"), True),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/a\nb", True),
        ("POST", "/ajax-api/2.0/mlflow/upload-artifact", True),
        ("GET", PUT, False),
        ("DELETE", PUT, False),
        ("POST", "/api/2.0/mlflow/runs/log-batch", False),
    ],
)
def test_which_requests_bring_files(method: str, path: str, brings: bool) -> None:
    assert quota.brings_files(method, path) is brings


def test_a_person_and_a_team_have_limits_of_their_own() -> None:
    problems: list[str] = []
    env = {"MADANG_TRACKING_QUOTA_GB": "2.5", "MADANG_TRACKING_TEAM_QUOTA_GB": "20"}
    found = quota.limits(env, problems)
    assert (found.of("u-ann"), found.of("g-crew")) == (2_500_000_000, 20_000_000_000)
    assert quota.limits({}, problems) == Limits(0, 0)
    assert problems == []


@pytest.mark.parametrize("value", ["x", "-1", "nan", "inf", "1e10"])
def test_a_limit_that_is_none_is_named(value: str) -> None:
    problems: list[str] = []
    quota.limits({"MADANG_TRACKING_TEAM_QUOTA_GB": value}, problems)
    assert len(problems) == 1
    assert problems[0].startswith("MADANG_TRACKING_TEAM_QUOTA_GB")


@given(
    st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12)
)
def test_what_fits_never_exceeds(measured: int, added: int, passing: int, size: int) -> None:
    usage, limit = Usage(measured, 0.0, added, passing), 10**12
    if size and quota.fits(usage, size, limit):
        assert measured + added + passing + size <= limit
    assert quota.fits(usage, size, 0)
    assert quota.fits(usage, 0, 1)


def test_when_to_measure() -> None:
    usage = Usage(0, 1000.0)
    assert quota.to_measure(None, 0)
    assert not quota.to_measure(usage, 1000 + quota.GOOD_FOR - 1)
    assert quota.to_measure(usage, 1000 + quota.GOOD_FOR)
    assert not quota.to_measure(usage, 1000 + quota.AGAIN_AFTER - 1, refusing=True)
    assert quota.to_measure(usage, 1000 + quota.AGAIN_AFTER, refusing=True)
    assert quota.to_measure(usage, 999)  # the machine's clock was set back


@pytest.mark.parametrize(
    ("values", "size"),
    [([b"12"], 12), ([], 0), ([b"12", b"13"], 0), ([b"-1"], 0), ([b"1e3"], 0), ([b"9" * 30], 0)],
)
def test_the_length_that_a_request_says(values: list[bytes], size: int) -> None:
    assert quota.length(values) == size


def test_the_sentence_names_both_numbers_in_both_languages() -> None:
    for text in quota.full(Usage(9_800_000_000, 0.0), 10 * quota.GB):
        assert "10.00 GB" in text
        assert "9.80 GB" in text
    assert quota.in_gb(2_000_000) == "2.00 MB"
    assert quota.in_gb(0) == "0.00 GB"


# ---- counts ---------------------------------------------------------------------------------


def test_two_workers_count_together(tmp_path: Path, ledger: Ledger) -> None:
    other = Ledger(str(tmp_path / "usage.sqlite"))
    ledger.measure("u-ann", lambda: 60, 0.0)
    first = ledger.begin("u-ann", 30, 100, 1.0)
    assert first is not None
    assert other.begin("u-ann", 30, 100, 1.0) is None
    assert other.begin("u-ben", 30, 100, 1.0) is None  # not measured yet
    ledger.end(first, "u-ann", 0)  # it failed
    second = other.begin("u-ann", 30, 100, 1.0)
    assert second is not None
    other.end(second, "u-ann", 30)
    assert ledger.usage("u-ann") == Usage(60, 0.0, 30, 0)
    other.close()


def test_what_comes_while_measuring_is_not_lost(ledger: Ledger) -> None:
    ledger.measure("u-ann", lambda: 10, 0.0)
    before = ledger.begin("u-ann", 5, 100, 1.0)
    assert before is not None
    ledger.end(before, "u-ann", 5)
    on_its_way = ledger.begin("u-ann", 7, 100, 1.0)

    def count() -> int:
        during = ledger.begin("u-ann", 3, 100, 2.0)
        assert during is not None
        ledger.end(during, "u-ann", 3)
        return 15

    assert ledger.measure("u-ann", count, 2.0) == Usage(15, 2.0, 3, 7)
    assert on_its_way is not None
    ledger.end(on_its_way, "u-ann", 7)
    assert ledger.measure("u-ann", lambda: 25, 3.0) == Usage(25, 3.0, 0, 0)


def test_of_two_measurings_at_once_the_first_to_end_stays(ledger: Ledger) -> None:
    def count() -> int:
        ledger.measure("u-ann", lambda: 4, 1.0)
        return 400

    assert ledger.measure("u-ann", count, 0.5) == Usage(4, 1.0, 0, 0)


def test_an_upload_of_a_killed_process_is_forgotten(ledger: Ledger) -> None:
    ledger.measure("u-ann", lambda: 0, 0.0)
    assert ledger.begin("u-ann", 50, 100, 0.0) is not None
    later = quota.LOST_AFTER + 1
    assert ledger.measure("u-ann", lambda: 0, later).used == 0
    ledger.begin("u-ann", 50, 100, later)
    ledger.forget()
    assert ledger.usage("u-ann") is None


# ---- the gate's part ------------------------------------------------------------------------


class Server:
    """What MLflow does with an upload: takes it all, then stores it."""

    def __init__(self, files: dict[str, int], status: int = 200) -> None:
        self.files = files
        self.status = status
        self.asked = 0

    async def go(self, receive: Receive, send: Send) -> None:
        self.asked += 1
        size, more = 0, True
        while more:
            event = await receive()
            size += len(event.get("body", b""))
            more = event.get("more_body", False)
        if self.status == 200:
            self.files[f"file-{self.asked}"] = size
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class Client:
    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks
        self.heard: list[Event] = []

    async def receive(self) -> Event:
        chunk = self.chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(self.chunks)}

    async def send(self, event: Event) -> None:
        self.heard.append(event)

    @property
    def status(self) -> int:
        return int(self.heard[0]["status"])

    def said(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.heard[1]["body"])
        return found


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def meter_of(ledger: Ledger, server: Server, clock: Clock, person: int = 100) -> Meter:
    return Meter(Limits(person, 0), ledger, lambda _: sum(server.files.values()), clock=clock)


async def put(
    meter: Meter, server: Server, chunks: list[bytes], *, says: bool = True, place: str = "u-ann"
) -> Client:
    length = [(b"content-length", str(sum(map(len, chunks))).encode())] if says else []
    client = Client(list(chunks))
    request = Request("PUT", PUT.encode(), b"", length)
    await meter.run(request, PUT, place, client.receive, client.send, server.go)
    return client


async def test_what_fits_is_stored_and_what_does_not_is_refused(ledger: Ledger) -> None:
    server, clock = Server({"old": 50}), Clock()
    meter = meter_of(ledger, server, clock)
    assert (await put(meter, server, [b"x" * 40])).status == 200
    refused = await put(meter, server, [b"x" * 6, b"x" * 6])
    assert refused.status == 507
    assert refused.chunks == []  # the client could send it all before it heard
    assert server.asked == 1
    assert "한도" in str(refused.said()["message"])
    assert "was not stored" in str(refused.said()["message"])
    assert (await put(meter, server, [b""])).status == 200
    assert (await put(meter, server, [b"x" * 10])).status == 200
    assert sum(server.files.values()) == 100


async def test_a_team_without_a_limit_is_not_counted(ledger: Ledger) -> None:
    server = Server({"old": 5000})
    meter = meter_of(ledger, server, Clock())
    assert (await put(meter, server, [b"x" * 500], place="g-crew")).status == 200
    assert ledger.usage("g-crew") is None


async def test_deleting_makes_room_at_once(ledger: Ledger) -> None:
    server, clock = Server({"old": 95}), Clock()
    meter = meter_of(ledger, server, clock)
    assert (await put(meter, server, [b"x" * 10])).status == 507
    del server.files["old"]
    clock.now += quota.AGAIN_AFTER
    assert (await put(meter, server, [b"x" * 10])).status == 200


async def test_what_failed_is_not_counted(ledger: Ledger) -> None:
    server = Server({}, status=500)
    meter = meter_of(ledger, server, Clock())
    for _ in range(3):
        assert (await put(meter, server, [b"x" * 60])).status == 500
    server.status = 200
    assert (await put(meter, server, [b"x" * 60])).status == 200


async def test_a_body_that_does_not_say_how_long_it_is(ledger: Ledger) -> None:
    server, clock = Server({}), Clock()
    meter = meter_of(ledger, server, clock, person=2 * STEP)
    half = b"x" * (STEP // 2)
    assert (await put(meter, server, [half, half], says=False)).status == 200
    found = ledger.usage("u-ann")
    assert found is not None
    assert (found.added, found.passing) == (STEP, 0)
    over = await put(meter, server, [half, half, half, half], says=False)
    assert over.status == 507
    assert over.chunks == []
    assert len(server.files) == 1
    found = ledger.usage("u-ann")
    assert found is not None
    assert found.used == STEP


async def test_a_body_longer_than_it_says(ledger: Ledger) -> None:
    server = Server({})
    meter = meter_of(ledger, server, Clock(), person=STEP)
    client = Client([b"x" * STEP, b"x"])
    request = Request("PUT", PUT.encode(), b"", [(b"content-length", b"1")])
    await meter.run(request, PUT, "u-ann", client.receive, client.send, server.go)
    assert client.status == 507
    assert server.files == {}


async def test_uploads_at_once_do_not_exceed_together(ledger: Ledger) -> None:
    server = Server({})
    meter = meter_of(ledger, server, Clock())
    clients = await asyncio.gather(*(put(meter, server, [b"x" * 30]) for _ in range(10)))
    assert sorted(client.status for client in clients) == [200] * 3 + [507] * 7
    assert sum(server.files.values()) == 90


async def test_what_a_workspace_holds_is_told(ledger: Ledger) -> None:
    server = Server({"old": 70})
    meter = meter_of(ledger, server, Clock())
    client = Client([b""])
    request = Request("GET", USAGE.encode(), b"", [])
    await meter.run(request, USAGE, "u-ann", client.receive, client.send, server.go)
    assert client.said() == {
        "workspace": "u-ann",
        "used_bytes": 70,
        "limit_bytes": 100,
        "measured": "1970-01-01T00:16:40+00:00",
    }
    assert server.asked == 0


async def test_a_storage_that_is_away_is_said(ledger: Ledger) -> None:
    def away(workspace: str) -> int:
        raise StorageError("The bucket is away.")

    server = Server({})
    meter = Meter(Limits(100, 0), ledger, away)
    assert (await put(meter, server, [b"x"])).status == 503
    assert server.asked == 0
