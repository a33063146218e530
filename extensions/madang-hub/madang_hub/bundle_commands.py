"""``madang bundle …``: all of Madang in one file, for machines without a network."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from madang_hub.bundle import creating
from madang_hub.bundle.archive import Archive
from madang_hub.bundle.engine import Engine
from madang_hub.bundle.loading import load
from madang_hub.bundle.manifest import BundleError, readable
from madang_hub.catalog import Catalog
from madang_hub.deploy import server
from madang_hub.image_table import TABLE
from madang_hub.installation import Add, Command, Installation
from madang_hub.places import Places


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


def create(args: argparse.Namespace, here: Installation) -> int:
    """Write images, packages, sources and documentation into one file."""
    table = Catalog.load(here.root / TABLE)
    environ = server.environ(Places(here.settings, "server"), table, here.facts)
    bench = creating.Bench(here.root, table, environ, _say, _shown)
    only = [n for n in args.only.replace(",", " ").split() if n] if args.only is not None else None
    pythons = tuple(dict.fromkeys(args.python or creating.DEBIANS_PYTHON))
    begin = time.monotonic()
    # so that `kill` leaves as little behind as Ctrl-C
    signal.signal(signal.SIGTERM, _terminated)
    try:
        manifest = creating.create(bench, args.file, only, pythons)
    except KeyboardInterrupt:
        raise BundleError("Interrupted; nothing of the bundle stays.") from None
    size = readable(args.file.stat().st_size)
    print(f"\n{args.file}: {size}, made in {time.monotonic() - begin:.0f} s")
    print(f"Fingerprint {manifest.fingerprint}")
    print(
        "Where it goes:  tar xf FILE madang-bundle/load && python3 madang-bundle/load FILE FOLDER"
    )
    return 0


def _terminated(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _shown(done: int, total: int) -> None:
    """A percentage that counts up, on a terminal."""
    if sys.stderr.isatty():
        end = "\r" if done < total else "\n"
        print(f"    {min(100, 100 * done // total)} %", end=end, file=sys.stderr, flush=True)


def bring(args: argparse.Namespace, here: Installation) -> int:
    """Load a bundle into this checkout and its engine; needs no network."""
    load(Archive(args.file), here.root, Engine(), _say, update=args.update)
    print("\nLoaded. Now:  make up")
    return 0


def check(args: argparse.Namespace, here: Installation) -> int:
    """Say what is in a bundle and whether it is whole and unchanged."""
    archive = Archive(args.file)
    archive.check()
    for line in archive.manifest.described():
        _say(line)
    print(f"whole and unchanged; fingerprint {archive.manifest.fingerprint}")
    return 0


def _bundle(args: argparse.Namespace, here: Installation) -> int:
    """All of Madang in one file: create, check, load (docs/howto/offline.md)."""
    raise BundleError("Say what: madang bundle --help")  # argparse asks for the action itself


def register(add: Add) -> None:
    """Add the commands; ``add`` makes the parser of one."""
    actions = add("bundle", _bundle).add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, run: Command) -> argparse.ArgumentParser:
        text = (run.__doc__ or "").strip().splitlines()[0]
        found = actions.add_parser(name, help=text, description=text)
        found.add_argument("file", type=Path, metavar="FILE", help="the bundle, madang.tar")
        found.set_defaults(run=run)
        return found

    make = action("create", create)
    make.add_argument(
        "--only", metavar="NAME,…", help="beside what Madang needs only these environments; '' none"
    )
    make.add_argument(
        "--python",
        action="append",
        metavar="VERSION",
        help=f"the Python of the machine it is for; default: {' and '.join(creating.DEBIANS_PYTHON)}",
    )
    action("check", check)
    take = action("load", bring)
    take.add_argument(
        "--update", action="store_true", help="replace the sources of an older bundle"
    )
