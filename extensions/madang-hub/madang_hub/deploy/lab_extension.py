"""The JupyterLab extension: one wheel, built here with Node, put into user images and environments.

Neither an image nor an environment holds Node for it. It is built again only when its sources changed:
``build/lab-extension/dist`` holds the wheel, ``build/lab-extension/work`` the copy in which it was built.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from madang_hub.deploy import envs
from madang_hub.places import bin_of, env_of, tool_of
from madang_hub.shelf import plan

SOURCE = "extensions/madang-lab"
"""Where it is written. An image that has this among its sources gets the wheel."""
_GENERATED = {"node_modules", "lib", "labextension", "__pycache__"}


def folder_of(root: Path) -> Path:
    """The folder in which it is built."""
    return root / "build" / "lab-extension"


def ensure(root: Path) -> Path:
    """Build the wheel if its sources changed; returns its path.

    Raises:
        BuildError: a package cannot be had, or the sources have errors; the message says which.
    """
    folder = folder_of(root)
    folder.mkdir(parents=True, exist_ok=True)
    with envs.alone(folder / ".lock"):
        mark, dist = folder / ".madang-inputs", folder / "dist"
        wanted = plan.digest(root, [SOURCE])
        wheels = sorted(dist.glob("madang_lab-*.whl"))
        if len(wheels) == 1 and mark.is_file() and mark.read_text(encoding="ascii") == wanted:
            return wheels[0]
        print("  building the JupyterLab extension …", flush=True)
        mark.unlink(missing_ok=True)
        shutil.rmtree(dist, ignore_errors=True)
        _build(root, folder / "work", dist)
        mark.write_text(wanted, encoding="ascii")
        return next(dist.glob("madang_lab-*.whl"))


def ensure_in(root: Path, name: str) -> None:
    """Install the present wheel into the environment ``build/env/<name>``.

    Raises:
        BuildError: it cannot be built or installed.
    """
    wheel = ensure(root)
    mark = env_of(root, name) / ".madang-lab"
    wanted = envs.fingerprint(wheel)
    if mark.is_file() and mark.read_text(encoding="ascii") == wanted:
        return
    uv = str(tool_of(root, "uv"))
    python = str(bin_of(root, name) / "python")
    # --reinstall: the version stays the same while the sources change
    options = ["--quiet", "--no-deps", "--reinstall", "--compile-bytecode", "--python", python]
    envs.run(f"Installing {wheel.name}", [uv, "pip", "install", *options, str(wheel)])
    envs.run("Fitting the environment out", [python, "-m", "madang_lab.fittings"])
    mark.write_text(wanted, encoding="ascii")


def _build(root: Path, work: Path, dist: Path) -> None:
    _copy(root / SOURCE, work)
    _node_packages(work)
    for project in (".", "test"):
        _node(work, "The TypeScript sources", "typescript/bin/tsc", "--project", project)
    core = work / "node_modules" / "@jupyterlab" / "core-meta" / "core.package.json"
    builder = "@jupyter/builder/lib/build-labextension.js"
    _node(work, "Packing the JupyterLab extension", builder, "--core-package-file", str(core), ".")
    made = work / "madang_lab" / "labextension"
    if "_build" not in json.loads((made / "package.json").read_text("utf-8"))["jupyterlab"]:
        raise envs.BuildError(f"Packing the JupyterLab extension left nothing loadable in {made}.")
    uv = str(tool_of(root, "uv"))
    command = [uv, "build", "--quiet", "--wheel", "--out-dir", str(dist), str(work)]
    envs.run("Packing the wheel of the JupyterLab extension", command)


def _copy(source: Path, work: Path) -> None:
    """Make ``work`` a copy of ``source``, keeping only Node's packages of an earlier build."""
    work.mkdir(exist_ok=True)
    for old in work.iterdir():
        if old.name == "node_modules" or old.name.startswith(".madang-"):
            continue
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()
    skip = shutil.ignore_patterns(*_GENERATED)
    shutil.copytree(source, work, dirs_exist_ok=True, ignore=skip)


def _node_packages(work: Path) -> None:
    mark = work / ".madang-packages"
    wanted = envs.fingerprint(work / "package.json", work / "package-lock.json")
    if mark.is_file() and mark.read_text(encoding="ascii") == wanted:
        return
    envs.npm_ci("Installing what builds the JupyterLab extension", work)
    mark.write_text(wanted, encoding="ascii")


def _node(work: Path, step: str, program: str, *arguments: str) -> None:
    path = work / "node_modules" / program
    envs.run(step, [str(envs.node()), str(path), *arguments], cwd=work)


def main() -> int:
    """``python -m madang_hub.deploy.lab_extension``: build it; the wheel's path on stdout."""
    try:
        print(ensure(Path(__file__).resolve().parents[4]))
    except envs.BuildError as error:
        print(f"lab-extension: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
