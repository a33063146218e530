"""The ``madang`` command: what ``make up`` and an operator call."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import requests

from madang_hub import (
    bundle_commands,
    class_commands,
    environment_commands,
    home_commands,
    version_commands,
)
from madang_hub.bundle.loading import loaded
from madang_hub.bundle.manifest import BundleError
from madang_hub.catalog import Catalog, CatalogError
from madang_hub.deploy import doctor, embedded, server
from madang_hub.deploy.engine import EngineFacts, ModeError, decide, look
from madang_hub.deploy.envs import BuildError
from madang_hub.deploy.findings import report
from madang_hub.desk import CommandError
from madang_hub.people.accounts import AccountError
from madang_hub.people.archive import ArchiveError
from madang_hub.people.database import Database
from madang_hub.people.directory import DirectoryError
from madang_hub.people.enrolment import Enrolment, describe
from madang_hub.places import Mode, Places, read_secret
from madang_hub.settings import Settings, SettingsError
from madang_hub.shelf.build import BuildError as ImageError
from madang_hub.shelf.installed import ShelfError
from madang_hub.shelf.offered import TABLE, offered
from madang_hub.shelf.plan import UnknownImage
from madang_hub.shelf.pruning import prune
from madang_hub.shelf.publish import PublishError, publish

EXPECTED = (
    AccountError,
    ArchiveError,
    BuildError,
    BundleError,
    CatalogError,
    CommandError,
    DirectoryError,
    ImageError,
    ModeError,
    PublishError,
    SettingsError,
    ShelfError,
    environment_commands.TeamEnvironmentError,
    UnknownImage,
    embedded.EmbeddedError,
    server.ServerError,
)
"""Errors with a sentence for the operator; any other is a defect and shows its traceback."""


def root() -> Path:
    """The checkout, or in the Hub's image its copy."""
    given = os.environ.get("MADANG_ROOT")
    return Path(given) if given else Path(__file__).resolve().parents[3]


class Installation:
    """What the commands share: settings, table, engine and mode, each found out when first needed."""

    def __init__(self) -> None:
        self.root = root()
        self.settings = self._of_bundle(Settings.load(self.root))
        self.inside = os.environ.get("MADANG_INSIDE") == "1"
        self._facts: EngineFacts | None = None

    def _of_bundle(self, settings: Settings) -> Settings:
        """Where a bundle was loaded, what it brought is offered unless the settings name something."""
        bundle = loaded(self.root)
        if bundle is None or settings.environments:
            return settings
        table = Catalog.load(self.root / TABLE)
        brought = tuple(image.name for image in bundle.images if image.name in table.every)
        return settings.model_copy(update={"environments": brought})

    @property
    def facts(self) -> EngineFacts:
        if self._facts is None:
            self._facts = look()
        return self._facts

    def places(self) -> tuple[Places, str]:
        """Folders and addresses for the mode in use, and why it is that mode."""
        mode: Mode
        if (runs_as := os.environ.get("MADANG_RUNS_AS")) in ("server", "embedded"):
            mode, why = ("server" if runs_as == "server" else "embedded"), "started so"
        else:
            mode, why = decide(self.settings.mode, self.facts)
            if mode == "embedded" and self.settings.mode == "auto" and loaded(self.root):
                raise ModeError(
                    f"This Madang was loaded from a bundle, which needs a container engine, but {why}."
                )
        return Places(self.settings, mode), why

    def stack(self, places: Places) -> server.Stack:
        return server.Stack(places, offered(self.root, self.settings), self.facts, self.root)


# ---- commands -------------------------------------------------------------------------------


def up(args: argparse.Namespace, here: Installation) -> int:
    """Build what is missing, start what does not run, say where it is."""
    places, why = here.places()
    print(f"Madang runs in {places.mode} mode: {why}.", flush=True)
    if places.mode == "embedded":
        print("  People are NOT isolated from each other in this mode; it is for trying Madang.")
        embedded.up(places, here.root, offered(here.root, here.settings))
        sign_in = ensure_admin(places)
    else:
        stack = here.stack(places)
        stack.up()
        for line in environment_commands.build(stack, here.root):
            print(f"  {line}", flush=True)
        sign_in = stack.compose(
            "exec", "-T", "hub", "python", "-m", "madang_hub", "user", "ensure-admin"
        ).strip()
    print(f"\n  Address   {places.settings.url}")
    print(f"  Sign in   {places.settings.admin}  {sign_in}")
    print(f"  Data      {places.settings.data}")
    print("\n  More people: scripts/madang user add NAME      Stop: make down")
    return 0


def down(args: argparse.Namespace, here: Installation) -> int:
    """Stop everything; data stays."""
    places, _ = here.places()
    stopped = embedded.down(places)
    if places.mode == "server":
        stopped = here.stack(places).down() or stopped
    print("Stopped; " if stopped else "Nothing was running; ", end="")
    print(f"data stays in {places.settings.data}.")
    return 0


