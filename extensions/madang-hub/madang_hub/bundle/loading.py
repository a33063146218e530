"""Loading a bundle: everything is checked first, then images, packages and sources are put in place.

Each step can be repeated: what is there already as the bundle has it stays, and a load that was cut off is
finished by the next.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

from madang_hub.bundle.archive import Archive
from madang_hub.bundle.engine import Engine, machine
from madang_hub.bundle.manifest import (
    MANIFEST,
    BundledImage,
    BundleError,
    Manifest,
    SourcePlan,
    parse,
    plan_sources,
    readable,
    some,
    unfit,
)

PLACE = Path("build") / "bundle"
"""In a checkout: the manifest of the bundle that was loaded there, and its packages.

While it is there ``scripts/setup`` takes packages from it and ``madang up`` asks for no other images: what
is not in the bundle cannot be made without a network.
"""
ENVIRONMENT = 5
"""How much larger an environment is than its wheels (measured 3.8, bytecode included)."""
UNPACKING = 2.2
"""The engine unpacks an archive beside the layers that it makes of it."""
Say = Callable[[str], None]


def loaded(folder: Path) -> Manifest | None:
    """The bundle that ``folder`` was loaded from, None where it was none."""
    try:
        return parse((folder / PLACE / "manifest.json").read_bytes())
    except FileNotFoundError:
        return None


def load(archive: Archive, folder: Path, engine: Engine, say: Say, *, update: bool = False) -> None:
    """Bring the bundle's images into the engine, its packages and sources into ``folder``.

    Args:
        update: replace the sources of an earlier bundle in ``folder``.

    Raises:
        BundleError: it does not fit, is damaged, or there is no room; nothing was changed then. Or the engine
            or the disk failed on the way: call it again.
    """
    manifest = archive.manifest
    for line in manifest.described():
        say(line)
    if trouble := unfit(manifest, machine(), python_version()):
        raise BundleError(trouble)
    engine.require()
    old = loaded(folder)
    plan = plan_sources(
        {path: entry.sha256 for path, entry in manifest.sources.items()},
        {path: entry.sha256 for path, entry in old.sources.items()} if old else {},
        digests(folder, manifest.sources.keys() | (old.sources.keys() if old else set())),
    )
    if trouble := refusal(folder, plan, manifest, old, update=update):
        raise BundleError(trouble)
    lacking = [image for image in manifest.images if engine.lacks(image)]
    _require_room(manifest, folder, engine.root() if lacking else None, lacking)
    say(f"checking {readable(archive.path.stat().st_size)} …")
    archive.check()
    try:
        _images(archive, engine, lacking, say)
        _wheels(archive, folder, say)
        _sources(archive, folder, plan, say)
        archive.take_manifest(folder / PLACE / "manifest.json")
    except OSError as error:
        raise BundleError(
            f"{folder} cannot be written ({error.strerror}). Mend that and load the bundle again."
        ) from error


def python_version() -> str:
    """The version of the ``python3`` with which ``scripts/setup`` will make environments."""
    done = subprocess.run(
        ["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def digests(folder: Path, paths: set[str]) -> dict[str, str]:
    """SHA-256 of those of ``paths`` that are in ``folder`` (of a link's target as of a file)."""
    found = {}
    for path in paths:
        try:
            found[path] = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except IsADirectoryError:
            found[path] = ""
    return found


def refusal(
    folder: Path, plan: SourcePlan, new: Manifest, old: Manifest | None, *, update: bool
) -> str:
    """Why the bundle is not loaded into ``folder``; empty when it is."""
    table = folder / "images" / "images.toml"
    if not table.is_file():
        if folder.is_dir() and any(folder.iterdir()) and not (folder / PLACE).is_dir():
            return f"{folder} holds other things than Madang: name a new or an empty folder."
        return ""
    if not plan.replace and not plan.remove:
        return ""
    here = release_of(table)
    if old is None:
        return (
            f"{folder} is a checkout of Madang {here} whose files differ from the bundle's "
            f"({some(plan.replace)}). The bundle is Madang {new.release}, sources {new.revision[:12]}: bring "
            "the checkout there with git, or load the bundle into a folder of its own: "
            f"tar xf FILE {Path(MANIFEST).parent}/load && python3 {Path(MANIFEST).parent}/load FILE FOLDER"
        )
    if plan.changed:
        return (
            f"Files were changed in {folder} that the bundle would overwrite: {some(plan.changed)}. Make the "
            "changes where bundles are made, remove these files here (keep a copy), and load it again."
        )
    if not update:
        return (
            f"{folder} holds Madang {here}, sources {old.revision[:12]}, and the bundle is {new.release}, "
            f"sources {new.revision[:12]}. To replace it (data and settings stay) load it with --update."
        )
    return ""


def release_of(table: Path) -> str:
    """The release that a checkout's table names."""
    try:
        return str(tomllib.loads(table.read_text(encoding="utf-8")).get("release", "?"))
    except (OSError, ValueError):
        return "?"


def _require_room(
    manifest: Manifest, folder: Path, engine_root: Path | None, lacking: list[BundledImage]
) -> None:
    """Raises:
    BundleError: a disk is too small for what is missing.
    """
    files = sum(entry.size for entry in manifest.sources.values())
    files += (1 + ENVIRONMENT) * sum(entry.size for entry in manifest.wheels.values())
    images = int(UNPACKING * sum(image.own for image in lacking))
    needs: dict[int, tuple[Path, int]] = {}
    for place, need in ((folder, files), (engine_root, images)):
        if place is None:
            continue
        present = existing(place)
        device = present.stat().st_dev
        needs[device] = (present, need + needs.get(device, (present, 0))[1])
    for place, need in needs.values():
        free = shutil.disk_usage(place).free
        if free < need:
            raise BundleError(
                f"The disk of {place} has {readable(free)} free and loading needs {readable(need)}: make room."
            )


def existing(path: Path) -> Path:
    """``path``, or the nearest folder above it that is there."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _images(archive: Archive, engine: Engine, lacking: list[BundledImage], say: Say) -> None:
    if not lacking:
        say("images: all there")
        return
    say(f"loading images ({readable(sum(i.own for i in lacking))} unpacked) …")
    entry = archive.manifest.image_file
    engine.load(lambda sink: archive.copy(entry, sink))
    if still := [image.reference for image in lacking if engine.lacks(image)]:
        raise BundleError(
            f"The engine took the images, but not as the bundle has them: {some(still)}. Does another "
            "program build images of these names?"
        )


def _wheels(archive: Archive, folder: Path, say: Say) -> None:
    place = folder / PLACE / "wheels"
    place.mkdir(parents=True, exist_ok=True)
    wanted = archive.manifest.wheels
    present = digests(place, {p.name for p in place.iterdir()} | wanted.keys())
    say(f"packages: {len(wanted)}")
    for name, entry in wanted.items():
        if present.get(name) != entry.sha256:
            archive.take(entry, place / name)
    for name in present.keys() - wanted.keys():
        (place / name).unlink()


def _sources(archive: Archive, folder: Path, plan: SourcePlan, say: Say) -> None:
    say(f"sources: {len(plan.write)} new, {len(plan.replace)} replaced, {len(plan.remove)} removed")
    for path in (*plan.write, *plan.replace):
        archive.take(archive.manifest.sources[path], folder / path)
    for path in plan.remove:
        (folder / path).unlink(missing_ok=True)
        for parent in (folder / path).parents:
            if parent == folder or any(os.scandir(parent)):
                break
            parent.rmdir()
