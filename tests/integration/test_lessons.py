"""Every lesson, run as learners run it: a fresh kernel, an empty home, nobody who records runs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import missing
from support.deployment import free_ports
from support.lessons import answers_of, answers_plan, in_lab

from madang_hub.lessons import build
from madang_hub.places import bin_of

ROOT = Path(__file__).parents[2]
LESSONS = build.lessons(ROOT)[1]
NAMES = [lesson.about.id for lesson in LESSONS]
HANGUL = re.compile("[가-힣]")
QUICKLY = 60
"""Seconds for a lesson with nobody who records runs: MLflow alone would wait for ten minutes."""


@dataclass
class Class:
    """The outcome of all lessons: solutions in Korean, learners' in English."""

    lessons: Path
    homes: dict[str, Path]
    done: dict[str, dict[str, Any]]

    def outputs(self, edition: str, name: str) -> list[dict[str, str]]:
        """All outputs of a lesson, in order."""
        return [o for outputs in self.done[edition][name]["cells"].values() for o in outputs]

    def text(self, edition: str, name: str) -> str:
        return "\n".join(o["text"] for o in self.outputs(edition, name))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not bin_of(ROOT, "lab").exists():
        missing("the environment lab (`scripts/madang environments`)")
    folder = tmp_path_factory.mktemp("built") / "lessons"
    build.build(ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def everyone(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Class:
    """Two people who run all lessons: one with the solutions, one who fills in nothing."""
    homes = {"solution": tmp_path_factory.mktemp("one"), "learner": tmp_path_factory.mktemp("two")}
    folders = {"solution": built / "solutions" / "ko", "learner": built / "en"}
    (port,) = free_ports(1)
    tracking = {
        # a machine that refuses; and none named at all, as outside of Madang
        "solution": {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}/services/mlflow"},
        "learner": {},
    }
    done: dict[str, dict[str, Any]] = {}
    for edition, folder in folders.items():
        lang = "ko" if edition == "solution" else "en"
        files = {
            n: folder / getattr(o.about.file, lang) for n, o in zip(NAMES, LESSONS, strict=True)
        }
        found = in_lab(
            ROOT,
            homes[edition],
            "notebooks",
            *map(str, files.values()),
            MADANG_LANG=lang,
            MADANG_LESSONS=str(built),
            **tracking[edition],
        )
        done[edition] = {name: found[str(file)] for name, file in files.items()}
    return Class(built, homes, done)


def checks_in(text: str, mark: str) -> list[str]:
    return re.findall(rf"(?m)^{mark} (\w+\.\d+) ·", text)


@pytest.mark.parametrize("edition", ["solution", "learner"])
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_without_an_error_or_a_warning(everyone: Class, name: str, edition: str) -> None:
    bad = [o["text"] for o in everyone.outputs(edition, name) if o["kind"] in ("error", "stderr")]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("lesson", LESSONS, ids=NAMES)
def test_the_solution_passes_every_check(everyone: Class, lesson: build.Written) -> None:
    said = everyone.text("solution", lesson.about.id)
    assert checks_in(said, "✅") == lesson.checks
    assert checks_in(said, "❌") == []


@pytest.mark.parametrize("lesson", LESSONS, ids=NAMES)
def test_who_fills_in_nothing_passes_no_check(everyone: Class, lesson: build.Written) -> None:
    said = everyone.text("learner", lesson.about.id)
    assert checks_in(said, "❌") == lesson.checks
    assert checks_in(said, "✅") == []


def test_what_was_passed_is_written_down(everyone: Class) -> None:
    path = everyone.homes["solution"] / ".madang" / "lessons" / "progress.json"
    noted = json.loads(path.read_text("utf-8"))
    assert sorted(noted["passed"]) == sorted(c for lesson in LESSONS for c in lesson.checks)
    version = build.lessons(ROOT)[0].version
    assert {entry["version"] for entry in noted["passed"].values()} == {version}
    assert not (everyone.homes["learner"] / ".madang" / "lessons" / "progress.json").exists()


@pytest.mark.parametrize("name", NAMES)
def test_an_english_server_says_nothing_in_korean(everyone: Class, name: str) -> None:
    assert not HANGUL.search(everyone.text("learner", name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("edition", ["solution", "learner"])
def test_it_is_soon_done(everyone: Class, name: str, edition: str) -> None:
    done = everyone.done[edition][name]
    assert done["cpu_s"] <= 120
    assert done["wall_s"] <= QUICKLY


@pytest.mark.parametrize(
    "lesson", [o for o in LESSONS if o.about.needs.tracking], ids=lambda o: o.about.id
)
def test_it_says_once_that_runs_are_not_recorded(everyone: Class, lesson: build.Written) -> None:
    said = everyone.text("solution", lesson.about.id)
    assert said.count("실험 기록 서버에 연결할 수 없습니다") == 1
    assert (everyone.homes["solution"] / ".madang" / "lessons" / "runs").is_dir()


# ---- what the text says ---------------------------------------------------------------------


def figures(text: str) -> set[str]:
    """The numbers of a text that claim something: with a decimal point, or of three digits and more."""
    without = re.sub(r"`[^`]*`|<[^>]*>|\]\([^)]*\)", " ", text)
    found = re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\d])", without)
    return {n for n in (f.rstrip(",") for f in found) if "." in n or len(n.replace(",", "")) > 2}


@pytest.mark.parametrize("lesson", LESSONS, ids=NAMES)
def test_the_numbers_in_the_text_are_those_of_the_cells(
    everyone: Class, lesson: build.Written
) -> None:
    # not the addresses in what is said of the tracking server
    printed = re.sub(r"(?m)^⚠️.*$", "", everyone.text("solution", lesson.about.id))
    printed += "\n".join(cell.source for cell in lesson.cells if cell.kind == "code")
    known = {n.replace(",", "") for n in re.findall(r"\d[\d,]*(?:\.\d+)?", printed)}
    known |= {number.replace(",", "") for number in lesson.about.numbers}
    # the data card: licence, year and identifier
    for data in lesson.about.data:
        known |= set(re.findall(r"\d+(?:\.\d+)?", f"{data.licence} {data.source}"))
    for lang, texts in build.texts_of(lesson).items():
        claimed = set().union(*(figures(text) for text in texts.values()))
        unknown = {n for n in claimed if n.replace(",", "") not in known}
        assert not unknown, f"{lang}: no cell prints {sorted(unknown)}"


@pytest.mark.parametrize("lesson", LESSONS, ids=NAMES)
def test_both_languages_claim_the_same_numbers(lesson: build.Written) -> None:
    texts = build.texts_of(lesson)
    for cell, korean in texts["ko"].items():
        assert figures(korean) == figures(texts["en"][cell]), cell


# ---- answers --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged(built: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What the checks said to every answer that the lessons' authors give."""
    home = tmp_path_factory.mktemp("answers")
    plan = home / "plan.json"
    plan.write_text(json.dumps([answers_plan(lesson) for lesson in LESSONS]), encoding="utf-8")
    found: list[dict[str, str]] = in_lab(
        ROOT, home, "answers", str(plan), MPLBACKEND="agg", MADANG_LESSONS=str(built)
    )
    return found


@pytest.mark.parametrize("lesson", LESSONS, ids=NAMES)
def test_wrong_answers_are_refused_and_right_ones_are_not(
    judged: list[dict[str, str]], lesson: build.Written
) -> None:
    for number, answers in answers_of(lesson).items():
        check = f"{lesson.about.id}.{number}"
        said = {e["answer"]: e["said"] for e in judged if e["check"] == check}
        marks = {
            answer: text[text.index(check) - 2] for answer, text in said.items() if check in text
        }
        assert marks == {
            **dict.fromkeys(answers["wrong"], "❌"),
            **dict.fromkeys(answers["right"], "✅"),
        }, said


@pytest.mark.parametrize("lesson", LESSONS, ids=NAMES)
def test_every_exercise_has_answers_to_try(lesson: build.Written) -> None:
    given = answers_of(lesson)
    assert [f"{lesson.about.id}.{number}" for number in given] == lesson.checks
    assert all(len(set(a["wrong"])) >= 3 and len(set(a["right"])) >= 1 for a in given.values())


def test_nothing_stops_because_an_answer_is_wrong(judged: list[dict[str, str]]) -> None:
    assert not [entry for entry in judged if "ERROR" in entry["said"]]


def said_to(built: Path, home: Path, name: str, **cells: str) -> str:
    """What a lesson's solution prints, run in one piece, with ``cells`` in place of those of these ids."""
    home.mkdir(exist_ok=True)
    lesson = next(o for o in LESSONS if o.about.id == name)
    code = "\n".join(
        cells.get(c.id, c.of("solution"))
        for c in lesson.cells
        if c.kind == "code" and c.is_in("solution")
    )
    plan = home.parent / "plan.json"
    plan.write_text(json.dumps([[{"check": "", "tries": [("", code)], "code": "pass"}]]), "utf-8")
    [entry] = in_lab(ROOT, home, "answers", str(plan), MPLBACKEND="agg", MADANG_LESSONS=str(built))
    return str(entry["said"])


def test_what_was_refused_is_not_recorded(built: Path, tmp_path: Path) -> None:
    wrong = "gflops = 'fast'\nq[2].check(gflops, seconds)"
    said = said_to(built, tmp_path / "home", "f2", ex2=wrong)
    assert checks_in(said, "❌") == ["f2.2"]
    assert "ERROR" not in said


def test_one_recorded_run_is_enough_where_the_server_went_away(built: Path, tmp_path: Path) -> None:
    """What was recorded before is then out of sight."""
    ex2 = "\n".join(
        (
            "model = SVC(C=10).fit(train_x, train_y)",
            "with q.run('SVM'):",
            "    mlflow.log_metric('test_accuracy', model.score(test_x, test_y))",
            "q[2].check(model, q.runs())",
        )
    )
    logistic = "logistic = LogisticRegression(max_iter=1000).fit(train_x, train_y)"
    said = said_to(built, tmp_path / "home", "f3", record=logistic, ex2=ex2)
    assert checks_in(said, "✅") == ["f3.1", "f3.2", "f3.3"]


def test_a_lesson_ends_where_runs_can_be_kept_nowhere(built: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    # nothing can be made in there, as in a home without room
    (home / ".madang").touch()
    said = said_to(built, home, "f3")
    assert "실행을 기록하지 못했습니다" in said
    assert checks_in(said, "✅") == ["f3.1", "f3.3"]
    assert checks_in(said, "❌") == ["f3.2"]
    assert "ERROR" not in said


SEEDS = (1, 2, 3, 4, 5)


def test_the_pass_mark_of_f3_is_met_with_other_splits(built: Path, tmp_path: Path) -> None:
    """The solution's models, on data that was split in five ways that nobody has looked at."""
    lesson = next(o for o in LESSONS if o.about.id == "f3")
    cells = [c.of("solution") for c in lesson.cells if c.id in ("data", "ex2")]
    code = re.sub(r"(?m)^q\[.*$", "", "\n".join(cells))
    assert "random_state=0" in code
    tries = [(str(s), code.replace("random_state=0", f"random_state={s}")) for s in SEEDS]
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps([[{"check": "f3.2", "tries": tries, "code": "pass"}]]), "utf-8")
    said = in_lab(
        ROOT, tmp_path / "home", "answers", str(plan), MPLBACKEND="agg", MADANG_LESSONS=str(built)
    )
    best = [float(re.findall(r"(?m)^SVM (\S+)$", entry["said"])[0]) for entry in said]
    assert len(best) == len(SEEDS)
    assert min(best) >= 0.98, best
