"""What the gate itself says, to browsers (Korean or English) and to programs (JSON).

The pages hold nothing from the request: no text to escape, nothing to reflect.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

#: MLflow's client shows `error_code` and retries by status.
_ERROR_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "ENDPOINT_NOT_FOUND",
    413: "REQUEST_LIMIT_EXCEEDED",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One thing the gate can say.

    Attributes:
        status: the HTTP status.
        en: for programs, and for people who read English.
        ko: for people who read Korean.
    """

    status: int
    en: str
    ko: str


ODD_PATH = Message(
    400,
    "This address is not well-formed: use the links on the pages.",
    "주소 형식이 올바르지 않습니다. 화면의 링크를 이용해 주세요.",
)
ODD_HEADERS = Message(
    400,
    "The request has more than one Authorization or Host header: send one.",
    "요청의 인증 또는 호스트 헤더가 둘 이상입니다. 하나만 보내 주세요.",
)
WRONG_HOST = Message(
    403,
    "The tracking server does not answer to this host name: use the address you were given, or "
    "ask the operator to add the name to MADANG_TRACKING_HOSTS.",
    "이 호스트 이름으로는 접속할 수 없습니다. 안내받은 주소를 사용하거나, 운영자에게 "
    "MADANG_TRACKING_HOSTS에 이 이름을 추가해 달라고 요청해 주세요.",
)
NOT_FOUND = Message(
    404,
    "There is nothing at this address.",
    "이 주소에는 아무것도 없습니다.",
)
SIGN_IN = Message(
    401,
    "Who is asking is not known: send a valid Hub token as 'Authorization: Bearer', or reload the "
    "page to sign in again.",
    "로그인이 필요합니다. 페이지를 새로 고쳐 다시 로그인해 주세요.",
)
NOT_ALLOWED = Message(
    403,
    "This account or token may not use the tracking server: ask the operator for access.",
    "이 계정은 실험 기록 서버를 사용할 수 없습니다. 운영자에게 권한을 요청해 주세요.",
)
FOREIGN_PAGE = Message(
    403,
    "The request comes from a page of another site and was refused: open the tracking server "
    "itself and try there.",
    "다른 사이트의 페이지에서 보낸 요청이라 거부되었습니다. 실험 기록 화면에서 다시 시도해 주세요.",
)
CLOSED = Message(
    403,
    "This function of MLflow is not open on this server.",
    "이 서버에서는 사용할 수 없는 MLflow 기능입니다.",
)
ODD_WORKSPACE = Message(
    400,
    "X-MLFLOW-WORKSPACE must be given once and be the name of a workspace.",
    "작업 공간(X-MLFLOW-WORKSPACE)은 한 번만, 올바른 이름으로 보내야 합니다.",
)
FOREIGN_WORKSPACE = Message(
    403,
    "There is no such workspace, or it is not yours to use: choose one from the list of "
    "workspaces, or leave MLFLOW_WORKSPACE out for your own.",
    "그런 작업 공간이 없거나 사용할 권한이 없습니다. 목록에서 다른 작업 공간을 골라 주세요.",
)
READ_ONLY = Message(
    403,
    "You may look at this workspace but not change it: choose your own to log or edit.",
    "이 작업 공간은 볼 수만 있습니다. 기록하거나 고치려면 자신의 작업 공간을 골라 주세요.",
)
TOO_LARGE = Message(
    413,
    "The request is too large: send less at once.",
    "요청이 너무 큽니다. 나누어 보내 주세요.",
)
PACKED = Message(
    400,
    "This request must not be compressed: send it without Content-Encoding.",
    "이 요청은 압축하지 않고 보내야 합니다.",
)
LOGIN_LOST = Message(
    400,
    "This sign-in was begun in another browser, took too long or was already used: begin again.",
    "다른 브라우저에서 시작되었거나, 시간이 지났거나, 이미 사용된 로그인입니다. "
    "다시 시작해 주세요.",
)
HUB_AWAY = Message(
    503,
    "The Hub does not answer, so nobody can be signed in at the moment: try again shortly.",
    "허브가 응답하지 않아 지금은 로그인할 수 없습니다. 잠시 후 다시 시도해 주세요.",
)

_AGAIN = {"ko": "실험 기록 열기", "en": "Open tracking"}
_TITLE = {"ko": "실험 기록", "en": "Tracking"}

_PAGE = """<!doctype html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Madang</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.05rem/1.6 system-ui, "Noto Sans KR", "Noto Sans CJK KR", sans-serif;
  margin: 15vh auto 0; max-width: 34rem; padding: 0 1.5rem; word-break: keep-all; }}
h1 {{ font-size: 1.4rem; }}
a {{ color: LinkText; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{text}</p>
<p><a href="{link}">{again}</a></p>
</main>
</body>
</html>
"""


def language(cookies: Mapping[str, str], accept_language: str) -> str:
    """``ko`` or ``en``: the cookie ``madang_lang``, else the browser's languages, else Korean."""
    chosen = cookies.get("madang_lang", "")
    if chosen in ("ko", "en"):
        return chosen
    for part in accept_language.lower().split(","):
        tag = part.split(";")[0].strip().split("-")[0]
        if tag in ("ko", "en"):
            return tag
    return "ko"


def page(message: Message, lang: str, link: str) -> bytes:
    """A small page.

    Args:
        message: what to say.
        lang: ``ko`` or ``en``.
        link: the service's prefix, where "open again" leads.
    """
    text = message.ko if lang == "ko" else message.en
    return _PAGE.format(
        lang=lang, title=_TITLE[lang], text=text, link=link, again=_AGAIN[lang]
    ).encode()


def document(status: int, text: str) -> bytes:
    """The JSON error that MLflow's client and the Hub's users both understand."""
    code = _ERROR_CODES.get(status, "INTERNAL_ERROR")
    return json.dumps({"error_code": code, "message": text, "status": status}).encode()
