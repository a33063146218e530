"""Classes from the command line on a real Madang: rosters, timetables, last days, archived homes."""

from __future__ import annotations

import csv
import io
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.deployment import ROOT, Deployment
from support.people import Person, visible

from madang_hub.homes import home_of

pytestmark = pytest.mark.timeout(900)

DAY = timedelta(days=1)


def today() -> date:
    """The day it is where Madang is (setting ``timezone``)."""
    return datetime.now(ZoneInfo("Asia/Seoul")).date()


@dataclass
class Operator:
    """Somebody at the command line, in an own folder."""

    deployment: Deployment
    folder: Path

    def types(self, *words: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """``madang WORDS``: exit status, stdout and stderr."""
        done = subprocess.run(
            [str(ROOT / "scripts" / "madang"), *words],
            env=self.deployment.environ,
            input=stdin,
            capture_output=True,
            check=False,
            cwd=self.folder,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def does(self, *words: str, stdin: bytes = b"") -> str:
        """The same, which must work; its stdout."""
        status, out, told = self.types(*words, stdin=stdin)
        assert status == 0, out + told + self.deployment.logs()
        return out

    def roster(self, text: str, encoding: str = "cp949") -> str:
        """A file with this roster."""
        path = self.folder / "roster.csv"
        path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
        return str(path)

    def passwords(self, file: Path) -> dict[str, str]:
        """User name to one-time password in a file that an import wrote."""
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        rows = list(csv.reader(io.StringIO(file.read_text("utf-8-sig"))))
        assert rows[0] == ["Name", "E-mail", "User name", "One-time password"]
        return {row[2]: row[3] for row in rows[1:]}


@pytest.fixture(
    params=[pytest.param("server", marks=pytest.mark.engine), "embedded"], scope="module"
)
def deployment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A Madang of this module's own, in English, where accounts have three days more."""
    if request.param == "server":
        request.getfixturevalue("engine")
    made = Deployment(
        request.param,
        tmp_path_factory.mktemp("classes") / "data",
        network="10.234.0.0/24",
        extra={"MADANG_LANGUAGE": "en", "MADANG_ACCOUNT_GRACE_DAYS": "3"},
    )
    with made.running():
        yield made


RULES = pytest.mark.parametrize(
    "deployment",
    [pytest.param("server", marks=[pytest.mark.engine, pytest.mark.long]), "embedded"],
    indirect=True,
    scope="module",
)
"""A test of rules: in server mode they are asked for on the way that the others prove in both modes."""


@pytest.fixture
def operator(deployment: Deployment, tmp_path: Path) -> Operator:
    return Operator(deployment, tmp_path)


ROSTER = (
    "번호,성명,이메일,구분,역할\n"
    "1,김민지,minji{x}@example.org,A,교육생\n"
    "2,똠방 각하,ddom{x}@example.org,A,\n"
    "3,박 현우,hyunwoo{x}@example.org,B,멘토\n"
)


def test_a_class_is_imported_as_korean_excel_wrote_it(operator: Operator) -> None:
    file = operator.roster(ROSTER.format(x=""))
    words = ["class", "import", file, "--class", "class:2026-a", "--title", "2026년 1기"]
    last = today() + 30 * DAY
    words += [f"--ends={last}"]

    plan = operator.does(*words, "--dry-run")
    assert "class:2026-a is new." in plan
    assert "New: 김민지 (minji, minji@example.org) as trainee." in plan
    assert "New: 박 현우 (hyunwoo, hyunwoo@example.org) as mentor." in plan
    assert f"Accounts that work until {last + 3 * DAY}: 2." in plan
    assert "Columns that are not used: 번호, 구분." in plan
    assert "dry run: nothing was changed" in plan
    assert "2026-a" not in operator.does("class", "list")
    assert "minji" not in operator.does("user", "list")
    assert sorted(p.name for p in operator.folder.iterdir()) == ["roster.csv"]

    done = operator.does(*words)
    found = operator.folder / "one-time-passwords-2026-a.csv"
    assert "Done: class:2026-a has 3 people, 3 of them with a new account." in done
    assert str(found.name) in done
    passwords = operator.passwords(found)
    assert sorted(passwords) == ["ddom", "hyunwoo", "minji"]
    for password in passwords.values():
        assert password not in done
        assert password not in operator.deployment.logs()
    assert "2026년 1기" in operator.does("class", "list")
    shown = operator.does("class", "show", "2026-a")
    assert f"trainee\tddom\t똠방 각하\tddom@example.org\tuntil {last + 3 * DAY}\troster" in shown
    assert "mentor\thyunwoo\t박 현우\thyunwoo@example.org\tno last day\troster" in shown

    again = operator.does(*words)
    assert "There is nothing to change." in again
    assert sorted(p.name for p in operator.folder.iterdir()) == [found.name, "roster.csv"]

    person = Person(operator.deployment, "minji")
    person.join(passwords["minji"])
    assert person.signed_in


def test_a_roster_may_come_by_stdin_and_passwords_go_to_stdout_when_asked(
    operator: Operator,
) -> None:
    text = "name,e-mail\nStdin Kim,stdin@example.org\n"
    status, out, told = operator.types(
        *["class", "import", "-", "--class", "by-stdin", "--passwords", "-"], stdin=text.encode()
    )
    assert status == 0, told
    assert "class:by-stdin is new." in told
    row = list(csv.reader(io.StringIO(out.removeprefix("\ufeff"))))[1]
    assert row[:3] == ["Stdin Kim", "stdin@example.org", "stdin"]
    assert len(row[3]) == 14
    assert list(operator.folder.iterdir()) == []


def test_a_bad_roster_is_refused_whole_with_all_lines(operator: Operator) -> None:
    bad = operator.roster(
        "이름,이메일,역할\n"
        "나중에,later@example.org,교육생\n"
        "이서준,later@example.org,교육생\n"
        "박하나,hana@,교육생\n"
        "=SUM(A1),sum@example.org,원장\n"
        + "".join(f"사람{i},no address,교육생\n" for i in range(30))
    )
    status, out, told = operator.types("class", "import", bad, "--class", "class:bad")
    assert status == 1
    assert out == ""
    assert "nothing was changed:" in told
    for line in ("Line 3: ", "Line 4: ", "Line 5: The name", "Line 5: Unknown role", "Line 35: "):
        assert line in told
    assert "class:bad" not in operator.does("class", "list")
    assert "later" not in operator.does("user", "list")
    assert [p.name for p in operator.folder.iterdir()] == ["roster.csv"]


def test_what_else_cannot_be_imported(operator: Operator) -> None:
    good = operator.roster(ROSTER.format(x="-c"))
    for words, said in (
        ([good, "--class", "class:Ü"], "cannot name a class"),
        ([str(operator.folder / "missing.csv"), "--class", "class:c"], "cannot be read"),
        ([good, "--class", "class:c", "--ends", "2020-01-01"], "was over on 2020-01-01"),
        ([good, "--class", "class:c", "--ends", "soon"], "is no date"),
        ([good, "--class", "class:c", "--passwords", "no/such/folder/x"], "Nothing was changed"),
    ):
        status, _out, told = operator.types("class", "import", *words)
        assert status in (1, 2)
        assert said in told
    assert "class:c" not in operator.does("class", "list")


def test_passwords_never_replace_a_file(operator: Operator) -> None:
    (operator.folder / "one-time-passwords-keep.csv").write_text("precious")
    file = operator.roster(ROSTER.format(x="-k"))
    operator.does("class", "import", file, "--class", "keep")
    assert (operator.folder / "one-time-passwords-keep.csv").read_text() == "precious"
    assert len(operator.passwords(operator.folder / "one-time-passwords-keep-2.csv")) == 3


@RULES
def test_a_timetable_is_set_shown_and_guarded(operator: Operator) -> None:
    file = operator.roster(ROSTER.format(x="-t"))
    operator.does("class", "import", file, "--class", "times", "--passwords", "p.csv")
    assert operator.does("class", "timetable", "times") == "no timetable\n"
    shown = operator.does(
        *["class", "timetable", "class:times", "--add", "월,수 09:00-12:00 lab small"],
        *["--add", "fri 13:00-15:00 lab medium", "--off", "2026-12-25", "--show"],
    )
    assert shown.splitlines()[:4] == [
        "mon 09:00-12:00 lab small",
        "wed 09:00-12:00 lab small",
        "fri 13:00-15:00 lab medium",
        "off 2026-12-25",
    ]
    assert "(Asia/Seoul)" in shown
    for words, said in (
        (["--add", "mon 11:00-13:00 lab small"], "overlap"),
        (["--add", "mon 14:00-13:00 lab small"], "the end must come after"),
        (["--add", "mon 14:00-15:00 nothing small"], "There is no environment 'nothing'"),
        (["--add", "mon 14:00-15:00 lab huge"], "not offered in size 'huge'"),
        (["--remove", "tue 09:00"], "No time of the class begins on tue at 09:00"),
        (["--off", "christmas"], "is no date"),
        (["--add", "tue 10:00-11:00 lab small", "--off", "x"], "is no date"),
    ):
        status, _out, told = operator.types("class", "timetable", "times", *words)
        assert (status, said in told) == (1, True), told
    operator.does("class", "timetable", "times", "--remove", "mon,wed 09:00", "--on", "2026-12-25")
    assert operator.does("class", "show", "times").splitlines()[1] == "fri 13:00-15:00 lab medium"
    assert operator.does("class", "industry", "times", "--set", "교육 ") == "Changed.\n"
    assert operator.does("class", "industry", "times") == "교육\n"
    status, _out, told = operator.types("class", "timetable", "unknown")
    assert status == 1
    assert "There is no class class:unknown" in told


@RULES
def test_accounts_end_with_the_class_and_come_back_with_it(operator: Operator) -> None:
    file = operator.roster(ROSTER.format(x="-e"))
    operator.does("class", "import", file, "--class", "ends", "--passwords", "p.csv")
    passwords = operator.passwords(operator.folder / "p.csv")
    person = Person(operator.deployment, "minji-e", language="en")
    person.join(passwords["minji-e"])
    person.sign_out()

    before = today()
    said = operator.does("class", "end", "ends")
    # a day may begin meanwhile
    until = {f"2 accounts end with it: they work until {d + 3 * DAY}" for d in (before, today())}
    assert any(sentence in said for sentence in until), said
    operator.does("class", "end", "ends", "--on", str(today() - 10 * DAY))
    page = person.sign_in().text
    assert not person.signed_in, visible(page)
    mentor = Person(operator.deployment, "hyunwoo-e")
    mentor.join(passwords["hyunwoo-e"])  # mentors are not concerned

    status, _out, told = operator.types("class", "import", file, "--class", "ends")
    assert status == 1
    assert "was over on" in told
    operator.does("class", "import", file, "--class", "ends", f"--ends={today() + 5 * DAY}")
    person.sign_in()
    assert person.signed_in


def test_a_home_goes_to_the_archive_and_comes_back(operator: Operator) -> None:
    file = operator.roster("이름,이메일\n한결,gyeol@example.org\n")
    operator.does("class", "import", file, "--class", "homes", "--passwords", "p.csv")
    person = Person(operator.deployment, "gyeol")
    person.join(operator.passwords(operator.folder / "p.csv")["gyeol"])
    person.start()
    reply = person.server(
        "PUT",
        "/contents/일지.txt",
        json={
            "type": "file",
            "format": "text",
            "content": "마당",
        },
    )
    assert reply.status_code == 201, reply.text

    status, _out, told = operator.types("home", "archive", "gyeol")
    assert status == 1
    assert "A server of gyeol runs" in told
    person.stop()
    home = home_of(operator.deployment.data / "homes", "gyeol")
    before = (home / "일지.txt").stat()
    operator.does("home", "archive", "gyeol")
    assert not home.exists()
    listed = operator.does("home", "list")
    assert listed.startswith("gyeol\tgyeol-")
    status, _out, told = operator.types("home", "archive", "gyeol")
    assert (status, "There is no home" in told) == (1, True), told

    operator.does("home", "restore", "gyeol")
    after = (home / "일지.txt").stat()
    assert (home / "일지.txt").read_text() == "마당"
    assert (after.st_uid, after.st_mode, after.st_mtime) == (
        *(before.st_uid, before.st_mode, before.st_mtime),
    )
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    person.start()
    reply = person.server("GET", "/contents/일지.txt")
    assert reply.json()["content"] == "마당"
    person.stop()


@RULES
def test_a_second_roster_moves_people_and_touches_no_other_class(operator: Operator) -> None:
    first = operator.roster("이름,이메일\n가람,garam@example.org\n나래,narae@example.org\n")
    operator.does("class", "import", first, "--class", "move-a", "--passwords", "p.csv")
    operator.does("class", "import", first, "--class", "move-b")
    second = operator.roster("이름,이메일,역할\n가람솔,garam@example.org,멘토\n", "utf-16")
    said = operator.does("class", "import", second, "--class", "move-a")
    assert "나래 (narae) leaves the class; files and account stay." in said
    assert "가람솔 (garam): the role trainee becomes mentor." in said
    assert "garam: the name “가람” becomes “가람솔”." in said
    assert "narae" not in operator.does("class", "show", "move-a")
    assert "trainee\tnarae" in operator.does("class", "show", "move-b")
    assert "trainee\tgaram" in operator.does("class", "show", "move-b")
