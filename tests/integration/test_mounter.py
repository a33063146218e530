"""The mounter for real: its process, and containers without an engine that wait for a home.

What it refuses is in ``test_mounter_refuses.py``.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest
from support.deployment import family, wait_for
from support.mounting import Site, watched
from support.namespaces import USER, Waiting

from madang_hub.mounter import client, rules
from madang_hub.mounter.client import NotMountedError, mount
from madang_hub.warm.names import slot_name


def test_a_home_comes_into_the_container_that_waits_and_nowhere_else(site: Site) -> None:
    with site.waiting() as (first, one), site.waiting() as (second, two), watched(site) as found:
        assert first.look()["home"] == ["of-the-image"]
        assert first.look()["slot"] == ["line"]
        site.claim(first, "kim", one)
        seen = first.look()
        assert seen["home"] == ["of-kim"]
        assert seen["slot"] is None, "the line's place is still there"
        places = [place for _, place in seen["mounts"]]
        assert places.count("/home/madang") == 1
        assert "/run/madang" not in places
        assert first.homes() == {str(site.homes / "kim")}
        assert second.look()["home"] == ["of-the-image"]
        site.claim(second, "james", two)
        assert second.look()["home"] == ["of-james"]
        assert first.look()["home"] == ["of-kim"]
    assert found == site.of_here() == []
    assert f"mounted kim in {one}\n" in site.log


def test_what_is_written_there_is_in_the_home(site: Site) -> None:
    with site.waiting() as (container, slot):
        site.claim(container, "kim", slot)
        (site.homes / "kim" / "later").touch()
        assert container.look()["home"] == ["later", "of-kim"]


def test_programs_in_the_container_never_see_another_home(site: Site) -> None:
    names = [f"person-{n}" for n in range(8)]
    for name in names:
        site.home(name)
    with ExitStack() as stack, watched(site) as found:
        # they look at all their mounts the whole time, before, during and after their claim and the others'
        waiting = [stack.enter_context(site.waiting(watch="yes")) for _ in names]
        for name, (container, slot) in zip(names, waiting, strict=True):
            site.claim(container, name, slot)
        for name, (container, _) in zip(names, waiting, strict=True):
            assert container.homes() == {str(site.homes / name)}
    assert found == []


def test_a_class_at_once_is_served_one_after_the_other(site: Site) -> None:
    with ExitStack() as stack:
        waiting = [stack.enter_context(site.waiting()) for _ in range(24)]
        claims = [Thread(target=site.claim, args=(c, "kim", s)) for c, s in waiting]
        for claim in claims:
            claim.start()
        for claim in claims:
            claim.join()
        assert {tuple(c.look()["home"]) for c, _ in waiting} == {("of-kim",)}


NAMESPACE = """
mount --bind "$1" "$1" && mount --make-shared "$1" && mount -t tmpfs tmpfs "$1/kim/disk"
touch "$1/kim/disk/of-the-disk"
shift
exec "$@"
"""


def test_a_disk_in_a_home_comes_along_and_what_is_mounted_later_does_not(site: Site) -> None:
    """The mounter's own namespace is as an operator may have made it: other namespaces follow its mounts."""
    for name in ("disk", "later"):
        (site.homes / "kim" / name).mkdir()
    site.stop()
    site.start("unshare", "--mount", "sh", "-ec", NAMESPACE, "sh", str(site.homes))
    with site.waiting() as (container, slot):
        site.claim(container, "kim", slot)
        mounted = [place for _, place in container.look()["mounts"]]
        assert mounted.count("/home/madang/disk") == 1
        later = ["mount", "-t", "tmpfs", "tmpfs", str(site.homes / "kim" / "later")]
        there = ["nsenter", "--mount", "--target", str(site.mounter.pid), *later]
        subprocess.run(there, check=True)
        assert [place for _, place in container.look()["mounts"]] == mounted
    assert site.of_here() == []


LISTENING = """
import sys
from madang_hub.mounter import __main__, kernel, service

inside = False
enter = kernel.enter

def noted(namespace):
    global inside
    enter(namespace)
    inside = True
    service.say(f"{len(sys.meta_path)} ways to load")

def heard(event, arguments):
    if inside and event in ("open", "import", "compile", "exec"):
        service.say(f"{event} {arguments[0]}")

kernel.enter = noted
sys.addaudithook(heard)
sys.exit(__main__.main())
"""


def test_it_loads_nothing_of_what_is_in_the_container(site: Site) -> None:
    site.stop()
    site.start(program=["-c", LISTENING])
    with site.waiting() as (container, slot):
        site.claim(container, "kim", slot)
        site.refusal(container, "kim", slot)
    assert site.log.count("0 ways to load\n") == 2
    words = ("open ", "import ", "compile ", "exec ")
    assert [line for line in site.log.splitlines() if line.startswith(words)] == ["open mountinfo"]


