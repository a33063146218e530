"""Which calls to the container engine the Hub may make (rules; no I/O).

Whoever may talk to an engine freely is root on its machine. So the Hub talks to a gateway, which
asks :func:`decide` about every request. Vocabulary: a *call* is one row of the allow-list; its
*subject* is the container or network that it is about, which must be *ours*: a user server's, of
this installation (``ours.py``). Everything that is not named here is refused.

What is let through is not the client's text but what was understood of it, written anew: the engine
reads JSON keys in any letter case and takes the last of two, so a text may mean one thing to a
filter and another to the engine. Path, query and body are therefore all rebuilt from checked
parts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

from madang_hub.engine.checks import (
    REF,
    Refused,
    canonical,
    need,
    parse_body,
    show,
    texts,
)
from madang_hub.engine.network_bodies import create_network
from madang_hub.engine.rules import Rules
from madang_hub.engine.warm_bodies import connect, create, disconnect, fits
from madang_hub.isolation import networks

MIN_API, MAX_API = 40, 99
"""Minor numbers of the engine's API 1.x that the rules were written for."""

Kind = Literal["container", "network"]


@dataclass(frozen=True)
class Subject:
    """The object that a call is about, as the client named it (a name or an id)."""

    kind: Kind
    ref: str


@dataclass(frozen=True)
class Decision:
    """What is to be done with a request.

    If ``allow``, the engine is asked ``method`` ``path`` with ``query`` and ``body`` (None: no
    body), once ``subject`` and ``inner``, a container that the body names, are known to be ours (where
    there are any). What is known of them must be new where the call is ``afresh``: it depends on what they are
    now. Otherwise ``reason`` is a sentence for the log and for the client. ``call`` is the name of the row of
    the allow-list.
    """

    allow: bool
    reason: str
    body: bytes | None = None
    call: str = ""
    path: str = ""
    query: tuple[tuple[str, str], ...] = ()
    subject: Subject | None = None
    inner: Subject | None = None
    afresh: bool = False


# ---- the allow-list ------------------------------------------------------------------------------

_FLAG = re.compile(r"0|1|true|false|True|False", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)
_Check = Callable[[str, Rules], str]


def _matches(pattern: re.Pattern[str]) -> _Check:
    def check(text: str, _: Rules) -> str:
        need(pattern.fullmatch(text), "has a value that user servers do not need")
        return text

    return check


def _no(text: str, _: Rules) -> str:
    need(text in ("", "0", "false", "False"), "may not be set")
    return "0"


def _a_name(text: str, _: Rules) -> str:
    """Of a container; whether it goes with the body is seen when both are known."""
    need(re.fullmatch(REF, text, re.ASCII), "must be a container's name")
    return text


def _persons_name(text: str, rules: Rules) -> str:
    need(text.startswith(rules.prefix), f"must start with {rules.prefix}")
    return _a_name(text, rules)


def _filters(text: str, rules: Rules) -> str:
    """The client's filters, and in any case the one that leaves only ours."""
    given = parse_body(text.encode()) if text else {}
    for key, values in given.items():
        need(key in ("label", "name", "status", "id"), "has a filter that user servers do not need")
        texts(values, "the filter", 512, 64)
    ours = f"{networks.INSTANCE_LABEL}={rules.instance}"
    given["label"] = [*(v for v in given.get("label", []) if v != ours), ours]
    return json.dumps(given, sort_keys=True)


_flag_value, _number, _signal, _condition, _tail = (
    _matches(_FLAG),
    _matches(_NUMBER),
    _matches(re.compile(r"[A-Z]{3,10}|[0-9]{1,2}", re.ASCII)),
    _matches(re.compile(r"not-running|next-exit|removed", re.ASCII)),
    _matches(re.compile(r"all|[0-9]{1,9}", re.ASCII)),
)


@dataclass(frozen=True)
class Call:
    """A row of the allow-list. ``path`` comes after ``/v1.xx``; ``{ref}`` is the subject.

    ``inner``: the body's ``Container`` is one more. ``fits`` sees whether query and body go together.
    """

    name: str
    method: str
    path: str
    why: str
    kind: Kind | None = None
    query: Mapping[str, _Check] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    body: Callable[[Mapping[str, Any], Rules], dict[str, Any]] | None = None
    fits: Callable[[Mapping[str, str], Mapping[str, Any], Rules], None] | None = None
    inner: bool = False
    afresh: bool = False
    unversioned: bool = False

    def pattern(self) -> re.Pattern[str]:
        """What the path must match, the version included."""
        start = r"(?:/v1\.(?P<api>[0-9]{2}))"
        rest = re.escape(self.path).replace(re.escape("{ref}"), f"(?P<ref>{REF})")
        rest = rest.replace(re.escape("{image}"), r"(?P<image>[a-zA-Z0-9][a-zA-Z0-9_./:-]{0,254})")
        return re.compile(start + ("?" if self.unversioned else "") + rest, re.ASCII)


