"""What lessons import in a kernel: checks that only ever answer, progress that is never lost, the machine."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub.lessons import build
from madang_learn import bundled, lesson, machine, progress, say
from madang_learn.exercises import f0
from madang_learn.outcomes import Exercise, Outcome, judged, number, right, wrong
from madang_learn.tracking import Runs
from madang_learn.words import Text, short

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 28, 10, 29, 26, tzinfo=UTC)
HANGUL = re.compile("[가-힣]")
OURS = build.lessons(ROOT)[1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of somebody with a Korean server and the lessons of this checkout."""
    folder = tmp_path / "home"
    folder.mkdir()
    build.build(ROOT, tmp_path / "lessons")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("MADANG_LESSONS", str(tmp_path / "lessons"))
    monkeypatch.delenv("MADANG_LANG", raising=False)
    return folder


def noted(home: Path) -> Any:
    return json.loads((home / ".madang" / "lessons" / "progress.json").read_text("utf-8"))


# ---- checks ---------------------------------------------------------------------------------


class Awkward:
    """An answer that raises at everything."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __hash__(self) -> int:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __float__(self) -> float:
        raise SystemExit


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.sampled_from([..., print, object, 1j]),
    st.builds(Awkward),
    st.builds(SimpleNamespace),
)


@given(st.lists(ANYTHING, max_size=3))
def test_a_check_answers_whatever_it_is_given(answers: list[object]) -> None:
    for exercise in f0.EXERCISES.values():
        found = judged(exercise, tuple(answers))
        assert HANGUL.search(found.text.ko)
        assert not HANGUL.search(found.text.en)
        assert not found.ok or answers in ([12600], [63000])


def test_a_check_whose_rule_raises_says_what_happened() -> None:
    def rule(value: Any) -> Outcome:
        return right("맞음", "right") if value.shape else wrong("틀림", "wrong")

    found = judged(Exercise(rule, ()), (5,))
    assert not found.ok
    assert "AttributeError" in found.text.en


def test_only_what_stops_a_kernel_passes_through() -> None:
    def rule(value: object) -> Outcome:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judged(Exercise(rule, ()), (5,))


@pytest.mark.parametrize("answer", ["5", b"5", True, None, [5], {}])
def test_what_is_no_number(answer: object) -> None:
    with pytest.raises(TypeError):
        number(answer)


def test_a_long_answer_is_shortened() -> None:
    assert short("가" * 100) == "'" + "가" * 58 + "…"
    assert short(Awkward()) == "Awkward"


RIGHT_ORDER = ["energy = 400\ntariff = 150", "energy = 420", "income = energy * tariff"]


@pytest.mark.parametrize(
    ("history", "ok"),
    [
        pytest.param(RIGHT_ORDER, True, id="from the top"),
        pytest.param([], True, id="nobody knows"),
        pytest.param([*RIGHT_ORDER, "energy = 420"], False, id="run again"),
        pytest.param(["income = energy * tariff", *RIGHT_ORDER], False, id="by clicking around"),
        pytest.param([*RIGHT_ORDER[:2], "income = 63000"], False, id="the value typed in"),
        pytest.param([RIGHT_ORDER[0], "x = 1", *RIGHT_ORDER[1:]], True, id="other cells between"),
        pytest.param([RIGHT_ORDER[1], RIGHT_ORDER[0].replace("400", "420")], False, id="changed"),
    ],
)
def test_a_notebook_is_repaired_only_when_it_is_right_from_the_top(
    history: list[str], ok: bool
) -> None:
    assert f0.in_order(history).ok is ok


def test_only_the_plans_income_is_said_to_come_before_the_meter() -> None:
    said = [judged(f0.EXERCISES[2], (value,)).text.en for value in (60000, 63)]
    assert ["before the meter" in text for text in said] == [True, False]


# ---- a lesson in a notebook -----------------------------------------------------------------


def test_a_right_answer_is_said_and_noted_once(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    q = lesson("f0")
    q[1].check(13500)
    assert [task.passed for task in q] == [False, False]
    assert capsys.readouterr().out.startswith(
        "❌ f0.1 · 아직 아무것도 깎지 않았습니다.\n   막히면: q[1].hint()"
    )
    assert progress.passed(home) == {}
    q[1].check(12600)
    assert [task.passed for task in q] == [True, False]
    assert capsys.readouterr().out == "✅ f0.1 · 한 잔마다 깎은 값입니다.\n"
    first = noted(home)
    assert first["format"] == 1
    assert first["passed"]["f0.1"]["version"] == build.lessons(ROOT)[0].version
    lesson("f0")[1].check(12600)
    assert noted(home) == first
    # a wrong answer later takes nothing away
    q[1].check(1)
    assert [task.passed for task in q] == [False, False]
    assert noted(home) == first


def test_hints_come_one_by_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = lesson("f0")[1]
    counts = []
    for _ in range(3):
        task.hint()
        counts.append(capsys.readouterr().out.count("💡"))
    assert counts == [1, 2, 2]


def test_a_solution_is_that_of_the_solutions_notebook(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson("f0")[1].solution()
    assert "discounted = (price - 300) * cups" in capsys.readouterr().out
    lesson("f0")[2].solution()
    said = capsys.readouterr().out
    assert said.index("energy = 420") < said.index("income = energy * tariff")
    monkeypatch.setenv("MADANG_LANG", "en")
    monkeypatch.delenv("MADANG_LESSONS")
    lesson("f0")[1].solution()
    assert "no solutions on this server" in capsys.readouterr().out
    assert bundled.version() == "0"


def test_the_servers_language_is_spoken(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("가", "a") == "가"
    monkeypatch.setenv("MADANG_LANG", "en")
    assert say("가", "a") == "a"
    lesson("f0")[1].check(None)
    assert not HANGUL.search(capsys.readouterr().out)


def test_what_is_not_there_has_a_sentence(home: Path) -> None:
    with pytest.raises(LookupError, match="zz9"):
        lesson("zz9")
    with pytest.raises(LookupError):
        lesson("../f0")
    with pytest.raises(IndexError, match="3번 문제가 없습니다"):
        lesson("f0")[3]


@pytest.mark.parametrize("name", [o.about.id for o in OURS])
def test_every_lesson_has_the_exercises_that_its_text_asks(name: str) -> None:
    found = lesson(name)
    checks = next(o.checks for o in OURS if o.about.id == name)
    assert [task.name for task in found] == checks
    assert len(found) == len(checks)


@pytest.mark.parametrize("name", [o.about.id for o in OURS])
def test_every_hint_is_in_both_languages(name: str) -> None:
    for task in lesson(name):
        hints = task._exercise.hints
        assert hints
        assert all(HANGUL.search(h.ko) or "(" in h.ko for h in hints)
        assert not any(HANGUL.search(h.en) for h in hints)


HEAVY = ("matplotlib", "mlflow", "numpy", "pandas", "sklearn")


@pytest.mark.parametrize("name", [o.about.id for o in OURS])
def test_a_lesson_opens_without_the_heavy_libraries(tmp_path: Path, name: str) -> None:
    for module in HEAVY:
        # in reach, as in the environments where lessons run
        (tmp_path / f"{module}.py").touch()
    code = f"import sys; from madang_learn import lesson; lesson({name!r}); print(*sys.modules)"
    way = (str(tmp_path), str(ROOT / "extensions" / "madang-learn"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(way)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {*HEAVY} & {*done.stdout.split()}


# ---- progress -------------------------------------------------------------------------------


def _many(home: str, lesson_id: str, count: int) -> None:
    for n in range(count):
        progress.note(Path(home), f"{lesson_id}.{n}", "1", NOW)


def test_two_kernels_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    kernels = [context.Process(target=_many, args=(str(tmp_path), f"k{n}", 60)) for n in range(3)]
    for kernel in kernels:
        kernel.start()
    seen = 0
    while any(kernel.is_alive() for kernel in kernels):
        # whoever reads meanwhile finds it whole, and never less than before
        now = len(progress.passed(tmp_path))
        assert now >= seen
        seen = now
    assert [kernel.exitcode for kernel in kernels] == [0, 0, 0]
    assert len(progress.passed(tmp_path)) == 180
    names = {p.name for p in (tmp_path / ".madang" / "lessons").iterdir()}
    assert names == {"progress.json", ".progress.lock"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"passed": 3}', "\udcff"])
def test_a_damaged_file_is_kept_aside(tmp_path: Path, text: str) -> None:
    folder = tmp_path / ".madang" / "lessons"
    folder.mkdir(parents=True)
    content = text.encode("utf-8", "surrogateescape")
    (folder / "progress.json").write_bytes(content)
    assert progress.passed(tmp_path) == {}
    progress.note(tmp_path, "f0.1", "1", NOW)
    assert progress.passed(tmp_path) == {"f0.1": {"at": "2026-11-28T10:29:26Z", "version": "1"}}
    assert (folder / "progress.damaged.json").read_bytes() == content


def test_a_disk_without_room_leaves_the_old_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    q = lesson("f0")
    q[1].check(12600)
    before = noted(home)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    q[2].check(63000)
    assert "✅ f0.2" in (said := capsys.readouterr().out)
    assert "진도를 저장하지 못했습니다" in said
    assert noted(home) == before
    assert [p.name for p in (home / ".madang" / "lessons").glob(".progress-*")] == []


# ---- runs and the machine -------------------------------------------------------------------


def test_a_run_says_which_lesson_it_belongs_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_IMAGE_SPEC", "madang/lab:0.1.0")
    monkeypatch.setenv("MADANG_LANG", "en")
    runs = Runs("f3", "2026.11.1")
    assert runs.experiment == "tutorial/f3"
    assert runs.tags(True, "accuracy", "higher", "cpu") == {
        "lesson.id": "f3",
        "lesson.version": "2026.11.1",
        "image.tag": "madang/lab:0.1.0",
        "lang": "en",
        "device": "cpu",
        "madang.role": "baseline",
        "madang.main_metric": "accuracy",
        "madang.better": "higher",
    }
    monkeypatch.delenv("JUPYTER_IMAGE_SPEC")
    monkeypatch.setenv("MADANG_ENVIRONMENT", "lab")
    plain = runs.tags(False, "", "", "cuda:0")
    assert plain["image.tag"] == "lab"
    assert not [tag for tag in plain if tag.startswith("madang.")]


@pytest.fixture
def files(tmp_path: Path) -> Callable[[Mapping[str, str]], Path]:
    def write(content: Mapping[str, str]) -> Path:
        for name, text in content.items():
            (tmp_path / name).write_text(text, encoding="ascii")
        return tmp_path

    return write


# the module, whose name the function of the package hides
MACHINE = sys.modules["madang_learn.machine"]


@pytest.mark.parametrize(
    ("limit", "group", "least"),
    [
        ("", {}, None),
        ("0.5", {}, 0.5),
        ("", {"cpu.max": "50000 100000\n"}, 0.5),
        ("", {"cpu.max": "max 100000\n"}, None),
        ("0.25", {"cpu.max": "50000 100000\n"}, 0.25),
        ("nonsense", {"cpu.max": "nonsense"}, None),
    ],
)
def test_cores_are_the_smallest_limit(
    files: Callable[[Mapping[str, str]], Path],
    limit: str,
    group: dict[str, str],
    least: float | None,
) -> None:
    everything = float(len(os.sched_getaffinity(0)))
    assert MACHINE.cores({"CPU_LIMIT": limit}, files(group)) == (least or everything)


@pytest.mark.parametrize(
    ("limit", "group", "size"),
    [
        ("", {}, 16 * 2**30),
        (str(2**31), {}, 2**31),
        ("", {"memory.max": f"{2**30}\n"}, 2**30),
        (str(2**31), {"memory.max": "max\n"}, 2**31),
        ("", {"memory.max": f"{2**40}\n"}, 16 * 2**30),
    ],
)
def test_memory_is_the_smallest_limit(
    files: Callable[[Mapping[str, str]], Path], limit: str, group: dict[str, str], size: int
) -> None:
    folder = files({**group, "meminfo": f"MemTotal:  {16 * 2**20} kB\nMemFree: 1 kB\n"})
    assert MACHINE.memory({"MEM_LIMIT": limit}, folder, folder / "meminfo") == size


def test_gpus_are_those_that_are_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H200'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert MACHINE.accelerators({}) == ("NVIDIA H200",)
    assert MACHINE.accelerators({"CUDA_VISIBLE_DEVICES": ""}) == ()
    program.write_text("#!/bin/sh\nexit 9\n")
    assert MACHINE.accelerators({}) == ()
    program.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert MACHINE.accelerators({}) == ()


def test_the_machine_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADANG_LANG", "en")
    text = str(MACHINE.Machine(1.5, 3 * 2**30, ()))
    assert text == "cores: 1.5\nmemory: 3.0 GB\nGPU: none (the CPU computes)"
    here = machine()
    assert here.cores > 0
    assert here.memory_gb > 0
    assert Text("가", "a").ko == "가"
