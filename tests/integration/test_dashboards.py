"""A notebook becomes a dashboard and is visited: the real Hub, service, gateway and runner, embedded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests
from support.deployment import Deployment, wait_for
from support.published import SLIDER, Stage, checked, send, stage_at, token_of

from madang_hub.dashboards.web.scopes import ACCESS, ADMIN, PUBLISH
from madang_hub.places import DASHBOARD_PREFIX


@pytest.fixture(scope="module")
def stage(embedded_mode: Deployment) -> Stage:
    return stage_at(embedded_mode, "da")


def gone(path: str) -> Callable[[], bool]:
    return lambda: requests.get(path, timeout=30).status_code in (404, 410)


def test_publish_visit_roll_back_and_shrink(stage: Stage) -> None:
    url, slug = stage.mentor.person.url, stage.slug
    send(url, stage.token, slug, SLIDER)
    found = checked(stage, 1)
    assert (found["state"], found["current"]) == ("published", 1), found["versions"]

    # a cell that fails: the first stays, the author reads why
    send(url, stage.token, slug, SLIDER, "1 / 0")
    found = checked(stage, 2)
    assert found["current"] == 1
    assert (found["versions"][0]["check"], found["versions"][0]["cell"]) == ("failed", 2)
    assert "ZeroDivisionError" in found["versions"][0]["said"]

    # a trainee visits; the frame needs no cookie and is nobody
    assert "쌀값" in stage.trainee.page().text
    path = f"{url}{DASHBOARD_PREFIX}{stage.trainee.begins(slug)}"
    frame = requests.get(path, timeout=60)
    assert frame.status_code == 200, frame.text
    assert "widget-view+json" in frame.text
    assert "sandbox" in frame.headers["Content-Security-Policy"]
    assert "allow-same-origin" not in frame.headers["Content-Security-Policy"]
    desk = stage.mentor.page(f"d/{slug}/desk")
    assert 'id="visitors-now">1' in desk.text

    # for a stranger there is none
    nothing = "z" * 20
    for page in ("d/{}/", "d/{}/desk"):
        mine = stage.stranger.page(page.format(slug))
        other = stage.stranger.page(page.format(nothing))
        assert (mine.status_code, other.status_code) == (404, 404)
        assert mine.text.replace(slug, nothing) == other.text
    assert "쌀값" not in stage.stranger.page().text

    # the trainee leaves the class: the open visit ends
    visit = path.partition("/visit/")[2].split("/")[0]
    asked = f"dashboards/{slug}/visit/{visit}"
    assert stage.trainee.done("GET", asked) == {"open": True}
    stage.mentor.done("PATCH", f"dashboards/{slug}", json={"audience": {"teams": []}})
    wait_for(gone(f"{url}{DASHBOARD_PREFIX}visit/{visit}/voila/static/"), "the visit's end", 10)
    assert stage.trainee.api("GET", asked).status_code == 404

    # a third version, and back to the first
    send(url, stage.token, slug, SLIDER.replace("3", "5"))
    assert checked(stage, 3)["current"] == 3
    back = stage.mentor.done("POST", f"dashboards/{slug}/show", json={"version": 1})
    assert back["current"] == 1
    off = stage.mentor.done("POST", f"dashboards/{slug}/unpublish", json={})
    assert off["state"] == "unpublished"


def test_what_the_hub_gives(stage: Stage) -> None:
    """The rights are the Hub's: a trainee's token cannot have them, an admin's server token has no admin's."""
    assert token_of(stage.trainee.person, ACCESS, PUBLISH).status_code == 400
    assert token_of(stage.mentor.person, ACCESS, ADMIN).status_code == 400
    plain = token_of(stage.mentor.person, ACCESS).json()["token"]
    reply = requests.post(
        f"{stage.mentor.person.url}{DASHBOARD_PREFIX}api/dashboards",
        json={"title": "x"},
        headers={"Authorization": f"token {plain}"},
        timeout=60,
    )
    assert reply.status_code == 403
    # without the service's own scope the Hub lets nobody ask at all
    other = token_of(stage.mentor.person, "read:users!user").json()["token"]
    reply = requests.get(
        f"{stage.mentor.person.url}{DASHBOARD_PREFIX}api/mine",
        headers={"Authorization": f"token {other}"},
        timeout=60,
    )
    assert reply.status_code == 403


def test_the_account_of_apps_is_nobodys(stage: Stage) -> None:
    deployment = stage.room.deployment
    said = deployment.madang("user", "add", "dashboards", check=False)
    assert "Madang's own" in said
    # nobody gets a server with a name
    name = stage.mentor.name
    reply = stage.mentor.person.api("POST", f"/users/{name}/servers/second", json={})
    assert reply.status_code == 403, reply.text
