"""``madang tracking …``: what is on the tracking server.

The tracking server's own program does the work, where the server runs (`deploy.tracking_server`); these
commands ask it and put what it says into words. In server mode they start from the machine itself, which
reaches both containers.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from madang_hub.deploy import tracking_server
from madang_hub.deploy.tracking_server import TrackingError
from madang_hub.desk import CommandError, open_desk, outside
from madang_hub.installation import Add, Installation
from madang_hub.people.directory import Person
from madang_hub.people.enrolment import STACK
from madang_hub.tracking import workspace_of, workspace_of_team

GB = 10**9


def tracking(args: argparse.Namespace, installation: Installation) -> int:
    """Runs on the tracking server: list, clear deleted ones (gc), archive, hand over a removed person's."""
    run = {
        "list": _list,
        "gc": _gc,
        "archive": _archive,
        "hand-over": _hand_over,
        "owners": _owners,
        "may-hand-over": _may_hand_over,
    }
    return run[args.action](args, installation)


def _asked(installation: Installation, words: Sequence[str]) -> str:
    """What the tracking server's program says.

    Raises:
        TrackingError: it did not do the task; the message is its own.
    """
    places, _ = installation.places()
    if places.mode == "embedded":
        ask = tracking_server.in_environment(places, installation.root)
    elif installation.inside:
        raise TrackingError(
            "Run madang tracking on the machine itself, not in the Hub's container."
        )
    else:
        ask = tracking_server.in_container(installation.stack(places))
    done = ask(words)
    if done.returncode:
        tail = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise TrackingError(tail or f"The tracking server's program ended with {done.returncode}.")
    return done.stdout


def _at_the_hub(installation: Installation, words: Sequence[str]) -> str:
    """What one of these commands says where the Hub's database is.

    Raises:
        CommandError: it refused; the message is its own.
    """
    if not outside(installation):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            parsed = parser().parse_args(words)
            tracking(parsed, installation)
        return said.getvalue()
    done = installation.stack(installation.places()[0]).inside(["tracking", *words])
    if done.returncode:
        raise CommandError(done.stderr.decode("utf-8", "replace").strip().removeprefix("madang: "))
    return done.stdout.decode("utf-8")


def _list(args: argparse.Namespace, installation: Installation) -> int:
    zone = ZoneInfo(installation.settings.timezone)
    owners = json.loads(_at_the_hub(installation, ["owners"]))
    found = [json.loads(line) for line in _asked(installation, ["list"]).splitlines()]
    rows = [(*row(one, zone), owners.get(one["workspace"], "-")) for one in found]
    print("\n".join(table(rows)))
    return 0


def _owners(args: argparse.Namespace, installation: Installation) -> int:
    """Whose each workspace is; JSON for `_list`."""
    with open_desk(installation) as here:
        found = {
            workspace_of(person.name): person.name
            if person.active(here.today)
            else f"{person.name} (ended)"
            for person in here.directory.people()
        }
        found |= {workspace_of_team(team.name): team.name for team in here.directory.teams()}
        print(json.dumps(found))
    return 0


def _archive(args: argparse.Namespace, installation: Installation) -> int:
    if not args.name:
        raise CommandError("Say whose runs, or which workspace: madang tracking archive NAME")
    places, _ = installation.places()
    # a workspace's name as `list` shows it, or the name of a person or a team
    named = args.name.startswith(("u-", "g-"))
    workspace = args.name if named else workspace_of_team(args.name) or workspace_of(args.name)
    file = places.tracking / "archive" / _asked(installation, ["archive", workspace]).strip()
    print(f"The runs and files of {workspace} are in {file}; they also stay where they are.")
    return 0


def _hand_over(args: argparse.Namespace, installation: Installation) -> int:
    if not 1 <= args.days <= 3650:
        raise CommandError("--days must be a number from 1 to 3650.")
    if not args.name or not args.to:
        raise CommandError("Say whose runs, and to whom: madang tracking hand-over NAME TO")
    end = ["--end"] if args.end else []
    # there the rule is applied and the audit log written, before anything changes
    workspace = _at_the_hub(installation, ["may-hand-over", args.name, args.to, *end]).strip()
    words = ["hand-over", workspace, args.to, "--title", args.name, "--days", str(args.days), *end]
    _asked(installation, words)
    if args.end:
        print(f"{args.to} no longer sees the runs of {args.name}.")
    else:
        print(
            f"For {args.days} days {args.to} may look at the runs of {args.name} (workspace {workspace}) and "
            f"copy from them. To end it sooner: madang tracking hand-over {args.name} {args.to} --end"
        )
    return 0


