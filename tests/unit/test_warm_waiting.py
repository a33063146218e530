"""What waits in a container and becomes a server: with a small program as the server, and with the real one."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import missing
from hypothesis import given
from hypothesis import strategies as st
from support.deployment import free_ports, wait_for
from support.fake_hub import FakeHub, fake_hub
from support.warm import (
    ENDS_WITH,
    Line,
    facts_in,
    own_memory,
    write_program,
    write_python,
)

from madang_lab.warm import imports
from madang_lab.warm.claim import READ_AT_START, ClaimError, read_in_container

NS_GET_NSTYPE = 0xB703
"""ioctl_ns(2), ``linux/nsfs.h``."""
CLONE_NEWNS = 0x00020000
SO_SNDBUFFORCE = 32
"""socket(7): a buffer that is larger than the system's limit, for root."""

# ---- the rules ----------------------------------------------------------------------------

NAMES = st.sampled_from(["HOME", "PATH", "JUPYTERHUB_USER", "LC_ALL", "PYTHONPATH", "하나"])
VARIABLES = st.dictionaries(NAMES, st.sampled_from(["a", "b", "둘"]))


@given(VARIABLES, VARIABLES)
def test_a_claims_variables_lie_over_those_of_the_container(
    told: dict[str, str], own: dict[str, str]
) -> None:
    packet = json.dumps({"command": ["/p", "--x"], "environ": told}).encode()
    changed = [n for n in told if n.startswith(READ_AT_START) and own.get(n) != told[n]]
    if changed:
        with pytest.raises(ClaimError, match="variables"):
            read_in_container(packet, own, "s", "/home")
        return
    claim = read_in_container(packet, own, "s", "/home")
    assert claim.environ == {**own, **told}
    assert (claim.start, claim.command, claim.cwd) == ("s", ("/p", "--x"), "/home")


NO_CLAIMS: list[dict[str, Any]] = [
    {"command": []},
    {"command": "program"},
    {"command": 1},
    {"command": [None]},
    {"command": ["p", "a\0b"]},
    {"command": ["p", "\ud800"]},
    {"environ": []},
    {"environ": None},
    {"environ": {"": "a"}},
    {"environ": {"A=B": "c"}},
    {"environ": {"A\0": "c"}},
    {"environ": {"A": "b\0c"}},
    {"environ": {"A": None}},
]
MALFORMED = [
    b"{",
    b"[]",
    b"\xff",
    b"[" * 100_000,
    *(json.dumps({"command": ["p"], "environ": {}, **one}).encode() for one in NO_CLAIMS),
]


@pytest.mark.parametrize("packet", MALFORMED)
def test_what_is_no_claim_is_malformed(packet: bytes) -> None:
    with pytest.raises(ClaimError, match="malformed"):
        read_in_container(packet, {}, "s", "/")


def test_a_module_that_cannot_be_read_again_is_the_servers_to_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(imports, "ANEW", ("kept_by_madang", "broken_by_madang", "never_imported"))
    for name in imports.ANEW[:2]:
        (tmp_path / f"{name}.py").write_text("import os\nkept = os.environ['MADANG_TEST']\n")
        monkeypatch.setenv("MADANG_TEST", "before")
        monkeypatch.delitem(sys.modules, name, raising=False)
        __import__(name)
    (tmp_path / "broken_by_madang.py").write_text("raise RuntimeError('a person broke this')\n")
    monkeypatch.setenv("MADANG_TEST", "the person's")
    imports.anew()
    assert sys.modules["kept_by_madang"].kept == "the person's"
    assert "broken_by_madang" not in sys.modules
    assert "never_imported" not in sys.modules


# ---- both ends ----------------------------------------------------------------------------


