"""From the directory's word to the Hub's groups and roles."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub.roles import get_default_roles

from madang_hub import permissions
from madang_hub.people.directory import Membership, Person, Source, TeamRole
from madang_hub.people.roles import (
    MENTORS,
    TEAM,
    Rights,
    mentored,
    outdated,
    rights,
    role_name,
    teams_of,
)

TODAY = date(2026, 5, 4)

slugs = st.from_regex(r"[a-z0-9][a-z0-9-]{0,58}", fullmatch=True)
teams = st.builds("{}:{}".format, st.sampled_from(["class", "team"]), slugs)
odd_teams = st.one_of(
    teams, st.text(max_size=20), st.sampled_from(["mentor:class:a", "class:", "admin"])
)
names = st.sampled_from(["kim", "lee", "park"])
team_roles: st.SearchStrategy[TeamRole] = st.sampled_from(["trainee", "member", "mentor"])
sources: st.SearchStrategy[Source] = st.sampled_from(["roster", "provider", "operator"])
memberships = st.lists(st.builds(Membership, odd_teams, names, team_roles, sources), max_size=8)


def of(person: Person, *found: Membership, admins: tuple[str, ...] = ()) -> Rights:
    made = rights(person, found, TODAY, admins)
    assert made is not None
    return made


def test_a_trainee_and_a_mentor() -> None:
    kim = Person("kim")
    assert of(kim, Membership("class:a", "kim", "trainee")).groups == ("class:a",)
    mentor = of(kim, Membership("class:a", "kim", "mentor"), Membership("team:b", "kim", "member"))
    assert mentor == Rights(("team:b", "mentor:class:a"), ("class:a",))


def test_a_mentor_by_any_source_is_no_trainee() -> None:
    found = of(
        Person("kim"),
        Membership("class:a", "kim", "trainee", "roster"),
        Membership("class:a", "kim", "mentor", "operator"),
    )
    assert found.groups == ("mentor:class:a",)


@pytest.mark.parametrize(
    ("person", "allowed"),
    [
        (Person("kim"), True),
        (Person("kim", expires=TODAY), True),
        (Person("kim", expires=date(2026, 5, 3)), False),
        (Person("kim", ended=datetime(2026, 5, 1, tzinfo=UTC)), False),
        (Person("kim", admin=True, ended=datetime(2026, 5, 1, tzinfo=UTC)), False),
    ],
)
def test_who_has_access(person: Person, allowed: bool) -> None:
    assert (rights(person, [], TODAY, admins=["kim"]) is not None) == allowed


@pytest.mark.parametrize("name", ["admin", "mentor.class.a", "user", "server", "mentor:class:a"])
def test_a_name_gives_nothing(name: str) -> None:
    found = of(Person(name), Membership("class:a", "kim", "mentor"))
    assert found == Rights()
    assert [r["name"] for r in permissions.roles_of(found)] == ["user"]


def test_admins_are_marked_or_named() -> None:
    assert of(Person("kim", admin=True)).admin
    assert of(Person("kim"), admins=("kim",)).admin
    assert not of(Person("kim"), admins=("lee",)).admin


@given(memberships, names)
def test_rights_follow_from_the_own_memberships_only(found: list[Membership], name: str) -> None:
    made = of(Person(name), *found)
    own = [m for m in found if m.person == name]
    assert made == of(Person(name), *own)
    for group in made.groups:
        team = group.removeprefix(MENTORS)
        assert TEAM.fullmatch(team)
        assert any(m.team == team and (m.role == "mentor") >= (group != team) for m in own)
    assert {MENTORS + t for t in made.mentor_of} == {
        g for g in made.groups if g.startswith(MENTORS)
    }
    assert not set(made.mentor_of) & set(made.groups)
    assert set(made.mentor_of) <= set(mentored(found))


@given(teams, teams)
def test_role_names_are_ones_that_jupyterhub_takes_and_differ(one: str, other: str) -> None:
    # the pattern of JupyterHub 6.1's roles
    assert re.fullmatch(r"[a-z][a-z0-9\-_~\.]{1,253}[a-z0-9]", role_name(one))
    assert (role_name(one) == role_name(other)) == (one == other)


@pytest.mark.parametrize(
    "team", ["", "a", "class:", "class:A", "class:a b", "mentor:class:a", "x:a"]
)
def test_what_is_no_team_has_no_role(team: str) -> None:
    with pytest.raises(ValueError, match="no name of a team"):
        role_name(team)


def test_a_mentor_is_of_the_team_in_the_catalogue() -> None:
    assert teams_of(["mentor:class:a", "team:b"]) == {"class:a", "team:b"}


@given(memberships)
def test_nobody_is_outdated_who_was_just_renewed(found: list[Membership]) -> None:
    groups: dict[str, set[str]] = {}
    for name in ("kim", "lee", "park"):
        for group in of(Person(name), *found).groups:
            groups.setdefault(group, set()).add(name)
    assert outdated(groups, found) == {}
    assert outdated({g: {*n, "gone"} for g, n in groups.items()}, found) == {
        g: ["gone"] for g in groups
    }


def test_who_was_moved_is_outdated() -> None:
    found = [Membership("class:b", "kim", "trainee"), Membership("class:a", "lee", "mentor")]
    groups = {
        "class:a": ["kim", "lee"],
        "class:b": ["kim"],
        "mentor:class:b": ["lee"],
        "others": ["x"],
    }
    assert outdated(groups, found) == {"class:a": ["kim", "lee"], "mentor:class:b": ["lee"]}


# ---- roles ---------------------------------------------------------------------------------------


def test_a_mentor_reaches_the_own_team_only() -> None:
    role = permissions.mentor_role("class:a")
    assert role["name"] == "mentor.class.a"
    assert all(scope.endswith("!group=class:a") for scope in role["scopes"])
    assert not any("access:" in s or "token" in s or "admin" in s for s in role["scopes"])


def test_every_person_keeps_the_role_of_all(  # which JupyterHub takes from whom it is not listed for
) -> None:
    for found in (Rights(), Rights(admin=True), Rights(mentor_of=("class:a",))):
        assert permissions.roles_of(found)[0]["name"] == "user"


def test_the_roles_of_people_are_those_that_are_loaded() -> None:
    """Else each sign-in would rewrite the definition, and each start of the Hub write it back."""
    loaded = {r["name"]: r for r in permissions.roles()}
    for role in permissions.roles_of(Rights(admin=True)):
        expected = loaded[role["name"]]["scopes"] if role["name"] in loaded else role["scopes"]
        assert role["scopes"] == expected


def test_the_admin_role_is_jupyterhubs_own() -> None:
    theirs = next(r for r in get_default_roles() if r["name"] == "admin")
    assert list(permissions.ADMIN_SCOPES) == theirs["scopes"]


def test_roles_are_given_to_services_not_to_people_by_name() -> None:
    for role in permissions.roles():
        assert not {"users", "groups"} & set(role)
