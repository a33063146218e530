"""People's own packages in the real image: pip and uv, a restart, a shadow, a broken kernel, a full home."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.deployment import wait_for
from support.wheels import make_wheel

from images.containers import USER_IMAGES, Ended, Place, Running
from images.kernels import kernel, run_cell

pytestmark = [pytest.mark.images, pytest.mark.engine]

LAB = {"MADANG_ENVIRONMENT": "lab"}
FROM_FILES = "--no-index --find-links /home/madang/wheels"
BROKEN = "raise ImportError('broken on purpose')\n"


def wheel(place: Place, name: str, version: str, code: str = "", *requires: str) -> None:
    """A wheel in the person's home."""
    folder = place.home / "wheels"
    folder.mkdir(exist_ok=True)
    make_wheel(folder, name, version, code, *requires)
    for path in (folder, *folder.iterdir()):
        os.chown(path, 1000, 1000)


def terminal(server: Running, line: str) -> str:
    """What a line says in a terminal."""
    return server.run("madang-layer", "bash", "-c", line)


def packages(server: Running) -> dict[str, Any]:
    found: dict[str, Any] = server.session.get(f"{server.url}/madang/status", timeout=60).json()[
        "packages"
    ]
    return found


def layer(place: Place) -> Path:
    return place.home / ".madang" / "packages" / "lab-py3.11"


@pytest.mark.parametrize(
    "line",
    [
        f"%pip install {FROM_FILES} mine",
        f"!pip install {FROM_FILES} mine",
        f"!uv pip install {FROM_FILES} mine",
        f"%uv pip install {FROM_FILES} mine",
    ],
)
def test_what_a_notebook_installs_is_there_after_a_restart(fresh: Place, line: str) -> None:
    wheel(fresh, "mine", "1.0")
    code = "import mine, sys; print(mine.__version__, mine.__file__)"
    expected = "1.0 /home/madang/.madang/packages/lab-py3.11/lib/python3.11/site-packages/mine.py\n"
    with fresh.server("lab", **LAB) as server:
        run_cell(server, line)
        assert run_cell(server, code) == expected
    assert {path.lstat().st_uid for path in layer(fresh).rglob("*")} == {1000}
    assert list(layer(fresh).rglob("mine.*.pyc")), "not compiled"
    with fresh.server("lab", **LAB) as server:
        assert run_cell(server, code) == expected
        assert "mine 1.0" in terminal(server, "madang env list")
        # another environment is not touched by it
        with pytest.raises(AssertionError, match="No module named 'mine'"):
            run_cell(server, "import mine", "python3-plain")


def test_only_what_is_missing_is_installed(fresh: Place) -> None:
    """pip and uv count what the image has, and leave it where newer ones could be had."""
    wheel(fresh, "numpy", "99.0")
    wheel(fresh, "wanting", "1.0", "", "numpy>=2", "pandas")
    wheel(fresh, "longing", "1.0", "", "numpy>=2", "pandas")
    with fresh.server("lab", **LAB) as server:
        terminal(server, f"pip install {FROM_FILES} wanting")
        said = terminal(server, f"uv pip install {FROM_FILES} longing 2>&1")
        assert "longing==1.0" in said
        assert "numpy" not in said
        assert packages(server) == {"trouble": "", "shadows": [], "key": ""}
    names = {path.name for path in (layer(fresh) / "lib/python3.11/site-packages").iterdir()}
    assert "numpy.py" not in names
    assert {"wanting.py", "longing.py"} <= names


@pytest.mark.parametrize("tool", ["pip install", "uv pip install"])
def test_another_version_is_used_pointed_out_and_taken_back(fresh: Place, tool: str) -> None:
    wheel(fresh, "six", "99.0")
    code = "import six; print(six.__version__)"
    with fresh.server("lab", **LAB) as server:
        before = run_cell(server, code)
        terminal(server, f"{tool} {FROM_FILES} six==99.0")
        assert run_cell(server, code) == "99.0\n"
        assert run_cell(server, code, "python3-plain") == before
        [shadow] = packages(server)["shadows"]
        assert shadow == {
            "name": "six",
            "own": "99.0",
            "instead_of": before.strip(),
            "kernel": False,
        }
        said = terminal(server, "MADANG_LANG=en madang env list")
        assert f"six 99.0  (instead of {before.strip()})" in said
        assert "1" in terminal(server, "madang env reset")
        assert packages(server) == {"trouble": "", "shadows": [], "key": ""}
        assert run_cell(server, code) == before
        # and pip goes on to work in the very same terminal
        terminal(server, f"pip install {FROM_FILES} six==99.0 && pip uninstall -y six")
        assert run_cell(server, code) == before


