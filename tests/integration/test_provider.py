"""Sign-in with an institution, against the real ``oidc-provider`` over HTTP."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from conftest import STARTED
from support import provider as at
from support.deployment import Deployment, wait_for
from support.people import Person, visible
from support.provider import Provider
from tornado.web import create_signed_value

from madang_hub.people.audit import Audit
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory

TEAMS = (
    "academy/2026 가반=class:2026-a trainee; academy/mentors=class:2026-a mentor;"
    "cn=ops,dc=academy=admin; <firm>&'\"=team:hanbit member"
)
CHOICE = {"environment": "lab", "size": "small"}
OPERATOR = "마당 운영자 비밀번호"

Come = Callable[..., Person]


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    # access tokens end at once, so every look at a person renews them
    found = Provider(tmp_path_factory.mktemp("provider"), access_seconds=20)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def hub(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    found = Deployment(
        "embedded",
        tmp_path_factory.mktemp("oidc") / "data",
        extra=provider.settings(
            MADANG_OIDC_TEAMS=TEAMS, MADANG_REFRESH_AGE="1", MADANG_SIGN_IN_NAME="한빛 아카데미"
        ),
    )
    try:
        provider.start(found)
        STARTED.append(found)
        output = found.up()
        operator = Person(found, found.admin)
        operator.join(found.one_time_password(output), OPERATOR)
        yield found
    finally:
        found.remove()


@pytest.fixture(scope="module")
def database(hub: Deployment) -> Iterator[Database]:
    found = Database(f"sqlite:///{hub.data}/hub/hub.sqlite")
    yield found
    found.close()


@pytest.fixture(scope="module")
def directory(database: Database) -> Directory:
    return Directory(database)


@pytest.fixture
def come(hub: Deployment, provider: Provider) -> Come:
    """A function that brings a new person of the institution, signed in."""

    def bring(
        login: str, groups: tuple[str, ...] = ("academy/2026 가반",), **claims: object
    ) -> Person:
        provider.add(f"sub-{login}", preferred_username=login, groups=list(groups), **claims)
        person = Person(hub, login)
        page = at.enter(person, f"sub-{login}")
        assert page.status_code == 200, visible(page.text)
        assert person.signed_in
        return person

    return bring


def callback_of(person: Person, subject: str) -> str:
    """A good callback for this browser, not called yet."""
    return at.location(at.fill_in(person, at.to_provider(person), subject))


def no_traceback(hub: Deployment) -> None:
    before, found, after = (hub.data / "log" / "hub.log").read_text().partition("Traceback")
    assert not found, before[-300:] + found + after[:3000]


# ---- signing in -------------------------------------------------------------------------------


def test_korean_claims(come: Come, directory: Directory) -> None:
    minji = come("minji", name="김민지", email="Minji@School.kr", email_verified=True)
    model = minji.model()
    assert (model["name"], model["groups"], model["admin"]) == ("minji", ["class:2026-a"], False)
    person = directory.person("minji")
    assert person is not None
    assert (person.display_name, person.email) == ("김민지", "minji@school.kr")


def test_a_name_in_hangul_gets_one_that_works(hub: Deployment, provider: Provider) -> None:
    provider.add(
        "sub-hangul",
        preferred_username="박서준",
        email="seojun@school.kr",
        email_verified=True,
        groups=["academy/2026 가반"],
    )
    person = Person(hub, "seojun")
    assert at.enter(person, "sub-hangul").status_code == 200
    assert person.model()["name"] == "seojun"


@pytest.mark.parametrize("wish", ["admin", "operator", "../x", "x" * 200, "<b>'\"&", "-rf", ""])
def test_odd_names(hub: Deployment, provider: Provider, directory: Directory, wish: str) -> None:
    """Each gets in under a usable name; nobody gets the operator's."""
    subject = "sub-odd-" + base64.urlsafe_b64encode(wish.encode()).decode()[:20]
    provider.add(subject, preferred_username=wish, groups=["academy/2026 가반"])
    person = Person(hub, "")
    assert at.enter(person, subject).status_code == 200
    found = directory.person_of_identity(provider.issuer, subject)
    assert found is not None
    person.name = found.name
    model = person.model()
    assert model["name"] == found.name
    assert not model["admin"]
    assert found.name not in ("admin", hub.admin)


