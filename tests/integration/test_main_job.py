"""The main job in both modes: sign in, start, run the sample notebook with tracking, stop, come back."""

from __future__ import annotations

import json
import re

import pytest
from support.deployment import Deployment, wait_for
from support.people import Person, newcomer, visible

CHOICE = {"environment": "lab", "size": "small"}


@pytest.fixture(scope="module")
def started(someone: Person) -> Person:
    someone.start(**CHOICE)
    someone.run("open('note.txt', 'w').write('남는다')")
    return someone


def sample_code(person: Person, language: str) -> str:
    """The code of the sample notebook that lies in the person's home, read through the server."""
    found = person.server("GET", f"/contents/welcome/{language}/first-steps.ipynb")
    assert found.status_code == 200, found.text
    cells = found.json()["content"]["cells"]
    return "\n\n".join(
        "".join(c["source"]) if isinstance(c["source"], list) else c["source"]
        for c in cells
        if c["cell_type"] == "code"
    )


def runs_of(person: Person) -> list[str]:
    """Names of the runs in the person's experiment, asked from inside the person's own kernel."""
    printed = person.run(
        "import json, mlflow\n"
        "found = mlflow.search_runs(output_format='list')\n"
        "print(json.dumps([r.info.run_name for r in found]))"
    )
    names: list[str] = json.loads(printed.strip().splitlines()[-1])
    return names


def test_the_sample_notebook_runs_and_its_runs_are_tracked(started: Person) -> None:
    code = sample_code(started, started.language)
    assert "mlflow" in code
    assert "set_tracking_uri" not in code, "no set-up in the notebook"
    started.run(f"%cd -q ~/welcome/{started.language}\n" + code)
    assert runs_of(started)


def test_files_and_runs_survive_a_stop(started: Person) -> None:
    started.run("import mlflow\nwith mlflow.start_run(run_name='before the stop'): pass")
    before = runs_of(started)
    started.stop()
    started.start(**CHOICE)
    assert started.run("print(open('note.txt').read())").strip() == "남는다"
    assert runs_of(started) == before


def test_signing_out_and_in_again_finds_the_same_server(started: Person) -> None:
    started.sign_out()
    assert not started.signed_in
    assert started.sign_in().status_code == 200
    started.session.get(f"{started.url}/user/{started.name}/lab", timeout=60).raise_for_status()
    assert started.run("print(open('note.txt').read())").strip() == "남는다"


def test_a_second_person_sees_none_of_it(started: Person, another: Person) -> None:
    another.start(**CHOICE)
    names = json.loads(another.run("import os, json; print(json.dumps(os.listdir('.')))"))
    assert "note.txt" not in names
    entry = another.session.get(f"{another.url}/user/{started.name}/lab", timeout=60)
    assert entry.status_code in (403, 404), entry.url
    contents = another.server("GET", f"/user/{started.name}/api/contents/note.txt")
    assert contents.status_code in (403, 404)
    listed = another.api("GET", "/users")
    assert listed.status_code == 403
    assert another.api("DELETE", f"/users/{started.name}/server").status_code in (403, 404)


def test_tracking_opens_through_the_hub_without_another_sign_in(started: Person) -> None:
    page = started.session.get(f"{started.url}/services/mlflow/", timeout=60)
    assert page.status_code == 200
    assert "<title>MLflow</title>" in page.text


def test_tracking_is_closed_to_strangers(madang: Deployment, someone: Person) -> None:
    stranger = Person(madang, "nobody")
    closed = stranger.session.get(
        f"{madang.url}/services/mlflow/", timeout=60, allow_redirects=False
    )
    assert closed.status_code in (302, 401, 403)
    api = stranger.session.post(
        f"{madang.url}/services/mlflow/api/2.0/mlflow/experiments/search",
        json={"max_results": 10},
        timeout=60,
    )
    assert api.status_code in (401, 403)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"environment": "hub"}, 403),
        ({"environment": "lab", "size": "large"}, 403),
        ({"environment": "lab", "image": "madang/hub:0.1.0"}, 400),
        ({"environment": "lab", "size": "small", "mem_limit": "64G"}, 400),
        ({"environment": ["lab"]}, 403),
    ],
)
def test_hand_made_starts_are_refused(
    madang: Deployment, options: dict[str, object], status: int
) -> None:
    person = newcomer(madang, f"trickster{abs(hash(str(options))) % 10_000}")
    reply = person.api("POST", f"/users/{person.name}/server", json=options)
    assert reply.status_code == status, reply.text
    assert reply.json()["message"]
    assert not person.model().get("servers")


def test_a_refusal_is_in_the_persons_language(madang: Deployment) -> None:
    person = newcomer(madang, "sora")
    page = person.choose(environment="lab", size="large")
    assert "규격" in visible(page.text)
    assert "Choose one of" not in visible(page.text)


def test_the_wrong_password_is_refused_and_guessing_is_slowed(madang: Deployment) -> None:
    person = newcomer(madang, "guessed")
    person.sign_out()
    for _ in range(5):
        assert person.sign_in("wrong wrong wrong").status_code == 403
    slowed = person.sign_in()
    assert slowed.status_code == 429
    assert not person.signed_in


def test_a_one_time_password_must_be_replaced(madang: Deployment) -> None:
    output = madang.madang("user", "add", "fresh")
    person = Person(madang, "fresh")
    once = madang.one_time_password(output)
    asked = person.sign_in(once)
    assert asked.status_code == 403
    assert 'name="new_password"' in asked.text
    assert not person.signed_in
    weak = person.sign_in(once, new_password="short", new_password_again="short")
    assert not person.signed_in
    assert "10" in visible(weak.text)
    person.join(once)
    person.sign_out()
    assert person.sign_in(once).status_code == 403


def test_a_removed_person_is_out_at_once(madang: Deployment) -> None:
    person = newcomer(madang, "leaver")
    person.start(**CHOICE)
    madang.madang("user", "remove", "leaver")
    gone = person.api("GET", "/user")
    assert gone.status_code in (401, 403), gone.text
    page = person.session.get(f"{person.url}/user/leaver/lab", timeout=60)
    assert "jupyter-config-data" not in page.text
    assert person.sign_in().status_code == 403


def test_running_up_again_changes_nothing(madang: Deployment, started: Person) -> None:
    output = madang.up()
    assert madang.url.rsplit(":", 1)[1] in output
    # a new one-time password would shut the admin out; which one counts depends on the tests before
    assert re.search(
        rf"{madang.admin}  with (the one-time password of the first start|your own password); lost it\? "
        rf"scripts/madang user password {madang.admin}",
        output,
    )
    wait_for(lambda: started.server_ready, "the server to be still there")
    assert started.run("print(open('note.txt').read())").strip() == "남는다"
