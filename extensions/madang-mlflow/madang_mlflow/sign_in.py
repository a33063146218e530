"""A browser's way through the Hub's sign-in and back (OAuth 2 with PKCE, RFC 7636)."""

import asyncio
from typing import Protocol
from urllib.parse import parse_qs

from madang_mlflow import pages, paths
from madang_mlflow.exchange import Headers, Request, Send, redirect, set_cookie
from madang_mlflow.identity import CodeRefusedError, HubUnreachableError
from madang_mlflow.saying import Saying
from madang_mlflow.session import Sessions, read_cookies


class HubCalls(Protocol):
    """What the gate asks of the Hub beside identities (`madang_mlflow.hub.Hub`)."""

    def new_challenge(self) -> tuple[str, str, str]:
        """A PKCE verifier, its challenge and the challenge's method."""

    def authorize_url(self, state: str, challenge: str, method: str) -> str:
        """Where a browser goes to sign in."""

    async def token_for_code(self, code: str, verifier: str) -> str:
        """The token for an OAuth code."""

    async def close(self) -> None:
        """Close connections."""


class SignIn:
    """Sends browsers to the Hub, and takes them when they come back.

    Args:
        say: how messages are said.
        prefix: where the tracking server is.
        timeout: seconds that one question to the Hub may take; the exchange of a code is several.
    """

    def __init__(
        self, hub: HubCalls, sessions: Sessions, say: Saying, *, prefix: str, timeout: float
    ) -> None:
        self._hub, self._sessions, self._say = hub, sessions, say
        self._prefix, self._timeout = prefix, timeout

    async def begin(self, request: Request, cookies: dict[str, str], send: Send) -> None:
        """Nobody is signed in: browsers go to the Hub, others hear 401."""
        extra: Headers = []
        if self._sessions.name in cookies:
            extra.append(set_cookie(self._sessions.clear_session()))
        if not request.navigates:
            await self._say(request, send, pages.SIGN_IN, extra)
            return
        target = request.raw_path.decode("ascii")
        if request.query:
            target += "?" + request.query.decode("latin-1")
        verifier, challenge, method = self._hub.new_challenge()
        pending, cookie = self._sessions.begin(paths.safe_next(target, self._prefix), verifier)
        extra += [set_cookie(old) for old in self._sessions.sweep(cookies)]
        extra.append(set_cookie(cookie))
        await redirect(send, self._hub.authorize_url(pending.state, challenge, method), extra)

    async def finish(self, request: Request, send: Send) -> None:
        """The browser comes back from the Hub."""
        query = parse_qs(request.query.decode("latin-1"), max_num_fields=20)
        states, codes = query.get("state", []), query.get("code", [])
        cookies = read_cookies(request.all(b"cookie"))
        pending = self._sessions.finish(cookies, states[0]) if len(states) == 1 else None
        if pending is None:
            await self._say(request, send, pages.LOGIN_LOST)
            return
        done = [set_cookie(self._sessions.clear_state(pending.state))]
        if len(codes) != 1:  # the Hub said no, or the person did
            await self._say(request, send, pages.NOT_ALLOWED, done)
            return
        try:
            async with asyncio.timeout(self._timeout * 5):
                token = await self._hub.token_for_code(codes[0], pending.verifier)
        except (HubUnreachableError, TimeoutError):
            await self._say(request, send, pages.HUB_AWAY)
            return
        except CodeRefusedError:
            await self._say(request, send, pages.LOGIN_LOST, done)
            return
        done.append(set_cookie(self._sessions.write_session(token)))
        await redirect(send, paths.safe_next(pending.next, self._prefix), done)
