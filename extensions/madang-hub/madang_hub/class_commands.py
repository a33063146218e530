"""``madang class …``: rosters, timetables, industries, the end of classes."""

from __future__ import annotations

import argparse
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import TextIO

from madang_hub.catalog import Catalog
from madang_hub.desk import CommandError, Desk, again, open_desk, outside
from madang_hub.installation import Add, Command, Installation
from madang_hub.password_file import PasswordFile, password_list
from madang_hub.people import roster, timetable
from madang_hub.people.directory import Person, Team
from madang_hub.people.enrolment import STACK
from madang_hub.people.intake import Intake, terms
from madang_hub.people.roles import TEAM
from madang_hub.people.timetable import Timetable, TimetableError
from madang_hub.shelf.offered import offered
from madang_hub.web.i18n import N_, gettext_for

MAX_INDUSTRY = 100
"""Characters."""


def team_name(text: str) -> str:
    """``class:2026-a`` of ``class:2026-a`` or ``2026-a``; a firm is written in full, ``team:…``.

    Raises:
        CommandError: it is no name of a team.
    """
    name = text if ":" in text else f"class:{text}"
    if not TEAM.fullmatch(name):
        raise CommandError(
            f"{text!r} cannot name a class: write class: and then small letters, digits and hyphens, like "
            "class:2026-a."
        )
    return name


def _team(here: Desk, name: str) -> Team:
    found = here.directory.team(team_name(name))
    if found is None:
        raise CommandError(f"There is no class {team_name(name)}; 'madang class list' shows all.")
    return found


def _day(text: str) -> date:
    try:
        return timetable.parse_date(text)
    except TimetableError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


# ---- import ---------------------------------------------------------------------------------


def import_roster(args: argparse.Namespace, installation: Installation) -> int:
    """Make a class and its accounts from a roster, or bring them up to date."""
    name = team_name(args.team)
    data = _read(args.file)
    to_stdout = args.passwords == "-"  # no password
    if args.dry_run or to_stdout:
        return _import(args, installation, name, data, sys.stdout)
    with PasswordFile(args.passwords or f"one-time-passwords-{name.partition(':')[2]}.csv") as file:
        return _import(args, installation, name, data, file)