def test_a_broken_kernel_neither_stops_the_server_nor_the_way_out(fresh: Place) -> None:
    wheel(fresh, "ipykernel", "99.0", BROKEN)
    wheel(fresh, "jupyter-server", "99.0", BROKEN)
    wheel(fresh, "tornado", "99.0", BROKEN)
    with fresh.server("lab", **LAB) as server:
        broken = "ipykernel==99.0 jupyter-server==99.0 tornado==99.0"
        terminal(server, f"pip install {FROM_FILES} --no-deps {broken}")
    # the server starts whatever is in the layer
    with fresh.server("lab", **LAB) as server:
        assert {one["name"] for one in packages(server)["shadows"] if one["kernel"]} == {
            "ipykernel",
            "tornado",
        }
        with kernel(server) as identity:
            wait_for(lambda: dies(server, identity), "the broken kernel's end", 60)
        assert run_cell(server, "print(6 * 7)", "python3-plain") == "42\n"
        run_cell(server, "!madang env reset", "python3-plain")
        assert run_cell(server, "print(6 * 7)") == "42\n"


def dies(server: Running, identity: str) -> bool:
    """Whether the kernel was started again, or given up."""
    reply = server.session.get(f"{server.url}/api/kernels/{identity}", timeout=60)
    return reply.status_code == 404 or reply.json()["execution_state"] in (
        "restarting",
        "autorestarting",
        "dead",
    )


@pytest.mark.parametrize(
    ("language", "name"),
    [("ko", "파이썬 (내 패키지 없이)"), ("en", "Python (without my packages)")],
)
def test_both_kernels_are_offered(fresh: Place, language: str, name: str) -> None:
    with fresh.server("base", MADANG_LANG=language) as server:
        found = server.session.get(f"{server.url}/api/kernelspecs", timeout=60).json()
        assert found["default"] == "python3"
        names = {key: spec["spec"]["display_name"] for key, spec in found["kernelspecs"].items()}
        assert names == {"python3": "Python 3 (ipykernel)", "python3-plain": name}
        assert all("logo-svg" in spec["resources"] for spec in found["kernelspecs"].values())


def test_a_terminal_runs_in_the_layer_and_the_server_does_not(fresh: Place) -> None:
    with fresh.server("lab", **LAB) as server:
        made = server.session.post(f"{server.url}/api/terminals", timeout=60)
        assert made.ok, made.text
        seen = "for p in /proc/[0-9]*; do tr '\\0' '\\n' < $p/environ 2>/dev/null | grep -q ^VIRTUAL_ENV= "
        seen += "&& tr '\\0' ' ' < $p/cmdline && echo; done; true"
        wait_for(lambda: "bash" in server.run("sh", "-c", seen), "the terminal's shell", 30)
        assert "singleuser" not in server.run("sh", "-c", seen)


def test_a_damaged_layer_is_repaired_at_the_next_start(fresh: Place) -> None:
    wheel(fresh, "mine", "1.0")
    with fresh.server("lab", **LAB) as server:
        terminal(server, f"pip install {FROM_FILES} mine")
        (layer(fresh) / "bin" / "python").unlink()
        (layer(fresh) / "pyvenv.cfg").write_text("")
        assert packages(server)["trouble"] == "broken"
    with fresh.server("lab", **LAB) as server:
        assert packages(server)["trouble"] == ""
        assert run_cell(server, "import mine; print(mine.__version__)") == "1.0\n"


@pytest.mark.parametrize("image", USER_IMAGES)
def test_in_a_full_home_a_kernel_starts_without(in_image: Callable[..., Ended], image: str) -> None:
    done = in_image(
        image,
        "head -c 1000000 /dev/zero > $HOME/full; "
        "madang-layer python -c 'import sys, ipykernel; print(sys.prefix)'",
        tmpfs={"/tmp": "mode=1777", "/home/madang": "size=64k,uid=1000,gid=1000"},
    )
    assert done.code == 0, done.log
    assert "/opt/madang\n" in done.log
    assert "홈 폴더가 가득" in done.log
