"""A roster over HTTP: a dry run with everything that is wrong or would change, then the import itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date
from typing import Any

from madang_hub.people.directory import DirectoryError, Team
from madang_hub.people.importing import only_for_admins
from madang_hub.people.intake import NewAccount
from madang_hub.people.roles import TEAM
from madang_hub.people.roster import MAX_BYTES, RosterError
from madang_hub.people.roster_plan import Plan
from madang_hub.people.service.base import NOTHING_HERE, Base, Page, Problem
from madang_hub.people.timetable import TimetableError, parse_date
from madang_hub.web.i18n import N_

CHANGED = N_(
    "Nothing was changed: people or classes were changed in the meantime. Look at the new list and confirm "
    "again."
)


class ImportPage(Page):
    """``import``."""

    async def get(self) -> None:
        if not (self.viewer.admin or self.viewer.mentor_of):
            raise Problem(404, NOTHING_HERE)
        wanted = self.get_query_argument("team", "")
        self.render("import.html", teams=await self.off_loop(self._teams), wanted=wanted)

    def _teams(self) -> list[Team]:
        return [t for t in self.parts.directory.teams() if self.viewer.leads(t.name)]


@dataclass(frozen=True)
class Wish:
    """What the form holds."""

    data: bytes
    team: str
    title: str | None
    starts: date | None
    ends: date | None
    confirmed: str


class Import(Base):
    """``POST api/import`` (a form with the file).

    Without ``confirm`` nothing changes and the answer is the plan in words with its ``mark``; with the mark
    in ``confirm`` just that plan is done, and the answer holds the one-time passwords, this once.
    """

    async def post(self) -> None:
        wish = self._wish()
        try:
            plan, refused = await self.off_loop(self._plan, wish)
        except RosterError as error:
            self.send({"faults": [f.text(self.language) for f in error.faults]}, 422)
            return
        if refused:
            self.send({"faults": refused}, 422)
            return
        mark = mark_of(plan)
        if wish.confirmed and wish.confirmed == mark:
            try:
                made = await self.off_loop(self._carry_out, plan)
            except DirectoryError as error:
                raise Problem(409, CHANGED) from error
            self.send(
                {
                    "done": True,
                    "team": plan.team.name,
                    "people": len(plan.roles),
                    "accounts": [account_model(a) for a in made],
                }
            )
            return
        self.send(
            {
                "done": False,
                "mark": mark,
                "nothing": plan.nothing,
                "lines": plan.lines(self.language),
                "note": self.sentence(CHANGED) if wish.confirmed else "",
            }
        )

    def _wish(self) -> Wish:
        team = self.get_body_argument("team", "")
        if not TEAM.fullmatch(team) or not self.viewer.leads(team):
            raise Problem(404 if TEAM.fullmatch(team) else 400, _which(team))
        files = self.request.files.get("roster", [])
        if len(files) != 1 or not files[0]["body"]:
            raise Problem(400, N_("Choose the file with the roster."))
        admin = self.viewer.admin
        # title and days are the admin's; a mentor's import leaves them
        return Wish(
            data=files[0]["body"][: MAX_BYTES + 1],
            team=team,
            title=(self.get_body_argument("title", "") or None) if admin else None,
            starts=self._day("starts") if admin else None,
            ends=self._day("ends") if admin else None,
            confirmed=self.get_body_argument("confirm", ""),
        )

    def _day(self, name: str) -> date | None:
        text = self.get_body_argument(name, "")
        try:
            return parse_date(text) if text else None
        except TimetableError as error:
            raise Problem(400, N_("Write a day as 2026-03-02.")) from error

    def _plan(self, wish: Wish) -> tuple[Plan, list[str]]:
        parts = self.parts
        plan = parts.intake.plan(
            wish.data,
            wish.team,
            parts.now(),
            title=wish.title,
            starts=wish.starts,
            ends=wish.ends,
        )
        if self.viewer.admin:
            return plan, []
        refused = only_for_admins(plan, self.viewer.mentor_of, parts.directory.memberships())
        return plan, [sentence.text(self.language) for sentence in refused]

    def _carry_out(self, plan: Plan) -> list[NewAccount]:
        return self.parts.intake.carry_out(plan, self.parts.now(), self.viewer.name)


def _which(team: str) -> str:
    if TEAM.fullmatch(team):
        return NOTHING_HERE
    return N_(
        "Name the class: class: and then small letters, digits and hyphens, like class:2026-a."
    )


def mark_of(plan: Plan) -> str:
    """A mark that two plans share only if they do the same."""
    parts = [
        plan.team.name,
        str(plan.team),
        *(f"{c.kind}\n{c.person}\n{c.sentence}" for c in plan.changes),
    ]
    parts += [f"{p}" for p in plan.people] + sorted(f"{n}={r}" for n, r in plan.roles.items())
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def account_model(account: NewAccount) -> dict[str, Any]:
    return {
        "name": account.name,
        "display_name": account.display_name,
        "email": account.email,
        "password": account.password,
    }
