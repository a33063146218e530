"""A learner's copies of lessons: opened, updated, reset, chosen, restored; and what gets in the way."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import missing
from support.killed import LATER, act, no_wait, shelf_of
from support.lesson_shelf import cell, lesson_book, shelf

from madang_lab.learn import inside
from madang_lab.learn.manifest import Lesson, Manifest, ManifestError, Reader, parse
from madang_lab.learn.overview import overview
from madang_lab.learn.progress import passed
from madang_lab.learn.records import base_of, notebook, written
from madang_lab.learn.shelf import Done, Shelf, ShelfError

COPY = "배움/F0 셀과 커널.ipynb"
RECORDS = ".madang/lessons/f0.ko"


class Place:
    """A home and a shelf of lessons; the clock stands where nothing was changed just now."""

    def __init__(self, folder: Path) -> None:
        self.home, self.lessons = folder / "home", folder / "lessons"
        self.home.mkdir()
        shelf(self.lessons)
        self.now = LATER
        self.shelf = self.anew()

    def anew(self) -> Shelf:
        """The shelf as another server sees it."""
        reader = Reader(self.lessons, logging.getLogger("test"))
        return Shelf(reader, self.home, clock=lambda: self.now)

    @property
    def lesson(self) -> Lesson:
        return self.shelf.lesson("f0")

    @property
    def copy(self) -> Path:
        return self.home / COPY

    def do(self, what: str, *words: Any) -> Done:
        done: Done = getattr(self.shelf, what)(self.lesson, "ko", *words)
        return done

    def refused(self, what: str, *words: Any) -> str:
        """Why it was not done; the copy and the rest of the home are as they were."""
        before = files(self.home)
        with pytest.raises(ShelfError) as caught:
            self.do(what, *words)
        assert files(self.home) == before
        return caught.value.reason

    def texts(self) -> dict[str, str]:
        found = notebook(self.copy.read_bytes())
        nbformat.validate(found)
        return {one["id"]: one["source"] for one in found["cells"]}

    def edit(self, **texts: str) -> None:
        """As JupyterLab saves: in place, with the copy's metadata."""
        found = notebook(self.copy.read_bytes())
        for one in found["cells"]:
            one["source"] = texts.pop(one["id"], one["source"])
        found["cells"] += [cell(identity, text) for identity, text in texts.items()]
        self.copy.write_bytes(written(found))

    def seen(self) -> dict[str, Any]:
        """What the page shows of the copy."""
        row: dict[str, Any] = overview(self.shelf)["lessons"][0]["copies"]["ko"]
        return row

    def publish(self, version: int, **texts: str) -> None:
        """A newer version on the shelf."""
        shelf(self.lessons, version)
        path = self.lessons / "ko" / "F0 셀과 커널.ipynb"
        found = notebook(path.read_bytes())
        for one in found["cells"]:
            one["source"] = texts.get(one["id"], one["source"])
        path.write_bytes(written(found))

    def backups(self) -> list[bytes]:
        found = sorted((self.home / RECORDS).glob("*Z-*.ipynb"), reverse=True)
        return [path.read_bytes() for path in found]


def files(folder: Path) -> dict[str, bytes | str]:
    """Everything that is in a folder, but what is only for order; nothing follows links."""
    found: dict[str, bytes | str] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file() and path.name != ".lock":
            found[name] = path.read_bytes()
    return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def opened(place: Place) -> Place:
    place.do("open")
    return place


# ---- what lessons there are ---------------------------------------------------------------


def test_a_manifest_is_read_and_read_again_when_it_was_replaced(place: Place) -> None:
    reader = Reader(place.lessons, logging.getLogger("test"))
    assert [one.id for one in reader.manifest().lessons] == ["f0", "f1", "e3"]
    assert reader.manifest().version == "2026.11.1"
    shelf(place.lessons, 2)
    assert reader.manifest().version == "2026.11.2"


