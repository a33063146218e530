"""The container engine as the Hub may see it: ``python -m madang_hub.engine.gateway``.

An HTTP server on a UNIX socket in front of the engine's own. What passes is decided in ``policy``;
here requests are read, subjects are looked up (whose they are says ``ours``), and answers are carried back as
they come (logs are a stream). A refusal is answered with 403 and a sentence (which docker-py shows) and logged
in one line; bodies are never logged, because the environment of a server holds its token.

``GET /health`` says whether the engine answers; it passes nothing on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from madang_hub.accelerators.cdi_files import chosen
from madang_hub.accelerators.table import TableError
from madang_hub.catalog import Catalog
from madang_hub.engine import policy
from madang_hub.engine.asking import CONNECT_TIMEOUT, Asking, EngineSaidError, described
from madang_hub.engine.checks import MAX_BODY, Refused, need
from madang_hub.engine.devices import check_free, check_whole, devices_in, devices_to_give
from madang_hub.engine.homes import real_folders
from madang_hub.engine.ours import is_ours, path_for, settled
from madang_hub.engine.rules import Rules, rules_for
from madang_hub.engine.serving import serve
from madang_hub.image_table import CatalogError
from madang_hub.places import Places
from madang_hub.settings import Settings, SettingsError
from madang_hub.shelf.installed import TEAM_MADE, Installed
from madang_hub.shelf.offered import offered

log = logging.getLogger("madang.engine")

REMEMBERED = 4096
"""How many ids of our containers are remembered. Ours stay ours."""

UNREACHABLE = (
    "the container engine does not answer; see 'systemctl status docker' and 'madang doctor'"
)
_CARRIED = ("Content-Type", "Api-Version", "Ostype", "Docker-Experimental")


def installed_images(
    installed: Sequence[Installed], catalog: Catalog
) -> Callable[[], frozenset[str]]:
    """The images of what is installed beside the table, the stack's own images (Hub, database …) never."""
    own = set(catalog.images) - {e.image for e in catalog.environments.values()}

    def images() -> frozenset[str]:
        found = (v for file in installed for v in file.versions())
        return frozenset(v.reference for v in found if v.image not in own)

    return images


