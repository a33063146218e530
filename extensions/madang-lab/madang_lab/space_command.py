"""``madang space`` inside a user server: what takes room in the home, and room without loss.

Only removes, writes nothing: it works in a full home. In the rescue environment ``MADANG_HOME`` is the person's
folder, because programs have another ``HOME`` there.
"""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from madang_lab import words
from madang_lab.home_scan import FILES, remove, scan
from madang_lab.layer import home_of
from madang_lab.space import Emptiable, Space, freed, largest_folders
from madang_lab.words import path_words, size_words

FOLDERS = 10
LEAST = 2**20
"""Smaller folders and files, in bytes, are not worth a line."""
YES = frozenset({"y", "yes", "예", "네"})

SENTENCES: dict[str, dict[str, str]] = {
    "about": {
        "en": "show what takes room in your home folder",
        "ko": "홈 폴더에서 무엇이 공간을 많이 쓰는지 보여 줍니다",
    },
    "about clean": {
        "en": "remove caches, notebook checkpoints and the trash; shows them and asks first",
        "ko": "캐시와 노트북 체크포인트, 휴지통을 비웁니다. 지울 것을 먼저 보여 주고 묻습니다",
    },
    "about yes": {"en": "do not ask", "ko": "묻지 않고 지웁니다"},
    "all": {
        "en": "{home}: {used} in use, {free} free",
        "ko": "{home}: {used} 사용 중, {free} 남음",
    },
    "folders": {
        "en": "Largest folders, with all that is in them:",
        "ko": "가장 큰 폴더(안에 든 것까지 더한 크기):",
    },
    "files": {"en": "Largest files:", "ko": "가장 큰 파일:"},
    "can go": {
        "en": "Can go without loss, {size} in all (`madang space clean` removes it):",
        "ko": "지워도 괜찮은 것, 모두 {size}(`madang space clean`으로 지울 수 있습니다):",
    },
    "going": {"en": "This will be removed, {size} in all:", "ko": "다음을 지웁니다. 모두 {size}:"},
    "nothing": {
        "en": "There are no caches, checkpoints or trash to remove.",
        "ko": "지울 만한 캐시나 체크포인트, 휴지통이 없습니다.",
    },
    "cache": {
        "en": "cache, made again when needed",
        "ko": "캐시. 필요하면 다시 만들어집니다",
    },
    "downloads": {
        "en": "downloads, fetched again when needed",
        "ko": "내려받은 모델과 데이터. 필요하면 다시 내려받습니다",
    },
    "checkpoints": {"en": "notebook checkpoints", "ko": "노트북 체크포인트"},
    "trash": {"en": "trash", "ko": "휴지통"},
    "packages": {
        "en": "own packages for an environment that is no longer offered",
        "ko": "더는 제공하지 않는 실습 환경에 설치했던 패키지",
    },
    "leftover": {
        "en": "left over from `madang env reset`",
        "ko": "`madang env reset`이 다 지우지 못하고 남긴 것",
    },
    "folders of these": {"en": "{count} folders", "ko": "폴더 {count}개"},
    "unread": {
        "en": "Not counted, because they cannot be read ({count}): {folder}",
        "ko": "읽을 수 없어 계산에 넣지 못한 폴더({count}개): {folder}",
    },
    "question": {"en": "Remove all of this? [y/N] ", "ko": "모두 지울까요? [y/N] "},
    "no answer": {
        "en": "Nothing was removed: nobody can answer here. `madang space clean --yes` removes without asking.",
        "ko": "여기서는 대답할 수 없어 지우지 않았습니다. 묻지 않고 지우려면 "
        "`madang space clean --yes`를 실행해 주세요.",
    },
    "kept": {"en": "Nothing was removed.", "ko": "지우지 않았습니다."},
    "done": {"en": "Removed; that made room for {size}.", "ko": "{size}를 비웠습니다."},
    "stays": {
        "en": "Could not be removed entirely: {folder}",
        "ko": "다 지우지 못했습니다: {folder}",
    },
    "home": {
        "en": "The home folder {home} cannot be read ({why}).",
        "ko": "홈 폴더 {home}을(를) 읽을 수 없습니다({why}).",
    },
}


def said(environ: Mapping[str, str], sentence: str, **values: object) -> str:
    return words.said(SENTENCES, environ, sentence, **values)