def _may_hand_over(args: argparse.Namespace, installation: Installation) -> int:
    """Apply the rule, write the audit log and say the workspace, for `_hand_over`."""
    with open_desk(installation) as here:
        if not args.end:
            refused = refusal(
                here.directory.person(args.name), here.directory.person(args.to), here.today
            )
            if refused:
                raise CommandError(refused.format(name=args.name, to=args.to))
        action = "tracking.taken-back" if args.end else "tracking.handed-over"
        here.audit.write(here.now, STACK, action, args.name, to=args.to)
    print(workspace_of(args.name))
    return 0


def refusal(owner: Person | None, to: Person | None, today: date) -> str:
    """Why runs of ``owner`` are not handed to ``to``; empty when they may be.

    Only what belonged to somebody whose access has ended: else a person would be read without knowing.
    """
    if owner is None:
        return "Nobody was ever called {name}; 'madang tracking list' shows whose runs there are."
    if owner.active(today):
        return (
            "{name} still has access, so the runs are not handed over. They can log to a team's workspace, "
            "or end the access first: madang user remove {name}"
        )
    if to is None or not to.active(today):
        return "{to} has no access; 'madang user list' shows who has."
    return ""


def _gc(args: argparse.Namespace, installation: Installation) -> int:
    words = ["gc", "--older-than", args.older_than, *(["--yes"] if args.yes else [])]
    found = [json.loads(line) for line in _asked(installation, words).splitlines()]
    if not found:
        print(f"Nothing was deleted more than {args.older_than} ago: there is nothing to clear.")
        return 0
    for one in found:
        print(cleared(one, done=args.yes))
    if not args.yes:
        print("Nothing was removed yet. To remove it for good, say the same with --yes.")
    return 1 if any(one["error"] for one in found) else 0


def cleared(one: dict[str, Any], *, done: bool) -> str:
    """What was, or would be, cleared in one workspace, in words."""
    counts = ", ".join(f"{len(one[kind])} {kind}" for kind in ("runs", "models", "experiments"))
    text = f"{one['workspace']}: {counts}, {one['bytes'] / GB:.3f} GB"
    if one["registered"] and not done:
        text += f"; registered versions that lose their files: {', '.join(one['registered'])}"
    if one["error"]:
        text += f"; NOT all of it, MLflow said: {one['error']}"
    return text


HEAD = ("workspace", "runs", "deleted", "GB", "of GB", "last use", "owner")


def row(one: dict[str, Any], zone: ZoneInfo) -> tuple[str, ...]:
    """One workspace in words."""
    last = datetime.fromtimestamp(one["last"], zone).strftime("%Y-%m-%d") if one["last"] else "-"
    limit = f"{one['limit'] / GB:g}" if one["limit"] else "-"
    stored = f"{one['bytes'] / GB:.3f}"
    return (one["workspace"], str(one["runs"]), str(one["deleted"]), stored, limit, last)


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines with columns below each other, numbers to the right."""
    whole = [HEAD, *rows]
    widths = [max(len(line[i]) for line in whole) for i in range(len(HEAD))]

    def cell(text: str, i: int) -> str:
        return text.ljust(widths[i]) if i in (0, 5, 6) else text.rjust(widths[i])

    return ["  ".join(cell(text, i) for i, text in enumerate(line)).rstrip() for line in whole]


def parser() -> argparse.ArgumentParser:
    """The command's words."""
    made = argparse.ArgumentParser(prog="madang tracking")
    _words(made)
    return made


def _words(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "action",
        choices=["list", "gc", "archive", "hand-over", "owners", "may-hand-over"],
        metavar="list|gc|archive|hand-over",
    )
    command.add_argument("name", nargs="?", default="", help="archive, hand-over: whose runs")
    command.add_argument("to", nargs="?", default="", help="hand-over: who may look at them")
    command.add_argument(
        "--older-than", default="30d", metavar="AGE", help="gc: deleted before that, 30d or 12h"
    )
    command.add_argument("--yes", action="store_true", help="gc: remove, not only show")
    command.add_argument(
        "--days", type=int, default=30, help="hand-over: for so long, 30 unless said otherwise"
    )
    command.add_argument("--end", action="store_true", help="hand-over: take it back")


def register(add: Add) -> None:
    """Add the command; ``add`` makes its parser."""
    _words(add("tracking", tracking))
