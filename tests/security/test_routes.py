"""Every route of the Hub refuses strangers, or stands in the list of public ones with its reason."""

from __future__ import annotations

import re

import pytest
import requests
from jupyterhub import apihandlers, handlers
from support.deployment import Deployment

PUBLIC = {
    r"/": "leads to the sign-in page",
    r"/login": "the sign-in page",
    r"/logout": "ends a session that a stranger does not have",
    r"/health$": "the proxy and the operator ask whether the Hub lives; it says nothing but the status",
    r"/api/health$": "the same page under another address",
    r"/error/(\d+)": "the proxy shows the Hub's error pages",
    r"/logo": "the logo on the sign-in page",
    r"/api/?": "the Hub's version, as JupyterHub publishes it",
    r"/static/(.*)": "style sheets and scripts",
}
"""What a stranger may read, each with its reason."""
BROKEN = {
    (
        r"/api/authorizations/token/([^/]+)",
        "POST",
    ): "JupyterHub 6.1's post() of this removed route takes no "
    "argument and fails before it does anything; mended there, this line fails and goes",
}
"""Answers 500 of JupyterHub itself: nothing is given away, but a log line with a traceback is left."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
REFUSED = {400, 401, 403, 404, 405}


SAMPLES = {
    r"": "",  # adds the slash to /hub
    r"/api/?": "/api/",
    r"/user/(?P<user_name>[^/]+)(?P<user_path>/.*)?": "/user/operator/lab",
    r"/user-redirect/(.*)?": "/user-redirect/lab",
    r"/error/(\d+)": "/error/503",
    r"/static/(.*)": "/static/madang/madang.css",
    r"/api/authorizations/cookie/([^/]+)(?:/([^/]+))?": "/api/authorizations/cookie/name/value",
}
"""Paths for patterns that :func:`example` cannot read."""


def patterns() -> list[str]:
    """The regular expressions of all routes that JupyterHub registers, and of those that Madang adds."""
    found = [h[0] for h in handlers.default_handlers]
    found += [h[0] for h in apihandlers.default_handlers]
    return sorted({*found, r"/logo", r"/static/(.*)"})


def example(pattern: str) -> str:
    """A path that ``pattern`` matches; names of people are one that exists."""
    if pattern in SAMPLES:
        return SAMPLES[pattern]
    path = re.sub(r"/users/\(\[\^/\]\+\)", "/users/operator", pattern)
    return re.sub(r"\([^)]*\)", "1", path).rstrip("$")


def ask(madang: Deployment, method: str, path: str) -> requests.Response:
    return requests.request(
        method,
        f"{madang.url}/hub{path}",
        allow_redirects=False,
        timeout=30,
        headers={"Accept": "application/json"},
    )


def leads_inside(reply: requests.Response) -> bool:
    """Whether this is a redirect to another address of this Hub."""
    return reply.status_code in (301, 302) and reply.headers["Location"].startswith("/hub/")


def test_there_are_routes() -> None:
    assert len(patterns()) > 40


@pytest.mark.parametrize("pattern", patterns())
def test_the_sample_paths_match(pattern: str) -> None:
    assert re.fullmatch(pattern.rstrip("$"), example(pattern))


def test_every_exception_is_a_route() -> None:
    assert set(PUBLIC) <= set(patterns())
    assert {pattern for pattern, _ in BROKEN} <= set(patterns())


@pytest.mark.parametrize("pattern", sorted(set(patterns()) - set(PUBLIC)))
def test_strangers_are_refused(embedded_mode: Deployment, pattern: str) -> None:
    for method in METHODS:
        reply = ask(embedded_mode, method, example(pattern))
        if (pattern, method) in BROKEN:
            assert reply.status_code == 500, f"{method} {pattern} works now: {reply.status_code}"
            continue
        # a redirect inside is to the sign-in page, or to a route that is tested for itself
        assert reply.status_code in REFUSED or (method == "GET" and leads_inside(reply)), (
            f"{method} {pattern}: {reply.status_code}"
        )


@pytest.mark.parametrize("pattern", sorted(PUBLIC))
def test_public_routes_are_there_and_change_nothing(
    embedded_mode: Deployment, pattern: str
) -> None:
    path = example(pattern)
    reply = ask(embedded_mode, "GET", path)
    assert reply.status_code == 200 or leads_inside(reply)
    for method in ("PUT", "PATCH", "DELETE"):
        assert ask(embedded_mode, method, path).status_code in REFUSED
