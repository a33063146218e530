"""Instant start in server mode: a claimed container is what a new one is, is one person's, and leaves nothing.

The stack is of this module alone; its parts are killed here.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

import docker
import pytest
import requests
from conftest import missing
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from support.classroom import imported
from support.deployment import wait_for
from support.lending import ENGINES_CDI, Borrower, devices_in, specification
from support.notebook import notebook
from support.people import Person, newcomer
from support.warm_stack import CHOICE, Stack, warm_stack

from madang_hub.isolation import networks
from madang_hub.user_container import DEVICES_LABEL, LEASE_LABEL, SLOTS_LABEL

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

BASE = 2
NETWORK = "10.236.0.0/24"
VARIABLE = "STAND_IN_DEVICES"
"""By which the stand-in accelerator's CDI specification names its device in a container."""

FACTS = """
import json, os, platform, resource, signal, sys, locale, socket, tempfile
read = lambda name: open(name).read()
pid = os.getppid()
# a kernel of a warm server is forked by a process between
while "singleuser" not in read(f"/proc/{pid}/cmdline"):
    pid = int(read(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])
server = f"/proc/{pid}"
def lines(name, *starts):
    return [l for l in read(f"{server}/{name}").splitlines() if l.startswith(starts)]
def mounts():
    for line in read(f"{server}/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        # which part of what, where, how, and whether it is shared; not the numbers of mounts and groups
        shared = [word.partition(":")[0] for word in before.split()[6:]]
        yield [*before.split()[3:6], *shared, after.split()[0]]
print(json.dumps({
    "environ": dict(os.environ),
    "cwd": os.getcwd(),
    "path": sys.path,
    "locale": [locale.setlocale(locale.LC_ALL), sys.getfilesystemencoding(), tempfile.gettempdir()],
    "tmp": sorted(os.listdir("/tmp")),
    "run": sorted(os.listdir("/run")),
    "host": [socket.gethostname(), read("/etc/hostname")],
    "names": read("/etc/resolv.conf"),
    "interfaces": sorted(name for _, name in socket.if_nameindex()),
    "mounts": sorted(mounts()),
    "memory": [read("/sys/fs/cgroup/memory/memory.limit_in_bytes")
        if os.path.exists("/sys/fs/cgroup/memory") else read("/sys/fs/cgroup/memory.max")],
    "server cwd": os.readlink(f"{server}/cwd"),
    "server program": os.readlink(f"{server}/exe"),
    "server limits": read(f"{server}/limits"),
    "server status": lines(
        "status", "Name", "Umask", "Uid", "Gid", "Groups", "SigB", "SigI", "SigC", "Cap", "NoNew", "Seccomp"
    ),
    "server priority": read(f"{server}/stat").rpartition(")")[2].split()[15:17],
    "server scheduling": os.sched_getscheduler(pid),
    "server command": read(f"{server}/cmdline").rstrip("\\0").split("\\0"),
    "server files": sorted({os.readlink(f"{server}/fd/{n}") for n in os.listdir(f"{server}/fd")}),
    "oom": read(f"{server}/oom_score_adj"),
    "kernel scheduling": os.sched_getscheduler(0),
}))
"""


