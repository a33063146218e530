"""From one source to notebooks: the cut, ids, translations, the manifest; and all that of our own lessons."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub.catalog import Catalog
from madang_hub.deploy import envs, lab_extension
from madang_hub.deploy import lessons as deployed
from madang_hub.lessons import are_in, build, source, translation
from madang_hub.lessons.about import Files
from madang_hub.lessons.source import LessonError
from madang_hub.shelf import build as image_build
from madang_hub.shelf import plan

ROOT = Path(__file__).parents[2]
HANGUL = re.compile("[가-힣]")

LESSON = """\
# a comment

# %% [markdown] id="intro"
# # 제목
#
# 본문입니다.

# %% id="setup"
x = 1

# %% id="ex1" exercise=1
before = x
# stub
answer = None
# solution
answer = x + 1
# end
check(answer)
"""
EN = """\
[intro]
ko = "{hash}"
en = '''
# Title

Text.
'''
"""
ABOUT = """\
id = "f0"
path = "first"
order = 0
minutes = 5
title = { ko = "제목", en = "Title" }
summary = { ko = "요약", en = "Summary" }
file = { ko = "제목.ipynb", en = "Title.ipynb" }
needs = { accelerator = false, memory_mb = 512, tracking = false }
"""
SET = """\
version = "2026.11.1"
[[path]]
id = "first"
title = { ko = "처음", en = "First" }
"""
KOREAN = "# 제목\n\n본문입니다."


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one lesson."""
    folder = tmp_path / "tutorials" / "f0"
    folder.mkdir(parents=True)
    (folder.parent / "lessons.toml").write_text(SET, encoding="utf-8")
    (folder / "lesson.toml").write_text(ABOUT, encoding="utf-8")
    (folder / "lesson.py").write_text(LESSON, encoding="utf-8")
    (folder / "en.toml").write_text(EN.format(hash=translation.hash_of(KOREAN)), encoding="utf-8")
    return tmp_path


def change(checkout: Path, name: str, old: str, new: str) -> None:
    path = checkout / "tutorials" / "f0" / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def made(checkout: Path) -> dict[str, Any]:
    """The built JSON files by their path."""
    return {name: json.loads(content) for name, content in build.files(checkout).items()}


def code(book: dict[str, Any]) -> dict[str, str]:
    return {c["id"]: "".join(c["source"]) for c in book["cells"] if c["cell_type"] == "code"}


# ---- the cut --------------------------------------------------------------------------------


def test_a_learner_finds_the_stub_and_no_word_of_the_solution(checkout: Path) -> None:
    found = made(checkout)
    assert code(found["ko/제목.ipynb"])["ex1"] == "before = x\nanswer = None\ncheck(answer)"
    solved = code(found["solutions/ko/제목.ipynb"])["ex1"]
    assert solved == "before = x\nanswer = x + 1\ncheck(answer)"


@pytest.mark.parametrize(
    ("text", "learner", "solution"),
    [
        ("a", "a", "a"),
        ("# solution\na", "", "a"),
        ("a\n# solution\nb\n# end\nc", "a\nc", "a\nb\nc"),
        ("# stub\na\n# solution\nb\n# end\n# stub\nc\n# solution\nd", "a\nc", "b\nd"),
        (
            "def f():\n    # stub\n    return 0\n    # solution\n    return 1",
            "def f():\n    return 0",
            "def f():\n    return 1",
        ),
    ],
)
def test_marks(text: str, learner: str, solution: str) -> None:
    assert source.cut(text, "learner") == learner
    assert source.cut(text, "solution") == solution


@pytest.mark.parametrize(
    "text",
    ["# end", "# stub", "# stub\n# stub\n# solution", "# solution\n# solution", "# stub\n# end"],
)
def test_marks_out_of_order_are_refused(text: str) -> None:
    with pytest.raises(LessonError, match="# s"):
        source.cut(text, "learner")


LINES = st.lists(st.sampled_from(["a = 1", "    b = 2", "", "# c"]), max_size=4)


@given(st.lists(st.tuples(LINES, LINES, LINES), min_size=1, max_size=4))
def test_every_line_comes_into_the_edition_it_belongs_to(
    blocks: list[tuple[list[str], list[str], list[str]]],
) -> None:
    both, learner, solution = [], [], []
    for before, stub, solved in blocks:
        both += [*before, "# stub", *stub, "# solution", *solved, "# end"]
        learner += [*before, *stub]
        solution += [*before, *solved]
    text = "\n".join(both)
    assert source.cut(text, "learner") == "\n".join(learner).strip("\n")
    assert source.cut(text, "solution") == "\n".join(solution).strip("\n")