def test_without_a_folder_there_are_no_lessons_and_no_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert Reader(None, logging.getLogger("test")).manifest() == Manifest()
    assert caplog.text == ""


@pytest.mark.parametrize("raw", [None, "", "{", "[]", '{"format": 2, "lessons": []}'])
def test_a_manifest_that_cannot_be_used_is_one_sentence(
    place: Place, caplog: pytest.LogCaptureFixture, raw: str | None
) -> None:
    path = place.lessons / "manifest.json"
    path.unlink()
    if raw is not None:
        path.write_text(raw)
    for _ in range(3):
        assert overview(place.shelf) == {"version": "", "paths": [], "lessons": []}
    [record] = caplog.records
    assert "There are no lessons" in record.getMessage()
    shelf(place.lessons)
    assert len(overview(place.shelf)["lessons"]) == 3, "mended while the server runs"


BAD: list[dict[str, Any]] = [
    {"id": "../f0"},
    {"id": "F0"},
    {"id": 3},
    {"minutes": "soon"},
    {"title": {"ko": "x"}},
    {"file": {"ko": "../x.ipynb", "en": "y.ipynb"}},
    {"file": {"ko": ".x.ipynb", "en": "y.ipynb"}},
    {"file": {"ko": "x.py", "en": "y.ipynb"}},
    {"needs": "a lot"},
    {"path": ""},
    {"file": {"ko": "F1 데이터 읽기.ipynb", "en": "y.ipynb"}},
]


@pytest.mark.parametrize("wrong", BAD)
def test_a_lesson_that_is_not_whole_makes_the_manifest_unusable(
    place: Place, wrong: dict[str, Any]
) -> None:
    raw = json.loads((place.lessons / "manifest.json").read_text("utf-8"))
    raw["lessons"][0].update(wrong)
    with pytest.raises(ManifestError):
        parse(raw)


def test_progress_is_counted_by_check() -> None:
    raw = {"format": 1, "passed": {"f0.1": {"at": "2026-11-28T10:00:00Z"}, "f9.9": {}}}
    assert passed(raw, ["f0.1", "f0.2"]) == ("f0.1",)


@pytest.mark.parametrize("raw", [None, 3, [], {}, {"passed": 3}, {"passed": ["f0.1"]}])
def test_progress_that_nobody_wrote_like_this(raw: object) -> None:
    assert passed(raw, ["f0.1"]) == ()


def test_a_new_name_of_the_set_alone_is_no_update(opened: Place) -> None:
    path = opened.lessons / "ko" / "F0 셀과 커널.ipynb"
    found = notebook(path.read_bytes())
    found["metadata"]["madang"] = {"lesson": "f0", "version": "2026.12.1", "lang": "ko"}
    path.write_bytes(written(found))
    assert opened.seen()["update"] is False


# ---- open, update, reset ------------------------------------------------------------------


def test_open_copies_once_and_keeps_the_pristine_version(place: Place) -> None:
    assert overview(place.shelf)["lessons"][0]["copies"] == {}
    assert files(place.home) == {}, "looking writes nothing"
    done = place.do("open")
    assert done.path == COPY
    made = notebook(place.copy.read_bytes())
    assert made["cells"] == lesson_book("f0", "ko")["cells"]
    base = base_of(made)
    pristine = (place.home / RECORDS / f"{base}.base.ipynb").read_bytes()
    assert notebook(pristine) == lesson_book("f0", "ko")
    assert made["metadata"]["madang"]["lesson"] == "f0"
    before = files(place.home)
    assert place.do("open") == Done(COPY)
    assert files(place.home) == before
    english = place.shelf.open(place.lesson, "en")
    assert english.path == "lessons/F0 Cells and kernels.ipynb"
    assert set(overview(place.shelf)["lessons"][0]["copies"]) == {"ko", "en"}