def _answer(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


class _NotOursError(Exception):
    """The subject is not a user server's."""


class Gateway:
    """The handler. ``engine`` is the path of the engine's socket.

    ``check_homes`` looks, before a container is created, that the home, or the slot of one that waits, is a
    real folder; it needs both at the same paths as the engine sees them. ``more_images`` names, at each
    request, the images that may be started beside those of ``rules``; ``devices``, asked when a container wants
    some, the CDI devices that may be handed out, and to how many containers. ``calls``: names of the only calls
    that pass.
    """

    def __init__(
        self,
        engine: Path,
        rules: Rules,
        *,
        check_homes: bool = False,
        more_images: Callable[[], frozenset[str]] = frozenset,
        devices: Callable[[], dict[str, int]] = dict,
        calls: frozenset[str] | None = None,
    ) -> None:
        self.engine = engine
        self.rules = rules
        self._more_images = more_images
        self._devices = devices
        self._calls = calls
        self._handing_out = asyncio.Lock()
        self.check_homes = check_homes
        self._ours: OrderedDict[str, None] = OrderedDict()
        self._renamed: OrderedDict[str, None] = OrderedDict()
        self._asking = Asking(engine)

    def app(self) -> web.Application:
        """The aiohttp application: every path goes to :meth:`handle`, except the health check."""
        app = web.Application(client_max_size=MAX_BODY)
        app.cleanup_ctx.append(self._life)
        app.router.add_get("/health", self.health)
        app.router.add_route("*", "/{rest:.*}", self.handle)
        return app

    async def _life(self, _: web.Application) -> Any:
        await self._asking.open()
        yield
        await self._asking.close()

    # ---- requests -------------------------------------------------------------------------

    async def health(self, _: web.Request) -> web.Response:
        """200 while the engine answers, 503 with the reason otherwise."""
        try:
            async with self._asking.ask("GET", "/_ping", limit=CONNECT_TIMEOUT) as reply:
                if reply.status == 200:
                    return web.json_response({"engine": "ok"})
                return _answer(503, f"the container engine answers {reply.status}")
        except (aiohttp.ClientError, TimeoutError, OSError):
            return _answer(503, UNREACHABLE)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Decide, look up the subject, ask the engine, carry its answer back."""
        path, _, query = request.raw_path.partition("?")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(request, f"the body is larger than {MAX_BODY} bytes")
        rules = replace(self.rules, images=self.rules.images | self._more_images())
        given: dict[str, int] = {}
        if b'"DeviceRequests"' in body:  # in no other letters: those are refused
            try:
                given = await asyncio.to_thread(self._devices)
                rules = replace(rules, devices=frozenset(given))
            except TableError as error:
                return self._refuse(request, str(error))
        decision = policy.decide(request.method, path, query, body, rules, self._calls)
        if not decision.allow:
            return self._refuse(request, decision.reason)
        try:
            if decision.call == "create" and self.check_homes and decision.body:
                await asyncio.to_thread(real_folders, json.loads(decision.body), self.rules)
            decision = await self._with_ids(decision)
            if decision.call == "rename":
                return await self._rename(request, decision)
            wanted = devices_in(decision.body or b"") if decision.call == "create" else []
            if wanted:
                check_whole(decision.body or b"", given)
                async with self._handing_out:
                    there = await self._asking.with_devices(_version(decision.path))
                    check_free(wanted, there, given)
                    return await self._pass_on(request, decision)
            return await self._pass_on(request, decision)
        except Refused as refusal:
            return self._refuse(request, str(refusal))
        except _NotOursError:
            return self._refuse(request, "this is not a user server of this installation")
        except EngineSaidError as answer:
            return web.Response(
                status=answer.status, body=answer.body, content_type="application/json"
            )
        except TimeoutError:
            log.error("engine: no answer to %s in time", decision.call)
            return _answer(504, "the container engine did not answer in time; try again")
        except (aiohttp.ClientConnectionError, OSError) as error:
            log.error("engine: %s: %s", decision.call, error)
            return _answer(502, UNREACHABLE)
        except aiohttp.ClientError as error:
            log.error("engine: %s: %s", decision.call, error)
            return _answer(502, "the container engine gave an answer that cannot be read")

    def _refuse(self, request: web.Request, reason: str) -> web.Response:
        # ascii() leaves no character that could start a new line of the log
        log.warning("refused %s %s: %s", request.method, ascii(request.path)[:200], reason)
        return _answer(403, f"Madang's engine gateway refused this: {reason}")

    async def _own(self, decision: policy.Decision, subject: policy.Subject) -> Mapping[str, Any]:
        """What the engine says now of a subject that is ours."""
        found = await self._asking.look(_version(decision.path), subject)
        if not is_ours(subject.kind, found, self.rules):
            raise _NotOursError
        if subject.kind == "container":
            _remember(self._ours, str(found["Id"]))
        return found

    async def _with_ids(self, decision: policy.Decision) -> policy.Decision:
        """The call with ids in place of names, once its subjects are known to be ours, and as it needs them."""
        subjects = [one for one in (decision.subject, decision.inner) if one is not None]
        if decision.afresh:
            said = await asyncio.gather(*(self._own(decision, one) for one in subjects))
            return settled(decision, dict(zip(subjects, said, strict=True)), self.rules)
        if not subjects or subjects[0].ref in self._ours:
            return decision
        found = await self._own(decision, subjects[0])
        return replace(decision, path=path_for(decision, str(found["Id"])))

    async def _rename(self, request: web.Request, decision: policy.Decision) -> web.StreamResponse:
        """Pass on a rename, once for a container: of two that saw it wait, one is too late."""
        assert decision.subject is not None  # noqa: S101  # a rename has one
        identity = decision.subject.ref
        need(identity not in self._renamed, "this container does not wait any more")
        _remember(self._renamed, identity)
        response = await self._pass_on(request, decision)
        if response.status >= 300:  # it has its name still, such as where the new one is taken
            self._renamed.pop(identity, None)
        return response

    async def _pass_on(self, request: web.Request, decision: policy.Decision) -> web.StreamResponse:
        path, query, body = decision.path, decision.query, decision.body
        async with self._asking.ask(request.method, path, query, body) as reply:
            headers = {name: reply.headers[name] for name in _CARRIED if name in reply.headers}
            if decision.call == "create":
                text = await reply.read()
                if reply.status == 201:
                    _remember(self._ours, str(described(text)["Id"]))
                return web.Response(status=reply.status, body=text, headers=headers)
            response = web.StreamResponse(status=reply.status, headers=headers)
            await response.prepare(request)
            async for chunk in reply.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


def _version(path: str) -> str:
    return "/" + path.split("/")[1]


def _remember(ids: OrderedDict[str, None], identity: str) -> None:
    ids[identity] = None
    while len(ids) > REMEMBERED:
        ids.popitem(last=False)


# ---- the program ---------------------------------------------------------------------------------


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m madang_hub.engine.gateway",
        description="The filtered way to the container engine. Settings: MADANG_* (see "
        "docs/reference/settings.md).",
    )
    parser.add_argument(
        "--engine",
        default=os.environ.get("MADANG_ENGINE", "unix:///var/run/docker.sock"),
        help="the engine's own socket (default: MADANG_ENGINE, else unix:///var/run/docker.sock)",
    )
    parser.add_argument(
        "--listen", type=Path, help="socket to make (default: run/engine/engine.sock of the data)"
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(os.environ.get("MADANG_ROOT", ".")),
        help="folder of madang.env and images/images.toml (default: MADANG_ROOT, else this folder)",
    )
    parser.add_argument("--catalog", type=Path, help="the table (default: images/images.toml)")
    parser.add_argument(
        "--homes", type=Path, help="folder of homes as the engine sees it (default: of the data)"
    )
    parser.add_argument("--group", type=int, help="group id that may use the socket")
    parser.add_argument(
        "--broker-group",
        type=int,
        help="group id that may use a second socket, run/broker/engine.sock of the data, for fewer calls",
    )
    parser.add_argument(
        "--check-homes",
        action="store_true",
        help="refuse a home, or the slot of a waiting container, that is a link; both folders must be mounted "
        "here at the same paths",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a TERM or INT signal; 2 if something is set wrongly (said in one line each)."""
    arguments = _arguments(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    if not arguments.engine.startswith("unix://"):
        log.error("--engine must be unix:///path/of/the/socket")
        return 2
    try:
        settings = Settings.load(arguments.root)
        catalog = offered(arguments.root, settings, arguments.catalog)
    except (SettingsError, CatalogError) as error:
        log.error("%s", error)
        return 2
    folder = Places(settings, "server").environments
    gateway = Gateway(
        Path(arguments.engine.removeprefix("unix://")),
        rules_for(settings, catalog, arguments.homes),
        check_homes=arguments.check_homes,
        devices=devices_to_give(chosen(settings.accelerator_cdi), arguments.root),
        more_images=installed_images([Installed(folder), Installed(folder, TEAM_MADE)], catalog),
    )
    places = Places(settings, "server")
    listen = arguments.listen or places.engine_socket
    broker = Gateway(gateway.engine, gateway.rules, calls=policy.BROKER_CALLS)
    log.info("the engine is at %s", gateway.engine)

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        parts = [serve(gateway.app(), listen, arguments.group, stop)]
        if arguments.broker_group is not None:
            group = arguments.broker_group
            parts.append(serve(broker.app(), places.broker_socket, group, stop))
        await asyncio.gather(*parts)

    try:
        asyncio.run(run())
    except OSError as error:
        log.error("cannot listen on %s: %s", listen, error)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