@pytest.fixture(scope="module")
def stack(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    data = tmp_path_factory.mktemp("warm") / "data"
    with warm_stack(engine, data, NETWORK, BASE) as made:
        yield made


@pytest.fixture(scope="module")
def hana(stack: Stack) -> Person:
    return newcomer(stack.deployment, "hana", language="en")


def facts(person: Person) -> dict[str, Any]:
    text = person.run(FACTS)
    for pattern, word in (
        (r"socket:\[\d+\]", "socket"),
        (r"pipe:\[\d+\]", "pipe"),
        (r"kernel-[0-9a-f-]+\.json", "kernel"),
        (r"[0-9a-f]{64}", "container"),
    ):
        text = re.sub(pattern, word, text)
    found: dict[str, Any] = json.loads(text)
    # which kinds: a warm one has a socket more, to what forks its kernels, and others come and go
    found["server files"] = sorted({*found["server files"]})
    for name in ("JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN", "MLFLOW_TRACKING_TOKEN"):
        assert len(found["environ"].pop(name)) > 20
    assert int(found["environ"].pop("JPY_PARENT_PID")) > 1
    return found


def said(container: Container, command: str) -> str:
    """What ``command`` prints in the container."""
    _, told = container.exec_run(["sh", "-c", command])
    assert isinstance(told, bytes)
    return told.decode()


def test_one_that_waits_has_no_network_no_secret_and_nobodys_files(stack: Stack) -> None:
    stack.filled()
    for container in stack.waiting():
        container.reload()
        assert container.status == "running"
        assert "Health" not in container.attrs["State"]
        assert container.attrs["NetworkSettings"]["Networks"] == {}
        assert not any("TOKEN" in line for line in container.attrs["Config"]["Env"])
        assert "madang.user" not in container.labels
        assert said(container, "ls /sys/class/net").split() == ["lo"]
        # the image's own
        assert {*said(container, "ls -A ~").split()} == {".bash_logout", ".bashrc", ".profile"}
        for place in ("~/x", "/run/madang/x"):
            assert re.search(
                "Read-only file system|Permission denied", said(container, f"touch {place}")
            )
    assert {c.labels["madang.warm"] for c in stack.waiting()} == stack.slots()


def test_a_claimed_container_is_what_a_new_one_is(stack: Stack, hana: Person) -> None:
    found, limits = {}, {}
    for how in ("cold", "warm"):
        stack.start(hana, how)
        found[how] = facts(hana)
        container = stack.server_of(hana)
        host = container.attrs["HostConfig"]
        limits[how] = {
            key: host[key]
            for key in (
                "Memory",
                "MemorySwap",
                "CpuQuota",
                "CpuPeriod",
                "PidsLimit",
                "CapDrop",
                "LogConfig",
            )
        }
        assert hana.run("open('kept.txt', 'a').write('x'); print(open('kept.txt').read())").strip()
        logs = b"".join(container.logs(stream=True, follow=False))
        assert b"JupyterLab" in logs
        hana.stop()
        assert f"{stack.instance}-user-hana" not in {c.name for c in stack.containers("user-")}
    network = [f["environ"].pop("JUPYTERHUB_SERVICE_URL") for f in found.values()]
    assert all(network)
    for name, cold in found["cold"].items():
        assert found["warm"][name] == cold, name
    assert limits["warm"] == limits["cold"]


def test_each_waiting_server_goes_to_one_person(stack: Stack) -> None:
    people = [newcomer(stack.deployment, f"quick{n}", language="en") for n in range(BASE + 1)]
    stack.filled()
    for person in people:
        reply = person.api("POST", f"/users/{person.name}/server", json=CHOICE)
        assert reply.status_code in (201, 202), reply.text
    for person in people:
        person.arrive()
        assert person.run(f"open('mine', 'w').write({person.name!r}); print('ok')").strip() == "ok"
    homes = stack.deployment.data / "homes"
    for person in people:
        assert (homes / person.name / "mine").read_text() == person.name
        names = json.loads(person.run("import json, os; print(json.dumps(os.listdir('/home')))"))
        assert names == ["madang"]
    used = [stack.server_of(p).labels["madang.network"] for p in people]
    assert len(set(used)) == len(people)
    for person in people:
        person.stop()


def test_without_the_mounter_a_start_is_cold_and_nobody_notices(stack: Stack, hana: Person) -> None:
    stack.filled(1)
    stack.part("mounter").kill()
    try:
        before = stack.metric("madang_cold_starts_total", reason="failed")
        hana.start(**CHOICE)
        assert stack.metric("madang_cold_starts_total", reason="failed") == before + 1
        assert "kept.txt" in hana.run("import os; print(os.listdir())")
        assert "madang.warm" not in stack.server_of(hana).labels
        hana.stop()
    finally:
        stack.part("mounter").start()
    stack.start(hana, "warm")
    hana.stop()


def test_a_hub_that_is_killed_leaves_only_peoples_servers(stack: Stack, hana: Person) -> None:
    stack.start(hana, "warm")
    with notebook(hana) as opened:
        opened.ask("kept = 41")
        stack.filled(1)
        before = {str(c.id) for c in stack.waiting()}
        stack.part("hub").kill()
        stack.part("hub").start()
        health = f"{stack.deployment.url}/hub/health"
        wait_for(lambda: requests.get(health, timeout=5).ok, "the Hub to be back", 90)
        wait_for(lambda: hana.server_ready, "the Hub to know the server")
        assert opened.ask("print(kept + 1)") == "42"
    stack.filled()
    assert not before & {str(c.id) for c in stack.waiting()}
    assert {c.labels["madang.warm"] for c in stack.waiting()} == stack.slots()
    hana.stop()
    with pytest.raises(ValueError, match="not enough values"):
        stack.server_of(hana)


def test_the_gateway_gives_nobody_a_second_one(stack: Stack, hana: Person) -> None:
    """A claimed container keeps its name and its network, also for a Hub that somebody else speaks for."""
    stack.start(hana, "warm")
    container = stack.server_of(hana)
    socket = stack.deployment.data / "run" / "engine" / "engine.sock"
    client = docker.APIClient(base_url=f"unix://{socket}", version="auto")
    try:
        with pytest.raises(APIError, match="403"):
            client.rename(str(container.id), f"{stack.instance}-user-other")
        plan = networks.plan(
            IPv4Network(NETWORK), int(container.labels["madang.network"]), instance=stack.instance
        )
        for index in (plan.index, plan.index + 1):
            with pytest.raises(APIError, match=r"in a network already|No such network|not found"):
                client.connect_container_to_network(
                    str(container.id),
                    networks.plan(IPv4Network(NETWORK), index, instance=stack.instance).name,
                    ipv4_address=str(plan.address),
                )
    finally:
        client.close()
    hana.stop()


# ---- accelerators ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def npu(engine: docker.DockerClient) -> Iterator[str]:
    """The kind of the one stand-in accelerator, which a container may not open without a lease."""
    if str(ENGINES_CDI) not in (engine.info().get("CDISpecDirs") or []):
        missing("an engine of scripts/engine, with a folder for CDI specifications")
    mark = f"mdw{secrets.token_hex(4)}"
    file, kind = ENGINES_CDI / f"{mark}.json", f"{mark}.example/npu"
    specification(file, kind, {"a": {"path": f"/dev/{mark}", "hostPath": "/dev/fuse"}}, VARIABLE)
    yield kind
    file.unlink()


@pytest.fixture(scope="module")
def borrowers(
    stack: Stack, npu: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Borrower]:
    room = imported(
        stack.deployment,
        "class:warm",
        "가속",
        {"annw": ("trainee", "안"), "benw": ("trainee", "벤")},
        tmp_path_factory.mktemp("lending"),
    )
    found = {name: Borrower(person) for name, person in room.people.items()}
    found["annw"].wait_for_slots(npu, 1)
    return found


def test_with_an_accelerator_a_warm_start_is_what_a_cold_one_is(
    stack: Stack, borrowers: dict[str, Borrower], npu: str
) -> None:
    ann, found = borrowers["annw"], {}
    for how in ("cold", "warm"):
        if how == "warm":
            # somebody has started one with such an accelerator, so the next one waits with it
            wait_for(lambda: stack.ready(f"lab/small/{npu}=a"), "one with the accelerator", 60)
            (waits,) = [c for c in stack.waiting() if SLOTS_LABEL in c.labels]
            assert {waits.labels[name] for name in (SLOTS_LABEL, DEVICES_LABEL)} == {f"{npu}=a"}
            assert LEASE_LABEL not in waits.labels
            (entry,) = (e for e in ann.get()["free"] if e["kind"] == npu)
            assert entry["free"] == 1, "one that waits is nobody's use"
        lease = ann.takes(npu)
        before = stack.metric("madang_server_starts_total", how=how)
        ann.person.start(**CHOICE)
        assert stack.metric("madang_server_starts_total", how=how) == before + 1
        found[how] = facts(ann.person)
        assert found[how]["environ"].pop("MADANG_LEASE") == lease
        assert found[how]["environ"][VARIABLE] == "a"
        found[how]["devices"] = devices_in(ann.person)
        container = stack.server_of(ann.person)
        found[how]["requests"] = container.attrs["HostConfig"]["DeviceRequests"]
        if how == "warm":
            assert container.id == waits.id
        # the broker knows whose it is: the Hub stops it, and the accelerator is free
        ann.step(lease, "give-back")
        assert ann.becomes(lease, "ended")["why"] == "released"
    del found["cold"]["environ"]["JUPYTERHUB_SERVICE_URL"]
    del found["warm"]["environ"]["JUPYTERHUB_SERVICE_URL"]
    for name, cold in found["cold"].items():
        assert found["warm"][name] == cold, name
    assert len(found["warm"]["devices"]) == 1


def test_one_that_waits_with_an_accelerator_is_gone_before_anothers_container_has_it(
    engine: docker.DockerClient, stack: Stack, borrowers: dict[str, Borrower], npu: str
) -> None:
    ben, began = borrowers["benw"], int(time.time())
    wait_for(lambda: stack.ready(f"lab/small/{npu}=a"), "one with the accelerator", 60)
    (waits,) = [c for c in stack.waiting() if SLOTS_LABEL in c.labels]
    ben.takes(npu)
    # not what waits
    ben.person.start(environment="lab", size="medium")
    theirs = stack.server_of(ben.person)
    assert theirs.labels[DEVICES_LABEL] == f"{npu}=a"
    assert len(devices_in(ben.person)) == 1
    moments = {
        (event["Actor"]["ID"], event["Action"]): event["timeNano"]
        for event in engine.events(
            since=began,
            until=int(time.time()) + 1,
            filters={"type": "container", "container": [str(waits.id), str(theirs.id)]},
            decode=True,
        )
    }
    assert moments[str(waits.id), "destroy"] < moments[str(theirs.id), "create"]
    # and none is made while somebody has it
    wanted = "madang_warm_servers_wanted"
    wait_for(lambda: not stack.metric(wanted, kind=f"lab/small/{npu}=a"), "the pool to know it")
    assert not [c for c in stack.waiting() if SLOTS_LABEL in c.labels]
    ben.person.stop()


def test_switched_off_nothing_waits_and_nothing_may_mount(stack: Stack, hana: Person) -> None:
    stack.filled(1)
    stack.deployment.extra["MADANG_WARM"] = "0"
    stack.deployment.up()
    assert not stack.waiting()
    with pytest.raises(NotFound):
        stack.part("mounter")
    hana.start(**CHOICE)
    assert "welcome" in hana.run("import os; print(os.listdir())")
    hana.stop()