# ---- what goes wrong ------------------------------------------------------------------------------


def test_who_says_nothing_is_left_after_two_seconds_and_others_are_served(site: Site) -> None:
    with (
        site.waiting() as (container, slot),
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent,
    ):
        silent.settimeout(20)
        silent.connect(str(site.socket))
        begun = time.monotonic()
        site.claim(container, "kim", slot)
        assert time.monotonic() - begun < client.WAIT
        assert container.look()["home"] == ["of-kim"]
        assert rules.reason(silent.recv(999)) == "it took longer than 2 seconds"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as gone:
        gone.connect(str(site.socket))
    with site.waiting() as (container, slot):
        site.claim(container, "kim", slot)


def test_who_does_not_wait_for_the_answer(site: Site) -> None:
    with site.waiting() as (container, slot):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as hasty:
            hasty.connect(str(site.socket))
            request = rules.packet(rules.Request("kim", slot))
            socket.send_fds(hasty, [request], [container.namespace])
        wait_for(lambda: container.look()["home"] == ["of-kim"], "the home", 10)
        assert "no place for a home and a line" in site.refusal(container, "james", slot)
        assert container.look()["home"] == ["of-kim"]
    assert "Traceback" not in site.log


SWAP = """
import ctypes, sys
one, other = (word.encode() for word in sys.argv[1:])
swap = ctypes.CDLL(None).renameat2
while True:
    assert swap(-100, one, -100, other, 2) == 0
"""


def test_a_home_that_is_swapped_for_a_link_all_the_time(site: Site) -> None:
    outside = site.folder / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    os.chown(outside, USER, USER)
    (site.homes / "link").symlink_to(outside)
    swapper = subprocess.Popen(
        [sys.executable, "-ISc", SWAP, site.homes / "kim", site.homes / "link"]
    )
    mounted = refused = 0
    said = set()
    try:
        with watched(site) as found:
            while min(mounted, refused) < 100:
                assert mounted + refused < 2_000, (mounted, refused)
                with site.waiting() as (container, slot):
                    try:
                        site.claim(container, "kim", slot)
                    except NotMountedError as error:
                        said.add(str(error))
                        refused += 1
                        assert container.look()["home"] == ["of-the-image"]
                    else:
                        mounted += 1
                        assert container.look()["home"] == ["of-kim"]
    finally:
        assert swapper.poll() is None
        swapper.kill()
        swapper.wait()
    assert found == []
    assert said == {"the home is no folder that can be opened (Not a directory)"}


def test_a_mounter_that_is_killed_leaves_nothing_behind(site: Site) -> None:
    ends = set()
    with watched(site) as found:
        for n in range(20):
            with site.waiting() as (container, slot):
                said: list[str] = []

                def ask(container: Waiting = container, slot: str = slot) -> None:
                    try:
                        site.claim(container, "kim", slot)
                    except NotMountedError as error:
                        said.append(str(error))  # noqa: B023  # joined before the next turn

                asking = Thread(target=ask)
                asking.start()
                over = time.monotonic() + n * 0.0005
                while time.monotonic() < over:
                    pass
                site.stop(signal.SIGKILL)
                asking.join()
                ends.add(bool(said))
                assert container.look()["home"] in (["of-kim"], ["of-the-image"])
                if not said:
                    assert container.look()["home"] == ["of-kim"]
                site.start()
    assert found == site.of_here() == []
    assert ends == {True, False}, "killed in the middle, and after it was done"


def test_it_ends_when_told_and_finishes_what_it_does(site: Site) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent:
        silent.settimeout(20)
        silent.connect(str(site.socket))
        wait_for(lambda: len(family(site.mounter.pid)) == 2, "the request's process", 20)
        assert site.stop() == 0
        assert rules.reason(silent.recv(999)) == "it took longer than 2 seconds"
    assert not site.socket.exists()
    with pytest.raises(NotMountedError, match="the mounter does not answer"):
        mount(site.socket, "kim", slot_name(), 0)
    site.start()


def test_another_file_at_its_socket_is_left_alone(site: Site) -> None:
    site.stop()
    site.socket.write_text("kept")
    again = subprocess.run(site.mounter.args, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert f"cannot listen at {site.socket}: Address already in use." in again.stderr
    assert site.socket.read_text() == "kept"
    site.socket.unlink()
    site.start()


SYS_CHROOT, SYS_ADMIN = 18, 21
"""Capabilities by their numbers (capabilities(7))."""


def test_it_is_small(site: Site) -> None:
    """It runs on every machine with warm servers, all the time."""
    process = Path("/proc") / str(site.mounter.pid)
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
    assert int(status["CapEff"], 16) == 1 << SYS_ADMIN | 1 << SYS_CHROOT
    assert status["NoNewPrivs"] == "1"
    lines = (process / "smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))
    assert own < 16 * 1024, f"{own} KiB"
