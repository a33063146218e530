"""Why something was not done to a lesson, with the way out, in the person's language."""

from __future__ import annotations

from madang_lab.words import Sentences

REFUSALS: Sentences = {
    "unknown": {
        "ko": "그런 실습이 없습니다. 배우기 페이지에서 골라 주세요.",
        "en": "There is no such lesson. Pick one on the Learn page.",
    },
    "visitor": {
        "ko": "이 서버의 주인만 할 수 있습니다.",
        "en": "Only the owner of this server can do that.",
    },
    "absent": {
        "ko": "이 실습을 아직 열지 않았습니다. 먼저 열어 주세요.",
        "en": "This lesson has not been opened yet. Open it first.",
    },
    "busy": {
        "ko": "노트북이 방금 바뀌었습니다. 저장이 끝나고 몇 초 뒤에 다시 해 주세요.",
        "en": "The notebook has just been changed. Try again a few seconds after it was saved.",
    },
    "changed": {
        "ko": "그사이 노트북이 바뀌어 아무것도 고치지 않았습니다. 다시 해 주세요.",
        "en": "The notebook was changed meanwhile, so nothing was done. Try again.",
    },
    "read-only": {
        "ko": "노트북이 읽기 전용이어서 그대로 두었습니다. 쓰기 권한을 준 뒤 다시 해 주세요.",
        "en": "The notebook is read-only and was left alone. Make it writable and try again.",
    },
    "link": {
        "ko": "노트북이나 그 폴더가 링크이거나 너무 커서 그대로 두었습니다. 다른 이름으로 옮긴 뒤 "
        "다시 해 주세요.",
        "en": "The notebook or its folder is a link, or too large, and was left alone. Move it to another name "
        "and try again.",
    },
    "odd": {
        "ko": "노트북을 읽을 수 없어 그대로 두었습니다. 처음 상태로 되돌릴 수 있고, 지금 것은 "
        "백업으로 남습니다.",
        "en": "The notebook cannot be read and was left alone. You can start it over; what is there now is "
        "kept as a backup.",
    },
    "full": {
        "ko": "홈 폴더가 가득 차서 아무것도 고치지 않았습니다. 파일을 지워 자리를 만든 뒤 다시 해 주세요.",
        "en": "Your home folder is full, so nothing was done. Remove some files and try again.",
    },
    "cannot-write": {
        "ko": "홈 폴더에 쓸 수 없어 아무것도 고치지 않았습니다. 운영자에게 알려 주세요.",
        "en": "Your home folder cannot be written, so nothing was done. Tell the operator.",
    },
    "settled": {
        "ko": "고를 것이 더 없습니다.",
        "en": "There is nothing left to choose here.",
    },
    "no-backup": {
        "ko": "그런 백업이 없습니다.",
        "en": "There is no such backup.",
    },
    "bad": {
        "ko": "요청을 이해할 수 없습니다.",
        "en": "That request cannot be understood.",
    },
}


def refusal(reason: str, language: str) -> str:
    """The sentence for ``reason`` in ``ko`` or ``en``."""
    return REFUSALS[reason]["en" if language == "en" else "ko"]
