"""What somebody can do from inside their own server: nothing to others, nothing to the machine."""

from __future__ import annotations

import json
import subprocess

import pytest

from madang_hub.user_container import SERVER_PORT

from .conftest import Guard, Machine, Outside, Server, greeted, listener

pytestmark = pytest.mark.engine


def own_addresses() -> list[str]:
    """Every IPv4 address of the machine but loopback's."""
    found = subprocess.run(
        ["ip", "-json", "-4", "addr"], capture_output=True, check=True, text=True
    ).stdout
    return [
        info["local"]
        for link in json.loads(found)
        if link["ifname"] != "lo"
        for info in link.get("addr_info", [])
    ]


# ---- the network ---------------------------------------------------------------------------------


def test_the_machine_reaches_a_server_and_the_server_the_proxy(
    alice: Server, machine: Machine
) -> None:
    # without this, everything below would pass with a cable that is cut
    assert greeted(str(alice.plan.address), SERVER_PORT)
    assert alice.reaches("hub.madang", machine.port)


def test_no_way_to_another_server(alice: Server, bob: Server) -> None:
    assert greeted(str(bob.plan.address), SERVER_PORT)
    assert not alice.reaches(str(bob.plan.address), SERVER_PORT)


def test_no_other_port_of_the_machine(
    alice: Server, bob: Server, machine: Machine, guard: Guard
) -> None:
    with listener() as database:
        addresses = own_addresses()
        assert str(alice.plan.gateway) in addresses
        assert str(bob.plan.gateway) in addresses
        assert [a for a in addresses if alice.reaches(a, database)] == []
        assert alice.reaches(str(alice.plan.gateway), machine.port)
        # the protection is the guard: without it the engine's networks leave all of them open
        with guard.away():
            assert alice.reaches(str(alice.plan.gateway), database)
        assert not alice.reaches(str(alice.plan.gateway), database)


def test_loopback_services_stay_there(alice: Server) -> None:
    with listener("127.0.0.1") as hub_api:
        for address in ["127.0.0.1", str(alice.plan.gateway)]:
            assert not alice.reaches(address, hub_api)


def test_no_metadata_and_no_private_network_but_the_internet(
    alice: Server, outside: Outside, guard: Guard
) -> None:
    assert alice.reaches(outside.public, outside.port)
    assert not alice.reaches(outside.metadata, outside.port)
    assert not alice.reaches(outside.private, outside.port)
    with guard.away():
        assert alice.reaches(outside.metadata, outside.port)
        assert alice.reaches(outside.private, outside.port)


def test_allowed_networks_open_and_the_metadata_address_does_not(
    alice: Server, outside: Outside, guard: Guard
) -> None:
    guard.stop()
    guard.allow = "10.99.99.0/24, 0.0.0.0/0"
    try:
        guard.file.unlink(missing_ok=True)
        guard.start()
        assert alice.reaches(outside.private, outside.port)
        assert not alice.reaches(outside.metadata, outside.port)
    finally:
        guard.stop()
        guard.allow = ""
        guard.file.unlink(missing_ok=True)
        guard.start()
    assert not alice.reaches(outside.private, outside.port)


def test_a_neighbour_of_the_machine_does_not_reach_a_server(
    alice: Server, outside: Outside
) -> None:
    script = f"timeout 2 bash -c '</dev/tcp/{alice.plan.address}/{SERVER_PORT}' && echo open"
    assert "open" not in outside.run("bash", "-c", script, check=False)


def test_no_ipv6(alice: Server) -> None:
    assert alice.inside("cat /proc/net/if_inet6 2>/dev/null | grep -v ' lo$'") == ""


def test_no_raw_sockets(alice: Server) -> None:
    for family, kind, protocol in [(2, 3, 1), (17, 3, 768)]:
        said = alice.inside(
            f"perl -e 'socket(my $s, {family}, {kind}, {protocol}) and print qq(open)'"
        )
        assert "open" not in said


# ---- the container -------------------------------------------------------------------------------


def status(server: Server) -> dict[str, str]:
    lines = server.inside("cat /proc/self/status").splitlines()
    return {k: v.strip() for k, _, v in (line.partition(":") for line in lines)}


def test_nobody_special(alice: Server) -> None:
    found = status(alice)
    assert found["Uid"].split() == ["1000"] * 4
    assert found["Gid"].split() == ["1000"] * 4
    assert found["Groups"].split() in ([], ["1000"])
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(found[kind], 16) == 0
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2"


@pytest.mark.parametrize(
    "attempt",
    [
        "unshare --user --map-root-user true",
        "unshare --mount true",
        "mount -t tmpfs none /tmp",
        "mknod /tmp/disk b 8 0",
        "chroot / true",
        "hostname other",
        "echo 1 > /proc/sys/kernel/sysrq",
        "echo c > /proc/sysrq-trigger",
        "echo 1 > /sys/kernel/profiling",
        "head -c 1 /proc/kcore | grep -q .",
        "mkdir /sys/fs/cgroup/pids/out || mkdir /sys/fs/cgroup/out",
        "echo -1000 > /proc/self/oom_score_adj",
        "touch /x || touch /etc/x || touch /usr/bin/x || touch /var/x || touch /opt/x",
        "su -c true",
        "cp /bin/true /tmp/t && chown root /tmp/t",
    ],
)
def test_refused_inside(alice: Server, attempt: str) -> None:
    assert alice.inside(f"({attempt}) >/dev/null 2>&1 && echo done") == ""
    assert alice.running