def reset(args: argparse.Namespace, here: Installation) -> int:
    """Delete all data, after asking."""
    places, _ = here.places()
    data = places.settings.data
    if not args.yes:
        print(f"This deletes every home, account, run and artifact in {data}. It cannot be undone.")
        try:
            answer = input(
                f"Type the name of the installation ({places.settings.instance}) to go on: "
            )
        except EOFError:
            answer = ""
        if answer.strip() != places.settings.instance:
            print("Nothing was deleted.")
            return 1
    down(args, here)
    if places.mode == "server" and data.exists():
        here.stack(places).empty_data()
    if data.exists():
        shutil.rmtree(data)
    print(f"Deleted {data}.")
    return 0


def examine(args: argparse.Namespace, here: Installation) -> int:
    """Say what is missing or wrong, and how to mend it."""
    try:
        places, _ = here.places()
    except ModeError:
        places = Places(here.settings, "server" if here.facts.version else "embedded")
    running = embedded.running(places) or _health(places)
    findings = doctor.examine(doctor.Subject(places, here.facts, here.root, running))
    print(report(findings))
    return 1 if any(f.level == "bad" for f in findings) else 0


def _health(places: Places) -> bool:
    try:
        # the one address that the Hub does not log each time
        address = f"http://127.0.0.1:{places.settings.hub_port}/hub/health"
        with urllib.request.urlopen(address, timeout=5) as reply:  # http
            return bool(reply.status == 200)
    except OSError:
        return False


def prepare(args: argparse.Namespace, here: Installation) -> int:
    """Make folders and secrets (inside the ``prepare`` container)."""
    places, _ = here.places()
    catalog = offered(here.root, here.settings)
    given = sys.stdin.read() if args.site else ""
    server.prepare(places, catalog, json.loads(given or "{}"), datetime.now(UTC))
    return 0


def ensure_admin(places: Places) -> str:
    """Make the admin's account if it is missing; how the admin signs in, in words."""
    name = places.settings.admin
    database = Database(places.database_url("hub"))
    enrolment = Enrolment(database)
    now = datetime.now(UTC)
    try:
        person = enrolment.directory.person(name)
        if person is not None and person.ended is not None:
            return f"cannot: the access has ended; scripts/madang user restore {name} gives it back"
        found = next((a for a in enrolment.accounts.names() if a.name == name), None)
        if found is None:
            password = enrolment.password(name, now) if person else enrolment.add(name, now)
            return (
                f"with the one-time password  {password}\n"
                "            (open 'one-time password' on the sign-in page and choose your own there)"
            )
    finally:
        database.close()
    which = "the one-time password of the first start" if found.one_time else "your own password"
    return f"with {which}; lost it? scripts/madang user password {name}"


def environments(args: argparse.Namespace, here: Installation) -> int:
    """Build the environments that embedded mode runs in (`up` does it as well)."""
    embedded.ensure_environments(here.root, offered(here.root, here.settings))
    return 0


def user(args: argparse.Namespace, here: Installation) -> int:
    """People and their local accounts: add, password, remove, restore, list."""
    places, _ = here.places()
    if places.mode == "server" and not here.inside:
        words = [w for w in (args.action, args.name) if w]
        words += [f"--name={args.display_name}"] if args.display_name else []
        words += [f"--email={args.email}"] if args.email else []
        words += ["--admin"] if args.admin else []
        print(
            here.stack(places).compose(
                "exec", "-T", "hub", "python", "-m", "madang_hub", "user", *words
            ),
            end="",
        )
        return 0
    if args.action == "ensure-admin":
        print(ensure_admin(places))
        return 0
    if args.action != "list" and not args.name:
        raise AccountError(f"Say whose account: madang user {args.action} NAME")
    if args.action != "add" and (args.display_name or args.email or args.admin):
        raise AccountError("--name, --email and --admin go with 'madang user add NAME'.")
    now = datetime.now(UTC)
    today = now.astimezone(ZoneInfo(places.settings.timezone)).date()
    database = Database(places.database_url("hub"))
    enrolment = Enrolment(database)
    try:
        if args.action == "list":
            for enrolled in enrolment.everybody():
                admin = enrolled.person.name == places.settings.admin
                print(describe(enrolled, now, today, places.settings.one_time_days, admin=admin))
            return 0
        if args.action == "remove":
            enrolment.end(args.name, now)
            _forget(places, args.name)
            print(
                f"{args.name} can no longer sign in; the files stay. A mistake? 'madang user restore "
                f"{args.name}'"
            )
            return 0
        if args.action == "add":
            password = enrolment.add(
                args.name,
                now,
                display_name=args.display_name,
                email=args.email or None,
                admin=args.admin,
            )
        elif args.action == "restore":
            password = enrolment.restore(args.name, now, today)
        else:
            password = enrolment.password(args.name, now)
        print(f"{args.name}\tone-time password: {password}")
    finally:
        database.close()
    return 0


