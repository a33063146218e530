"""The rescue environment starts where the others do not: in a home that is full, or not the person's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from images.containers import USER_IMAGES, Place
from images.kernels import run_cell

pytestmark = [
    pytest.mark.images,
    pytest.mark.engine,
    pytest.mark.skipif("rescue" not in USER_IMAGES, reason="not among the images asked for"),
]


@pytest.fixture
def full(fresh: Place) -> Iterator[Place]:
    """A place whose home is a small file system without a free byte."""
    home = fresh.home
    options = "size=2m,uid=1000,gid=1000,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "madang-full", str(home)], check=True)
    try:
        with pytest.raises(OSError, match="No space left"):
            (home / "큰 파일.bin").write_bytes(b"x" * 2**22)
        os.chown(home / "큰 파일.bin", 1000, 1000)
        yield replace(fresh, home=home)
    finally:
        subprocess.run(["umount", "--lazy", str(home)], check=True)


def test_a_full_home_is_cleaned_up_and_others_start_again(full: Place) -> None:
    done = full.run("base", "true")
    assert done.code == 73
    assert "홈 폴더가 가득 차서" in done.log
    with full.server("rescue") as server:
        listed = server.session.get(f"{server.url}/api/contents", timeout=60).json()["content"]
        assert "큰 파일.bin" in [row["name"] for row in listed]
        page = server.session.get(f"{server.url}/lab", timeout=60)
        assert page.status_code == 200
        gone = server.session.delete(f"{server.url}/api/contents/큰 파일.bin", timeout=60)
        assert gone.status_code == 204, gone.text
        # its own files are elsewhere
        assert list(full.home.iterdir()) == []
    assert full.run("base", "true").code == 0


def test_a_full_home_is_seen_and_emptied_from_a_kernel(full: Place) -> None:
    """Programs have another HOME there, and no layer of the person's."""
    (full.home / "큰 파일.bin").unlink()
    cache = full.home / ".cache" / "pip"
    cache.mkdir(parents=True)
    with pytest.raises(OSError, match="No space left"):
        (cache / "wheel").write_bytes(b"x" * 2**22)
    for path in (cache.parent, cache, cache / "wheel"):
        os.chown(path, 1000, 1000)
    with full.server("rescue", MADANG_ENVIRONMENT="rescue") as server:
        assert run_cell(server, "import sys; print(sys.prefix)") == "/opt/madang\n"
        assert ".cache/pip" in run_cell(server, "!madang space")
        assert (cache / "wheel").exists()
        run_cell(server, "!madang space clean --yes")
        assert not cache.exists()
    assert full.run("base", "true").code == 0


def test_a_home_of_somebody_else_is_shown_as_far_as_it_may_be(fresh: Place) -> None:
    (fresh.home / "seen.txt").write_text("kept")
    os.chown(fresh.home, 0, 0)
    fresh.home.chmod(0o755)
    assert fresh.run("base", "true").code == 77
    with fresh.server("rescue") as server:
        reply = server.session.get(f"{server.url}/api/contents/seen.txt", timeout=60)
        assert reply.json()["content"] == "kept"
