"""The rules of the engine's gateway, row by row: what passes, and one denial for each rule."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from ipaddress import IPv4Network
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bodies import Change, bind, cases, host, label, top, without

from madang_hub.engine import bodies, ours, policy
from madang_hub.engine.checks import MAX_BODY
from madang_hub.engine.policy import Decision, Subject, decide
from madang_hub.engine.rules import Rules

RULES = Rules(
    images=frozenset({"madang/lab:0.1.0"}),
    homes=PurePosixPath("/srv/madang/homes"),
    pool=IPv4Network("10.213.0.0/20"),
    max_memory=4 * 2**30,
    max_cpu=2.0,
    max_pids=1024,
    read_only_binds={"/data": "/srv/data"},
    devices=frozenset({"nvidia.com/gpu=0"}),
)
CREATE = "/v1.45/containers/create"


def server() -> dict[str, Any]:
    """A body as docker-py writes it for a user server (``None`` where it sets nothing)."""
    return {
        "Hostname": "alice", "Domainname": None, "User": "1000:1000", "Tty": False,
        "ExposedPorts": {"8888/tcp": {}}, "OpenStdin": False, "StdinOnce": False,
        "AttachStdin": False, "AttachStdout": True, "AttachStderr": True,
        "Env": ["JUPYTERHUB_API_TOKEN=secret"], "Cmd": ["jupyterhub-singleuser"],
        "Image": "madang/lab:0.1.0", "Volumes": {"/home/madang": {}}, "NetworkDisabled": False,
        "Entrypoint": None, "WorkingDir": None, "MacAddress": None, "StopSignal": None,
        "Healthcheck": None, "StopTimeout": None, "Runtime": None,
        "Labels": {"madang.instance": "madang", "madang.user": "alice", "madang.server": ""},
        "HostConfig": {
            "NetworkMode": "madang-u-1", "Binds": ["/srv/madang/homes/alice:/home/madang:rw"],
            "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"], "Memory": 2**30,
            "MemorySwap": 2**30, "CpuQuota": 100_000, "CpuPeriod": 100_000, "PidsLimit": 512,
            "ReadonlyRootfs": True, "Init": True, "AutoRemove": False, "Links": [],
            "ExtraHosts": ["hub.madang:10.213.0.9"],
            "Tmpfs": {"/tmp": "rw,nosuid,nodev,exec,size=536870912,mode=1777"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "5m", "max-file": "2"}},
        },
        "NetworkingConfig": {
            "EndpointsConfig": {"madang-u-1": {"IPAMConfig": {"IPv4Address": "10.213.0.10"}}}
        },
    }  # fmt: skip


def create(body: Any, query: str = "name=madang-user-alice", rules: Rules = RULES) -> Decision:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decide("POST", CREATE, query, text, rules)


def test_a_user_server_passes_and_is_written_anew() -> None:
    decision = create(server())
    assert decision.allow, decision.reason
    assert decision.call == "create"
    assert decision.query == (("name", "madang-user-alice"),)
    assert decision.body is not None
    sent = json.loads(decision.body)
    host = sent["HostConfig"]
    assert sent["User"] == "1000:1000"
    assert host["Binds"] == ["/srv/madang/homes/alice:/home/madang:rw,rprivate"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
    assert host["IpcMode"] == "private"
    assert "Privileged" not in host
    assert "Domainname" not in sent


def test_what_is_written_passes_again_unchanged() -> None:
    once = create(server()).body
    assert once is not None
    again = once.replace(b":rw,rprivate", b":rw")
    assert create(again).body == once


def lent(*names: str, **labels: str | None) -> Change:
    """With these devices, and the labels of a lease unless ``labels`` say otherwise."""
    said = {"madang_lease": "0" * 32, "madang_slots": "GPU-1", "madang_devices": " ".join(names)}

    def change(body: dict[str, Any]) -> None:
        host(DeviceRequests=[{"Driver": "cdi", "DeviceIDs": [*names]}])(body)
        label(**{key: text for key, text in {**said, **labels}.items() if text is not None})(body)

    return change


HOME = "/srv/madang/homes"
DENIED: list[tuple[str, Change, str]] = [
    ("another image", top(Image="madang/hub:0.1.0"), "catalogue"),
    ("image by digest", top(Image="sha256:" + "0" * 64), "catalogue"),
    ("no image", without("Image"), "Image"),
    ("root", top(User="root"), "User"),
    ("root by number", top(User="0:0"), "User"),
    ("the image's user", top(User=""), "User"),
    ("no user", without("User"), "User"),
    ("user with the group of root", top(User="1000:0"), "User"),
    ("unknown key", top(Platform="linux"), "Platform"),
    ("key in small letters", top(image="madang/hub:0.1.0"), "image"),
    ("unknown host key", host(Foo=1), "Foo"),
    ("host key in small letters", host(privileged=True), "privileged"),
    ("privileged", host(Privileged=True), "Privileged"),
    ("privileged as number", host(Privileged=1), "Privileged"),
    ("added capability", host(CapAdd=["SYS_ADMIN"]), "CapAdd"),
    ("kept capabilities", host(CapDrop=["NET_RAW"]), "CapDrop"),
    ("no dropped capabilities", without("CapDrop"), "CapDrop"),
    ("new privileges", host(SecurityOpt=[]), "no-new-privileges"),
    ("new privileges allowed", host(SecurityOpt=["no-new-privileges:false"]), "no-new-privileges"),
    ("no seccomp", host(SecurityOpt=["no-new-privileges", "seccomp=unconfined"]), "SecurityOpt"),
    ("no apparmor", host(SecurityOpt=["no-new-privileges", "apparmor=unconfined"]), "SecurityOpt"),
    ("open /proc", host(SecurityOpt=["no-new-privileges", "systempaths=unconfined"]), "Security"),
    ("host network", host(NetworkMode="host"), "NetworkMode"),
    ("default network", host(NetworkMode="default"), "NetworkMode"),
    ("network of a container", host(NetworkMode="container:madang-hub"), "NetworkMode"),
    ("network of another instance", host(NetworkMode="other-u-1"), "NetworkMode"),
    ("network outside of the pool", host(NetworkMode="madang-u-512"), "NetworkMode"),
    ("network as number", host(NetworkMode=1), "NetworkMode"),
    ("host processes", host(PidMode="host"), "PidMode"),
    ("host IPC", host(IpcMode="host"), "IpcMode"),
    ("shared IPC", host(IpcMode="shareable"), "IpcMode"),
    ("host name space", host(UTSMode="host"), "UTSMode"),
    ("host users", host(UsernsMode="host"), "UsernsMode"),
    ("host cgroups", host(CgroupnsMode="host"), "CgroupnsMode"),
    ("cgroup parent", host(CgroupParent="/"), "CgroupParent"),
    ("runtime", host(Runtime="runc-evil"), "Runtime"),
    ("runtime at the top", top(Runtime="nvidia"), "Runtime"),
    ("sysctls", host(Sysctls={"net.ipv4.ip_forward": "1"}), "Sysctls"),
    ("volumes of others", host(VolumesFrom=["madang-database"]), "VolumesFrom"),
    ("links", host(Links=["madang-database:db"]), "Links"),
    ("published port", host(PortBindings={"8888/tcp": [{"HostPort": "80"}]}), "PortBindings"),
    ("all ports", host(PublishAllPorts=True), "PublishAllPorts"),
    ("device", host(Devices=[{"PathOnHost": "/dev/sda"}]), "Devices"),
    ("device rule", host(DeviceCgroupRules=["a *:* rwm"]), "DeviceCgroupRules"),
    ("mount", host(Mounts=[{"Type": "bind", "Source": "/", "Target": "/m"}]), "Mounts"),
    ("group", host(GroupAdd=["0"]), "GroupAdd"),
    ("no OOM killer", host(OomKillDisable=True), "OomKillDisable"),
    ("OOM score", host(OomScoreAdj=-1000), "OomScoreAdj"),
    ("ulimits", host(Ulimits=[{"Name": "core", "Soft": -1, "Hard": -1}]), "Ulimits"),
    ("unmasked paths", host(MaskedPaths=["x"]), "MaskedPaths"),
    ("restart", host(RestartPolicy={"Name": "always"}), "RestartPolicy"),
    ("writable root", host(ReadonlyRootfs=False), "ReadonlyRootfs"),
    ("no memory limit", without("Memory"), "Memory"),
    ("no memory limit as 0", host(Memory=0, MemorySwap=0), "Memory"),
    ("memory beyond the limit", host(Memory=2**33, MemorySwap=2**33), "Memory"),
    ("memory as text", host(Memory="1g"), "Memory"),
    ("memory as yes", host(Memory=True, MemorySwap=True), "Memory"),
    ("endless swap", host(MemorySwap=-1), "MemorySwap"),
    ("no swap limit", without("MemorySwap"), "MemorySwap"),
    ("no process limit", without("PidsLimit"), "PidsLimit"),
    ("endless processes", host(PidsLimit=-1), "PidsLimit"),
    ("processes beyond the limit", host(PidsLimit=4096), "PidsLimit"),
    ("no CPU limit", host(CpuQuota=0), "CpuQuota"),
    ("endless CPU", host(CpuQuota=-1), "CpuQuota"),
    ("CPU beyond the limit", host(CpuQuota=300_000), "CpuQuota"),
    ("CPU by a short period", host(CpuQuota=100_000, CpuPeriod=10_000), "CpuQuota"),
    ("two CPU limits", host(NanoCpus=10**9), "NanoCpus"),
    ("the homes' root", bind(f"{HOME}:/home/madang:rw"), "Binds"),
    ("the homes' root with a slash", bind(f"{HOME}/:/home/madang:rw"), "Binds"),
    ("up", bind(f"{HOME}/..:/home/madang:rw"), "Binds"),
    ("up and down", bind(f"{HOME}/../secrets:/home/madang:rw"), "Binds"),
    ("below a home", bind(f"{HOME}/alice/link:/home/madang:rw"), "Binds"),
    ("here", bind(f"{HOME}/.:/home/madang:rw"), "Binds"),
    ("the host", bind("/:/home/madang:rw"), "Binds"),
    ("the engine's socket", bind("/var/run/docker.sock:/home/madang"), "Binds"),
    ("the socket elsewhere", bind("/var/run/docker.sock:/var/run/docker.sock"), "Binds"),
    ("a volume", bind("homes:/home/madang:rw"), "Binds"),
    ("shared mount", bind(f"{HOME}/alice:/home/madang:rw,shared"), "Binds"),
    ("relabelled", bind(f"{HOME}/alice:/home/madang:rw,Z"), "Binds"),
    ("two homes", bind(f"{HOME}/a:/home/madang:rw", f"{HOME}/b:/home/madang:rw"), "Binds"),
    ("a home elsewhere", bind(f"{HOME}/bob:/mnt:rw"), "Binds"),
    ("data to write", bind("/srv/data:/data:rw"), "Binds"),
    ("other data", bind("/etc:/data:ro"), "Binds"),
    ("bind as object", host(Binds={"/": "/mnt"}), "Binds"),
    ("anonymous volume", top(Volumes={"/var/x": {}}), "Volumes"),
    ("tmpfs elsewhere", host(Tmpfs={"/home": "size=1m,nosuid,nodev"}), "Tmpfs"),
    ("tmpfs without a size", host(Tmpfs={"/tmp": "nosuid,nodev"}), "size"),
    ("tmpfs too large", host(Tmpfs={"/tmp": "nosuid,nodev,size=9g"}), "Tmpfs"),
    ("tmpfs with set-uid", host(Tmpfs={"/tmp": "suid,nodev,size=1m"}), "Tmpfs"),
    ("tmpfs with devices", host(Tmpfs={"/tmp": "nosuid,size=1m"}), "nodev"),
    ("endless log", host(LogConfig={"Type": "json-file", "Config": {}}), "max-size"),
    ("log to elsewhere", host(LogConfig={"Type": "syslog", "Config": {}}), "LogConfig"),
    ("log with an address", host(LogConfig={"Type": "local", "Config": {"env": "x"}}), "LogConfig"),
    ("no log limit", without("LogConfig"), "LogConfig"),
    ("large shared memory", host(ShmSize=2**40), "ShmSize"),
    ("host of another's network", host(ExtraHosts=["hub.madang:10.213.0.17"]), "ExtraHosts"),
    ("another host", host(ExtraHosts=["example.org:10.213.0.9"]), "ExtraHosts"),
    ("a device nobody gave", host(DeviceRequests=[{"Driver": "cdi", "DeviceIDs": ["x"]}]), "device"),
    ("devices by count", host(DeviceRequests=[{"Driver": "nvidia", "Count": -1}]), "Count"),
    ("devices of another driver", host(DeviceRequests=[{"Driver": "", "DeviceIDs": ["0"]}]), "cdi"),
    ("all devices", lent("nvidia.com/gpu=all"), "not ours to give"),
    ("a device twice", lent("nvidia.com/gpu=0", "nvidia.com/gpu=0"), "twice"),
    ("a device without a lease", lent("nvidia.com/gpu=0", madang_lease=None), "madang.lease"),
    ("a device of no slot", lent("nvidia.com/gpu=0", madang_slots=None), "madang.slots"),
    ("a device that is not said", lent("nvidia.com/gpu=0", madang_devices="x"), "madang.devices"),
    ("a lease without a device", label(madang_lease="0" * 32), "no device"),
    ("no label", label(madang_instance=None), "madang.instance"),
    ("another's label", label(madang_instance="other"), "madang.instance"),
    ("no user label", label(madang_user=None), "madang.user"),
    ("a long name", label(madang_user="x" * 513), "madang.user"),
    ("a longer lease", lent("nvidia.com/gpu=0", madang_slots="x" * 8193), "madang.slots"),
    ("label of Compose", label(com_docker_compose_project="madang"), "label"),
    ("another's address", top(NetworkingConfig={"EndpointsConfig": {"madang-u-1": {
        "IPAMConfig": {"IPv4Address": "10.213.0.9"}}}}), "address"),
    ("a second network", top(NetworkingConfig={"EndpointsConfig": {"bridge": {}}}), "network"),
    ("an alias", top(NetworkingConfig={"EndpointsConfig": {"madang-u-1": {
        "Aliases": ["x"]}}}), "address"),
    ("another port", top(ExposedPorts={"22/tcp": {}}), "ExposedPorts"),
    ("entry point", top(Entrypoint=["/bin/sh"]), "Entrypoint"),
    ("health check", top(Healthcheck={"Test": ["CMD", "x"]}), "Healthcheck"),
    ("command as text", top(Cmd="sh"), "Cmd"),
    ("env with a zero", top(Env=["A=\0"]), "Env"),
    ("no host config", without("HostConfig"), "HostConfig"),
    ("host name with a slash", top(Hostname="../x"), "Hostname"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "names"), [row[1:] for row in DENIED], ids=[row[0] for row in DENIED]
)
def test_one_wrong_thing_is_enough(change: Change, names: str) -> None:
    body = server()
    change(body)
    decision = create(body)
    assert not decision.allow
    assert decision.body is None
    assert names in decision.reason


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"null", b'"x"', b"{", b"\xff{}", b'{"Memory": NaN}', b"[" * 100_000,
        b'{"Image": "madang/lab:0.1.0", "Image": "madang/hub:0.1.0"}',
    ],
)  # fmt: skip
def test_bodies_that_are_no_clear_object(text: bytes) -> None:
    assert not create(text).allow


def test_a_repeated_key_deep_inside() -> None:
    text = json.dumps(server()).replace('"CapDrop": ["ALL"]', '"CapDrop": ["ALL"], "CapDrop": []')
    decision = create(text.encode())
    assert "twice" in decision.reason


@pytest.mark.parametrize(
    ("method", "path", "query", "allowed"),
    [
        ("GET", "/v1.41/containers/json", "all=true&filters=%7B%7D", True),
        ("GET", "/v1.41/containers/x/json", "", True),
        ("POST", "/v1.41/containers/x/stop", "t=10", True),
        ("DELETE", "/v1.41/containers/x", "force=true&v=true", True),
        ("POST", "/v1.41/containers/x/start", "", False),
        ("GET", "/v1.41/containers/x/logs", "", False),
        ("DELETE", "/v1.41/networks/x", "", False),
        ("GET", "/v1.41/version", "", False),
    ],
)
def test_the_broker_has_fewer_calls(method: str, path: str, query: str, allowed: bool) -> None:
    assert decide(method, path, query, b"", RULES).allow
    decision = decide(method, path, query, b"", RULES, policy.BROKER_CALLS)
    assert decision.allow is allowed, decision.reason


def test_the_broker_makes_no_server() -> None:
    body = json.dumps(server()).encode()
    query = "name=madang-user-alice"
    assert not decide("POST", CREATE, query, body, RULES, policy.BROKER_CALLS).allow


def test_a_huge_body() -> None:
    assert "larger" in create(b" " * (MAX_BODY + 1)).reason


def test_reasons_hold_no_secret() -> None:
    body = server()
    body["Env"] = ["TOKEN=very-secret", 3]
    assert "very-secret" not in create(body).reason


@pytest.mark.parametrize(
    "change",
    [
        host(NanoCpus=10**9, CpuQuota=0, CpuPeriod=0),
        host(ShmSize=2**26),
        host(Privileged=False, CapAdd=None, Devices=[], OomScoreAdj=0, Mounts=[]),
        host(RestartPolicy={"Name": "", "MaximumRetryCount": 0}),
        lent("nvidia.com/gpu=0"),
        lent("nvidia.com/gpu=0", madang_slots="x" * 8192),
        bind(f"{HOME}/alice:/home/madang:rw", "/srv/data:/data:ro"),
        top(NetworkingConfig=None),
        host(LogConfig={"Type": "local", "Config": {"max-size": "10m"}}),
    ],
)
def test_what_may_be_different(change: Change) -> None:
    body = server()
    change(body)
    assert create(body).allow, create(body).reason


def test_an_empty_list_of_masked_paths_does_not_unmask_them() -> None:
    # for the engine an empty list means "mask nothing", a missing one "mask what is usual"
    body = server()
    body["HostConfig"]["MaskedPaths"] = []
    sent = create(body).body
    assert sent is not None
    assert b"MaskedPaths" not in sent


# ---- properties -----------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = sorted({*bodies.CONFIG, *bodies.CONFIG_UNSET, *bodies.HOST, *bodies.HOST_UNSET})


@given(st.sampled_from(KEYS).flatmap(cases), JSON, st.booleans())
def test_no_key_in_any_letter_case_makes_a_server_stronger(
    key: str, value: Any, deep: bool
) -> None:
    body = server()
    (body["HostConfig"] if deep else body)[key] = value
    decision = create(body)
    if not decision.allow:
        return
    assert decision.body is not None
    sent = json.loads(decision.body)
    inside = sent["HostConfig"]
    assert set(sent) <= bodies.CONFIG
    assert set(inside) <= bodies.HOST
    assert sent["Image"] in RULES.images
    assert sent["User"] == "1000:1000"
    assert inside["CapDrop"] == ["ALL"]
    assert inside["SecurityOpt"] == ["no-new-privileges:true"]
    assert inside["ReadonlyRootfs"] is True
    assert 0 < inside["Memory"] == inside["MemorySwap"] <= RULES.max_memory
    assert 0 < inside["PidsLimit"] <= RULES.max_pids
    assert inside["NetworkMode"] in ("madang-u-1",)
    for mount in inside["Binds"]:
        assert mount == "/srv/madang/homes/alice:/home/madang:rw,rprivate"


@given(st.text(max_size=40))
def test_no_other_folder_becomes_a_home(name: str) -> None:
    body = server()
    body["HostConfig"]["Binds"] = [f"{HOME}/{name}:/home/madang:rw"]
    decision = create(body)
    if decision.allow:
        assert name.strip("abcdefghijklmnopqrstuvwxyz0123456789-") == ""
        assert name


@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT", "get"]),
    st.text(alphabet="/v1.45containersjoknwimagesexecup%2e-_?#\n ", max_size=40),
)
def test_strange_paths_are_refused_or_about_a_subject(method: str, path: str) -> None:
    decision = decide(method, path, "", b"", RULES)
    if decision.allow:
        assert decision.subject is not None or decision.path.endswith(
            ("/_ping", "/version", "/containers/json", "/networks")
        )


# ---- calls ----------------------------------------------------------------------------------------

ID = "a" * 64
ALLOWED = [
    ("GET", "/_ping", "", None),
    ("HEAD", "/_ping", "", None),
    ("GET", "/version", "", None),
    ("GET", "/v1.45/images/madang/lab:0.1.0/json", "", None),
    ("GET", "/v1.45/containers/json", "all=1&limit=-1&size=0&trunc_cmd=0", None),
    ("GET", f"/v1.45/containers/{ID}/json", "", Subject("container", ID)),
    ("POST", "/v1.45/containers/madang-user-a/start", "", Subject("container", "madang-user-a")),
    ("POST", "/v1.45/containers/x/stop", "t=10", Subject("container", "x")),
    ("POST", "/v1.45/containers/x/kill", "signal=SIGKILL", Subject("container", "x")),
    ("POST", "/v1.45/containers/x/wait", "condition=removed", Subject("container", "x")),
    (
        "GET",
        "/v1.45/containers/x/logs",
        "stderr=1&stdout=1&tail=15&follow=1",
        Subject("container", "x"),
    ),
    ("DELETE", "/v1.45/containers/x", "v=True&link=False&force=True", Subject("container", "x")),
    ("GET", "/v1.45/networks", "", None),
    ("GET", "/v1.45/networks/madang-u-1", "", Subject("network", "madang-u-1")),
    ("DELETE", "/v1.45/networks/madang-u-1", "", Subject("network", "madang-u-1")),
]


@pytest.mark.parametrize(("method", "path", "query", "subject"), ALLOWED)
def test_calls_that_a_spawner_makes(
    method: str, path: str, query: str, subject: Subject | None
) -> None:
    decision = decide(method, path, query, b"", RULES)
    assert decision.allow, decision.reason
    assert decision.subject == subject


REFUSED = [
    ("GET", "/v1.45/info", ""),
    ("GET", "/v1.45/events", ""),
    ("GET", "/v1.45/system/df", ""),
    ("GET", "/v1.45/images/json", ""),
    ("GET", "/v1.45/images/madang/hub:0.1.0/json", ""),
    ("POST", "/v1.45/images/create", "fromImage=x"),
    ("DELETE", "/v1.45/images/madang/lab:0.1.0", ""),
    ("POST", "/v1.45/build", ""),
    ("POST", "/v1.45/containers/x/exec", ""),
    ("POST", "/v1.45/exec/x/start", ""),
    ("POST", "/v1.45/containers/x/attach", ""),
    ("GET", "/v1.45/containers/x/attach/ws", ""),
    ("POST", "/v1.45/containers/x/update", ""),
    ("POST", "/v1.45/containers/x/rename", "name=y"),
    ("POST", "/v1.45/containers/x/restart", ""),
    ("POST", "/v1.45/containers/prune", ""),
    ("GET", "/v1.45/containers/x/archive", "path=/"),
    ("PUT", "/v1.45/containers/x/archive", "path=/"),
    ("GET", "/v1.45/containers/x/export", ""),
    ("POST", "/v1.45/commit", "container=x"),
    ("POST", "/v1.45/networks/madang-u-1/connect", ""),
    ("POST", "/v1.45/networks/madang-u-1/disconnect", ""),
    ("POST", "/v1.45/networks/prune", ""),
    ("GET", "/v1.45/volumes", ""),
    ("POST", "/v1.45/volumes/create", ""),
    ("GET", "/v1.45/secrets", ""),
    ("POST", "/v1.45/swarm/init", ""),
    ("POST", "/v1.45/plugins/pull", ""),
    ("POST", "/session", ""),
    ("POST", "/grpc", ""),
    ("GET", "/containers/json", ""),
    ("GET", "/v1.24/containers/json", ""),
    ("GET", "/v2.45/containers/json", ""),
    ("GET", "//v1.45/containers/json", ""),
    ("GET", "/v1.45//containers/json", ""),
    ("GET", "/v1.45/containers/../info", ""),
    ("GET", "/v1.45/containers/..%2finfo/json", ""),
    ("GET", "/v1.45/containers/x%00/json", ""),
    ("GET", "/v1.45/containers/x/json/", ""),
    ("GET", "/v1.45/containers/x/json\n", ""),
    ("GET", "/v1.45/containers/x/json", "size=1"),
    ("GET", "/v1.45/containers/x/json", "foo=1"),
    ("POST", "/v1.45/containers/x/start", "detachKeys=a"),
    ("POST", "/v1.45/containers/x/start", "checkpoint=a"),
    ("POST", "/v1.45/containers/x/stop", "t=1&t=2"),
    ("POST", "/v1.45/containers/x/stop", "t=-1"),
    ("POST", "/v1.45/containers/x/kill", "signal=9%0a"),
    ("DELETE", "/v1.45/containers/x", "link=1"),
    ("GET", "/v1.45/containers/json", "filters={}&filters={}"),
    ("GET", "/v1.45/containers/json", "filters=[]"),
    ("GET", "/v1.45/containers/json", 'filters={"volume":["x"]}'),
    ("get", "/_ping", ""),
    ("POST", "/_ping", ""),
]


@pytest.mark.parametrize(("method", "path", "query"), REFUSED)
def test_calls_that_nobody_needs(method: str, path: str, query: str) -> None:
    decision = decide(method, path, query, b"", RULES)
    assert not decision.allow
    assert decision.reason


def test_a_start_with_a_body_is_refused() -> None:
    body = b'{"HostConfig": {"Privileged": true}}'
    assert not decide("POST", "/v1.45/containers/x/start", "", body, RULES).allow


@pytest.mark.parametrize("path", ["/v1.45/containers/json", "/v1.45/networks"])
def test_lists_hold_only_ours(path: str) -> None:
    for query in ("", 'filters={"label":["madang.instance=other"]}', 'filters={"name":["x"]}'):
        decision = decide("GET", path, query, b"", RULES)
        assert "madang.instance=madang" in json.loads(dict(decision.query)["filters"])["label"]


@pytest.mark.parametrize(
    "query", ["", "name=madang-hub", "name=evil", "name=madang-user-a&name=madang-user-b",
              "name=madang-user-a/b", "name=madang-user-a&platform=linux"],
)  # fmt: skip
def test_names_of_user_servers_start_with_the_prefix(query: str) -> None:
    assert not create(server(), query).allow


def network() -> dict[str, Any]:
    return {
        "Name": "madang-u-1", "Driver": "bridge", "CheckDuplicate": True,
        "Options": {"com.docker.network.bridge.name": "mdg1"},
        "Labels": {"madang.instance": "madang", "madang.network": "1"},
        "IPAM": {"Driver": "default",
                 "Config": [{"Subnet": "10.213.0.8/29", "Gateway": "10.213.0.9"}]},
    }  # fmt: skip


def make_network(body: dict[str, Any]) -> Decision:
    return decide("POST", "/v1.45/networks/create", "", json.dumps(body).encode(), RULES)


def test_a_planned_network_passes() -> None:
    decision = make_network(network())
    assert decision.allow, decision.reason
    assert json.loads(decision.body or b"")["EnableIPv6"] is False


@pytest.mark.parametrize(
    "change",
    [
        {"Name": "bridge"},
        {"Name": "madang-u-2"},
        {"Driver": "macvlan"},
        {"Options": {"com.docker.network.bridge.name": "docker0"}},
        {"Options": {}},
        {"IPAM": {"Driver": "default", "Config": [{"Subnet": "10.0.0.0/8"}]}},
        {"Labels": {}},
        {"EnableIPv6": True},
        {"Attachable": True},
        {"Ingress": True},
        {"ConfigFrom": {"Network": "x"}},
        {"name": "bridge"},
    ],
)
def test_other_networks_are_refused(change: dict[str, Any]) -> None:
    assert not make_network({**network(), **change}).allow


# ---- dashboards -----------------------------------------------------------------------------------

APPS = dataclasses.replace(
    RULES,
    app_image="madang/dashboard:0.1.0",
    snapshots=PurePosixPath("/srv/madang/dashboards/versions"),
)
SNAPSHOT = "/srv/madang/dashboards/versions/" + "0a" * 32 + "/files"
CLOSED = "madang-u-100000001"
APP_NAME = "name=madang-user-dashboards--app-a"


def dashboard() -> dict[str, Any]:
    """A body for a dashboard's container."""
    body = server()
    body["Image"] = APPS.app_image
    body["Cmd"] = ["madang-dashboard"]
    body["Volumes"] = None
    body["Labels"]["madang.user"] = "dashboards"
    body["NetworkingConfig"] = {
        "EndpointsConfig": {CLOSED: {"IPAMConfig": {"IPv4Address": "10.213.0.10"}}}
    }
    body["HostConfig"] |= {
        "NetworkMode": CLOSED,
        "Binds": [f"{SNAPSHOT}:/srv/dashboard:ro"],
        "ExtraHosts": None,
        "Init": False,
    }
    return body


