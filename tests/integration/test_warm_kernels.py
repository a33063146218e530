"""A kernel that is forked is the one that a cold start makes; where it would not be, it is started cold."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import missing

SERVER = """
import asyncio, json, os, signal, sys, tempfile
from pathlib import Path
from madang_lab.layer import layer_of
from madang_lab.warm import imports, kernels, process

# as a process that waits does it
with process.behind_others():
    imports.both()
    kernels.begin(layer_of(os.environ).python, process.started_with(), imports.kernel)

from jupyter_client.manager import AsyncKernelManager

class Kernel:
    def __init__(self, name="python3", transport="tcp", **env):
        self.manager = AsyncKernelManager(kernel_name=name, transport=transport)
        if transport == "ipc":
            # as Jupyter Server names it: in the folder of the connection files
            self.manager.ip = tempfile.mktemp(dir="/tmp", prefix="ipc-")
        self.env = {**os.environ, **env}
    async def start(self):
        await self.manager.start_kernel(cwd=os.environ["HOME"], env=self.env)
        return await self.connect()
    async def connect(self):
        self.client = self.manager.client()
        self.client.start_channels()
        await self.client.wait_for_ready(timeout=60)
        return self
    async def run(self, code):
        out = tempfile.mktemp()
        reply = await self.client.execute_interactive(f"OUT = {out!r}\\n" + code, timeout=60, output_hook=print)
        assert reply["content"]["status"] == "ok", reply
        return json.loads(Path(out).read_text())
    @property
    def process(self):
        return self.manager.provisioner.process
    @property
    def forked(self):
        return type(self.process).__name__ == "Forked"
    async def end(self):
        self.client.stop_channels()
        await self.manager.shutdown_kernel()

def without_keeper():
    kept = kernels._keepers[:]
    kernels._keepers.clear()
    return kept

async def ended(process):
    while process.poll() is None:
        await asyncio.sleep(0.02)
    return process.poll()
"""
"""What a claimed server does, in short: the one that forks kernels, and Jupyter's own manager of them."""

FACTS = """
def facts():
    import gc, json, locale, os, re, signal, sys, sysconfig, threading, warnings
    prefixes = (sys.prefix, os.environ["MADANG_TEST_PREFIX"])
    def texts(name):
        return open(f"/proc/self/{name}").read().removesuffix("\\0").split("\\0")
    def where(value, depth=0):
        "every path of a prefix in a module's own values"
        if isinstance(value, str):
            return [value] if any(prefix in value for prefix in prefixes) else []
        if depth < 3 and isinstance(value, (list, tuple, set, frozenset)):
            return [one for each in list(value) for one in where(each, depth + 1)]
        if depth < 3 and isinstance(value, dict):
            return [one for pair in list(value.items()) for each in pair for one in where(each, depth + 1)]
        return []
    found = {
        "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "cwd": os.getcwd(),
        "environ": dict(os.environ), "order": list(os.environ), "shown": texts("environ"),
        "command": texts("cmdline"), "name": open("/proc/self/comm").read(),
        "program": os.readlink("/proc/self/exe"), "flags": str(sys.flags),
        "sys": [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.executable, sys._base_executable],
        "paths": sysconfig.get_paths(), "variables": sysconfig.get_config_vars()["prefix"],
        "status": [line for line in open("/proc/self/status")
                   if line.startswith(("Umask", "Sig", "Threads", "Cap", "NoNewPrivs", "Seccomp"))
                   and "SigQ" not in line],
        "handlers": [str(signal.getsignal(n)) for n in range(1, 32)],
        "limits": open("/proc/self/limits").read(), "oom": open("/proc/self/oom_score_adj").read(),
        "files": sorted(re.sub(r"\\d+", "", os.readlink(f"/proc/self/fd/{n}"))
                        for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")),
        "session": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
        "policy": [os.sched_getscheduler(0), os.nice(0)], "locale": locale.getlocale(),
        "threads": sorted(re.sub(r"\\d+", "", one.name) for one in threading.enumerate()),
        "modules": sorted(sys.modules), "filters": [str(one) for one in warnings.filters],
        "gc": [gc.get_threshold(), gc.isenabled()], "recursion": sys.getrecursionlimit(),
        "hooks": [sys.excepthook.__qualname__, str(type(sys.displayhook)), sys.breakpointhook.__qualname__],
        "main": sorted(name for name in sys.modules["__main__"].__dict__ if not name.startswith("_i")),
        "kept": {f"{name}.{key}": sorted(where(value)) for name, module in list(sys.modules.items())
                 for key, value in list(getattr(module, "__dict__", {}).items())
                 if key not in ("path_importer_cache", "modules", "_ih", "In", "cache") and where(value)},
    }
    json.dump(found, open(OUT, "w"))
facts()
"""


