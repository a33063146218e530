"""The program ``madang-bundle/load`` inside of a bundle: ``python3 madang-bundle/load FILE FOLDER``."""

import argparse
import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036  # it is run by whatever a machine has
    sys.exit("Madang needs Python 3.11 or newer (Debian 12 has it).")

from madang_hub.bundle.archive import Archive
from madang_hub.bundle.engine import Engine
from madang_hub.bundle.loading import load
from madang_hub.bundle.manifest import BundleError


def main() -> int:
    """Load, or with ``--check`` only check; 1 with a sentence on stderr when it cannot be done."""
    parser = argparse.ArgumentParser(
        prog="load",
        description="Bring Madang from a bundle onto this machine. Needs a Docker Engine, no network.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the bundle, madang.tar")
    parser.add_argument(
        "folder", type=Path, nargs="?", metavar="FOLDER", help="where Madang is to live"
    )
    parser.add_argument("--update", action="store_true", help="replace an older bundle in FOLDER")
    parser.add_argument("--check", action="store_true", help="only check the file")
    args = parser.parse_args()
    try:
        archive = Archive(args.file)
        if args.check:
            archive.check()
            print("\n".join(archive.manifest.described()))
            print(f"whole and unchanged; fingerprint {archive.manifest.fingerprint}")
            return 0
        if args.folder is None:
            parser.error("name the folder in which Madang is to live")
        folder = args.folder.absolute()
        load(
            archive,
            folder,
            Engine(),
            lambda line: print(f"  {line}", flush=True),
            update=args.update,
        )
    except BundleError as error:
        print(f"load: {error}", file=sys.stderr)
        return 1
    print(f"\nLoaded. Now:  cd {folder} && make up      (without make: scripts/madang up)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