def test_a_dashboard_passes_and_is_written_anew() -> None:
    decision = create(dashboard(), APP_NAME, APPS)
    assert decision.allow, decision.reason
    sent = json.loads(decision.body or b"")
    assert sent["HostConfig"]["Binds"] == [f"{SNAPSHOT}:/srv/dashboard:ro,rprivate"]
    assert sent["HostConfig"]["Init"] is False
    assert "ExtraHosts" not in sent["HostConfig"]
    assert decide("GET", "/v1.45/images/madang/dashboard:0.1.0/json", "", b"", APPS).allow


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"NetworkMode": "madang-u-1"}, "leads nowhere"),
        ({"ExtraHosts": ["hub.madang:10.213.0.9"]}, "ExtraHosts"),
        ({"Binds": []}, "snapshot"),
        ({"Binds": None}, "Binds"),
        ({"Binds": [f"{SNAPSHOT}:/srv/dashboard:rw"]}, "ro"),
        ({"Binds": [f"{SNAPSHOT}:/srv/dashboard"]}, "ro"),
        ({"Binds": [f"{SNAPSHOT}:/home/madang:ro"]}, "ro"),
        ({"Binds": [f"{SNAPSHOT}/../../x:/srv/dashboard:ro"]}, "snapshot"),
        ({"Binds": [f"{SNAPSHOT[:-6]}:/srv/dashboard:ro"]}, "snapshot"),
        ({"Binds": ["/srv/madang/secrets:/srv/dashboard:ro"]}, "snapshot"),
        ({"Binds": [f"{SNAPSHOT}:/srv/dashboard:ro", "/srv/data:/data:ro"]}, "Binds"),
        ({"Binds": ["/srv/madang/homes/alice:/home/madang:rw"]}, "snapshot"),
        (
            {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0"]}]},
            "lease|DeviceRequests|Labels",
        ),
    ],
)
def test_a_dashboard_with_anything_more_is_refused(changes: dict[str, Any], reason: str) -> None:
    body = dashboard()
    body["HostConfig"] |= changes
    found = create(body, APP_NAME, APPS)
    assert not found.allow
    assert re.search(reason, found.reason)


