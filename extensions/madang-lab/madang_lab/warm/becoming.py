"""How a process that waited becomes the server that a cold start would have made.

A cold start is ``madang-start <program> <arguments>``: the script prepares the home, changes variables and
perhaps arguments, and then the program takes over its process. Here the script is run with a stand-in for the
program, which writes down what it was given; the process takes that over and runs the program in itself.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from madang_lab.warm import imports, title
from madang_lab.warm.claim import Claim

STAND_IN = Path(__file__).parent / "stand-in" / "jupyterhub-singleuser"
"""Named so because the rescue environment's script looks at the name of what it starts."""
NOT_FOUND = 127


@dataclass(frozen=True)
class Prepared:
    """What the start script made of a claim."""

    cwd: str
    arguments: list[str]
    environ: dict[str, str]


def prepare(claim: Claim) -> Prepared:
    """Run the start script as a cold start does.

    Raises:
        SystemExit: it ended the start; with its own exit status. What it said is on stderr.
    """
    done = subprocess.run(
        [claim.start, str(STAND_IN), *claim.command[1:]],
        env=dict(claim.environ),
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.returncode)
    cwd, count, *rest = os.fsdecode(done.stdout).removesuffix("\0").split("\0")
    arguments, pairs = rest[: int(count)], rest[int(count) :]
    environ = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return Prepared(cwd, arguments, environ)


def found(program: str, path: str | None) -> str:
    """The file of ``program``, looked for in the folders ``path`` as a shell does that starts it.

    Raises:
        SystemExit: there is none; with a shell's exit status for this.
    """
    file = program if "/" in program else shutil.which(program, path=path)
    if file is None:
        print(
            f"{program}: not found on PATH; the image lacks the server's program.", file=sys.stderr
        )
        raise SystemExit(NOT_FOUND)
    return file


def coerced(started: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Variables that Python itself set at its start, where the C locale was all it had (PEP 538)."""
    return {"LC_CTYPE": now["LC_CTYPE"]} if "LC_CTYPE" in now and "LC_CTYPE" not in started else {}


def ready(claim: Claim, added: Mapping[str, str]) -> str:
    """Make this process what the claimed server begins as, short of running it; returns the program's path.

    ``added``: variables that Python adds at its start.

    Raises:
        SystemExit: the start script ended the start, or there is no such program.
    """
    os.chdir(claim.cwd)
    prepared = prepare(claim)
    os.chdir(prepared.cwd)
    program = found(claim.command[0], prepared.environ.get("PATH"))
    if "_" in prepared.environ:  # where /bin/sh is bash
        prepared.environ["_"] = program
    os.environ.clear()
    os.environ.update({**prepared.environ, **added})
    imports.anew()
    sys.argv = [program, *prepared.arguments]
    sys.orig_argv = [sys.executable, *sys.argv]
    # a program that is run by its path has its own folder in front
    sys.path[0] = str(Path(program).parent)
    title.show(sys.orig_argv, prepared.environ, Path(program).name)
    return program


def run(program: str) -> None:
    """Run the server in this process, which is :func:`ready`; it ends with it.

    Raises:
        SystemExit: the server ended, or could not be started.
    """
    runpy.run_path(program, run_name="__main__")
