"""``report``: what accelerators were used for in a month, as a page and as a table for a spreadsheet.

Admins see every team, mentors those that they lead.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from madang_hub.accelerators import plots
from madang_hub.accelerators.broker.pages import Page
from madang_hub.accelerators.broker.wishes import NOT_UNDERSTOOD
from madang_hub.accelerators.leases import Policy
from madang_hub.accelerators.ledger import Span, seconds
from madang_hub.accelerators.usage import (
    HOUR,
    Line,
    Month,
    Told,
    Wait,
    daily,
    lines,
    month_at,
    month_named,
    total,
    waits_of,
)
from madang_hub.people.service.base import NOTHING_HERE, Problem
from madang_hub.web.i18n import N_, gettext_for

MONTHS = 24
"""Months that the page offers, back from now."""
PLOTTED = 12
"""Teams in the plot; the table has all."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would compute."""


@dataclass(frozen=True)
class Figures:
    """A month's figures, of the teams that somebody may see.

    ``industries`` has a line "" for teams without one; ``of`` says each team's.
    """

    month: Month
    all: Line
    teams: list[Line]
    classes: list[Line]
    industries: list[Line]
    kinds: list[Line]
    days: list[tuple[date, Fraction]]
    titles: Mapping[str, str]
    of: Mapping[str, str]


def figures(
    month: Month,
    spans: Iterable[Span],
    waits: Iterable[Wait],
    titles: Mapping[str, str],
    industries: Mapping[str, str],
    policy: Policy,
    days: Callable[[list[Span]], list[tuple[date, Fraction]]],
    seen: Callable[[str], bool],
) -> Figures:
    """The figures of ``month`` from what reaches into it; ``seen`` says whether a team's are shown."""
    mine = [s for s in spans if seen(s.team)]
    waited = [w for w in waits if seen(w.team)]
    used = seconds(mine, month.begin, month.end)

    def by(key: Callable[[Told], str | None]) -> list[Line]:
        return lines(used, waited, policy, key)

    return Figures(
        month=month,
        all=total(used, waited, policy),
        teams=by(lambda one: None if one.team.startswith("class:") else one.team),
        classes=by(lambda one: one.team if one.team.startswith("class:") else None),
        industries=by(lambda one: industries.get(one.team, "")),
        kinds=by(lambda one: one.model or one.kind),
        days=days(mine),
        titles=titles,
        of=industries,
    )


class Report(Page):
    """``report?month=2026-11``."""

    async def get(self) -> None:
        found = await self.off_loop(self.figures)
        words, self_made = gettext_for(self.language), self._made()
        bars = [(str(day.day), float(used / HOUR)) for day, used in found.days]
        most = sorted([*found.teams, *found.classes], key=lambda x: (-x.used, x.name))[:PLOTTED]
        by_team = [(found.titles.get(x.name, x.name), x.hours) for x in most if x.used]
        self.render(
            "report.html",
            found=found,
            months=[m.name for m in self_made],
            bars=bars,
            plot_days=plots.standing(
                "days",
                words(N_("Accelerator-hours by day")),
                words(N_("A bar for each day of {month}; the table below has the figures.")).format(
                    month=found.month.name
                ),
                bars,
            ),
            plot_teams=plots.lying(
                "teams",
                words(N_("Accelerator-hours by team and class")),
                words(N_("The most used first; the tables below have all figures.")),
                by_team,
            )
            if by_team
            else None,
        )

    def _made(self) -> list[Month]:
        """This month and those before it, the newest first."""
        zone = self.parts.zone
        found = [month_at(self.parts.seconds(), zone)]
        while len(found) < MONTHS:
            found.append(month_at(found[-1].begin - 1, zone))
        return found

    def figures(self) -> Figures:
        """Blocking: those of the month that is asked for.

        Raises:
            Problem: (404) this person leads no team, (400) there is no such month.
        """
        parts, me = self.parts, self.viewer
        if not me.admin and not me.mentor_of:
            raise Problem(404, NOTHING_HERE)
        wish = self.get_query_argument("month", "")
        try:
            month = month_named(wish, parts.zone) if wish else month_at(parts.seconds(), parts.zone)
        except ValueError as error:
            raise Problem(400, NOT_UNDERSTOOD) from error
        spans, granted = parts.desk.leases.accounts.within(month.begin, month.end)
        return figures(
            month,
            spans,
            waits_of(granted),
            self.titles(),
            parts.directory.industries(),
            parts.desk.policy,
            lambda mine: daily(mine, month.begin, month.end, parts.zone),
            lambda team: me.admin or team in me.mentor_of,
        )


class ReportTable(Report):
    """``report.csv?month=2026-11``: UTF-8 with a byte-order mark, by which Excel knows it."""

    async def get(self) -> None:
        found = await self.off_loop(self.figures)
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        name = f"accelerators-{found.month.name}.csv"
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        self.finish(table_of(found, self.language))


def table_of(found: Figures, language: str) -> str:
    """All figures as CSV; what a spreadsheet would take for a formula is text."""
    say = gettext_for(language)
    text = io.StringIO()
    text.write("\ufeff")
    table = csv.writer(text)
    table.writerow(
        [
            say(word)
            for word in (
                N_("Month"),
                N_("By"),
                N_("Name"),
                N_("Title"),
                N_("Industry"),
                N_("Accelerator-hours"),
                N_("Weighed hours"),
                N_("Leases"),
                N_("People"),
                N_("Median wait, minutes"),
                N_("95 of 100 waited at most, minutes"),
            )
        ]
    )
    for by, line in _rows(found):
        of_team = by in (TEAM, CLASS)
        title = found.titles.get(line.name, "") if of_team else ""
        row = [
            found.month.name,
            say(by),
            line.name or (say(NO_INDUSTRY) if by == INDUSTRY else ""),
            title,
            found.of.get(line.name, "") if of_team else "",
        ]
        waits = (line.median_wait, line.p95_wait)
        figures_ = [f"{line.hours:.4f}", f"{line.weighed_hours:.4f}", line.leases, line.people]
        minutes = ["" if w is None else f"{w / 60:.1f}" for w in waits]
        table.writerow([*map(plain, row), *figures_, *minutes])
    return text.getvalue()


ALL, TEAM, CLASS = N_("All"), N_("Team"), N_("Class")
INDUSTRY, KIND = N_("Industry"), N_("Accelerator")
NO_INDUSTRY = N_("not said")


def _rows(found: Figures) -> Iterator[tuple[str, Line]]:
    yield ALL, found.all
    for by, of in (
        (TEAM, found.teams),
        (CLASS, found.classes),
        (INDUSTRY, found.industries),
        (KIND, found.kinds),
    ):
        for line in of:
            yield by, line


def plain(cell: str) -> str:
    """A cell that no spreadsheet computes."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell
