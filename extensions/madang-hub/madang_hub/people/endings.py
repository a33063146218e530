"""Carries out what is due at the end of accounts and homes (``lifetime.py``); called again and again."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from madang_hub.people import lifetime
from madang_hub.people.archive import Archive, ArchiveError
from madang_hub.people.audit import Audit
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory
from madang_hub.people.enrolment import STACK
from madang_hub.people.intake import terms
from madang_hub.people.lifetime import Step
from madang_hub.places import Places

AGAIN = timedelta(hours=1)
"""A home that could not be archived is tried again after this time."""

log = logging.getLogger(__name__)


class Endings:
    """Keep one object: it remembers which homes could not be archived lately."""

    def __init__(self, database: Database, places: Places) -> None:
        settings = places.settings
        self._directory = Directory(database)
        self._audit = Audit(database)
        self._archive = Archive(places.archive, places.homes)
        self._terms = terms(settings)
        self._zone = ZoneInfo(settings.timezone)
        self._not_before: dict[str, datetime] = {}

    def due(self, now: datetime, busy: Collection[str] | None) -> list[Step]:
        """What is due; ``busy`` as for :meth:`run`."""
        people = self._directory.people()
        names = [p.name for p in people]
        return lifetime.due(
            people,
            self._directory.teams(),
            self._directory.memberships(),
            {n for n in names if self._archive.has_home(n)},
            self._archive.kept(),
            names if busy is None else busy,
            now,
            self._zone,
            self._terms,
        )

    def run(self, now: datetime, busy: Collection[str] | None) -> list[Step]:
        """Do what is due and return it; whatever fails is logged and tried again later.

        Blocks: the accounts are quick, but a home takes as long as copying it. At most one home is archived
        in a call; call it in a thread of its own.

        Args:
            now: an aware time.
            busy: names of people who have a server, starting, running or stopping. None when that is not
                known (the Hub does not answer): then no home is touched.
        """
        done: list[Step] = []
        steps = self.due(now, busy)
        self._accounts([s for s in steps if s.kind in ("works-until", "ends", "comes-back")], now)
        done += [s for s in steps if s.kind in ("works-until", "ends", "comes-back")]
        for step in steps:
            if step.kind == "forget":
                try:
                    self._archive.forget(step.file)
                except ArchiveError as error:
                    log.warning("The archive %s stays for now: %s", step.file, error)
                    continue
                self._audit.write(now, STACK, "archive.removed", step.person, file=step.file)
                done.append(step)
        self._not_before = {n: t for n, t in self._not_before.items() if t > now}
        home = next(
            (s for s in steps if s.kind == "archive" and s.person not in self._not_before), None
        )
        if home is not None and self._store(home, now):
            done.append(home)
        return done

    def _accounts(self, steps: Iterable[Step], now: datetime) -> None:
        people = {p.name: p for p in self._directory.people()}
        changed = [
            replace(people[s.person], expires=s.day) for s in steps if s.kind == "works-until"
        ]
        if changed:
            self._directory.save_people(changed)
        for step in steps:
            if step.kind == "ends" and self._directory.end(step.person, lifetime.EXPIRED, now):
                self._audit.write(now, STACK, "account.expired", step.person)
            elif step.kind == "comes-back" and self._directory.reopen(step.person):
                self._audit.write(now, STACK, "account.restored", step.person)

    def _store(self, step: Step, now: datetime) -> bool:
        person = self._directory.person(step.person)
        if person is None or person.ended is None:
            return False  # came back since
        try:
            kept = self._archive.store(step.person, person.ended_why, now)
        except ArchiveError as error:
            log.error("The home of %s was not archived and is as it was: %s", step.person, error)
            self._not_before[step.person] = now + AGAIN
            return False
        self._audit.write(now, STACK, "home.archived", step.person, file=kept.file)
        return True
