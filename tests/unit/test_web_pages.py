"""Every page in both languages: complete, escaped, with what JupyterHub's handlers rely on."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment, FileSystemLoader
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from traitlets.config import Config

from madang_hub.catalog import Catalog
from madang_hub.settings import Settings
from madang_hub.shelf.offering import Shelf
from madang_hub.web import pages
from madang_hub.web.static_files import STATIC

AWKWARD = "<b>&'\"{x}%s"
CATALOG = Catalog.load(Path(__file__).parents[2] / "images" / "images.toml")
NOW = datetime(2026, 7, 1, 9, 30, tzinfo=UTC).replace(tzinfo=None)


def configured() -> Config:
    config = Config()
    config.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
    pages.install(config, Settings(data=Path("/nowhere")), Shelf(CATALOG))
    return config


class Handler:
    """As much of a Tornado handler as templates look at."""

    def __init__(self, language: str, query: str = "") -> None:
        pairs = [p.split("=", 1) for p in query.split("&") if p]
        self.settings = {"madang_language": "ko"}
        self.request = SimpleNamespace(
            query=query,
            query_arguments={k: [v.encode()] for k, v in pairs},
            cookies=SimpleCookie(f"madang_lang={language}"),
            headers={},
        )

    def static_url(self, path: str) -> str:
        return f"/hub/static/{path}?v=1"


def server(**facts: Any) -> Any:
    values = {
        "name": "",
        "display_name": "",
        "ready": False,
        "active": False,
        "pending": None,
        "last_activity": NOW,
        "user_options": {"environment": "lab", "size": "small"},
        "orm_spawner": SimpleNamespace(started=NOW),
    }
    return SimpleNamespace(**{**values, **facts})


def person(name: str = AWKWARD) -> Any:
    return SimpleNamespace(
        name=name,
        escaped_name="escaped",
        server_url=lambda server_name="": f"/user/escaped/{server_name}",
        all_spawners=lambda include_default=True: [
            server(name="one", display_name=AWKWARD, ready=True, active=True),
            server(name="two"),
        ],
    )


def token(**facts: Any) -> Any:
    values = {
        "api_id": "a1",
        "note": AWKWARD,
        "scopes": ["inherit", AWKWARD],
        "last_activity": None,
        "created": NOW,
        "expires_at": None,
    }
    return SimpleNamespace(**{**values, **facts})


WAITING = server(user=SimpleNamespace(name=AWKWARD, groups=[], admin=True))
OAUTH = SimpleNamespace(description=AWKWARD, redirect_uri="http://x/?" + AWKWARD)
SCOPES = [
    {"scope": "", "description": "Identify the owner of the requesting entity.", "filter": ""},
    {
        "scope": "access:servers",
        "description": "Access user servers via API or browser.",
        "filter": "user " + AWKWARD,
    },
]
LOGIN = {
    "authenticator_login_url": "/hub/login?next=",
    "authenticator": SimpleNamespace(request_otp=False),
    "login_service": "",
    "custom_html": "",
    "user": None,
    "username": AWKWARD,
    "login_error": None,
}
NEW = SimpleNamespace(needs_new_password=True)

PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "login": ("login.html", LOGIN),
    "login-wrong": ("login.html", {**LOGIN, "login_error": "Invalid username or password"}),
    "login-new": ("login.html", {**LOGIN, "login_error": AWKWARD, "exception": NEW}),
    "login-oauth": ("login.html", {**LOGIN, "login_service": AWKWARD}),
    "login-operator": (
        "login.html",
        {
            **LOGIN,
            "login_service": AWKWARD,
            "authenticator": SimpleNamespace(request_otp=False, local_admin=True),
            "login_error": "Invalid username or password",
        },
    ),
    "login-otp": (
        "login.html",
        {
            **LOGIN,
            "authenticator": SimpleNamespace(request_otp=True, otp_prompt=AWKWARD),
            "login_term_url": "/terms",
        },
    ),
    "home-off": ("home.html", {"default_server": server()}),
    "home-running": ("home.html", {"default_server": server(ready=True, active=True)}),
    "home-starting": ("home.html", {"default_server": server(active=True, pending="spawn")}),
    "home-stopping": ("home.html", {"default_server": server(active=True, pending="stop")}),
    "home-named": (
        "home.html",
        {
            "default_server": server(ready=True, active=True, user_options={}),
            "allow_named_servers": True,
            "named_server_limit_per_user": 3,
            "invalid_server_names": [AWKWARD],
        },
    ),
    "spawn": (
        "spawn.html",
        {"url": "/hub/spawn?_xsrf=x", "for_user": person("다른"), "spawner": WAITING},
    ),
    "spawn-error": (
        "spawn.html",
        {
            "url": "/hub/spawn",
            "for_user": None,
            "error_message": "No such user: " + AWKWARD,
            "spawner": WAITING,
        },
    ),
    "pending": ("spawn_pending.html", {"spawner": server(active=True), "progress_url": "/p?x=1"}),
    "pending-named": (
        "spawn_pending.html",
        {"spawner": server(name="a b", user_options=None), "progress_url": "/p"},
    ),
    "stopping": ("stop_pending.html", {"spawner": server()}),
    "not-running": ("not_running.html", {"server_name": "", "spawn_url": "/hub/spawn"}),
    "not-running-named": (
        "not_running.html",
        {"server_name": AWKWARD, "spawn_url": "/hub/spawn", "implicit_spawn_seconds": 3},
    ),
    "failed": (
        "not_running.html",
        {"spawn_url": "/s", "failed": True, "failed_message": AWKWARD, "server_name": ""},
    ),
    "failed-timeout": (
        "not_running.html",
        {
            "spawn_url": "/s",
            "failed": True,
            "failed_message": None,
            "exception": SimpleNamespace(reason="timeout"),
            "server_name": "",
        },
    ),
    "failed-unknown": (
        "not_running.html",
        {
            "spawn_url": "/s",
            "failed": True,
            "failed_message": None,
            "exception": RuntimeError("secret"),
            "server_name": "",
        },
    ),
    **{
        f"error-{code}": (
            "404.html" if code == 404 else "error.html",
            {
                "status_code": code,
                "status_message": "Whatever",
                "message": "No such user: " + AWKWARD,
                "exception": RuntimeError("secret"),
            },
        )
        for code in (400, 401, 403, 404, 405, 409, 413, 418, 424, 429, 500, 502, 503, 504, 507)
    },
    "error-proxied": (
        "error.html",
        {
            "status_code": 503,
            "status_message": "Service Unavailable",
            "message_html": "Your server appears to be down.",
        },
    ),
    "logout": ("logout.html", {"user": None}),
    "logout-stays": ("logout.html", {"user": None, "stays_at": AWKWARD}),
    "token": (
        "token.html",
        {
            "api_tokens": [token(), token(last_activity=NOW, expires_at=NOW)],
            "oauth_clients": [
                {
                    "token_id": "t",
                    "description": AWKWARD,
                    "tokens": [token()],
                    "last_activity": None,
                    "created": NOW,
                }
            ],
            "token_expires_in_max_seconds": 0,
            "token_expires_in_options_html": "<option>1 Hour</option>",
        },
    ),
    "token-limited": (
        "token.html",
        {"api_tokens": [], "oauth_clients": [], "token_expires_in_max_seconds": 5000},
    ),
    "oauth": (
        "oauth.html",
        {"oauth_client": OAUTH, "scope_descriptions": SCOPES, "allowed_scopes": [AWKWARD]},
    ),
    "oauth-identify": (
        "oauth.html",
        {"oauth_client": OAUTH, "scope_descriptions": SCOPES[:1], "allowed_scopes": []},
    ),
    "share": (
        "accept-share.html",
        {
            "owner": person(),
            "spawner": server(name=AWKWARD),
            "spawner_url": "/user/x/" + AWKWARD,
            "spawner_ready": False,
            "scope_descriptions": SCOPES,
            "next_url": "/" + AWKWARD,
            "code": AWKWARD,
        },
    ),
    "admin": ("admin.html", {"api_page_limit": 50, "server_version": "6.1.1"}),
}


def environment(sync: bool) -> Environment:
    config = configured().JupyterHub
    return Environment(  # autoescape is on, as JupyterHub sets it
        loader=FileSystemLoader(config.template_paths),
        autoescape=True,
        enable_async=not sync,
        **config.jinja_environment_options,
    )


ENVIRONMENTS = {sync: environment(sync) for sync in (True, False)}


def render(page: str, language: str, sync: bool = True, query: str = "") -> str:
    template, facts = PAGES[page]
    handler = Handler(language, query)
    user = person()
    namespace = {
        "base_url": "/hub/",
        "prefix": "/",
        "user": user,
        "login_url": "/hub/login",
        "logout_url": "/hub/logout",
        "static_url": handler.static_url,
        "services": [SimpleNamespace(name="mlflow", href="/services/mlflow/")],
        "parsed_scopes": {"admin-ui": True},
        "xsrf": "x" + AWKWARD,
        "xsrf_token": "x" + AWKWARD,
        "login_service": "",
        **{k: v(user) if callable(v) else v for k, v in VARIABLES.items()},
        **facts,
    }
    ready = ENVIRONMENTS[sync].get_template(template)
    if sync:
        return ready.render(namespace)
    return asyncio.run(ready.render_async(namespace))


VARIABLES: dict[str, Any] = configured().JupyterHub.template_vars


class Page(HTMLParser):
    """Tags, and everything a person can see or hear: text and the attributes that carry text."""

    VOID = frozenset(["meta", "link", "input", "img", "br", "hr", "circle", "path", "rect"])
    SPOKEN = frozenset(["title", "alt", "aria-label", "placeholder"])

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.language = ""
        self.open: list[tuple[str, str]] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def spoken(self, key: str, value: str) -> list[str]:
        """The words for people in an attribute: of the known ones, and texts for scripts."""
        if key == "data-texts":
            texts: dict[str, str] = json.loads(value)
            return [*texts.values()]
        names = ("data-sizes", "data-accelerators")
        for_scripts = key.startswith("data-") and key not in names and " " in value
        return [value] if key in self.SPOKEN or for_scripts else []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = {k: v or "" for k, v in attrs}
        self.elements.append((tag, facts))
        language = facts.get("lang") or (self.open[-1][1] if self.open else "")
        if tag == "html":
            self.language = facts["lang"]
        if language == self.language:
            self.words.extend(w for k, v in facts.items() for w in self.spoken(k, v))
        if tag not in self.VOID:
            self.open.append((tag, language))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open[-1][1] == self.language:
            self.words.append(data.strip())


BOTH = [(page, language) for page in PAGES for language in ("ko", "en")]

# Names that are the same in Korean: products, units, addresses and what the tests put in themselves.
NAMES = (
    "English|JupyterHub|mlflow|https|http|user|hub|services|secret|lab|escaped|GB|scope|"
    "inherit|one|two|a1|x|b|s|v|p|t|API|React|PyTorch|GPU|NVIDIA|CPU|NPU|ONNX|Runtime|AI|torch|cuda|energy|"
    "automotive|healthcare|accelerator|rescue"
)
IGNORED = rf"(?<![A-Za-z])({NAMES})(?![A-Za-z])|\{{\w+\}}"


@pytest.mark.parametrize(("page", "language"), BOTH)
def test_a_page_is_whole_and_in_its_language(page: str, language: str) -> None:
    html = render(page, language)
    seen = Page(html)
    assert seen.language == language
    text = " ".join(seen.words)
    if language == "ko":
        left = re.findall(r"[A-Za-z]{2,}", re.sub(IGNORED, "", text))
        assert left == []
        assert re.search("[가-힣]", text)
    else:
        assert re.findall("[가-힣]", text.replace("다른", "")) == []


@pytest.mark.parametrize(
    ("info", "called"),
    [
        ({}, "minji"),
        (None, "minji"),
        ({"display_name": ""}, "minji"),
        ({"display_name": "민지"}, "민지"),
    ],
)
def test_people_are_called_by_their_own_name_or_by_the_account(info: Any, called: str) -> None:
    words: Any = ENVIRONMENTS[True].get_template("words.html").module
    assert words.shown(SimpleNamespace(name="minji", user_info=info)).strip() == called


@pytest.mark.parametrize("page", PAGES)
def test_the_hubs_two_environments_say_the_same(page: str) -> None:
    assert render(page, "ko", sync=True) == render(page, "ko", sync=False)


@pytest.mark.parametrize(("page", "language"), BOTH)
def test_what_people_typed_is_shown_and_never_markup(page: str, language: str) -> None:
    html = render(page, language)
    assert "<b>" not in html
    for _tag, facts in Page(html).elements:
        assert not any(k.startswith("on") for k in facts)
        assert not any(v.lower().startswith("javascript:") for v in facts.values())


@pytest.mark.parametrize("page", PAGES)
def test_no_script_and_no_address_from_elsewhere(page: str) -> None:
    html = render(page, "ko")
    for tag, facts in Page(html).elements:
        if tag == "script":
            assert facts["src"].startswith("/hub/static/")
        if tag == "link":
            assert facts["href"].startswith("/hub/static/")
    assert re.findall(r"<script[^>]*>[^<]", html) == []


@pytest.mark.parametrize("page", PAGES)
def test_labels_belong_to_their_fields_and_ids_are_unique(page: str) -> None:
    elements = Page(render(page, "ko")).elements
    ids = [facts["id"] for _tag, facts in elements if "id" in facts]
    assert len(ids) == len(set(ids))
    for tag, facts in elements:
        if tag == "label" and "for" in facts:
            assert facts["for"] in ids
        for key in ("aria-describedby", "aria-labelledby", "aria-controls"):
            assert facts.get(key, ids[0]) in ids
    assert sum(tag == "h1" for tag, _facts in elements) == 1
    assert sum(tag == "main" for tag, _facts in elements) == 1


def attributes(page: str, **match: str) -> dict[str, str]:
    """The attributes of the one element of ``page`` that has all those of ``match``."""
    found = [
        facts
        for _tag, facts in Page(render(page, "ko")).elements
        if all(facts.get(k) == v for k, v in match.items())
    ]
    assert len(found) == 1
    return found[0]


def test_the_sign_in_form_has_the_fields_that_the_authenticator_reads() -> None:
    for name in ("_xsrf", "username", "password", "new_password", "new_password_again"):
        attributes("login", name=name)
    assert attributes("login", name="username")["value"] == AWKWARD
    assert attributes("login-oauth", href="/hub/login?next=")


@pytest.mark.parametrize(
    ("page", "query", "opened"),
    [("login", "", False), ("login", "first=1", True), ("login-new", "", True)],
)
def test_the_one_time_part_opens_when_it_is_needed(page: str, query: str, opened: bool) -> None:
    elements = Page(render(page, "ko", query=query)).elements
    details = next(facts for tag, facts in elements if tag == "details")
    assert ("open" in details) == opened


def test_errors_are_announced() -> None:
    for page in ("login-wrong", "login-new", "spawn-error", "failed", "failed-unknown"):
        html = re.sub(r'<div id="problem".*?</div>', "", render(page, "ko"), flags=re.DOTALL)
        assert 'role="alert"' in html


def test_an_unexpected_error_tells_no_internals() -> None:
    assert "secret" not in render("error-500", "en")
    assert "secret" not in render("failed-unknown", "en")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("url=/user/kim/lab", "서버가 응답하지 않습니다"),
        ("url=/services/mlflow/", "마당의 일부가 응답하지 않습니다"),
        ("", "마당의 일부가 응답하지 않습니다"),
    ],
)
def test_what_does_not_answer_behind_the_proxy_is_told_apart(query: str, words: str) -> None:
    assert words in Page(render("error-proxied", "ko", query=query)).words


def test_the_switch_of_languages_keeps_the_address() -> None:
    elements = Page(render("login", "ko", query="next=%2Fhub%2Fhome&lang=ko")).elements
    link = next(facts for _tag, facts in elements if facts.get("data-language") == "en")
    assert link["href"] == "?next=%2Fhub%2Fhome&lang=en"
    assert link["lang"] == "en"


def test_every_template_is_among_the_pages() -> None:
    rendered = {template for template, _facts in PAGES.values()}
    parts = {"page.html", "words.html", "picker.html", "error.html", "now.html"}
    parts |= {"accelerators.html", "shared_dashboards.html"}
    of_services = {"problem.html", "session.html"}
    assert {p.name for p in pages.TEMPLATES.iterdir()} == rendered | parts | of_services


# ---- the Hub's settings ---------------------------------------------------------------------


def test_only_public_traits_are_set_and_other_values_stay() -> None:
    from jupyterhub.app import JupyterHub

    config = configured()
    assert set(config.JupyterHub) <= set(JupyterHub.class_traits(config=True))
    assert config.JupyterHub.tornado_settings["slow_spawn_timeout"] == 0
    assert (
        "script-src 'self'"
        in (config.JupyterHub.tornado_settings["headers"]["Content-Security-Policy"])
    )


@pytest.fixture
def files(tmp_path: Path) -> Application:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "theirs.css").write_text("theirs")
    (tmp_path / "secret.txt").write_text("secret")
    settings = configured().JupyterHub.tornado_settings
    return Application(
        static_path=str(tmp_path / "static"),
        static_url_prefix="/hub/static/",
        static_handler_class=settings["static_handler_class"],
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("madang/madang.css", 200),
        ("madang/logo.svg", 200),
        ("theirs.css", 200),
        ("madang/", 403),
        ("madang", 404),
        ("madang/none.css", 404),
        ("madang/../pages.py", 403),
        ("madang/..%2fpages.py", 403),
        ("madang/%2e%2e/static_files.py", 403),
        ("madang/../../../../../../etc/passwd", 403),
        ("madang//etc/passwd", 403),
        ("../secret.txt", 403),
        ("madang/../theirs.css", 403),
        ("../static/madang/madang.css", 404),
    ],
)
async def test_static_files_come_from_two_folders_and_from_nowhere_else(
    files: Application, path: str, status: int
) -> None:
    socket, port = bind_unused_port()
    listening = HTTPServer(files)
    listening.add_socket(socket)
    try:
        reply = await AsyncHTTPClient().fetch(
            f"http://127.0.0.1:{port}/hub/static/{path}", raise_error=False
        )
    finally:
        listening.stop()
        await listening.close_all_connections()
    assert reply.code == status
    assert b"secret" not in reply.body


def test_addresses_of_static_files_carry_a_version() -> None:
    handler = configured().JupyterHub.tornado_settings["static_handler_class"]
    settings = {"static_path": str(STATIC), "static_url_prefix": "/hub/static/"}
    assert re.fullmatch(
        r"/hub/static/madang/madang\.css\?v=[0-9a-f]{32,}",
        handler.make_static_url(settings, "madang/madang.css"),
    )
