"""What the author reads about a plan, in both languages."""

from __future__ import annotations

from collections.abc import Mapping

from madang_lab import words
from madang_lab.publish.bounds import Limits
from madang_lab.publish.plan import Note, Plan
from madang_lab.words import path_words, size_words

SENTENCES: dict[str, dict[str, str]] = {
    # what stops
    "absolute": {
        "en": "{path} is an absolute path.",
        "ko": "절대 경로입니다: {path}",
    },
    "odd": {
        "en": "{path} leads out of the folder.",
        "ko": "폴더 밖을 가리키는 경로입니다: {path}",
    },
    "long": {
        "en": "The name {path} is too long. Give it a shorter one.",
        "ko": "이름이 너무 깁니다: {path}. 더 짧게 바꿔 주세요.",
    },
    "deep": {
        "en": "{path} lies too deep in folders. Move it up.",
        "ko": "폴더가 너무 깊습니다: {path}. 위쪽 폴더로 옮겨 주세요.",
    },
    "characters": {
        "en": "The name {path} has characters that do not show. Rename it.",
        "ko": "이름에 보이지 않는 문자가 있습니다: {path}. 이름을 바꿔 주세요.",
    },
    "form": {
        "en": "The name {path} is written in a form that other machines write otherwise. Rename it.",
        "ko": "이름이 컴퓨터마다 다르게 저장되는 문자 형식입니다: {path}. 이름을 다시 입력해 바꿔 주세요.",
    },
    "hidden": {
        "en": "{path} is hidden, and hidden files are not published.",
        "ko": "숨김 파일은 게시하지 않습니다: {path}",
    },
    "reserved": {
        "en": "The name {path} is kept for Madang. Rename the file.",
        "ko": "마당이 쓰는 이름입니다: {path}. 파일 이름을 바꿔 주세요.",
    },
    "twice": {
        "en": "{path} is there twice.",
        "ko": "같은 파일이 두 번 있습니다: {path}",
    },
    "alike": {
        "en": "{path} and another name differ in capitals only. Rename one of them.",
        "ko": "대소문자만 다른 이름이 있습니다: {path}. 둘 중 하나의 이름을 바꿔 주세요.",
    },
    "both": {
        "en": "{path} is a file and a folder.",
        "ko": "파일과 폴더의 이름이 같습니다: {path}",
    },
    "entries": {
        "en": "There are more than {entries} files and folders. Move the notebook and what it needs to a folder"
        " of their own.",
        "ko": "파일과 폴더가 {entries}개를 넘습니다. 노트북과 필요한 파일만 새 폴더로 옮겨 주세요.",
    },
    "total": {
        "en": "The files have more than {total} together. Move the notebook and what it needs to a folder of "
        "their own.",
        "ko": "파일을 모두 합하면 {total}를 넘습니다. 노트북과 필요한 파일만 새 폴더로 옮겨 주세요.",
    },
    "file": {
        "en": "{path} has more than {file}. Publish a smaller one.",
        "ko": "{file}를 넘는 파일입니다: {path}. 더 작은 파일로 게시해 주세요.",
    },
    "packed": {
        "en": "The archive of the files has more than {packed}. Move the notebook and what it needs to a "
        "folder of their own.",
        "ko": "파일을 압축해도 {packed}를 넘습니다. 노트북과 필요한 파일만 새 폴더로 옮겨 주세요.",
    },
    "ratio": {
        "en": "The files are more than {ratio} times as large as their archive, which is not taken. Take "
        "out those that repeat one thing over and over, files of zeros say.",
        "ko": "파일이 압축한 크기의 {ratio}배를 넘어 게시할 수 없습니다. "
        "0으로만 채운 파일처럼 같은 내용이 되풀이되는 파일을 빼 주세요.",
    },
    "unreadable": {
        "en": "{path} cannot be read. Change its permissions or move it away.",
        "ko": "읽을 수 없습니다: {path}. 권한을 바꾸거나 다른 곳으로 옮겨 주세요.",
    },
    "home": {
        "en": "The notebook lies in your home itself, and all of that would be published. Move it and what it "
        "needs to a folder of their own.",
        "ko": "노트북이 홈 폴더에 바로 있어 홈 전체를 게시하게 됩니다. 노트북과 필요한 파일만 "
        "새 폴더로 옮겨 주세요.",
    },
    "notebook": {
        "en": "{path} is no notebook that can be read. Open it in JupyterLab, save it and try again.",
        "ko": "읽을 수 있는 노트북이 아닙니다: {path}. JupyterLab에서 열어 저장한 뒤 다시 시도해 주세요.",
    },
    # what warns
    "absolute path": {
        "en": "{where} uses {path}, which the dashboard will not have. Copy the file into the notebook's folder"
        " and use its name.",
        "ko": "{where}에서 쓰는 {path}은(는) 대시보드에 없습니다. 파일을 노트북 "
        "폴더로 복사하고 그 이름을 써 주세요.",
    },
    "outside": {
        "en": "{where} uses {path}, which lies outside of the notebook's folder and is not published. Copy it "
        "into the folder.",
        "ko": "{where}에서 쓰는 {path}은(는) 노트북 폴더 밖에 있어 게시하지 "
        "않습니다. 폴더 안으로 복사해 주세요.",
    },
    "left out": {
        "en": "{where} uses {path}, which is not published (it is hidden, a link or made again). Replace it by "
        "a file that is.",
        "ko": "{where}에서 쓰는 {path}은(는) 게시하지 않습니다(숨김 파일, 링크, "
        "캐시). 보통 파일로 바꿔 주세요.",
    },
    "missing": {
        "en": "{where} reads {path}, which is not there.",
        "ko": "{where}에서 읽는 {path}이(가) 없습니다.",
    },
    "secret": {
        "en": "{where} may hold a secret ({what}). Take it out before you publish; if it is real and was shown "
        "to others, replace it as well.",
        "ko": "{where}에 비밀 정보({what})가 있는 것 같습니다. 게시하기 전에 지워 "
        "주세요. 실제 값이고 다른 사람이 볼 수 있었다면 새 값으로 바꿔 주세요.",
    },
    # where
    "cell": {
        "en": "Cell {cell}, line {line},",
        "ko": "{cell}번 셀 {line}번째 줄",
    },
    "printed": {
        "en": "What cell {cell} printed",
        "ko": "{cell}번 셀의 출력",
    },
    "cell of": {
        "en": "{path}, cell {cell}, line {line},",
        "ko": "{path}의 {cell}번 셀 {line}번째 줄",
    },
    "printed of": {
        "en": "What cell {cell} of {path} printed",
        "ko": "{path}의 {cell}번 셀 출력",
    },
    "line of": {
        "en": "{path}, line {line},",
        "ko": "{path}의 {line}번째 줄",
    },
    # the whole
    "sum": {
        "en": "{count} files, {size}, from {folder}",
        "ko": "파일 {count}개, {size}, 폴더: {folder}",
    },
    "left": {
        "en": "Not published: {count} hidden files, links and caches.",
        "ko": "게시하지 않는 것: 숨김 파일, 링크, 캐시 {count}개.",
    },
    "unseen": {
        "en": "Not looked through for secrets to the end: {count} files (data, pictures, large files).",
        "ko": "비밀 정보가 있는지 끝까지 살펴보지 않은 파일: {count}개(데이터, 그림, 큰 파일).",
    },
}