# ---- the source -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (' id="setup"', "", "f0/lesson.py:8: a cell needs an id"),
        ('id="setup"', 'id="Setup"', "a cell needs an id"),
        ('id="setup"', 'id="intro"', "two cells have the id intro"),
        ('id="setup"', 'id="setup" colour="red"', "knows no 'colour'"),
        ('id="setup"', "setup", "f0/lesson.py:8: write a cell's first line like"),
        ('id="setup"', 'id="setup" only="mentor"', "learner or solution"),
        ("x = 1\n", "", "cell setup is empty"),
        ("# 본문입니다.", "본문입니다.", "f0/lesson.py:6: every line of a text cell"),
        ("# a comment", "import os", "f0/lesson.py:1: only comments"),
        ("exercise=1", "exercise=2", "numbered 1, 2, 3"),
        (" exercise=1", "", "needs exercise="),
        ("# stub", "# end", "cell ex1: `# end` cannot stand here"),
        ("before = x\n# stub\nanswer = None\n", "", ""),
        (
            "before = x\n# stub\nanswer = None\n# solution\nanswer = x + 1\n# end\ncheck(answer)",
            "# solution\nanswer = 1",
            "nothing left for the learner",
        ),
    ],
)
def test_a_broken_lesson_says_where(checkout: Path, old: str, new: str, said: str) -> None:
    change(checkout, "lesson.py", old, new)
    if not said:
        build.files(checkout)
        return
    with pytest.raises(LessonError) as error:
        build.files(checkout)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_lesson_has_at_most_25_cells(checkout: Path) -> None:
    more = "".join(f'\n# %% id="c{n}"\nx\n' for n in range(22))
    change(checkout, "lesson.py", "check(answer)\n", f"check(answer)\n{more}")
    build.files(checkout)
    change(checkout, "lesson.py", "check(answer)\n", 'check(answer)\n\n# %% id="one-more"\nx\n')
    with pytest.raises(LessonError, match="26 cells"):
        build.files(checkout)


def test_a_cell_of_one_edition_may_stand_elsewhere_in_the_other(checkout: Path) -> None:
    only = '# %% id="m" exercise=1 only="{}"\ny = x\n\n'
    change(checkout, "lesson.py", '# %% id="setup"', only.format("learner") + '# %% id="setup"')
    change(checkout, "lesson.py", '# %% id="ex1"', only.format("solution") + '# %% id="ex1"')
    found = made(checkout)
    assert [c["id"] for c in found["ko/제목.ipynb"]["cells"]] == ["intro", "m", "setup", "ex1"]
    solved = found["solutions/ko/제목.ipynb"]["cells"]
    assert [c["id"] for c in solved] == ["intro", "setup", "m", "ex1"]
    assert [c["id"] for c in solved if c["metadata"] == {"madang": {"exercise": 1}}] == ["m", "ex1"]


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("lesson.toml", "minutes = 5", "minutes = 0", "f0/lesson.toml: minutes:"),
        ("lesson.toml", "minutes = 5", "minuets = 5", "f0/lesson.toml: minutes:"),
        ("lesson.toml", "minutes = 5", "minutes =", "f0/lesson.toml: Invalid value"),
        ("lesson.toml", 'id = "f0"', 'id = "f1"', "the id is the folder's name"),
        ("lesson.toml", 'path = "first"', 'path = "second"', "no path second; there are first"),
        ("lesson.toml", "제목.ipynb", "../제목.ipynb", "f0/lesson.toml: file.ko:"),
        ("en.toml", "[intro]", "[intro", "f0/en.toml: "),
    ],
)
def test_what_a_lesson_says_of_itself_is_checked(
    checkout: Path, name: str, old: str, new: str, said: str
) -> None:
    change(checkout, name, old, new)
    with pytest.raises(LessonError) as error:
        build.files(checkout)
    assert said in str(error.value)


def test_two_lessons_never_have_the_same_file(checkout: Path) -> None:
    shutil.copytree(checkout / "tutorials" / "f0", checkout / "tutorials" / "f1")
    about = checkout / "tutorials" / "f1" / "lesson.toml"
    about.write_text(ABOUT.replace('"f0"', '"f1"'), encoding="utf-8")
    with pytest.raises(LessonError, match="another lesson has the file"):
        build.files(checkout)


