"""Publishing from the author's side: the wish, the course to a real store, and ``madang publish``."""

from __future__ import annotations

import asyncio
import json
import os
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.dashboards_api import BUSY, DashboardsApi, Verdict, dashboards_api

from madang_hub.dashboards import versions as store_rules
from madang_hub.dashboards.archive import contents, manifest_of
from madang_hub.dashboards.model import Actor, Check, Dashboard, Policy, State
from madang_lab import publish_command
from madang_lab.command import parser_for
from madang_lab.publish import course as courses
from madang_lab.publish import course_sentences, remembered, sentences, service
from madang_lab.publish import wish as wishes
from madang_lab.publish.course import run
from madang_lab.publish.folder import plan
from madang_lab.publish.heading import heading
from madang_lab.publish.progress import Author, Course
from madang_lab.publish.service import Dashboards
from madang_lab.publish.wish import Audience, Wish, digest, meanwhile, same, wish_of
from madang_lab.service import AwayError

TEAM = "class:2026-a"
AUTHOR = Actor("minji", frozenset({TEAM}), frozenset({TEAM}), publishes=True)
TRAINEE = Actor("hana", frozenset({TEAM}))
TOKENS = {"o" * 32: AUTHOR, "t" * 32: TRAINEE}


def book(*cells: tuple[str, str]) -> str:
    made: list[dict[str, Any]] = [
        {"cell_type": kind, "source": source, "metadata": {}}
        | ({"outputs": [], "execution_count": None} if kind == "code" else {})
        for kind, source in cells
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    (made / "판매").mkdir(parents=True)
    return made.resolve()


@pytest.fixture
def notebook(home: Path) -> Path:
    path = home / "판매" / "판매.ipynb"
    path.write_text(book(("markdown", "# **판매** 현황"), ("code", "print(1)")), "utf-8")
    (path.parent / "a.csv").write_text("1,2\n")
    return path


@pytest.fixture
def api(tmp_path: Path) -> Iterator[DashboardsApi]:
    with dashboards_api(tmp_path, dict(TOKENS), Policy(each=2)) as found:
        yield found


def publish(
    api: DashboardsApi,
    notebook: Path,
    wish: Wish,
    home: Path,
    token: str = "o" * 32,
    **options: Any,
) -> Course:
    """Publish it; how it ended."""
    course, stages = Course(), list[str]()
    client = Dashboards(api.url, token)

    async def no_wait(_: float) -> None:
        await asyncio.sleep(0)

    def told() -> None:
        if course.stage not in stages:
            stages.append(course.stage)

    options = {"author": Author(home, "en"), "told": told, "pause": no_wait, **options}
    asyncio.run(run(course, client, notebook, wish, **options))
    assert course.ended
    if course.stage == "done":
        assert stages == ["packing", "sending", "checking", "done"]
    return course


def test_a_new_dashboard(api: DashboardsApi, notebook: Path, home: Path) -> None:
    audience = Audience(people=("hana",), teams=(TEAM,))
    wish = Wish("판매", "무엇을", TEAM, audience, "medium", seen=digest(plan(notebook, home)))
    course = publish(api, notebook, wish, home)
    assert (course.stage, course.version, course.shown) == ("done", 1, True), course.message
    assert 0 < course.total == course.done
    found = api.store.find(course.slug)
    assert found is not None
    assert (found.title, found.description, found.team, found.owner) == (
        "판매",
        "무엇을",
        TEAM,
        "minji",
    )
    assert found.audience.people == {"hana"}
    assert found.audience.teams == {TEAM}
    assert found.shown is not None
    assert (found.shown.notebook, found.shown.size) == ("판매.ipynb", "medium")
    files = manifest_of(api.store.snapshots, found.shown.content).files
    assert [f.path for f in files] == ["a.csv", "판매.ipynb"]
    assert course.url.endswith(f"/{course.slug}/")
    # it is known from now on, and nothing is left in the home
    assert remembered.last(home, notebook) == course.slug
    assert [p.name for p in (home / ".madang").iterdir()] == ["published.json"]


def test_a_new_version_with_other_words(api: DashboardsApi, notebook: Path, home: Path) -> None:
    first = publish(api, notebook, Wish("판매"), home)
    before = api.store.find(first.slug)
    assert before is not None
    wish = Wish("판매 2", "새 설명", slug=first.slug, expect=before.revision)
    second = publish(api, notebook, wish, home)
    after = api.store.find(first.slug)
    assert after is not None
    assert (second.slug, second.version, after.current) == (first.slug, 2, 2)
    assert (after.title, after.description) == ("판매 2", "새 설명")
    # somebody who saw the state before that
    for stale in (wish, Wish("판매 2", "새 설명", slug=first.slug, expect=before.revision)):
        late = publish(api, notebook, stale, home)
        assert late.stage == "failed"
        assert "changed" in late.message
    late = publish(api, notebook, replace(wish, title="판매 3"), home)
    assert (late.stage, "changed" in late.message) == ("failed", True)
    assert api.store.find(first.slug) == after


def test_a_check_that_fails_names_the_cell(api: DashboardsApi, notebook: Path, home: Path) -> None:
    first = publish(api, notebook, Wish("판매", audience=Audience(everyone=True)), home)
    api.verdict = Verdict(passed=False, why="ValueError: 값이 없음", cell=2)
    wish = Wish("판매", slug=first.slug, audience=Audience(everyone=True))
    course = publish(api, notebook, wish, home)
    assert (course.stage, course.cell, course.traceback) == ("failed", 2, "ValueError: 값이 없음")
    assert course.message.startswith("Cell 2 failed in the check")
    assert course.message.endswith("What was published before stays.")
    found = api.store.find(first.slug)
    assert found is not None
    assert (found.current, found.state) == (1, State.PUBLISHED)


def test_a_check_that_fails_outside_of_a_cell(
    api: DashboardsApi, notebook: Path, home: Path
) -> None:
    api.verdict = Verdict(passed=False, why="no kernel")
    course = publish(api, notebook, Wish("판매"), home)
    assert (course.stage, course.cell) == ("failed", 0)
    assert course.message.startswith("The check of the new version failed")
    assert "before" not in course.message
    # what was begun goes on: the next try is its second version, not another dashboard
    assert remembered.last(home, notebook) == course.slug


def test_nobody_sees_a_version_that_was_not_for_them(
    api: DashboardsApi, notebook: Path, home: Path
) -> None:
    first = publish(api, notebook, Wish("판매", audience=Audience(people=("kim", "lee"))), home)
    audiences = []
    original = api.check

    def noted(slug: str) -> None:
        found = api.store.find(slug)
        assert found is not None
        audiences.append((found.audience.people, found.current))
        original(slug)

    api.check = noted  # type: ignore[method-assign]  # looks on
    wish = Wish("판매", slug=first.slug, audience=Audience(people=("lee", "hana")))
    assert publish(api, notebook, wish, home).stage == "done"
    # before it was sent, and while it was checked: only lee
    assert audiences[-1] == (frozenset({"lee"}), 1)
    found = api.store.find(first.slug)
    assert found is not None
    assert (found.audience.people, found.current) == (frozenset({"lee", "hana"}), 2)
    # a version that fails lets nobody in who was not
    api.verdict = Verdict(passed=False, why="x")
    wish = Wish("판매", slug=first.slug, audience=Audience(everyone=True))
    course = publish(api, notebook, wish, home)
    found = api.store.find(first.slug)
    assert found is not None
    assert (found.audience.people, found.audience.signed_in) == (frozenset({"lee", "hana"}), False)
    narrow = course_sentences.say({"MADANG_LANG": "en"}, "narrow")
    assert course.message.count(narrow) == 1
    assert course.message.endswith(narrow)


def test_refusals_keep_the_services_words(api: DashboardsApi, notebook: Path, home: Path) -> None:
    course = publish(api, notebook, Wish("판매"), home, token="t" * 32)
    assert (course.stage, course.message) == (
        "failed",
        "You may not publish dashboards. Ask a mentor or an admin.",
    )
    publish(api, notebook, Wish("하나"), home)
    publish(api, notebook, Wish("둘"), home)
    korean = Author(home, "ko")
    course = publish(api, notebook, Wish("셋"), home, author=korean)
    assert "대시보드가 이미 2개 있습니다" in course.message


def test_what_was_not_seen_is_not_published(api: DashboardsApi, notebook: Path, home: Path) -> None:
    wish = Wish("판매", seen=digest(plan(notebook, home)))
    (notebook.parent / "more.txt").write_text("x")
    course = publish(api, notebook, wish, home)
    assert (course.stage, "Look at it again" in course.message) == ("failed", True)
    assert api.seen == []


def test_secrets_need_a_word(api: DashboardsApi, notebook: Path, home: Path) -> None:
    (notebook.parent / "key.py").write_text("token = 'ghp_" + "Ab1" * 12 + "'\n")
    course = publish(api, notebook, Wish("판매"), home)
    assert (course.stage, "may hold a secret" in course.message) == ("failed", True)
    assert api.seen == []
    assert publish(api, notebook, Wish("판매", despite=True), home).stage == "done"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "not there"),
        (lambda path: path.write_text("[]"), "no notebook that can be read"),
    ],
)
def test_what_stops_is_said(
    api: DashboardsApi, notebook: Path, home: Path, spoil: Any, said: str
) -> None:
    spoil(notebook)
    course = publish(api, notebook, Wish("판매"), home)
    assert (course.stage, said in course.message) == ("failed", True), course.message
    assert api.seen == []


