"""The gate: a pure ASGI application in front of MLflow's.

Each request goes through, in this order: host → prefix → odd path → identity → scope and kind →
origin (for cookies) → list of open routes → workspace and right → body → room for files. Only then
MLflow sees it, without prefix, credentials or any header that is not on a short list, and with one
workspace.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol
from urllib.parse import unquote

from madang_mlflow import bodies, opening, pages, paths, workspaces
from madang_mlflow.classes import Classes
from madang_mlflow.exchange import (
    App,
    Event,
    Receive,
    Request,
    Send,
    answer,
    bearer,
    read,
    redirect,
    replaying,
    response_headers,
    same_site,
)
from madang_mlflow.handed import Handed
from madang_mlflow.identity import (
    Directory,
    Identity,
    Unsure,
    Verdict,
)
from madang_mlflow.meter import Meter
from madang_mlflow.oversight import Entrances, Names
from madang_mlflow.pages import Message
from madang_mlflow.routes import FILES, PUBLIC, WORKSPACES, AllowList, changes
from madang_mlflow.saying import Saying
from madang_mlflow.session import Sessions, read_cookies
from madang_mlflow.settings import Hosts
from madang_mlflow.sign_in import SignIn

log = logging.getLogger("madang.tracking")

#: The request headers that MLflow sees. Anything else could pretend to be an identity, a
#: workspace, another host or another path to some layer below.
PASSED_HEADERS = frozenset(
    b"content-type content-length content-encoding transfer-encoding accept accept-encoding "
    b"accept-language user-agent range if-range if-none-match if-modified-since if-match "
    b"if-unmodified-since cache-control".split()
)

#: Names the workspace: to the gate, which checks it, and then to MLflow, which stays in it.
WORKSPACE_HEADER = b"x-mlflow-workspace"


class StoreCalls(Names, Protocol):
    """What the gate asks of MLflow's stores (`madang_mlflow.store.Store`)."""

    async def ensure(self, workspace: str, experiment: str | None) -> None:
        """Make a workspace, and an experiment in it, unless they are there."""

    async def has_model(self, workspace: str, model: str) -> bool:
        """Whether a logged model's id is one of this workspace's."""


