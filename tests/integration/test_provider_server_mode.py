"""Sign-in with an institution where Madang runs as containers: the Hub's container asks the real provider.

One story; everything else about providers is tested in embedded mode (``test_provider.py``).
"""

from __future__ import annotations

from pathlib import Path

import docker
import pytest
import requests
from conftest import STARTED
from support import provider as at
from support.deployment import Deployment, wait_for
from support.people import Person, visible
from support.provider import Provider

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


@pytest.mark.long
def test_from_a_group_to_the_end_of_access(engine: docker.DockerClient, tmp_path: Path) -> None:
    """Sign-in, groups become teams and roles, and who is removed there loses session, token and container."""
    provider = Provider(tmp_path / "provider", access_seconds=20)
    hub = Deployment(
        "server",
        tmp_path / "data",
        network="10.236.0.0/24",
        extra=provider.settings(
            MADANG_OIDC_TEAMS="academy/2026 가반=class:2026-a trainee; mentors=class:2026-a mentor",
            MADANG_REFRESH_AGE="1",
            MADANG_SIGN_IN_NAME="한빛 아카데미",
        ),
    )
    try:
        provider.start(hub)
        STARTED.append(hub)
        hub.up()
        assert "people sign in with 한빛 아카데미, which answers" in hub.madang("doctor")
        minji, teacher = Person(hub, "minji"), Person(hub, "teacher")
        for person, group in ((minji, "academy/2026 가반"), (teacher, "mentors")):
            subject = f"sub-{person.name}"
            provider.add(subject, preferred_username=person.name, groups=[group])
            page = at.enter(person, subject)
            assert page.status_code == 200, visible(page.text)
        assert minji.model()["groups"] == ["class:2026-a"]
        assert "mentor.class.2026-a" in teacher.model()["roles"]

        minji.start(environment="lab", size="small")
        made = minji.api("POST", "/users/minji/tokens", json={"note": "mine"})
        headers = {"Authorization": f"token {made.json()['token']}"}

        def by_token() -> int:
            return requests.get(f"{hub.url}/hub/api/user", headers=headers, timeout=30).status_code

        def containers() -> list[str]:
            label = f"madang.instance={hub.instance}"
            found = engine.containers.list(filters={"label": label})
            return [str(c.name) for c in found]

        assert by_token() == 200
        assert [name for name in containers() if "minji" in name]
        provider.remove("sub-minji")
        wait_for(lambda: by_token() == 403, "the token to be refused")
        assert minji.api("GET", "/user").status_code == 403
        assert "/hub/login" in minji.session.get(f"{hub.url}/hub/home", timeout=30).url
        wait_for(lambda: not containers(), "the container to be stopped by policy", 90)
        assert teacher.api("GET", "/user").status_code == 200, "the others go on"
    finally:
        print(hub.logs())  # shown when the test failed
        hub.remove()
        provider.stop()
