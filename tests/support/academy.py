"""Classes and people in tests: written into a deployment's directory, signed in through its pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from madang_hub.people.database import Database
from madang_hub.people.directory import TeamRole
from madang_hub.people.enrolment import Enrolment
from madang_hub.places import Places
from madang_hub.settings import Settings
from support.deployment import ROOT, Deployment
from support.people import Person

PASSWORD = "세 낱말로 된 비밀번호"


class Academy:
    """Who is what at ``deployment`` (embedded mode, whose database this process can open)."""

    def __init__(self, deployment: Deployment, database: Database) -> None:
        self.deployment = deployment
        self.enrolment = Enrolment(database)
        self.directory = self.enrolment.directory

    def newcomer(self, name: str, teams: Mapping[str, TeamRole] | None = None) -> Person:
        """A new account with a password of its own, not signed in yet."""
        self.enrolment.add(name, datetime.now(UTC))
        self.enrolment.accounts.change(name, PASSWORD)
        self.place(name, teams or {})
        return Person(self.deployment, name, PASSWORD, language="en")

    def place(self, name: str, teams: Mapping[str, TeamRole]) -> None:
        """``name`` is in these teams from now on, and in no others."""
        self.directory.set_memberships(name, teams, "operator")

    def comes(self, name: str, teams: Mapping[str, TeamRole] | None = None) -> Person:
        """The same, signed in."""
        person = self.newcomer(name, teams)
        reply = person.sign_in(follow=False)
        assert reply.status_code == 302, reply.text
        return person

    def admin(self) -> Person:
        """The admin of the settings, signed in."""
        name = self.deployment.admin
        self.enrolment.accounts.change(name, PASSWORD)
        person = Person(self.deployment, name, PASSWORD, language="en")
        assert person.sign_in(follow=False).status_code == 302
        return person


@contextmanager
def academy(deployment: Deployment) -> Iterator[Academy]:
    """The people of ``deployment``, which is up."""
    places = Places(Settings.load(ROOT, deployment.environ), "embedded")
    database = Database(places.database_url("hub"))
    try:
        yield Academy(deployment, database)
    finally:
        database.close()


def server_token(person: Person) -> str:
    """The token inside the running server of ``person``."""
    return person.run("import os; print(os.environ['JUPYTERHUB_API_TOKEN'])").strip()