def test_an_update_brings_what_is_new_and_keeps_a_backup(opened: Place) -> None:
    opened.edit(answer="value = 2", own="my_own = 1")
    before = opened.copy.read_bytes()
    assert opened.seen()["update"] is False
    assert opened.do("update").after is None
    opened.publish(2)
    assert opened.seen()["update"] is True
    done = opened.do("update", opened.seen()["etag"])
    assert opened.texts() == {
        "title": "# 셀과 커널",
        "ask": "값을 바꿔 보세요.",
        "answer": "value = 2",
        "fix": "print('version', 2)",
        "more-2": "print(2)",
        "end": "마무리: f0",
        "own": "my_own = 1",
    }
    assert [(one.kind, one.cell) for one in done.changes] == [
        ("changed", "fix"),
        ("added", "more-2"),
    ]
    assert done.choices == ()
    assert opened.backups() == [before]
    row = opened.seen()
    assert (row["update"], row["choices"], len(row["backups"])) == (False, [], 1)
    assert opened.do("update").after is None


def test_a_choice_waits_and_each_way_is_done(opened: Place) -> None:
    opened.edit(fix="mine")
    opened.publish(2)
    done = opened.do("update")
    assert [one.cell for one in done.choices] == ["fix"]
    [choice] = opened.seen()["choices"]
    assert (choice["mine"], choice["new"]) == ("mine", "print('version', 2)")
    assert choice["ways"] == ["mine", "new", "both"]
    aside = opened.home.parent / "aside"
    shutil.copytree(opened.home, aside)
    for how, texts in {
        "mine": ["mine"],
        "new": ["print('version', 2)"],
        "both": ["print('version', 2)", "mine"],
    }.items():
        shutil.rmtree(opened.home)
        shutil.copytree(aside, opened.home)
        assert opened.do("choose", "fix", how).choices == ()
        there = list(opened.texts().values())
        assert [text for text in there if text in ("mine", "print('version', 2)")] == texts
        assert opened.seen()["choices"] == []
        assert opened.refused("choose", "fix", how) == "settled"
        # for good: what the learner does with the cell from then on is no choice again
        opened.edit(fix="my answer")
        assert opened.seen()["choices"] == []
        assert opened.refused("choose", "fix", "new") == "settled"
    assert opened.refused("choose", "answer", "new") == "settled"


def test_who_starts_over_has_nothing_to_choose_until_the_backup_is_back(opened: Place) -> None:
    opened.edit(fix="mine")
    opened.publish(2)
    opened.do("update")
    opened.do("reset")
    opened.edit(fix="my answer")
    assert opened.seen()["choices"] == []
    [undecided] = [
        name
        for name in opened.seen()["backups"]
        if b"more-2" in (opened.home / RECORDS / name).read_bytes()
    ]
    opened.do("restore", undecided)
    assert [choice["mine"] for choice in opened.seen()["choices"]] == ["mine"]
    opened.publish(3, fix="print('version', 2)")
    assert [one.cell for one in opened.do("update").choices] == ["fix"]


def test_a_choice_stays_open_over_the_next_version(opened: Place) -> None:
    opened.edit(fix="mine", ask="물음")
    opened.publish(2, ask="other")
    opened.do("update")
    opened.publish(3, ask="other", fix="print('version', 2)")
    done = opened.do("update")
    assert {one.cell for one in done.choices} == {"fix", "ask"}
    assert {one["cell"] for one in opened.seen()["choices"]} == {"fix", "ask"}


def test_reset_keeps_a_backup_that_can_be_brought_back(opened: Place) -> None:
    opened.edit(fix="mine", own="my_own = 1")
    before = opened.copy.read_bytes()
    opened.publish(2)
    opened.do("reset")
    assert opened.texts()["fix"] == "print('version', 2)"
    assert "own" not in opened.texts()
    [backup] = opened.seen()["backups"]
    opened.do("restore", backup)
    assert opened.copy.read_bytes() == before
    # it is from the first version again, and says so
    assert opened.seen()["update"] is True
    done = opened.do("update")
    assert [one.cell for one in done.choices] == ["fix"]
    assert opened.texts()["more-2"] == "print(2)"
    assert opened.refused("restore", "20200101T000000Z-000000000000.ipynb") == "no-backup"
    assert opened.refused("restore", "../../../.bashrc") == "no-backup"


