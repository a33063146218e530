"""Servers forked from a warm parent: the rules, and both ends with a small program as the server."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from ast import literal_eval
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import missing
from hypothesis import given
from hypothesis import strategies as st
from support.deployment import wait_for
from support.warm import ENDS_WITH, facts_in, write_program

from madang_hub.warm import counts
from madang_hub.warm.claimed import (
    ClaimedServer,
    NotWarmError,
    Wish,
    alive,
    claim,
    connect,
    peer,
)
from madang_hub.warm.parents import WarmParents, version_of
from madang_lab.warm import title
from madang_lab.warm.claim import READ_AT_START, ClaimError, differing, read

ROOT = Path(__file__).resolve().parents[2]
START = ROOT / "images" / "base" / "madang-start"

# ---- the rules ----------------------------------------------------------------------------

NAMES = st.sampled_from([*READ_AT_START, "HOME", "PATH", "JUPYTERHUB_USER", "PYTHONPATH", "LC_ALL"])
VARIABLES = st.dictionaries(NAMES, st.sampled_from(["a", "b"]))
TOLD = {"version": "1", "start": "/s", "command": ["/p"], "environ": {}, "cwd": "/"}


@given(VARIABLES, VARIABLES)
def test_what_python_reads_at_its_start_must_be_the_same(
    wanted: dict[str, str], own: dict[str, str]
) -> None:
    found = differing(wanted, own)
    assert found == differing(own, wanted)
    # a cold start with the parent's values for these would have been the same
    agreed = {**wanted, **{n: own[n] for n in found if n in own}}
    for name in found:
        if name not in own:
            del agreed[name]
    assert differing(agreed, own) == []
    assert {"HOME", "PATH", "JUPYTERHUB_USER"}.isdisjoint(found)


@pytest.mark.parametrize(
    "changed",
    [
        {"version": None},
        {"command": []},
        {"command": 1},
        {"environ": []},
        {"environ": "x"},
        {"cwd": ...},
    ],
)
def test_what_is_no_claim_is_refused(changed: dict[str, Any]) -> None:
    told = {k: v for k, v in {**TOLD, **changed}.items() if v is not ...}
    with pytest.raises(ClaimError, match="malformed" if "version" not in changed else "version"):
        read(json.dumps(told).encode(), "1", {})


@pytest.mark.parametrize("packet", [b"", b"[]", b"{", b"\xff", b'{"version": "1"}'])
def test_rubbish_is_refused(packet: bytes) -> None:
    with pytest.raises(ClaimError, match="malformed"):
        read(packet, "1", {})


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"))), st.integers(2, 60))
def test_a_command_line_fills_its_room_and_no_more(arguments: list[str], room: int) -> None:
    text = title.cut(arguments, room)
    assert len(text) == room
    assert text[-1] == 0
    whole = "\0".join(arguments).encode()
    assert text.startswith(whole[: room - 1])


@pytest.mark.parametrize("allowed", [True, False])
def test_a_command_line_is_shown_as_far_as_the_kernel_allows(allowed: bool) -> None:
    code = (
        "import sys; from pathlib import Path; from madang_lab.warm import title\n"
        f"if not {allowed}: title._moved = lambda *_: False\n"
        "title.show(['/p', *map(str, range(1000))], {'A': '가'}, 'named')\n"
        "for name in ('cmdline', 'environ', 'comm'): print(ascii(Path('/proc/self', name).read_text()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "extensions" / "madang-lab"), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    arguments, environ, name = map(literal_eval, done.stdout.splitlines())
    assert name == "named\n"
    whole = "\0".join(["/p", *map(str, range(1000))]) + "\0"
    if allowed:
        assert (arguments, environ) == (whole, "A=가\0")
    else:
        room = len(f"{sys.executable}\0-c\0{code}\0".encode())
        assert arguments == whole[: room - 1] + "\0"
        assert "LANG=C.UTF-8" in environ


# ---- both ends ----------------------------------------------------------------------------


class Site:
    """A parent in a folder of its own, with what a person's server needs beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "warm" / "lab"
        self.folder.mkdir(parents=True, mode=0o700)
        self.home = folder / "homes" / "김 민지"
        self.home.mkdir(parents=True)
        self.log = folder / "log"
        self.program = write_program(folder / "bin")
        self.parent: subprocess.Popen[bytes] | None = None
        self.base = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}

    def begin(self, version: str = "1") -> subprocess.Popen[bytes]:
        """A parent that has nothing imported."""
        code = (
            "import sys; from pathlib import Path; from madang_lab.warm.program import run; "
            f"sys.path.pop(); run(Path({str(self.folder)!r}), {version!r}, lambda: None)"
        )
        (self.folder / "socket").unlink(missing_ok=True)
        source = f"sys.path.append({str(ROOT / 'extensions' / 'madang-lab')!r})"
        self.parent = subprocess.Popen(
            [sys.executable, "-c", f"import sys; {source}; {code}"],
            env=self.base,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(lambda: (self.folder / "socket").exists(), "the parent", 20)
        return self.parent

    def wish(self, *arguments: str, **environ: str) -> Wish:
        given = {**self.base, "HOME": str(self.home), "SECRET": "a token", **environ}
        return Wish("1", str(START), [str(self.program), *arguments], given, str(self.home))

    def warm(self, wish: Wish | None = None) -> ClaimedServer:
        with self.log.open("wb") as log:
            return claim(self.folder, wish or self.wish(), log)

    def cold(self, wish: Wish) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [wish.start, *wish.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=wish.cwd,
                env=dict(wish.environ),
                start_new_session=True,
            )

    def facts(self) -> dict[str, Any]:
        """What the last program found about itself."""
        return facts_in(self.log)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.begin()
    try:
        yield made
    finally:
        if made.parent:
            made.parent.kill()
            made.parent.wait()


def ended(server: ClaimedServer) -> int:
    wait_for(lambda: server.poll() is not None, "the server to end", 20)
    with server:
        return int(server.poll() or 0)


def test_a_claimed_server_is_what_a_cold_one_is(site: Site) -> None:
    wish = site.wish("--port=1", "two words", MADANG_LANG="en", MORE="가=나\n다")
    cold = site.cold(wish)
    assert cold.wait(20) == ENDS_WITH
    expected = site.facts()
    assert ended(site.warm(wish)) == ENDS_WITH
    found = site.facts()
    assert found == expected
    assert found["session"] == [True, True]
    assert found["environ"]["MORE"] == "가=나\n다"


def test_the_c_locale_is_taken_over_as_python_does_it(site: Site) -> None:
    assert site.parent is not None
    site.parent.kill()
    site.parent.wait()
    del site.base["LANG"]
    site.begin()
    assert site.cold(site.wish()).wait(20) == ENDS_WITH
    expected = site.facts()
    assert ended(site.warm()) == ENDS_WITH
    assert site.facts() == expected
    assert expected["environ"]["LC_CTYPE"] == "C.UTF-8"


def test_a_start_script_that_changes_everything_is_followed(site: Site, tmp_path: Path) -> None:
    rescue = str(ROOT / "images" / "rescue" / "madang-start")
    wish = replace(site.wish("--x", TMPDIR=str(tmp_path), JUPYTER_RUNTIME_DIR="/r"), start=rescue)
    assert ended(site.warm(wish)) == ENDS_WITH
    found = site.facts()
    assert found["environ"]["MADANG_HOME"] == str(site.home)
    assert found["environ"]["HOME"].startswith(f"{tmp_path}/madang-rescue-")
    assert f"--ServerApp.root_dir={site.home}" in found["argv"]
    assert found["argv"][1] == "--x"


def test_a_start_script_that_refuses_ends_the_server(site: Site) -> None:
    wish = site.wish()
    site.home.rmdir()
    site.home.write_text("no folder")
    site_home = replace(wish, cwd="/")
    assert ended(site.warm(site_home)) in (73, 77)
    assert "홈 폴더" in site.log.read_text()


def test_how_a_server_ended_is_told(site: Site) -> None:
    server = site.warm(site.wish("--stay"))
    site.facts()
    assert server.poll() is None
    os.kill(server.pid, signal.SIGKILL)
    assert ended(server) == -signal.SIGKILL
    assert not Path(f"/proc/{server.pid}").exists(), "a zombie"


def test_a_server_outlives_its_parent(site: Site) -> None:
    server = site.warm(site.wish("--stay"))
    site.facts()
    assert site.parent is not None
    site.parent.kill()
    site.parent.wait()
    assert server.poll() is None
    with pytest.raises(NotWarmError, match="refused") as refused:
        site.warm()
    assert refused.value.reason == "none"
    os.kill(server.pid, signal.SIGTERM)
    wait_for(lambda: server.poll() == 0, "the server to end", 20)
    with server:
        pass


def test_a_retired_parent_waits_for_its_servers(site: Site) -> None:
    server = site.warm(site.wish("--stay"))
    site.facts()
    assert site.parent is not None
    site.parent.terminate()
    wait_for(lambda: not (site.folder / "socket").exists(), "the socket to go", 20)
    assert site.parent.poll() is None
    with pytest.raises(NotWarmError):
        site.warm()
    os.kill(server.pid, signal.SIGTERM)
    assert ended(server) == -signal.SIGTERM
    assert site.parent.wait(20) == 0


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"version": "2"}, "version"),
        ({"environ": {"PYTHONPATH": "/elsewhere", "LANG": "C.UTF-8"}}, "variables"),
        ({"command": []}, "malformed"),
        ({"cwd": "/" + "x" * 300_000}, "failed"),
    ],
)
def test_a_claim_that_does_not_fit_leaves_nothing(
    site: Site, changed: dict[str, Any], reason: str
) -> None:
    with pytest.raises(NotWarmError) as refused:
        site.warm(replace(site.wish(), **changed))
    assert refused.value.reason == reason
    assert ended(site.warm()) == ENDS_WITH


