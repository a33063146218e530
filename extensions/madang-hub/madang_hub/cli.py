"""The ``madang`` command: what ``make up`` and an operator call."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain

from madang_hub import (
    accelerator_commands,
    bundle_commands,
    class_commands,
    environment_commands,
    home_commands,
    lesson_commands,
    tracking_commands,
    user_commands,
    version_commands,
)
from madang_hub.accelerators.table import TableError
from madang_hub.bundle.manifest import BundleError
from madang_hub.catalog import Catalog
from madang_hub.deploy import doctor, embedded, server
from madang_hub.deploy.engine import ModeError
from madang_hub.deploy.envs import BuildError
from madang_hub.deploy.findings import report
from madang_hub.deploy.tracking_server import TrackingError
from madang_hub.desk import CommandError
from madang_hub.image_table import TABLE, CatalogError
from madang_hub.installation import Command, Installation
from madang_hub.people.accounts import AccountError
from madang_hub.people.archive import ArchiveError
from madang_hub.people.directory import DirectoryError
from madang_hub.places import Places
from madang_hub.settings import SettingsError
from madang_hub.shelf.build import BuildError as ImageError
from madang_hub.shelf.installed import ShelfError
from madang_hub.shelf.offered import offered
from madang_hub.shelf.plan import UnknownImage
from madang_hub.shelf.pruning import prune, prune_past
from madang_hub.shelf.publish import PublishError, build_folder, publish

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
    TableError,
    environment_commands.TeamEnvironmentError,
    TrackingError,
    UnknownImage,
    embedded.EmbeddedError,
    server.ServerError,
)
"""Errors with a sentence for the operator; any other is a defect and shows its traceback."""


# ---- commands -------------------------------------------------------------------------------


def up(args: argparse.Namespace, here: Installation) -> int:
    """Build what is missing, start what does not run, say where it is."""
    places, why = here.places()
    print(f"Madang runs in {places.mode} mode: {why}.", flush=True)
    if places.mode == "embedded":
        print("  People are NOT isolated from each other in this mode; it is for trying Madang.")
        embedded.up(places, here.root, offered(here.root, here.settings))
        sign_in = user_commands.ensure_admin(places)
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


def environments(args: argparse.Namespace, here: Installation) -> int:
    """Build the environments that embedded mode runs in (`up` does it as well)."""
    embedded.ensure_environments(here.root, offered(here.root, here.settings))
    return 0


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

    `images prune` removes what nobody uses any more: earlier versions, past releases, replaced builds.
    """
    from madang_hub.shelf import build, sizes

    if args.names == ["prune"]:
        places, _ = here.places()
        if places.mode != "server":
            raise server.ServerError("Embedded mode has no images; there is nothing to remove.")
        stack = here.stack(places)
        past = prune_past(stack, Catalog.load(here.root / TABLE))
        for line in chain(prune(stack), environment_commands.retire(stack), past):
            print(line, flush=True)
        return 0
    table = offered(here.root, here.settings)
    places = Places(here.settings, "server")
    environ = server.environ(places, table, here.facts)
    names = args.names or table.needed()
    if args.all:
        names = [n for n, image in table.images.items() if image.install != "by name"]
    for built in build.build(table, here.root, names, environ):
        print(built)
    folder = build_folder(here.root)
    for name in publish(table, table.images, folder, environ):
        print(f"what is in {name}: {folder / name / table.release}")
    if args.note_sizes:
        print(f"sizes noted in {sizes.note(here.root, folder, table.release, table.images)}")
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="madang", description="Run and look after Madang.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Command) -> argparse.ArgumentParser:
        text = (run.__doc__ or "").strip().splitlines()[0]
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    add("up", up)
    add("down", down)
    add("reset", reset).add_argument("--yes", action="store_true", help="do not ask")
    add("doctor", examine)
    user_commands.register(add)
    class_commands.register(add)
    home_commands.register(add)
    environment_commands.register(add)
    version_commands.register(add)
    lesson_commands.register(add)
    tracking_commands.register(add)
    bundle_commands.register(add)
    accelerator_commands.register(add)
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
