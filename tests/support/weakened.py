"""The tracking server's gate with one of its protections taken away, to see that a test notices.

`install` is called inside the tracking server's process, before anything else (a ``sitecustomize``). It puts
itself in front of each protection; which one is away at the moment, a file says. So one server does for
all of them, and what is shown is that this one protection, alone, makes the difference.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

#: Name of a protection that can be taken away, and what it is.
PROTECTIONS = {
    "host": "only known host names are answered",
    "odd paths": "a path that can be read in two ways is refused",
    "scope": "the token must open this service",
    "person": "its owner must be a person",
    "header alone": "a wrong header never falls back to the cookie",
    "origin": "a change by cookie comes from this site's page",
    "routes": "only listed routes are open",
    "list of workspaces": "the gate, not MLflow, says which workspaces there are",
    "workspace given once": "the header that names it is given once",
    "workspace": "only a workspace that is the caller's to use",
    "workspace inward": "MLflow is told the workspace by the gate",
    "read only": "who may only look changes nothing",
    "artifact location": "nobody chooses where the server keeps files",
    "source": "a model version's source is in this server's storage",
    "model": "metrics go to models of the own workspace",
    "assessment": "the server numbers assessments",
    "sandbox": "files that people logged do not run as pages",
    "foreign pages": "answers are not opened to other sites' pages",
    "admin by header": "an admin's view is for the browser",
    "admin by flag": "an admin is who holds the scope",
}

_SOURCE = "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX"


def install(file: Path) -> None:
    """Make every protection one that can be taken away by writing its name into ``file``."""
    from dataclasses import replace

    from madang_mlflow import bodies, hub, identity, paths, routes, workspaces
    from madang_mlflow.settings import Hosts

    gate: Any = import_module("madang_mlflow.gate")  # names that it imports are not public ones

    def away(name: str) -> bool:
        assert name in PROTECTIONS
        return file.read_text(encoding="utf-8") == name

    def instead(owner: Any, attribute: str, name: str, weak: Callable[..., Any]) -> None:
        strong = getattr(owner, attribute)

        def either(*args: Any, **kwargs: Any) -> Any:
            return weak(*args, **kwargs) if away(name) else strong(*args, **kwargs)

        setattr(owner, attribute, either)

    instead(Hosts, "known", "host", lambda *_: True)
    instead(paths, "odd", "odd paths", lambda _: False)
    instead(hub.Hub, "may_enter", "scope", lambda *_: True)
    instead(gate, "same_site", "origin", lambda *_: True)
    instead(routes.AllowList, "open", "routes", lambda *_: True)
    instead(gate, "changes", "read only", lambda *_: False)
    instead(bodies, "looked_at", "artifact location", lambda *_: False)
    instead(bodies, "names_models", "model", lambda *_: False)
    instead(bodies, "_forget_assessment_ids", "assessment", lambda _: None)
    instead(gate, "replace", "admin by header", lambda found, **_: found)

    asked_for = workspaces.asked_for
    instead(workspaces, "asked_for", "workspace given once", lambda values: asked_for(values[-1:]))

    def any_workspace(wanted: str | None, given: Any) -> tuple[str, workspaces.Right]:
        return wanted or given.home, workspaces.Right.WRITE

    instead(workspaces, "chosen", "workspace", any_workspace)

    read = identity.Directory._read
    instead(
        identity.Directory,
        "_read",
        "person",
        lambda self, model: read(self, {**model, "kind": "user"}),
    )

    def by_flag(self: Any, model: Any) -> Any:
        return replace(read(self, model), reads_all=bool(model.get("admin")))

    instead(identity.Directory, "_read", "admin by flag", by_flag)

    passing = gate.Gate._pass

    async def without_workspace(self: Any, *args: Any) -> None:
        await passing(self, *args[:6])

    instead(gate.Gate, "_pass", "workspace inward", without_workspace)

    headers = gate.response_headers
    instead(gate, "response_headers", "sandbox", lambda given, path, _: headers(given, path, False))
    instead(gate, "response_headers", "foreign pages", lambda given, *_: given)

    class Pattern:
        """A regular expression that finds nothing while it is away."""

        def __init__(self, strong: re.Pattern[str]) -> None:
            self.strong = strong

        def fullmatch(self, text: str) -> re.Match[str] | None:
            return None if away("list of workspaces") else self.strong.fullmatch(text)

    gate.WORKSPACES = Pattern(gate.WORKSPACES)

    admitted = gate.Gate._admitted

    async def by_cookie_as_well(self: Any, request: Any, inner: str, send: Any) -> Any:
        token = gate.bearer(request.one(b"authorization"))
        known = await self._directory.identify(token) if token else None
        if not isinstance(known, identity.Identity):
            kept = [pair for pair in request.headers if pair[0] != b"authorization"]
            request = replace(request, headers=kept)
        return await admitted(self, request, inner, send)

    instead(gate.Gate, "_admitted", "header alone", by_cookie_as_well)

    strict = os.environ.get(_SOURCE, "")
    http = gate.Gate._http

    async def by_any_source(self: Any, *args: Any) -> None:
        os.environ[_SOURCE] = ".*" if away("source") else strict
        await http(self, *args)

    gate.Gate._http = by_any_source