def test_a_claim_that_is_given_up_leaves_no_server(site: Site) -> None:
    assert site.parent is not None
    with connect(site.folder) as line:
        assert peer(line) == (site.parent.pid, os.geteuid())
    children = Path(f"/proc/{site.parent.pid}/task/{site.parent.pid}/children")
    wait_for(lambda: not children.read_text(), "the child to go", 20)
    assert not site.log.exists()


def test_many_claims_at_once_are_as_many_servers(site: Site) -> None:
    with ThreadPoolExecutor(20) as people:
        servers = list(people.map(lambda _: site.warm(site.wish("--stay")), range(20)))
    assert len({s.pid for s in servers}) == 20
    for server in servers:
        os.kill(server.pid, signal.SIGKILL)
    assert {ended(s) for s in servers} == {-signal.SIGKILL}


def test_no_token_is_ever_in_the_parent(site: Site) -> None:
    secret = "s3cret-" + "1234567890"
    server = site.warm(site.wish("--stay", JUPYTERHUB_API_TOKEN=secret))
    site.facts()
    assert site.parent is not None
    assert secret.encode() in _memory(server.pid)
    assert secret.encode() not in _memory(site.parent.pid)
    os.kill(server.pid, signal.SIGKILL)
    ended(server)


def _memory(pid: int) -> bytes:
    """What this process may write, its heap and its variables among it."""
    found = []
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if rights.startswith("rw"):
                start, end = (int(n, 16) for n in span.split("-"))
                memory.seek(start)
                found.append(memory.read(end - start))
    return b"".join(found)


