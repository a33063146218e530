"""The merge of a newer lesson into a learner's copy: cases by hand, and thousands of random histories."""

from __future__ import annotations

import copy
import json
from collections import Counter
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lesson_shelf import Notebook, book, cell

from madang_lab.learn.cells import by_id, identified, said, same
from madang_lab.learn.merge import Change, Choice, decide, merge, standing

BASE = book(
    cell("t", "# title", "markdown"), cell("a", "x = 1"), cell("b", "y = 2"), cell("c", "z = 3")
)


def changed(notebook: Notebook, **texts: str) -> Notebook:
    made = copy.deepcopy(notebook)
    for one in made["cells"]:
        one["source"] = texts.get(one["id"], one["source"])
    return made


def without(notebook: Notebook, *ids: str) -> Notebook:
    return {**notebook, "cells": [one for one in notebook["cells"] if one["id"] not in ids]}


def behind(notebook: Notebook, identity: str, *more: dict[str, Any]) -> Notebook:
    made = copy.deepcopy(notebook)
    place = [one["id"] for one in made["cells"]].index(identity) + 1
    made["cells"][place:place] = more
    return made


def ran(notebook: Notebook) -> Notebook:
    made = copy.deepcopy(notebook)
    for count, one in enumerate(made["cells"], 1):
        if one["cell_type"] == "code":
            one["execution_count"] = count
            one["outputs"] = [{"output_type": "stream", "name": "stdout", "text": one["source"]}]
    return made


def texts(notebook: Notebook) -> list[str]:
    return [one["source"] for one in notebook["cells"]]


def ids(notebook: Notebook) -> list[str]:
    return [one["id"] for one in notebook["cells"]]


def out(notebook: Notebook, identity: str) -> str:
    outputs = by_id(notebook["cells"])[identity]["outputs"]
    return "".join(one["text"] for one in outputs)


# ---- by hand ------------------------------------------------------------------------------


def test_what_one_side_changed_is_taken_from_it_and_outputs_fit() -> None:
    mine = ran(changed(BASE, a="x = 10"))
    found = merge(BASE, mine, changed(BASE, b="y = 20"))
    assert texts(found.notebook) == ["# title", "x = 10", "y = 20", "z = 3"]
    assert found.changes == (Change("changed", "b", "y = 20"),)
    assert found.choices == ()
    assert [out(found.notebook, one) for one in "abc"] == ["x = 10", "", "z = 3"]
    assert by_id(found.notebook["cells"])["b"]["execution_count"] is None


def test_what_both_changed_is_a_choice_and_stays_as_it_is() -> None:
    mine, new = ran(changed(BASE, a="x = 10")), changed(BASE, a="x = 99")
    found = merge(BASE, mine, new)
    assert texts(found.notebook) == texts(mine)
    assert out(found.notebook, "a") == "x = 10"
    [choice] = found.choices
    assert choice == Choice("changed", "a", "x = 99")
    assert decide(choice, "mine", mine, new)["cells"] == mine["cells"]
    taken = decide(choice, "new", mine, new)
    assert texts(taken) == ["# title", "x = 99", "y = 2", "z = 3"]
    assert out(taken, "a") == ""
    both = decide(choice, "both", mine, new)
    assert texts(both) == ["# title", "x = 99", "x = 10", "y = 2", "z = 3"]
    assert ids(both)[1] == "a", "what comes next from above finds its cell"
    assert decide(choice, "both", both, new) == both


def test_the_same_change_on_both_sides_is_no_news() -> None:
    mine = ran(changed(BASE, a="x = 5"))
    found = merge(BASE, mine, changed(BASE, a="x = 5\n"))
    assert (found.changes, found.choices) == ((), ())
    assert out(found.notebook, "a") == "x = 5"


def test_added_cells_of_both_sides_keep_their_places() -> None:
    own = [cell("m1", "mine 1"), cell("m2", "mine 2")]
    mine = behind(BASE, "a", *own)
    new = behind(BASE, "a", cell("n1", "new 1"), cell("n2", "new 2"))
    found = merge(BASE, mine, new)
    assert ids(found.notebook) == ["t", "a", "m1", "m2", "n1", "n2", "b", "c"]
    assert [change.kind for change in found.changes] == ["added", "added"]


def test_removed_cells() -> None:
    new = without(BASE, "a", "b")
    found = merge(BASE, ran(changed(BASE, b="y = my own")), new)
    assert ids(found.notebook) == ["t", "b", "c"]
    assert found.changes == (Change("removed", "a", "x = 1"),)
    assert found.choices == (Choice("removed", "b", "y = my own"),)
    gone = decide(found.choices[0], "new", found.notebook, new)
    assert ids(gone) == ["t", "c"]
    assert decide(found.choices[0], "mine", found.notebook, new)["cells"] == found.notebook["cells"]
    with pytest.raises(ValueError, match="both"):
        decide(found.choices[0], "both", found.notebook, new)