def test_nothing_but_a_dashboard_is_in_a_closed_network_or_has_a_snapshot() -> None:
    body = dashboard()
    body["Image"] = "madang/lab:0.1.0"
    assert not create(body, APP_NAME, APPS).allow
    body["HostConfig"]["Binds"] = server()["HostConfig"]["Binds"]
    assert "leads nowhere" in create(body, APP_NAME, APPS).reason
    body = server()
    body["HostConfig"]["Binds"] += [f"{SNAPSHOT}:/srv/dashboard:ro"]
    assert not create(body, rules=APPS).allow


def test_where_there_are_no_dashboards_none_is_made() -> None:
    assert not create(dashboard(), APP_NAME, RULES).allow
    nameless = dashboard()
    nameless["Image"] = ""
    assert not create(nameless, APP_NAME, RULES).allow


def closed_network() -> dict[str, Any]:
    return {
        **network(),
        "Name": CLOSED,
        "Internal": True,
        "Options": {"com.docker.network.bridge.name": "mdgd1"},
        "Labels": {"madang.instance": "madang", "madang.network": "100000001"},
    }


def test_a_closed_network_is_made_closed() -> None:
    decision = make_network(closed_network())
    assert decision.allow, decision.reason
    assert json.loads(decision.body or b"")["Internal"] is True


