"""Rosters as people really send them: good ones in every encoding, and every kind of bad one."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import example, given
from hypothesis import strategies as st

from madang_hub.homes import slug
from madang_hub.people import addresses
from madang_hub.people.accounts import Accounts, unusable
from madang_hub.people.audit import Audit
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, DirectoryError, Membership, Person, Team
from madang_hub.people.intake import Intake, NewAccount
from madang_hub.people.lifetime import Terms
from madang_hub.people.roster import MAX_BYTES, MAX_PEOPLE, Roster, RosterError, Row, read
from madang_hub.people.roster_plan import RESERVED, Plan, Present, made_name, plan
from madang_hub.places import Places

GOOD = "이름,이메일,역할\n김민지,minji@example.org,교육생\n박 현우,hyunwoo@example.org,멘토\n"
PEOPLE = [
    Row(2, "김민지", "minji@example.org", "trainee"),
    Row(3, "박 현우", "hyunwoo@example.org", "mentor"),
]


def faults(data: bytes | str) -> list[tuple[int, str]]:
    """Line and English sentence of everything that is wrong with ``data``."""
    with pytest.raises(RosterError) as error:
        read(data.encode() if isinstance(data, str) else data)
    return [(f.line, f.sentence.text("en")) for f in error.value.faults]


# ---- reading --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        GOOD.encode("utf-8"),
        GOOD.encode("utf-8-sig"),
        GOOD.encode("cp949"),
        GOOD.encode("euc-kr"),
        GOOD.encode("utf-16"),
        b"\xfe\xff" + GOOD.encode("utf-16-be"),
        GOOD.replace("\n", "\r\n").encode("cp949"),
        GOOD.replace("\n", "\r").encode(),
        GOOD.replace(",", ";").encode(),
        GOOD.replace(",", "\t").encode("utf-16"),
        ("sep=;\r\n" + GOOD.replace(",", ";").replace("\n", "\r\n")).encode("cp949"),
        GOOD.rstrip("\n").encode(),
        unicodedata.normalize("NFD", GOOD).encode(),
    ],
    ids=[
        "UTF-8",
        "UTF-8 with a mark",
        "CP949",
        "EUC-KR",
        "UTF-16",
        "UTF-16 big-endian",
        "CP949 CRLF",
        "old Mac line ends",
        "semicolons",
        "Excel's Unicode text",
        "Excel's sep line",
        "no last line end",
        "Hangul in parts, as a Mac writes",
    ],
)
def test_a_roster_is_read_however_a_spreadsheet_wrote_it(data: bytes) -> None:
    shift = data.startswith(b"sep=")
    assert list(read(data).rows) == [replace(row, line=row.line + shift) for row in PEOPLE]


@pytest.mark.parametrize("name", ["똠방각하", "펲시콜라", "설믜", "뷁"])
def test_syllables_that_only_cp949_has_are_read(name: str) -> None:
    data = f"성명,메일\n{name},a@example.org\n".encode("cp949")
    assert read(data).rows[0].name == name


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("이름,이메일,역할,아이디", "김민지,minji@example.org,교육생,minji"),
        ("name,e-mail,role,user name", "김민지,minji@example.org,trainee,minji"),
        ("Name*,E-Mail Address,Role,User_Name", "김민지,minji@example.org,Trainee,minji"),
        (
            "번호,성명(필수),메일 주소,구분,사용자 아이디,역할",
            "1,김민지,minji@example.org,x,minji,수강생",
        ),
        ("email,Ｎａｍｅ,역할,계정", "MINJI@Example.org,김민지,student,MINJI"),
        ('"이름","이메일","역할","아이디"', '" 김민지 ","minji＠example.org",,"minji"'),
    ],
)
def test_columns_have_korean_or_english_names_in_any_order(head: str, line: str) -> None:
    assert list(read(f"{head}\n{line}\n".encode()).rows) == [
        Row(2, "김민지", "minji@example.org", "trainee", "minji")
    ]


def test_columns_that_mean_nothing_are_named() -> None:
    found = read("학번,이름,이메일,연락처\n1,김민지,a@example.org,010\n".encode())
    assert found.unused == ("학번", "연락처")
    hostile = read(f"이름,이메일,\x1b[2J{'x' * 500}\n김,a@example.org,\x1b\n".encode())
    assert hostile.unused == ("?[2J" + "x" * 55 + "…",)


def test_empty_lines_are_passed_over_and_lines_are_counted_in_the_file() -> None:
    data = '\n이름,이메일,비고\n\n,,\n김민지,a@example.org,"두\n줄"\n이서준,없음,\n'
    assert faults(data) == [(7, "없음 is not an e-mail address.")]


def test_without_a_role_people_are_what_the_team_says() -> None:
    assert read("이름,이메일\n김,a@example.org\n".encode(), "member").rows[0].role == "member"


# ---- bad files ------------------------------------------------------------------------------


def test_everything_wrong_is_told_at_once_with_its_line() -> None:
    data = (
        "이름,이메일,역할,아이디\n"
        "김민지,minji@example.org,교육생,\n"
        "이서준,MINJI@example.org,교육생,\n"
        ",kim@example.org,멘토,\n"
        "박하나,,교육생,\n"
        "최지우,choi@example,교육생,\n"
        "한지민,han@example.org,원장,../x\n"
        "=1+1,calc@example.org,교육생,calc\n"
        "윤서,yun@example.org,교육생,calc\n"
        "정, 민수,jung@example.org,교육생,jung\n"
        "강\u202e산,kang@example.org,교육생,\n"
    )
    found = faults(data)
    assert [line for line, _ in found] == [3, 4, 5, 6, 7, 7, 8, 9, 10, 11]
    said = " ".join(s for _, s in found)
    for part in (
        "minji@example.org is in line 2 already",
        "The name is missing",
        "The e-mail address is missing",
        "choi@example is not an e-mail address",
        "Unknown role: 원장. Write one of: trainee, member, mentor",
        "../x cannot be a user name",
        "The name begins with =",
        "calc is in line 8 already",
        "more cells than columns",
        "invisible sign (U+202E) in the column name",
    ):
        assert part in said


@pytest.mark.parametrize("data", [b"", b"\n\r\n", b"\xef\xbb\xbf", b"\xff\xfe", b",,,\n,,\n"])
def test_an_empty_file(data: bytes) -> None:
    assert faults(data) == [(0, "The file is empty.")]


def test_a_file_with_only_the_names_of_columns_does_not_empty_a_class() -> None:
    assert faults("이름,이메일\n") == [
        (0, "There is nobody in the file, only the names of columns.")
    ]


def test_missing_columns_are_named_and_so_are_those_that_were_found() -> None:
    [(line, said)] = faults("2026년 1기 명단,,\n이름,메일,역할\n")
    assert line == 1
    assert "Columns missing: name, e-mail" in said
    assert "2026년 1기 명단" in said
    [(_, said)] = faults("이름,전화,역할\n김,010,멘토\n")
    assert "Columns missing: e-mail." in said
    assert "이름, 전화, 역할" in said


def test_the_same_column_twice() -> None:
    assert faults("이름,이메일,E-mail\nx,a@example.org,b@example.org\n") == [
        (1, "There is more than one column e-mail; keep one.")
    ]


@pytest.mark.parametrize(
    "data", [b"PK\x03\x04rest", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest"], ids=["xlsx", "xls"]
)
def test_an_excel_workbook_is_recognised(data: bytes) -> None:
    assert "Excel workbook" in faults(data)[0][1]


def test_too_large() -> None:
    assert "larger than 1024 KiB" in faults(b"x" * (MAX_BYTES + 1))[0][1]
    lines = "".join(f"사람{i},p{i}@example.org\n" for i in range(MAX_PEOPLE + 1))
    assert "More than 2000 people" in faults("이름,이메일\n" + lines)[-1][1]


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfe\x00", b"name,e-mail\n\x81\xff\xfe\xff,a@example.org\n", bytes(range(128, 256))],
    ids=["odd UTF-16", "no encoding", "noise"],
)
def test_characters_that_nobody_can_read(data: bytes) -> None:
    assert "cannot be read" in faults(data)[0][1]


def test_damaged_utf_8_is_not_taken_for_cp949() -> None:
    data = GOOD.encode()
    damaged = data[: data.index("현우".encode()) + 1] + data[data.index("현우".encode()) + 2 :]
    [(line, said)] = faults(damaged)
    assert line == 3
    assert "damaged" in said


@pytest.mark.parametrize(
    "line",
    ['"김민지,a@example.org', '"김"민지,a@example.org', '김,"a@example.org'],
)
def test_a_quotation_mark_that_is_not_closed(line: str) -> None:
    found = faults(f"이름,이메일\n이서준,b@example.org\n{line}\n박,c@example.org\n")
    assert (3, True) in [(n, "quotation mark" in said) for n, said in found]


@pytest.mark.parametrize("character", "\x00\x07\x1b\u200b\u2066\ufeff\ue000")
def test_invisible_characters(character: str) -> None:
    [(line, said)] = faults(f"이름,이메일\n김{character}민지,a@example.org\n")
    assert (line, f"U+{ord(character):04X}" in said) == (2, True)


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+82", "-2+3", "@SUM(A1)", '=cmd|"/c x"!A0'])
def test_names_that_a_spreadsheet_would_compute(name: str) -> None:
    cell = '"' + name.replace('"', '""') + '"'
    assert "like a formula" in faults(f"이름,이메일\n{cell},a@example.org\n")[0][1]


@pytest.mark.parametrize(
    "address",
    [
        "minji",
        "@example.org",
        "minji@",
        "a@b@example.org",
        "a b@example.org",
        "a..b@example.org",
        ".a@example.org",
        "a.@example.org",
        "a@-x.org",
        "a@x-.org",
        "a@x..org",
        "a@localhost",
        "a@10.0.0.1",
        "=a@example.org",
        "<a@example.org>",
        "김@example.org",
        "a@예제.한국",
        '"a b"@example.org',
        f"{'a' * 65}@example.org",
        f"a@{'x.' * 130}org",
    ],
)
def test_addresses_that_cannot_be(address: str) -> None:
    cell = '"' + address.replace('"', '""') + '"'
    assert "is not an e-mail address" in faults(f"이름,이메일\n김,{cell}\n")[0][1]


@pytest.mark.parametrize(
    "user", ["../x", "김민지", "a/b", "a b", "-a", "a" * 61, "<script>", "a:b", "."]
)
def test_user_names_that_cannot_be(user: str) -> None:
    assert "cannot be a user name" in faults(f"이름,이메일,아이디\n김,a@example.org,{user}\n")[0][1]


def test_sentences_are_short_whatever_stands_in_the_file() -> None:
    for _, said in faults(f"이름,이메일,역할\n김,{'x' * 9000},{'y' * 9000}\n"):
        assert len(said) < 250


@given(st.binary(max_size=400))
@example(b"name,email\n\x00,\x00")
@example(b'"\r\n"')
def test_no_file_does_more_than_be_refused(data: bytes) -> None:
    try:
        found = read(data)
    except RosterError as error:
        told = error.text("ko")
    else:
        told = found.rows[0].email
    assert told


_NAMES = st.text(
    st.characters(
        categories=["Lo", "Ll", "Lu", "Nd"], include_characters=' ,;"\t'.replace("\t", "")
    ),
    min_size=1,
    max_size=40,
).filter(lambda s: s.strip(" ") == s)


@given(st.lists(_NAMES, min_size=1, max_size=8), st.sampled_from([",", ";", "\t"]))
def test_what_a_spreadsheet_writes_comes_back(names: list[str], divider: str) -> None:
    text = io.StringIO()
    table = csv.writer(text, delimiter=divider)
    table.writerow(["이메일", "이름"])
    for number, name in enumerate(names):
        table.writerow([f"p{number}@example.org", name])
    found = read(text.getvalue().encode("utf-8-sig"))
    assert [r.name for r in found.rows] == [unicodedata.normalize("NFC", n) for n in names]


# ---- user names -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("email", "name"),
    [
        ("minji@example.org", "minji"),
        ("kim.minji+class@example.org", "kim.minji"),
        ("o'brien@example.org", "o-brien"),
        ("_x_@example.org", "x"),
        ("a!#$%b@example.org", "a-b"),
        ("++@example.org", "user"),
        (f"{'a' * 64}@example.org", "a" * 32),
        ("admin@example.org", "admin2"),
    ],
)
def test_a_user_name_is_made_from_the_address(email: str, name: str) -> None:
    assert made_name(email, lambda n: n in RESERVED) == name


@given(st.emails(), st.sets(st.text("ab2", min_size=1, max_size=3)))
def test_a_made_name_can_be_used_and_is_nobodys(email: str, used: set[str]) -> None:
    name = made_name(email, lambda n: n in used)
    assert name not in used
    assert not unusable(name)


# ---- planning -------------------------------------------------------------------------------

TODAY = date(2026, 3, 2)
ENDED = datetime(2025, 7, 1, tzinfo=UTC)
CLASS = Team("class:2026-a", "1기", date(2026, 3, 2), date(2026, 6, 30))


def present(
    people: list[Person] | None = None,
    memberships: list[Membership] | None = None,
    teams: list[Team] | None = None,
    accounts: frozenset[str] | None = None,
    homes: frozenset[str] = frozenset(),
    local: bool = True,
) -> Present:
    people = people or []
    names = frozenset(p.name for p in people)
    return Present(
        people,
        teams or [],
        memberships or [],
        names if accounts is None else accounts,
        homes,
        Terms(grace=14, keep=90, admin="operator"),
        TODAY,
        local,
    )


def after(made: Plan, before: Present) -> Present:
    """The directory when ``made`` was carried out."""
    people = {p.name: p for p in before.people} | {p.name: p for p in made.people}
    others = [m for m in before.memberships if (m.team, m.source) != (made.team.name, "roster")]
    own = [Membership(made.team.name, n, r, "roster") for n, r in made.roles.items()]
    return replace(
        before,
        people=list(people.values()),
        teams=[*(t for t in before.teams if t.name != made.team.name), made.team],
        memberships=[*others, *own],
        accounts=before.accounts | set(made.accounts),
    )


def kinds(made: Plan) -> list[tuple[str, str]]:
    return [(c.kind, c.person) for c in made.changes if c.kind != "team"]


def test_a_new_class() -> None:
    made = plan(Roster(tuple(PEOPLE)), CLASS, present())
    assert dict(made.roles) == {"minji": "trainee", "hyunwoo": "mentor"}
    assert made.accounts == ("minji", "hyunwoo")
    assert {p.name: p.expires for p in made.people} == {
        "minji": date(2026, 7, 14),
        "hyunwoo": None,  # mentors have no last day
    }
    lines = made.lines("en")
    assert lines[0] == "class:2026-a is new."
    assert "New: 김민지 (minji, minji@example.org) as trainee." in lines
    assert "hyunwoo gets an account with a one-time password." in lines
    assert "Accounts that work until 2026-07-14: 1." in lines


def test_a_second_import_changes_nothing() -> None:
    before = present()
    made = plan(Roster(tuple(PEOPLE)), CLASS, before)
    again = plan(Roster(tuple(PEOPLE)), CLASS, after(made, before))
    assert again.nothing
    assert again.people == ()
    assert again.accounts == ()
    assert again.lines("en") == ["People who stay as they are: 2.", "There is nothing to change."]


def test_every_kind_of_change() -> None:
    before = present(
        [
            Person("minji", "김민지", "minji@example.org"),
            Person("same", "한결", "same@example.org", expires=date(2026, 7, 14)),
            Person("hyun", "박 현우", "old@example.org"),
            Person("gone", "나간이", "gone@example.org"),
            Person("back", "온이", "back@example.org", ended=ENDED, ended_why="expired"),
        ],
        [
            Membership("class:2026-a", "minji", "trainee", "roster"),
            Membership("class:2026-a", "same", "trainee", "roster"),
            Membership("class:2026-a", "gone", "trainee", "roster"),
            Membership("class:2026-a", "hyun", "trainee", "roster"),
            Membership("class:2026-a", "other", "mentor", "operator"),
        ],
        [replace(CLASS, title="옛 이름", ends=date(2026, 5, 1))],
        frozenset({"minji", "same", "gone", "back"}),
    )
    rows = (
        Row(2, "김민지(A)", "minji@example.org", "mentor"),
        Row(3, "한결", "same@example.org", "trainee"),
        Row(4, "박 현우", "new@example.org", "trainee", "hyun"),
        Row(5, "온이", "back@example.org", "trainee"),
    )
    made = plan(Roster(rows), CLASS, before)
    assert kinds(made) == [
        ("role", "minji"),
        ("name", "minji"),
        ("unchanged", "same"),
        ("email", "hyun"),
        ("account", "hyun"),
        ("returns", "back"),
        ("joins", "back"),
        ("until", ""),
        ("leaves", "gone"),
    ]
    lines = "\n".join(made.lines("en"))
    assert "The title of class:2026-a becomes “1기”." in lines
    assert "The last day of class:2026-a becomes 2026-06-30." in lines
    assert "the role trainee becomes mentor" in lines
    assert "old@example.org becomes new@example.org" in lines
    assert "나간이 (gone) leaves the class" in lines
    back = next(p for p in made.people if p.name == "back")
    assert back.ended is None
    assert back.expires == date(2026, 7, 14)
    assert "other" not in made.roles  # an operator's word stays


def test_two_people_with_the_same_korean_name_are_two() -> None:
    rows = (
        Row(2, "김민지", "minji@a.example.org", "trainee"),
        Row(3, "김민지", "minji@b.example.org", "trainee"),
    )
    assert set(plan(Roster(rows), CLASS, present()).roles) == {"minji", "minji2"}


def test_a_made_name_passes_over_everything_in_use() -> None:
    before = present(
        [Person("minji", "다른 김민지", "other@example.org", ended=ENDED, ended_why="expired")],
        accounts=frozenset({"minji2"}),
        homes=frozenset({slug("minji3")}),
    )
    rows = (
        Row(2, "김민지", "minji@example.org", "trainee"),
        Row(3, "이서준", "seo@example.org", "trainee", "minji4"),
    )
    assert set(plan(Roster(rows), CLASS, before).roles) == {"minji5", "minji4"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (Row(2, "이서준", "new@example.org", "trainee", "ended"), "was given to somebody else"),
        (Row(2, "이서준", "new@example.org", "trainee", "minji"), "was given to somebody else"),
        (Row(2, "이서준", "new@example.org", "trainee", "left"), "was given to somebody else"),
        (Row(2, "이서준", "minji@example.org", "trainee", "seojun"), "belongs to the user minji"),
        (Row(2, "이서준", "new@example.org", "mentor", "admin"), "reserved"),
        (Row(2, "이서준", "new@example.org", "mentor", "operator"), "reserved"),
        (Row(2, "관리자", "new@example.org", "mentor", "chief"), "reserved"),
    ],
)
def test_nobody_gets_another_persons_name_or_address(row: Row, said: str) -> None:
    before = present(
        [
            Person("minji", "김민지", "minji@example.org"),
            Person("ended", "이서준", "old@example.org", ended=ENDED, ended_why="removed"),
            Person("chief", "관리자", None, admin=True),
        ],
        homes=frozenset({slug("left")}),
    )
    with pytest.raises(RosterError, match=said):
        plan(Roster((row,)), CLASS, before)


def test_one_person_by_name_and_by_address_is_told() -> None:
    before = present([Person("minji", "김민지", "minji@example.org")])
    rows = (
        Row(2, "김민지", "minji@example.org", "trainee"),
        Row(3, "김민지", "minji@new.example.org", "trainee", "minji"),
    )
    with pytest.raises(RosterError, match="Line 3: The user name minji is in line 2 already"):
        plan(Roster(rows), CLASS, before)


def test_an_ended_person_comes_back_by_the_address() -> None:
    before = present(
        [Person("ended", "이서준", "old@example.org", ended=ENDED, ended_why="removed")],
        accounts=frozenset(),
    )
    made = plan(Roster((Row(2, "이서준", "old@example.org", "trainee"),)), CLASS, before)
    assert [p.name for p in made.people] == ["ended"]
    assert made.accounts == ("ended",)


def test_with_a_provider_there_are_no_local_accounts() -> None:
    made = plan(Roster(tuple(PEOPLE)), CLASS, present(local=False))
    assert made.accounts == ()
    assert made.people[0].email == "minji@example.org"


def test_a_class_that_is_over_takes_nobody() -> None:
    over = replace(CLASS, starts=None, ends=date(2026, 3, 1))
    with pytest.raises(RosterError, match="was over on 2026-03-01"):
        plan(Roster(tuple(PEOPLE)), over, present())
    with pytest.raises(RosterError, match="comes before the first"):
        plan(Roster(tuple(PEOPLE)), replace(CLASS, starts=date(2026, 7, 1)), present())


_ROWS = st.lists(
    st.builds(
        Row,
        st.just(0),
        st.sampled_from(["김민지", "이서준", "박하나"]),
        st.sampled_from([f"{n}@{d}.org" for n in ("kim", "lee", "admin", "k.i") for d in "ab"]),
        st.sampled_from(["trainee", "mentor"]),
        st.sampled_from(["", "", "kim", "lee", "park"]),
    ),
    min_size=1,
    max_size=6,
    unique_by=(lambda r: r.email, lambda r: r.user or object()),
).map(lambda rows: Roster(tuple(replace(r, line=i) for i, r in enumerate(rows, start=2))))


@given(st.lists(_ROWS, min_size=1, max_size=4))
def test_imports_are_idempotent_and_never_move_a_name_to_another_address_unasked(
    rosters: list[Roster],
) -> None:
    now = present()
    for roster in rosters:
        try:
            made = plan(roster, CLASS, now)
        except RosterError:
            continue  # nothing is changed
        then = after(made, now)
        assert len(made.roles) == len(roster.rows)
        emails = [p.email for p in then.people if p.email]
        assert len(set(emails)) == len(emails)
        assert {p.name for p in now.people} <= {p.name for p in then.people}
        moved = {
            p.name
            for p in then.people
            for q in now.people
            if p.name == q.name and p.email != q.email
        }
        assert moved <= {r.user for r in roster.rows}
        assert plan(roster, CLASS, then).nothing
        now = then


# ---- whose an address is --------------------------------------------------------------------


def test_an_address_ties_only_who_proved_it() -> None:
    people = [
        Person("minji", "김민지", "minji@example.org"),
        Person("kim", "김", "kim@example.org"),
        Person("boss", "관리자", "boss@example.org", admin=True),
        Person("none", "없음", None),
    ]
    found = addresses.owner(people, "Minji@Example.org", verified=True)
    assert found is not None
    assert found.name == "minji"
    assert addresses.owner(people, "minji@example.org", verified=False) is None
    assert addresses.owner(people, "boss@example.org", verified=True) is None
    assert addresses.owner(people, "\u212aim@example.org", verified=True) is None  # Kelvin sign
    assert addresses.owner(people, "", verified=True) is None


# ---- taking it in ---------------------------------------------------------------------------

NOW = datetime(2026, 3, 2, 3, tzinfo=UTC)


def everything(database: Database) -> list[object]:
    """What an import may change."""
    directory = Directory(database)
    accounts = Accounts(database).names()
    return [
        *(directory.people(), directory.teams(), directory.memberships()),
        [a.name for a in accounts],
    ]


def test_taken_in_people_have_accounts_and_the_audit_log_says_who_did_it(
    places: Places, database: Database
) -> None:
    intake = Intake(database, places)
    made = intake.carry_out(intake.plan(GOOD.encode("cp949"), CLASS.name, NOW), NOW, "chief")
    assert [(a.name, a.display_name, a.email) for a in made] == [
        ("minji", "김민지", "minji@example.org"),
        ("hyunwoo", "박 현우", "hyunwoo@example.org"),
    ]
    account = Accounts(database).check("minji", made[0].password)
    assert account is not None
    assert account.one_time
    log = Audit(database).read(team=CLASS.name)
    assert {e.actor for e in log} == {"chief"}
    assert {(e.action, e.subject) for e in log} == {
        ("class.imported", CLASS.name),
        *(
            (action, name)
            for action in ("class.joined", "account.added")
            for name in made_names(made)
        ),
    }
    assert made[0].password not in str(log)
    again = intake.plan(GOOD.encode("utf-16"), CLASS.name, NOW)
    assert again.nothing
    assert intake.carry_out(again, NOW, "chief") == []
    assert len(Audit(database).read(team=CLASS.name)) == len(log)


def made_names(made: list[NewAccount]) -> list[str]:
    return [account.name for account in made]


def test_nothing_is_half_done(
    places: Places, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last thing of an import fails: the accounts. People and class are not there either."""
    intake = Intake(database, places)
    Intake(database, places).carry_out(
        intake.plan("이름,이메일\n한결,gyeol@example.org\n".encode(), "class:other", NOW),
        NOW,
        "chief",
    )
    before = everything(database)
    made = intake.plan(GOOD.encode(), CLASS.name, NOW)
    prepared = Accounts.prepared

    def colliding(
        self: Accounts, names: Sequence[str]
    ) -> tuple[dict[str, str], Callable[[sa.Connection], None]]:
        return prepared(self, [*names, "gyeol"])

    monkeypatch.setattr(Accounts, "prepared", colliding)
    with pytest.raises(DirectoryError, match="Nothing was changed"):
        intake.carry_out(made, NOW, "chief")
    assert everything(database) == before