class Gate:
    """Wraps MLflow's ASGI application."""

    def __init__(
        self,
        app: App,
        *,
        close: Callable[[], Awaitable[None]],
        directory: Directory,
        classes: Classes,
        store: StoreCalls,
        handed: Handed,
        meter: Meter,
        sessions: Sessions,
        say: Saying,
        sign_in: SignIn,
        routes: AllowList,
        prefix: str,
        hosts: Hosts,
        public_url: str,
        retry_after: int,
    ) -> None:
        self._app = app
        self._close = close
        self._say = say
        self._sign_in = sign_in
        self._directory = directory
        self._entrances = Entrances(classes, store, handed)
        self._store = store
        self._meter = meter
        self._sessions = sessions
        self._routes = routes
        self._prefix = prefix
        self._hosts = hosts
        self._scheme, _, netloc = public_url.partition("://")
        self._host_header = (b"host", netloc.encode("ascii"))
        self._retry_after = retry_after

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":  # MLflow has none
            await send({"type": "websocket.close", "code": 1008})

    async def _lifespan(self, scope: Event, receive: Receive, send: Send) -> None:
        async def closing(event: Event) -> None:
            if event["type"].startswith("lifespan.shutdown."):
                await self._close()
            await send(event)

        await self._app(scope, receive, closing)

    async def _http(self, scope: Event, receive: Receive, send: Send) -> None:
        request = Request.of(scope)
        prefix = self._prefix.encode()
        raw = request.raw_path
        if raw in (b"/health", prefix + b"health") and request.method in ("GET", "HEAD"):
            await self._pass(scope, request, b"/health", "/health", receive, send)
            return
        refusal = self._before_identity(request)
        if refusal:
            await self._say(request, send, refusal)
            return
        if raw == prefix[:-1]:
            await redirect(send, self._prefix, [])
            return
        if raw == prefix + b"oauth_callback" and request.method == "GET":
            await self._sign_in.finish(request, send)
            return
        inner_raw = raw[len(prefix) - 1 :]
        inner = unquote(inner_raw.decode("ascii"), errors="strict")
        verdict = await self._verdict(request)
        if verdict is Unsure.UNREACHABLE and (request.method, inner) in PUBLIC:
            await self._pass(scope, request, inner_raw, inner, receive, send)
            return
        caller = await self._admitted(request, inner, verdict, send)
        if caller is None:
            return
        workspace = await self._workspace(request, inner, caller, send)
        if workspace is None:
            return
        if bodies.looked_at(request.method, inner) or bodies.names_models(request.method, inner):
            replay = await self._checked_body(request, inner, workspace, receive, send)
            if replay is None:
                return
            request, receive = replay
        if opening.is_page(request.method, inner):
            request = opening.whole(request)
            send = opening.opening(send, workspaces.home_of(caller.name))

        async def go(receive: Receive, send: Send) -> None:
            await self._pass(scope, request, inner_raw, inner, receive, send, workspace)

        await self._meter.run(request, inner, workspace, receive, send, go)

    def _before_identity(self, request: Request) -> Message | None:
        hosts = request.all(b"host")
        if len(hosts) > 1 or len(request.all(b"authorization")) > 1:
            return pages.ODD_HEADERS
        if not self._hosts.known(request.one(b"host")):
            return pages.WRONG_HOST
        prefix = self._prefix.encode()
        raw = request.raw_path
        if not raw.startswith(prefix) and raw != prefix[:-1]:
            return pages.NOT_FOUND
        if not raw.isascii() or paths.odd(raw):
            return pages.ODD_PATH
        return None

    async def _verdict(self, request: Request) -> Verdict:
        """Whose request it is."""
        # A header never falls back to the cookie: a script that sends its own is taken by it.
        token = (
            bearer(request.one(b"authorization"))
            if request.all(b"authorization")
            else self._sessions.read_session(read_cookies(request.all(b"cookie")))
        )
        return await self._directory.identify(token) if token else Unsure.REFUSED

    async def _admitted(
        self, request: Request, inner: str, verdict: Verdict, send: Send
    ) -> Identity | None:
        """Who may make this request; None if nobody may, and then the answer has been sent."""
        by_header = bool(request.all(b"authorization"))
        if verdict is Unsure.UNREACHABLE:
            await self._hub_away(request, send, by_header)
            return None
        if not isinstance(verdict, Identity):
            cookies = {} if by_header else read_cookies(request.all(b"cookie"))
            await self._sign_in.begin(request, cookies, send)
            return None
        if not verdict.may_enter:
            refusal = pages.NOT_ALLOWED
        elif not by_header and not same_site(request, self._scheme):
            refusal = pages.FOREIGN_PAGE
        elif not self._routes.open(request.method, inner):
            refusal = pages.CLOSED
        else:
            # what an admin sees is for a person at a browser: a notebook's token never opens it
            return replace(verdict, reads_all=False) if by_header else verdict
        await self._refuse(request, inner, verdict, send, refusal)
        return None

    async def _refuse(
        self, request: Request, inner: str, caller: Identity, send: Send, refusal: Message
    ) -> None:
        log.info("Refused %s %s for %s: %s", request.method, inner, caller.name, refusal.status)
        await self._say(request, send, refusal)

    async def _workspace(
        self, request: Request, inner: str, caller: Identity, send: Send
    ) -> str | None:
        """The workspace that the request is for; None when the answer has been sent."""
        try:
            wanted = workspaces.asked_for(request.all(WORKSPACE_HEADER))
            listed = WORKSPACES.fullmatch(inner)
            if listed:
                found = workspaces.listing(await self._entrances.of(caller, None))
                await self._say_workspaces(request, inner, caller, send, found, listed["name"])
                return None
            home = workspaces.home_of(caller.name)
            given = await self._entrances.of(caller, wanted or home)
            workspace, right = workspaces.chosen(wanted, given)
        except workspaces.OddWorkspaceError:
            await self._refuse(request, inner, caller, send, pages.ODD_WORKSPACE)
            return None
        except workspaces.ForeignWorkspaceError:
            await self._refuse(request, inner, caller, send, pages.FOREIGN_WORKSPACE)
            return None
        if right is not workspaces.Right.WRITE and changes(request.method, inner):
            await self._refuse(request, inner, caller, send, pages.READ_ONLY)
            return None
        if workspace not in given.seen:
            await self._store.ensure(workspace, caller.name if workspace == home else None)
        return workspace

    async def _say_workspaces(
        self,
        request: Request,
        inner: str,
        caller: Identity,
        send: Send,
        found: Sequence[dict[str, str]],
        name: str | None,
    ) -> None:
        if name is None:
            content = json.dumps({"workspaces": found}).encode()
        elif one := [item for item in found if item["name"] == name]:
            content = json.dumps({"workspace": one[0]}).encode()
        else:
            await self._refuse(request, inner, caller, send, pages.FOREIGN_WORKSPACE)
            return
        await answer(send, 200, content, b"application/json", [])

    async def _hub_away(self, request: Request, send: Send, by_header: bool) -> None:
        """MLflow's client retries every call on 429, but only some on 503."""
        retry = [(b"retry-after", str(self._retry_after).encode())]
        message = pages.HUB_AWAY
        if by_header:
            message = Message(429, message.en, message.ko)
        await self._say(request, send, message, retry)

    async def _checked_body(
        self, request: Request, inner: str, workspace: str, receive: Receive, send: Send
    ) -> tuple[Request, Receive] | None:
        body = await read(receive, bodies.MAX_BYTES)
        if body is None:
            await self._say(request, send, pages.TOO_LARGE)
            return None
        if request.all(b"content-encoding"):
            await self._say(request, send, pages.PACKED)
            return None
        try:
            if bodies.names_models(request.method, inner):
                for model in bodies.models_in(body):
                    if not await self._store.has_model(workspace, model):
                        raise bodies.RefusedBodyError("There is no such model in this workspace.")
                return request, replaying(body, receive)
            checked = bodies.checked(body)
        except bodies.RefusedBodyError as refusal:
            content = pages.document(400, str(refusal))
            await answer(send, 400, content, b"application/json", [])
            return None
        dropped = (b"content-length", b"transfer-encoding", b"content-type")
        headers = [pair for pair in request.headers if pair[0] not in dropped]
        headers.append((b"content-length", str(len(checked)).encode()))
        headers.append((b"content-type", b"application/json"))
        replayed = Request(request.method, request.raw_path, request.query, headers)
        return replayed, replaying(checked, receive)

    async def _pass(
        self,
        scope: Event,
        request: Request,
        raw_path: bytes,
        path: str,
        receive: Receive,
        send: Send,
        workspace: str | None = None,
    ) -> None:
        """Hand a request that was let in on to MLflow."""
        inner = dict(scope)
        inner["path"], inner["raw_path"], inner["root_path"] = path, raw_path, ""
        passed = [pair for pair in request.headers if pair[0] in PASSED_HEADERS]
        place = [(WORKSPACE_HEADER, workspace.encode("ascii"))] if workspace else []
        inner["headers"] = [self._host_header, *place, *passed]
        is_file = FILES.fullmatch(path) is not None

        async def cleaned(event: Event) -> None:
            if event["type"] == "http.response.start":
                event = {**event, "headers": response_headers(event["headers"], path, is_file)}
            await send(event)

        await self._app(inner, receive, cleaned)
