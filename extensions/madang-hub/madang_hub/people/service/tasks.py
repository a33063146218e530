"""What the people service does by itself every 20 seconds: what is due, each task on its own.

A task that fails says so in one line of the log and keeps none of the others from being done; it is tried
again the next time, so every task asks what is due rather than what has happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from madang_hub.people.directory import Directory
from madang_hub.people.endings import Endings
from madang_hub.people.idle import Running
from madang_hub.people.roles import outdated
from madang_hub.people.rounds import ServerKey
from madang_hub.people.servers import Servers
from madang_hub.people.service.hub import Hub, HubAwayError, HubUser
from madang_hub.people.service.parts import Parts
from madang_hub.places import Places

log = logging.getLogger("madang.people")

Task = Callable[[datetime], Awaitable[object]]


class Tasks:
    """``tasks`` by the name that the log gives them, done in this order."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self._tasks = tasks
        self._doing = asyncio.Lock()

    async def run_once(self, now: datetime) -> list[str]:
        """Do all of them; the names of those that failed. While one run goes on, another does nothing."""
        if self._doing.locked():
            return []
        failed = []
        async with self._doing:
            for name, task in self._tasks.items():
                try:
                    await task(now)
                except SQLAlchemyError as error:
                    # its text may hold people's data
                    log.error("task %s: the database says %s", name, type(error).__name__)
                    failed.append(name)
                except Exception as error:
                    text = " ".join(str(error).split())
                    log.error("task %s: %s: %s", name, type(error).__name__, text[:300])
                    failed.append(name)
        return failed


async def side_by_side(works: Iterable[Awaitable[None]]) -> None:
    """All at the same time; what fails for one stops no other, and is raised when all are done."""
    for answer in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer


class DueServers:
    """Warns and stops servers because a class or somebody's access has ended.

    By the same rule as the idle culler, which would come to the same within a minute; this looks more often,
    and only at servers that it is about.
    """

    def __init__(self, servers: Servers, hub: Hub) -> None:
        self._servers = servers
        self._hub = hub

    async def __call__(self, now: datetime) -> list[ServerKey]:
        """Look at the servers that are due; those that were asked to stop.

        Raises:
            HubAwayError: the Hub cannot say what runs.
        """
        known = await asyncio.to_thread(self._servers.begin_round, now)
        # named servers are the idle culler's alone
        due = [key for key in sorted(known.concerned()) if not key.server]
        if not due:
            return []
        users = await self._hub.users()
        stop, seen = [], {}
        for key in due:
            running = await self._running(key, users.get(key.person))
            if running is not None:
                decision = await asyncio.to_thread(self._servers.judge, key, running, known)
                seen[key] = running, now
                if decision.action == "stop":
                    stop.append(key)
        if seen:
            await asyncio.to_thread(self._servers.note_seen, seen)
        await side_by_side(self._stop(key) for key in stop)
        return stop

    async def _running(self, key: ServerKey, user: HubUser | None) -> Running | None:
        """The server as the Hub knows it; None for one on its way up or down, or gone."""
        server = user.server if user is not None else None
        if user is None or server is None:
            await asyncio.to_thread(self._servers.forget, key)
            return None
        if not server.ready or server.pending or server.started is None:
            return None
        # somebody's last activity anywhere is never before that of the own server
        return Running(server.started, max(server.started, user.last_activity or server.started))

    async def _stop(self, key: ServerKey) -> None:
        await self._hub.stop_if_there(key.person)
        log.info("stopping %s's server", key.person)


class Groups:
    """Takes people out of the Hub groups of classes that they have left.

    The Hub renews somebody's groups when that person comes by; until then the mentors of the old class would
    keep their rights over who was moved away and stays away.
    """

    def __init__(self, directory: Directory, hub: Hub) -> None:
        self._directory = directory
        self._hub = hub

    async def __call__(self, now: datetime) -> dict[str, list[str]]:
        """Look at all groups; who was taken out of which."""
        groups = await self._hub.groups()
        # read after the Hub was asked: who comes in between is in the directory first
        said = await asyncio.to_thread(self._directory.memberships)
        moved = outdated(groups, said)
        for group, people in moved.items():
            await self._hub.take_out(group, people)
            log.info("%s: %d no longer in it", group, len(people))
        return moved


class OldRows:
    """Removes what is remembered of servers that have not run for long."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    async def __call__(self, now: datetime) -> int:
        return await asyncio.to_thread(self._servers.forget_old, now)


class Lifetimes:
    """Ends accounts that have expired and archives homes, as ``endings.py`` does it."""

    def __init__(self, endings: Endings, hub: Hub) -> None:
        self._endings = endings
        self._hub = hub

    async def __call__(self, now: datetime) -> None:
        steps = await asyncio.to_thread(self._endings.due, now, ())
        busy = None
        if any(step.kind == "archive" for step in steps):
            with contextlib.suppress(HubAwayError):
                users = await self._hub.users()
                busy = {user.name for user in users.values() if user.servers}
        await asyncio.to_thread(self._endings.run, now, busy)


class Seldom:
    """A task that takes long, done beside the others and at most ``every`` so often."""

    def __init__(self, task: Task, every: timedelta) -> None:
        self._task = task
        self._every = every
        self._last: datetime | None = None
        self._running: asyncio.Future[object] | None = None

    async def __call__(self, now: datetime) -> None:
        """Begin it if it is time.

        Raises:
            Exception: what the task raised the last time, once.
        """
        ended = self._running
        if ended is not None:
            if not ended.done():
                return
            self._running = None
            ended.result()
        if self._last is None or now - self._last >= self._every:
            self._last = now
            self._running = asyncio.ensure_future(self._task(now))


def tasks_of(parts: Parts, places: Places) -> Tasks:
    """Everything that the people service does by itself."""
    lifetimes = Lifetimes(Endings(parts.database, places), parts.hub)
    return Tasks(
        {
            "look-ins": parts.visits.tidy,
            "groups": Groups(parts.directory, parts.hub),
            "servers": DueServers(parts.servers, parts.hub),
            "lifetimes": Seldom(lifetimes, timedelta(minutes=5)),
            "old rows": Seldom(OldRows(parts.servers), timedelta(hours=1)),
        }
    )
