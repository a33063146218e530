"""Sign-in with a provider as it is configured; GitHub against a stand-in for its API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from traitlets.config import Config

from madang_hub.install import install
from madang_hub.people import oidc
from madang_hub.people.authenticator import LocalAuthenticator, SignInRefused
from madang_hub.places import Places, ensure_secrets
from madang_hub.settings import Settings, SettingsError

ROOT = Path(__file__).resolve().parents[2]
SECRET = "s3cret"


def configured(data: Path, secret: str = SECRET, **settings: str) -> Config:
    environ = {f"MADANG_{k.upper()}": v for k, v in settings.items()}
    places = Places(Settings.load(data, {"MADANG_DATA": str(data), **environ}), "embedded")
    for folder in places.folders():
        folder.mkdir(parents=True, exist_ok=True)
    ensure_secrets(places.secrets)
    if secret:
        (places.secrets / "oidc_client_secret").write_text(secret + "\n")
    c = Config()
    install(c, places, ROOT)
    return c


def authenticator(c: Config) -> Any:
    return c.JupyterHub.authenticator_class(config=c)


# ---- settings ---------------------------------------------------------------------------------


def test_local_accounts_are_the_default(tmp_path: Path) -> None:
    c = configured(tmp_path, secret="")
    assert c.JupyterHub.authenticator_class is LocalAuthenticator
    assert "enable_auth_state" not in c.Authenticator


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sign_in": "saml"}, "MADANG_SIGN_IN"),
        ({"sign_in": "oidc", "oidc_issuer": "https://x.org"}, "oidc_client_id must be set"),
        ({"sign_in": "oidc", "oidc_client_id": "m"}, "oidc_issuer must be set"),
        ({"sign_in": "github"}, "oidc_client_id must be set"),
        (
            {"sign_in": "google", "oidc_client_id": "m", "oidc_issuer": "https://x.org"},
            "has its own oidc_issuer",
        ),
        (
            {"oidc_issuer": "http://x.org"},
            "MADANG_OIDC_ISSUER: write an https address",
        ),
        (
            {"oidc_teams": "a=class:a"},
            "MADANG_OIDC_TEAMS: 'a=class:a': the role is missing",
        ),
        ({"oidc_admit": "all"}, "MADANG_OIDC_ADMIT"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, settings: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        configured(tmp_path, **settings)
    assert says in str(wrong.value)


@pytest.mark.parametrize("secret", ["", "\n"])
def test_without_the_secret_nothing_starts_and_the_way_out_is_said(
    tmp_path: Path, secret: str
) -> None:
    with pytest.raises(SettingsError, match=r"install -D -m 600 /dev/stdin .*oidc_client_secret"):
        configured(tmp_path, secret, sign_in="github", oidc_client_id="m")


def test_the_secret_is_no_setting(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, {"MADANG_DATA": str(tmp_path)})
    assert not [name for name in settings.environ() if "SECRET" in name]


def test_any_provider_as_configured(tmp_path: Path) -> None:
    c = configured(
        tmp_path,
        sign_in="oidc",
        oidc_issuer="https://id.example.org/realms/academy",
        oidc_client_id="madang",
        oidc_scopes="openid profile email offline_access",
        oidc_teams="가반=class:a trainee; ops=admin",
        public_url="https://madang.example.org",
    )
    found = authenticator(c)
    assert isinstance(found, oidc.OidcAuthenticator)
    assert found.enable_pkce
    assert found.enable_auth_state
    assert found.manage_groups
    assert found.manage_roles
    assert found.auth_refresh_strict
    assert found.validate_server_cert
    assert found.client_secret == "s3cret"
    assert found.scope == ["openid", "profile", "email", "offline_access"]
    assert found.login_service == "id.example.org"
    assert found.oauth_callback_url == "https://madang.example.org/hub/oauth_callback"
    assert found.admin_users == {"admin"}
    assert found.local is not None
    found.close()


def test_google_as_configured(tmp_path: Path) -> None:
    found = authenticator(configured(tmp_path, sign_in="google", oidc_client_id="m"))
    assert isinstance(found, oidc.OidcAuthenticator)
    assert found.issuer == "https://accounts.google.com"
    assert found.login_service == "Google"
    assert found.extra_authorize_params == {"access_type": "offline", "prompt": "consent"}
    workspace = {"sub": "1", "email": "minji@school.kr", "email_verified": True, "hd": "school.kr"}
    assert found.reading.read(workspace).name == "minji"
    found.close()


def test_google_workspace_as_a_team(tmp_path: Path) -> None:
    c = configured(
        tmp_path,
        sign_in="google",
        oidc_client_id="m",
        oidc_teams="school.kr=class:a trainee",
        sign_in_local_admin="0",
    )
    found = authenticator(c)
    assert found.reading.read({"sub": "1", "hd": "school.kr"}).roles == {"class:a": "trainee"}
    assert found.reading.read({"sub": "1"}).roles == {}
    assert found.local is None
    found.close()


async def test_the_operators_way_in_is_nobody_elses(tmp_path: Path) -> None:
    found = authenticator(configured(tmp_path, sign_in="google", oidc_client_id="m"))
    found.local.accounts.add("teacher")
    found.local.accounts.change("teacher", "마당에서 놀자 오늘")
    found.local.accounts.add("admin")
    found.local.accounts.change("admin", "마당에서 놀자 내일")
    form = {"username": "teacher", "password": "마당에서 놀자 오늘"}
    assert await found.authenticate(None, form) is None
    form = {"username": "admin", "password": "마당에서 놀자 내일"}
    model = await found.authenticate(None, form)
    assert model["name"] == "admin"
    assert model["admin"]
    assert await found.authenticate(None, {**form, "password": "x"}) is None
    found.close()


# ---- GitHub -----------------------------------------------------------------------------------


class GitHub(BaseHTTPRequestHandler):
    """As much of a GitHub Enterprise server as a sign-in needs (paths and forms of its documentation)."""

    user: ClassVar[dict[str, Any]] = {}
    emails: ClassVar[list[dict[str, Any]]] = []
    teams: ClassVar[list[dict[str, Any]]] = []
    limited: ClassVar[bool] = False
    revoked: ClassVar[bool] = False

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        good = form["code"] == ["good"] and form["client_secret"] == ["s3cret"]
        assert self.path == "/login/oauth/access_token"
        assert form["code_verifier"]
        if good:
            self.say(200, {"access_token": "t", "token_type": "bearer", "scope": "read:org"})
        else:
            # GitHub says no with status 200
            self.say(200, {"error": "bad_verification_code", "error_description": "expired"})

    def do_GET(self) -> None:
        assert self.headers["Authorization"] == "Bearer t"
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        page = int(query.get("page", ["1"])[0])
        if self.revoked:
            self.say(401, {"message": "Bad credentials"})
        elif self.limited:
            self.say(403, {"message": "rate limit"}, ("X-RateLimit-Remaining", "0"))
        elif path == "/api/v3/user":
            self.say(200, self.user)
        else:
            table = {
                "/api/v3/user/emails": self.emails,
                "/api/v3/user/orgs": [{"login": "academy"}],
                "/api/v3/user/teams": self.teams,
            }[path]
            self.say(200, table[(page - 1) * 100 : page * 100])

    def say(self, status: int, body: object, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        pass


class Handler:
    """What OAuthenticator asks of a Tornado handler at the callback."""

    settings: ClassVar[dict[str, str]] = {"madang_language": "ko"}
    request = None

    def __init__(self, code: str = "good") -> None:
        self.code = code

    def get_argument(self, name: str) -> str:
        return {"code": self.code}[name]

    def get_state_cookie(self) -> str:
        return "eyJjb2RlX3ZlcmlmaWVyIjogInYifQ=="  # {"code_verifier": "v"}


class User:
    def __init__(self, model: dict[str, Any]) -> None:
        self.name, self.state = model["name"], model["auth_state"]

    async def get_auth_state(self) -> Any:
        return self.state


class Own:
    def __init__(self, user: User) -> None:
        self.current_user = user


@pytest.fixture
def github(tmp_path: Path) -> Iterator[Any]:
    GitHub.user = {"id": 583231, "login": "Minji-Kim", "name": "김민지", "email": None}
    GitHub.emails = [
        {"email": "old@a.kr", "primary": False, "verified": True},
        {"email": "minji@a.kr", "primary": True, "verified": True},
    ]
    other = [{"slug": f"t-{n}", "organization": {"login": "academy"}} for n in range(100)]
    GitHub.teams = [*other, {"slug": "2026-a", "organization": {"login": "academy"}}]
    GitHub.limited = GitHub.revoked = False
    server = ThreadingHTTPServer(("127.0.0.1", 0), GitHub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    c = configured(
        tmp_path,
        sign_in="github",
        oidc_client_id="m",
        oidc_issuer=f"http://127.0.0.1:{server.server_port}",
        oidc_teams="academy/2026-a=class:2026-a mentor; academy=team:academy member",
        public_url="https://madang.example.org",
    )
    found = authenticator(c)
    yield found
    found.close()
    server.shutdown()
    server.server_close()
    thread.join()


async def test_github_says_who_it_is_and_in_which_teams(github: Any) -> None:
    assert github.authorize_url.endswith("/login/oauth/authorize")
    model = await github.authenticate(Handler())
    assert model["name"] == "minji-kim"
    assert model["groups"] == ["team:academy", "mentor:class:2026-a"]
    person = github.directory.person("minji-kim")
    assert (person.display_name, person.email) == ("김민지", "minji@a.kr")
    assert github.directory.person_of_identity(github.issuer, "583231") == person
    # renamed there: the number stays
    GitHub.user["login"] = "somebody"
    assert (await github.authenticate(Handler()))["name"] == "minji-kim"


async def test_a_wrong_code_of_github_is_refused(github: Any) -> None:
    with pytest.raises(SignInRefused) as refused:
        await github.authenticate(Handler("wrong"))
    assert refused.value.status_code == 400


async def test_leaving_a_github_team_takes_the_role(github: Any) -> None:
    user = User(await github.authenticate(Handler()))
    GitHub.teams = []
    model = await github.refresh_user(user, Own(user))
    assert model["groups"] == ["team:academy"]
    assert [role["name"] for role in model["roles"]] == ["user"]


async def test_too_many_questions_to_github_throw_nobody_out(github: Any) -> None:
    user = User(await github.authenticate(Handler()))
    GitHub.limited = True
    model = await github.refresh_user(user, Own(user))
    assert model["groups"] == ["team:academy", "mentor:class:2026-a"]


async def test_whose_token_github_refuses_is_let_go(github: Any) -> None:
    user = User(await github.authenticate(Handler()))
    GitHub.revoked = True
    assert await github.refresh_user(user, Own(user)) is False
    assert github.directory.person("minji-kim").ended_why == "provider"
    assert await github.refresh_user(user, Own(user)) is False


async def test_somebody_who_was_never_here_can_be_started_for_by_a_mentor(github: Any) -> None:
    model = await github.authenticate(Handler())
    user = User({**model, "auth_state": None})
    assert await github.refresh_user(user, Own(user)) is False
    assert (await github.refresh_user(user, Own(User(model))))["name"] == "minji-kim"
