"""A class with a dashboard at a real Madang in embedded mode, published as JupyterLab publishes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from madang_hub.dashboards.web.scopes import ACCESS, PUBLISH
from madang_hub.places import DASHBOARD_PREFIX
from support.classroom import AtService, Classroom, classroom
from support.dashboard import notebook
from support.deployment import Deployment, wait_for
from support.people import Person, newcomer
from support.snapshots import entry, packed

SLIDER = """import ipywidgets
slider = ipywidgets.IntSlider(value=3, min=0, max=10)
slider"""


class AtDashboards(AtService):
    """``person`` at the dashboards service."""

    @property
    def base(self) -> str:
        return self.person.url + DASHBOARD_PREFIX

    def done(self, method: str, path: str, **more: Any) -> Any:
        reply = self.api(method, path, **more)
        assert reply.ok, reply.text
        return reply.json()

    def begins(self, slug: str) -> str:
        """Visit: ask as the page does; the path of the frame."""
        xsrf, found = self.xsrf, {}

        def there() -> bool:
            nonlocal found
            reply = self.api("POST", f"dashboards/{slug}/visit", xsrf, json={"query": "n=7"})
            assert reply.ok, reply.text
            found = reply.json()
            assert found["state"] in ("asleep", "starting", "ready", "open"), found
            return bool(found["state"] == "open")

        wait_for(there, f"the visit of {self.name} to begin", 120)
        return str(found["path"])


@dataclass
class Stage:
    """A class, a stranger, and a dashboard of the class's mentor."""

    room: Classroom
    mentor: AtDashboards
    trainee: AtDashboards
    stranger: AtDashboards
    slug: str
    token: str


def token_of(person: Person, *scopes: str) -> requests.Response:
    return person.api(
        "POST", f"/users/{person.name}/tokens", json={"scopes": list(scopes), "expires_in": 900}
    )


def send(stage_url: str, token: str, slug: str, *cells: str) -> dict[str, Any]:
    """Publish with a token, as JupyterLab does."""
    archive = packed(entry("판매.ipynb", notebook(list(cells)).encode()))
    reply = requests.put(
        f"{stage_url}{DASHBOARD_PREFIX}api/dashboards/{slug}/versions",
        params={"notebook": "판매.ipynb"},
        data=archive,
        headers={"Authorization": f"token {token}"},
        timeout=60,
    )
    assert reply.status_code == 202, reply.text
    found: dict[str, Any] = reply.json()
    return found


def stage_at(deployment: Deployment, prefix: str, title: str = "쌀값") -> Stage:
    """A class ``class:<prefix>`` with a mentor, a trainee and, outside of it, a stranger."""
    team = f"class:{prefix}"
    people: Any = {f"{prefix}-mentor": ("mentor", "한멘토"), f"{prefix}-trainee": ("trainee", "")}
    room = classroom(deployment, team, "대시보드 반", people)
    mentor = room.people[f"{prefix}-mentor"]
    mentor.sign_in()  # the Hub reads the directory's word about her
    token = token_of(mentor, ACCESS, PUBLISH)
    assert token.status_code == 201, token.text
    headers = {"Authorization": f"token {token.json()['token']}"}
    made = requests.post(
        f"{deployment.url}{DASHBOARD_PREFIX}api/dashboards",
        json={"title": title, "team": team, "audience": {"teams": [team]}},
        headers=headers,
        timeout=60,
    )
    assert made.status_code == 201, made.text
    return Stage(
        room,
        AtDashboards(mentor),
        AtDashboards(room.people[f"{prefix}-trainee"]),
        AtDashboards(newcomer(deployment, f"{prefix}-stranger")),
        made.json()["slug"],
        token.json()["token"],
    )


def checked(stage: Stage, number: int) -> dict[str, Any]:
    """The dashboard, when the check of this version has ended."""
    found: dict[str, Any] = {}

    def ended() -> bool:
        nonlocal found
        found = stage.mentor.done("GET", f"dashboards/{stage.slug}")
        return bool(found["versions"][0]["number"] == number) and (
            found["versions"][0]["check"] != "checking"
        )

    wait_for(ended, "the check to end", 120)
    return found