class Container:
    """A folder of programs and variables, as those of an image, and what is started there."""

    def __init__(self, root: Path, folder: Path, line: Path, script: str = "base") -> None:
        self.folder, self.line_folder = folder, line
        self.home, self.log, self.tmp = folder / "home", folder / "log", folder / "tmp"
        for made in (self.home, self.tmp):
            made.mkdir()
        self.programs = folder / "bin"
        self.program = write_program(self.programs)
        (self.programs / "madang-start").symlink_to(root / "images" / script / "madang-start")
        source = str(root / "extensions" / "madang-lab")
        write_python(
            self.programs / "madang-wait",
            f"import sys; sys.path.append({source!r})\n"
            "from pathlib import Path\nfrom madang_lab.warm.waiting import run\n"
            "sys.path.pop()\nrun(Path(sys.argv[1]), lambda started: None, lambda: False)\n",
        )
        self.image = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "HOSTNAME": "a-container",
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.tmp),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(
        self, *command: str, before: Sequence[str] = (), more: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """What the container runs: its entry point, with this command; ``before``: what starts that."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*before, str(self.programs / "madang-start"), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.home,
                env={**self.image, **(more or {})},
                start_new_session=True,
            )
        return self.process

    def wait(self, *before: str) -> subprocess.Popen[bytes]:
        """A process that will wait."""
        return self.start("madang-wait", str(self.line_folder), before=before)

    def facts(self) -> dict[str, Any]:
        return facts_in(self.log)

    def ended(self) -> int:
        assert self.process
        return self.process.wait(20)


@pytest.fixture
def container(root: Path, tmp_path: Path, short_folder: Path) -> Iterator[Container]:
    made = Container(root, tmp_path, short_folder)
    yield made
    if made.process:
        made.process.kill()
        made.process.wait()


@pytest.fixture
def line(short_folder: Path) -> Iterator[Line]:
    with Line(short_folder) as made:
        yield made


COMMAND = ["jupyterhub-singleuser", "--port=1", "two words", "", "가\n나"]
TOLD = {"SECRET": "a token", "MADANG_LANG": "en", "MORE": "가=나\n다", "HOSTNAME": "another"}


def both(container: Container, line: Line) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the program finds when it was started cold, and what when it was claimed."""
    container.start(*COMMAND, more=TOLD)
    assert container.ended() == ENDS_WITH
    cold = container.facts()
    container.wait()
    os.close(line.waits())
    assert line.claim(COMMAND, TOLD) == {"taken": 1}
    assert line.over
    assert container.ended() == ENDS_WITH
    return cold, container.facts()


def test_a_claimed_server_is_what_a_cold_one_is(container: Container, line: Line) -> None:
    cold, warm = both(container, line)
    assert warm == cold
    assert warm["command"] == [sys.executable, str(container.program), *COMMAND[1:]]
    assert warm["environ"].items() >= {**container.image, **TOLD}.items()
    assert warm["name"] == "jupyterhub-sing\n"
    assert warm["files"] == ["0", "1", "2"]
    # written by the start script for this language, and by nothing else
    assert sorted(f.name for f in container.home.iterdir()) == [".jupyter"]
    assert list(container.tmp.iterdir()) == []


def test_the_c_locale_is_taken_over_as_python_does_it(container: Container, line: Line) -> None:
    del container.image["LANG"]
    cold, warm = both(container, line)
    assert warm == cold
    assert warm["environ"]["LC_CTYPE"] == "C.UTF-8"


def test_the_rescue_server_is_what_a_cold_one_is(
    root: Path, tmp_path: Path, short_folder: Path, line: Line
) -> None:
    container = Container(root, tmp_path, short_folder, "rescue")
    cold, warm = both(container, line)
    # its own folder below /tmp is another one each time
    before, after = (Path(found["environ"]["HOME"]).name for found in (cold, warm))
    assert before.startswith("madang-rescue-")
    assert json.loads(json.dumps(cold).replace(before, after)) == warm
    assert warm["environ"]["MADANG_HOME"] == str(container.home)
    assert f"--ServerApp.root_dir={container.home}" in warm["argv"]
    assert sorted(f.name for f in container.tmp.iterdir()) == sorted([before, after])


def test_the_home_is_not_touched_before_a_claim(container: Container, line: Line) -> None:
    # neither written nor filled with samples; it need not even be there
    (container.folder / "samples" / "ko").mkdir(parents=True)
    container.image["MADANG_SAMPLES"] = str(container.folder / "samples")
    for home in (container.home, container.folder / "later"):
        container.image["HOME"] = str(home)
        container.wait()
        os.close(line.waits())
        assert line.claim(["jupyterhub-singleuser"], {"LANG": "C"}) == {"refused": "variables"}
        assert (container.ended(), container.log.read_text()) == (0, "")
    assert list(container.home.iterdir()) == []
    assert not home.exists()


def test_it_waits_without_a_thread_and_with_nothing_of_anybody(
    container: Container, line: Line
) -> None:
    process = container.wait()
    os.close(line.waits())
    state = Path(f"/proc/{process.pid}")
    assert len(list((state / "task").iterdir())) == 1
    outputs = ["/dev/null", str(container.log), str(container.log)]

    def opened() -> list[str]:
        files = [str(file.readlink()) for file in (state / "fd").iterdir()]
        return [name.partition(":")[0] for name in files]

    wait_for(lambda: sorted(opened()) == sorted([*outputs, "socket"]), "it to wait", 20)
    assert os.sched_getscheduler(process.pid) == os.sched_getscheduler(0)


def test_the_mount_namespace_that_it_hands_out_is_its_own(container: Container, line: Line) -> None:
    process = container.wait()
    namespace = line.waits()
    try:
        assert fcntl.ioctl(namespace, NS_GET_NSTYPE) == CLONE_NEWNS
        assert os.fstat(namespace).st_ino == Path(f"/proc/{process.pid}/ns/mnt").stat().st_ino
    finally:
        os.close(namespace)


def test_a_home_that_is_mounted_while_it_waits_is_where_it_goes_on(
    container: Container, line: Line, tmp_path: Path
) -> None:
    if os.geteuid() != 0 or not shutil.which("nsenter"):
        missing("the right to mount (root), and util-linux")
    person = tmp_path / "home-of-minji"
    person.mkdir()
    start = container.programs / "madang-start"
    script = start.rename(container.programs / "the-script")
    # what a start script does where it was started
    start.write_text(f'#!/bin/sh\n[ "$1" = madang-wait ] || touch here\nexec {script} "$@"\n')
    start.chmod(0o755)
    container.wait("unshare", "--mount", "--propagation", "private")
    namespace = line.waits()
    try:
        inside = ["nsenter", f"--mount=/proc/self/fd/{namespace}"]
        mount = ["mount", "--bind", str(person), str(container.home)]
        subprocess.run([*inside, *mount], check=True, pass_fds=[namespace])
    finally:
        os.close(namespace)
    assert line.claim(["jupyterhub-singleuser"], {"MADANG_LANG": "en"}) == {"taken": 1}
    assert container.ended() == ENDS_WITH
    found = container.facts()
    there = person.stat()
    assert found["folder"] == [there.st_dev, there.st_ino]
    assert found["cwd"] == str(container.home)
    # what the start script writes is the person's too
    assert sorted(f.name for f in person.iterdir()) == [".jupyter", "here"]
    assert list(container.home.iterdir()) == []


def test_one_that_is_not_told_to_go_on_never_was_a_server(container: Container, line: Line) -> None:
    container.wait()
    os.close(line.waits())
    assert line.claim(COMMAND, TOLD, go=False) == {"taken": 1}
    # it prepares the home, as each start does, and no more
    wait_for(lambda: (container.home / ".jupyter").exists(), "the start script", 20)
    line.close()
    assert (container.ended(), container.log.read_text()) == (0, "")


def test_a_start_script_that_refuses_ends_the_server(container: Container, line: Line) -> None:
    container.wait()
    os.close(line.waits())
    told = {"HOME": str(container.folder / "nowhere")}
    assert line.claim(["jupyterhub-singleuser"], told) == {"taken": 1}
    assert container.ended() in (73, 77)
    assert "홈 폴더" in container.log.read_text()


def test_a_program_that_is_not_there_ends_as_in_a_cold_start(
    container: Container, line: Line
) -> None:
    container.start("no-such-program")
    cold = container.ended()
    container.wait()
    os.close(line.waits())
    assert line.claim(["no-such-program"], {}) == {"taken": 1}
    assert container.ended() == cold
    assert "no-such-program: not found" in container.log.read_text()


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"{}", "malformed"),
        (MALFORMED[-1], "malformed"),
        (b'{"command": ["p"], "environ": {"PYTHONPATH": "/elsewhere"}}', "variables"),
        (b'{"command": ["p"], "environ": {"LANG": "ko_KR.UTF-8"}}', "variables"),
        # read by OpenSSL, for the certificates that tornado trusts
        (b'{"command": ["p"], "environ": {"SSL_CERT_FILE": "/site.pem"}}', "variables"),
    ],
)
def test_a_claim_that_cannot_be_taken_is_refused(
    container: Container, line: Line, packet: bytes, reason: str
) -> None:
    container.wait()
    os.close(line.waits())
    assert line.say(packet) == {"refused": reason}
    assert line.over
    assert container.ended() == 0
    assert container.log.read_text() == ""
    assert list(container.tmp.iterdir()) == []


