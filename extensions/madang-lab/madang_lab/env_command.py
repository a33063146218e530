"""``madang env`` inside a user server: what a person added to the environment, and back to how it was."""

from __future__ import annotations

import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from madang_lab import words
from madang_lab.layer import Layer, bytes_of, home_of, layer_of, layers_in
from madang_lab.shadows import Package, shadowed
from madang_lab.space import GONE
from madang_lab.words import size_words

SENTENCES: dict[str, dict[str, str]] = {
    "about": {
        "en": "Your own packages in this environment.",
        "ko": "이 실습 환경에 직접 설치한 패키지를 다룹니다.",
    },
    "about list": {
        "en": "show your own packages and what they replace",
        "ko": "직접 설치한 패키지와 그것이 대신하는 버전을 보여 줍니다",
    },
    "about reset": {
        "en": "remove your own packages; the environment is as it was",
        "ko": "직접 설치한 패키지를 모두 지워 실습 환경을 처음 상태로 되돌립니다",
    },
    "about name": {
        "en": "which packages, as `madang env list` calls them (default: those of this environment)",
        "ko": "지울 대상의 이름(`madang env list`에 나옵니다). 쓰지 않으면 이 실습 환경의 패키지를 지웁니다",
    },
    "none": {
        "en": "You have not added any packages to this environment.",
        "ko": "이 실습 환경에 직접 설치한 패키지가 없습니다.",
    },
    "instead": {"en": "instead of {version}", "ko": "{version} 대신 사용"},
    "unusable": {
        "en": "These packages cannot be used now: the folder is damaged. Start a kernel or a terminal, which "
        "repairs it; if this stays, run `madang env reset`.",
        "ko": "폴더가 손상되어 지금은 이 패키지를 쓸 수 없습니다. 커널이나 터미널을 새로 시작하면 "
        "복구됩니다. 그래도 그대로면 `madang env reset`을 실행해 주세요.",
    },
    "others": {
        "en": "Not used here (another environment or another Python); `madang env reset NAME` removes one:",
        "ko": "여기서는 쓰지 않는 것(다른 실습 환경이나 다른 파이썬 버전). "
        "`madang env reset 이름`으로 지울 수 있습니다:",
    },
    "unknown": {
        "en": "There is nothing called {name}. `madang env list` shows the names.",
        "ko": "‘{name}’에 해당하는 것이 없습니다. 이름은 `madang env list`로 확인해 주세요.",
    },
    "removed": {
        "en": "Removed {count} packages of your own. Restart running kernels.",
        "ko": "직접 설치한 패키지 {count}개를 지웠습니다. 실행 중인 커널은 다시 시작해 주세요.",
    },
    "list kept": {
        "en": "Their names are in {file}; `pip install -r {file}` brings them back.",
        "ko": "지운 패키지의 이름은 {file}에 적어 두었습니다. "
        "`pip install -r {file}`로 다시 설치할 수 있습니다.",
    },
    "stays": {
        "en": "{path} cannot be removed ({why}).",
        "ko": "지울 수 없습니다: {path} ({why})",
    },
}


def said(environ: Mapping[str, str], sentence: str, **values: object) -> str:
    return words.said(SENTENCES, environ, sentence, **values)


def show(environ: Mapping[str, str], layer: Layer) -> list[str]:
    """The lines of ``madang env list``."""
    own = layer.own()
    replaced = {one.name: one.instead_of for one in shadowed(own, layer.beneath(_names(own)))}
    lines = []
    for package in own:
        line = f"{package.name} {package.version}"
        if package.name in replaced:
            line += f"  ({said(environ, 'instead', version=replaced[package.name])})"
        lines.append(line)
    if not own:
        lines.append(said(environ, "none"))
    if layer.made:
        lines.append(_size(layer.folder))
        if not layer.usable:
            lines.append(said(environ, "unusable"))
    folder = layers_in(home_of(environ))
    if others := sorted(p for p in _entries(folder) if p != layer.folder and p.is_dir()):
        lines += ["", said(environ, "others"), *(_size(p) for p in others)]
    return lines


def _size(folder: Path) -> str:
    return f"{folder.name}: {size_words(bytes_of(folder))}"


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:
        return []


def _names(packages: Sequence[Package]) -> list[str]:
    return [package.name for package in packages]


def reset(environ: Mapping[str, str], layer: Layer, now: datetime) -> list[str]:
    """Remove ``layer``, keep a list of what was in it, and make an empty one if it is this server's.

    Raises:
        OSError: it cannot be removed.
    """
    own = layer.own()
    # gone at once for whatever starts now; the files follow
    gone = layer.folder.with_name(f"{GONE}{layer.folder.name}")
    _remove(gone)
    layer.folder.rename(gone)
    _remove(gone)
    lines = [said(environ, "removed", count=len(own))]
    if own:
        file = layer.folder.with_name(f"{layer.folder.name}-{now:%Y%m%d-%H%M%S}.txt")
        file.write_text("".join(f"{one.name}=={one.version}\n" for one in own), encoding="utf-8")
        lines.append(said(environ, "list kept", file=file))
    if layer == layer_of(environ, layer.prefix):
        subprocess.run([str(layer.prefix / "bin" / "madang-layer"), "true"], check=False)
    return lines


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def add_to(commands: Any, environ: Mapping[str, str]) -> None:
    """Add the words to argparse's ``commands``."""
    about = said(environ, "about")
    env = commands.add_parser("env", help=about, description=about)
    env.set_defaults(run=run)
    inner = env.add_subparsers(dest="word", required=True, metavar="list|reset")
    inner.add_parser("list", help=said(environ, "about list"))
    removing = inner.add_parser("reset", help=said(environ, "about reset"))
    removing.add_argument("name", nargs="?", help=said(environ, "about name"))


def run(environ: Mapping[str, str], chosen: Namespace) -> int:
    """``madang env`` as it was called; its exit status."""
    layer = layer_of(environ)
    if chosen.word == "list":
        print("\n".join(show(environ, layer)))
        return 0
    if chosen.name:
        names = [path.name for path in _entries(layers_in(home_of(environ))) if path.is_dir()]
        if chosen.name not in names:
            print(said(environ, "unknown", name=chosen.name), file=sys.stderr)
            return 1
        layer = Layer(layers_in(home_of(environ)) / chosen.name, layer.prefix)
    if not layer.made:
        print(said(environ, "none"))
        return 0
    try:
        lines = reset(environ, layer, datetime.now())
    except OSError as error:
        path = error.filename or layer.folder
        print(said(environ, "stays", path=path, why=error.strerror), file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0
