"""The life of a dashboard: what always holds, whoever does what in which order, and who may do what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from madang_hub.dashboards import versions as rules
from madang_hub.dashboards.audience import Audience, Link
from madang_hub.dashboards.model import (
    DAY,
    Actor,
    Check,
    Dashboard,
    Event,
    Policy,
    State,
    What,
)
from madang_hub.dashboards.refusals import DashboardError, MayNotError, MoveError, NotFoundError
from madang_hub.dashboards.rights import Do, allowed

POLICY = Policy(kept=4)
TEAM = "class:2026-a"


def mentor(name: str, team: str = TEAM, *, publishes: bool = True) -> Actor:
    return Actor(name, frozenset({team}), frozenset({team}), publishes)


AUTHOR, OTHER, ELSEWHERE = mentor("jisu"), mentor("minji"), mentor("bora", "class:other")
TRAINEE = Actor("hana", frozenset({TEAM}))
ADMIN = Actor("admin", admin=True)
CLASS = Audience(teams=frozenset({TEAM}))


def made(audience: Audience = CLASS) -> Dashboard:
    found, _ = rules.new("x7", AUTHOR, "Sales", 1000, team=TEAM)
    return replace(found, audience=audience)


def uploaded(dashboard: Dashboard, content: str = "a", now: int = 1000) -> Dashboard:
    return rules.upload(dashboard, content, "a.ipynb", AUTHOR, now, POLICY)[0]


def live(count: int = 1) -> Dashboard:
    """With ``count`` versions that passed; the last is shown."""
    found = made()
    for number in range(1, count + 1):
        found = rules.passed(uploaded(found, f"content {number}"), number, 1001)[0]
    return found


def test_a_life() -> None:
    first = uploaded(made())
    assert (first.state, first.current) == (State.UNPUBLISHED, 0)
    one, event = rules.passed(first, 1, 1010)
    assert (one.published, one.current) == (True, 1)
    assert event == Event(1010, "x7", What.PASSED, "", 1)
    bad, _ = rules.failed(uploaded(one, "b"), 2, "ZeroDivisionError in cell 3", 1020)
    assert (bad.published, bad.current) == (True, 1)
    assert (bad.versions[1].check, bad.versions[1].why) == (
        Check.FAILED,
        "ZeroDivisionError in cell 3",
    )
    three, _ = rules.passed(uploaded(bad, "c"), 3, 1030)
    assert three.current == 3
    back, event = rules.show(three, 1, AUTHOR, 1040)
    assert (back.current, event.what) == (1, What.ROLLED_BACK)
    off, _ = rules.unpublish(back, AUTHOR, 1050)
    assert (off.published, off.current, off.shown) == (False, 0, None)
    again, event = rules.show(off, 3, AUTHOR, 1060)
    assert (again.current, event.what) == (3, What.SHOWN)
    deleted, _ = rules.delete(again, AUTHOR, 1070, POLICY)
    assert (deleted.state, deleted.current) == (State.DELETED, 0)
    assert deleted.names == {"a", "b", "c"}
    undeleted, _ = rules.undelete(deleted, AUTHOR, 1070 + 7 * DAY - 1)
    assert (undeleted.state, undeleted.names) == (State.UNPUBLISHED, deleted.names)
    with pytest.raises(MoveError, match="brought back"):
        rules.undelete(deleted, AUTHOR, 1070 + 7 * DAY)
    assert rules.due(deleted, 1070 + 7 * DAY - 1, POLICY) is None
    step = rules.due(deleted, 1070 + 7 * DAY, POLICY)
    assert step is not None
    assert (step[0].state, step[0].names) == (State.GONE, frozenset())


WORDS: dict[str, Callable[[Dashboard], Dashboard]] = {
    "rolled back": lambda d: rules.show(d, 1, AUTHOR, 1040)[0],
    "taken off": lambda d: rules.unpublish(d, AUTHOR, 1040)[0],
    "deleted": lambda d: rules.delete(d, AUTHOR, 1040, POLICY)[0],
    "deleted and back": lambda d: rules.undelete(
        rules.delete(d, AUTHOR, 1040, POLICY)[0], AUTHOR, 1041
    )[0],
}


@pytest.mark.parametrize("word", WORDS)
def test_a_check_that_ends_later_overturns_nobodys_word(word: str) -> None:
    said = WORDS[word](uploaded(live(2)))
    late, _ = rules.passed(said, 3, 1050)
    assert (late.state, late.current) == (said.state, said.current)
    assert late.versions[-1].check is Check.PASSED


def test_who_publishes_again_gets_it_shown_after_all() -> None:
    off, _ = rules.unpublish(live(), AUTHOR, 1040)
    assert rules.passed(uploaded(off, "b"), 2, 1050)[0].current == 2


def test_a_newer_upload_replaces_one_that_is_checked() -> None:
    two = uploaded(uploaded(made()), "b")
    assert [v.check for v in two.versions] == [Check.REPLACED, Check.CHECKING]
    with pytest.raises(MoveError, match="ended before"):
        rules.passed(two, 1, 1050)
    with pytest.raises(MoveError, match="ended before"):
        rules.failed(rules.passed(two, 2, 1050)[0], 2, "late", 1060)
    with pytest.raises(NotFoundError):
        rules.passed(two, 3, 1050)


def test_a_check_without_an_answer_fails() -> None:
    waiting = uploaded(live(), "b", now=2000)
    assert rules.due(waiting, 2599, POLICY) is None
    step = rules.due(waiting, 2600, POLICY)
    assert step is not None
    assert (step[0].current, step[0].versions[1].check) == (1, Check.FAILED)


def test_what_a_check_says_can_be_kept() -> None:
    said = "a\n\tb\x00c\ud800 \u202e\x1b[31md"
    one, _ = rules.failed(uploaded(made()), 1, said, 1000)
    assert one.versions[0].why == "a\n\tbc [31md"


def test_only_so_many_versions_are_kept_and_the_shown_one_always() -> None:
    shown = rules.show(live(4), 1, AUTHOR, 1040)[0]
    for content in ("b", "c", "d", "e"):
        shown = uploaded(shown, content)
        shown = rules.failed(shown, shown.last, "", 1050)[0]
    assert [v.number for v in shown.versions] == [1, 6, 7, 8]
    with pytest.raises(NotFoundError):
        rules.show(shown, 4, AUTHOR, 1060)


def test_only_what_passed_can_be_shown() -> None:
    failed, _ = rules.failed(uploaded(live(), "b"), 2, "", 1040)
    for unfit in (failed, uploaded(live(), "b")):
        with pytest.raises(MoveError, match="did not pass"):
            rules.show(unfit, 2, AUTHOR, 1050)


# ---- who --------------------------------------------------------------------------------------

AUTHORS = {Do.PUBLISH, Do.SHOW, Do.EDIT, Do.UNPUBLISH, Do.DELETE, Do.UNDELETE, Do.HAND_OVER}
MAY = [
    (AUTHOR, AUTHORS),
    (replace(AUTHOR, publishes=False), AUTHORS - {Do.PUBLISH, Do.SHOW, Do.EDIT}),
    (OTHER, {Do.UNPUBLISH}),
    (ELSEWHERE, set()),
    (TRAINEE, set()),
    (ADMIN, {Do.UNPUBLISH, Do.DELETE, Do.UNDELETE, Do.HAND_OVER}),
    (Actor(""), set()),
    (replace(ADMIN, name=""), set()),
]
MOVES: dict[Do, Callable[[Dashboard, Actor], object]] = {
    Do.PUBLISH: lambda d, a: rules.upload(d, "z", "a.ipynb", a, 2000, POLICY),
    Do.SHOW: lambda d, a: rules.show(d, 1, a, 2000),
    Do.EDIT: lambda d, a: (
        rules.edit(d, "t", "", a, 2000),
        rules.for_whom(d, Audience(), a, 2000),
    ),
    Do.UNPUBLISH: lambda d, a: rules.unpublish(d, a, 2000),
    Do.DELETE: lambda d, a: rules.delete(d, a, 2000, POLICY),
    Do.UNDELETE: lambda d, a: rules.undelete(
        replace(d, state=State.DELETED, current=0, ends=3000), a, 2000
    ),
    Do.HAND_OVER: lambda d, a: rules.hand_over(d, OTHER, a, 2000),
    Do.TAKE_OVER: lambda d, a: rules.take_over(d, a, 2000),
}


@pytest.mark.parametrize("number", range(len(MAY)))
def test_who_may_do_what(number: int) -> None:
    actor, may = MAY[number]
    assert allowed(actor, live(), 2000) == may
    for do, move in MOVES.items():
        if do in may:
            move(live(), actor)
        else:
            with pytest.raises(MayNotError):
                move(live(), actor)


def test_nobody_publishes_for_a_team_of_others() -> None:
    with pytest.raises(MayNotError):
        rules.new("x", ELSEWHERE, "t", 1000, team=TEAM)
    with pytest.raises(MayNotError):
        rules.new("x", TRAINEE, "t", 1000, team=TEAM)
    rules.new("x", ELSEWHERE, "t", 1000)


def test_it_becomes_only_theirs_who_may_publish_for_its_team() -> None:
    mine = live()
    assert rules.hand_over(mine, OTHER, ADMIN, 2000)[0].owner == "minji"
    for unfit in (ELSEWHERE, TRAINEE, replace(OTHER, publishes=False)):
        with pytest.raises(MayNotError):
            rules.hand_over(mine, unfit, AUTHOR, 2000)


def test_the_author_left_and_it_passes_on() -> None:
    step = rules.owner_gone(live(), [OTHER, mentor("ara"), ELSEWHERE, TRAINEE], 2000, POLICY)
    assert step is not None
    after, event = step
    assert (after.owner, after.current, event.what, event.detail) == (
        "ara",
        1,
        What.HANDED_OVER,
        "ara",
    )


@pytest.mark.parametrize(
    ("dashboard", "heirs", "policy"),
    [
        (live(), [OTHER], Policy(passes_on=False)),
        (live(), [ELSEWHERE, TRAINEE, AUTHOR, replace(OTHER, publishes=False)], POLICY),
        (replace(live(), team=""), [replace(OTHER, mentor_of=frozenset({""}))], POLICY),
        (replace(live(), audience=Audience()), [OTHER], POLICY),
        # all that shared it is over
        (replace(live(), audience=Audience(links=(Link("h", "jisu", 0, 9),))), [OTHER], POLICY),
    ],
)
def test_the_author_left_and_it_stops(
    dashboard: Dashboard, heirs: list[Actor], policy: Policy
) -> None:
    step = rules.owner_gone(dashboard, heirs, 2000, policy)
    assert step is not None
    stopped = step[0]
    assert (stopped.state, stopped.current, stopped.owner) == (State.STOPPED, 0, "jisu")
    assert rules.owner_gone(stopped, heirs, 2001, policy) is None
    for move in (MOVES[Do.PUBLISH], MOVES[Do.SHOW], MOVES[Do.EDIT], MOVES[Do.UNPUBLISH]):
        with pytest.raises(MoveError, match="stopped"):
            move(stopped, AUTHOR)
    back = rules.owner_back(stopped, 2002)
    assert back is not None
    assert rules.show(back[0], 1, AUTHOR, 2003)[0].published


def test_a_mentor_takes_over_what_has_stopped_but_not_what_was_private() -> None:
    step = rules.owner_gone(live(), [], 2000, POLICY)
    assert step is not None
    taken, _ = rules.take_over(step[0], OTHER, 2001)
    assert (taken.owner, taken.state, taken.current) == ("minji", State.UNPUBLISHED, 0)
    for unfit in (ELSEWHERE, TRAINEE, ADMIN, replace(OTHER, publishes=False)):
        with pytest.raises(MayNotError):
            rules.take_over(step[0], unfit, 2001)
    with pytest.raises(MayNotError):
        rules.take_over(replace(step[0], audience=Audience()), OTHER, 2001)


def test_texts() -> None:
    found, _ = rules.new("x", AUTHOR, "  A \u202e\x00 title\n of mine ", 1000, description=" a\nb ")
    assert (found.title, found.description) == ("A title of mine", "a\nb")
    # kept as it is: showing it safely is the page's
    assert rules.edit(found, "<script>", "", AUTHOR, 1001)[0].title == "<script>"
    for title, words in (("", "a title"), (" \u202e ", "a title"), ("가" * 121, "120 characters")):
        with pytest.raises(MoveError, match=words):
            rules.edit(found, title, "", AUTHOR, 1001)


# ---- whatever happens in whatever order ----------------------------------------------------------

PEOPLE = st.sampled_from([AUTHOR, OTHER, ELSEWHERE, TRAINEE, ADMIN])
NUMBERS = st.integers(0, 12)


class Life(RuleBasedStateMachine):
    """Anybody does anything at any time; what is refused changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000
        self.dashboard = made()
        self.passed: set[tuple[int, str]] = set()
        self.events: list[Event] = []

    def do(self, move: Callable[[], rules.Step | None]) -> None:
        before = self.dashboard
        self.now += 1
        try:
            step = move()
        except DashboardError:
            return
        if step is None:
            return
        self.dashboard, event = step
        self.events.append(event)
        assert self.dashboard.revision == before.revision + 1
        assert (event.moment, event.slug) == (self.now, "x7")
        # once gone it stays gone, and a number is never given twice
        assert before.state is not State.GONE
        assert self.dashboard.last >= before.last
        # only the author's own words and checks bring something to visitors
        if self.dashboard.current not in (0, before.current):
            assert event.what is What.PASSED or event.by == before.owner
        # snapshots vanish only by an upload beyond what is kept, or when it is gone
        lost = before.names - self.dashboard.names
        assert not lost or event.what in (What.UPLOADED, What.REMOVED)
        assert (
            before.shown is None or event.what is What.REMOVED or (before.shown.content not in lost)
        )

    @rule(actor=PEOPLE, content=st.sampled_from("abcdef"))
    def upload(self, actor: Actor, content: str) -> None:
        self.do(lambda: rules.upload(self.dashboard, content, "n", actor, self.now, POLICY))

    @precondition(lambda self: self.dashboard.versions)
    @rule(back=st.integers(0, 2), well=st.booleans())
    def check_ends(self, back: int, well: bool) -> None:
        number = self.dashboard.last - back
        version = self.dashboard.version(number)
        checking = version is not None and version.check is Check.CHECKING
        if version is not None and checking and well:
            self.passed.add((number, version.content))
        self.do(
            lambda: (
                rules.passed(self.dashboard, number, self.now)
                if well
                else rules.failed(self.dashboard, number, "why", self.now)
            )
        )

    @rule(actor=PEOPLE, number=NUMBERS)
    def show(self, actor: Actor, number: int) -> None:
        self.do(lambda: rules.show(self.dashboard, number, actor, self.now))

    @rule(actor=PEOPLE)
    def unpublish(self, actor: Actor) -> None:
        self.do(lambda: rules.unpublish(self.dashboard, actor, self.now))

    @rule(actor=PEOPLE)
    def delete(self, actor: Actor) -> None:
        self.do(lambda: rules.delete(self.dashboard, actor, self.now, POLICY))

    @rule(actor=PEOPLE)
    def undelete(self, actor: Actor) -> None:
        self.do(lambda: rules.undelete(self.dashboard, actor, self.now))

    @rule(actor=PEOPLE, to=PEOPLE)
    def hand_over(self, actor: Actor, to: Actor) -> None:
        self.do(lambda: rules.hand_over(self.dashboard, to, actor, self.now))

    @rule(actor=PEOPLE, audience=st.sampled_from([CLASS, Audience()]))
    def share(self, actor: Actor, audience: Audience) -> None:
        self.do(lambda: rules.for_whom(self.dashboard, audience, actor, self.now))

    @rule(heirs=st.lists(PEOPLE))
    def owner_leaves(self, heirs: list[Actor]) -> None:
        self.do(lambda: rules.owner_gone(self.dashboard, heirs, self.now, POLICY))

    @rule(actor=PEOPLE)
    def take_over(self, actor: Actor) -> None:
        self.do(lambda: rules.take_over(self.dashboard, actor, self.now))

    @rule()
    def owner_returns(self) -> None:
        self.do(lambda: rules.owner_back(self.dashboard, self.now))

    @rule(seconds=st.sampled_from([1, 300, 600, 2 * DAY, 8 * DAY]))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.do(lambda: rules.due(self.dashboard, self.now, POLICY))

    @invariant()
    def shown_is_what_passed(self) -> None:
        found = self.dashboard
        assert found.published == (found.current != 0)
        if found.published:
            assert found.shown is not None
            assert found.shown.check is Check.PASSED
            assert (found.current, found.shown.content) in self.passed

    @invariant()
    def the_rest_holds(self) -> None:
        found = self.dashboard
        numbers = [v.number for v in found.versions]
        assert numbers == sorted(set(numbers))
        assert len(numbers) <= POLICY.kept
        assert not numbers or numbers[-1] == found.last
        assert sum(v.check is Check.CHECKING for v in found.versions) <= 1
        assert found.owner in {"jisu", "minji"}
        assert (found.ends != 0) == (found.state in (State.DELETED, State.GONE))
        if found.state is not State.GONE:
            assert found.names >= {v.content for v in found.versions}


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
