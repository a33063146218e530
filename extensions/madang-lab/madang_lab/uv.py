"""``uv`` in a layer: uv with the environment's packages in its sight.

uv looks for installed packages in a virtual environment's own folder and nowhere else (its issue 4466), so in
a layer it would fetch numpy anew for everything that needs numpy, and not in the environment's version. While
it runs, every package of the environment therefore has a *stand-in* in the layer: a ``.dist-info`` folder
whose ``METADATA`` is a link to the real one and whose ``RECORD`` lists nothing but itself. uv then resolves as
pip does: what fits stays, what does not is installed in front.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PathDistribution
from itertools import pairwise
from pathlib import Path

from madang_lab.layer import STAND_IN, Layer, is_stand_in, layer_of, site_of
from madang_lab.shadows import name_of

SEES = frozenset({"check", "freeze", "install", "list", "show", "tree"})
"""Words after ``uv pip`` for which the environment counts. Not ``uninstall``, which would seem to remove a
package of the environment, and not ``sync``, which means the layer alone."""
LINKED = ("METADATA", "WHEEL", "entry_points.txt")


def sees_the_environment(arguments: Sequence[str], environ: Mapping[str, str], layer: Path) -> bool:
    """Whether ``uv ARGUMENTS`` works on the packages of ``layer`` and should know what lies below."""
    words = [word for word in arguments if not word.startswith("-")]
    asked = any(one == "pip" and two in SEES for one, two in pairwise(words))
    return asked and environ.get("VIRTUAL_ENV") == str(layer)


@contextmanager
def stand_ins(layer: Layer) -> Iterator[None]:
    """Stand-ins for what the environment has and the layer has not, as long as this lasts.

    One uv at a time; stand-ins that an earlier one left when it was killed go first.
    """
    with (layer.folder / ".uv-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _remove(layer.site)
        try:
            _put(layer)
            yield
        finally:
            _remove(layer.site)


def _put(layer: Layer) -> None:
    taken = {_name(info) for info in layer.site.glob("*.dist-info")}
    for info in site_of(layer.prefix).glob("*.dist-info"):
        if _name(info) in taken:
            continue
        stand_in = layer.site / info.name
        stand_in.mkdir()
        (stand_in / "INSTALLER").write_text(f"{STAND_IN}\n", encoding="ascii")
        there = [file for file in LINKED if (info / file).is_file()]
        for file in there:
            (stand_in / file).symlink_to(info / file)
        rows = [f"{info.name}/{file},,\n" for file in (*there, "INSTALLER", "RECORD")]
        (stand_in / "RECORD").write_text("".join(rows), encoding="utf-8")


def _remove(site: Path) -> None:
    for info in site.glob("*.dist-info"):
        if is_stand_in(PathDistribution(info)):
            shutil.rmtree(info, ignore_errors=True)


def _name(info: Path) -> str:
    return name_of(info.name.partition("-")[0])


def main() -> int:
    """Run uv; its exit status."""
    layer = layer_of(os.environ)
    command = [str(layer.prefix / "bin" / "uv"), *sys.argv[1:]]
    if not sees_the_environment(sys.argv[1:], os.environ, layer.folder):
        os.execv(command[0], command)  # noqa: S606  # it is uv from here on
    try:
        # uv has it from the terminal as well, and ends by it; this waits and tidies up
        signal.signal(signal.SIGINT, lambda *_: None)
        with stand_ins(layer):
            return subprocess.call(command)
    except OSError as error:
        print(f"uv: {error.filename or layer.folder}: {error.strerror}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