@pytest.mark.parametrize("meanwhile", ["the name is taken", "the address is taken", "the class"])
def test_a_plan_that_is_out_of_date_is_not_carried_out(
    places: Places, database: Database, meanwhile: str
) -> None:
    intake = Intake(database, places)
    made = intake.plan(GOOD.encode(), CLASS.name, NOW)
    directory = Directory(database)
    if meanwhile == "the name is taken":
        directory.save_people([Person("minji", "다른 사람", "other@example.org")])
    elif meanwhile == "the address is taken":
        directory.save_people([Person("other", "다른 사람", "minji@example.org")])
    else:
        directory.save_team(replace(CLASS, ends=date(2026, 5, 1)))
    before = everything(database)
    with pytest.raises(DirectoryError, match="in the meantime"):
        intake.carry_out(made, NOW, "chief")
    assert everything(database) == before


def test_the_sample_of_the_documentation_is_good() -> None:
    sample = Path(__file__).parents[2] / "docs" / "howto" / "roster-sample.csv"
    found = read(sample.read_bytes())
    assert found.unused == ()
    assert [(r.name, r.role, r.user) for r in found.rows] == [
        ("김민지", "trainee", ""),
        ("이서준", "trainee", "seojun.lee"),
        ("한, 지우", "trainee", ""),
        ("박현우", "mentor", ""),
    ]