@pytest.mark.parametrize(
    "change",
    [
        {"Internal": False},
        {"Internal": None},
        {"Options": {"com.docker.network.bridge.name": "mdg1"}},
        {"Name": "madang-u-1"},
        {"Name": "madang-u-100000512"},
    ],
)
def test_a_closed_network_is_made_in_no_other_way(change: dict[str, Any]) -> None:
    assert not make_network({**closed_network(), **change}).allow
    assert not make_network({**network(), "Internal": True}).allow


# ---- ours or not ----------------------------------------------------------------------------------

OURS = {
    "Id": ID,
    "Name": "/madang-user-alice",
    "Config": {"Labels": {"madang.instance": "madang", "madang.user": "alice"}},
}


def changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(OURS), **changes}


@pytest.mark.parametrize(
    ("inspected", "expected"),
    [
        (OURS, True),
        (changed(Name="/madang-database"), False),
        (changed(Config={"Labels": None}), False),
        (changed(Config=None), False),
        (changed(Config={"Labels": {"madang.instance": "other", "madang.user": "a"}}), False),
        (changed(Config={"Labels": {"madang.instance": "madang"}}), False),
        (changed(Config={"Labels": {"madang.instance": "madang", "madang.user": "a",
                                    "com.docker.compose.project": "madang"}}), False),
    ],
)  # fmt: skip
def test_whose_container(inspected: dict[str, Any], expected: bool) -> None:
    assert ours.is_our_container(inspected, RULES) is expected


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("madang-u-1", {"madang.instance": "madang", "madang.network": "1"}, True),
        ("madang-u-1", {"madang.instance": "madang", "madang.network": "2"}, False),
        ("madang-u-1", {}, False),
        ("madang-u-1", None, False),
        ("bridge", {"madang.instance": "madang", "madang.network": "1"}, False),
    ],
)
def test_whose_network(name: str, labels: dict[str, str] | None, expected: bool) -> None:
    assert ours.is_our_network({"Name": name, "Labels": labels}, RULES) is expected


def test_the_id_takes_the_place_of_the_name() -> None:
    for path, expected in [
        ("/v1.45/containers/containers/logs", f"/v1.45/containers/{ID}/logs"),
        ("/v1.45/containers/x", f"/v1.45/containers/{ID}"),
    ]:
        method = "DELETE" if path.endswith("x") else "GET"
        assert ours.path_for(decide(method, path, "", b"", RULES), ID) == expected


def test_every_call_says_why() -> None:
    assert all(call.why for call in policy.CALLS)
    assert len({call.name for call in policy.CALLS}) == len(policy.CALLS)
