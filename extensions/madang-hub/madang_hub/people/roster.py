"""Rosters: from the bytes of a file to people. Rules only.

A roster is a table with a line of column names and a line per person, as Excel or another spreadsheet
writes it. :func:`read` gives its rows or everything that is wrong with it, with line numbers.
``roster_plan.py`` says what they change, ``intake.py`` does it.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from madang_hub.people import addresses
from madang_hub.people.accounts import unusable
from madang_hub.people.directory import TeamRole
from madang_hub.people.roster_words import COLUMNS, REQUIRED, ROLE_WORDS, ROLES, Column, heading
from madang_hub.people.sentences import Sentence, Value
from madang_hub.web.i18n import N_, gettext_for

MAX_BYTES = 2**20
MAX_PEOPLE = 2000
MAX_NAME = 100
"""Characters of a person's name."""
MAX_FAULTS = 200
"""So many faults are told; a file with more is not a roster."""


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
    return Roster(tuple(rows), tuple(_short(visible(cell)) for cell in unused))


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
        return sum(heading(part) is not None for part in parts), len(parts)

    return max(",;\t", key=known)


def _columns(line: int, cells: Sequence[str], fault: _Say) -> dict[Column, int]:
    where: dict[Column, int] = {}
    for index, cell in enumerate(cells):
        column = heading(cell)
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
            found=_short(", ".join(visible(c) for c in cells if c), 200),
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
    role = ROLE_WORDS.get(wish.casefold()) if wish else default_role
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


def visible(cell: str) -> str:
    return "".join("?" if _hidden(c) else c for c in cell)


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