def said(environ: Mapping[str, str], note: Note, plan: Plan, limits: Limits) -> str:
    """One note of ``plan`` in the person's language."""
    path = path_words(note.path)
    return words.said(
        SENTENCES,
        environ,
        note.kind,
        path=path,
        where=_where(environ, note, plan, path),
        what=note.what,
        entries=limits.entries,
        total=size_words(limits.total),
        file=size_words(limits.file),
        packed=size_words(limits.packed),
        ratio=limits.ratio,
    )


def _where(environ: Mapping[str, str], note: Note, plan: Plan, path: str) -> str:
    other = note.kind == "secret" and note.path != plan.notebook
    if not note.cell:
        which = "line of"
    elif note.line:
        which = "cell of" if other else "cell"
    else:
        which = "printed of" if other else "printed"
    return words.said(SENTENCES, environ, which, path=path, cell=note.cell, line=note.line)


def summary(environ: Mapping[str, str], plan: Plan) -> list[str]:
    """What will be packed, in a few lines."""
    size = size_words(plan.size)
    lines = [
        words.said(
            SENTENCES,
            environ,
            "sum",
            count=len(plan.files),
            size=size,
            folder=path_words(plan.folder),
        )
    ]
    if plan.left:
        lines.append(words.said(SENTENCES, environ, "left", count=len(plan.left)))
    if plan.unseen:
        lines.append(words.said(SENTENCES, environ, "unseen", count=plan.unseen))
    return lines
