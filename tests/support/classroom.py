"""A class in tests: people of the directory with accounts, and their calls to the people service."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from madang_hub.people.audit import Audit
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, Team, TeamRole
from madang_hub.people.directory import Person as Record
from madang_hub.places import Places
from madang_hub.settings import Settings
from support.deployment import ROOT, Deployment
from support.people import Person, newcomer

PREFIX = "/services/people/"


def places(deployment: Deployment) -> Places:
    return Places(Settings.load(ROOT, deployment.environ), deployment.mode)


def database(deployment: Deployment) -> Database:
    """The Hub's database; only in embedded mode can tests open it."""
    return Database(places(deployment).database_url("hub"))


@dataclass
class AtService:
    """``person`` at the people service, with a browser's session there."""

    person: Person

    @property
    def name(self) -> str:
        return self.person.name

    @property
    def base(self) -> str:
        return self.person.url + PREFIX

    def page(self, path: str = "", **headers: str) -> requests.Response:
        """A visit to a page, as a browser makes it."""
        return self.person.session.get(
            self.base + path, headers={"Sec-Fetch-Mode": "navigate", **headers}, timeout=60
        )

    @property
    def xsrf(self) -> str:
        reply = self.page()
        assert reply.status_code == 200, reply.text
        found = re.search(r'data-xsrf="([^"]+)"', reply.text)
        assert found, reply.text
        return found[1]

    def api(
        self, method: str, path: str, xsrf: str | None = None, **kwargs: Any
    ) -> requests.Response:
        """A call as the pages' scripts make it."""
        headers = {
            "Accept": "application/json",
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Site": "same-origin",
            "X-XSRFToken": self.xsrf if xsrf is None else xsrf,
        }
        return self.person.session.request(
            method, f"{self.base}api/{path}", headers=headers, timeout=60, **kwargs
        )

    def me(self) -> dict[str, Any]:
        reply = self.api("GET", "me")
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def ask(
        self, trainee: str, reason: str = "2번 셀의 오류", minutes: int = 15
    ) -> requests.Response:
        """Ask to look in."""
        return self.api(
            "POST", "look-ins", json={"trainee": trainee, "reason": reason, "minutes": minutes}
        )


@dataclass
class Classroom:
    """A class with people who have signed in once.

    ``directory``, ``audit`` and ``add`` open the database, so they are for embedded mode.
    """

    deployment: Deployment
    team: str
    people: dict[str, Person]

    def __getitem__(self, name: str) -> AtService:
        return AtService(self.people[name])

    @property
    def directory(self) -> Directory:
        return Directory(database(self.deployment))

    @property
    def audit(self) -> Audit:
        return Audit(database(self.deployment))

    def add(self, name: str, role: TeamRole, called: str = "", language: str = "ko") -> AtService:
        """One more person, who has signed in."""
        self.people[name] = enrol(self.deployment, self.team, name, role, called, language)
        return self[name]


def enrol(
    deployment: Deployment, team: str, name: str, role: TeamRole, called: str, language: str = "ko"
) -> Person:
    """A new account that is ``role`` in ``team`` and has signed in."""
    person = newcomer(deployment, name, language)
    join(deployment, team, name, role, called)
    return person


def join(
    deployment: Deployment, team: str, name: str, role: TeamRole | None, called: str = ""
) -> None:
    """``name`` is ``role`` in ``team`` from now on (None: nothing)."""
    store = database(deployment)
    try:
        directory = Directory(store)
        if directory.person(name) is None or called:
            directory.save_people([Record(name, called)])
        others: dict[str, TeamRole] = {
            m.team: m.role for m in directory.memberships(person=name) if m.team != team
        }
        if role is not None:
            others[team] = role
        directory.set_memberships(name, others, "operator")
    finally:
        store.close()


def classroom(
    deployment: Deployment, team: str, title: str, people: Mapping[str, tuple[TeamRole, str]]
) -> Classroom:
    """A class with ``people`` (user name to role and Korean name), each signed in once."""
    store = database(deployment)
    Directory(store).save_team(Team(team, title))
    store.close()
    return Classroom(
        deployment,
        team,
        {
            name: enrol(deployment, team, name, role, called)
            for name, (role, called) in people.items()
        },
    )


def roster(folder: Path, people: Mapping[str, tuple[TeamRole, str]]) -> Path:
    """A file of ``people`` (user name to role and name) as Korean Excel writes it: CP949, with CRLF."""
    rows = [(called, f"{name}@example.org", role, name) for name, (role, called) in people.items()]
    text = io.StringIO()
    csv.writer(text).writerows([("이름", "이메일", "역할", "아이디"), *rows])
    file = folder / "명단.csv"
    file.write_bytes(text.getvalue().encode("cp949"))
    return file


def one_time_passwords(file: Path) -> dict[str, str]:
    """User name to one-time password in what ``madang class import`` wrote."""
    rows = list(csv.reader(io.StringIO(file.read_text("utf-8-sig"))))
    return {row[2]: row[3] for row in rows[1:]}


def imported(
    deployment: Deployment,
    team: str,
    title: str,
    people: Mapping[str, tuple[TeamRole, str]],
    folder: Path,
) -> Classroom:
    """The same as :func:`classroom`, in either mode: by the command, whose passwords they sign in with."""
    file, passwords = roster(folder, people), folder / f"{team.partition(':')[2]}-passwords.csv"
    words = ["--class", team, "--title", title, "--passwords", str(passwords)]
    deployment.madang("class", "import", str(file), *words)
    found = Classroom(deployment, team, {})
    once = one_time_passwords(passwords)
    found.people.update({name: Person(deployment, name) for name in once})
    with ThreadPoolExecutor(8) as together:
        for done in [together.submit(found.people[n].join, word) for n, word in once.items()]:
            done.result()
    return found


def now() -> datetime:
    return datetime.now(UTC)


def service_process(deployment: Deployment) -> int:
    """The pid of this installation's people service."""
    mark = f"MADANG_DATA={deployment.data}\0".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            if b"madang_hub.people.service" in words and mark in (folder / "environ").read_bytes():
                return int(folder.name)
        except OSError:
            continue
    return 0


def healthy(deployment: Deployment) -> bool:
    try:
        reply = requests.get(deployment.url + PREFIX + "health", timeout=5)
    except requests.RequestException:
        return False
    return reply.status_code == 200 and reply.text == "ok"
