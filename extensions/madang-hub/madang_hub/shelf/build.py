"""Building images with the engine: ``docker build`` for what is stale, parents first.

Builds run behind a site's certificates and mirrors (``site.py``), which reach them as BuildKit secrets, so
that nothing of it stays in an image (see ``images/site`` and ``docs/howto/mirrors-and-certificates.md``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from madang_hub.catalog import Catalog
from madang_hub.deploy import envs, lab_extension, lessons
from madang_hub.image_table import OUTSIDE_PARENT, TABLE, CatalogError
from madang_hub.lessons import SOURCE as LESSONS
from madang_hub.places import tool_of
from madang_hub.shelf import plan, site
from madang_hub.shelf.explain import explain
from madang_hub.shelf.labels import INPUTS, Origin, labels
from madang_hub.shelf.sources import revision_of


class BuildError(RuntimeError):
    """An image cannot be built; the message names the step and what to do."""


@dataclass(frozen=True)
class Built:
    """One image after a build: its name and whether it was built or was fresh already."""

    reference: str
    fresh: bool

    def __str__(self) -> str:
        return f"{self.reference}: {'fresh' if self.fresh else 'built'}"


def build(
    catalog: Catalog,
    root: Path,
    names: Sequence[str] | None = None,
    environ: Mapping[str, str] = os.environ,
    options: Sequence[str] = (),
) -> list[Built]:
    """Build the stale ones of ``names`` (all if None) and of their ancestors.

    Args:
        environ: the environment for the ``docker`` command (``DOCKER_HOST``, ``PATH``).
        options: further ones of ``docker build``.

    Raises:
        BuildError: a build failed, or the engine cannot be asked.
        plan.UnknownImage: a name is not in the table.
    """
    wanted_names = plan.order(catalog, names)
    wanted, to_build = look(catalog, root, wanted_names, environ)
    _ensure_built_before(catalog, root, to_build)
    for number, name in enumerate(to_build, start=1):
        reference = catalog.reference(name)
        print(f"  building {reference} ({number} of {len(to_build)}) …", flush=True)
        _build_one(catalog, root, name, wanted[name], environ, options)
    return [Built(catalog.reference(n), n not in to_build) for n in wanted_names]


def look(
    catalog: Catalog, root: Path, names: Sequence[str], environ: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Every image's fingerprint, and those of ``names`` that are stale on the engine.

    Raises:
        BuildError: the outside image cannot be had, or the engine cannot be asked.
    """
    base = _ensure_base(root, environ)
    inputs = {n: plan.digest(root, plan.inputs_of(catalog, n)) for n in catalog.images}
    wanted = plan.fingerprints(catalog, inputs, base)
    present = {n: _label(catalog.reference(n), environ) for n in names}
    return wanted, plan.stale(names, wanted, present)


def _build_one(
    catalog: Catalog,
    root: Path,
    name: str,
    fingerprint: str,
    environ: Mapping[str, str],
    options: Sequence[str],
) -> None:
    image = catalog.images[name]
    parent = catalog.reference(image.parent) if image.parent in catalog.images else image.parent
    origin = Origin(parent, revision_of(root, catalog, name), fingerprint, datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="madang-build-") as folder:
        python = str(tool_of(root, "python"))
        secrets = site.secrets(Path(folder), environ, python)
        lock = (root / image.locks[0]).read_text(encoding="utf-8") if image.locks else ""
        wheels = site.wheels(lock, environ, python)
        command = [
            *("docker", "build", "--progress", "plain", "--pull=false"),
            *("--file", str(root / image.dockerfile)),
            *("--tag", catalog.reference(name)),
            *("--build-arg", f"PARENT={parent}", "--build-arg", f"NAME={name}"),
            *("--build-arg", f"RELEASE={catalog.release}"),
            *(("--build-arg", f"TOOL={catalog.reference(image.tool)}") if image.tool else ()),
            *(("--build-arg", f"LOCK={image.locks[0]}") if image.locks else ()),
            *(("--build-context", f"wheels={wheels}") if wheels else ()),
            *(
                w
                for k, v in labels(catalog, name, root, origin).items()
                for w in ("--label", f"{k}={v}")
            ),
            *secrets,
            *options,
            str(root),
        ]
        done = _run(command, {**environ, "DOCKER_BUILDKIT": "1"})
    log = root / "build" / "log" / f"image-{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        raise BuildError(explain(name, done.stdout + done.stderr, log.relative_to(root)))


def _ensure_base(root: Path, environ: Mapping[str, str]) -> str:
    """The identity of the outside image; it is fetched or made where it is missing."""
    found = _layers(OUTSIDE_PARENT, environ)
    if not found:
        done = _run([str(root / "scripts" / "base-image")], environ)
        if done.returncode:
            raise BuildError(f"{OUTSIDE_PARENT} is missing:\n{done.stderr.strip()}")
        found = _layers(OUTSIDE_PARENT, environ)
    return found


def _ensure_built_before(catalog: Catalog, root: Path, names: Sequence[str]) -> None:
    """The wheel of the JupyterLab extension and the lessons are there before an image copies them."""
    read = {path for name in names for path in catalog.images[name].sources}
    try:
        if lab_extension.SOURCE in read:
            lab_extension.ensure(root)
        if LESSONS in read:
            lessons.ensure(root)
    except envs.BuildError as error:
        raise BuildError(str(error)) from error


def _layers(reference: str, environ: Mapping[str, str]) -> str:
    words = ["docker", "image", "inspect", "--format", "{{json .RootFS.Layers}}", reference]
    done = _run(words, environ)
    return done.stdout.strip() if done.returncode == 0 else ""


def _label(reference: str, environ: Mapping[str, str]) -> str:
    done = _run(
        ["docker", "image", "inspect", "--format", "{{json .Config.Labels}}", reference], environ
    )
    if done.returncode:
        if "no such image" not in done.stderr.lower():
            raise BuildError(f"the engine cannot be asked for images: {done.stderr.strip()}")
        return ""
    return str((json.loads(done.stdout) or {}).get(INPUTS, ""))


def _run(command: list[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m madang_hub.shelf.build [NAME…]`` in a checkout."""
    names = list(sys.argv[1:] if argv is None else argv)
    root = Path(__file__).resolve().parents[4]
    try:
        catalog = Catalog.load(root / TABLE)
        for built in build(catalog, root, names or None):
            print(built)
    except (BuildError, CatalogError, plan.UnknownImage) as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
