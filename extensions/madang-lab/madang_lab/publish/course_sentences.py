"""What the author reads while something is published, and where publishing is refused, in both languages."""

from __future__ import annotations

from collections.abc import Mapping

from madang_lab import words

SENTENCES: dict[str, dict[str, str]] = {
    # how it ended
    "done": {
        "en": "“{title}” is published.",
        "ko": "‘{title}’을(를) 게시했습니다.",
    },
    "not shown": {
        "en": "The check passed, but “{title}” does not show this version: somebody chose another one "
        "meanwhile. "
        "Choose it on the dashboard’s page.",
        "ko": "점검은 통과했지만 그사이 다른 버전을 고른 사람이 있어 ‘{title}’에 이 버전이 보이지 않습니다. "
        "대시보드의 관리 화면에서 이 버전을 골라 주세요.",
    },
    "failed": {
        "en": "The check of the new version failed, so it is not shown. Correct the notebook and "
        "publish again.",
        "ko": "새 버전이 점검을 통과하지 못해 공개하지 않았습니다. 노트북을 고쳐 다시 게시해 주세요.",
    },
    "failed cell": {
        "en": "Cell {cell} failed in the check, so the new version is not shown. Correct the cell and "
        "publish "
        "again.",
        "ko": "점검에서 {cell}번 셀이 실패해 새 버전을 공개하지 않았습니다. 셀을 고쳐 다시 게시해 주세요.",
    },
    "not run": {
        "en": "The new version could not be checked, so it is not shown. Publish it again; if this stays, "
        "tell an admin.",
        "ko": "새 버전을 점검하지 못해 공개하지 않았습니다. 다시 게시해 주세요. 그래도 그대로면 관리자에게 "
        "알려 주세요.",
    },
    "stays": {
        "en": "What was published before stays.",
        "ko": "전에 게시한 버전은 그대로 보입니다.",
    },
    "replaced": {
        "en": "A newer version came while this one was checked, so this one is not shown.",
        "ko": "점검하는 동안 더 새로운 버전이 올라와 이 버전은 공개하지 않았습니다.",
    },
    "no word": {
        "en": "The files are there, but nothing is known of the check. Look at the dashboard’s page in "
        "a few minutes.",
        "ko": "파일은 보냈지만 점검 결과를 받지 못했습니다. 몇 분 뒤 대시보드의 관리 화면에서 확인해 주세요.",
    },
    "no answer": {
        "en": "Everything was sent, but the service did not answer. Look at the dashboard’s page in a few "
        "minutes: it says whether the version was taken.",
        "ko": "파일은 다 보냈지만 대시보드 서비스가 응답하지 않았습니다. 새 버전이 올라갔는지 몇 분 뒤 "
        "대시보드의 관리 화면에서 확인해 주세요.",
    },
    # what became of the audience
    "narrow": {
        "en": "For now only those can see the dashboard who could before and whom you chose this time as "
        "well. You can change that on its page.",
        "ko": "지금은 전에도 볼 수 있었고 이번에도 고른 사람만 대시보드를 볼 수 있습니다. 대시보드의 관리 "
        "화면에서 바꿀 수 있습니다.",
    },
    "perhaps narrow": {
        "en": "Who may see it may have changed already. Look at that on the dashboard’s page.",
        "ko": "볼 수 있는 사람은 이미 바뀌었을 수 있습니다. 대시보드의 관리 화면에서 확인해 주세요.",
    },
    "not let in": {
        "en": "“{title}” is published, but those whom you added are not let in yet. {why} Choose on the "
        "dashboard’s page who may see it.",
        "ko": "‘{title}’을(를) 게시했지만 새로 더한 사람은 아직 볼 수 없습니다. {why} 볼 수 있는 사람은 "
        "대시보드의 관리 화면에서 고를 수 있습니다.",
    },
    "perhaps not let in": {
        "en": "“{title}” is published, but the service does not answer just now: those whom you added may "
        "not be let in yet. Look on the dashboard’s page who may see it.",
        "ko": "‘{title}’을(를) 게시했지만 지금 대시보드 서비스가 응답하지 않아, 새로 더한 사람은 아직 보지 "
        "못할 수 있습니다. 볼 수 있는 사람을 대시보드의 관리 화면에서 확인해 주세요.",
    },
    "stopped": {
        "en": "Stopped. No new version was published.",
        "ko": "중단했습니다. 새 버전을 게시하지 않았습니다.",
    },
    "stopped late": {
        "en": "Stopped, but everything had been sent already. The dashboard’s page says whether the "
        "version was taken.",
        "ko": "중단했지만 파일을 이미 다 보냈습니다. 새 버전이 올라갔는지 대시보드의 관리 화면에서 "
        "확인해 주세요.",
    },
    "too late": {
        "en": "Everything is sent already, so this cannot be stopped any more. You can take the "
        "dashboard off on its page.",
        "ko": "이미 다 보내 중단할 수 없습니다. 대시보드의 관리 화면에서 내릴 수 있습니다.",
    },
    "broken": {
        "en": "Something went wrong here, so this was not published. Try again; if this stays, tell an "
        "admin: the "
        "server’s log says more.",
        "ko": "여기서 문제가 생겨 게시하지 못했습니다. 다시 시도해 주세요. 그래도 그대로면 관리자에게 "
        "알려 주세요. "
        "서버 로그에 자세한 내용이 있습니다.",
    },
    # why it did not begin
    "none": {
        "en": "This Madang has no dashboards, so nothing can be published here. Ask an admin.",
        "ko": "이 마당에서는 대시보드를 쓰지 않아 게시할 수 없습니다. 관리자에게 문의해 주세요.",
    },
    "may not": {
        "en": "You may not publish dashboards. Ask a mentor or an admin.",
        "ko": "대시보드를 게시할 권한이 없습니다. 멘토나 관리자에게 문의해 주세요.",
    },
    "away": {
        "en": "The service of dashboards does not answer. Try again in a moment.",
        "ko": "대시보드 서비스가 응답하지 않습니다. 잠시 뒤 다시 시도해 주세요.",
    },
    "busy": {
        "en": "Something is being published already. Wait until that has ended.",
        "ko": "이미 게시하는 중입니다. 끝난 뒤 다시 시도해 주세요.",
    },
    "bad": {
        "en": "That cannot be published as it was said. Load the page again.",
        "ko": "요청 내용이 올바르지 않아 게시할 수 없습니다. 페이지를 다시 불러와 주세요.",
    },
    "gone": {
        "en": "This notebook is not there (any more). Save it and try again.",
        "ko": "노트북을 찾을 수 없습니다. 저장한 뒤 다시 시도해 주세요.",
    },
    "seen": {
        "en": "What would be published has changed since you looked at it. Look at it again.",
        "ko": "확인한 뒤에 게시할 내용이 바뀌었습니다. 다시 확인해 주세요.",
    },
    "secrets": {
        "en": "{count} places may hold a secret. Take them out, or say that you have looked at them.",
        "ko": "비밀 정보가 있는 것 같은 곳이 {count}군데 있습니다. 지우거나, 확인했다고 표시해 주세요.",
    },
    "revision": {
        "en": "This dashboard was changed elsewhere meanwhile. Look at it again.",
        "ko": "그사이 다른 곳에서 이 대시보드를 바꿨습니다. 다시 확인해 주세요.",
    },
    "changed": {
        "en": "{path} was changed while it was packed. Try again.",
        "ko": "묶는 동안 파일이 바뀌었습니다: {path}. 다시 시도해 주세요.",
    },
    "full": {
        "en": "There is no room in your home for the archive. `madang space` shows what takes room.",
        "ko": "홈 폴더에 압축 파일을 만들 자리가 없습니다. `madang space`로 무엇이 자리를 차지하는지 "
        "볼 수 있습니다.",
    },
    "unreadable": {
        "en": "The files cannot be packed ({why}). Try again; if this stays, ask an admin.",
        "ko": "파일을 묶을 수 없습니다({why}). 다시 시도해 주세요. 그래도 그대로면 관리자에게 문의해 주세요.",
    },
}


def say(environ: Mapping[str, str], sentence: str, **values: object) -> str:
    """The sentence of that name in the person's language."""
    found = {
        name: words.path_words(value) if isinstance(value, str) else value
        for name, value in values.items()
    }
    return words.said(SENTENCES, environ, sentence, **found)