def test_the_same_state_is_kept_once(opened: Place) -> None:
    opened.edit(fix="mine")
    opened.do("reset")
    [backup] = opened.seen()["backups"]
    opened.now += 60
    opened.do("restore", backup)
    opened.now += 60
    opened.do("reset")
    assert len(opened.seen()["backups"]) == 2, "the learner's and the pristine copy"
    assert b"mine" in opened.backups()[0], "what was there last is on top"


def odd(**cell: Any) -> bytes:
    """A notebook whose only cell is of the right form but for ``cell``."""
    made = {"cell_type": "code", "metadata": {}, "outputs": [], "source": "x", **cell}
    return json.dumps({"cells": [made], "metadata": {}, "nbformat": 4}).encode()


ODD = [
    b"{",
    b"\xff",
    b"[]",
    b'{"cells": [3], "nbformat": 4}',
    b'{"cells": []}',
    b'{"cells": [], "metadata": [], "nbformat": 4}',
    b'{"cells": [], "nbformat": 4, "nbformat_minor": "new"}',
    odd(source=[1]),
    odd(source=3),
    odd(metadata=["x"]),
    odd(outputs=3),
]


def test_what_cannot_be_read_is_left_alone_and_can_be_reset(opened: Place) -> None:
    for content in ODD:
        opened.copy.write_bytes(content)
        opened.publish(2)
        assert opened.seen()["trouble"] == "odd"
        assert opened.refused("update") == "odd"
        opened.do("reset")
        assert content in opened.backups()
        assert opened.texts()["fix"] == "print('version', 2)"


def test_half_a_character_is_left_alone(opened: Place) -> None:
    opened.edit(answer="half")
    opened.copy.write_bytes(opened.copy.read_bytes().replace(b'"half"', rb'"\ud83d"'))
    opened.publish(2)
    assert opened.seen()["update"] is True
    before = opened.copy.read_bytes()
    with pytest.raises(ShelfError, match="odd"):
        opened.do("update")
    assert opened.copy.read_bytes() == before


def test_a_merge_that_would_not_be_valid_is_not_written(opened: Place) -> None:
    found = notebook(opened.copy.read_bytes())
    found["cells"][0]["cell_type"] = "poem"
    opened.copy.write_bytes(written(found))
    opened.publish(2)
    before = opened.copy.read_bytes()
    with pytest.raises(ShelfError, match="odd"):
        opened.do("update")
    assert opened.copy.read_bytes() == before


def test_without_records_a_copy_is_compared_cell_by_cell(opened: Place) -> None:
    opened.edit(fix="mine")
    shutil.rmtree(opened.home / ".madang")
    assert opened.seen()["update"] is True
    opened.publish(2)
    done = opened.do("update")
    assert [one.cell for one in done.choices] == ["fix"]
    assert opened.texts()["fix"] == "mine"
    assert opened.texts()["more-2"] == "print(2)"


def test_a_copy_whose_own_version_was_lost_is_merged_from_no_other(opened: Place) -> None:
    first = base_of(notebook(opened.copy.read_bytes()))
    opened.edit(fix="mine")
    opened.publish(2)
    opened.do("update")
    [before] = opened.seen()["backups"]
    opened.do("choose", "fix", "mine")
    opened.do("restore", before)
    (opened.home / RECORDS / f"{first}.base.ipynb").unlink()
    opened.publish(3, fix="print('version', 2)")
    done = opened.do("update")
    assert [one.cell for one in done.choices] == ["fix"]
    assert opened.texts()["fix"] == "mine"


