"""What a provider says about somebody: odd claims, names, the mapping to teams, and who it is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub.people.accounts import unusable
from madang_hub.people.claims import (
    LONGEST_DISPLAY_NAME,
    RESERVED,
    Claimed,
    ClaimError,
    MappingError,
    Reading,
    Rule,
    admitted,
    decide,
    display_name,
    free_name,
    groups,
    parse_teams,
    proposal,
    value_at,
    verified_email,
)
from madang_hub.people.directory import Person

TODAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 2, tzinfo=UTC)
ISSUER = "https://id.example.org"

# whatever JSON can be
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
CLAIMS = st.dictionaries(
    st.sampled_from(
        [
            "preferred_username",
            "nickname",
            "name",
            "given_name",
            "family_name",
            "email",
            "email_verified",
            "groups",
        ]
    ),
    JSON,
)


# ---- the mapping ------------------------------------------------------------------------------


def test_the_mapping_of_the_documentation() -> None:
    text = (
        "academy/2026-a=class:2026-a trainee; academy/mentors-a=class:2026-a mentor; ops=admin;"
        " cn=staff,ou=groups,dc=x = team:hanbit  member ; 학과;;2 가반=class:2026-b trainee;"
    )
    assert parse_teams(text) == (
        Rule("academy/2026-a", "class:2026-a", "trainee"),
        Rule("academy/mentors-a", "class:2026-a", "mentor"),
        Rule("ops"),
        Rule("cn=staff,ou=groups,dc=x", "team:hanbit", "member"),
        Rule("학과;2 가반", "class:2026-b", "trainee"),
    )
    assert parse_teams("") == parse_teams(" ; ;") == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ops", "'ops': write VALUE=TEAM ROLE"),
        ("=class:a trainee", "write VALUE=TEAM ROLE"),
        ("a=class:2026_A trainee", "'class:2026_A' is no team"),
        ("a=2026-a trainee", "'2026-a' is no team"),
        ("a=mentor:class:a trainee", "is no team"),
        ("a=class:a", "the role is missing; write class:a trainee"),
        ("a=class:a teacher", "'teacher' is no role"),
        ("a=class:a admin", "'admin' is no role"),
        ("a=class:a trainee; a=class:a mentor", "'a' is mapped to class:a twice"),
        ("a=admin;a=admin", "'a' is mapped to admin twice"),
    ],
)
def test_a_wrong_mapping_is_named(text: str, says: str) -> None:
    with pytest.raises(MappingError) as wrong:
        parse_teams(text)
    assert says in str(wrong.value)


@given(st.text(min_size=1).filter(lambda s: s.strip() and "\x00" not in s))
def test_any_value_can_be_mapped(value: str) -> None:
    """A group of any name, written into the setting by its rule, is found in the claims again."""
    edges = value.strip().strip(";").strip()
    if not edges:
        return
    text = f"{edges.replace(';', ';;')}=class:a trainee"
    try:
        rules = parse_teams(text)
    except MappingError:
        # only several ';' in a row cannot be told apart
        assert ";;" in edges
        return
    if ";;" not in edges:
        found = Reading(ISSUER, rules=rules).read({"sub": "1", "groups": [edges]})
        assert found.roles == {"class:a": "trainee"}


def test_hangul_from_a_mac_is_the_same_group() -> None:
    rules = parse_teams("가반=class:a trainee")
    decomposed = "\u1100\u1161\u1107\u1161\u11ab"
    assert Reading(ISSUER, rules=rules).read({"sub": "1", "groups": [decomposed]}).roles


def test_the_stronger_role_counts_whatever_the_order() -> None:
    rules = parse_teams("a=class:a mentor; b=class:a trainee; c=class:a member")
    for held, role in ((["a", "b"], "mentor"), (["b", "c"], "member"), (["b"], "trainee")):
        for order in (held, held[::-1]):
            found = Reading(ISSUER, rules=rules).read({"sub": "1", "groups": order})
            assert found.roles == {"class:a": role}


# ---- reading ----------------------------------------------------------------------------------


@given(CLAIMS)
def test_odd_claims_give_a_usable_person_or_nothing(claims: dict[str, Any]) -> None:
    rules = parse_teams("a=class:a trainee; b=admin")
    found = Reading(ISSUER, rules=rules).read({**claims, "sub": "s-1"})
    assert not unusable(found.name)
    assert len(found.display_name) <= LONGEST_DISPLAY_NAME
    assert found.display_name.isprintable()
    assert found.email is None or claims["email_verified"] in (True, "true")
    # rights only by a value that stands there as text, in a list, alone or as a key
    said = claims.get("groups")
    held = [said] if isinstance(said, str) else list(said) if isinstance(said, (list, dict)) else []
    texts = {h.strip() for h in held if isinstance(h, str)}
    assert bool(found.roles) == ("a" in texts)
    assert found.admin is ("b" in texts)


@pytest.mark.parametrize("sub", [None, "", 7, True, ["a"], {"a": 1}, "x" * 256, "a\nb", "a\x00"])
def test_without_a_subject_there_is_nobody(sub: object) -> None:
    with pytest.raises(ClaimError):
        Reading(ISSUER).read({"sub": sub, "preferred_username": "minji"})
    with pytest.raises(ClaimError):
        Reading(ISSUER).read({"preferred_username": "minji"})


def test_who_is_admin_is_the_providers_word_only_where_the_mapping_says_so() -> None:
    claims = {"sub": "1", "groups": ["a"], "admin": True, "role": "admin"}
    assert Reading(ISSUER, rules=parse_teams("a=class:a trainee")).read(claims).admin is None
    assert Reading(ISSUER, rules=parse_teams("ops=admin")).read(claims).admin is False
    assert Reading(ISSUER, rules=parse_teams("a=admin")).read(claims).admin is True


def test_claims_inside_others() -> None:
    claims = {"realm_access": {"roles": ["a"]}, "https://x.org/groups": ["b"], "a": 1}
    assert value_at(claims, "realm_access.roles") == ["a"]
    assert value_at(claims, "https://x.org/groups") == ["b"]
    assert value_at(claims, "realm_access.roles.x") is None
    assert value_at(claims, "a.b") is None


def test_groups_in_every_form() -> None:
    assert groups(["a", 1, None, {"b": 1}, " c "]) == {"a", "c"}
    assert groups("school.kr") == {"school.kr"}
    assert groups({"a": {}, "b": []}) == {"a", "b"}
    assert groups(None) == groups(7) == groups(True) == frozenset()


@pytest.mark.parametrize(
    ("claims", "address"),
    [
        ({"email": "Minji@School.KR", "email_verified": True}, "minji@school.kr"),
        ({"email": "minji@school.kr", "email_verified": "true"}, "minji@school.kr"),
        ({"email": "minji@school.kr", "email_verified": False}, None),
        ({"email": "minji@school.kr", "email_verified": "yes"}, None),
        ({"email": "minji@school.kr", "email_verified": 1}, None),
        ({"email": "minji@school.kr"}, None),
        ({"email": "minji", "email_verified": True}, None),
        ({"email": "a@b@c", "email_verified": True}, None),
        ({"email": "a b@c", "email_verified": True}, None),
        ({"email": ["a@b"], "email_verified": True}, None),
        ({"email": "a" * 260 + "@b", "email_verified": True}, None),
    ],
)
def test_only_a_verified_address_counts(claims: dict[str, Any], address: str | None) -> None:
    assert verified_email(claims) == address


def test_display_names() -> None:
    assert display_name({"name": " 김\t민지 \u202e"}) == "김 민지"
    assert display_name({"name": 7, "given_name": "민지", "family_name": "김"}) == "민지 김"
    assert display_name({"name": "가" * 300}) == "가" * LONGEST_DISPLAY_NAME
    assert display_name({}) == ""


# ---- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "name"),
    [
        ("minji", "minji"),
        ("Minji.Kim", "minji.kim"),
        ("minji@school.kr", "minji"),
        ("../x", "x"),
        ("../../etc/passwd", "etc-passwd"),
        ("-rf", "rf"),
        ("a  b", "a-b"),
        ("MINJI", "minji"),
        ("ｍｉｎｊｉ", "minji"),
        ("u:x", "u-x"),
        ("x" * 200, "x" * 40),
        ("김민지", ""),
        ("..", ""),
        ("@school.kr", ""),
        ("", ""),
        (None, ""),
        (7, ""),
        (["minji"], ""),
    ],
)
def test_proposals(claim: object, name: str) -> None:
    assert proposal(claim) == name


def test_hangul_falls_back_to_the_address() -> None:
    claims = {
        "sub": "1",
        "preferred_username": "김민지",
        "email": "minji@a.kr",
        "email_verified": True,
    }
    assert Reading(ISSUER).read(claims).name == "minji"
    assert Reading(ISSUER).read({**claims, "email_verified": False}).name == "person"


@given(st.text())
def test_a_proposal_is_usable_or_empty(text: str) -> None:
    made = proposal(text)
    assert made == "" or not unusable(made)
    assert proposal(made) == made


@given(st.text(), st.sets(st.text(alphabet="ab-2", min_size=1, max_size=4)))
def test_a_free_name_is_nobodys(text: str, names: set[str]) -> None:
    made = free_name(proposal(text) or "person", names.__contains__)
    assert made not in names
    assert made not in RESERVED
    assert not unusable(made)


def test_admin_is_nobodys_by_a_providers_word() -> None:
    assert free_name("admin", lambda _: False) == "admin-2"
    assert free_name("root", {"root-2"}.__contains__) == "root-3"
    assert free_name("minji", lambda _: False) == "minji"
    assert len(free_name("x" * 40, {"x" * 40}.__contains__)) == 42


# ---- who it is --------------------------------------------------------------------------------

MINJI = Person("minji", "김민지", "minji@school.kr")


def test_the_identity_decides_before_every_address() -> None:
    other = Person("other", email="minji@school.kr")
    found = decide(MINJI, other, False, (), TODAY)
    assert (found.kind, found.person) == ("known", MINJI)


def test_a_rosters_person_is_tied_by_the_address() -> None:
    found = decide(None, MINJI, False, (), TODAY)
    assert (found.kind, found.person) == ("tied", MINJI)


@pytest.mark.parametrize(
    ("person", "bound", "guarded"),
    [
        (MINJI, True, ()),  # the address has gone to a second identity
        (Person("ops", email="minji@school.kr", admin=True), False, ()),
        (MINJI, False, ("minji",)),
    ],
)
def test_an_address_takes_over_nobody(person: Person, bound: bool, guarded: tuple[str]) -> None:
    found = decide(None, person, bound, guarded, TODAY)
    assert (found.kind, found.person, found.keep_email) == ("new", None, False)


@pytest.mark.parametrize("why", ["removed", "expired"])
def test_whose_access_has_ended_stays_out(why: str) -> None:
    ended = Person("minji", email="minji@school.kr", ended=NOW, ended_why=why)
    assert decide(ended, None, False, (), TODAY).kind == "refused"
    assert decide(None, ended, False, (), TODAY).kind == "refused"
    late = Person("minji", expires=date(2026, 3, 1))
    assert decide(late, None, False, (), TODAY).kind == "refused"


def test_whom_the_provider_lets_in_again_comes_back() -> None:
    let_go = Person("minji", ended=NOW, ended_why="provider")
    found = decide(let_go, None, False, (), TODAY)
    assert (found.kind, found.reopen) == ("known", True)
    late = Person("minji", ended=NOW, ended_why="provider", expires=date(2026, 3, 1))
    assert decide(late, None, False, (), TODAY).kind == "refused"


@given(
    st.builds(
        Person,
        name=st.sampled_from(["a", "b"]),
        admin=st.booleans(),
        ended=st.none() | st.just(NOW),
        ended_why=st.sampled_from(["", "provider", "removed"]),
        expires=st.none() | st.sampled_from([date(2026, 3, 1), TODAY]),
    ),
    st.booleans(),
)
def test_an_address_alone_never_opens_an_admin_or_ended_account(person: Person, used: bool) -> None:
    found = decide(None, person, used, (), TODAY)
    if found.kind == "tied":
        assert not person.admin
        assert person.active(TODAY)
        assert not used
    assert found.kind != "known"


def test_who_may_enter() -> None:
    nobody, somebody = (
        Claimed(ISSUER, "1", "a"),
        Claimed(ISSUER, "1", "a", roles={"class:a": "trainee"}),
    )
    assert not admitted("mapped", nobody, 0, False)
    assert admitted("mapped", somebody, 0, False)
    assert admitted("mapped", nobody, 1, False)
    assert admitted("mapped", nobody, 0, True)
    assert admitted("everyone", nobody, 0, False)
