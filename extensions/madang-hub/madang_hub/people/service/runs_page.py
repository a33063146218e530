"""``class/<class>/runs``: a class's runs for one lesson, for the mentors of that class and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from madang_hub.people.directory import Team
from madang_hub.people.service.base import NOTHING_HERE, Page, Problem
from madang_hub.people.service.class_runs import (
    RUNS,
    SORTS,
    Experiment,
    Found,
    Lesson,
    Sort,
    experiment_of,
    figure,
    first_way,
    known_lesson,
    lessons,
    ordered,
    table,
)
from madang_hub.people.service.classroom import Member
from madang_hub.people.service.hub import HubAwayError, HubRefusedError
from madang_hub.people.service.teams import TeamHandler
from madang_hub.people.service.tracking import (
    ALL_SECONDS,
    TrackingAwayError,
    TrackingClosedError,
    experiments_from,
    of_each,
)
from madang_hub.permissions import PEOPLE_ON_BEHALF
from madang_hub.places import TRACKING_SERVICE
from madang_hub.runs import runs_from
from madang_hub.tracking import workspace_of
from madang_hub.web.i18n import N_

EXPERIMENTS = 200
"""Experiments of a person that are looked through, the newest."""
LONGEST_NAME = 500
"""Characters of an experiment's name that are asked for."""
OLD_SIGN_IN = N_(
    "Your sign-in here is from before an update and does not reach the runs. Sign out and in again."
)


class ClassRuns(TeamHandler, Page):
    """The page. An admin who is no mentor of the class has no right to its runs, so sees nothing here."""

    page = True

    async def get(self, name: str) -> None:
        team = await self._mentored(name)
        token = self.hub_auth.get_token(self)
        if not token or not self.hub_auth.check_scopes(set(PEOPLE_ON_BEHALF), self.current_user):
            raise Problem(403, OLD_SIGN_IN)
        asked = self.get_query_arguments("experiment")
        members = [m for m in await self.off_loop(self.members, team) if m.role != "mentor"]
        began = asyncio.get_running_loop().time()
        experiments, found = await self._experiments(members, token)
        offered = lessons(experiments)
        lesson = known_lesson(asked[-1].strip()[:LONGEST_NAME] if asked else None, offered)
        left = ALL_SECONDS - (asyncio.get_running_loop().time() - began)
        found |= await self._runs(experiments, lesson, token, max(0.1, left))
        self._show(team, members, found, offered, lesson)

    async def _mentored(self, name: str) -> Team:
        if name not in self.viewer.mentor_of:
            raise Problem(404, NOTHING_HERE)
        return await self.led(name)

    async def _experiments(
        self, members: list[Member], token: str
    ) -> tuple[dict[str, list[Experiment]], dict[str, Found]]:
        """The experiments of everybody who could be asked about, and what is known of the others."""
        names = [m.person.name for m in members]
        try:
            users = await self.parts.hub.users()
            unknown = {n for n in names if n not in users or users[n].last_activity is None}
        except (HubAwayError, HubRefusedError):
            unknown = set()
        body = {"max_results": EXPERIMENTS, "order_by": ["creation_time DESC"]}

        async def ask(name: str) -> list[Experiment]:
            where = workspace_of(name)
            answer = await self.parts.tracking.search("experiments", token, where, body)
            return [Experiment(**one) for one in experiments_from(answer)]

        answers = await of_each([n for n in names if n not in unknown], ask, ALL_SECONDS)
        found = {name: Found("never") for name in unknown}
        experiments = {}
        for name, answer in answers.items():
            if isinstance(answer, list):
                experiments[name] = answer
            else:
                found[name] = self._refused(answer)
        return experiments, found

    async def _runs(
        self, experiments: Mapping[str, list[Experiment]], lesson: str, token: str, seconds: float
    ) -> dict[str, Found]:
        """Everybody's runs for ``lesson``."""
        theirs = {name: experiment_of(name, lesson, all_) for name, all_ in experiments.items()}
        found = {name: Found("none") for name, one in theirs.items() if one is None}

        async def ask(name: str) -> Found:
            one = theirs[name]
            identity = one.id if one is not None else ""
            body = {
                "experiment_ids": [identity],
                "max_results": RUNS,
                "order_by": ["attributes.start_time DESC"],
            }
            answer = await self.parts.tracking.search("runs", token, workspace_of(name), body)
            more = isinstance(answer, dict) and bool(answer.get("next_page_token"))
            return Found("runs", identity, runs_from(answer), more)

        answers = await of_each([n for n, one in theirs.items() if one is not None], ask, seconds)
        for name, answer in answers.items():
            found[name] = answer if isinstance(answer, Found) else self._refused(answer)
        return found

    def _refused(self, error: TrackingAwayError | TrackingClosedError) -> Found:
        return Found("closed" if isinstance(error, TrackingClosedError) else "away")

    def _show(
        self,
        team: Team,
        members: list[Member],
        found: Mapping[str, Found],
        offered: list[Lesson],
        lesson: str,
    ) -> None:
        pages = f"{self.hub_auth.hub_host}{self.hub_auth.hub_prefix.removesuffix('hub/')}"
        shown = table(members, found, f"{pages}services/{TRACKING_SERVICE}/")
        wish = self.get_query_argument("sort", "name")
        by: Sort = next((column for column in SORTS if column == wish), "name")
        way = self.get_query_argument("order", "")
        downwards = way == "down" if way in ("up", "down") else first_way(by, shown.better)
        if shown.away:
            self.set_status(503)
        self.render(
            "class_runs.html",
            team=team,
            shown=shown,
            rows=ordered(shown.rows, by, downwards),
            lesson=lesson,
            offered=offered,
            by=by,
            downwards=downwards,
            link=lambda column: self._link(lesson, column, by, downwards, shown.better),
            figure=figure,
            most=RUNS,
        )

    def _link(self, lesson: str, column: Sort, by: Sort, downwards: bool, better: Any) -> str:
        """Where a column's heading leads: ordered by it, or the other way round."""
        down = not downwards if column == by else first_way(column, better)
        query = {"experiment": lesson, "sort": column, "order": "down" if down else "up"}
        return "?" + urlencode(query)