def test_groups_become_teams_and_roles(come: Come) -> None:
    mentor = come("teacher", ("academy/mentors", "academy/2026 가반", "unknown", "x" * 300))
    assert mentor.model()["groups"] == ["mentor:class:2026-a"]
    roles = mentor.model()["roles"]
    assert "mentor.class.2026-a" in roles
    member = come("hanbit", ("<firm>&'\"",))
    assert member.model()["groups"] == ["team:hanbit"]
    admin = come("boss", ("cn=ops,dc=academy",))
    assert admin.model()["admin"]


def test_without_a_mapped_group_nobody_enters(
    hub: Deployment, provider: Provider, directory: Directory
) -> None:
    provider.add("sub-stranger", preferred_username="stranger", groups=["academy"])
    person = Person(hub, "stranger")
    page = at.enter(person, "sub-stranger")
    assert page.status_code == 403
    assert not person.signed_in
    assert directory.person("stranger") is None


def test_the_way_to_the_provider(hub: Deployment, provider: Provider) -> None:
    """PKCE and a nonce; the provider refuses a request without a challenge."""
    person = Person(hub, "x")
    reply = person.session.get(f"{hub.url}/hub/oauth_login", allow_redirects=False, timeout=30)
    address = at.location(reply)
    query = {k: v[0] for k, v in parse_qs(urlsplit(address).query).items()}
    assert query["code_challenge_method"] == "S256"
    assert len(query["code_challenge"]) == 43
    assert len(query["nonce"]) == 43
    assert query["redirect_uri"] == f"{hub.url}/hub/oauth_callback"
    assert provider.client_secret not in address
    bare = re.sub(r"code_challenge[^&]*&?", "", address)
    refused = person.session.get(bare, allow_redirects=False, timeout=30)
    assert "error=invalid_request" in at.location(refused)


def test_sign_in_leads_to_where_one_wanted(come: Come, hub: Deployment) -> None:
    come("wanderer")
    again = Person(hub, "wanderer")
    form = at.to_provider(again, next="/hub/token")
    callback = at.fill_in(again, form, "sub-wanderer")
    page = again.session.get(at.location(callback), timeout=60)
    assert page.url == f"{hub.url}/hub/token"
    away = Person(hub, "wanderer")
    form = at.to_provider(away, next="https://evil.example.org/x")
    page = away.session.get(
        at.location(at.fill_in(away, form, "sub-wanderer")), timeout=60, allow_redirects=False
    )
    assert at.location(page) == "/x"


# ---- forged, expired, replayed ----------------------------------------------------------------


def refused(reply: requests.Response, person: Person, status: int = 400) -> None:
    assert reply.status_code == status, visible(reply.text)
    assert not person.signed_in


def test_a_forged_state(hub: Deployment, provider: Provider) -> None:
    provider.add("sub-a", preferred_username="a", groups=["academy/2026 가반"])
    good = callback_of(person := Person(hub, "a"), "sub-a")
    forged = base64.urlsafe_b64encode(b'{"state_id": "0"}').decode()
    for state in (forged, "", "x", "ㄱ", "%00", "bnVsbA==", "W10="):
        query = re.sub(r"state=[^&]*", f"state={state}", good)
        refused(person.session.get(query, timeout=30), person)


def test_a_callback_of_another_browser(hub: Deployment, provider: Provider) -> None:
    provider.add("sub-b", preferred_username="b", groups=["academy/2026 가반"])
    good = callback_of(Person(hub, "b"), "sub-b")
    victim = Person(hub, "victim")
    refused(victim.session.get(good, timeout=30), victim)  # began nothing
    at.to_provider(victim)
    refused(victim.session.get(good, timeout=30), victim)  # began something else


def test_a_stolen_code_in_an_own_sign_in(hub: Deployment, provider: Provider) -> None:
    """The code of somebody else with the state of the thief's own browser: PKCE refuses."""
    provider.add("sub-c", preferred_username="c", groups=["academy/2026 가반"])
    stolen = parse_qs(urlsplit(callback_of(Person(hub, "c"), "sub-c")).query)["code"][0]
    thief = Person(hub, "thief")
    at.to_provider(thief)
    own = _state_cookie(thief)
    reply = thief.session.get(
        f"{hub.url}/hub/oauth_callback", params={"code": stolen, "state": own}, timeout=30
    )
    refused(reply, thief)


def _state_cookie(person: Person) -> str:
    """The state that belongs to the cookie of this browser (its part that goes through the address)."""
    [cookie] = [c for c in person.session.cookies if c.name == "oauthenticator-state"]
    value = str(cookie.value).strip('"').split("|")[4].split(":", 1)[1]
    state = json.loads(base64.urlsafe_b64decode(base64.b64decode(value)))
    return base64.urlsafe_b64encode(json.dumps({"state_id": state["state_id"]}).encode()).decode()


