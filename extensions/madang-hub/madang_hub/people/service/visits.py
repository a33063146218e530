"""Look-ins carried out: the rules of ``lookin.py`` with the table, the Hub's shares and the audit log.

The order is what keeps this safe: a look-in stands in the table before its share is given, and the share
is only forgotten when the Hub has said that it is gone. Whatever happens between, :meth:`Visits.tidy`
(every 20 seconds, at each start of the service and before an answer that depends on it) mends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime

from madang_hub.people.audit import Audit
from madang_hub.people.directory import Directory, Membership
from madang_hub.people.lookin import BY_MADANG, LookIn, begin, due, wish
from madang_hub.people.lookins import LookIns
from madang_hub.people.service.hub import Hub, HubAwayError, HubRefusedError

log = logging.getLogger("madang.people")


class Visits:
    """What the API and the periodic task do with look-ins."""

    def __init__(self, lookins: LookIns, directory: Directory, audit: Audit, hub: Hub) -> None:
        self._lookins = lookins
        self._directory = directory
        self._audit = audit
        self._hub = hub
        self._beginning = asyncio.Lock()
        self._tidying = asyncio.Lock()
        self._sharing = asyncio.Lock()

    async def begin(
        self, mentor: str, trainee: object, reason: object, minutes: object, now: datetime
    ) -> LookIn:
        """Let ``mentor`` in.

        Raises:
            LookInRefused: the rules or the Hub say no; nothing is left open.
            HubAwayError: the Hub could not be asked; nothing is left open.
        """
        asked = wish(trainee, reason, minutes)
        await self.tidy(now)
        async with self._beginning:
            memberships = await asyncio.to_thread(self._memberships_of, [mentor, asked.trainee])
            # whoever is no trainee of the mentor's is not looked up at the Hub
            begin(asked, mentor, memberships, True, (), now)
            user = await self._hub.user(asked.trainee)
            running = user is not None and user.server is not None and user.server.ready
            open_ones = await asyncio.to_thread(
                self._lookins.open_ones, trainee=asked.trainee, mentor=mentor
            )
            look_in = await asyncio.to_thread(
                self._keep, begin(asked, mentor, memberships, running, open_ones, now)
            )
        try:
            async with self._sharing:
                await self._hub.share(look_in.trainee, look_in.server, mentor)
        except (HubAwayError, HubRefusedError):
            log.warning("look-in %s: the Hub gave no share", look_in.id)
            await asyncio.shield(self.end(look_in, BY_MADANG, now, why="no-share"))
            raise
        await asyncio.to_thread(
            self._audit.write,
            now,
            mentor,
            "look-in.began",
            look_in.trainee,
            team=look_in.team,
            id=look_in.id,
            until=look_in.until.isoformat(),
        )
        return look_in

    def _keep(self, new: LookIn) -> LookIn:
        kept = self._lookins.add(new)
        self._audit.write(
            new.began,
            new.mentor,
            "look-in.asked",
            new.trainee,
            team=new.team,
            id=kept.id,
            reason=new.reason,
            minutes=round((new.until - new.began).total_seconds() / 60),
        )
        return kept

    async def end(self, look_in: LookIn, by: str, now: datetime, why: str = "") -> bool:
        """End it and take the share back; False if it had ended before.

        It counts as ended at once. A Hub that does not answer is asked again by :meth:`tidy`.
        """
        first = await asyncio.to_thread(self._end, look_in, by, now, why)
        await self._revoke(look_in, now)
        return first

    def _end(self, look_in: LookIn, by: str, now: datetime, why: str) -> bool:
        if not self._lookins.end(look_in.id, by, now):
            return False
        # a line for each who did not do it: both find the end among their own lines
        for subject in (look_in.trainee, look_in.mentor):
            if subject != by:
                self._audit.write(
                    now,
                    by,
                    "look-in.ended",
                    subject,
                    team=look_in.team,
                    id=look_in.id,
                    trainee=look_in.trainee,
                    why=why or ("asked" if by != BY_MADANG else "time"),
                )
        return True

    async def _revoke(self, look_in: LookIn, now: datetime) -> None:
        pair = (look_in.mentor, look_in.trainee)
        async with self._sharing:
            # a newer look-in of the same two would lose its share with this one's
            others = await asyncio.to_thread(
                self._lookins.open_ones, trainee=look_in.trainee, mentor=look_in.mentor
            )
            if not any((o.mentor, o.trainee) == pair for o in others if o.id != look_in.id):
                try:
                    await self._hub.unshare(look_in.trainee, look_in.server, look_in.mentor)
                except (HubAwayError, HubRefusedError) as error:
                    log.error("look-in %s: share not taken back yet: %s", look_in.id, error)
                    return
        await asyncio.to_thread(self._lookins.set_revoked, look_in.id, now)

    async def tidy(self, now: datetime) -> list[LookIn]:
        """End what is due, and take back the shares that could not be taken back before.

        Returns those that ended now. Never raises for an absent Hub.
        """
        async with self._tidying:
            open_ones = await asyncio.to_thread(self._lookins.open_ones)
            ended = []
            for look_in in open_ones:
                memberships = await asyncio.to_thread(
                    self._memberships_of, [look_in.mentor, look_in.trainee]
                )
                if due(look_in, memberships, now):
                    why = "time" if now >= look_in.until else "no longer mentor"
                    if await self.end(look_in, BY_MADANG, now, why=why):
                        ended.append(look_in)
            for look_in in await asyncio.to_thread(self._lookins.not_revoked):
                await self._revoke(look_in, now)
            return ended

    def _memberships_of(self, people: Iterable[str]) -> list[Membership]:
        return [m for name in set(people) for m in self._directory.memberships(person=name)]
