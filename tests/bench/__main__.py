"""Measure Madang against the plain upstream part, interleaved in one run; writes ``build/bench.json``.

``python -m bench [--only name,name]`` (``make bench`` sets up what it needs). Each result is
``{"name", "value", "unit", "baseline", "ratio", "runs"}``; ``ratio`` above 1 is better than plain.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from support.accounts import with_one_password
from support.deployment import ROOT, Deployment, wait_for
from support.people import Person, newcomer

from bench import accelerators, browsing, images, lending, signins, tracking, warm
from bench.clients import Client, client_of
from bench.plain import plain_hub
from bench.result import Result
from madang_hub.catalog import Catalog
from madang_hub.people.database import Database
from madang_hub.places import Places
from madang_hub.settings import Settings

SIZE = "small"
POOL = 40
"""So many servers wait where warm ones are measured."""


@dataclass
class Hubs:
    """The two Hubs that are compared; ``admin`` is ours'."""

    ours: Deployment
    plain: Deployment
    admin: Person

    def people(self, name: str) -> tuple[Person, Person]:
        """The same person at both, signed in."""
        here = newcomer(self.ours, name, language="en")
        there = Person(self.plain, name, password="bench")
        # its home page would start a server at once
        there.sign_in(follow=False).raise_for_status()
        return here, there

    def pair(self, name: str) -> tuple[Client, Client]:
        """The same person at both, as a program."""
        here, there = self.people(name)
        return (
            client_of(here, {"environment": "lab", "size": SIZE}),
            client_of(there, {}),
        )


async def _timed(client: Client) -> float:
    seconds = await client.first_cell()
    await client.stop()
    return seconds


async def _together(clients: list[Client]) -> float:
    times = await asyncio.gather(*(c.first_cell() for c in clients))
    await asyncio.gather(*(c.stop() for c in clients))
    return max(times)


def first_cell_cold(hubs: Hubs) -> Result:
    """Start request → first executed cell, nothing prepared; median of 5 after one warm-up."""
    ours, plain = hubs.pair("single")
    runs = []
    for counted in (False, True, True, True, True, True):
        run = (asyncio.run(_timed(ours)), asyncio.run(_timed(plain)))
        if counted:
            runs.append(run)
    return Result.smaller("first_cell_cold", "s", runs)


def class16_last_first_cell(hubs: Hubs) -> Result:
    """16 people press start at once → the last one's first cell; median of 4 after one warm-up.

    Who goes first changes from pair to pair: the one that goes second finds the machine's caches warm.
    """
    pairs = [hubs.pair(f"pupil{n:02}") for n in range(16)]
    ours, plain = [p[0] for p in pairs], [p[1] for p in pairs]
    runs = []
    for turn in range(5):
        order = (ours, plain) if turn % 2 else (plain, ours)
        times = [asyncio.run(_together(clients)) for clients in order]
        if turn:
            runs.append((times[0], times[1]) if turn % 2 else (times[1], times[0]))
    return Result.smaller("class16_last_first_cell", "s", runs)


def _waits(hubs: Hubs, count: int) -> None:
    """Return when so many warm servers wait."""

    def ready() -> bool:
        page = hubs.admin.session.get(f"{hubs.ours.url}/hub/metrics", timeout=20).text
        found = re.search(
            r'^madang_warm_servers{kind="lab/small",state="ready"} (\S+)$', page, re.MULTILINE
        )
        return found is not None and float(found[1]) >= count

    wait_for(ready, f"{count} warm servers", 300)


def first_cell_warm(hubs: Hubs) -> Result:
    """Start request → first executed cell with a server that waits; median of 7 after one warm-up.

    Nobody's server is made meanwhile: the pool is full again before each.
    """
    ours, plain = hubs.pair("warm")
    runs = []
    for counted in (False, *[True] * 7):
        times = []
        for client in (ours, plain):
            _waits(hubs, POOL)
            times.append(asyncio.run(_timed(client)))
        if counted:
            runs.append((times[0], times[1]))
    return Result.smaller("first_cell_warm", "s", runs)


def browser_usable_warm(hubs: Hubs) -> Result:
    """Click on *Start* → a new notebook's kernel is idle, in Chromium, with a server that waits; median of 7.

    Everybody is new: nothing of an earlier visit is restored.
    """
    runs = []
    with browsing.chromium() as browser:
        for n in range(8):
            here, there = hubs.people(f"reader{n}")
            _waits(hubs, POOL)
            times = (
                browsing.usable(browser, here, browsing.at_picker),
                browsing.usable(browser, there, browsing.at_home),
            )
            if n:
                runs.append(times)
    return Result.smaller("browser_usable_warm", "s", runs)


def _class_warm(hubs: Hubs, name: str, size: int, turns: int) -> Result:
    pairs = [hubs.pair(f"warm{size}-{n:02}") for n in range(size)]
    ours, plain = [p[0] for p in pairs], [p[1] for p in pairs]
    runs = []
    for _ in range(turns):
        times = []
        for clients in (plain, ours):
            _waits(hubs, POOL)
            times.append(asyncio.run(_together(clients)))
        runs.append((times[1], times[0]))
    return Result.smaller(name, "s", runs)


