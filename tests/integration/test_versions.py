"""An earlier version on a real engine: started by who used it, refused to others, then removed."""

from __future__ import annotations

import io
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import docker
import pytest
from docker.errors import ImageNotFound
from support.deployment import ROOT, Deployment
from support.people import Person, newcomer

from madang_hub.catalog import Catalog
from madang_hub.shelf.installed import Installed
from madang_hub.shelf.pruning import prune_past

pytestmark = pytest.mark.engine
TABLE = Catalog.load(ROOT / "images" / "images.toml")
NOTE = """
import os
from datetime import UTC, datetime
from pathlib import Path
from madang_hub.people.database import Database
from madang_hub.places import Places
from madang_hub.settings import Settings
from madang_hub.shelf.starts import Starts
from madang_hub.shelf.versions import Start
places = Places(Settings.load(Path(os.environ["MADANG_ROOT"])), "server")
Starts(Database(places.database_url("hub"))).note(Start("{name}", "lab", "{release}", datetime.now(UTC)))
"""


@pytest.fixture(scope="module")
def release(server_mode: Deployment, engine: docker.DockerClient) -> Iterator[str]:
    """A superseded version of ``lab``: an image of its own, so that no other test's containers are its."""
    name = f"0.0.0-{server_mode.instance}"
    text = f"FROM {TABLE.reference('lab')}\nLABEL madang.test={name}\n"
    engine.images.build(fileobj=io.BytesIO(text.encode()), tag=f"madang/lab:{name}", rm=True)
    installed = Installed(server_mode.data / "environments")
    present = next(v for v in installed.load() if v.environment == "lab")
    assert (present.release, present.superseded) == (TABLE.release, None), "madang up notes it"
    now = datetime.now(UTC)
    old = present.model_copy(
        update={
            "release": name,
            "superseded": now - timedelta(days=1),
            "installed": now - timedelta(9),
        }
    )
    installed.save([*installed.load(), old])
    yield name
    try:
        engine.images.remove(f"madang/lab:{name}", noprune=True)
    except ImageNotFound:
        pass


def image_of(engine: docker.DockerClient, person: Person) -> tuple[str, str]:
    """Image and version label of the person's container."""
    found = engine.containers.list(filters={"label": f"madang.user={person.name}"})
    assert len(found) == 1
    return found[0].attrs["Config"]["Image"], found[0].labels["madang.version"]


def refused(person: Person, environment: str) -> str:
    reply = person.api("POST", f"/users/{person.name}/server", json={"environment": environment})
    assert reply.status_code == 403, reply.text
    message: str = reply.json()["message"]
    return message


def test_from_the_former_version_to_the_present_one(
    server_mode: Deployment, engine: docker.DockerClient, release: str
) -> None:
    stays = newcomer(server_mode, "stays")
    other = newcomer(server_mode, "other", language="en")
    old = f"lab@{release}"
    code = NOTE.format(name="stays", release=release)
    server_mode.compose("exec", "-T", "hub", "python", "-c", code)

    assert f'value="{old}"' in stays.session.get(f"{stays.url}/hub/spawn", timeout=30).text
    assert old not in other.session.get(f"{other.url}/hub/spawn", timeout=30).text
    assert "earlier version" in refused(other, old)

    stays.start(environment=old, size="small")
    assert image_of(engine, stays) == (f"madang/lab:{release}", release)
    assert release in server_mode.madang("versions", "list")
    kept = server_mode.madang("images", "prune")
    assert f"madang/lab:{release}: kept, 1 may start it" in kept
    stays.stop()

    # the Hub has the list read-only: what may be started is not its to say
    written = server_mode.compose(
        "exec", "-T", "hub", "touch", str(server_mode.data / "environments" / "versions.json")
    )
    assert "Read-only file system" in written

    # moved: it is gone from the picker, and refused
    stays.start(environment="lab", size="small")
    assert image_of(engine, stays) == (TABLE.reference("lab"), TABLE.release)
    stays.stop()
    assert old not in stays.session.get(f"{stays.url}/hub/spawn", timeout=30).text
    assert "이전 버전" in refused(stays, old)

    said = server_mode.madang("images", "prune")
    assert f"madang/lab:{release}: removed" in said
    with pytest.raises(ImageNotFound):
        engine.images.get(f"madang/lab:{release}")
    assert engine.images.get(TABLE.reference("lab"))
    assert "No earlier versions are kept." in server_mode.madang("images", "prune")


class Engine:
    """As much of the stack as removing its past images needs: the engine."""

    def compose(self, *words: str) -> str:
        raise AssertionError(words)

    def prepare(self, words: Sequence[str], stdin: bytes = b"") -> None:
        raise AssertionError(words)

    def docker(self, *words: str) -> str:
        return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


def test_past_images_of_the_stack_and_replaced_builds_go(engine: docker.DockerClient) -> None:
    past = f"madang/guard:0.0.0-{secrets.token_hex(3)}"

    def build(label: str) -> str:
        text = f"FROM {TABLE.reference('guard')}\nLABEL madang.test={label}\n"
        image, _ = engine.images.build(fileobj=io.BytesIO(text.encode()), tag=past, rm=True)
        return str(image.id)

    first, second = build("first"), build("second")
    container = engine.containers.create(past)
    try:
        lines = list(prune_past(Engine(), TABLE))
        assert f"{past}: kept, 1 container(s) of {past} are there" in lines
        with pytest.raises(ImageNotFound):
            engine.images.get(first)
        assert engine.images.get(past).id == second
    finally:
        container.remove()
    assert f"{past}: removed" in list(prune_past(Engine(), TABLE))
    with pytest.raises(ImageNotFound):
        engine.images.get(past)
    assert engine.images.get(TABLE.reference("guard"))
