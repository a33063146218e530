"""``make images/refresh``: what the renewed locks bring, against what is committed.

    python -m madang_hub.shelf.refresh [--markdown]

It only looks: ``scripts/locks --upgrade`` renews. It compares with git's HEAD, so it can be asked again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from madang_hub.catalog import Catalog
from madang_hub.image_table import TABLE
from madang_hub.shelf import plan
from madang_hub.shelf.differences import Lock, Report, npm_lock, python_lock

NPM = "package-lock.json"


def reader_of(path: str) -> Callable[[str], Lock]:
    """How the lock at ``path`` is read."""
    return npm_lock if path.endswith(NPM) else python_lock


def title_of(path: str) -> str:
    """What a lock is called in the report: ``lab``, or ``proxy (npm)``."""
    place = PurePosixPath(path)
    return f"{place.parent.name} (npm)" if place.name == NPM else place.stem


def locks_of(root: Path) -> list[str]:
    """Every lock of the checkout, as git or the folder has it."""
    present = _git(
        root, "ls-files", "--cached", "--others", "--exclude-standard", "locks", f"*{NPM}"
    )
    return sorted(
        path
        for path in set(present.splitlines())
        if path.endswith(NPM) or (path.startswith("locks/") and path.endswith(".txt"))
    )


def compare(root: Path) -> dict[str, tuple[Lock, Lock]]:
    """Every lock, by its path: as it is committed, and as it is now."""
    found = {}
    for path in locks_of(root):
        read = reader_of(path)
        now = root / path
        after = read(now.read_text(encoding="utf-8")) if now.is_file() else {}
        found[path] = (read(_committed(root, path)), after)
    return found


def rebuilt(catalog: Catalog, compared: Mapping[str, tuple[Lock, Lock]]) -> list[str]:
    """The images that stand on a lock that changed, and those built on or with them, parents first."""
    changed = {path for path, (before, after) in compared.items() if before != after}

    def touched(name: str) -> bool:
        read = plan.inputs_of(catalog, name)
        return any(path == r or path.startswith(f"{r}/") for path in changed for r in read)

    order = plan.order(catalog)
    return [n for n in order if any(touched(a) for a in plan.order(catalog, [n]))]


def _committed(root: Path, path: str) -> str:
    """The file at HEAD, "" if it is not there."""
    done = subprocess.run(
        ["git", "-C", str(root), "show", f"HEAD:{path}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else ""


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"refresh: {root} is no git checkout, so there is nothing to compare with")
    return done.stdout


def main(argv: Sequence[str] | None = None) -> int:
    """Print the differences."""
    parser = argparse.ArgumentParser(prog="refresh", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--markdown", action="store_true", help="as a list for the changelog")
    args = parser.parse_args(argv)
    root = Path(__file__).resolve().parents[4]
    compared = compare(root)
    report = Report.of({title_of(path): compared[path] for path in sorted(compared, key=title_of)})
    catalog = Catalog.load(root / TABLE)
    sys.stdout.write(report.text(rebuilt(catalog, compared), markdown=args.markdown))
    return 0


if __name__ == "__main__":
    sys.exit(main())
