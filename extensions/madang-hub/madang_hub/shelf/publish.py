"""Getting the contents of images out of the engine, to where people can look at them.

``FOLDER/<image>/<release>/`` gets ``manifest.json`` (:func:`madang_hub.shelf.contents.document`) and
``sbom.cdx.json``. Earlier releases stay. Embedded mode has no images: there the list is made from the
environments themselves.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from madang_hub.catalog import Catalog
from madang_hub.shelf import contents, labels
from madang_hub.shelf.sources import revision_of

MANIFEST, SBOM = "manifest.json", "sbom.cdx.json"
INSIDE = "/opt/madang/manifest.json"
KEPT = ".madang-contents"
"""In an environment of embedded mode: what is in it, as it was listed last."""


class PublishError(RuntimeError):
    """The contents of an image cannot be had; the message says why."""


def publish(
    catalog: Catalog,
    names: Iterable[str],
    folder: Path,
    environ: Mapping[str, str] = os.environ,
    before: Path | None = None,
) -> list[str]:
    """Write what is in the images ``names`` below ``folder``, where that is not there yet; those written.

    An image that the engine does not have is passed over, and one that holds no list (a tool of the builds).

    Args:
        environ: the environment for the ``docker`` command.
        before: another such folder (:func:`build_folder`). What it says of the same build is copied, since
            asking an image takes a second.

    Raises:
        PublishError: an image's list is damaged, the engine cannot be asked, or ``folder`` not written.
    """
    written = []
    for name in names:
        reference = catalog.reference(name)
        found = _inspect(reference, environ)
        target = folder / name / catalog.release
        if found is None or _is_there(target, str(found["Id"])):
            continue
        if before and _is_there(before / name / catalog.release, str(found["Id"])):
            _copy(before / name / catalog.release, target)
            written.append(name)
            continue
        said = found["Config"].get("Labels") or {}
        listed = _listed(reference, environ)
        if listed is None:
            continue
        try:
            document = contents.document(
                listed,
                identity=str(found["Id"]),
                size=int(found["Size"]),
                main=said.get(labels.MAIN, "").split(),
                **labels.Origin.of(said),
            )
        except contents.ContentsError as error:
            raise PublishError(f"{reference}: {error}") from error
        _write(target, document)
        written.append(name)
    return written


def build_folder(root: Path) -> Path:
    """Where ``madang images`` writes down what is in the images that it built."""
    return root / "build" / "shelf"


def publish_environment(
    catalog: Catalog, name: str, root: Path, python: Path, folder: Path
) -> bool:
    """The same for the environment ``name`` of embedded mode, which ``python`` runs; True if written.

    Raises:
        PublishError: its packages cannot be listed.
    """
    place = python.parent.parent
    mark = place / ".madang-lock"
    inputs = mark.read_text(encoding="ascii").strip() if mark.is_file() else ""
    target = folder / name / catalog.release
    # the time of the folder changes with whatever is installed into it
    changed = [p.stat().st_mtime_ns for p in place.glob("lib/python*/site-packages")]
    identity = f"{name} {inputs} {max(changed, default=0)}"
    if _is_there(target, identity):
        return False
    script = root / "images" / "manifest"
    made = datetime.fromtimestamp(mark.stat().st_mtime if inputs else 0, UTC)
    document = contents.document(
        _listed_once(place / KEPT, identity, script, [name, catalog.release], python),
        identity=identity,
        size=0,
        main=labels.main_packages(catalog, name, root),
        parent="",
        revision=revision_of(root, catalog, name),
        inputs=inputs,
        created=made.isoformat(timespec="seconds"),
    )
    _write(target, document)
    return True


def _listed_once(kept: Path, identity: str, script: Path, words: list[str], python: Path) -> str:
    """What ``script`` lists, kept with the environment: another data folder needs it again.

    It takes a second. Listed anew when the environment, the script or its ``words`` differ.
    """
    program = hashlib.sha256(script.read_bytes()).hexdigest()
    about = json.dumps([identity, program, *words])
    with contextlib.suppress(OSError, UnicodeDecodeError):
        first, _, listed = kept.read_text(encoding="utf-8").partition("\n")
        if first == about:
            return listed
    with tempfile.TemporaryDirectory() as work:
        made = Path(work) / MANIFEST
        _run([str(script), *words, str(made), str(python)], os.environ)
        listed = made.read_text(encoding="utf-8")
    # an environment of somebody else may be used, not written
    with contextlib.suppress(OSError):
        part = kept.with_name(f"{kept.name}.{os.getpid()}.part")
        part.write_text(f"{about}\n{listed}", encoding="utf-8")
        part.replace(kept)
    return listed


def _is_there(target: Path, identity: str) -> bool:
    """Whether the build ``identity`` is described there; the list is written last."""
    try:
        said = contents.identity((target / MANIFEST).read_text(encoding="utf-8"))
    except OSError:
        return False
    return said == identity and (target / SBOM).is_file()


def _write(target: Path, document: Mapping[str, Any]) -> None:
    from madang_hub.shelf.sbom import bill  # the Hub's image does without the library

    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    _put(target, {SBOM: bill(contents.read(text)), MANIFEST: text})


def _copy(source: Path, target: Path) -> None:
    _put(target, {n: (source / n).read_text(encoding="utf-8") for n in (SBOM, MANIFEST)})


def _put(target: Path, files: Mapping[str, str]) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            part = target / f".{name}.part"
            part.write_text(content, encoding="utf-8")
            part.chmod(0o644)
            part.replace(target / name)
    except OSError as error:
        raise PublishError(
            f"{target} cannot be written ({error.strerror}); it must belong to the account that runs madang"
        ) from error


def _inspect(reference: str, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """What the engine says of an image, None if it does not have it."""
    try:
        said = _run(["docker", "image", "inspect", reference], environ)
    except PublishError as error:
        if "no such image" in str(error).lower():
            return None
        raise
    found: list[dict[str, Any]] = json.loads(said)
    return found[0]


def _listed(reference: str, environ: Mapping[str, str]) -> str | None:
    """The list inside the image, None if it holds none; nothing of the image is run."""
    container = _run(["docker", "create", "--network", "none", reference], environ).strip()
    try:
        with tempfile.TemporaryDirectory() as work:
            _run(["docker", "cp", f"{container}:{INSIDE}", work], environ)
            return (Path(work) / Path(INSIDE).name).read_text(encoding="utf-8")
    except PublishError as error:
        if "could not find the file" in str(error).lower():
            return None
        raise
    finally:
        _run(["docker", "rm", "--volumes", container], environ)


def _run(command: list[str], environ: Mapping[str, str]) -> str:
    done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=False)
    if done.returncode:
        raise PublishError(f"{' '.join(command[:3])} failed: {done.stderr.strip()}")
    return done.stdout