def _forget(places: Places, name: str) -> None:
    """End the sessions, tokens and servers of ``name``: the Hub forgets the person.

    Raises:
        AccountError: the Hub did not do it, so an open session may go on.
    """
    token = read_secret(places.secrets, "operator_token")
    headers = {"Authorization": f"token {token}"}
    try:
        reply = requests.delete(
            f"{places.hub_api}/users/{quote(name)}", headers=headers, timeout=120
        )
    except requests.RequestException as error:
        reason = f"the Hub does not answer ({error.__class__.__name__})"
    else:
        if reply.ok or reply.status_code == 404:
            return
        reason = f"the Hub said {reply.status_code}"
    raise AccountError(
        f"{name} cannot sign in any more, but {reason}, so an open session and server may go on. Delete the "
        "person on the Hub's admin page, or stop Madang."
    )


def catalog(args: argparse.Namespace, here: Installation) -> int:
    """Check the table of environments, or list what it builds."""
    table = Catalog.load(here.root / TABLE)
    if args.action == "images":
        print("\n".join(table.images))
    else:
        print(
            f"{table.path}: {len(table.environments)} environment(s), {len(table.images)} images, good"
        )
    return 0


def config(args: argparse.Namespace, here: Installation) -> int:
    """Show the settings in use."""
    for name, value in sorted(here.settings.environ().items()):
        print(f"{name}={value}")
    return 0


def compose(args: argparse.Namespace, here: Installation) -> int:
    """Run `docker compose` for the stack (server mode), e.g. `compose logs hub`."""
    places, _ = here.places()
    if places.mode != "server":
        raise server.ServerError(f"Embedded mode has no containers; logs are in {places.log}.")
    return here.stack(places).compose_here(args.words)


def images(args: argparse.Namespace, here: Installation) -> int:
    """Build the images that are stale: those that this installation needs, those named, or all.

    `images prune` removes earlier versions that nobody uses any more.
    """
    from madang_hub.shelf import build, sizes

    if args.names == ["prune"]:
        places, _ = here.places()
        if places.mode != "server":
            raise server.ServerError("Embedded mode has no images; there is nothing to remove.")
        stack = here.stack(places)
        for line in (*prune(stack), *environment_commands.retire(stack)):
            print(line)
        return 0
    table = offered(here.root, here.settings)
    places = Places(here.settings, "server")
    environ = server.environ(places, table, here.facts)
    names = args.names or table.needed()
    if args.all:
        names = [n for n, image in table.images.items() if image.install != "by name"]
    for built in build.build(table, here.root, names, environ):
        print(built)
    folder = here.root / "build" / "shelf"
    for name in publish(table, table.images, folder, environ):
        print(f"what is in {name}: {folder / name / table.release}")
    if args.note_sizes:
        print(f"sizes noted in {sizes.note(here.root, folder, table.release, table.images)}")
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="madang", description="Run and look after Madang.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(
        name: str, run: Callable[[argparse.Namespace, Installation], int]
    ) -> argparse.ArgumentParser:
        text = (run.__doc__ or "").strip().splitlines()[0]
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    add("up", up)
    add("down", down)
    add("reset", reset).add_argument("--yes", action="store_true", help="do not ask")
    add("doctor", examine)
    people = add("user", user)
    people.add_argument(
        "action", choices=["add", "password", "remove", "restore", "list", "ensure-admin"]
    )
    people.add_argument("name", nargs="?", default="", help="the user name")
    people.add_argument(
        "--name", dest="display_name", default="", help="add: the person's name, '김민지'"
    )
    people.add_argument("--email", default="", help="add: the person's e-mail address")
    people.add_argument("--admin", action="store_true", help="add: the person is an admin")
    class_commands.register(add)
    home_commands.register(add)
    environment_commands.register(add)
    version_commands.register(add)
    bundle_commands.register(add)
    add("catalog", catalog).add_argument("action", choices=["check", "images"])
    add("config", config).add_argument("action", choices=["show"])
    add("environments", environments)
    building = add("images", images)
    building.add_argument("names", nargs="*", metavar="NAME")
    building.add_argument(
        "--all", action="store_true", help="also those on demand, not those by name"
    )
    building.add_argument(
        "--note-sizes", action="store_true", help="write the sizes into images/sizes.json"
    )
    add("compose", compose).add_argument("words", nargs=argparse.REMAINDER, metavar="WORD")
    add("prepare", prepare).add_argument(
        "--site", action="store_true", help="what the machine is set to comes by stdin"
    )
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what was asked, 1 with a sentence on stderr when not."""
    args = parser().parse_args(argv)
    try:
        return int(args.run(args, Installation()))
    except EXPECTED as error:
        print(f"madang: {error}", file=sys.stderr)
        return 1