def test_a_replayed_callback(come: Come, hub: Deployment, provider: Provider) -> None:
    """Even with the cookies of the first time the code works once."""
    provider.add("sub-d", preferred_username="d", groups=["academy/2026 가반"])
    person = Person(hub, "d")
    good = callback_of(person, "sub-d")
    kept = person.session.cookies.copy()
    assert person.session.get(good, timeout=60).status_code == 200
    robber = Person(hub, "d")
    robber.session.cookies = kept
    refused(robber.session.get(good, timeout=30), robber)
    again = Person(hub, "d")
    refused(again.session.get(good, timeout=30), again)


def test_a_code_that_has_expired(hub: Deployment, provider: Provider) -> None:
    provider.add(
        "sub-slow", preferred_username="slow", groups=["academy/2026 가반"], code_seconds=1
    )
    person = Person(hub, "slow")
    good = callback_of(person, "sub-slow")
    began = time.monotonic()
    wait_for(lambda: time.monotonic() > began + 2.1, "the code to expire")
    refused(person.session.get(good, timeout=30), person)


def test_a_state_that_has_expired(hub: Deployment, provider: Provider) -> None:
    """The cookie is the Hub's own, signed two hours ago."""
    provider.add("sub-e", preferred_username="e", groups=["academy/2026 가반"])
    person = Person(hub, "e")
    good = callback_of(person, "sub-e")
    [cookie] = [c for c in person.session.cookies if c.name == "oauthenticator-state"]
    value = base64.b64decode(str(cookie.value).strip('"').split("|")[4].split(":", 1)[1])
    secret = bytes.fromhex((hub.data / "secrets" / "cookie_secret").read_text().strip())

    def signed(age: float) -> str:
        made = create_signed_value(
            secret, "oauthenticator-state", value, clock=lambda: time.time() - age
        )
        return made.decode()

    for c in [c for c in person.session.cookies if c.name == "oauthenticator-state"]:
        person.session.cookies.clear(c.domain, c.path, c.name)
    late = person.session.get(
        good, headers={"Cookie": f"oauthenticator-state={signed(7200)}"}, timeout=30
    )
    refused(late, person)
    assert "다시 로그인" in visible(late.text) or "sign in once more" in visible(late.text)
    in_time = person.session.get(
        good, headers={"Cookie": f"oauthenticator-state={signed(60)}"}, timeout=30,
        allow_redirects=False,
    )  # fmt: skip
    assert in_time.status_code == 302, "the test's own cookie is one that the Hub believes"


def test_a_code_for_another_client(hub: Deployment, provider: Provider) -> None:
    """The provider gave it to its client `other`, with our address to come back to."""
    provider.add("sub-f", preferred_username="f", groups=["academy/2026 가반"])
    person = Person(hub, "f")
    reply = person.session.get(f"{hub.url}/hub/oauth_login", allow_redirects=False, timeout=30)
    other = at.location(reply).replace("client_id=madang", "client_id=other")
    form = person.session.get(other, timeout=30)
    callback = at.location(at.fill_in(person, form, "sub-f"))
    assert "code=" in callback
    refused(person.session.get(callback, timeout=30), person)


def test_what_a_link_says_is_not_repeated(hub: Deployment) -> None:
    """An address with an error in it is no way to put words on our page."""
    person = Person(hub, "g")
    at.to_provider(person)
    reply = person.session.get(
        f"{hub.url}/hub/oauth_callback",
        params={
            "state": _state_cookie(person),
            "error": "access_denied",
            "error_description": "call 010-1234 now",
        },
        timeout=30,
    )
    refused(reply, person, 403)
    assert "010-1234" not in visible(reply.text)


def test_whom_the_provider_refuses(hub: Deployment) -> None:
    person = Person(hub, "nobody")
    form = at.to_provider(person)
    callback = at.fill_in(person, form, "sub-not-there")
    refused(person.session.get(at.location(callback), timeout=30), person, 403)


# ---- while signed in --------------------------------------------------------------------------


def test_tokens_are_renewed_under_load_and_nobody_is_thrown_out(come: Come) -> None:
    """Access tokens that have ended, rotated refresh tokens, many requests at the same moment.

    A provider ends everything when a refresh token comes twice, so this fails if two requests use one.
    """
    person = come("busy")
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        while time.monotonic() < began + 6:
            replies = list(pool.map(lambda _: person.api("GET", "/user"), range(16)))
            assert {r.status_code for r in replies} == {200}