# ---- translations ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (
            "lesson.py",
            "본문입니다",
            "본문이 바뀌었습니다",
            "Korean has changed: intro.",
        ),
        ("en.toml", "# Title\n\nText.\n", "", "not translated: intro."),
        ("en.toml", "en = ", "look = true\nen = ", "Korean has changed: intro."),
        ("lesson.py", 'id="intro"', 'id="start"', "not translated: start; no such cell: intro."),
    ],
)
def test_missing_or_stale_english_fails_the_build(
    checkout: Path, name: str, old: str, new: str, said: str
) -> None:
    build.build(checkout, checkout / "built")
    before = (checkout / "built" / "manifest.json").read_bytes()
    change(checkout, name, old, new)
    with pytest.raises(LessonError) as error:
        build.build(checkout, checkout / "built")
    assert str(error.value).startswith(f"f0/en.toml: {said}")
    assert "scripts/madang lessons translate" in str(error.value)
    assert (checkout / "built" / "manifest.json").read_bytes() == before
    with pytest.raises(envs.BuildError, match="A lesson cannot be built"):
        deployed.ensure(checkout)


def test_what_is_to_be_translated_is_written_for_the_author(checkout: Path) -> None:
    path = checkout / "tutorials" / "f0" / "en.toml"
    # a changed text, a new one, and one that is gone
    change(checkout, "lesson.py", "본문입니다", "새 본문입니다")
    change(
        checkout,
        "lesson.py",
        '# %% id="setup"',
        '# %% [markdown] id="new"\n# 새 글\n\n# %% id="setup"',
    )
    path.write_text(path.read_text("utf-8") + "[gone]\nko = ''\nen = 'x'\n", encoding="utf-8")
    assert build.translate(checkout) == ["f0"]
    text = path.read_text("utf-8")
    assert "# 새 본문입니다.\nlook = true\nen = '''\n# Title\n\nText.\n'''" in text
    assert "[new]" in text
    assert "[gone]" not in text
    # the same again changes nothing
    build.translate(checkout)
    assert path.read_text("utf-8") == text
    # the author looks, and fills in
    done = text.replace("look = true\n", "").replace("# 새 글\nen = '''\n'''", "en = 'New text'")
    path.write_text(done, encoding="utf-8")
    assert build.translate(checkout) == []
    assert "# 새" not in path.read_text("utf-8")
    english = made(checkout)["en/Title.ipynb"]["cells"]
    assert "".join(english[1]["source"]) == "New text"


def test_code_is_the_same_in_both_languages(checkout: Path) -> None:
    found = made(checkout)
    assert code(found["ko/제목.ipynb"]) == code(found["en/Title.ipynb"])
    assert "".join(found["en/Title.ipynb"]["cells"][0]["source"]) == "# Title\n\nText."


# ---- the built folder -----------------------------------------------------------------------


def test_the_manifest_says_what_is_there(checkout: Path) -> None:
    found = made(checkout)
    (lesson,) = found["manifest.json"]["lessons"]
    assert found["manifest.json"]["version"] == "2026.11.1"
    assert found["manifest.json"]["paths"] == [
        {"id": "first", "title": {"ko": "처음", "en": "First"}}
    ]
    assert lesson["checks"] == ["f0.1"]
    assert lesson["file"] == {"ko": "제목.ipynb", "en": "Title.ipynb"}
    for lang in ("ko", "en"):
        cells = found[f"{lang}/{lesson['file'][lang]}"]["cells"]
        assert lesson["cells"][lang] == {
            cell["id"]: hashlib.sha256("".join(cell["source"]).encode()).hexdigest()
            for cell in cells
        }