def test_a_claim_that_is_too_large_is_refused(container: Container, line: Line) -> None:
    container.wait()
    os.close(line.waits())
    assert line.socket
    try:
        line.socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20)
    except PermissionError:
        missing("the right to have large buffers (root)")
    large = {"command": ["jupyterhub-singleuser"], "environ": {"A": "b" * (2 << 20)}}
    assert line.say(json.dumps(large).encode()) == {"refused": "malformed"}
    assert container.ended() == 0


def test_a_claim_with_descriptors_is_refused_and_they_are_closed(
    container: Container, line: Line
) -> None:
    container.wait()
    os.close(line.waits())
    assert line.socket
    mine, theirs = os.pipe()
    try:
        packet = json.dumps({"command": COMMAND, "environ": {}}).encode()
        socket.send_fds(line.socket, [packet], [theirs])
    finally:
        os.close(theirs)
    assert json.loads(line.socket.recv(4096)) == {"refused": "malformed"}
    assert container.ended() == 0
    assert os.read(mine, 1) == b""
    os.close(mine)


def test_it_ends_when_the_line_is_closed(container: Container, line: Line) -> None:
    container.wait()
    os.close(line.waits())
    line.close()
    assert (container.ended(), container.log.read_text()) == (0, "")


def test_it_ends_when_the_hub_is_gone_before_it_was_there(
    container: Container, short_folder: Path
) -> None:
    with Line(short_folder) as line:
        container.wait()
        wait_for(line.somebody, "it to connect", 20)
    # the connection was never taken
    assert (container.ended(), container.log.read_text()) == (0, "")