CALLS: tuple[Call, ...] = (
    Call("ping", "GET", "/_ping", "docker-py looks whether the engine is there", unversioned=True),
    Call(
        "ping-head", "HEAD", "/_ping", "the same, as the docker command does it", unversioned=True
    ),
    Call("version", "GET", "/version", "docker-py asks which API to speak", unversioned=True),
    Call(
        "image",
        "GET",
        "/images/{image}/json",
        "DockerSpawner looks that the image is there and reads its command",
    ),
    Call(
        "containers",
        "GET",
        "/containers/json",
        "find servers left behind by a crash",
        query={
            "all": _flag_value,
            "limit": _matches(re.compile(r"-1|[0-9]{1,6}", re.ASCII)),
            "size": _no,
            "trunc_cmd": _flag_value,
            "filters": _filters,
        },
        required=("filters",),
    ),
    Call(
        "create",
        "POST",
        "/containers/create",
        "start a server",
        query={"name": _a_name},
        required=("name",),
        body=create,
        fits=fits,
    ),
    Call(
        "inspect",
        "GET",
        "/containers/{ref}/json",
        "whether a server runs, and how it ended",
        kind="container",
        query={"size": _no},
    ),
    Call("start", "POST", "/containers/{ref}/start", "start a server", kind="container"),
    Call(
        "stop",
        "POST",
        "/containers/{ref}/stop",
        "stop a server",
        kind="container",
        query={"t": _number},
    ),
    Call(
        "kill",
        "POST",
        "/containers/{ref}/kill",
        "end a server that does not stop",
        kind="container",
        query={"signal": _signal},
    ),
    Call(
        "wait",
        "POST",
        "/containers/{ref}/wait",
        "notice that a server has ended",
        kind="container",
        query={"condition": _condition},
    ),
    Call(
        "logs",
        "GET",
        "/containers/{ref}/logs",
        "say why a server did not start",
        kind="container",
        query={
            "stdout": _flag_value,
            "stderr": _flag_value,
            "follow": _flag_value,
            "timestamps": _flag_value,
            "since": _number,
            "until": _number,
            "tail": _tail,
        },
    ),
    Call(
        "remove",
        "DELETE",
        "/containers/{ref}",
        "remove a server",
        kind="container",
        query={"v": _flag_value, "force": _flag_value, "link": _no},
    ),
    Call(
        "rename",
        "POST",
        "/containers/{ref}/rename",
        "a waiting server becomes somebody's",
        kind="container",
        query={"name": _persons_name},
        required=("name",),
        afresh=True,
    ),
    Call(
        "disconnect",
        "POST",
        "/networks/none/disconnect",
        "who is in the network none cannot be connected to another",
        body=disconnect,
        inner=True,
        afresh=True,
    ),
    Call(
        "connect",
        "POST",
        "/networks/{ref}/connect",
        "a waiting server that becomes somebody's gets its network",
        kind="network",
        body=connect,
        inner=True,
        afresh=True,
    ),
    Call(
        "networks",
        "GET",
        "/networks",
        "which networks are taken",
        query={"filters": _filters},
        required=("filters",),
    ),
    Call(
        "network-create", "POST", "/networks/create", "the network of a server", body=create_network
    ),
    Call(
        "network",
        "GET",
        "/networks/{ref}",
        "look at a server's network",
        kind="network",
        query={"verbose": _no},
    ),
    Call(
        "network-remove", "DELETE", "/networks/{ref}", "remove a server's network", kind="network"
    ),
)
"""Every call that passes; ``why`` is its reason. The first row whose method and path match
decides."""

BROKER_CALLS = frozenset({"containers", "inspect", "stop", "remove"})
"""The calls of the broker of accelerators: it looks who has devices, and removes what nobody is to have."""

_PATTERNS = tuple((call, call.pattern()) for call in CALLS)


def decide(
    method: str,
    path: str,
    query: str,
    body: bytes,
    rules: Rules,
    calls: Collection[str] | None = None,
) -> Decision:
    """Whether the engine may be asked this.

    Args:
        method, path, query, body: the request as it came: ``path`` with its escapes (none is
        needed by
            an allowed call, so one is refused), ``query`` without the question mark.
        rules: what user servers may be.
        calls: names of the only calls that whoever asks here needs; None: all of the list.

    Returns:
        A decision; if it allows, it holds the request to make instead of the one that came. A
        ``subject`` must be looked up and found ours before.
    """
    try:
        return _decide(method, path, query, body, rules, calls)
    except Refused as refusal:
        return Decision(False, str(refusal))


def _decide(
    method: str, path: str, query: str, body: bytes, rules: Rules, calls: Collection[str] | None
) -> Decision:
    for call, pattern in _PATTERNS:
        if method == call.method and (found := pattern.fullmatch(path)):
            break
    else:
        raise Refused("this call is not one that user servers need")
    need(calls is None or call.name in calls, "this call is not for who asks here")
    parts = found.groupdict()
    if (api := parts.get("api")) is not None:
        need(
            MIN_API <= int(api) <= MAX_API,
            f"the API version must be 1.{MIN_API} or later",
        )
    if (image := parts.get("image")) is not None:
        known = rules.images | {rules.app_image}
        need(image in known, f"{show(image)} is not an image of the catalogue")
    subject = None
    if call.kind is not None:
        subject = Subject(call.kind, parts["ref"])
    asked = _query(query, call, rules)
    if call.body is None:
        need(not body.strip() or body.strip() == b"{}", "this call has no body")
        return Decision(True, "", None, call.name, path, asked, subject, afresh=call.afresh)
    content = call.body(parse_body(body), rules)
    if call.fits is not None:
        call.fits(dict(asked), content, rules)
    inner = Subject("container", content["Container"]) if call.inner else None
    text = canonical(content)
    return Decision(True, "", text, call.name, path, asked, subject, inner, call.afresh)


def _query(text: str, call: Call, rules: Rules) -> tuple[tuple[str, str], ...]:
    try:
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=bool(text),
            max_num_fields=16,
            errors="strict",
        )
    except ValueError as error:
        raise Refused("the query cannot be read") from error
    given: dict[str, str] = {}
    for key, value in pairs:
        need(key in call.query, f"the query's {show(key)} is not one that user servers need")
        need(key not in given, f"the query has {key} twice")
        given[key] = value
    for key in call.required:
        given.setdefault(key, "")
    found = []
    for key, value in sorted(given.items()):
        try:
            found.append((key, call.query[key](value, rules)))
        except Refused as refusal:
            raise Refused(f"the query's {key} {refusal}") from refusal
    return tuple(found)