def test_a_rename_at_the_provider_changes_the_shown_name_only(
    come: Come, provider: Provider, directory: Directory, hub: Deployment
) -> None:
    person = come("jiho", name="이지호")
    provider.add("sub-jiho", preferred_username="new", name="박지호", groups=["academy/2026 가반"])

    def shown() -> bool:
        assert person.model()["name"] == "jiho"
        found = directory.person("jiho")
        return found is not None and found.display_name == "박지호"

    wait_for(shown, "the new display name")
    again = Person(hub, "jiho")
    at.enter(again, "sub-jiho")
    assert again.model()["name"] == "jiho"
    # the name is free at the provider now: whoever gets it there is another person here
    provider.add("sub-jiho-2", preferred_username="jiho", groups=["academy/2026 가반"])
    second = Person(hub, "jiho-2")
    at.enter(second, "sub-jiho-2")
    assert second.model()["name"] == "jiho-2"


def test_a_new_group_at_the_provider_arrives_without_signing_in(
    come: Come, provider: Provider
) -> None:
    person = come("mover")
    provider.people["sub-mover"]["groups"] = ["academy/mentors"]
    provider.save()
    wait_for(lambda: person.model()["groups"] == ["mentor:class:2026-a"], "the other group")


def test_removed_at_the_provider(
    come: Come, provider: Provider, directory: Directory, database: Database, hub: Deployment
) -> None:
    """Session, API token and server end within minutes (here: seconds), and a return is possible."""
    person = come("leaver")
    person.start(**CHOICE)
    made = person.api("POST", "/users/leaver/tokens", json={"note": "mine"})
    headers = {"Authorization": f"token {made.json()['token']}"}

    def by_token() -> int:
        return requests.get(f"{hub.url}/hub/api/user", headers=headers, timeout=30).status_code

    assert by_token() == 200
    kept = provider.people["sub-leaver"]
    provider.remove("sub-leaver")
    wait_for(lambda: by_token() == 403, "the token to be refused")
    assert person.api("GET", "/user").status_code == 403
    page = person.session.get(f"{hub.url}/hub/home", timeout=30)
    assert "/hub/login" in page.url
    found = directory.person("leaver")
    assert found is not None
    assert found.ended_why == "provider"
    wait_for(lambda: not _runs(hub, "leaver"), "the server to be stopped by policy", 90)
    refused(person.session.get(_fresh_callback(person), timeout=30), Person(hub, "x"), 403)
    # back again: the same person
    provider.people["sub-leaver"] = kept
    provider.save()
    again = Person(hub, "leaver")
    at.enter(again, "sub-leaver")
    assert again.model()["name"] == "leaver"
    actions = [line.action for line in Audit(database).read(about="leaver", action="access.")]
    assert actions[0] == "access.returned"
    assert "access.ended" in actions


def _fresh_callback(person: Person) -> str:
    return at.location(at.fill_in(person, at.to_provider(person), "sub-leaver"))


def _runs(hub: Deployment, name: str) -> bool:
    token = (hub.data / "secrets" / "operator_token").read_text().strip()
    reply = requests.get(
        f"http://127.0.0.1:{hub.hub_port}/hub/api/users?state=active",
        headers={"Authorization": f"token {token}"},
        timeout=30,
    )
    reply.raise_for_status()
    return name in [user["name"] for user in reply.json()]


def test_out_of_every_group_is_out(come: Come, provider: Provider, directory: Directory) -> None:
    person = come("dropout")
    provider.people["sub-dropout"]["groups"] = []
    provider.save()
    wait_for(lambda: person.api("GET", "/user").status_code == 403, "access to end")
    assert directory.memberships(person="dropout") == []


# ---- the provider is down ---------------------------------------------------------------------


def test_the_provider_is_away(come: Come, provider: Provider, hub: Deployment) -> None:
    """Who is signed in and their server go on; a new sign-in gets a clear page; the operator gets in."""
    person = come("patient")
    person.start(**CHOICE)
    waiting = Person(hub, "patient")
    form = at.to_provider(waiting)
    began = at.location(at.fill_in(waiting, form, "sub-patient"))
    provider.away()
    try:
        since = time.monotonic()
        wait_for(
            lambda: time.monotonic() > since + 2, "the last look to be old"
        )  # refresh_age is 1
        assert person.model()["groups"] == ["class:2026-a"]
        assert person.run("print(6 * 7)").strip() == "42"
        for language, words in (("ko", "응답하지 않"), ("en", "does not answer")):
            stranger = Person(hub, "stranger", language=language)
            page = at.to_provider(stranger)
            assert page.status_code == 503
            assert words in visible(page.text) or "does not answer" in visible(page.text)
            assert page.url == f"{hub.url}/hub/oauth_login"
        late = waiting.session.get(began, timeout=30)
        refused(late, waiting, 503)
        operator = Person(hub, hub.admin, OPERATOR)
        operator.sign_in()
        assert operator.model()["admin"]
        no_traceback(hub)
    finally:
        provider.back()
    newcomer = Person(hub, "patient")
    wait_for(lambda: at.to_provider(newcomer).status_code == 200, "sign-in to work again", 30)
    assert person.model()["name"] == "patient"
    assert person.run("print(6 * 7)").strip() == "42"
    person.stop()


