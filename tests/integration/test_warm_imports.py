"""What is imported ahead of a claim keeps nothing that differs from person to person."""

from __future__ import annotations

import ast
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import missing

from madang_lab.warm.claim import READ_AT_START

VARIABLES = """
import gc, json, os, sys

home, read = os.environ["HOME"], set()

class Noting(type(os.environ)):
    def __getitem__(self, name):
        read.add(os.fsdecode(name))
        return super().__getitem__(name)

os.environ.__class__ = os.environb.__class__ = Noting
from madang_lab.warm import imports

imports.everything()
names = sorted(read)
os.environ["HOME"] = "/home/of/somebody"
imports.anew()
gc.unfreeze()
seen, found, around = {id(os.environ._data), id(globals())}, [], [sys.modules]
while around:
    one = around.pop()
    if id(one) in seen:
        continue
    seen.add(id(one))
    for other in gc.get_referents(one):
        if not isinstance(other, (str, bytes)):
            around.append(other)
        elif home in os.fsdecode(other):
            keys = [key for key in one if one[key] == other] if isinstance(one, dict) else []
            found.append(keys[0] if keys else repr(one)[:300])
print(json.dumps([names, found]))
"""
"""As a parent does it: which variables are read, and where the parent's home is kept in the end."""

LOOKS = """
import json, os, sys, threading

home, looked = os.environ["HOME"], set()
THROUGH = (
    "os", "posixpath", "genericpath", "pathlib", "glob", "importlib", "_frozen_importlib", "json", "socket",
    "jupyter_core.paths", "__main__",
)

def note(what):
    # which module it is that looks, not the one by which it does
    frame = sys._getframe(2)
    while frame.f_globals["__name__"].startswith(THROUGH):
        frame = frame.f_back
    looked.add((what, frame.f_globals["__name__"]))

def noting(name):
    real = getattr(os, name)
    def function(path=".", *more, **options):
        if not isinstance(path, int) and os.fsdecode(os.fspath(path)).startswith(home):
            note("home")
        return real(path, *more, **options)
    setattr(os, name, function)

for name in ("stat", "lstat", "readlink", "scandir", "listdir", "access", "mkdir"):
    noting(name)

def hook(event, given):
    if event.startswith(("socket.", "subprocess.", "os.fork", "os.posix_spawn", "os.system", "os.exec")):
        note(event)
    elif event == "open" and isinstance(given[0], (str, bytes)):
        path = os.fsdecode(given[0])
        if path.startswith((home, "/etc/")):
            note("home" if path.startswith(home) else path)

sys.addaudithook(hook)
from madang_lab.warm import imports

imports.everything()
print(json.dumps([sorted(looked), threading.active_count(), len(os.listdir("/proc/self/task"))]))
"""
"""Which modules look into the home or at the network when they are imported, and what runs."""

KERNEL = "imports.both(); imports.kernel()"
QUIET = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
"""Otherwise pydevd says on stderr that Python has frozen modules, in every kernel."""


def told(root: Path, name: str, code: str, **more: str) -> Any:
    """What ``code`` prints in the environment ``name``, as before a claim."""
    programs = root / "build" / "env" / name / "bin"
    if not programs.exists():
        missing(f"build/env/{name} (run `scripts/madang environments`)")
    done = subprocess.run(
        [str(programs / "python"), "-c", code],
        env={
            "HOME": "/home/of/the/parent",
            "JUPYTER_CONFIG_PATH": str(root / "images" / "base" / "etc"),
            # as in an image: no Node, which JupyterLab would ask something
            "PATH": str(programs),
            **more,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("environment", ["lab", "rescue"])
def test_no_variable_is_kept_that_differs_from_person_to_person(
    root: Path, environment: str
) -> None:
    names, found = told(root, environment, VARIABLES)
    # a claim with another value of any of the others is refused
    assert {name for name in names if not name.startswith(READ_AT_START)} == {
        # what is kept of these is looked at below
        "HOME",
        "XDG_DATA_HOME",
        # read again after the claim (imports.ANEW)
        "ALL_PROXY",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "https_proxy",
        "http_proxy",
        "JUPYTERLAB_DIR",
        "JUPYTERLAB_SETTINGS_DIR",
        "JUPYTERLAB_WORKSPACES_DIR",
        # by functions that a server calls again, and by wsgiref, which copies all of them for CGI
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_CONFIG_PATH",
        "JUPYTER_NO_CONFIG",
        "JUPYTER_PLATFORM_DIRS",
        "JUPYTER_PREFER_ENV_PATH",
        "JUPYTER_USE_PROGRAMDATA",
        "PATH",
        # whom a server's own messages to kernels come from, which nothing shows
        "USER",
    }
    # Python's own packages of a person, which a virtual environment does not use, and that copy
    assert sorted(found) == ["HOME", "USER_BASE", "USER_SITE", "userbase"]


def kernel_start(root: Path) -> tuple[str, ...]:
    """``KERNEL_START`` of the provisioner, which only a server's environment can import."""
    source = root / "extensions" / "madang-lab" / "madang_lab" / "warm" / "provisioner.py"
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "KERNEL_START":
            found: tuple[str, ...] = ast.literal_eval(node.value)
            return found
    raise AssertionError(source)


def test_no_variable_is_kept_by_what_kernels_import(root: Path) -> None:
    code = VARIABLES.replace("imports.everything()", KERNEL).replace("imports.anew()", "")
    names, found = told(root, "lab", code, **QUIET)
    known = (*READ_AT_START, *kernel_start(root))
    assert {name for name in names if not name.startswith(known)} == {
        # the same for everybody whom the process may get; PATH is read by functions, again each time
        "HOME",
        "JUPYTER_PLATFORM_DIRS",
        "JUPYTER_USE_PROGRAMDATA",
        "PATH",
        "USER",
        # set before they are imported (kernels.begin)
        "JPY_PARENT_PID",
    }
    assert sorted(found) == ["USER_BASE", "USER_SITE", "userbase"]


def test_what_kernels_import_looks_nowhere_and_runs_nothing(root: Path) -> None:
    code = LOOKS.replace("imports.everything()", KERNEL)
    looked, threads, tasks = told(root, "lab", code, **QUIET)
    # `uname -p`, by Python's own module platform
    assert {tuple(one) for one in looked} == {("subprocess.Popen", "subprocess")}
    assert (threads, tasks) == (1, 1)


@pytest.mark.parametrize("environment", ["lab", "rescue"])
def test_nothing_is_kept_of_the_home_or_the_network(root: Path, environment: str) -> None:
    looked, threads, tasks = told(root, environment, LOOKS)
    assert {tuple(one) for one in looked} == {
        # where the configuration is, to find the extensions: a server looks again
        ("home", "madang_lab.warm.imports"),
        ("home", "jupyter_server.config_manager"),
        # asked once more after the claim (imports.ANEW), by jupyterlab.labapp and urllib3.util.connection
        ("home", "jupyterlab.commands"),
        ("home", "jupyterlab_server.config"),
        ("socket.__new__", "urllib3.util.connection"),
        ("socket.bind", "urllib3.util.connection"),
        ("/etc/mime.types", "mimetypes"),
    }
    assert (threads, tasks) == (1, 1)