def test_a_copy_whose_metadata_were_lost_is_merged_from_what_was_remembered(opened: Place) -> None:
    found = notebook(opened.copy.read_bytes())
    found["metadata"] = {}
    opened.copy.write_bytes(written(found))
    opened.publish(2)
    done = opened.do("update")
    assert done.choices == ()
    assert opened.texts()["fix"] == "print('version', 2)"


def test_damaged_records_lose_nothing(opened: Place) -> None:
    opened.edit(answer="mine")
    for path in (opened.home / RECORDS).iterdir():
        path.write_bytes(b"\0damaged")
    opened.publish(2)
    done = opened.do("update")
    assert {one.cell for one in done.choices} == {"answer", "fix"}
    assert opened.texts()["answer"] == "mine"


# ---- what gets in the way -----------------------------------------------------------------


def test_a_notebook_that_was_changed_just_now_is_left_alone(opened: Place) -> None:
    opened.publish(2)
    opened.edit(answer="mine")
    opened.now = opened.copy.stat().st_mtime + 4.9
    for what in ("update", "reset"):
        assert opened.refused(what) == "busy"
    opened.now += 0.2
    opened.do("update")
    # what the server wrote itself is nobody at work
    opened.now = opened.copy.stat().st_mtime + 0.1
    opened.do("reset")
    opened.shelf = opened.anew()
    assert opened.refused("reset") == "busy", "another server cannot know"


def test_what_was_saved_since_the_page_looked_is_left_alone(opened: Place) -> None:
    opened.publish(2)
    etag = opened.seen()["etag"]
    opened.edit(answer="mine")
    for words in (("update", etag), ("reset", etag), ("choose", "fix", "new", etag)):
        assert opened.refused(*words) == "changed"


