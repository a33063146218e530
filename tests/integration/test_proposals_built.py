"""From a mentor's archive to a trainee's notebook on a real engine, and away again."""

from __future__ import annotations

import docker
import pytest
from docker.errors import ImageNotFound
from support.classroom import AtService
from support.deployment import Deployment
from support.people import Person
from support.proposals import FORM, zipped

pytestmark = pytest.mark.engine
CLASS = "class:built"
MEMBERS = """
import os
from pathlib import Path
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory
from madang_hub.places import Places
from madang_hub.settings import Settings
places = Places(Settings.load(Path(os.environ["MADANG_ROOT"])), "server")
directory = Directory(Database(places.database_url("hub")))
directory.set_memberships("pb-mentor", {"class:built": "mentor"}, "operator")
directory.set_memberships("pb-trainee", {"class:built": "trainee"}, "operator")
"""


@pytest.fixture(scope="module")
def people(server_mode: Deployment) -> dict[str, Person]:
    found = {}
    outputs = {
        name: server_mode.madang("user", "add", f"pb-{name}", *more)
        for name, more in {
            "mentor": [], "trainee": [], "other": [], "admin": ["--admin"]
        }.items()
    }  # fmt: skip
    said = server_mode.compose("exec", "-T", "hub", "python", "-c", MEMBERS)
    assert "Error" not in said, said
    for name, output in outputs.items():
        found[name] = Person(server_mode, f"pb-{name}")
        found[name].join(server_mode.one_time_password(output))
    return found


def picker(person: Person) -> str:
    return person.session.get(f"{person.url}/hub/spawn", timeout=30).text


def test_a_team_gets_what_its_mentor_proposed(
    server_mode: Deployment, engine: docker.DockerClient, people: dict[str, Person]
) -> None:
    mentor, admin = AtService(people["mentor"]), AtService(people["admin"])
    trainee = people["trainee"]
    reply = mentor.api(
        "POST",
        "proposals",
        data={"team": CLASS, **FORM},
        files={
            "archive": ("c.zip", zipped({"requirements.txt": "python-docx", "apt.txt": "tree"}))
        },
    )
    assert reply.status_code == 201, reply.text
    identity = reply.json()["id"]
    name = f"proposed-{identity}"
    assert "Nothing waits" in server_mode.madang("environment", "build"), "not approved yet"
    approved = admin.api("POST", f"proposals/{identity}/approve", json={})
    assert approved.status_code == 200, approved.text
    assert name not in picker(trainee)

    said = server_mode.madang("environment", "build")
    assert f"offered to {CLASS}" in said
    assert "Nothing waits" in server_mode.madang("environment", "build")
    assert f'value="{name}"' in picker(trainee)
    assert name not in picker(people["other"])
    refused = people["other"].api(
        "POST", "/users/pb-other/server", json={"environment": name, "size": "small"}
    )
    assert refused.status_code == 403, refused.text

    trainee.start(environment=name, size="small")
    code = "import docx, pandas, shutil; print(docx.__name__, shutil.which('tree'))"
    assert trainee.run(code).split() == ["docx", "/usr/bin/tree"]

    away = admin.api(
        "POST", f"proposals/{identity}/withdraw", json={"reason": "학기가 끝났습니다."}
    )
    assert away.status_code == 200, away.text
    assert name not in picker(people["mentor"])
    assert "kept, 1 container(s)" in server_mode.madang("images", "prune")
    trainee.stop()
    refused = trainee.api(
        "POST", "/users/pb-trainee/server", json={"environment": name, "size": "small"}
    )
    assert refused.status_code == 403
    assert f"{name}" in server_mode.madang("images", "prune")
    with pytest.raises(ImageNotFound):
        engine.images.get(f"madang/{name}:0.1.0")