def test_doctor_looks_at_the_provider(provider: Provider, hub: Deployment) -> None:
    said = hub.madang("doctor")
    assert "people sign in with 한빛 아카데미, which answers" in said
    provider.away()
    try:
        said = hub.madang("doctor", check=False)
        assert f"BAD   the provider does not answer at {provider.issuer}" in said
        assert "→ See whether it is up" in said
    finally:
        provider.back()


# ---- the operator's own account, signing out --------------------------------------------------


def test_the_operators_form_is_for_the_operator_alone(hub: Deployment) -> None:
    output = hub.madang("user", "add", "local-teacher")
    teacher = Person(hub, "local-teacher")
    reply = teacher.sign_in(hub.one_time_password(output))
    assert reply.status_code == 403
    assert not teacher.signed_in
    operator = Person(hub, hub.admin, OPERATOR)
    assert operator.sign_in("wrong").status_code == 403
    operator.sign_in()
    assert operator.model()["admin"]
    operator.sign_out()
    assert not operator.signed_in


def test_sign_out_at_both_ends(come: Come, hub: Deployment) -> None:
    person = come("parting")
    # the provider still knows the browser: no form comes
    assert at.to_provider(person).url.startswith(f"{hub.url}/hub/")
    page = at.leave(person)
    assert page.url.startswith(f"{hub.url}/hub/logout")
    assert not person.signed_in
    assert person.session.get(f"{hub.url}/hub/home", timeout=30).url.startswith(
        f"{hub.url}/hub/login"
    )
    form = at.to_provider(person)
    assert "/interaction/" in form.url, "the provider asks who it is again"


def test_no_error_left_a_traceback(hub: Deployment) -> None:
    no_traceback(hub)


def test_no_secret_in_the_log(hub: Deployment, provider: Provider) -> None:
    log = (hub.data / "log" / "hub.log").read_text()
    assert provider.client_secret not in log
    shown = re.search(r"\n[^\n]*code=[\w-]{20,}", log)
    assert shown is None, shown[0]


# ---- a provider that gives no refresh tokens and signs nobody out -----------------------------


def test_a_plain_provider(tmp_path: Path) -> None:
    """When the access token has ended the person signs in again; that is no removal."""
    plain = Provider(
        tmp_path / "provider",
        access_seconds=4,
        refresh=False,
        end_session=False,
        auth_method="client_secret_basic",
    )
    hub = Deployment(
        "embedded",
        tmp_path / "data",
        extra=plain.settings(
            MADANG_OIDC_ADMIT="everyone", MADANG_REFRESH_AGE="1", MADANG_SIGN_IN_LOCAL_ADMIN="0"
        ),
    )
    try:
        plain.start(hub)
        plain.away()
        hub.up()  # starts all the same, and says so in its log
        assert "Nobody can sign in with 127.0.0.1 now" in (hub.data / "log" / "hub.log").read_text()
        person = Person(hub, "minji")
        assert at.to_provider(person).status_code == 503
        plain.back()
        plain.add("s-1", preferred_username="minji")
        at.enter(person, "s-1")
        assert person.model()["name"] == "minji"
        wait_for(lambda: person.api("GET", "/user").status_code == 403, "the token to end", 20)
        database = Database(f"sqlite:///{hub.data}/hub/hub.sqlite")
        found = Directory(database).person("minji")
        database.close()
        assert found is not None
        assert found.ended is None
        at.to_provider(person)
        assert person.model()["name"] == "minji"
        page = at.leave(person)
        assert page.url == f"{hub.url}/hub/logout"
        assert "127.0.0.1" in visible(page.text), "the page says where one is still signed in"
        # the operator's own way in is off
        assert "username_input" not in person.session.get(f"{hub.url}/hub/login", timeout=30).text
    finally:
        hub.remove()
        plain.stop()
