"""Who may see a dashboard: nobody outside, whatever the audience; less audience is never more."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub.dashboards.audience import (
    DAY,
    Audience,
    Link,
    LinkPolicy,
    Visitor,
    add_link,
    fingerprint,
    may_see,
    next_end,
    over,
    revoke,
)
from madang_hub.dashboards.refusals import MoveError

NOW = 10**6
POLICY = LinkPolicy(days=30, most=3)


@dataclass(frozen=True)
class Shown:
    owner: str = "jisu"
    audience: Audience = field(default_factory=Audience)
    published: bool = True


def seen(audience: Audience, visitor: Visitor, now: int = NOW) -> bool:
    return may_see(Shown(audience=audience), visitor, now)


def linked(ends: int = NOW + 10, revoked: int = 0) -> Audience:
    return Audience(links=(Link(fingerprint("token"), "jisu", NOW - 9, ends, revoked=revoked),))


A, B = frozenset({"class:a"}), frozenset({"class:b"})
TABLE: list[tuple[Audience, Visitor, bool]] = [
    # only me
    (Audience(), Visitor("jisu"), True),
    (Audience(), Visitor("minji", A), False),
    (Audience(), Visitor(), False),
    # people
    (Audience(people=frozenset({"minji"})), Visitor("minji"), True),
    (Audience(people=frozenset({"minji"})), Visitor("Minji"), False),
    (Audience(people=frozenset({""})), Visitor(), False),
    # teams; a mentor is of the team, and of no other
    (Audience(teams=A), Visitor("minji", A | B), True),
    (Audience(teams=A), Visitor("minji", B), False),
    (Audience(teams=A), Visitor("", A), False),
    # everybody who is signed in
    (Audience(signed_in=True), Visitor("minji"), True),
    (Audience(signed_in=True), Visitor(), False),
    # an admin by the scope of the browser's sign-in, and only one who is signed in
    (Audience(), Visitor("kim", admin=True), True),
    (Audience(), Visitor("admin"), False),
    (Audience(), Visitor("", admin=True), False),
    # links
    (linked(), Visitor(link=fingerprint("token")), True),
    (linked(), Visitor("minji", link=fingerprint("token")), True),
    (linked(), Visitor(link=fingerprint("token2")), False),
    (linked(), Visitor(link="token"), False),
    (linked(), Visitor(), False),
    (linked(), Visitor("minji"), False),
    (linked(ends=NOW + 1), Visitor(link=fingerprint("token")), True),
    (linked(ends=NOW), Visitor(link=fingerprint("token")), False),
    (linked(revoked=NOW), Visitor(link=fingerprint("token")), False),
    (Audience(links=(Link("", "jisu", 0, NOW + 9),)), Visitor("minji"), False),
]


@pytest.mark.parametrize("number", range(len(TABLE)))
def test_who_sees(number: int) -> None:
    audience, visitor, sees = TABLE[number]
    assert seen(audience, visitor) is sees
    # whatever the audience, what is not published is seen by nobody
    assert not may_see(Shown(audience=audience, published=False), visitor, NOW)


# ---- properties -----------------------------------------------------------------------------------

names = st.sampled_from(["minji", "hana", "bora", ""])
teams = st.frozensets(st.sampled_from(["class:a", "class:b", "team:c"]))
tokens = st.sampled_from(["one", "two", "three", ""])
links = st.builds(
    Link,
    tokens.map(fingerprint),
    st.just("jisu"),
    st.integers(0, 20),
    st.integers(0, 60),
    revoked=st.sampled_from([0, 0, 25]),
)
audiences = st.builds(
    Audience, st.frozensets(names), teams, st.booleans(), st.lists(links, max_size=3).map(tuple)
)
visitors = st.builds(Visitor, names, teams, st.just(False), tokens.map(fingerprint))
moments = st.integers(0, 60)


@given(audiences, visitors, moments)
def test_nobody_outside_ever_sees(audience: Audience, visitor: Visitor, now: int) -> None:
    """Said once more, from the other side: without any one of these reasons nobody is let in."""
    reasons = [
        visitor.name != "" and visitor.name in audience.people,
        visitor.name != "" and not visitor.teams.isdisjoint(audience.teams),
        visitor.name != "" and audience.signed_in,
        *(
            visitor.link == link.hash != "" and link.made <= now < link.ends and link.revoked == 0
            for link in audience.links
        ),
    ]
    assert seen(audience, visitor, now) is any(reasons)


@given(audiences, visitors, moments, st.data())
def test_less_is_never_more(
    audience: Audience, visitor: Visitor, now: int, data: st.DataObject
) -> None:
    less = Audience(
        frozenset(
            data.draw(
                st.sets(st.sampled_from(sorted(audience.people)))
                if audience.people
                else st.just(set())
            )
        ),
        frozenset(
            data.draw(
                st.sets(st.sampled_from(sorted(audience.teams)))
                if audience.teams
                else st.just(set())
            )
        ),
        audience.signed_in and data.draw(st.booleans()),
        tuple(link for link in audience.links if data.draw(st.booleans())),
    )
    assert not seen(less, visitor, now) or seen(audience, visitor, now)
    for link in audience.links:
        shut = revoke(audience, link.hash, now + 1)
        assert not seen(shut, visitor, now) or seen(audience, visitor, now)
    # and who takes everything away is alone
    assert not seen(Audience(), visitor, now)


@given(audiences, visitors, moments)
def test_the_clock_alone_only_shuts(audience: Audience, visitor: Visitor, now: int) -> None:
    """Between two ends of links nothing changes; a link never opens again."""
    end = next_end(audience, now)
    opened = [link for link in audience.links if link.made <= now]
    settled = replace(audience, links=tuple(opened))
    for later in range(now, end if end is not None else now + 3):
        assert seen(settled, visitor, later) is seen(settled, visitor, now)
    if end is not None:
        assert not seen(settled, visitor, end) or seen(settled, visitor, now)


@given(audiences, audiences, st.lists(visitors), moments)
def test_who_may_not_come_in_may_not_stay(
    before: Audience, after: Audience, who: list[Visitor], now: int
) -> None:
    inside = [(n, v) for n, v in enumerate(who) if seen(before, v, now)]
    ended = over(Shown(audience=after), inside, now)
    assert ended == [n for n, v in inside if not seen(after, v, now)]
    assert over(Shown(audience=after, published=False), inside, now) == [n for n, _ in inside]
    if before == after:
        assert ended == []


# ---- links ---------------------------------------------------------------------------------------


def test_links_are_made_and_taken_back() -> None:
    one = add_link(Audience(), fingerprint("t1"), "jisu", "guests", 7, NOW, POLICY)
    assert one.links == (Link(fingerprint("t1"), "jisu", NOW, NOW + 7 * DAY, "guests"),)
    visitor = Visitor(link=fingerprint("t1"))
    assert seen(one, visitor)
    assert seen(one, visitor, NOW + 7 * DAY - 1)
    assert not seen(one, visitor, NOW + 7 * DAY)
    shut = revoke(one, fingerprint("t1"), NOW + 5)
    assert not seen(shut, visitor, NOW + 5)
    assert revoke(shut, fingerprint("t1"), NOW + 9) == shut
    with pytest.raises(MoveError, match="no such link"):
        revoke(one, fingerprint("t2"), NOW)
    # once taken back it is not made again by the same token
    with pytest.raises(ValueError, match="token"):
        add_link(shut, fingerprint("t1"), "jisu", "", 7, NOW, POLICY)
    with pytest.raises(ValueError, match="token"):
        add_link(shut, fingerprint(""), "jisu", "", 7, NOW, POLICY)


@pytest.mark.parametrize(
    ("days", "policy", "sentence"),
    [
        (0, POLICY, "1 to 30 days"),
        (31, POLICY, "1 to 30 days"),
        (1, LinkPolicy(days=0), "switched off"),
        (1, LinkPolicy(days=30, most=1), "1 open links"),
    ],
)
def test_links_within_limits(days: int, policy: LinkPolicy, sentence: str) -> None:
    with pytest.raises(MoveError, match=sentence):
        add_link(linked(), fingerprint("new"), "jisu", "", days, NOW, policy)


def test_a_label_can_be_kept() -> None:
    made = add_link(Audience(), "h", "jisu", "for\x00\ud800\n kim\u202e", 1, NOW, LinkPolicy())
    assert made.links[0].label == "for kim"


def test_a_link_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every hash is compared, whole, whichever is right and whether somebody is signed in or not."""
    compared = []
    real = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        found: bool = real(a, b)
        return found

    monkeypatch.setattr(hmac, "compare_digest", compare)
    hashes = [fingerprint(f"t{n}") for n in range(3)]
    many = Audience(links=tuple(Link(h, "jisu", 0, NOW + 9) for h in hashes), signed_in=True)
    for visitor in (Visitor(link=hashes[0]), Visitor(link="x"), Visitor("minji"), Visitor("jisu")):
        compared.clear()
        seen(many, visitor)
        assert [a.decode() for a, _ in compared] == hashes


def test_the_token_is_not_in_what_is_kept() -> None:
    kept = add_link(Audience(), fingerprint("secret-token"), "jisu", "", 7, NOW, POLICY)
    assert "secret-token" not in repr(kept)