def test_the_first_process_cannot_be_killed(alice: Server) -> None:
    alice.inside("kill -9 1")
    assert alice.running


def test_only_the_own_home_and_scratch_space_are_writable(alice: Server) -> None:
    mounts = [line.split() for line in alice.inside("cat /proc/mounts").splitlines()]
    writable = {m[1] for m in mounts if "rw" in m[3].split(",")}
    virtual = {m[1] for m in mounts if m[1].startswith(("/proc", "/sys", "/dev"))}
    given = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}
    assert writable - virtual - given == {"/home/madang", "/tmp", "/run"}
    # the engine's own three files are root's
    assert (
        alice.inside("for f in /etc/hosts /etc/resolv.conf; do echo x >> $f; done 2>&1").count(
            "denied"
        )
        == 2
    )
    for place in ("/tmp", "/run"):
        options = next(m[3].split(",") for m in mounts if m[1] == place)
        assert {"nosuid", "nodev"} <= set(options)
    assert alice.inside("touch /home/madang/mine && echo kept").strip() == "kept"


def test_other_homes_are_not_there(alice: Server, bob: Server, machine: Machine) -> None:
    (machine.homes / "bob" / "secret").write_text("bob's")
    assert alice.inside(f"ls -A /home; ls {machine.homes} 2>/dev/null").split() == ["madang"]
    assert "bob" not in alice.inside("cat /proc/mounts")
    # a link out of the home leads nowhere
    alice.inside(f"ln -s {machine.homes}/bob /home/madang/link")
    assert "bob's" not in alice.inside("cat /home/madang/link/secret 2>&1")


def test_no_engine_and_no_devices(alice: Server) -> None:
    found = alice.inside("find / -xdev \\( -type s -o -type b \\) 2>/dev/null; ls /run /var/run")
    assert ".sock" not in found
    assert "/dev/sd" not in found
    assert alice.inside("find /dev -type b") == ""


def test_processes_of_others_are_not_seen(alice: Server, bob: Server) -> None:
    assert "bob" not in alice.inside("cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert int(alice.inside("ls -d /proc/[0-9]* | wc -l")) < 12


# ---- greed ---------------------------------------------------------------------------------------

FORKS = """
my $n = 0;
while ($n < 400 and defined(my $p = fork)) { sleep 1, exit unless $p; $n++ }
1 while wait > 0;
print $n
"""
"""How many processes there can be beside each other. They are gone when it is said: as long as they fill the
limit, the engine has no room to run the next command ("read init-p: connection reset by peer")."""


def test_a_fork_bomb_stops_at_the_limit(alice: Server, bob: Server, machine: Machine) -> None:
    made = int(alice.inside(f"perl -e '{FORKS}'"))
    assert 0 < made <= machine.choice.size.pids
    assert alice.running
    assert greeted(str(bob.plan.address), SERVER_PORT)


def test_a_memory_hog_kills_itself_only(alice: Server, bob: Server, machine: Machine) -> None:
    size = machine.choice.size.memory
    said = alice.inside(f"perl -e 'my $x = chr(65) x {2 * size}; print 1'; echo ended $?")
    assert "ended 137" in said
    assert greeted(str(alice.plan.address), SERVER_PORT)
    assert greeted(str(bob.plan.address), SERVER_PORT)
    # scratch space is memory too, and has its limit
    said = alice.inside("head -c 1G /dev/zero > /tmp/full; echo ended $?; rm -f /tmp/full")
    assert "ended 0" not in said
    assert greeted(str(bob.plan.address), SERVER_PORT)


# ---- the detectors -------------------------------------------------------------------------------


def test_without_protection_the_same_attempts_succeed(
    unprotected: Server, machine: Machine
) -> None:
    found = status(unprotected)
    assert found["Uid"].split()[0] == "0"
    assert int(found["CapBnd"], 16) != 0
    assert found["NoNewPrivs"] == "0"
    for attempt in (
        "touch /x && touch /etc/x",
        "cp /bin/true /tmp/t && chown 1 /tmp/t",
        "su -c true",
        "mknod /tmp/disk c 1 3",
    ):
        said = unprotected.inside(f"({attempt}) >/dev/null 2>&1 && echo done")
        assert said.strip() == "done", attempt
    raw = unprotected.inside("perl -e 'socket(my $s, 2, 3, 1) and print qq(open)'")
    assert raw == "open"
    assert int(unprotected.inside(f"perl -e '{FORKS}'")) > machine.choice.size.pids
    size = machine.choice.size.memory
    said = unprotected.inside(f"perl -e 'my $x = chr(65) x {2 * size}; print 1'; echo ended $?")
    assert "ended 0" in said
