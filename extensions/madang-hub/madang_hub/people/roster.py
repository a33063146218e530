"""Rosters: from the bytes of a file to people, and from people to what would change. Rules only.

A roster is a table with a line of column names and a line per person, as Excel or another spreadsheet
writes it. :func:`read` gives its rows or everything that is wrong with it, with line numbers; :func:`plan`
compares the rows with the directory. ``intake.py`` carries a plan out.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, get_args

from madang_hub.catalog import Text
from madang_hub.homes import slug
from madang_hub.people import addresses, lifetime
from madang_hub.people.accounts import unusable
from madang_hub.people.directory import Membership, Person, Team, TeamRole
from madang_hub.people.sentences import Sentence, Value
from madang_hub.web.i18n import N_, gettext_for

MAX_BYTES = 2**20
MAX_PEOPLE = 2000
MAX_NAME = 100
"""Characters of a person's name."""
MAX_MADE = 32
"""Characters of a user name that is made from an e-mail address."""
MAX_FAULTS = 200
"""So many faults are told; a file with more is not a roster."""

Column = Literal["name", "email", "role", "user"]

COLUMNS: Mapping[Column, Text] = {
    "name": Text(ko="이름", en="name"),
    "email": Text(ko="이메일", en="e-mail"),
    "role": Text(ko="역할", en="role"),
    "user": Text(ko="사용자 이름", en="user name"),
}
REQUIRED: tuple[Column, ...] = ("name", "email")

_HEADINGS: Mapping[str, Column] = {
    **dict.fromkeys(("이름", "성명", "성함", "name", "fullname", "displayname"), "name"),
    **dict.fromkeys(
        (
            "이메일",
            "이메일주소",
            "메일",
            "메일주소",
            "전자우편",
            "전자우편주소",
            "email",
            "emailaddress",
            "mail",
        ),
        "email",
    ),
    **dict.fromkeys(("역할", "role"), "role"),
    **dict.fromkeys(
        (
            "아이디",
            "사용자이름",
            "사용자명",
            "사용자아이디",
            "계정",
            "username",
            "userid",
            "user",
            "login",
        ),
        "user",
    ),
}
"""Column names as people write them: in small letters, without spaces and signs."""

ROLES: Mapping[TeamRole, Text] = {
    "trainee": Text(ko="교육생", en="trainee"),
    "member": Text(ko="구성원", en="member"),
    "mentor": Text(ko="멘토", en="mentor"),
}
_ROLE_WORDS: Mapping[str, TeamRole] = {
    **dict.fromkeys(("교육생", "수강생", "학생", "trainee", "student"), "trainee"),
    **dict.fromkeys(("구성원", "팀원", "member"), "member"),
    **dict.fromkeys(("멘토", "강사", "mentor", "instructor"), "mentor"),
}

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


@dataclass(frozen=True)
class Row:
    """One person of a roster; ``user`` is the wished user name, or ""."""

    line: int
    name: str
    email: str
    role: TeamRole
    user: str = ""


@dataclass(frozen=True)
class Fault:
    """What is wrong in ``line`` (from 1; 0: with the file as a whole)."""

    line: int
    sentence: Sentence

    def text(self, language: str) -> str:
        """The fault in words, with its line."""
        words = self.sentence.text(language)
        if not self.line:
            return words
        return gettext_for(language)(N_("Line {line}: {fault}")).format(line=self.line, fault=words)


