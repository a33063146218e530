"""Earlier versions of environments: who may start them, when they go, and that nobody loses one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError
from support.tables import DEEP, LAB, image, size, table

from madang_hub.catalog import Catalog, OptionError, Person
from madang_hub.engine.gateway import installed_images
from madang_hub.options import StartRefused
from madang_hub.options import chosen as chosen_of
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory
from madang_hub.people.directory import Person as Record
from madang_hub.shelf.installed import Installed, ShelfError
from madang_hub.shelf.offering import Shelf
from madang_hub.shelf.pruning import in_words, past, prune, prune_past, standings
from madang_hub.shelf.starts import Starts
from madang_hub.shelf.versions import (
    Start,
    Version,
    install,
    open_earlier,
    removable,
    with_earlier,
)
from madang_hub.web.pages import chosen, picker

TABLE = table(size(), LAB, DEEP, image("hub"), release="2")
NOW_IN_TABLE = Catalog.parse(TABLE)
BEFORE = dataclasses.replace(NOW_IN_TABLE, release="1")
T0 = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAYS = 60
AI = Person("kim", frozenset({"class:ai"}))


def upgraded() -> list[Version]:
    """Release 1 was installed at T0, release 2 ten days later."""
    return install(install([], BEFORE, T0), NOW_IN_TABLE, T0 + timedelta(days=10))


SWITCH = T0 + timedelta(days=10)


def used(environment: str, release: str, person: str = "kim") -> dict[str, Start]:
    return {environment: Start(person, environment, release, T0)}


# ---- what is installed ----------------------------------------------------------------------


def test_a_new_release_supersedes_the_former_one() -> None:
    found = {v.name: v for v in upgraded()}
    assert set(found) == {"lab@1", "deep@1", "lab@2", "deep@2"}
    assert (found["lab@1"].superseded, found["lab@2"].superseded) == (SWITCH, None)
    assert found["lab@1"].reference == BEFORE.reference("lab")


def test_an_environment_that_left_the_table_is_superseded_as_well() -> None:
    without = dataclasses.replace(
        NOW_IN_TABLE, environments={"lab": NOW_IN_TABLE.environments["lab"]}
    )
    found = {v.name: v.superseded for v in install(upgraded(), without, SWITCH)}
    assert (found["lab@2"], found["deep@2"]) == (None, SWITCH)


def test_going_back_makes_the_former_release_the_present_one() -> None:
    found = {v.name: v.superseded for v in install(upgraded(), BEFORE, SWITCH)}
    assert (found["lab@1"], found["lab@2"]) == (None, SWITCH)


releases = st.sampled_from(["1", "2", "3"])


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Version], Catalog, datetime]:
    """Tables with some of the environments, installed one after another."""
    versions: list[Version] = []
    now, table = T0, BEFORE
    for _ in range(draw(st.integers(1, 5))):
        names = draw(st.sets(st.sampled_from(["lab", "deep"]), min_size=1))
        table = dataclasses.replace(
            BEFORE,
            release=draw(releases),
            environments={n: e for n, e in BEFORE.environments.items() if n in names},
        )
        versions = install(versions, table, now)
        now += timedelta(days=draw(st.integers(0, 50)))
    return versions, table, now


starts = st.lists(
    st.builds(
        Start,
        st.sampled_from(["kim", "lee", "park"]),
        st.sampled_from(["lab", "deep", "gone"]),
        releases,
        st.just(T0),
    ),
    unique_by=lambda s: (s.person, s.environment),
)


@given(histories())
def test_installing_twice_changes_nothing(history: tuple[list[Version], Catalog, datetime]) -> None:
    versions, table, now = history
    assert install(versions, table, now + timedelta(days=1)) == versions
    assert len({v.name for v in versions}) == len(versions)


@given(histories())
def test_present_is_exactly_what_the_table_offers(
    history: tuple[list[Version], Catalog, datetime],
) -> None:
    versions, table, _ = history
    present = {(v.environment, v.release) for v in versions if v.superseded is None}
    assert present == {(name, table.release) for name in table.environments}


# ---- who may start what ---------------------------------------------------------------------


@given(histories(), starts)
def test_an_earlier_version_is_open_only_to_whom_it_was_the_last_and_in_time(
    history: tuple[list[Version], Catalog, datetime], known: list[Start]
) -> None:
    versions, _, now = history
    for person in ("kim", "lee", "park"):
        mine = {s.environment: s for s in known if s.person == person}
        for version in open_earlier(versions, mine, now, DAYS):
            assert version.superseded is not None
            assert now - version.superseded < timedelta(days=DAYS)
            assert mine[version.environment].release == version.release


@given(histories(), starts, st.sets(st.sampled_from(["kim", "lee", "park"])))
def test_what_can_go_is_open_to_nobody_and_not_present(
    history: tuple[list[Version], Catalog, datetime], known: list[Start], people: set[str]
) -> None:
    versions, table, now = history
    gone = {v.name for v in removable(versions, known, people, now, DAYS)}
    for name in table.environments:
        assert f"{name}@{table.release}" not in gone
    for person in people:
        mine = {s.environment: s for s in known if s.person == person}
        assert not gone & {v.name for v in open_earlier(versions, mine, now, DAYS)}


def test_everything_superseded_that_nobody_used_can_go() -> None:
    found = removable(upgraded(), used("lab", "1").values(), {"kim"}, SWITCH, DAYS)
    assert [v.name for v in found] == ["deep@1"]
    without_people = removable(upgraded(), used("lab", "1").values(), set(), SWITCH, DAYS)
    assert [v.name for v in without_people] == ["lab@1", "deep@1"]


def shelf(known: dict[str, Start], now: datetime = SWITCH, days: int = DAYS) -> Shelf:
    return Shelf(
        NOW_IN_TABLE, upgraded, lambda person: known if person == "kim" else {}, days=days,
        now=lambda: now,
    )  # fmt: skip


def names(found: Shelf, person: Person) -> list[str]:
    return [o.environment.name for o in found.open_to(person).offers(person)]


def test_it_stands_after_the_present_one_until_the_person_moved() -> None:
    assert names(shelf(used("lab", "1")), AI) == ["lab", "lab@1", "deep"]
    assert names(shelf(used("lab", "2")), AI) == ["lab", "deep"]
    assert names(shelf(used("lab", "1")), Person("lee", AI.groups)) == ["lab", "deep"]


@pytest.mark.parametrize(("days", "open_still"), [(59, True), (60, False)])
def test_it_goes_after_the_days_of_the_setting(days: int, open_still: bool) -> None:
    later = shelf(used("lab", "1"), SWITCH + timedelta(days=days))
    assert ("lab@1" in names(later, AI)) == open_still
    assert names(shelf(used("lab", "1"), days=0), AI) == ["lab", "deep"]


def test_who_lost_the_environment_does_not_get_it_by_an_earlier_version() -> None:
    assert names(shelf(used("deep", "1")), AI) == ["lab", "deep", "deep@1"]
    assert names(shelf(used("deep", "1")), Person("kim")) == ["lab"]


def test_a_request_made_by_hand_is_checked_as_well() -> None:
    found = shelf(used("lab", "1"))
    choice = found.open_to(AI).choose({"environment": "lab@1"}, AI)
    assert found.table.reference_of(choice.environment) == "madang/lab:1"
    lee = Person("lee")
    for wish in ("lab@1", "lab@2", "deep@1", "lab@", "hub@1", "lab@0"):
        with pytest.raises(OptionError, match=r"earlier version .* Choose one of: Data science\."):
            found.open_to(lee).choose({"environment": wish}, lee)


def test_the_refusal_is_a_start_exception_in_the_persons_language() -> None:
    user = SimpleNamespace(name="lee", groups=[], admin=False)
    with pytest.raises(StartRefused, match="version") as refused:
        chosen_of(shelf(used("lab", "1")), user, {"environment": "lab@1"}, "ko")
    assert refused.value.jupyterhub_message.startswith(
        "이전 버전 lab@1은(는) 더 이상 쓸 수 없습니다."
    )
    assert (refused.value.status_code, refused.value.reason) == (403, "version")


def test_the_picker_says_what_it_is_and_marks_what_was_used_last() -> None:
    user = SimpleNamespace(name="kim", groups=[], admin=False)
    last = {"environment": "lab@1", "size": "small"}
    found = picker(shelf(used("lab", "1")), SimpleNamespace(user=user, user_options=last))
    earlier = found.offers[1].environment
    assert earlier.title.ko == "데이터 과학 (이전 버전 1)"
    assert "2026-05-11" in earlier.purpose.ko
    assert "2026-05-11" in earlier.purpose.en
    assert (found.environment, earlier.release) == ("lab@1", "1")


def test_a_running_earlier_version_is_named_whoever_asks() -> None:
    everything = shelf({}).everything()
    choice = chosen(everything, {"environment": "lab@1", "size": "small"})
    assert choice is not None
    assert choice.environment.title.en == "Data science (earlier version 1)"


def test_what_left_the_table_keeps_its_words() -> None:
    without = dataclasses.replace(
        NOW_IN_TABLE, environments={"lab": NOW_IN_TABLE.environments["lab"]}
    )
    old = [v for v in install(upgraded(), without, SWITCH) if v.name == "deep@2"]
    found = with_earlier(without, old, DAYS, UTC)
    assert [o.environment.title.en for o in found.offers(AI)] == [
        "Data science",
        "Deep learning (earlier version 2)",
    ]
    assert not [o for o in found.offers(Person("x")) if o.environment.name != "lab"]


def test_without_an_answer_of_the_database_there_is_the_table() -> None:
    def away(person: str) -> Any:
        raise OperationalError("select", {}, Exception("away"))

    found = Shelf(NOW_IN_TABLE, upgraded, away, now=lambda: SWITCH)
    assert found.open_to(AI) is NOW_IN_TABLE


# ---- the file -------------------------------------------------------------------------------


def test_the_file_is_read_again_when_it_changed(tmp_path: Path) -> None:
    writer, reader = Installed(tmp_path), Installed(tmp_path)
    assert list(reader.versions()) == []
    writer.save(install([], BEFORE, T0))
    assert [v.name for v in reader.versions()] == ["lab@1", "deep@1"]
    writer.save(upgraded())
    assert list(reader.versions()) == upgraded()
    assert [p.name for p in tmp_path.iterdir()] == ["versions.json"]
    assert writer.path.stat().st_mode & 0o777 == 0o644


def test_a_broken_file_takes_nothing_away_and_is_not_written_over(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.save(upgraded())
    assert installed.versions()
    installed.path.write_text("[{")
    assert list(installed.versions()) == upgraded()
    with pytest.raises(ShelfError, match=r"versions\.json cannot be read"):
        installed.load()


def test_the_gateway_never_lets_an_image_of_the_stack_be_started(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    sly = upgraded()[0].model_copy(update={"environment": "x", "image": "hub"})
    installed.save([*upgraded(), sly])
    assert installed_images([installed], NOW_IN_TABLE)() == {
        "madang/lab:1", "madang/deep:1", "madang/lab:2", "madang/deep:2",
    }  # fmt: skip


# ---- last starts, and removing --------------------------------------------------------------


def test_the_last_start_of_each_environment_counts(database: Database) -> None:
    notes = Starts(database)
    notes.note(Start("kim", "lab", "1", T0))
    notes.note(Start("kim", "deep", "1", T0))
    notes.note(Start("kim", "lab", "2", SWITCH))
    assert {e: s.release for e, s in notes.of("kim").items()} == {"lab": "2", "deep": "1"}
    assert len(notes.all()) == 2


def test_who_has_left_keeps_no_version(database: Database) -> None:
    Starts(database).note(Start("kim", "lab", "1", T0))
    Starts(database).note(Start("lee", "deep", "1", T0))
    Directory(database).save_people([Record("lee", expires=date(2026, 1, 1)), Record("kim")])
    rows = standings(upgraded(), database, SWITCH, SWITCH.date(), DAYS)
    assert {r["name"]: (r["people"], r["removable"]) for r in rows} == {
        "lab@1": (1, False),
        "deep@1": (0, True),
        "lab@2": (0, False),
        "deep@2": (0, False),
    }
    assert "open to 1 who used it until 2026-05-11" in in_words(rows[0])


class Stack:
    """An engine with containers of some images, and the commands that it was given."""

    def __init__(
        self, rows: list[dict[str, Any]], containers: set[str], images: Sequence[str] = ()
    ) -> None:
        self.rows, self.containers, self.images = rows, containers, images
        self.done: list[str] = []

    def compose(self, *words: str) -> str:
        if "list" in words:
            return json.dumps(self.rows)
        raise AssertionError(words)

    def prepare(self, words: Sequence[str], stdin: bytes = b"") -> None:
        self.done.append(" ".join(words[-2:]))

    def docker(self, *words: str) -> str:
        if words[0] == "ps":
            return "c1\n" if words[-1].removeprefix("ancestor=") in self.containers else ""
        if words[0] == "images":
            return "\n".join(self.images) if "--format" in words else "sha256:1\n"
        if words[:2] == ("image", "prune"):
            assert words[-1] == "label=madang.inputs", "no other program's images"
            return "Deleted Images:\ndeleted: sha256:2\n\nTotal reclaimed space: 1.5GB\n"
        self.done.append(" ".join(words))
        return ""


@pytest.mark.parametrize("container", ["", "madang/deep:1", "madang/hub:1"])
def test_pruning_takes_it_off_the_list_first_and_spares_what_runs(
    database: Database, container: str
) -> None:
    Starts(database).note(Start("kim", "lab", "1", T0))
    stack = Stack(standings(upgraded(), database, SWITCH, SWITCH.date(), DAYS), {container})
    lines = list(prune(stack))
    assert lines[0] == "madang/lab:1: kept, 1 may start it until 2026-05-11"
    if container:
        assert "kept, 1 container(s)" in lines[1]
        assert stack.done == []
    else:
        assert lines[1] == "madang/deep:1: removed"
        assert stack.done == ["forget deep@1", "rmi madang/deep:1"]


def test_images_of_the_stack_are_past_when_their_release_is_not_the_tables() -> None:
    references = [
        "madang/hub:2",
        "madang/hub:1",
        "madang/hub:<none>",
        "madang/lab:1",
        "madang/proposed-1:1",
        "somebody/hub:1",
        "mirror.example:5000/madang/hub:1",
    ]
    assert past(references, NOW_IN_TABLE) == [("madang/hub:1", "1")]


@pytest.mark.parametrize("container", ["", "madang/guard:0", "madang/hub:0"])
def test_past_images_of_the_stack_go_unless_something_is_made_from_them(container: str) -> None:
    catalog = Catalog.parse(TABLE + image("guard"))
    stack = Stack([], {container}, ["madang/guard:2", "madang/guard:0", "madang/lab:0"])
    lines = list(prune_past(stack, catalog))
    if container:
        assert lines[0] == f"madang/guard:0: kept, 1 container(s) of {container} are there"
        assert stack.done == []
    else:
        assert lines[0] == "madang/guard:0: removed"
        assert stack.done == ["rmi madang/guard:0"]
    assert lines[1:] == ["images that a newer build took the name of: removed, 1.5GB freed"]
