"""Making a bundle on a machine with a network: images, packages and the checkout in one file."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from madang_hub.bundle import contents, engine, loading
from madang_hub.bundle.archive import CHUNK, Told, Writer, new_file
from madang_hub.bundle.manifest import (
    IMAGES,
    LOADER,
    SOURCE,
    WHEELS,
    BundledImage,
    BundleError,
    Manifest,
    bad_name,
    readable,
)
from madang_hub.catalog import Catalog
from madang_hub.image_table import OUTSIDE_PARENT
from madang_hub.places import env_of, tool_of
from madang_hub.shelf import build, plan

LOCKS = ("locks/tool.txt", "locks/hub.txt")
"""What ``scripts/setup`` installs."""
DEBIANS_PYTHON = ("3.11", "3.13")
"""Of Debian 12 and 13."""
_LOADER = ("__init__", "manifest", "archive", "engine", "loading")
"""The modules of this package that the loader is made of."""
COMPRESSED = 0.6
"""What images shrink to at the most (measured 0.3 with zstd)."""


@dataclass(frozen=True)
class Bench:
    """Where a bundle is made: the checkout, its table, and variables for the docker command."""

    root: Path
    catalog: Catalog
    environ: Mapping[str, str]
    say: Callable[[str], None]
    told: Callable[[int, int], None]
    """Called now and then with the bytes that are done and all of them."""


def create(
    bench: Bench, target: Path, only: Sequence[str] | None, pythons: Sequence[str]
) -> Manifest:
    """Write the bundle ``target``.

    Raises:
        BundleError: an image is not current, a package cannot be had, the disk is full; nothing stays then.
    """
    docker = engine.Engine(bench.environ)
    docker.require()
    with new_file(target) as file:
        sources = checkout_files(bench.root)
        chosen, images = _images(bench, docker, only, sources)
        own = sum(image.own for image in images)
        _require_room(target, int(own * COMPRESSED))
        bench.say(f"images: {', '.join(i.name for i in images)} ({readable(own)})")
        if chosen.left_out:
            bench.say(f"left out, not built or not current: {', '.join(chosen.left_out)}")
        bench.say(f"packages for Python {' and '.join(pythons)} …")
        wheels = _wheels(bench.root, pythons)
        writer = Writer(file)
        _add_loader(writer, bench.root)
        for path in sources:
            with (bench.root / path).open("rb") as source:
                executable = bool((bench.root / path).stat().st_mode & 0o100)
                writer.add(SOURCE + path, source, executable=executable)
        for wheel in sorted(wheels.iterdir()):
            with wheel.open("rb") as source:
                writer.add(WHEELS + wheel.name, source)
        bench.say(f"sources: {len(sources)} files; packages: {len(list(wheels.iterdir()))}")
        add_images(writer, bench, docker, images, own)
        if _images(bench, docker, only, sources) != (chosen, images):
            raise BundleError(
                "Images or sources changed while the bundle was made; nothing of it stays. Create it again."
            )
        revision, changed = _revision(bench.root)
        manifest = Manifest(
            release=bench.catalog.release,
            revision=revision,
            changed=changed,
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            machine=engine.machine(),
            python=tuple(pythons),
            images=tuple(images),
            left_out=chosen.left_out,
            files=tuple(writer.entries),
        )
        writer.finish(manifest)
    return manifest


# ---- images ---------------------------------------------------------------------------------


def _images(
    bench: Bench, docker: engine.Engine, only: Sequence[str] | None, sources: Sequence[str]
) -> tuple[contents.Chosen, list[BundledImage]]:
    catalog = bench.catalog
    compose = (bench.root / "docker-compose.yml").read_text(encoding="utf-8")
    wanted, stale = build.look(catalog, bench.root, list(catalog.images), bench.environ)
    chosen = contents.choose(catalog, compose, stale, only)
    _require_sources(bench, chosen.images, sources)
    found: list[BundledImage] = []
    sizes: dict[str, int] = {}
    references = {
        OUTSIDE_PARENT: OUTSIDE_PARENT,
        **{n: catalog.reference(n) for n in chosen.images},
    }
    for name, reference in references.items():
        present = docker.look(reference)
        if present is None:
            raise BundleError(f"The image {reference} went away meanwhile: try again.")
        sizes[name] = present.size
        parent = catalog.images[name].parent if name in catalog.images else ""
        own = max(0, present.size - sizes.get(parent, 0))
        inputs = wanted.get(name, "")
        found.append(BundledImage(name, reference, present.id, present.content, inputs, own))
    return chosen, found


def _require_sources(bench: Bench, names: Sequence[str], sources: Sequence[str]) -> None:
    """Raises:
    BundleError: a file that a build reads is not in the bundle: there the image would seem stale.
    """
    inside = set(sources)
    for name in names:
        for path in plan.inputs_of(bench.catalog, name):
            for file in plan.files(bench.root / path):
                if str(file.relative_to(bench.root)) not in inside:
                    raise BundleError(
                        f"The image {name} is built from {file}, which git ignores, so that it would not be "
                        "in the bundle: remove it or take it out of .gitignore."
                    )


def add_images(
    writer: Writer, bench: Bench, docker: engine.Engine, images: Sequence[BundledImage], total: int
) -> None:
    """Add the engine's images, packed by zstd where that is installed, else by gzip.

    Raises:
        BundleError: the engine or zstd failed.
    """
    done = 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        bench.told(done, total)

    zstd = shutil.which("zstd")
    path = IMAGES[0] if zstd else IMAGES[1]

    def write(file: IO[bytes]) -> None:
        def take(saved: IO[bytes]) -> None:
            if zstd:
                _by_zstd(zstd, saved, file, told)
            else:
                with gzip.GzipFile("", "wb", 4, file, mtime=0) as packed:
                    _pump(saved, packed, told)

        docker.save([image.reference for image in images], take)

    bench.say(
        f"saving images with {'zstd' if zstd else 'gzip (zstd, where installed, is faster)'} …"
    )
    writer.add_by(path, write)


def _by_zstd(zstd: str, saved: IO[bytes], file: IO[bytes], told: Told) -> None:
    command = [zstd, "-q", "-3", "-T0", "-c"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=file.fileno(), stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None  # noqa: S101  # for the type: both are pipes
        assert process.stderr is not None  # noqa: S101  # as above
        # it ended early: its own words are below
        with suppress(BrokenPipeError):
            _pump(saved, process.stdin, told)
        with suppress(BrokenPipeError):
            process.stdin.close()
        trouble = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        raise BundleError(f"The images cannot be written ({trouble}); nothing of the bundle stays.")


def _pump(source: IO[bytes], sink: IO[bytes] | gzip.GzipFile, told: Told) -> None:
    while block := source.read(CHUNK):
        sink.write(block)
        told(len(block))


# ---- files ----------------------------------------------------------------------------------


def checkout_files(root: Path) -> list[str]:
    """The files of the checkout as they are now, without what git ignores.

    Raises:
        BundleError: it is no git checkout, or a file cannot be in a bundle.
    """
    words = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    listed = _git(root, *words).split("\0")
    found = sorted(path for path in listed if path and (root / path).exists())
    for path in found:
        if trouble := bad_name(SOURCE + path):
            raise BundleError(f"The checkout cannot be bundled: {trouble}.")
        if (root / path).is_symlink() or not (root / path).is_file():
            raise BundleError(f"The checkout cannot be bundled: {path} is no plain file.")
    return found


def _revision(root: Path) -> tuple[str, bool]:
    """The commit, and whether there are changes beside it."""
    return _git(root, "rev-parse", "HEAD").strip(), bool(_git(root, "status", "--porcelain"))


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise BundleError("git is missing, which lists the sources: install it.") from error
    if done.returncode:
        raise BundleError(
            f"{root} is no git checkout, so its sources are not known. Make bundles in the checkout, and "
            "hand on the file from which this folder was loaded."
        )
    return done.stdout


def _wheels(root: Path, pythons: Sequence[str]) -> Path:
    """A folder with exactly the wheels of :data:`LOCKS` for this kind of machine; kept for the next time.

    Raises:
        BundleError: pip cannot get one.
    """
    key = hashlib.sha256(" ".join(pythons).encode())
    for lock in LOCKS:
        key.update((root / lock).read_bytes())
    kept = root / "build" / "wheels"
    folder = kept / key.hexdigest()[:16]
    if folder.is_dir():
        return folder
    pip = tool_of(root, "pip")
    if not pip.exists():
        raise BundleError(
            f"{env_of(Path(), 'tool')} came from a bundle and has no pip: remove it and build/bundle, then "
            "try again."
        )
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=kept) as new:
        for python in pythons:
            for lock in LOCKS:
                # --quiet twice: no warnings about mirrors that lack a package
                words = ["download", "-q", "-q", "--no-deps", "--only-binary=:all:", "--dest", new]
                words += ["--python-version", python, "--require-hashes", "-r", str(root / lock)]
                done = subprocess.run(
                    [str(pip), *words], capture_output=True, text=True, check=False
                )
                if done.returncode:
                    tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
                    raise BundleError(
                        f"The packages of {lock} for Python {python} cannot be had:\n{tail}\n"
                        "'make doctor' checks the network; --python names other versions."
                    )
        for old in kept.iterdir():
            if old != Path(new):
                shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(new, folder)
    return folder


def _add_loader(writer: Writer, root: Path) -> None:
    package = Path(loading.__file__).parent
    with (package / "loader.py").open("rb") as source:
        writer.add(f"{LOADER}__main__.py", source)
    with (package.parent / "__init__.py").open("rb") as source:
        writer.add(f"{LOADER}madang_hub/__init__.py", source)
    for name in _LOADER:
        with (package / f"{name}.py").open("rb") as source:
            writer.add(f"{LOADER}madang_hub/bundle/{name}.py", source)


def _require_room(target: Path, need: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if free < need:
        raise BundleError(
            f"The disk of {target.parent.resolve()} has {readable(free)} free and the bundle may need "
            f"{readable(need)}: make room, or name a file on another disk."
        )