def test_a_cell_that_the_learner_removed_stays_removed_but_news_of_it_is_told() -> None:
    mine = without(BASE, "b", "c")
    found = merge(BASE, mine, changed(BASE, b="y = 3"))
    assert ids(found.notebook) == ["t", "a"]
    assert found.changes == ()
    assert found.choices == (Choice("deleted", "b", "y = 3"),)
    back = decide(found.choices[0], "new", found.notebook, changed(BASE, b="y = 3"))
    assert texts(back) == ["# title", "x = 1", "y = 3"]


def test_a_new_order_is_taken_unless_the_learner_has_one() -> None:
    turned = {**BASE, "cells": [BASE["cells"][place] for place in (0, 3, 2, 1)]}
    mine = behind(BASE, "a", cell("m", "mine"))
    found = merge(BASE, mine, turned)
    assert ids(found.notebook) == ["t", "c", "b", "a", "m"]
    assert found.changes == (Change("order"),)
    own = {**BASE, "cells": [BASE["cells"][place] for place in (1, 0, 2, 3)]}
    found = merge(BASE, own, turned)
    assert ids(found.notebook) == ["a", "t", "b", "c"]
    assert found.changes == (Change("order-kept"),)


def test_metadata_of_both_sides_is_kept() -> None:
    base, mine, new = (copy.deepcopy(BASE) for _ in range(3))
    base["metadata"] = {"madang": {"version": "1"}, "title": "t"}
    mine["metadata"] = {"madang": {"version": "1"}, "title": "mine", "language_info": {"v": 1}}
    new["metadata"] = {"madang": {"version": "2"}, "title": "t", "language_info": {"v": 2}}
    mine["cells"][1]["metadata"] = {"scrolled": True, "tags": ["mine"]}
    new["cells"][1]["metadata"] = {"tags": ["new"], "editable": False}
    found = merge(base, mine, new)
    assert found.notebook["metadata"] == {
        "madang": {"version": "2"},
        "title": "mine",
        "language_info": {"v": 1},
    }
    assert found.notebook["cells"][1]["metadata"] == {
        "scrolled": True,
        "tags": ["mine"],
        "editable": False,
    }
    assert found.changes == (Change("settings-kept", "a", "x = 1"),)


def test_without_a_known_base_nothing_is_taken_over_the_learners_text() -> None:
    mine, new = ran(changed(BASE, a="x = 10")), changed(without(BASE, "c"), b="y = 20")
    found = merge(book(), mine, new)
    assert texts(found.notebook) == texts(mine)
    assert {choice.cell for choice in found.choices} == {"a", "b"}


def nameless(notebook: Notebook) -> Notebook:
    made = copy.deepcopy(notebook)
    made["nbformat_minor"] = 4
    for one in made["cells"]:
        one.pop("id", None)
    return made


def test_cells_without_ids_are_recognised_by_what_they_say() -> None:
    long = "for step in range(100):\n    model.fit(data, step)\n    print(step)"
    base = behind(BASE, "a", cell("long", long))
    mine = nameless(ran(changed(base, long=long + "\n    print('mine')")))
    mine["cells"].insert(2, cell("", "my own"))
    found = merge(base, mine, changed(base, b="y = 20", c="z = 30"))
    assert ids(found.notebook)[:2] == ["t", "a"]
    assert ids(found.notebook)[3:] == ["long", "b", "c"]
    assert texts(found.notebook)[2:] == ["my own", mine["cells"][3]["source"], "y = 20", "z = 30"]
    assert found.choices == ()
    nbformat.validate(found.notebook)


def test_of_two_cells_with_one_id_the_unchanged_one_is_the_lessons() -> None:
    mine = behind(BASE, "t", cell("a", "x = 'copied and changed'"))
    found = merge(BASE, mine, changed(BASE, a="x = 2"))
    assert texts(found.notebook) == [
        "# title",
        "x = 'copied and changed'",
        "x = 2",
        "y = 2",
        "z = 3",
    ]
    assert found.changes == (Change("changed", "a", "x = 2"),)
    nbformat.validate(found.notebook)


def test_decided_choices_stand_no_longer() -> None:
    mine, new = changed(without(BASE, "c"), a="mine"), changed(BASE, a="new", c="new")
    found = merge(BASE, mine, new)
    assert standing(found.choices, found.notebook, new) == list(found.choices)
    for how in ("new", "both"):
        done = decide(found.choices[0], how, found.notebook, new)
        left = standing(found.choices, done, new)
        assert [choice.cell for choice in left] == [found.choices[1].cell]
    assert standing(found.choices, new, new) == []


