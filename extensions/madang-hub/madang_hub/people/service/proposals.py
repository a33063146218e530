"""Environments that mentors propose: the pages, proposing, and the admin's review."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from madang_hub.people.directory import Team
from madang_hub.people.roles import TEAM
from madang_hub.people.sentences import Sentence
from madang_hub.people.service.base import NOTHING_HERE, Base, Page, Problem
from madang_hub.shelf import archive, checkout, proposals
from madang_hub.shelf.locking import Lock, LockingError
from madang_hub.shelf.proposals import Proposal, ProposalRefused, Step
from madang_hub.shelf.repository import Reading, RepositoryError, read
from madang_hub.web.i18n import N_

log = logging.getLogger("madang.people")
OPEN = ("proposed", "approved", "built")
MOST_OPEN = 20
"""Undecided proposals of one team."""
_locking = asyncio.Semaphore(1)
"""uv uses every core there is; one look-up at a time (and one fetch of a repository)."""


class ProposalsPage(Page):
    """``proposals``: a mentor's form and list; an admin's list of all."""

    async def get(self) -> None:
        if not (self.viewer.admin or self.viewer.mentor_of):
            raise Problem(404, NOTHING_HERE)
        self.render("proposals.html", **await self.off_loop(self._values))

    def _values(self) -> dict[str, Any]:
        parts, me = self.parts, self.viewer
        teams: list[Team] = [t for t in parts.directory.teams() if t.name in me.mentor_of]
        return {
            "teams": teams,
            "rows": parts.proposals.read(teams=None if me.admin else me.mentor_of),
            "team_titles": {t.name: t.title for t in parts.directory.teams() if t.title},
            "called": called(parts.directory.people()),
            "sizes": proposals.sizes_of(parts.shelf.table),
            "parent": parts.shelf.table.environments[proposals.PARENT],
            "embedded": parts.mode == "embedded",
            "limits": (proposals.TITLE_LENGTH, proposals.PURPOSE_LENGTH),
        }


class ProposalPage(Page):
    """``proposals/<id>``: what is asked for, all of it; the admin decides here."""

    async def get(self, identity: str) -> None:
        one = visible(self, await self.off_loop(self.parts.proposals.get, int(identity)))
        self.render("proposal.html", **await self.off_loop(self._values, one))

    def _values(self, one: Proposal) -> dict[str, Any]:
        parts = self.parts
        catalog = parts.shelf.table
        mentor = one.team in self.viewer.mentor_of
        steps: tuple[Step, ...] = ("approve", "reject", "withdraw")
        return {
            "one": one,
            "team": parts.directory.team(one.team),
            "called": called(parts.directory.people()),
            "sizes": [catalog.sizes[s] for s in one.sizes if s in catalog.sizes],
            "parent": catalog.environments[proposals.PARENT],
            "embedded": parts.mode == "embedded",
            "steps": [
                step
                for step in steps
                if proposals.may(step, admin=self.viewer.admin, mentor=mentor)
                and (one.state, step) in proposals.STEPS
            ],
            "reason_length": proposals.REASON_LENGTH,
        }


class Propose(Base):
    """``POST api/proposals`` (a form with the archive): read, locked, kept; or everything that is wrong."""

    async def post(self) -> None:
        team = self.get_body_argument("team", "")
        if not TEAM.fullmatch(team) or team not in self.viewer.mentor_of:
            raise Problem(404, NOTHING_HERE)
        try:
            wish = proposals.wish(self._form(), self.parts.shelf.table)
        except ProposalRefused as refusal:
            raise refused(400, refusal.sentence) from refusal
        data = self._archive()
        waiting = await self.off_loop(self.parts.proposals.read, teams=[team], states=OPEN)
        if len(waiting) >= MOST_OPEN:
            message = N_(
                "This team has {count} proposals that are not decided yet. Withdraw some first."
            )
            raise Problem(409, message, count=str(len(waiting)))
        try:
            async with _locking:
                source, reading = await self.off_loop(self._read, data)
                lock = await self.off_loop(
                    self.parts.locker.lock, reading.requirements, proposals.PARENT
                )
        except RepositoryError as error:
            self.send({"faults": [f.text(self.language) for f in error.faults]}, 422)
            return
        except LockingError as error:
            log.error("a proposal could not be locked: %s", error)
            raise refused(503, error.sentence) from error
        identity = await self.off_loop(self._keep, team, wish, source, reading, lock)
        self.send({"id": identity}, 201)

    def _form(self) -> dict[str, Any]:
        names = [f"{name}_{language}" for name in ("title", "purpose") for language in ("ko", "en")]
        form: dict[str, Any] = {name: self.get_body_argument(name, "") for name in names}
        return {**form, "sizes": self.get_body_arguments("sizes")}

    def _archive(self) -> tuple[str, bytes] | None:
        """Name and content of the uploaded archive; None where an address is given instead."""
        files = self.request.files.get("archive", [])
        given = len(files) == 1 and bool(files[0]["body"])
        if given == bool(self.get_body_argument("address", "")):
            message = N_(
                "Choose the archive (.zip or .tar.gz) with the files, or write an address."
            )
            raise Problem(400, message)
        return (str(files[0]["filename"])[:120], files[0]["body"]) if given else None

    def _read(self, uploaded: tuple[str, bytes] | None) -> tuple[dict[str, str], Reading]:
        """Where the files are from, and what they ask for.

        Raises:
            RepositoryError: they cannot be had or used.
        """
        if uploaded is not None:
            name, data = uploaded
            return {"kind": "upload", "name": name}, read(archive.files_of(data))
        address, ref = self.get_body_argument("address", ""), self.get_body_argument("ref", "")
        parts = self.parts
        found = checkout.fetch(address, ref, parts.settings.allow_networks, parts.locker.environ())
        name = f"{address.strip()} {ref.strip()} ({found.commit[:12]})"
        return {"kind": "git", "name": " ".join(name.split())}, read(found.files)

    def _keep(
        self, team: str, wish: proposals.Wish, source: dict[str, str], reading: Reading, lock: Lock
    ) -> int:
        parts, now = self.parts, self.parts.now()
        identity = parts.proposals.add(
            proposals.new_proposal(team, self.viewer.name, now, wish, source, reading, lock)
        )
        parts.audit.write(
            now,
            self.viewer.name,
            "proposal.made",
            team,
            team=team,
            proposal=identity,
            title=wish.title.ko,
        )
        return identity


class Decide(Base):
    """``POST api/proposals/<id>/approve``, ``…/reject`` and ``…/withdraw``; the last two with a reason."""

    async def post(self, identity: str, word: str) -> None:
        step: Step = (
            "approve" if word == "approve" else "reject" if word == "reject" else "withdraw"
        )
        one = visible(self, await self.off_loop(self.parts.proposals.get, int(identity)))
        mentor = one.team in self.viewer.mentor_of
        if not proposals.may(step, admin=self.viewer.admin, mentor=mentor):
            raise Problem(404, NOTHING_HERE)
        try:
            why = "" if step == "approve" else proposals.reason(self.body().get("reason"))
            done = await self.off_loop(self._step, one, step, why)
        except ProposalRefused as refusal:
            status = 400 if (one.state, step) in proposals.STEPS and step != "approve" else 409
            raise refused(status, refusal.sentence) from refusal
        self.send({"id": one.id, "state": done.state})

    def _step(self, one: Proposal, step: Step, why: str) -> Proposal:
        parts, now, actor = self.parts, self.parts.now(), self.viewer.name
        done = parts.proposals.step(one, step, actor, now, reason=why)
        parts.audit.write(
            now, actor, f"proposal.{done.state}", one.team, team=one.team, proposal=one.id,
            title=one.title.ko, reason=why,
        )  # fmt: skip
        return done


def visible(handler: Base, one: Proposal | None) -> Proposal:
    """``one``, or 404 for whoever neither reviews it nor leads its team."""
    if one is None or not (handler.viewer.admin or one.team in handler.viewer.mentor_of):
        raise Problem(404, NOTHING_HERE)
    return one


def refused(status: int, sentence: Sentence) -> Problem:
    return Problem(status, sentence.message, **{k: str(v) for k, v in sentence.values.items()})


def called(people: Any) -> dict[str, str]:
    return {p.name: p.display_name for p in people if p.display_name}