def test_other_accounts_cannot_claim(site: Site) -> None:
    if os.geteuid() != 0:
        missing("the right to be another account (root)")
    assert stat.S_IMODE(site.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((site.folder / "socket").stat().st_mode) == 0o600
    for one in (site.folder, *site.folder.parents):
        if one != Path("/"):
            one.chmod(one.stat().st_mode | 0o055)
    (site.folder / "socket").chmod(0o666)
    code = (
        "import socket\n"
        "line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        f"line.connect({str(site.folder / 'socket')!r})\n"
        "try:\n    line.send(b'{}')\n    print(line.recv(99))\n"
        "except OSError:\n    print(b'')\n"
    )
    # even where the modes had been loosened
    told = subprocess.run(
        ["/usr/bin/env", "python3", "-c", code],
        user=65534,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout.strip() in ("b''",), told.stderr


# ---- the Hub's side -----------------------------------------------------------------------


def test_the_version_follows_the_environment(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    seen = {version_of(tmp_path, {})}
    seen.add(version_of(tmp_path, {"LANG": "C.UTF-8"}))
    (tmp_path / ".madang-lock").write_text("1")
    seen.add(version_of(tmp_path, {}))
    (tmp_path / ".madang-lab").write_text("1")
    seen.add(version_of(tmp_path, {}))
    (site / "more").mkdir()
    seen.add(version_of(tmp_path, {}))
    assert len(seen) == 5
    assert version_of(tmp_path, {}) in seen


def test_without_the_program_every_server_is_cold_and_counted(tmp_path: Path) -> None:
    parents = WarmParents(tmp_path / "env", tmp_path / "warm", tmp_path, {})
    before = counts.COLD.labels("none")._value.get()
    parents.ensure("lab")
    with (tmp_path / "log").open("wb") as log, pytest.raises(NotWarmError):
        parents.claim("lab", Wish("", "/s", ["/p"], {}, "/"), log)
    assert counts.COLD.labels("none")._value.get() == before + 1
    assert not (tmp_path / "warm").exists()


def test_a_process_that_has_ended_is_not_alive() -> None:
    with subprocess.Popen(["true"]) as process:
        # not waited for: a zombie
        wait_for(lambda: not alive(process.pid), "the zombie")
    assert not alive(process.pid)
