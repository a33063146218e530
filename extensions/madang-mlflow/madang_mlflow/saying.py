"""How the gate says something: to a person as a page, to a program as JSON."""

from madang_mlflow import pages
from madang_mlflow.exchange import Headers, Request, Send, answer
from madang_mlflow.pages import Message
from madang_mlflow.session import read_cookies


class Saying:
    """Says messages.

    Args:
        prefix: where the tracking server is, for the page's link.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    async def __call__(
        self, request: Request, send: Send, message: Message, extra: Headers | None = None
    ) -> None:
        """Answer the request with the message; ``extra`` are more headers."""
        if request.navigates:
            cookies = read_cookies(request.all(b"cookie"))
            lang = pages.language(cookies, request.one(b"accept-language"))
            content = pages.page(message, lang, self._prefix)
            policy = b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
            headers = [(b"content-security-policy", policy), (b"vary", b"accept-language, cookie")]
            kind = b"text/html; charset=utf-8"
        else:
            content, headers = pages.document(message.status, message.en), []
            kind = b"application/json"
        await answer(send, message.status, content, kind, [*headers, *(extra or [])])
