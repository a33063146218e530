"""What a roster would change: its people compared with the directory. Rules only.

:func:`plan` compares what ``roster.py`` read; ``intake.py`` carries a plan out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, get_args

from madang_hub.homes import slug
from madang_hub.people import lifetime
from madang_hub.people.directory import Membership, Person, Team, TeamRole
from madang_hub.people.roster import Fault, Roster, RosterError, Row, visible
from madang_hub.people.roster_words import ROLES
from madang_hub.people.sentences import Sentence, Value
from madang_hub.web.i18n import N_, gettext_for

RESERVED = frozenset(
    (
        "admin",
        "administrator",
        "root",
        "system",
        "madang",
        "operator",
        "hub",
        "jupyterhub",
        "proxy",
        "mlflow",
        "tracking",
        "dashboards",
        "people",
        "service",
        "idle-culler",
        "guest",
        "nobody",
        "anonymous",
        "shared",
        "public",
        "api",
        "login",
        "logout",
        "www",
    )
)
"""User names that a roster gives to nobody: they would look official, or are the stack's own."""

MAX_MADE = 32
"""Characters of a user name that is made from an e-mail address."""


@dataclass(frozen=True)
class Present:
    """What is there now: the whole directory, and which user names are in use beside it.

    ``accounts`` are the names of local accounts, ``homes`` the folders of people's files. ``local`` is
    whether people sign in with local accounts (else a provider knows them, and their address ties them).
    """

    people: Sequence[Person]
    teams: Sequence[Team]
    memberships: Sequence[Membership]
    accounts: frozenset[str]
    homes: frozenset[str]
    terms: lifetime.Terms
    today: date
    local: bool = True


Kind = Literal[
    "team",
    "new",
    "joins",
    "returns",
    "name",
    "email",
    "role",
    "leaves",
    "account",
    "until",
    "unchanged",
]


@dataclass(frozen=True)
class Change:
    """One thing that the roster changes; ``person`` is a user name, or "" where it is about the class.

    ``unchanged`` is the one kind that changes nothing.
    """

    kind: Kind
    person: str
    sentence: Sentence


@dataclass(frozen=True)
class Plan:
    """What an import would do: :meth:`madang_hub.people.intake.Intake.carry_out` does it.

    ``people`` are the records to write, ``roles`` who is what in the class by this roster, ``accounts``
    names that need a local account.
    """

    roster: Roster
    team: Team
    people: tuple[Person, ...]
    roles: Mapping[str, TeamRole]
    accounts: tuple[str, ...]
    changes: tuple[Change, ...]

    @property
    def nothing(self) -> bool:
        """Whether the roster changes nothing."""
        return all(c.kind == "unchanged" for c in self.changes)

    def lines(self, language: str) -> list[str]:
        """The plan in words, a line each: first the class, then people, kind by kind."""
        say = gettext_for(language)
        lines: list[str] = []
        for kind in get_args(Kind):
            of_kind = [c for c in self.changes if c.kind == kind]
            if kind == "unchanged":
                if of_kind:
                    lines.append(
                        say(N_("People who stay as they are: {count}.")).format(count=len(of_kind))
                    )
            else:
                lines += [c.sentence.text(language) for c in of_kind]
        if self.nothing:
            lines.append(say(N_("There is nothing to change.")))
        if self.roster.unused:
            columns = ", ".join(self.roster.unused)
            lines.append(say(N_("Columns that are not used: {columns}.")).format(columns=columns))
        return lines