class RosterError(ValueError):
    """The roster cannot be used; ``faults`` are all that was found. Nothing was changed."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda f: f.line))[:MAX_FAULTS]
        super().__init__("\n".join(f.text("en") for f in self.faults))

    def text(self, language: str) -> str:
        """All faults, a line each."""
        return "\n".join(f.text(language) for f in self.faults)


# ---- reading --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Roster:
    """A good roster: its people, and the names of columns that mean nothing here."""

    rows: tuple[Row, ...]
    unused: tuple[str, ...] = ()


def read(data: bytes, default_role: TeamRole = "trainee") -> Roster:
    """The people of the file ``data``.

    The file may be UTF-8 (with or without a byte-order mark), CP949/EUC-KR as Korean Excel writes it, or
    UTF-16 as Excel's "Unicode text"; cells are divided by comma, semicolon or tab; empty lines are passed
    over; the order of columns is free and columns with other names are not used. Without a role the
    person is ``default_role``.

    Raises:
        RosterError: everything that is wrong, all at once.
    """
    faults: list[Fault] = []

    def fault(line: int, message: str, **values: Value) -> None:
        faults.append(Fault(line, Sentence(message, values)))

    lines = _lines(_text(data), fault)
    head = next(lines, None)
    if head is None:
        if not faults:
            fault(0, N_("The file is empty."))
        raise RosterError(faults)
    where = _columns(*head, fault)
    if faults:
        raise RosterError(faults)
    rows: list[Row] = []
    emails: dict[str, int] = {}
    users: dict[str, int] = {}
    people = 0
    for line, cells in lines:
        people += 1
        if people > MAX_PEOPLE:
            fault(
                0,
                N_("More than {limit} people in one file: divide it into several classes."),
                limit=MAX_PEOPLE,
            )
            break
        before = len(faults)
        row = _row(line, cells, where, len(head[1]), default_role, fault)
        if row.email and (first := emails.setdefault(row.email, line)) != line:
            fault(
                line,
                N_(
                    "The e-mail address {email} is in line {other} already; each person needs another."
                ),
                email=row.email,
                other=first,
            )
        if row.user and (first := users.setdefault(row.user, line)) != line:
            fault(
                line,
                N_("The user name {name} is in line {other} already; each person needs another."),
                name=row.user,
                other=first,
            )
        if len(faults) == before:
            rows.append(row)
    if not people and not faults:
        fault(0, N_("There is nobody in the file, only the names of columns."))
    if faults:
        raise RosterError(faults)
    known = set(where.values())
    unused = [cell for i, cell in enumerate(head[1]) if cell and i not in known]
    return Roster(tuple(rows), tuple(_short(_visible(cell)) for cell in unused))


_Say = Callable[..., None]


def _text(data: bytes) -> str:
    """The characters of the file; see :func:`read` for the encodings."""

    def refuse(message: str, line: int = 0, **values: Value) -> RosterError:
        return RosterError([Fault(line, Sentence(message, values))])

    if len(data) > MAX_BYTES:
        raise refuse(
            N_("The file is larger than {limit} KiB, which no roster is. Is it the right file?"),
            limit=MAX_BYTES // 1024,
        )
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
        raise refuse(
            N_("This is an Excel workbook. In Excel, save it as “CSV UTF-8” and use that file.")
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            raise refuse(_UNREADABLE) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Korean in CP949 never looks like Hangul in UTF-8: where there is some, UTF-8 was meant
        likely = data.decode("utf-8", "replace")
        hangul = sum("가" <= c <= "힣" for c in likely)
        if data.startswith(b"\xef\xbb\xbf") or hangul > likely.count("\ufffd"):
            raise refuse(
                N_("A character cannot be read (the file is UTF-8, but damaged here)."),
                line=data.count(b"\n", 0, error.start) + 1,
            ) from None
    try:
        return data.decode("cp949")
    except UnicodeDecodeError:
        raise refuse(_UNREADABLE) from None


_UNREADABLE = N_(
    "The characters of the file cannot be read: it is not UTF-8, CP949 or UTF-16. In Excel, save it as "
    "“CSV UTF-8”."
)


def _lines(text: str, fault: _Say) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line and cells of each line that is not empty, the columns' names first."""
    text = text.removeprefix("\ufeff")
    skipped = 0
    if told := re.match(r"sep=([,;\t])\r?\n", text):  # Excel's own way to say it
        divider, text, skipped = told[1], text[told.end() :], 1
    else:
        divider = _divider(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=divider, strict=True)
    while True:
        line = reader.line_num + 1 + skipped
        try:
            cells = next(reader, None)
        except csv.Error:
            fault(
                line,
                N_(
                    "A quotation mark is not closed, or stands in the middle of a cell. The lines after it "
                    "were not read."
                ),
            )
            return
        if cells is None:
            return
        # a Mac writes Hangul in parts, which would compare as other names
        cells = [unicodedata.normalize("NFC", cell).strip(" \u00a0\u3000") for cell in cells]
        if any(cells):
            yield line, cells