def test_what_is_saved_at_the_very_moment_wins(
    opened: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tabs: the other one saves after the last look, just before old and new change places."""
    opened.publish(2)
    real, edits = inside._rename2, iter(["in place", "another file"])

    def saved_first(*words: Any) -> None:
        how = next(edits, None)
        if how == "in place":
            opened.edit(answer="saved just now")
        elif how:
            found = notebook(opened.copy.read_bytes())
            for one in found["cells"]:
                one["source"] = "saved once more" if one["id"] == "answer" else one["source"]
            beside = opened.copy.with_suffix(".new")
            beside.write_bytes(written(found))
            beside.rename(opened.copy)
        real(*words)

    monkeypatch.setattr(inside, "_rename2", saved_first)
    with pytest.raises(ShelfError, match="changed"):
        opened.do("update")
    assert opened.texts()["answer"] == "saved just now"
    # the other save came while the place was given back
    assert b"saved once more" in (opened.home / RECORDS / "whole").read_bytes()
    assert opened.do("update").changes
    assert opened.texts()["fix"] == "print('version', 2)"
    assert [b"saved once more" in backup for backup in opened.backups()].count(True) == 1


def test_an_old_tab_that_overwrites_an_update_is_updated_again(opened: Place) -> None:
    opened.edit(answer="mine")
    stale = opened.copy.read_bytes()
    opened.publish(2)
    opened.do("update")
    opened.copy.write_bytes(stale)
    assert opened.seen()["update"] is True
    opened.publish(3)
    opened.do("update")
    assert opened.texts()["fix"] == "print('version', 3)"
    assert {"more-2", "more-3"} <= {*opened.texts()}
    assert opened.texts()["answer"] == "mine"


def test_many_tabs_at_once_do_it_once(place: Place) -> None:
    shelves = [place.anew() for _ in range(8)]
    failed: list[BaseException] = []

    def run(what: str, one: Shelf) -> None:
        try:
            getattr(one, what)(one.lesson("f0"), "ko")
        except BaseException as error:
            failed.append(error)

    def together(what: str) -> None:
        threads = [threading.Thread(target=run, args=(what, one)) for one in shelves]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    together("open")
    assert not failed
    assert place.texts()["fix"] == "print('version', 1)"
    place.edit(answer="mine")
    before = place.copy.read_bytes()
    place.publish(2)
    together("update")
    assert not failed
    assert place.texts()["answer"] == "mine"
    assert place.backups() == [before]


def test_a_read_only_notebook_is_left_alone(opened: Place) -> None:
    opened.publish(2)
    opened.copy.chmod(0o444)
    for what in ("update", "reset"):
        assert opened.refused(what) == "read-only"
    opened.copy.chmod(0o640)
    opened.do("update")
    assert opened.copy.stat().st_mode & 0o777 == 0o640


def test_a_folder_that_cannot_be_written(opened: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a person who is not root; a read-only file system says the same to everybody."""
    opened.publish(2)

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(inside, "_rename2", refuse)
    before = opened.copy.read_bytes()
    with pytest.raises(ShelfError, match="cannot-write"):
        opened.do("update")
    assert opened.copy.read_bytes() == before


@pytest.mark.parametrize("link", ["배움", ".madang", ".madang/lessons", RECORDS, COPY])
@pytest.mark.parametrize("what", ["open", "update", "reset"])
def test_nothing_is_written_through_a_link(place: Place, link: str, what: str) -> None:
    outside = place.home.parent / "outside"
    place.do("open")
    path = place.home / link
    path.rename(outside)
    path.symlink_to(outside)
    if what == "open":
        (outside / "F0 셀과 커널.ipynb" if link == "배움" else place.copy).unlink(missing_ok=True)
        if link == COPY:
            path.symlink_to(place.home.parent / "nothing")
    place.publish(2)
    before = files(place.home.parent)
    assert place.refused(what) == "link"
    assert files(place.home.parent) == before


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_odd_things_of_that_name_are_left_alone(place: Place, kind: str) -> None:
    place.copy.parent.mkdir()
    (Path.mkdir if kind == "folder" else os.mkfifo)(place.copy)
    assert place.do("open") == Done(COPY)
    for what in ("update", "reset"):
        with pytest.raises(ShelfError, match="link"):
            place.do(what)
        assert place.copy.is_dir() == (kind == "folder")
    assert place.seen()["trouble"] == "link"


def test_file_systems_that_cannot_change_places(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: Any) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(inside, "_rename2", cannot)
    place.do("open")
    place.edit(answer="mine")
    before = place.copy.read_bytes()
    place.publish(2)
    place.do("update")
    assert place.texts()["fix"] == "print('version', 2)"
    assert place.backups() == [before]
    assert sorted(path.name for path in place.copy.parent.iterdir()) == ["F0 셀과 커널.ipynb"]


def test_there_too_what_was_saved_in_between_wins(
    opened: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def saved_first(*_: Any) -> None:
        opened.edit(answer="saved just now")
        raise OSError(22, "Invalid argument")

    opened.publish(2)
    monkeypatch.setattr(inside, "_rename2", saved_first)
    with pytest.raises(ShelfError, match="changed"):
        opened.do("update")
    assert opened.texts()["answer"] == "saved just now"
    assert not (opened.home / RECORDS / "whole").exists()


def test_who_still_has_the_old_file_open_writes_into_the_backup(opened: Place) -> None:
    opened.publish(2)
    with opened.copy.open("ab") as file:
        opened.do("update")
        file.write(b"written late")
    [backup] = opened.backups()
    assert backup.endswith(b"written late")


def test_what_a_crash_left_beside_may_be_the_learners_and_is_kept(opened: Place) -> None:
    (opened.home / RECORDS / "whole").write_bytes(b"the only copy")
    opened.publish(2)
    opened.do("update")
    assert b"the only copy" in opened.backups()
    assert not (opened.home / RECORDS / "whole").exists()


# ---- killed half-way, full disk -----------------------------------------------------------


def ready(place: Place, action: str) -> None:
    """The home before ``action``."""
    if action == "open":
        return
    place.do("open")
    place.edit(answer="mine", fix="also mine", own="my_own = 1")
    place.publish(2)
    if action == "choose":
        place.do("update")
    if action == "restore":
        place.do("reset")


@pytest.mark.parametrize("action", ["open", "update", "reset", "choose", "restore"])
def test_killed_at_any_call_the_copy_is_the_old_or_the_new_one(
    place: Place, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", no_wait)
    ready(place, action)
    program = Path(inside.__file__).parents[2], Path(__file__).parents[1]
    work = place.home.parent / "work"
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).parents[1] / "support" / "killed.py"),
            *map(str, (place.home, place.lessons, action, work)),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, program))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    old = place.copy.read_bytes() if place.copy.exists() else None
    new = (Path(ends[-1]["home"]) / COPY).read_bytes()
    assert len(ends) > 20
    assert not ends[-1]["killed"]
    assert new != old
    kept = {text for text in (old, *place.backups()) if text is not None}
    seen = set()
    for end in ends:
        home = Path(end["home"])
        copy = home / COPY
        found = copy.read_bytes() if copy.exists() else None
        assert found in (old, new), end["call"]
        seen.add(found)
        # what the learner sees is only that file
        there = [path.name for path in copy.parent.iterdir()] if copy.parent.exists() else []
        assert there in ([], [copy.name]), end["call"]
        # done once more it comes out as if nothing had happened, and nothing is lost or left over
        again = shelf_of(home, place.lessons)
        if found == old or action == "update":
            act(again, action)
        elif action != "restore":
            # brings nothing, but puts away what was left
            again.update(again.lesson("f0"), "ko")
        assert copy.read_bytes() == new, end["call"]
        if action == "restore" and found == new:
            continue
        records = home / RECORDS
        assert not {"whole", "draft"} & {path.name for path in records.iterdir()}, end["call"]
        after = {path.read_bytes() for path in records.glob("*Z-*.ipynb")}
        assert kept <= {new, *after}, end["call"]
        row = overview(again)["lessons"][0]["copies"]["ko"]
        wanted = overview(shelf_of(Path(ends[-1]["home"]), place.lessons))["lessons"][0]
        assert row["choices"] == wanted["copies"]["ko"]["choices"], end["call"]
    assert seen == {old, new}