def environments_of(environ: Mapping[str, str]) -> frozenset[str]:
    """All environments that can be started; none where the Hub did not say."""
    offered = environ.get("MADANG_ENVIRONMENTS", "").split()
    return (
        frozenset((*offered, environ.get("MADANG_ENVIRONMENT") or "base"))
        if offered
        else frozenset()
    )


def show(environ: Mapping[str, str], home: Path, space: Space, free: int) -> list[str]:
    """The lines of ``madang space``."""
    used = size_words(space.size)
    lines = [said(environ, "all", home=path_words(str(home)), used=used, free=size_words(free))]
    for title, rows in (
        ("folders", largest_folders(space.folders, FOLDERS, LEAST)),
        ("files", [(path, size) for path, size in space.files[:FILES] if size >= LEAST]),
    ):
        if rows:
            lines += ["", said(environ, title), *(_row(size, path) for path, size in rows)]
    lines.append("")
    if space.emptiable:
        lines += [said(environ, "can go", size=size_words(freed(space.emptiable)))]
        lines += _grouped(environ, space.emptiable)
    else:
        lines.append(said(environ, "nothing"))
    if space.unread:
        first = path_words(space.unread[0])
        lines += ["", said(environ, "unread", count=len(space.unread), folder=first)]
    return lines


def _row(size: int, path: str, why: str = "") -> str:
    return f"{size_words(size):>9}  {path_words(path)}" + (f"  ({why})" if why else "")


def _grouped(environ: Mapping[str, str], emptiable: Sequence[Emptiable]) -> list[str]:
    """A line for each, and one for all checkpoints: there may be hundreds."""
    points = [one for one in emptiable if one.kind == "checkpoints"]
    lines = _each(environ, [one for one in emptiable if one.kind != "checkpoints"])
    if points:
        count = said(environ, "folders of these", count=len(points))
        lines.append(_row(freed(points), said(environ, "checkpoints"), count))
    return lines


def _each(environ: Mapping[str, str], emptiable: Sequence[Emptiable]) -> list[str]:
    ordered = sorted(emptiable, key=lambda one: (-freed([one]), one.path))
    return [_row(freed([one]), one.path, said(environ, one.kind)) for one in ordered]


def clean(environ: Mapping[str, str], home: Path, space: Space, sure: bool) -> int:
    """Say what goes, ask unless ``sure``, and remove it; the exit status."""
    if not space.emptiable:
        print(said(environ, "nothing"))
        return 0
    print(said(environ, "going", size=size_words(freed(space.emptiable))))
    print("\n".join(_each(environ, space.emptiable)))
    if not sure:
        try:
            answer = input(said(environ, "question"))
        except EOFError:
            print("\n" + said(environ, "no answer"), file=sys.stderr)
            return 1
        if answer.strip().casefold() not in YES:
            print(said(environ, "kept"))
            return 0
    gone = [one for one in space.emptiable if remove(home, one.path)]
    print(said(environ, "done", size=size_words(freed(gone))))
    stays = [one for one in space.emptiable if one not in gone]
    for one in stays:
        print(said(environ, "stays", folder=path_words(one.path)), file=sys.stderr)
    return 1 if stays else 0


def add_to(commands: Any, environ: Mapping[str, str]) -> None:
    """Add the words to argparse's ``commands``."""
    about = said(environ, "about")
    space = commands.add_parser("space", help=about, description=about)
    space.set_defaults(run=run, word="")
    inner = space.add_subparsers(dest="word", metavar="clean")
    about = said(environ, "about clean")
    cleaning = inner.add_parser("clean", help=about, description=about)
    cleaning.add_argument("--yes", "-y", action="store_true", help=said(environ, "about yes"))


def run(environ: Mapping[str, str], chosen: Namespace) -> int:
    """``madang space`` as it was called; its exit status."""
    home = home_of(environ).resolve()
    try:
        space = scan(home, environments_of(environ))
        free = shutil.disk_usage(home).free
    except OSError as error:
        message = said(environ, "home", home=path_words(str(home)), why=error.strerror)
        print(message, file=sys.stderr)
        return 1
    if chosen.word == "clean":
        return clean(environ, home, space, chosen.yes)
    print("\n".join(show(environ, home, space, free)))
    return 0