def _divider(text: str) -> str:
    """What divides the cells: the sign with which the first line has most known columns."""
    first = next((line for line in text.splitlines() if line.strip(',;\t" ')), "")

    def known(sign: str) -> tuple[int, int]:
        parts = [part.strip('" ') for part in first.split(sign)]
        return sum(_heading(part) is not None for part in parts), len(parts)

    return max(",;\t", key=known)


def _heading(cell: str) -> Column | None:
    """Which column ``cell`` names, however it is written: ``E-Mail``, ``이메일 (필수)``, ``사용자 이름*``."""
    text = unicodedata.normalize("NFKC", cell).casefold()
    text = re.sub(r"\(.*?\)", "", text)
    return _HEADINGS.get("".join(c for c in text if c.isalnum()))


def _columns(line: int, cells: Sequence[str], fault: _Say) -> dict[Column, int]:
    where: dict[Column, int] = {}
    for index, cell in enumerate(cells):
        column = _heading(cell)
        if column is None:
            continue
        if column in where:
            fault(
                line,
                N_("There is more than one column {column}; keep one."),
                column=COLUMNS[column],
            )
        where.setdefault(column, index)
    missing = tuple(COLUMNS[c] for c in REQUIRED if c not in where)
    if missing:
        fault(
            line,
            N_(
                "Columns missing: {missing}. The first line must hold the names of the columns; it holds: "
                "{found}."
            ),
            missing=missing,
            found=_short(", ".join(_visible(c) for c in cells if c), 200),
        )
    return where


def _row(
    line: int,
    cells: Sequence[str],
    where: Mapping[Column, int],
    width: int,
    default_role: TeamRole,
    fault: _Say,
) -> Row:
    """The person in one line; what is wrong goes to ``fault`` and is empty in the row."""
    if any(cells[width:]):
        fault(
            line,
            N_(
                "There are more cells than columns; put a cell with a comma in it between quotation marks."
            ),
        )
        # what stands in which column is anybody's guess
        return Row(line, "", "", default_role)
    good: dict[Column, str] = {}
    for column, index in where.items():
        cell = cells[index] if index < len(cells) else ""
        if sign := _hidden(cell):
            fault(
                line,
                N_(
                    "There is an invisible sign ({code}) in the column {column}; type that cell anew."
                ),
                code=f"U+{ord(sign):04X}",
                column=COLUMNS[column],
            )
        else:
            good[column] = cell
    name = good.get("name", "")
    if not name and "name" in good:
        fault(line, N_("The name is missing."))
    elif name[:1] in tuple("=+-@"):
        fault(
            line,
            N_(
                "The name begins with {sign} like a formula of a spreadsheet; write the name itself."
            ),
            sign=name[0],
        )
    elif len(name) > MAX_NAME:
        fault(line, N_("The name is longer than {limit} characters."), limit=MAX_NAME)
    # Korean keyboards also type the wide forms of @ and of letters
    email = addresses.normal(unicodedata.normalize("NFKC", good.get("email", "")))
    if not email and "email" in good:
        fault(line, N_("The e-mail address is missing."))
    elif email and not addresses.usable(email):
        fault(line, N_("{email} is not an e-mail address."), email=_short(email))
        email = ""
    wish = good.get("role", "")
    role = _ROLE_WORDS.get(wish.casefold()) if wish else default_role
    if role is None:
        fault(
            line,
            N_("Unknown role: {role}. Write one of: {roles}."),
            role=_short(wish),
            roles=tuple(ROLES.values()),
        )
    user = good.get("user", "").lower()
    if user and unusable(user):
        fault(
            line,
            N_(
                "{name} cannot be a user name: use letters a to z, digits, '.', '_' and '-', beginning with a "
                "letter or digit, at most 60."
            ),
            name=_short(user),
        )
        user = ""
    return Row(line, name, email, role or default_role, user)


def _hidden(cell: str) -> str | None:
    """The first character of ``cell`` that nobody sees or that changes how others are shown."""
    for character in cell:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            return character
    return None


def _visible(cell: str) -> str:
    return "".join("?" if _hidden(c) else c for c in cell)


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


# ---- planning -------------------------------------------------------------------------------


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
            old=_visible(old.display_name),
        )
    if old.email != new.email:
        yield change(
            "email",
            N_("{display} ({name}): the e-mail address {old} becomes {new}."),
            old=old.email or "–",
            new=row.email,
        )
