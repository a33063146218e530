"""What an environment gets beside the wheel: the layers' pattern, and kernels that run in a layer.

``python -m madang_lab.fittings``, run once by the environment's Python after the wheel was installed, writes

- ``share/madang/layer``: what a new layer is a copy of; ``share/madang/layer.mark`` changes with its content;
- ``share/madang/<language>/kernels``: ipykernel's own ``python3``, started in the layer, and ``python3-plain``,
  which never sees it. ``madang-start`` puts the folder of the person's language on ``JUPYTER_PATH``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from madang_lab.layer import PYTHON, site_of

PLAIN = {"ko": "파이썬 (내 패키지 없이)", "en": "Python (without my packages)"}
"""Name of the kernel that works whatever a person has installed."""


def home_of(prefix: Path) -> str:
    """The folder with the Python that the environment at ``prefix`` was made from (PEP 405's ``home``)."""
    for line in (prefix / "pyvenv.cfg").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home":
            return value.strip()
    raise ValueError(f"{prefix / 'pyvenv.cfg'} names no home")


def write_pattern(prefix: Path, folder: Path) -> None:
    """What a layer on the environment at ``prefix`` begins as, into the new ``folder``."""
    programs = folder / "bin"
    site = site_of(folder)
    for made in (programs, site):
        made.mkdir(parents=True)
    version = ".".join(map(str, sys.version_info[:3]))
    (folder / "pyvenv.cfg").write_text(
        f"home = {home_of(prefix)}\ninclude-system-site-packages = false\nversion = {version}\n",
        encoding="utf-8",
    )
    (programs / "python").symlink_to((prefix / "bin" / "python").resolve())
    for name in ("python3", PYTHON):
        (programs / name).symlink_to("python")
    # behind the layer's own packages; a folder's .pth files are read only by addsitedir
    (site / "_madang.pth").write_text(
        f"import site; site.addsitedir({str(site_of(prefix))!r})\n", encoding="utf-8"
    )
    # the environment's own programs of these names would run without the layer
    for name, module in (("pip", "pip"), ("pip3", "pip"), ("ipython", "IPython")):
        _program(programs / name, f'"${{0%/*}}/python" -m {module}')
    _program(programs / "uv", f'"{prefix}/bin/python" -I -m madang_lab.uv')


def _program(path: Path, command: str) -> None:
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    path.chmod(0o755)


def mark_of(folder: Path) -> str:
    """A word that changes with what is in ``folder``."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        total.update(f"{path.relative_to(folder)}\0".encode())
        if path.is_symlink():
            total.update(str(path.readlink()).encode())
        elif path.is_file():
            total.update(path.read_bytes())
    return total.hexdigest()


def write_kernels(prefix: Path, language: str, folder: Path) -> None:
    """Both kernels of one language into the new ``folder``, made from ipykernel's own."""
    source = prefix / "share" / "jupyter" / "kernels" / "python3"
    upstream: dict[str, Any] = json.loads((source / "kernel.json").read_text(encoding="utf-8"))
    arguments = upstream["argv"][1:]
    changes: dict[str, dict[str, Any]] = {
        "python3": {"argv": [f"{prefix}/bin/madang-layer", "python", *arguments]},
        "python3-plain": {
            "argv": [f"{prefix}/bin/python", *arguments],
            "display_name": PLAIN[language],
        },
    }
    for name, changed in changes.items():
        shutil.copytree(source, folder / name)
        text = json.dumps({**upstream, **changed}, ensure_ascii=False, indent=1)
        (folder / name / "kernel.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Write all of it anew for the environment that this Python is of."""
    prefix = Path(sys.prefix)
    folder = prefix / "share" / "madang"
    shutil.rmtree(folder, ignore_errors=True)
    write_pattern(prefix, folder / "layer")
    (folder / "layer.mark").write_text(mark_of(folder / "layer") + "\n", encoding="ascii")
    for language in PLAIN:
        write_kernels(prefix, language, folder / language / "kernels")


if __name__ == "__main__":
    main()