def class16_warm_last_first_cell(hubs: Hubs) -> Result:
    """16 people press start at once, 40 servers wait → the last one's first cell; median of 3."""
    return _class_warm(hubs, "class16_warm_last_first_cell", 16, 3)


def class40_warm_last_first_cell(hubs: Hubs) -> Result:
    """40 people press start at once, 40 servers wait → the last one's first cell; once."""
    return _class_warm(hubs, "class40_warm_last_first_cell", POOL, 1)


def signins_360(hubs: Hubs) -> Result:
    """360 people sign in at once and load their home page → the last one; one run, all must succeed.

    Plain JupyterHub checks no password hash here (its dummy sign-in), ours does for each person.
    """
    names = [f"trainee{n:03}" for n in range(360)]
    _accounts(hubs.ours, names)
    plain = asyncio.run(signins.together(hubs.plain.url, names, "bench"))
    ours = asyncio.run(signins.together(hubs.ours.url, names, signins.PASSWORD))
    for whose, found in (("Madang", ours), ("plain", plain)):
        print(
            f"  {whose}: median {found.middle:.1f} s, p95 {found.p95:.1f} s, last {found.last:.1f} s, "
            f"errors {len(found.errors)} {sorted(set(found.errors))[:3]}"
        )
    if ours.errors:
        raise SystemExit(f"{len(ours.errors)} of 360 could not sign in")
    return Result(
        "signins_360", ours.last, "s", plain.last, plain.last / ours.last, [(ours.last, plain.last)]
    )


def _accounts(deployment: Deployment, names: list[str]) -> None:
    places = Places(Settings.load(ROOT, deployment.environ), "server")
    database = Database(places.database_url("hub"))
    try:
        with_one_password(database, names, signins.PASSWORD)
    finally:
        database.close()


def lease_device_visible(hubs: Hubs) -> Result:
    """Ask for a free accelerator → a cell that sees it; plain: a server that always gets the device."""
    return lending.device_visible(hubs.ours, SIZE)


ALONE: dict[str, Callable[[], Iterable[Result]]] = {
    **images.ALONE,
    **accelerators.ALONE,
    **warm.ALONE,
}

MEASURES: dict[str, Callable[[Hubs], Result]] = {
    "first_cell_cold": first_cell_cold,
    "class16_last_first_cell": class16_last_first_cell,
    "signins_360": signins_360,
    "lease_device_visible": lease_device_visible,
}

WARM: dict[str, Callable[[Hubs], Result]] = {
    "first_cell_warm": first_cell_warm,
    "class16_warm_last_first_cell": class16_warm_last_first_cell,
    "class40_warm_last_first_cell": class40_warm_last_first_cell,
    "browser_usable_warm": browser_usable_warm,
}
"""With a Madang in which servers wait."""


def _beside_plain(
    measures: dict[str, Callable[[Hubs], Result]], names: list[str], extra: dict[str, str]
) -> Iterator[Result]:
    """Those ``measures`` that are named, with Madang (with ``extra`` settings) and a plain Hub up."""
    wanted = [name for name in names or measures if name in measures]
    if not wanted:
        return
    catalog = Catalog.load(ROOT / "images" / "images.toml")
    with tempfile.TemporaryDirectory(prefix="madang-bench-") as folder:
        ours = Deployment("server", Path(folder) / "data", extra=extra)
        (Path(folder) / "plain").mkdir()
        try:
            admin = Person(ours, ours.admin)
            admin.join(ours.one_time_password(ours.up()))
            with plain_hub(Path(folder) / "plain", catalog, SIZE) as plain:
                for name in wanted:
                    yield measures[name](Hubs(ours, plain, admin))
        finally:
            ours.remove()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", default="", help="names, separated by commas")
    parser.add_argument(
        "--needs", action="store_true", help="measure nothing; say 'engine' if one is needed"
    )
    given = parser.parse_args()
    only = [name for name in given.only.split(",") if name]
    every = (*MEASURES, *WARM, *ALONE, *tracking.MEASURES)
    if unknown := set(only) - set(every):
        print(
            f"no such measure: {', '.join(unknown)}; there are {', '.join(every)}",
            file=sys.stderr,
        )
        return 2
    if given.needs:
        print("engine" if set(only or every) - {*tracking.MEASURES, *warm.ALONE} else "")
        return 0
    results: list[Result] = []

    def found(result: Result) -> None:
        results.append(result)
        print(result, flush=True)

    for result in _beside_plain(MEASURES, only, {}):
        found(result)
    for result in _beside_plain(WARM, only, {"MADANG_WARM": "1", "MADANG_WARM_BASE": str(POOL)}):
        found(result)
    for name in only or ALONE:
        for result in ALONE[name]() if name in ALONE else ():
            found(result)
    with_tracking = [name for name in only or tracking.MEASURES if name in tracking.MEASURES]
    for result in tracking.measure(with_tracking) if with_tracking else ():
        found(result)
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "bench.json").write_text(
        json.dumps([asdict(r) for r in results], indent=1) + "\n", encoding="utf-8"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