FULL = """
import json, logging, os, shutil, sys
from pathlib import Path
from support.killed import act, shelf_of
from madang_lab.learn.shelf import ShelfError

template, lessons, action, disk = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
found = []
for room in range(14):
    home, filler = disk / "home", disk / "filler"
    shutil.copytree(template, home)
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        os.ftruncate(file.fileno(), max(0, file.tell() - room * 4096))
    try:
        act(shelf_of(home, lessons), action)
        said = ""
    except ShelfError as error:
        said = error.reason
    copy = home / sys.argv[5]
    found.append([said, copy.read_text() if copy.exists() else None])
    assert not [*home.rglob("draft")], "takes no room"
    filler.unlink()
    act(shelf_of(home, lessons), action) if said else None
    found[-1].append(copy.read_text())
    shutil.rmtree(home)
print(json.dumps(found))
"""


@pytest.mark.parametrize("action", ["open", "update", "reset"])
def test_on_a_full_disk_the_copy_is_the_old_or_the_new_one(place: Place, action: str) -> None:
    if os.geteuid() != 0:
        missing("the right to mount (root)")
    ready(place, action)
    disk = place.home.parent / "disk"
    disk.mkdir()
    program = Path(inside.__file__).parents[2], Path(__file__).parents[1]
    mount = 'mount -t tmpfs -o size=256k madang-full "$1" && shift && exec "$@"'
    words = [sys.executable, "-c", FULL, place.home, place.lessons, action, disk, COPY]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, "sh", str(disk), *map(str, words)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, program))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    old = place.copy.read_text("utf-8") if place.copy.exists() else None
    new = ends[-1][2]
    assert (ends[0][0], ends[0][1]) == ("full", old)
    assert ends[-1][0] == ""
    for said, there, again in ends:
        assert said in ("", "full")
        assert there == (old if said else new) or (said and there == new)
        assert again == new
