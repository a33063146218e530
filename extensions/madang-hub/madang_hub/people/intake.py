"""Takes a roster in: the directory's present state for the rules in ``roster_plan.py``, and what they plan.

One object for the command line (``madang class import``) and the page. Every method blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from madang_hub.people import lifetime, roster, roster_plan
from madang_hub.people.accounts import Accounts
from madang_hub.people.audit import Audit
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, DirectoryError, Team
from madang_hub.people.roles import TEAM
from madang_hub.people.sentences import Sentence
from madang_hub.places import Places
from madang_hub.settings import Settings
from madang_hub.web.i18n import N_


@dataclass(frozen=True)
class NewAccount:
    """A local account that was made; ``password`` works once."""

    name: str
    display_name: str
    email: str
    password: str


class Intake:
    """Reads rosters against the directory and carries plans out."""

    def __init__(self, database: Database, places: Places) -> None:
        self._places = places
        self._directory = Directory(database)
        self._accounts = Accounts(database)
        self._audit = Audit(database)

    def present(self, now: datetime) -> roster_plan.Present:
        """What is there at ``now``."""
        homes = self._places.homes
        settings = self._places.settings
        return roster_plan.Present(
            people=self._directory.people(),
            teams=self._directory.teams(),
            memberships=self._directory.memberships(),
            accounts=frozenset(a.name for a in self._accounts.names()),
            homes=frozenset(p.name for p in homes.iterdir()) if homes.is_dir() else frozenset(),
            terms=terms(settings),
            today=now.astimezone(ZoneInfo(settings.timezone)).date(),
            local=local_accounts(settings),
        )

    def plan(
        self,
        data: bytes,
        team: str,
        now: datetime,
        *,
        title: str | None = None,
        starts: date | None = None,
        ends: date | None = None,
    ) -> roster_plan.Plan:
        """What importing the file ``data`` into ``team`` would change; changes nothing.

        ``title``, ``starts`` and ``ends`` (first and last day) are as they are where None.

        Raises:
            roster.RosterError: everything that is wrong with the file.
        """
        if not TEAM.fullmatch(team):
            wrong = Sentence(
                N_(
                    "{name} cannot name a class: write class: and then small letters, digits and hyphens, "
                    "like class:2026-a."
                ),
                {"name": team[:60]},
            )
            raise roster.RosterError([roster.Fault(0, wrong)])
        found = roster.read(data, "trainee" if team.startswith("class:") else "member")
        wanted = self._directory.team(team) or Team(team)
        wanted = replace(
            wanted,
            title=wanted.title if title is None else title.strip(),
            starts=starts or wanted.starts,
            ends=ends or wanted.ends,
        )
        return roster_plan.plan(found, wanted, self.present(now))

    def carry_out(self, plan: roster_plan.Plan, now: datetime, actor: str) -> list[NewAccount]:
        """Do all of ``plan`` or nothing; the new accounts with their one-time passwords.

        Takes 0.2 s a new account for hashing. ``actor`` is who does it, for the audit log.

        Raises:
            DirectoryError: nothing was changed, since somebody changed something else meanwhile.
        """
        if plan.nothing:
            return []
        passwords, add_accounts = self._accounts.prepared(plan.accounts)
        # names were free when the plan was made, and still must be
        try:
            same = roster_plan.plan(plan.roster, plan.team, self.present(now)) == plan
        except roster.RosterError:
            same = False
        if not same:
            raise DirectoryError(
                "Nothing was changed: people or classes were changed in the meantime. Look at a new dry run "
                "and import again."
            )
        self._directory.import_team(plan.team, plan.people, plan.roles, also=add_accounts)
        team = plan.team.name
        self._audit.write(
            now,
            actor,
            "class.imported",
            team,
            team=team,
            people=len(plan.roles),
            accounts=len(passwords),
        )
        actions = {
            "new": "class.joined",
            "joins": "class.joined",
            "returns": "account.restored",
            "role": "class.role",
            "leaves": "class.left",
            "account": "account.added",
        }
        for change in plan.changes:
            if action := actions.get(change.kind):
                role = plan.roles.get(change.person, "")
                self._audit.write(now, actor, action, change.person, team=team, role=role)
        display = {row.email: row.name for row in plan.roster.rows}
        email = {p.name: p.email or "" for p in self._directory.people()}
        return [
            NewAccount(name, display.get(email[name], ""), email[name], password)
            for name, password in passwords.items()
        ]

    def set_last_day(self, team: Team, day: date, now: datetime, actor: str) -> int:
        """The last day of ``team`` is ``day``, and so of accounts that end with it; how many those are."""
        present = self.present(now)
        team = replace(team, ends=day)
        teams = {**{t.name: t for t in present.teams}, team.name: team}
        own = [m for m in present.memberships if m.team == team.name]
        changed, count = [], 0
        for person in present.people:
            if person.name not in {m.person for m in own} or person.ended is not None:
                continue
            theirs = [m for m in present.memberships if m.person == person.name]
            until = lifetime.works_until(person, theirs, teams, present.terms)
            count += until == day + timedelta(days=present.terms.grace)
            if until != person.expires:
                changed.append(replace(person, expires=until))
        self._directory.save_team(team)
        self._directory.save_people(changed)
        self._audit.write(now, actor, "class.last-day", team.name, team=team.name, day=str(day))
        return count


def local_accounts(settings: Settings) -> bool:
    """Whether people sign in with local accounts; else a provider knows them."""
    return getattr(settings, "sign_in", "local") == "local"


def terms(settings: Settings) -> lifetime.Terms:
    """How long accounts and homes stay, as the operator set it."""
    return lifetime.Terms(
        grace=settings.account_grace_days, keep=settings.archive_keep_days, admin=settings.admin
    )
