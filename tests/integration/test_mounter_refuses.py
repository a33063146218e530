"""What the mounter refuses: one sentence, and nothing is mounted anywhere."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
from collections.abc import Callable

import pytest
from support.mounting import Site
from support.namespaces import USER

from madang_hub.mounter import rules
from madang_hub.warm.names import slot_name


@pytest.mark.parametrize(
    "name", ["../kim", "kim/..", "..", ".", "", "Kim", "kim\n", "김", "a" * 256]
)
def test_odd_names_are_no_homes(site: Site, name: str) -> None:
    with site.waiting() as (container, slot):
        assert site.refusal(container, name, slot) == "the name of the home is not one"


@pytest.mark.parametrize("name", ["../warm", "..", "", "kim", "0" * 15, "0" * 17, "A" * 16])
def test_odd_names_are_no_slots(site: Site, name: str) -> None:
    with site.waiting() as (container, _):
        assert site.refusal(container, "kim", name) == "the name of the slot is not one"


def _link(site: Site) -> None:
    (site.homes / "odd").symlink_to("kim")


def _link_outside(site: Site) -> None:
    outside = site.folder / "outside"
    outside.mkdir()
    os.chown(outside, USER, USER)
    (site.homes / "odd").symlink_to(outside)


def _file(site: Site) -> None:
    (site.homes / "odd").touch()
    os.chown(site.homes / "odd", USER, USER)


def _of_another(site: Site) -> None:
    site.home("odd", 0)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _: None, "the home is no folder that can be opened (No such file or directory)"),
        (_link, "the home is no folder that can be opened (Not a directory)"),
        (_link_outside, "the home is no folder that can be opened (Not a directory)"),
        (_file, "the home is no folder that can be opened (Not a directory)"),
        (_of_another, "the home belongs to account 0 and not to 1000"),
    ],
)
def test_what_is_no_home_is_not_mounted(site: Site, make: Callable[[Site], None], why: str) -> None:
    make(site)
    with site.waiting() as (container, slot):
        assert site.refusal(container, "odd", slot) == why
        assert f"refused: {why}\n" in site.log
        # the container that waits is as good as before
        site.claim(container, "kim", slot)
        assert container.look()["home"] == ["of-kim"]


def test_only_the_container_of_the_slot_gets_a_home(site: Site) -> None:
    why = "the mount namespace is not that of the slot's container"
    with site.waiting() as (first, one), site.waiting() as (second, two):
        assert site.refusal(first, "kim", two) == why
        assert site.refusal(second, "kim", one) == why
    with site.maker.container(None) as container:
        assert site.refusal(container, "kim", site.slot().name) == why
    gone = slot_name()
    with site.waiting() as (container, slot):
        assert "the slot has no folder" in site.refusal(container, "kim", gone)
        (site.folder / "warm" / gone).symlink_to(slot)
        assert "the slot has no folder" in site.refusal(container, "kim", gone)


def test_the_mounter_itself_gets_no_home(site: Site) -> None:
    slot = site.slot()
    kept = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    with site.maker.container(slot) as container:
        why = site.says(rules.packet(rules.Request("kim", slot.name)), [kept])
        os.close(kept)
        assert why == "the mount namespace is the mounter's own"
        site.claim(container, "kim", slot.name)
    assert site.of_here() == []


def test_the_host_itself_gets_no_home(site: Site) -> None:
    """The mounter in a namespace of its own, as in its container; the descriptor is that of the machine."""
    site.stop()
    site.start("unshare", "--mount")
    with site.waiting() as (container, slot):
        kept = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        why = site.says(rules.packet(rules.Request("kim", slot)), [kept])
        os.close(kept)
        # which of the two it meets first depends on what the machine has at these places
        assert why.startswith(("the container has no place", "the mount namespace is not that"))
        site.claim(container, "kim", slot)
        assert container.look()["home"] == ["of-kim"]
    assert site.of_here() == []


def test_descriptors_that_are_no_mount_namespace(site: Site) -> None:
    with site.waiting() as (container, slot), socket.socket() as other:
        request = rules.packet(rules.Request("kim", slot))
        folder = os.open(site.homes, os.O_RDONLY)
        network = os.open("/proc/self/ns/net", os.O_RDONLY)
        named = os.open("/proc/self/ns/mnt", os.O_PATH)
        process = os.pidfd_open(os.getpid())
        opened = [folder, network, named, process]
        try:
            for one in (*opened, other.fileno()):
                assert site.says(request, [one]) == "the descriptor is not a mount namespace"
            for several in ([], [container.namespace] * 2, [container.namespace] * 40):
                assert site.says(request, several) == "exactly one descriptor belongs to a request"
        finally:
            for one in opened:
                os.close(one)
        assert container.look()["home"] == ["of-the-image"]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"place": "link"}, "the container has no place for a home and a line"),
        ({"place": "mount"}, "the container has a home already"),
        ({"place": "above"}, "the container has no place for a home and a line"),
        ({"shared": "/"}, "what is done to the container's mounts would be seen outside it"),
        ({"shared": "/run"}, "what is done to the container's mounts would be seen outside it"),
    ],
)
def test_containers_that_are_not_as_they_should_be(
    site: Site, how: dict[str, str], why: str
) -> None:
    with site.waiting(**how) as (container, slot):
        assert site.refusal(container, "kim", slot).startswith(why)


def test_nobody_gets_a_second_home(site: Site) -> None:
    with site.waiting() as (container, slot):
        site.claim(container, "kim", slot)
        for name in ("james", "kim"):
            assert "no place for a home and a line" in site.refusal(container, name, slot)
        assert container.look()["home"] == ["of-kim"]


@pytest.mark.parametrize(
    "text",
    [b"{", b"\xff\xfe", b"[]", b"1", b"{}", b'{"home": "kim"}', b"[" * 1000,
     b'{"home": "kim", "slot": "S", "more": 1}', b'{"home": "kim", "home": "kim", "slot": "S"}',
     b'{"home": 1, "slot": "S"}', b'{"home": ["kim"], "slot": "S"}',
     b'{"home": "kim", "slot": "S"}' + b" " * 1024,
     b'{"home": "kim", "slot": null}',
     b'[["home", "kim"], ["slot", "S"]]', b" " * (rules.MAX_PACKET + 1), b"x" * 100_000],
)  # fmt: skip
def test_what_is_no_request(site: Site, text: bytes) -> None:
    with site.waiting() as (container, slot):
        said = site.says(text.replace(b"S", slot.encode()), [container.namespace])
        assert said.startswith(("the request ", "the name of the "))
        assert container.look()["home"] == ["of-the-image"]
        site.claim(container, "kim", slot)
    assert "Traceback" not in site.log


OTHER = """
import json, socket, sys
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    line.connect(sys.argv[1])
    socket.send_fds(line, [sys.argv[2].encode()], [int(sys.argv[3])])
    print(line.recv(999).decode())
except PermissionError:
    print("closed")
"""


def test_other_accounts_are_not_served(site: Site) -> None:
    assert stat.S_IMODE(site.socket.stat().st_mode) == 0o600
    with site.waiting() as (container, slot):
        request = rules.packet(rules.Request("kim", slot)).decode()

        def asked() -> str:
            # by a descriptor of its folder: those above, the tests' own, are closed as well
            near = os.open(site.socket.parent, os.O_PATH)
            command = [
                "/usr/bin/env",
                "python3",
                "-c",
                OTHER,
                f"/proc/self/fd/{near}/{site.socket.name}",
            ]
            done = subprocess.run(
                [*command, request, str(container.namespace)],
                user=USER, group=USER, extra_groups=[], pass_fds=[container.namespace, near],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            os.close(near)
            return done.stdout.strip()

        assert asked() == "closed", "the socket's folder"
        # even where the modes had been loosened
        site.socket.parent.chmod(0o755)
        assert asked() == "closed", "the socket"
        site.socket.chmod(0o666)
        assert json.loads(asked()) == {"refused": "only the Hub may ask"}
        assert container.look()["home"] == ["of-the-image"]