def _read(file: str) -> bytes:
    """The roster; a little more than is allowed, so that a huge file is not read."""
    if file == "-":
        return sys.stdin.buffer.read(roster.MAX_BYTES + 1)
    try:
        with Path(file).open("rb") as opened:
            return opened.read(roster.MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error


def _import(
    args: argparse.Namespace, installation: Installation, name: str, data: bytes, out: TextIO
) -> int:
    """Import ``data`` into ``name``; one-time passwords go to ``out``."""
    if outside(installation):
        words = ["class", "import", "-", "--class", name]
        words += [] if args.title is None else [f"--title={args.title}"]
        words += [f"--starts={args.starts}"] if args.starts else []
        words += [f"--ends={args.ends}"] if args.ends else []
        words += ["--dry-run"] if args.dry_run else ["--passwords", "-"]
        if args.dry_run:
            return again(installation, words, data)
        if out is not sys.stdout:
            return again(installation, words, data, out)
        return again(installation, words, data)
    report = sys.stderr if out is sys.stdout and not args.dry_run else sys.stdout
    with open_desk(installation) as here:
        language = here.settings.language
        say = gettext_for(language)
        intake = Intake(here.database, here.places)
        try:
            plan = intake.plan(
                data, name, here.now, title=args.title, starts=args.starts, ends=args.ends
            )
        except roster.RosterError as error:
            raise CommandError(
                say(N_("The roster cannot be used, and nothing was changed:"))
                + "\n"
                + error.text(language)
            ) from error
        print("\n".join(plan.lines(language)), file=report)
        if plan.nothing:
            return 0
        if args.dry_run:
            print(say(N_("This was a dry run: nothing was changed.")), file=report)
            return 0
        made = intake.carry_out(plan, here.now, STACK)
        if made:
            out.write(password_list(made, language))
        print(
            say(
                N_("Done: {team} has {people} people, {accounts} of them with a new account.")
            ).format(team=name, people=len(plan.roles), accounts=len(made)),
            file=report,
        )
    return 0


# ---- list, show, timetable, end -------------------------------------------------------------


def list_classes(args: argparse.Namespace, installation: Installation) -> int:
    """All classes and firms: name, title, first and last day, people, next time."""
    if outside(installation):
        return again(installation, ["class", "list"])
    with open_desk(installation) as here:
        teams = here.directory.teams()
        tables = here.classes.timetables(teams)
        people: dict[str, list[str]] = {}
        for membership in here.directory.memberships():
            people.setdefault(membership.team, []).append(membership.role)
        for team in teams:
            roles = people.get(team.name, [])
            mentors = roles.count("mentor")
            meeting = tables[team.name].next_meeting(here.now)
            words = [
                team.name,
                team.title or "–",
                f"{team.starts or ''}..{team.ends or ''}",
                f"{len(roles) - mentors} people",
                f"{mentors} mentors",
                f"next {here.moment(meeting.begin)}" if meeting else "no next time",
            ]
            print("\t".join(words))
    return 0


def show(args: argparse.Namespace, installation: Installation) -> int:
    """One class: its days, timetable and people."""
    if outside(installation):
        return again(installation, ["class", "show", args.team])
    with open_desk(installation) as here:
        team = _team(here, args.team)
        people = {p.name: p for p in here.directory.people()}
        print(f"{team.name}\t{team.title or '–'}\t{team.starts or ''}..{team.ends or ''}")
        _print_timetable(here, here.classes.timetable(team))
        for m in here.directory.memberships(team=team.name):
            person = people.get(m.person, Person(m.person))
            until = f"until {person.expires}" if person.expires else "no last day"
            state = until if person.ended is None else f"ended {person.ended:%Y-%m-%d}"
            words = [m.role, m.person, person.display_name, person.email or "–", state, m.source]
            print("\t".join(words))
    return 0


def _print_timetable(here: Desk, table: Timetable) -> None:
    language = here.settings.language
    for weekly in table.weekly:
        print(weekly.text(language))
    for day in sorted(table.off):
        print(f"off {day}")
    meeting = table.meeting_at(here.now)
    over = table.over_at(here.now)
    if meeting and over:
        print(f"now until {here.moment(over)} ({here.zone.key})")
    following = table.next_meeting(here.now)
    if following:
        print(f"next {here.moment(following.begin)} ({here.zone.key})")
    elif not table.weekly:
        print("no timetable")


def change_timetable(args: argparse.Namespace, installation: Installation) -> int:
    """Show or change when a class meets; all changes of one call together or none."""
    if outside(installation):
        words = ["class", "timetable", args.team]
        for option in ("add", "remove", "off", "on"):
            words += [f"--{option}={value}" for value in getattr(args, option)]
        return again(installation, words + (["--show"] if args.show else []))
    with open_desk(installation) as here:
        team = _team(here, args.team)
        table = here.classes.timetable(team)
        language = here.settings.language
        try:
            new = timetable.changed(
                table,
                [time for text in args.add for time in timetable.parse_times(text)],
                [begin for text in args.remove for begin in timetable.parse_begin(text)],
                [day for text in args.off for day in timetable.parse_dates(text)],
                [day for text in args.on for day in timetable.parse_dates(text)],
            )
        except TimetableError as error:
            raise CommandError(error.sentence.text(language)) from error
        _check_offers(new, offered(here.root, here.settings))
        if new != table:
            here.classes.save(team.name, new)
            here.audit.write(
                here.now,
                STACK,
                "class.timetable",
                team.name,
                team=team.name,
                times=[w.text("en") for w in new.weekly],
                off=[str(day) for day in sorted(new.off)],
            )
        changes = args.add or args.remove or args.off or args.on
        if args.show or not changes:
            _print_timetable(here, new)
        else:
            print("Changed." if new != table else "There is nothing to change.")
    return 0


def _check_offers(table: Timetable, catalog: Catalog) -> None:
    """Raises:
    CommandError: a time names an environment or a size that is not offered.
    """
    for weekly in table.weekly:
        environment = catalog.environments.get(weekly.environment)
        if environment is None:
            raise CommandError(
                f"There is no environment {weekly.environment!r}; use one of: "
                f"{', '.join(catalog.environments)}."
            )
        if weekly.size not in environment.sizes:
            raise CommandError(
                f"{weekly.environment} is not offered in size {weekly.size!r}; use one of: "
                f"{', '.join(environment.sizes)}."
            )


def end(args: argparse.Namespace, installation: Installation) -> int:
    """Set the last day of a class (today, unless said otherwise) and with it of its accounts."""
    if outside(installation):
        return again(
            installation, ["class", "end", args.team, *([f"--on={args.on}"] if args.on else [])]
        )
    with open_desk(installation) as here:
        team = _team(here, args.team)
        day = args.on or here.today
        if team.starts is not None and day < team.starts:
            raise CommandError(
                f"{team.name} begins on {team.starts}; its last day cannot be {day}."
            )
        accounts = Intake(here.database, here.places).set_last_day(team, day, here.now, STACK)
        print(f"The last day of {team.name} is {day}.")
        if accounts:
            until = day + timedelta(days=terms(here.settings).grace)
            print(
                f"{accounts} accounts end with it: they work until {until}, then their homes are archived. "
                "A mistake? Set another day with --on."
            )
    return 0


def industry(args: argparse.Namespace, installation: Installation) -> int:
    """Show or set the industry of a class or firm, for the report of what accelerators were used for."""
    if outside(installation):
        words = ["class", "industry", args.team]
        return again(installation, words + ([] if args.words is None else [f"--set={args.words}"]))
    with open_desk(installation) as here:
        team = _team(here, args.team)
        before = here.directory.industries().get(team.name, "")
        if args.words is None:
            print(before or "–")
            return 0
        after = " ".join(args.words.split())
        if len(after) > MAX_INDUSTRY or not after.isprintable():
            raise CommandError(f"An industry is a few words, at most {MAX_INDUSTRY} characters.")
        if after == before:
            print("There is nothing to change.")
            return 0
        here.directory.set_industry(team.name, after)
        here.audit.write(
            here.now, STACK, "class.industry", team.name, team=team.name, industry=after
        )
        print("Changed.")
    return 0


# ---- the words ------------------------------------------------------------------------------


def register(add: Add) -> None:
    """Add the commands; ``add`` makes the parser of one."""
    classes = add("class", _class).add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, run: Command) -> argparse.ArgumentParser:
        text = (run.__doc__ or "").strip().splitlines()[0]
        found = classes.add_parser(name, help=text, description=text)
        found.set_defaults(run=run)
        return found

    take = action("import", import_roster)
    take.add_argument("file", metavar="ROSTER", help="a CSV file, or - for stdin")
    take.add_argument("--class", dest="team", required=True, metavar="NAME", help="class:2026-a")
    take.add_argument("--title", help="what people call the class")
    take.add_argument("--starts", type=_day, metavar="DATE", help="the first day, 2026-03-02")
    take.add_argument("--ends", type=_day, metavar="DATE", help="the last day")
    take.add_argument("--dry-run", action="store_true", help="only say what would change")
    take.add_argument(
        "--passwords",
        metavar="FILE",
        help="where to write one-time passwords of new accounts (mode 0600); - for stdout",
    )
    action("list", list_classes)
    action("show", show).add_argument("team", metavar="CLASS")
    times = action("timetable", change_timetable)
    times.add_argument("team", metavar="CLASS")
    for option, text in {
        "add": "weekly times: 'mon,wed 09:00-12:00 lab small'",
        "remove": "weekly times that begin so: 'mon 09:00'",
        "off": "dates without class: 2026-12-25 or 2026-12-24..2026-12-31",
        "on": "dates that are not off any more",
    }.items():
        times.add_argument(f"--{option}", action="append", default=[], metavar="TEXT", help=text)
    times.add_argument("--show", action="store_true", help="print it afterwards")
    kind = action("industry", industry)
    kind.add_argument("team", metavar="CLASS")
    kind.add_argument("--set", dest="words", metavar="TEXT", help="such as 제조; empty: none")
    last = action("end", end)
    last.add_argument("team", metavar="CLASS")
    last.add_argument("--on", type=_day, metavar="DATE", help="the last day; default: today")


def _class(args: argparse.Namespace, installation: Installation) -> int:
    """Classes: import a roster, list, show, timetable, industry, end."""
    raise CommandError("Say what: madang class --help")  # argparse asks for the action itself