# ---- random histories ---------------------------------------------------------------------

TEXTS = st.sampled_from(
    ["", "x", "x\n", "x = 1", "print(x)", "# 제목", "a\nb\nc", "a\nb", "y\r\nz"]
)
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["edit", "edit", "add", "remove", "move", "kind", "tag"]),
        st.integers(0, 9),
        st.integers(0, 9),
        TEXTS,
    ),
    max_size=5,
)
STARTS = st.lists(st.tuples(st.sampled_from(["code", "markdown"]), TEXTS), max_size=6)
OLD = st.sampled_from(["", "", "", "nameless", "doubled", "odd"])


def edited(
    notebook: Notebook, edits: list[tuple[str, int, int, str]], who: str, run: bool
) -> Notebook:
    """The notebook after somebody worked on it."""
    made = copy.deepcopy(notebook)
    cells = made["cells"]
    for number, (what, at, to, text) in enumerate(edits):
        if what == "add" or not cells:
            kind = "code" if to % 2 else "markdown"
            cells.insert(at % (len(cells) + 1), cell(f"{who}{number}", f"{who} {text}", kind))
            continue
        place = at % len(cells)
        if what == "edit":
            cells[place]["source"] = f"{text} {who}{number if to < 5 else ''}"
        elif what == "remove":
            del cells[place]
        elif what == "move":
            cells.insert(to % len(cells), cells.pop(place))
        elif what == "kind":
            old = cells[place]
            kind = "markdown" if old["cell_type"] == "code" else "code"
            cells[place] = cell(old["id"], old["source"], kind)
        else:
            cells[place]["metadata"] = {**cells[place]["metadata"], f"k{to % 3}": who}
    return ran(made) if run else made