def test_the_same_source_gives_the_same_bytes(checkout: Path, tmp_path: Path) -> None:
    target = tmp_path / "built"
    assert build.build(checkout, target)
    assert not build.build(checkout, target)
    first = target.stat().st_ino
    (target / "ko" / "left over.ipynb").write_text("{}")
    assert build.build(checkout, target)
    assert target.stat().st_ino != first
    assert sorted(p.name for p in (target / "ko").iterdir()) == ["제목.ipynb"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["built", "tutorials"]


def test_images_that_stand_on_lab_have_lessons() -> None:
    table = Catalog.load(ROOT / "images" / "images.toml")
    assert are_in(table, "lab")
    assert are_in(table, "energy")
    assert not are_in(table, "base")
    assert not are_in(table, "rescue")


@pytest.mark.parametrize(("names", "count"), [(["base", "lab"], 1), (["base", "hub"], 0)])
def test_an_image_with_lessons_gets_them_built_first(
    monkeypatch: pytest.MonkeyPatch, names: list[str], count: int
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(deployed, "ensure", asked.append)
    monkeypatch.setattr(lab_extension, "ensure", lambda root: root)
    table = Catalog.load(ROOT / "images" / "images.toml")
    image_build._ensure_built_before(table, ROOT, names)
    assert asked == [ROOT] * count


def test_an_image_with_lessons_is_built_anew_with_them() -> None:
    table = Catalog.load(ROOT / "images" / "images.toml")
    read = plan.inputs_of(table, "lab")
    assert {"tutorials", deployed.MEMBER} <= set(read)
    # what makes notebooks of them is read as well
    assert str(Path(build.__file__).parent.relative_to(ROOT)) in read
    # what its build copies is let through to the engine
    folder = deployed.folder_of(ROOT).relative_to(ROOT)
    assert f"!{folder}" in (ROOT / ".dockerignore").read_text("utf-8").split()
    dockerfile = (ROOT / "images" / "lab" / "Dockerfile").read_text("utf-8")
    assert f"COPY {folder}/ /opt/madang/lessons/" in dockerfile


# ---- our own lessons ------------------------------------------------------------------------

OURS = build.lessons(ROOT)[1]


@pytest.fixture(scope="module")
def ours() -> dict[str, bytes]:
    return build.files(ROOT)


@pytest.mark.parametrize("lang", build.LANGUAGES)
@pytest.mark.parametrize("lesson", OURS, ids=lambda o: o.about.id)
def test_a_lessons_notebooks_are_valid_and_clean(
    ours: dict[str, bytes], lesson: build.Written, lang: str
) -> None:
    name = getattr(lesson.about.file, lang)
    solved = [
        line for c in lesson.cells if c.kind == "code" for line in source.solution_lines(c.source)
    ]
    for folder in ("", "solutions/"):
        text = ours[f"{folder}{lang}/{name}"].decode()
        book: Any = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]  # it has no types
        nbformat.validate(book)
        assert nbformat.writes(book) + "\n" == text  # type: ignore[no-untyped-call]  # the same
        assert all(not c.get("outputs") and c.get("execution_count") is None for c in book.cells)
    learner = json.loads(ours[f"{lang}/{name}"])
    lines = {line.strip() for source in code(learner).values() for line in source.splitlines()}
    assert solved
    assert not [line for line in solved if line.strip() in lines and len(line.strip()) > 1]
    assert all(cell["metadata"] == {} for cell in learner["cells"])


@pytest.mark.parametrize("lesson", OURS, ids=lambda o: o.about.id)
def test_a_lesson_is_whole_in_both_languages(lesson: build.Written) -> None:
    texts = build.texts_of(lesson)
    assert all(HANGUL.search(text) for text in texts["ko"].values())
    assert not [cell for cell, text in texts["en"].items() if HANGUL.search(text)]
    assert set(Files.model_fields) == set(build.LANGUAGES)
    # every exercise asks its own check
    asked = re.findall(
        r"q\[(\d+)\]\.check\(", "\n".join(c.source for c in lesson.cells if c.kind == "code")
    )
    assert [f"{lesson.about.id}.{number}" for number in asked] == lesson.checks


@pytest.mark.parametrize("lesson", OURS, ids=lambda o: o.about.id)
def test_headings_lists_and_code_words_are_the_same_in_both(lesson: build.Written) -> None:
    texts = build.texts_of(lesson)
    for cell, korean in texts["ko"].items():
        english = texts["en"][cell]
        for pattern in (r"(?m)^#+ ", r"(?m)^(?:- |\d\. )", r"(?m)^\|"):
            assert len(re.findall(pattern, korean)) == len(re.findall(pattern, english)), cell
        assert set(re.findall(r"<(http[^>]*)>", korean)) == set(
            re.findall(r"<(http[^>]*)>", english)
        )


@pytest.mark.parametrize("lesson", OURS, ids=lambda o: o.about.id)
def test_data_are_declared_and_nothing_is_fetched(lesson: build.Written) -> None:
    texts = build.texts_of(lesson)
    written = "\n".join(cell.source for cell in lesson.cells if cell.kind == "code")
    assert not re.search(r"https?:|urlopen|fetch_|read_csv|requests", written)
    assert bool(lesson.about.data) == ("sklearn.datasets" in written)
    for data in lesson.about.data:
        kind = (
            {"ko": "실제 데이터", "en": "Real data"}
            if data.real
            else {"ko": "합성", "en": "Synthetic"}
        )
        for lang, cells in texts.items():
            whole = "\n".join(cells.values())
            assert data.name in whole
            assert data.licence in whole
            assert kind[lang] in whole