def told(root: Path, home: Path, code: str, **more: str) -> Any:
    """What ``code`` prints in the lab environment, after :data:`SERVER`."""
    programs = root / "build" / "env" / "lab" / "bin"
    if not programs.exists():
        missing("build/env/lab (run `scripts/madang environments`)")
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [str(programs / "python"), "-c", f"{SERVER}\n{code}"],
        env={
            "HOME": str(home),
            "PATH": f"{programs}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "JUPYTER_PATH": str(programs.parent / "share" / "madang" / "ko"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            # in a server its configuration says so
            "JUPYTER_DEFAULT_PROVISIONER_NAME": "madang",
            "MADANG_TEST_PREFIX": str(programs.parent),
            **more,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_both_are_the_same(root: Path, tmp_path: Path) -> None:
    code = f"""
async def main():
    # the layer is made by the first
    await (await Kernel().start()).end()
    warm = await Kernel().start()
    kept = without_keeper()
    cold = await Kernel().start()
    kernels._keepers[:] = kept
    assert (warm.forked, cold.forked) == (True, False)
    print(json.dumps([await one.run({FACTS!r}) for one in (cold, warm)]))
    for one in (cold, warm):
        await one.end()

asyncio.run(main())
"""
    cold, warm = told(root, tmp_path / "home", code)
    assert ".madang/packages" in cold["sys"][0]
    for facts in (cold, warm):
        # the connection file is each one's own
        for name in ("argv", "orig_argv", "command"):
            facts[name] = [re.sub(r"kernel-[-0-9a-f]+|tmp\w+", "", text) for text in facts[name]]
        # where its arguments are written, so that they are shown
        facts["modules"] = [name for name in facts["modules"] if name != "mmap"]
        for name in ("sys.argv", "sys.orig_argv", "sys.path"):
            facts["kept"].pop(name, None)
        # where pydevd looks for a file without a folder: in the environment, while there is no layer yet
        facts["kept"].pop("pydevd_file_utils._library_dir", None)
        # the history is opened and closed as it is written, and clients come and go
        passing = (".ipython", "socket:", "anon_inode:")
        facts["files"] = [path for path in facts["files"] if not any(p in path for p in passing)]
    differing = {name for name in cold["kept"] if cold["kept"][name] != warm["kept"].get(name)}
    assert {n: (cold["kept"][n], warm["kept"].get(n)) for n in differing} == {}
    assert warm.pop("kept").keys() == cold.pop("kept").keys()
    for name in cold:
        assert warm[name] == cold[name], name


def test_nothing_that_should_differ_is_the_same_in_two_kernels(root: Path, tmp_path: Path) -> None:
    code = """
DRAW = '''
import json, random, secrets, tempfile, uuid
json.dump([random.random(), str(uuid.uuid4()), str(uuid.uuid1()), secrets.token_hex(), tempfile.mktemp(),
           get_ipython().kernel.session.session, get_ipython().kernel.session.msg_id], open(OUT, "w"))
'''
async def main():
    both = [await Kernel().start(), await Kernel().start()]
    assert [one.forked for one in both] == [True, True]
    print(json.dumps([await one.run(DRAW) for one in both]))
    for one in both:
        await one.end()

asyncio.run(main())
"""
    one, other = told(root, tmp_path / "home", code)
    assert not {*one} & {*other}


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_what_is_installed_later_is_found(root: Path, tmp_path: Path, transport: str) -> None:
    """Over both transports: in a container it is the second, and when a kernel listens is asked differently."""
    code = """
INSTALL = '''
import json, sysconfig
from pathlib import Path
site = Path(sysconfig.get_path("purelib"))
(site / "later.py").write_text("here = 5")
import later
json.dump([later.here, str(site), later.__file__], open(OUT, "w"))
'''
async def main():
    kernel = await Kernel(transport=os.environ["TRANSPORT"]).start()
    print(json.dumps([kernel.forked, *await kernel.run(INSTALL)]))
    await kernel.end()

asyncio.run(main())
"""
    forked, here, site, file = told(root, tmp_path / "home", code, TRANSPORT=transport)
    assert (forked, here, file) == (True, 5, f"{site}/later.py")
    assert ".madang/packages" in site


def test_the_life_of_a_forked_kernel(root: Path, tmp_path: Path) -> None:
    """Interrupt, restart, an end by itself, a kill, a shutdown, and the end of what forks them."""
    code = """
async def main():
    said = {}
    kernel = await Kernel().start()
    manager = kernel.manager
    waiting = asyncio.ensure_future(kernel.client.execute_interactive(
        "import os; open(os.environ['HOME'] + '/began', 'w').close()\\nwhile True: pass", timeout=60,
        output_hook=lambda _: None))
    while not os.path.exists(os.environ["HOME"] + "/began"):
        await asyncio.sleep(0.02)
    await manager.interrupt_kernel()
    said["interrupted"] = (await waiting)["content"]["ename"]
    first = kernel.process
    await manager.restart_kernel(now=True)
    said["restarted"] = [kernel.forked, kernel.process is not first, first.poll()]
    kernel.client.stop_channels()
    await kernel.connect()
    assert await kernel.run("open(OUT, 'w').write('1')") == 1
    kernel.client.execute("import os; os._exit(5)")
    said["by itself"] = await ended(kernel.process)
    kernel.client.stop_channels()
    killed = await Kernel().start()
    os.kill(killed.process.pid, signal.SIGKILL)
    said["killed"] = await ended(killed.process)
    killed.client.stop_channels()
    shut = await Kernel().start()
    pid = shut.process.pid
    await shut.end()
    said["shut down"] = [shut.manager.provisioner.process, os.path.exists(f"/proc/{pid}")]

    # what forks them ends: those that it forked end too, and are seen to; new ones start cold
    left = await Kernel().start()
    parent = int(Path(f"/proc/{left.process.pid}/stat").read_text().rpartition(")")[2].split()[1])
    name = Path(f"/proc/{parent}/comm").read_text().strip()
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    left.client.stop_channels()
    said["left"] = await ended(left.process)
    new = await Kernel().start()
    said["alone"] = [name, new.forked, await new.run("open(OUT, 'w').write('2')")]
    await new.end()
    print(json.dumps(said))

asyncio.run(main())
"""
    assert told(root, tmp_path / "home", code) == {
        "interrupted": "KeyboardInterrupt",
        "restarted": [True, True, -9],
        "by itself": 5,
        "killed": -9,
        "shut down": [None, False],
        "left": 1,
        "alone": ["madang-kernels", False, 2],
    }


def test_where_no_more_processes_can_be_the_others_go_on(root: Path, tmp_path: Path) -> None:
    """A fork that fails is the new kernel's trouble; as in a cold start, the others keep what they have."""
    code = """
async def main():
    first = await Kernel().start()
    assert await first.run("kept = 6; open(OUT, 'w').write('6')") == 6
    parent = int(Path(f"/proc/{first.process.pid}/stat").read_text().rpartition(")")[2].split()[1])
    limits = resource.prlimit(parent, resource.RLIMIT_NOFILE)
    # it has not even files for a pipe
    resource.prlimit(parent, resource.RLIMIT_NOFILE, (4, limits[1]))
    second = await Kernel().start()
    resource.prlimit(parent, resource.RLIMIT_NOFILE, limits)
    third = await Kernel().start()
    forked = [one.forked for one in (first, second, third)]
    print(json.dumps([*forked, await first.run("open(OUT, 'w').write(str(kept))")]))
    for one in (first, second, third):
        await one.end()

import resource
asyncio.run(main())
"""
    assert told(root, tmp_path / "home", code) == [True, False, True, 6]


def test_a_server_that_asks_a_busy_one_loses_no_kernel(root: Path, tmp_path: Path) -> None:
    """What forks is stopped for longer than a status is waited for."""
    code = """
async def main():
    kernel = await Kernel().start()
    parent = int(Path(f"/proc/{kernel.process.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGSTOP)
    stopped = [kernel.process.poll(), kernel.process.poll()]
    os.kill(parent, signal.SIGCONT)
    alive = await kernel.run("open(OUT, 'w').write('7')")
    second = await Kernel().start()
    print(json.dumps([*stopped, alive, second.forked, kernel.process.poll()]))
    await kernel.end()
    await second.end()

asyncio.run(main())
"""
    assert told(root, tmp_path / "home", code) == [None, None, 7, True, None]


def test_kernels_end_with_the_server(root: Path, tmp_path: Path) -> None:
    code = """
async def main():
    kernel = await Kernel().start()
    stat = Path(f"/proc/{kernel.process.pid}/stat").read_text()
    print(json.dumps([kernel.process.pid, int(stat.rpartition(")")[2].split()[1])]), flush=True)
    os._exit(0)

asyncio.run(main())
"""
    for pid in told(root, tmp_path / "home", code):
        # their parent is gone with the server: whoever adopts them reaps them
        handle = _opened(pid)
        if handle is not None:
            with os.fdopen(handle) as one:
                assert _over(one.fileno()), Path(f"/proc/{pid}/cmdline").read_text()


def _opened(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _over(handle: int) -> bool:
    return bool(select.select([handle], [], [], 20)[0])


COLD = {
    "another kernel": ("Kernel('python3-plain')", ""),
    "another variable": ("Kernel(PYTHONHASHSEED='1')", ""),
    "a variable of the debugger": ("Kernel(PYDEVD_DEBUG='0')", ""),
    "a package of one's own": (
        "Kernel()",
        "(layer_of(os.environ).site / 'own.py').write_text('here = 1')",
    ),
    "something that Python reads at its start": (
        "Kernel()",
        "(layer_of(os.environ).site / 'own.pth').write_text('import sys')",
    ),
    "another environment": ("Kernel(MADANG_ENVIRONMENT='energy')", ""),
}


@pytest.mark.parametrize("what", COLD)
def test_a_kernel_that_would_be_another_starts_cold(root: Path, tmp_path: Path, what: str) -> None:
    kernel, before = COLD[what]
    code = f"""
async def main():
    first = await Kernel().start()
    await first.end()
    {before}
    other = await {kernel}.start()
    print(json.dumps([other.forked, await other.run("open(OUT, 'w').write('3')")]))
    await other.end()

asyncio.run(main())
"""
    assert told(root, tmp_path / "home", code) == [False, 3]


def test_without_room_for_a_layer_a_kernel_starts_as_always(root: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    # a file where the layers' folder belongs
    (home / ".madang").write_text("")
    code = """
async def main():
    kernel = await Kernel().start()
    print(json.dumps([kernel.forked, await kernel.run("open(OUT, 'w').write('4')")]))
    await kernel.end()

asyncio.run(main())
"""
    assert told(root, home, code) == [False, 4]


def test_which_kernels_there_may_be_is_read_ahead(root: Path, tmp_path: Path) -> None:
    """And the server's configuration, which comes later, holds all the same."""
    code = """
from jupyter_client.provisioning import KernelProvisionerFactory as Factory
from traitlets.config import Config
from madang_lab.warm.provisioner import configured

wanted = Config({"KernelProvisionerFactory": {"default_provisioner_name": "madang"}})
configured(wanted)
cold = Factory.initialized()
imports.everything()
def again():
    raise AssertionError("read again")
Factory._get_all_provisioners = staticmethod(again)
before = Factory.instance().default_provisioner_name
configured(wanted)
factory = Factory.instance()
print(json.dumps([cold, before, factory.default_provisioner_name, "madang" in factory.provisioners]))
"""
    found = told(
        root, tmp_path / "home", code, JUPYTER_DEFAULT_PROVISIONER_NAME="local-provisioner"
    )
    assert found == [False, "local-provisioner", "madang", True]