def as_old_editors_write(notebook: Notebook, how: str) -> Notebook:
    made = nameless(notebook) if how == "nameless" else copy.deepcopy(notebook)
    if how == "doubled" and made["cells"]:
        made["cells"].insert(len(made["cells"]) // 2, copy.deepcopy(made["cells"][-1]))
        made["cells"][0]["id"] = made["cells"][-1]["id"]
    if how == "odd" and made["cells"]:
        made["cells"][0]["id"] = "not an id!"
    return made


def lines(notebook: Notebook) -> list[str]:
    return [line for one in notebook["cells"] for line in said(one)[1].splitlines()]


def check(base: Notebook, mine: Notebook, new: Notebook) -> Notebook:
    """One merge, and everything that must be true of it."""
    before = copy.deepcopy((base, mine, new))
    found = merge(base, mine, new)
    assert (base, mine, new) == before, "the three stay as they are"
    merged = found.notebook
    nbformat.validate(merged)
    assert len(set(ids(merged))) == len(ids(merged))
    was, now, after = (by_id(one["cells"]) for one in (base, new, merged))
    own = identified(mine["cells"], base["cells"] or new["cells"], now)
    have = by_id(own)
    chosen = {one.cell for one in found.choices}
    told = chosen | {one.cell for one in found.changes}

    # no line of the learner's is lost: what is not there any more was the lesson's own text
    for identity, one in have.items():
        if same(one, was.get(identity)):
            continue
        assert same(one, after.get(identity)), "a cell of the learner's"
        if one["cell_type"] == "code":
            assert after[identity]["outputs"] == one["outputs"]
    # the same by the texts alone, whatever was taken for which cell
    assert set(lines(mine)) - set(lines(base)) <= set(lines(merged))
    # also what is said twice: as often as before
    known = {*map(said, base["cells"]), *map(said, new["cells"])}
    counted = Counter(map(said, merged["cells"]))
    for text, times in Counter(map(said, mine["cells"])).items():
        assert text in known or counted[text] == times
    # every cell of the learner's file is one of those, text by text
    assert sorted(map(said, mine["cells"])) == sorted(map(said, own))

    # no change of the new version is dropped in silence
    for identity in {**was, **now}:
        b, n = was.get(identity), now.get(identity)
        if same(b, n) or (b is None and n is None):
            continue
        there = same(after.get(identity), n) if n is not None else identity not in after
        assert there or identity in chosen, "a change from above"
        if not there:
            continue
        news = not same(have.get(identity), n) if n is not None else identity in have
        assert not news or identity in told, "taken, but not told"

    # untouched cells keep their outputs, replaced ones lose them
    for identity, one in after.items():
        if one["cell_type"] != "code":
            continue
        kept = have.get(identity)
        expected = kept["outputs"] if kept is not None and same(kept, one) else []
        assert one["outputs"] == expected

    # the learner's own cells stand behind the same cell as before
    order, places = ids(merged), list(have)
    for place, identity in enumerate(places):
        if identity in was or identity in now:
            continue
        above = [one for one in places[:place] if one in after]
        assert order.index(identity) == (order.index(above[-1]) + 1 if above else 0)

    # settings that one side alone changed are there
    for identity, one in after.items():
        three = [
            side[identity]["metadata"] if identity in side else None for side in (was, have, now)
        ]
        if None in three:
            continue
        b_meta, m_meta, n_meta = (part or {} for part in three)
        for key in {**b_meta, **m_meta, **n_meta}:
            b, m, n = (part.get(key) for part in (b_meta, m_meta, n_meta))
            want = m if n in (b, m) or m != b else n
            assert one["metadata"].get(key) == want
            if m != b and n not in (b, m):
                assert Change("settings-kept", identity, "") in [
                    Change(c.kind, c.cell) for c in found.changes
                ]

    # once more brings nothing, from either base: a crash in between does no harm
    again = merge(new, merged, new)
    assert (again.notebook["cells"], again.changes) == (merged["cells"], ())
    assert again.choices == ()
    half = merge(base, merged, new)
    assert half.notebook["cells"] == merged["cells"]
    assert {(one.kind, one.cell) for one in half.choices} == {
        (one.kind, one.cell) for one in found.choices
    }
    assert {change.kind for change in half.changes} <= {"order-kept", "settings-kept"}

    # every decision is possible, at any time, and both keeps both
    for choice in found.choices:
        for how in choice.ways:
            done = decide(choice, how, merged, new)
            nbformat.validate(done)
            assert decide(choice, how, done, new) == done
            if how == "both":
                assert set(lines(done)) >= set(lines(merged)) | set(
                    said(now[choice.cell])[1].splitlines()
                )
            elif how == "new":
                assert same(by_id(done["cells"]).get(choice.cell), now.get(choice.cell)) or (
                    choice.cell not in now and choice.cell not in by_id(done["cells"])
                )
            else:
                assert done["cells"] == merged["cells"]
    return merged


def started(start: list[tuple[str, str]]) -> Notebook:
    return book(*(cell(f"c{n}", text, kind) for n, (kind, text) in enumerate(start)))


ROUNDS = st.lists(st.tuples(EDITS, EDITS, st.booleans(), OLD), min_size=1, max_size=3)
Rounds = list[tuple[list[Any], list[Any], bool, str]]


def live(start: list[tuple[str, str]], rounds: Rounds) -> None:
    """A lesson goes on being changed while somebody works on it, with old editors and new ones."""
    base = started(start)
    mine = copy.deepcopy(base)
    for number, (above, below, run, old) in enumerate(rounds):
        new = edited(base, above, f"n{number}-", run=False)
        worked = edited(mine, below, f"m{number}-", run)
        mine = check(base, as_old_editors_write(worked, old), new)
        base = new


@settings(max_examples=300, deadline=None)
@given(STARTS, ROUNDS)
def test_random_histories(start: list[tuple[str, str]], rounds: Rounds) -> None:
    live(start, rounds)


@pytest.mark.long
@settings(max_examples=5000, deadline=None)
@given(STARTS, ROUNDS)
def test_many_random_histories(start: list[tuple[str, str]], rounds: Rounds) -> None:
    live(start, rounds)


@settings(max_examples=100, deadline=None)
@given(STARTS, EDITS, EDITS)
def test_random_pairs_without_a_base(
    start: list[tuple[str, str]], above: list[Any], below: list[Any]
) -> None:
    lesson = started(start)
    check(book(), edited(lesson, below, "m", run=True), edited(lesson, above, "n", run=False))


def test_lists_of_lines_are_text_as_well() -> None:
    mine = json.loads(json.dumps(changed(BASE, a="x = 1\nx")))
    mine["cells"][1]["source"] = ["x = 1\n", "x"]
    found = merge(BASE, mine, changed(BASE, b="y = 3"))
    assert found.notebook["cells"][1]["source"] == ["x = 1\n", "x"]
    assert found.choices == ()


def test_the_same_text_twice_and_no_ids() -> None:
    mine = nameless(behind(BASE, "c", cell("", "again"), cell("", "again"), cell("", "import os")))
    found = merge(BASE, mine, changed(BASE, c="z = 3  # a quite different end"))
    assert texts(found.notebook)[4:] == ["again", "again", "import os"]
    assert found.notebook["nbformat_minor"] == 5
    nbformat.validate(found.notebook)


def test_what_is_not_alike_is_not_taken_for_the_lessons() -> None:
    mine = nameless(BASE)
    mine["cells"][2]["source"] = "import numpy as np"
    found = merge(BASE, mine, changed(BASE, b="y = 20"))
    assert "import numpy as np" in texts(found.notebook)
    assert found.choices == (Choice("deleted", "b", "y = 20"),)