def plan(roster: Roster, team: Team, present: Present) -> Plan:
    """What making ``team`` have exactly the people of ``roster`` would change.

    ``team`` says how the class is to be (title, first and last day). Who the roster means is found by the
    e-mail address, also people whose access has ended; by the user name only where the roster has that
    column. Members by other sources (a provider, an operator) stay.

    Raises:
        RosterError: a row means somebody else's name or address, or the class is over.
    """
    faults = list(_day_faults(team, present.today))
    by_name = {p.name: p for p in present.people}
    by_email = {p.email: p for p in present.people if p.email}
    names: dict[int, str] = {}
    for row in roster.rows:
        known = by_email.get(row.email)
        if row.user:
            message = _name_fault(row, known, by_name, present)
            if message is not None:
                faults.append(Fault(row.line, message))
            names[row.line] = row.user
        elif known is not None:
            names[row.line] = known.name
    whose: dict[str, int] = {}
    for row in roster.rows:
        name = names.get(row.line)
        if name and (first := whose.setdefault(name, row.line)) != row.line:
            # one by the user name, the other by the address
            faults.append(
                Fault(
                    row.line,
                    Sentence(
                        N_(
                            "The user name {name} is in line {other} already; each person needs another."
                        ),
                        {"name": name, "other": first},
                    ),
                )
            )
    if faults:
        raise RosterError(faults)
    used = {*by_name, *present.accounts, *whose, *RESERVED, present.terms.admin}
    for row in roster.rows:
        if row.line not in names:
            name = made_name(row.email, lambda n: n in used or slug(n) in present.homes)
            names[row.line] = name
            used.add(name)
    return _compare(roster, team, present, names, by_name)


def _day_faults(team: Team, today: date) -> Iterator[Fault]:
    if team.starts is not None and team.ends is not None and team.ends < team.starts:
        yield Fault(
            0,
            Sentence(
                N_("The last day, {ends}, comes before the first, {starts}."),
                {"starts": team.starts, "ends": team.ends},
            ),
        )
    elif team.ends is not None and team.ends < today:
        yield Fault(
            0,
            Sentence(
                N_("{team} was over on {day}. Give it a later last day, or use another class."),
                {"team": team.name, "day": team.ends},
            ),
        )


def _name_fault(
    row: Row, known: Person | None, by_name: Mapping[str, Person], present: Present
) -> Sentence | None:
    """Why ``row`` cannot have the user name that it asks for; ``known`` has its e-mail address."""
    name = row.user
    if known is not None:
        if known.name == name:
            return None
        return Sentence(
            N_("The e-mail address {email} belongs to the user {name}; a user name never changes."),
            {"email": row.email, "name": known.name},
        )
    other = by_name.get(name)
    if name in RESERVED or name == present.terms.admin or (other is not None and other.admin):
        return Sentence(N_("The user name {name} is reserved; choose another."), {"name": name})
    if other is not None:
        # the same person with a new address, unless the name says otherwise
        if other.ended is None and (other.email is None or other.display_name == row.name):
            return None
    elif name in present.accounts or slug(name) not in present.homes:
        return None
    return Sentence(
        N_(
            "The user name {name} was given to somebody else; names are never given again. Choose another, "
            "or leave the cell empty to get one."
        ),
        {"name": name},
    )


def made_name(email: str, used: Callable[[str], bool]) -> str:
    """A user name from the local part of ``email`` that ``used`` says is free.

    ``kim.minji+class@…`` gives ``kim.minji``; other signs become ``-``; a name that is in use gets a
    number at the end (``kim.minji2``).
    """
    local = email.rpartition("@")[0].split("+")[0].lower()
    stem = re.sub(r"[^a-z0-9._-]+", "-", local)
    stem = re.sub(r"([._-])[._-]+", r"\1", stem).strip("._-")[:MAX_MADE].rstrip("._-") or "user"
    candidate, number = stem, 1
    while used(candidate):
        number += 1
        candidate = f"{stem}{number}"
    return candidate