def test_it_becomes_no_server_when_the_hub_does_not_hear_the_answer(
    container: Container, line: Line
) -> None:
    process = container.wait()
    os.close(line.waits())
    os.kill(process.pid, signal.SIGSTOP)
    assert line.socket
    line.socket.send(json.dumps({"command": COMMAND, "environ": {}}).encode())
    line.close()
    os.kill(process.pid, signal.SIGCONT)
    assert (container.ended(), container.log.read_text()) == (0, "")


@pytest.mark.parametrize("there", ["nothing", "left", "file"])
def test_without_a_line_it_says_so_and_fails(
    container: Container, short_folder: Path, there: str
) -> None:
    if there == "left":
        Line(short_folder).close()
    elif there == "file":
        (short_folder / "line").touch()
    container.wait()
    assert container.ended() == 1
    said = container.log.read_text()
    assert said.startswith(f"madang-wait: nobody listens at {short_folder / 'line'} (")
    assert len(said.splitlines()) == 1


# ---- the real server ----------------------------------------------------------------------


@pytest.fixture(params=["lab", "rescue"])
def real(root: Path, container: Container, request: pytest.FixtureRequest) -> Container:
    """A container with an environment's programs and start script."""
    programs = root / "build" / "env" / request.param / "bin"
    if not (programs / "madang-wait").exists():
        missing(f"build/env/{request.param} (run `scripts/madang environments`)")
    if request.param == "rescue":
        start = container.programs / "madang-start"
        start.unlink()
        start.symlink_to(root / "images" / "rescue" / "madang-start")
    for name in ("jupyterhub-singleuser", "madang-wait"):
        (container.programs / name).unlink()
    container.image |= {
        # no Node, as in an image
        "PATH": f"{container.programs}:{programs}:/usr/local/bin:/usr/bin:/bin",
        "JUPYTER_CONFIG_PATH": str(root / "images" / "base" / "etc"),
        "JUPYTER_RUNTIME_DIR": str(container.tmp / "jupyter-runtime"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return container


def test_the_real_server_answers(real: Container, line: Line) -> None:
    process = real.wait()
    os.close(line.waits())
    assert own_memory(process.pid) < 100
    [port] = free_ports(1)
    token = "of-the-server"
    with fake_hub(FakeHub("minji", {token: "minji"}, {"minji"})) as hub:
        told = {
            "JUPYTERHUB_API_TOKEN": token,
            "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-minji",
            "JUPYTERHUB_USER": "minji",
            "JUPYTERHUB_API_URL": f"{hub.url}/hub/api",
            "JUPYTERHUB_ACTIVITY_URL": f"{hub.url}/hub/api/users/minji/activity",
            "JUPYTERHUB_BASE_URL": "/",
            "JUPYTERHUB_SERVICE_PREFIX": "/user/minji/",
            "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}/user/minji/",
            "JUPYTERHUB_OAUTH_CALLBACK_URL": "/user/minji/oauth_callback",
            "JUPYTERHUB_OAUTH_ACCESS_SCOPES": '["access:servers!user=minji"]',
            "JUPYTERHUB_DEFAULT_URL": "/lab",
            "MADANG_LANG": "en",
            # JupyterLab keeps it when it is imported; the rescue environment's script changes it
            "JUPYTER_CONFIG_DIR": str(real.home / "settings"),
        }
        address = f"http://127.0.0.1:{port}/user/minji"
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"token {token}"
            command = ["jupyterhub-singleuser", "--allow-root"]
            assert line.claim(command, told, go=False) == {"taken": 1}
            # it comes as far as it can without a network, and asks the Hub nothing
            wait_for(lambda: "jupyterlab | extension was" in real.log.read_text(), "it", 60)
            assert not hub.asked, real.log.read_text()
            line.go()

            def answers() -> bool:
                try:
                    return session.get(f"{address}/api/status", timeout=20).ok
                except requests.ConnectionError:
                    assert process.poll() is None, real.log.read_text()
                    return False

            wait_for(answers, "the server", 60)
            page = session.get(f"{address}/lab", timeout=60)
            assert '"hubUser": "minji"' in page.text
            [settings] = {*re.findall(r'"userSettingsDir": "([^"]+)"', page.text)}
            [own] = [*real.tmp.glob("madang-rescue-*/.jupyter")] or [real.home / "settings"]
            assert settings == str(own / "lab" / "user-settings")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
