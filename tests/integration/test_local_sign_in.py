"""Local accounts on the real sign-in page: odd names, password rules in words, no open sign-up.

Guessing and one-time passwords are in ``test_main_job.py``, in both modes.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from support.deployment import Deployment
from support.people import Person, visible

OWN = "세 낱말로 된 비밀번호"
LENGTH = {"ko": "10자 이상", "en": "at least 10 characters"}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Of this file's own: wrong passwords count for the address that all tests come from."""
    made = Deployment("embedded", tmp_path_factory.mktemp("local") / "data")
    with made.running():
        yield made


@pytest.mark.parametrize(
    "name", ["admin", "../x", "김민지", "a" * 200, "a/b", "<b>'\"&", "x\x00y", " ", "%2e%2e"]
)
def test_odd_names_are_wrong_names_and_nothing_else(deployment: Deployment, name: str) -> None:
    """The page says the same as for any wrong password, shows no markup of the visitor's, and makes nobody."""
    person = Person(deployment, name, language="en")
    reply = person.sign_in("wrong wrong wrong")
    assert reply.status_code == 403, visible(reply.text)
    assert not person.signed_in
    assert "<b>'" not in reply.text
    assert f"\n{name}\t" not in "\n" + deployment.madang("user", "list")
    log = (deployment.data / "log" / "hub.log").read_text()
    assert "Traceback" not in log, log[-3000:]
    assert sorted(p.name for p in (deployment.data / "homes").iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "김민지", "a" * 200, "Kim", "-rf", ".", "a b", ""])
def test_the_operator_cannot_make_such_accounts(deployment: Deployment, name: str) -> None:
    said = deployment.madang("user", "add", "--", name, check=False)
    assert "one-time password" not in said
    assert "Traceback" not in said
    assert "madang:" in said, "a sentence"


def test_nobody_signs_up(deployment: Deployment) -> None:
    for path in ("signup", "authorize", "change-password"):
        assert requests.get(f"{deployment.url}/hub/{path}", timeout=30).status_code in (403, 404)
    page = requests.get(f"{deployment.url}/hub/login", timeout=30).text
    assert "sign up" not in visible(page).lower()


@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_password_rules_in_words(deployment: Deployment, language: str) -> None:
    """They stand on the page before somebody breaks one, and each refusal says what to do."""
    name = f"rules-{language}"
    once = deployment.one_time_password(deployment.madang("user", "add", name))
    person = Person(deployment, name, language=language)
    page = person.session.get(f"{deployment.url}/hub/login", timeout=30)
    assert LENGTH[language] in visible(page.text)
    for new, again in (("short", "short"), (name * 3, name * 3), ("1" * 12, "1" * 12), (OWN, "x")):
        reply = person.sign_in(once, new_password=new, new_password_again=again)
        assert not person.signed_in, new
        assert 'role="alert"' in reply.text
    short = person.sign_in(once, new_password="short", new_password_again="short")
    assert LENGTH[language] in visible(short.text)
    person.join(once, OWN)
    assert Person(deployment, name).sign_in(once).status_code == 403, "once"