def _compare(
    roster: Roster,
    team: Team,
    present: Present,
    names: Mapping[int, str],
    by_name: Mapping[str, Person],
) -> Plan:
    changes = list(
        _team_changes(team, next((t for t in present.teams if t.name == team.name), None))
    )
    teams = {**{t.name: t for t in present.teams}, team.name: team}
    had = {m.person: m.role for m in present.memberships if _of_roster(m, team)}
    of: dict[str, list[Membership]] = {}
    for membership in present.memberships:
        if not _of_roster(membership, team):
            of.setdefault(membership.person, []).append(membership)
    people: list[Person] = []
    roles: dict[str, TeamRole] = {}
    accounts: list[str] = []
    until: dict[date | None, int] = {}
    for row in roster.rows:
        name = names[row.line]
        old = by_name.get(name)
        new = replace(
            old or Person(name), display_name=row.name, email=row.email, ended=None, ended_why=""
        )
        now_in = [*of.get(name, ()), Membership(team.name, name, row.role, "roster")]
        new = replace(new, expires=lifetime.works_until(new, now_in, teams, present.terms))
        own = list(_person_changes(row, old, new, had.get(name)))
        if present.local and name not in present.accounts:
            accounts.append(name)
            own.append(
                Change(
                    "account",
                    name,
                    Sentence(
                        N_("{name} gets an account with a one-time password."), {"name": name}
                    ),
                )
            )
        if new.expires != (old.expires if old else None):
            until[new.expires] = until.get(new.expires, 0) + 1
        elif not own:
            who = Sentence("{display} ({name})", {"display": new.display_name, "name": name})
            own.append(Change("unchanged", name, who))
        if new != old:
            people.append(new)
        roles[name] = row.role
        changes += own
    for day, count in until.items():
        changes.append(
            Change(
                "until",
                "",
                Sentence(
                    N_("Accounts that work until {day}: {count}.")
                    if day
                    else N_("Accounts without a last day from now on: {count}."),
                    {"count": count, "day": day or ""},
                ),
            )
        )
    for name in sorted(set(had) - set(roles)):
        values = {"name": name, "display": by_name[name].display_name if name in by_name else name}
        changes.append(
            Change(
                "leaves",
                name,
                Sentence(
                    N_("{display} ({name}) leaves the class; files and account stay."), values
                ),
            )
        )
    return Plan(roster, team, tuple(people), roles, tuple(accounts), tuple(changes))


def _of_roster(membership: Membership, team: Team) -> bool:
    return membership.team == team.name and membership.source == "roster"


def _team_changes(new: Team, old: Team | None) -> Iterator[Change]:
    def change(message: str, **values: Value) -> Change:
        return Change("team", "", Sentence(message, {"team": new.name, **values}))

    if old is None:
        yield change(N_("{team} is new."))
    if new.title != (old.title if old else ""):
        yield change(N_("The title of {team} becomes “{title}”."), title=new.title)
    if new.starts is not None and new.starts != (old.starts if old else None):
        yield change(N_("The first day of {team} becomes {day}."), day=new.starts)
    if new.ends is not None and new.ends != (old.ends if old else None):
        yield change(N_("The last day of {team} becomes {day}."), day=new.ends)


def _person_changes(
    row: Row, old: Person | None, new: Person, had: TeamRole | None
) -> Iterator[Change]:
    def change(kind: Kind, message: str, **values: Value) -> Change:
        values = {"name": new.name, "display": new.display_name, **values}
        return Change(kind, new.name, Sentence(message, values))

    if old is None:
        yield change(
            "new",
            N_("New: {display} ({name}, {email}) as {role}."),
            email=row.email,
            role=ROLES[row.role],
        )
        return
    if old.ended is not None:
        yield change(
            "returns",
            N_(
                "{display} ({name}), whose access ended on {day}, gets it again. Archived files come back by "
                "“madang home restore {name}”."
            ),
            day=old.ended.date(),
        )
    if had is None:
        yield change(
            "joins", N_("Into the class: {display} ({name}) as {role}."), role=ROLES[row.role]
        )
    elif had != row.role:
        yield change(
            "role",
            N_("{display} ({name}): the role {old} becomes {new}."),
            old=ROLES[had],
            new=ROLES[row.role],
        )
    if old.display_name != new.display_name:
        yield change(
            "name",
            N_("{name}: the name “{old}” becomes “{display}”."),
            old=visible(old.display_name),
        )
    if old.email != new.email:
        yield change(
            "email",
            N_("{display} ({name}): the e-mail address {old} becomes {new}."),
            old=old.email or "–",
            new=row.email,
        )