def test_the_service_away(api: DashboardsApi, notebook: Path, home: Path) -> None:
    api.away = True
    course = publish(api, notebook, Wish("판매"), home)
    assert (course.stage, "does not answer" in course.message) == ("failed", True)
    assert asyncio.run(Dashboards(api.url, "o" * 32).state()) == ("away", None)


def test_a_check_without_a_word_ends_the_waiting(
    api: DashboardsApi, notebook: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.verdict = None
    monkeypatch.setattr(courses, "PATIENCE_S", 20.0)
    course = publish(api, notebook, Wish("판매"), home)
    assert (course.stage, "nothing is known of the check" in course.message) == ("failed", True)
    waits = [path for method, path in api.seen if method == "GET"]
    assert len(waits) >= 20


def test_an_answer_that_fails_to_come_is_asked_for_again(
    api: DashboardsApi, notebook: Path, home: Path
) -> None:
    looks = 0

    async def pause(_: float) -> None:
        nonlocal looks
        looks += 1
        api.away = looks < 5

    assert publish(api, notebook, Wish("판매"), home, pause=pause).stage == "done"


def test_stopping_while_it_is_sent_leaves_no_version(
    api: DashboardsApi, notebook: Path, home: Path
) -> None:
    api.slow.clear()
    course = Course()

    async def stop() -> None:
        client = Dashboards(api.url, "o" * 32)
        task = asyncio.create_task(run(course, client, notebook, Wish("판매"), Author(home, "en")))
        assert await asyncio.to_thread(api.arrived.wait, 30)
        assert course.stoppable
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # the connection ends when what is in its buffer has gone
        api.slow.set()
        assert await asyncio.to_thread(api.ended.wait, 30)

    # more than goes on its way at once
    (notebook.parent / "data.bin").write_bytes(os.urandom(8 * 2**20))
    asyncio.run(stop())
    assert (course.stage, course.message) == ("stopped", "Stopped. No new version was published.")
    [made] = api.store.of("minji")
    assert (made.last, contents(api.store.snapshots)) == (0, frozenset())


def test_what_nobody_foresaw_ends_it_as_well(
    api: DashboardsApi, notebook: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(Dashboards, "create", broken)
    course = Course()
    work = run(course, Dashboards(api.url, "o" * 32), notebook, Wish("판매"), Author(home, "en"))
    with pytest.raises(RuntimeError, match="a fault of ours"):
        asyncio.run(work)
    assert (course.stage, course.message[:20]) == ("failed", "Something went wrong")


# ---- ends between the two steps of the audience ------------------------------------------------

HANA = Wish("판매", audience=Audience(people=("lee", "hana")))
"""A new version for lee, who could see it before, and for hana."""
CLOSED = "For now only those can see the dashboard who could before"
OPEN = "Who may see it may have changed already."


@pytest.fixture
def shown(api: DashboardsApi, notebook: Path, home: Path) -> Wish:
    """:data:`HANA`, for a dashboard of kim and lee that is shown."""
    first = publish(api, notebook, Wish("판매", audience=Audience(people=("kim", "lee"))), home)
    return replace(HANA, slug=first.slug)


def at(api: DashboardsApi, slug: str) -> Dashboard:
    found = api.store.find(slug)
    assert found is not None
    return found


def at_check(api: DashboardsApi, does: Callable[[str], object]) -> None:
    """``does`` something to the dashboard once, before the check of the new version ends."""
    original, left = api.check, [does]

    def check(slug: str) -> None:
        if left and at(api, slug).versions[-1].check is Check.CHECKING:
            left.pop()(slug)
        original(slug)

    api.check = check  # type: ignore[method-assign]  # somebody is faster


def after_check(api: DashboardsApi, does: Callable[[str], object]) -> None:
    """``does`` something once, after the check of the new version has ended."""
    original, left = api.check, [does]

    def check(slug: str) -> None:
        before = at(api, slug).versions[-1].check
        original(slug)
        if left and before is Check.CHECKING is not at(api, slug).versions[-1].check:
            left.pop()(slug)

    api.check = check  # type: ignore[method-assign]  # somebody is faster


def test_a_refused_version_says_that_the_audience_is_smaller_already(
    api: DashboardsApi, notebook: Path, home: Path, shown: Wish
) -> None:
    api.fails["PUT"] = "refused"
    course = publish(api, notebook, shown, home)
    assert (course.stage, course.known) == ("failed", True)
    assert course.message.startswith(f"{BUSY} {CLOSED}")
    found = at(api, shown.slug)
    assert (found.audience.people, found.last) == (frozenset({"lee"}), 1)
    # what the dialog was filled from is still what there is: nobody but the course changed it
    assert (course.slug, course.revision) == (shown.slug, found.revision)
    # the same again ends well
    api.fails.clear()
    again = publish(api, notebook, replace(shown, expect=course.revision), home)
    assert (again.stage, again.message) == ("done", "“판매” is published.")
    assert at(api, shown.slug).audience.people == {"lee", "hana"}


def test_a_lost_answer_to_a_version_is_not_taken_for_none(
    api: DashboardsApi, notebook: Path, home: Path, shown: Wish
) -> None:
    api.fails["PUT"] = "lost"
    course = publish(api, notebook, shown, home)
    assert (course.stage, course.known, course.slug) == ("failed", False, shown.slug)
    assert course.message.startswith("Everything was sent, but the service did not answer.")
    assert CLOSED in course.message
    assert "Try again" not in course.message
    assert at(api, shown.slug).last == 2


@pytest.mark.parametrize(
    ("fails", "said", "more"), [("refused", BUSY, False), ("lost", "does not answer", True)]
)
def test_a_first_step_without_success(
    api: DashboardsApi, notebook: Path, home: Path, shown: Wish, fails: str, said: str, more: bool
) -> None:
    api.fails["PATCH"] = fails
    course = publish(api, notebook, shown, home)
    assert (course.stage, course.known, course.revision) == ("failed", True, 0)
    assert said in course.message
    assert (OPEN in course.message, CLOSED in course.message) == (more, False)
    assert at(api, shown.slug).last == 1


def test_a_version_that_is_shown_is_never_called_unpublished(
    api: DashboardsApi, notebook: Path, home: Path, shown: Wish
) -> None:
    after_check(api, lambda _: api.fails.update(PATCH="refused"))
    course = publish(api, notebook, shown, home)
    assert (course.stage, course.shown, course.let_in) == ("done", True, False)
    assert course.message == (
        f"“판매” is published, but those whom you added are not let in yet. {BUSY} "
        "Choose on the dashboard’s page who may see it."
    )
    found = at(api, shown.slug)
    assert (found.current, found.audience.people) == (2, frozenset({"lee"}))


def test_a_lost_answer_to_the_second_step_leaves_open_who_is_in(
    api: DashboardsApi, notebook: Path, home: Path, shown: Wish
) -> None:
    after_check(api, lambda _: api.fails.update(PATCH="lost"))
    course = publish(api, notebook, shown, home)
    assert (course.stage, course.shown, course.let_in) == ("done", True, False)
    assert "those whom you added may not be let in yet" in course.message


def test_the_command_gives_the_link_and_says_that_not_all_are_in(
    api: DashboardsApi, command: Command, notebook: Path, shown: Wish
) -> None:
    after_check(api, lambda _: api.fails.update(PATCH="refused"))
    status, out, err = command(str(notebook), "--update", "--people", "lee,hana")
    assert (status, out.endswith(f"/{shown.slug}/\n")) == (1, True)
    assert "not let in yet" in err


def test_a_version_that_is_not_shown_lets_nobody_in_to_another(
    api: DashboardsApi, notebook: Path, home: Path, shown: Wish
) -> None:
    at_check(api, lambda slug: api.store.move(slug, lambda d: store_rules.show(d, 1, AUTHOR, 1)))
    course = publish(api, notebook, shown, home)
    assert (course.stage, course.shown) == ("done", False)
    assert "does not show this version" in course.message
    assert CLOSED in course.message
    assert at(api, shown.slug).audience.people == {"lee"}


def test_a_check_without_a_word_says_it_as_well(
    api: DashboardsApi,
    notebook: Path,
    home: Path,
    shown: Wish,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api.verdict = None
    monkeypatch.setattr(courses, "PATIENCE_S", 20.0)
    course = publish(api, notebook, shown, home)
    assert (course.stage, course.known) == ("failed", False)
    assert course.message.startswith("The files are there, but nothing is known of the check.")
    assert CLOSED in course.message


def test_what_stands_before_the_service_does_not_end_the_waiting(
    api: DashboardsApi, notebook: Path, home: Path
) -> None:
    """It says in words of its own that the service is away for a moment."""
    looks = 0

    async def pause(_: float) -> None:
        nonlocal looks
        looks += 1
        api.fails = {"GET": "trouble"} if looks < 5 else {}

    assert publish(api, notebook, Wish("판매"), home, pause=pause).stage == "done"


def test_who_is_refused_while_it_is_checked_is_not_told_that_it_is_not_published(
    api: DashboardsApi, notebook: Path, home: Path
) -> None:
    async def pause(_: float) -> None:
        api.fails["GET"] = "refused"

    course = publish(api, notebook, Wish("판매"), home, pause=pause)
    assert (course.stage, course.message, course.known) == ("failed", BUSY, False)


def test_stopping_in_between_says_it_as_well(
    api: DashboardsApi, notebook: Path, home: Path, shown: Wish
) -> None:
    (notebook.parent / "data.bin").write_bytes(os.urandom(8 * 2**20))
    api.slow.clear()
    api.arrived.clear()
    course = Course()

    async def stop() -> None:
        work = run(course, Dashboards(api.url, "o" * 32), notebook, shown, Author(home, "en"))
        task = asyncio.create_task(work)
        assert await asyncio.to_thread(api.arrived.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        api.slow.set()

    asyncio.run(stop())
    assert course.stage == "stopped"
    assert course.message.startswith(f"Stopped. No new version was published. {CLOSED}")


@pytest.mark.parametrize(
    ("language", "said", "blames"),
    [("en", "could not be checked", "notebook"), ("ko", "새 버전을 점검하지 못해", "노트북")],
)
def test_a_check_that_could_not_be_run_blames_no_notebook(
    api: DashboardsApi, notebook: Path, home: Path, language: str, said: str, blames: str
) -> None:
    api.verdict = Verdict(passed=False, ran=False)
    course = publish(api, notebook, Wish("판매"), home, author=Author(home, language))
    assert (course.stage, course.cell, course.traceback, course.known) == ("failed", 0, "", True)
    assert said in course.message
    assert blames not in course.message
    # nobody else changed it, so what stood in the dialog is still good
    assert course.revision == at(api, course.slug).revision


def test_a_change_elsewhere_while_it_is_checked_is_not_taken_for_its_own(
    api: DashboardsApi, notebook: Path, home: Path
) -> None:
    api.verdict = Verdict(passed=False, ran=False)
    at_check(
        api, lambda slug: api.store.move(slug, lambda d: store_rules.edit(d, "A", "", AUTHOR, 1))
    )
    course = publish(api, notebook, Wish("판매"), home)
    assert course.stage == "failed"
    assert 0 < course.revision < at(api, course.slug).revision


# ---- rules --------------------------------------------------------------------------------

NAMES = st.lists(st.sampled_from("abc"), unique=True).map(tuple)
AUDIENCES = st.builds(Audience, NAMES, NAMES, st.booleans())


def lets_in(audience: Audience, person: str, team: str) -> bool:
    return audience.everyone or person in audience.people or team in audience.teams


@given(AUDIENCES, AUDIENCES, st.sampled_from("abcd"), st.sampled_from("abcd"))
def test_meanwhile_nobody_is_let_in_who_is_not_before_and_after(
    before: Audience, after: Audience, person: str, team: str
) -> None:
    between = meanwhile(before, after)
    if lets_in(between, person, team):
        assert lets_in(before, person, team)
        assert lets_in(after, person, team)
    assert same(meanwhile(before, before), before)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {},
        {"title": 1, "audience": {}},
        {"audience": {"people": "a", "teams": []}},
        {"audience": {"people": [1], "teams": []}},
        {"audience": {"people": [""], "teams": []}},
        {"title": "x" * 121, "audience": {"people": [], "teams": []}},
        {"expect": True, "audience": {"people": [], "teams": []}},
        {"audience": {"people": ["a"] * (wishes.NAMES + 1), "teams": []}},
    ],
)
def test_a_wish_that_is_none(raw: object) -> None:
    with pytest.raises(ValueError, match=r"^no |title"):
        wish_of(raw)


def test_a_wish() -> None:
    raw = {
        "title": " 가 ",
        "audience": {"people": ["a", "a"], "teams": []},
        "more": 1,
        "despite": 1,
    }
    assert wish_of(raw) == Wish("가", audience=Audience(("a",)))


@given(
    st.recursive(st.none() | st.integers() | st.text(), st.lists)
    | st.dictionaries(
        st.sampled_from(["slug", "revision", "audience", "versions", "may", "url"]),
        st.none()
        | st.integers()
        | st.text()
        | st.lists(
            st.dictionaries(
                st.sampled_from(["number", "check", "cell", "said"]),
                st.integers() | st.text() | st.none(),
            )
        ),
    )
)
def test_an_answer_is_a_dashboard_or_none(raw: object) -> None:
    try:
        found = service.dashboard(raw)
    except AwayError:
        return
    json.dumps(found)
    assert found["slug"]
    assert found["version"] is None or found["version"]["check"] in (*service.CHECKS, "")


@pytest.mark.parametrize(
    ("cells", "title"),
    [
        ([("markdown", "text\n\n# **판매** [현황](x.html) #\n")], "판매 현황"),
        ([("markdown", "## 둘째"), ("code", "# 주석")], "이름"),
        ([("markdown", "# ![](x.png)"), ("markdown", "# 다음")], "다음"),
    ],
)
def test_the_suggested_title(tmp_path: Path, cells: list[tuple[str, str]], title: str) -> None:
    path = tmp_path / "이름.ipynb"
    path.write_text(book(*cells), "utf-8")
    assert heading(path) == title


def test_what_is_remembered(home: Path, notebook: Path) -> None:
    assert remembered.last(home, notebook) == ""
    remembered.remember(home, notebook, "abc")
    remembered.remember(home, home / "other.ipynb", "def")
    assert remembered.last(home, notebook) == "abc"
    (home / remembered.FILE).write_text('{"판매/판매.ipynb": 5}', "utf-8")
    assert remembered.last(home, notebook) == ""
    many = {f"{number}.ipynb": "x" for number in range(remembered.MOST)}
    (home / remembered.FILE).write_text(json.dumps(many), "utf-8")
    remembered.remember(home, home / "new.ipynb", "x")
    assert remembered.last(home, home / "0.ipynb") == ""
    assert remembered.last(home, home / "1.ipynb") == "x"


@pytest.mark.parametrize(
    "table", [course_sentences.SENTENCES, publish_command.SENTENCES, sentences.SENTENCES]
)
def test_every_sentence_is_in_both_languages(table: Mapping[str, Mapping[str, str]]) -> None:
    for name, both in table.items():
        assert set(both) == {"ko", "en"}, name
        places = [
            {field for _, field, _, _ in string.Formatter().parse(text) if field}
            for text in both.values()
        ]
        assert places[0] == places[1], name


# ---- the command ----------------------------------------------------------------------------


class Command:
    """``madang publish`` in the server of minji."""

    def __init__(self, api: DashboardsApi, home: Path, capsys: Any) -> None:
        self.environ = {
            "HOME": str(home),
            "MADANG_LANG": "en",
            "MADANG_DASHBOARDS_URL": api.url,
            "JUPYTERHUB_API_TOKEN": "o" * 32,
            "JUPYTERHUB_PUBLIC_HUB_URL": "https://madang.example/hub/",
        }
        self._capsys = capsys

    def __call__(self, *words: str, **environ: str) -> tuple[int, str, str]:
        """Status, stdout and stderr."""
        environ = {**self.environ, **environ}
        status = publish_command.run(environ, parser_for(environ).parse_args(["publish", *words]))
        out, err = self._capsys.readouterr()
        return status, out, err


@pytest.fixture
def command(api: DashboardsApi, home: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(api, home, capsys)


def test_the_command_makes_one_and_then_asks_which(
    api: DashboardsApi, command: Command, notebook: Path
) -> None:
    status, out, err = command(str(notebook), "--teams", f"{TEAM}, team:vision", "--size", "small")
    [made] = api.store.of("minji")
    assert (status, out) == (0, f"https://madang.example/services/dashboards/d/{made.slug}/\n"), err
    assert (made.title, made.audience.teams) == ("판매 현황", frozenset({TEAM, "team:vision"}))
    for said in ("2 files", "Packing", "Version 1 is being checked", "is published"):
        assert said in err
    status, out, err = command(str(notebook))
    assert (status, out) == (2, "")
    assert "--update" in err
    status, _, _ = command(str(notebook), "--update", "--title", "판매 2", "--me")
    [again] = api.store.of("minji")
    assert (status, again.title, again.current, again.audience.private(0)) == (0, "판매 2", 2, True)
    # by its link, from another notebook
    other = notebook.with_name("다른.ipynb")
    other.write_text(book(("code", "1")), "utf-8")
    assert command(str(other), "--update", out or made.slug)[0] == 0
    assert command(str(other), "--new")[0] == 0
    assert len(api.store.of("minji")) == 2


def test_the_command_says_where_it_went_wrong(
    api: DashboardsApi, command: Command, notebook: Path
) -> None:
    api.verdict = Verdict(passed=False, why="Traceback\nZeroDivisionError", cell=2)
    status, out, err = command(str(notebook), MADANG_LANG="ko")
    assert (status, out) == (1, "")
    assert "2번 셀이 실패" in err
    assert "ZeroDivisionError" in err


def test_a_dry_run_asks_nobody(api: DashboardsApi, command: Command, notebook: Path) -> None:
    status, out, err = command(str(notebook), "--dry-run")
    assert (status, err, api.seen) == (0, "", [])
    assert "a.csv" in out
    (notebook.parent / "key.py").write_text("token = 'ghp_" + "Ab1" * 12 + "'\n")
    status, out, err = command(str(notebook), "--dry-run")
    assert (status, "may hold a secret" in out, "--despite-secrets" in err) == (1, True, True)
    assert command(str(notebook), "--dry-run", "--despite-secrets")[0] == 0


@pytest.mark.parametrize(
    ("words", "environ", "status", "said"),
    [
        (["--size", "huge"], {}, 2, "no size huge"),
        (["--team", "team:other"], {}, 2, "not in team:other"),
        (["--update"], {}, 2, "--update ADDRESS"),
        (["--update", "abc"], {}, 2, "no dashboard abc"),
        ([], {"JUPYTERHUB_API_TOKEN": "t" * 32}, 1, "may not publish"),
        ([], {"JUPYTERHUB_API_TOKEN": "x" * 32}, 1, "has no dashboards"),
        ([], {"MADANG_DASHBOARDS_URL": ""}, 1, "has no dashboards"),
        # the Hub answers in the place of a service that is not there
        ([], {"MADANG_DASHBOARDS_URL": "API/elsewhere/"}, 1, "has no dashboards"),
        ([], {"MADANG_DASHBOARDS_URL": "http://127.0.0.1:1/"}, 1, "does not answer"),
    ],
)
def test_what_cannot_be_is_said(
    command: Command,
    api: DashboardsApi,
    notebook: Path,
    words: list[str],
    environ: dict[str, str],
    status: int,
    said: str,
) -> None:
    environ = {name: value.replace("API", api.url) for name, value in environ.items()}
    done, out, err = command(str(notebook), *words, **environ)
    assert (done, out, said in err) == (status, "", True), err
    assert api.store.of("minji") == []


def test_a_notebook_in_the_home_itself_is_not_published(
    command: Command, home: Path, notebook: Path
) -> None:
    moved = notebook.rename(home / "a.ipynb")
    status, _, err = command(str(moved))
    assert (status, "lies in your home itself" in err) == (1, True)


def test_somebody_who_takes_it_over_publishes_versions(
    api: DashboardsApi, notebook: Path, home: Path
) -> None:
    """Only what may get a version is offered."""
    course = publish(api, notebook, Wish("판매"), home)
    api.actors["o" * 32] = replace(AUTHOR, publishes=False)
    _, mine = asyncio.run(Dashboards(api.url, "o" * 32).state())
    assert mine is not None
    assert (mine["publishes"], mine["dashboards"][0]["mine"]) == (False, False)
    api.store.move(course.slug, lambda d: store_rules.unpublish(d, AUTHOR, 1))
