"""The rules of the engine's gateway about containers that wait: what passes, in which order, and denials."""

from __future__ import annotations

import copy
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bodies import Change, bind, cases, host, label, top, without
from support.waiting import waiting

from madang_hub.catalog import Catalog, Choice
from madang_hub.engine import bodies, policy
from madang_hub.engine.checks import Refused
from madang_hub.engine.ours import is_our_container, settled
from madang_hub.engine.policy import Decision, Subject, decide
from madang_hub.engine.rules import Rules, rules_for
from madang_hub.isolation import networks
from madang_hub.settings import Settings

CATALOG = Catalog.load(Path(__file__).parents[2] / "images" / "images.toml")
CHOICE = Choice(CATALOG.environments["lab"], next(iter(CATALOG.sizes.values())))
SETTINGS = Settings.model_validate({"data": "/srv/madang"})
RULES = rules_for(SETTINGS, CATALOG)
SLOT, OTHER = "0123456789abcdef", "f" * 16
FOLDER = "/srv/madang/run/warm"
NAME = f"madang-warm-{SLOT}"
PLAN = networks.plan(SETTINGS.network, 3)
API = "/v1.45"


def _asked(choice: Choice) -> dict[str, Any]:
    with closing(docker.APIClient("unix:///nowhere", version="1.45")) as client:
        asked = waiting(client, CATALOG, choice, "madang", PLAN, Path(FOLDER, SLOT))
        assert asked.pop("name") == NAME
        return dict(client.create_container_config(**asked))


ASKED = _asked(CHOICE)


def body() -> dict[str, Any]:
    """A body as docker-py writes it for a waiting container (``None`` where it sets nothing)."""
    return copy.deepcopy(ASKED)


def create(asked: Any, name: str = NAME, rules: Rules = RULES) -> Decision:
    text = json.dumps(asked).encode()
    return decide("POST", f"{API}/containers/create", f"name={name}", text, rules)


def test_a_waiting_container_passes_and_is_written_anew() -> None:
    decision = create(body())
    assert decision.allow, decision.reason
    assert (decision.call, decision.query) == ("create", (("name", NAME),))
    sent = json.loads(decision.body or b"")
    size = CHOICE.size
    assert sent == {
        "Image": CATALOG.reference("lab"),
        "User": "1000:1000",
        "Hostname": "lab",
        "Cmd": ["madang-wait"],
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdout": False,
        "AttachStderr": False,
        "Labels": {
            "madang.instance": "madang",
            "madang.warm": SLOT,
            "madang.environment": "lab",
            "madang.version": CATALOG.release,
            "madang.size": size.name,
            "madang.network": "3",
        },
        "HostConfig": {
            "NetworkMode": "none",
            "Binds": [f"{FOLDER}/{SLOT}:/run/madang:ro,rprivate"],
            "ExtraHosts": [f"hub.madang:{PLAN.gateway}"],
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "Memory": size.memory,
            "MemorySwap": size.memory,
            "CpuPeriod": 100_000,
            "CpuQuota": int(size.cpu * 100_000),
            "PidsLimit": size.pids,
            "ReadonlyRootfs": True,
            "IpcMode": "private",
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "5m", "max-file": "2"}},
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "Tmpfs": {
                "/tmp": "rw,nosuid,nodev,exec,size=536870912,mode=1777",
                "/run": "rw,nosuid,nodev,noexec,size=16777216,mode=0755",
            },
            "Init": True,
        },
    }


def test_every_size_and_environment_may_wait() -> None:
    for environment in CATALOG.environments.values():
        for size in CATALOG.sizes.values():
            decision = create(_asked(Choice(environment, size)))
            assert decision.allow, decision.reason


DENIED: list[tuple[str, Change, str]] = [
    ("no slot, no person", label(madang_warm=None), "madang.user"),
    ("a person as well", label(madang_user="alice"), "madang.user"),
    ("a person without a name as well", label(madang_user=""), "madang.user"),
    ("another slot's name", label(madang_warm=OTHER), "slot"),
    ("no slot but the label", label(madang_warm=""), "16 hex digits"),
    ("a slot of other letters", label(madang_warm="x" * 16), "16 hex digits"),
    ("a slot with a way out", label(madang_warm="../../homes/alice"), "16 hex digits"),
    ("a slot with a line", label(madang_warm=SLOT + "\n"), "16 hex digits"),
    ("another label", label(madang_server=""), "Labels"),
    ("a lease", label(madang_lease="0" * 32), "Labels"),
    ("no network", label(madang_network=None), "Labels"),
    ("no size", label(madang_size=None), "Labels"),
    ("no version", label(madang_version=None), "Labels"),
    ("no environment", label(madang_environment=None), "Labels"),
    ("another installation", label(madang_instance="other"), "madang.instance"),
    ("a network outside of the pool", label(madang_network="512"), "madang.network"),
    ("a network by another number", label(madang_network="03"), "madang.network"),
    ("a network that is none", label(madang_network="none"), "madang.network"),
    ("another network's number", label(madang_network="4"), "ExtraHosts"),
    ("label of Compose", label(com_docker_compose_project="madang"), "label"),
    ("another image", top(Image="madang/hub:0.1.0"), "catalogue"),
    ("root", top(User="0:0"), "User"),
    ("a command", top(Cmd=["jupyterhub-singleuser"]), "Cmd"),
    ("a word more", top(Cmd=["madang-wait", "-x"]), "Cmd"),
    ("the image's command", without("Cmd"), "Cmd"),
    ("the command as text", top(Cmd="madang-wait"), "Cmd"),
    ("variables", top(Env=["JUPYTERHUB_API_TOKEN=secret"]), "Env"),
    ("a person's host name", top(Hostname="alice"), "Hostname"),
    ("no host name", top(Hostname=None), "Hostname"),
    ("a port", top(ExposedPorts={"8888/tcp": {}}), "ExposedPorts"),
    ("a volume", top(Volumes={"/run/madang": {}}), "Volumes"),
    ("a time to stop", top(StopTimeout=9), "StopTimeout"),
    ("an entry point", top(Entrypoint=["/bin/sh"]), "Entrypoint"),
    ("a network's end", top(NetworkingConfig={"EndpointsConfig": {PLAN.name: {}}}), "NetworkingC"),
    ("key in small letters", top(env=["A=B"]), "env"),
    ("its network at once", host(NetworkMode=PLAN.name), "NetworkMode"),
    ("the machine's network", host(NetworkMode="host"), "NetworkMode"),
    ("the engine's network", host(NetworkMode="bridge"), "NetworkMode"),
    ("the usual network", without("NetworkMode"), "NetworkMode"),
    ("network of a container", host(NetworkMode="container:madang-database"), "NetworkMode"),
    ("nothing mounted", bind(), "Binds"),
    ("a home", bind("/srv/madang/homes/alice:/home/madang:rw"), "Binds"),
    ("a home as well",
     bind(f"{FOLDER}/{SLOT}:/run/madang:ro", "/srv/madang/homes/alice:/home/madang:rw"), "Binds"),
    ("another's slot", bind(f"{FOLDER}/{OTHER}:/run/madang:ro"), "Binds"),
    ("all slots", bind(f"{FOLDER}:/run/madang:ro"), "Binds"),
    ("a slot to write", bind(f"{FOLDER}/{SLOT}:/run/madang:rw"), "Binds"),
    ("a slot without a mode", bind(f"{FOLDER}/{SLOT}:/run/madang"), "Binds"),
    ("a slot elsewhere", bind(f"{FOLDER}/{SLOT}:/home/madang:ro"), "Binds"),
    ("a shared slot", bind(f"{FOLDER}/{SLOT}:/run/madang:ro,shared"), "Binds"),
    ("the way out of a slot", bind(f"{FOLDER}/{SLOT}/..:/run/madang:ro"), "Binds"),
    ("the engine's socket", bind("/var/run/docker.sock:/run/madang:ro"), "Binds"),
    ("binds as object", host(Binds={f"{FOLDER}/{SLOT}": "/run/madang"}), "Binds"),
    ("a mount", host(Mounts=[{"Type": "bind", "Source": "/", "Target": "/m"}]), "Mounts"),
    ("no host", without("ExtraHosts"), "ExtraHosts"),
    ("another host", host(ExtraHosts=["hub.madang:10.0.0.1"]), "ExtraHosts"),
    ("a host more", host(ExtraHosts=[f"hub.madang:{PLAN.gateway}", "x:10.0.0.1"]), "ExtraHosts"),
    ("a device", host(DeviceRequests=[{"Driver": "cdi", "DeviceIDs": ["x"]}]), "DeviceRequests"),
    ("privileged", host(Privileged=True), "Privileged"),
    ("capabilities", without("CapDrop"), "CapDrop"),
    ("new privileges", host(SecurityOpt=[]), "no-new-privileges"),
    ("no memory limit", without("Memory"), "Memory"),
    ("no CPU limit", without("CpuQuota"), "CpuQuota"),
    ("no process limit", without("PidsLimit"), "PidsLimit"),
    ("writable root", without("ReadonlyRootfs"), "ReadonlyRootfs"),
    ("tmpfs elsewhere", host(Tmpfs={"/home": "size=1m,nosuid,nodev"}), "Tmpfs"),
    ("no host settings", without("HostConfig"), "HostConfig"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"), [row[1:] for row in DENIED], ids=[row[0] for row in DENIED]
)
def test_one_wrong_thing_is_enough(change: Change, says: str) -> None:
    asked = body()
    change(asked)
    decision = create(asked)
    assert not decision.allow
    assert decision.body is None
    assert says in decision.reason


@pytest.mark.parametrize(
    "name",
    ["", "madang-warm-", f"madang-warm-{OTHER}", f"other-warm-{SLOT}", f"{NAME}x", "madang-user-a",
     f"madang-user-{SLOT}", SLOT, "madang-database"],
)  # fmt: skip
def test_the_name_of_a_waiting_container_is_its_slots(name: str) -> None:
    decision = create(body(), name)
    assert not decision.allow
    assert decision.reason


def test_a_persons_server_may_not_look_like_one_that_waits() -> None:
    asked = body()
    asked["HostConfig"] |= {
        "NetworkMode": PLAN.name,
        "Binds": ["/srv/madang/homes/alice:/home/madang:rw"],
    }
    del asked["Labels"]["madang.warm"]
    asked["Labels"]["madang.user"] = "alice"
    assert create(asked, "madang-user-alice").allow
    decision = create(asked, NAME)
    assert not decision.allow
    assert "madang-user-" in decision.reason


def test_where_no_slots_are_none_waits() -> None:
    rules = Rules(RULES.images, RULES.homes, RULES.pool)
    decision = create(body(), rules=rules)
    assert not decision.allow
    assert "no container may wait here" in decision.reason


def test_slots_and_names_follow_the_settings() -> None:
    rules = rules_for(Settings.model_validate({"data": "/d", "instance": "second"}), CATALOG)
    assert (str(rules.warm), rules.warm_prefix) == ("/d/run/warm", "second-warm-")


KEYS = sorted({*bodies.CONFIG, *bodies.CONFIG_UNSET, *bodies.HOST, *bodies.HOST_UNSET})
LIMITS = {"Memory", "MemorySwap", "CpuQuota", "CpuPeriod", "NanoCpus", "PidsLimit", "ShmSize",
          "Tmpfs", "LogConfig", "Init", "AutoRemove"}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(KEYS).flatmap(cases), JSON, st.booleans())
def test_no_key_in_any_letter_case_gives_it_more(key: str, value: Any, deep: bool) -> None:
    asked = body()
    (asked["HostConfig"] if deep else asked)[key] = value
    decision = create(asked)
    if not decision.allow:
        return
    sent, usual = (json.loads(create(b).body or b"") for b in (asked, body()))
    for one in (sent, usual):
        for limit in LIMITS:
            one["HostConfig"].pop(limit, None)
    assert sent == usual


@given(st.text(max_size=40), st.text(alphabet="0123456789abcdef", min_size=16, max_size=16))
def test_no_other_folder_becomes_a_slot(name: str, slot: str) -> None:
    for source in (name, f"{FOLDER}/{name}", f"{FOLDER}/{slot}", f"{FOLDER}/{SLOT}/{name}"):
        asked = body()
        asked["HostConfig"]["Binds"] = [f"{source}:/run/madang:ro"]
        assert create(asked).allow is (source == f"{FOLDER}/{SLOT}")


# ---- what makes it somebody's ---------------------------------------------------------------------

ID, NETWORK = "a" * 64, "c" * 64
END = {"IPAMConfig": {"IPv4Address": str(PLAN.address)}}


def rename(ref: str = NAME, query: str = "name=madang-user-alice", body: bytes = b"") -> Decision:
    return decide("POST", f"{API}/containers/{ref}/rename", query, body, RULES)


def disconnect(body: Any, network: str = "none", query: str = "") -> Decision:
    text = json.dumps(body).encode()
    return decide("POST", f"{API}/networks/{network}/disconnect", query, text, RULES)


def connect(body: Any, network: str = PLAN.name, query: str = "") -> Decision:
    text = json.dumps(body).encode()
    return decide("POST", f"{API}/networks/{network}/connect", query, text, RULES)


def test_the_three_calls_name_their_subjects() -> None:
    one = rename()
    assert (one.allow, one.subject, one.inner) == (True, Subject("container", NAME), None)
    two = disconnect({"Container": NAME})
    assert (two.allow, two.subject, two.inner) == (True, None, Subject("container", NAME))
    assert json.loads(two.body or b"") == {"Container": NAME, "Force": False}
    three = connect({"Container": ID, "EndpointConfig": END})
    assert three.subject == Subject("network", PLAN.name)
    assert three.inner == Subject("container", ID)
    assert one.afresh
    assert two.afresh
    assert three.afresh


def test_who_names_a_container_in_the_body_is_looked_at_afresh() -> None:
    assert {c.name for c in policy.CALLS if c.afresh} == {"rename", "connect", "disconnect"}
    assert all(c.afresh for c in policy.CALLS if c.inner)


HOSTILE = [
    rename(query=""),
    rename(query="name="),
    rename(query="name=madang-database"),
    rename(query=f"name=madang-warm-{OTHER}"),
    rename(query="name=other-user-alice"),
    rename(query="name=madang-user-a/b"),
    rename(query="name=madang-user-a%0a"),
    rename(query="name=madang-user-a&name=madang-user-b"),
    rename(query="Name=madang-user-a"),
    rename(query="name=madang-user-a&force=1"),
    rename(body=b'{"Name": "x"}'),
    rename(ref="..%2f..%2fnetworks"),
    disconnect({}),
    disconnect({"Container": ""}),
    disconnect({"Container": None}),
    disconnect({"Container": [NAME]}),
    disconnect({"Container": "a/b"}),
    disconnect({"Container": "../networks/none"}),
    disconnect({"Container": f"{NAME}\n"}),
    disconnect({"Container": f"{NAME}?all=1"}),
    disconnect({"Container": "x" * 256}),
    disconnect({"container": NAME}),
    disconnect({"Container": NAME, "Force": True}),
    disconnect({"Container": NAME, "Force": 1}),
    disconnect({"Container": NAME, "force": False}),
    disconnect({"Container": NAME, "EndpointConfig": END}),
    disconnect({"Container": NAME}, "bridge"),
    disconnect({"Container": NAME}, PLAN.name),
    disconnect({"Container": NAME}, NETWORK),
    disconnect({"Container": NAME}, "None"),
    disconnect({"Container": NAME}, query="force=1"),
    connect({"Container": NAME}),
    connect({"EndpointConfig": END}),
    connect({"Container": "a/b", "EndpointConfig": END}),
    connect({"Container": NAME, "EndpointConfig": None}),
    connect({"Container": NAME, "EndpointConfig": {}}),
    connect({"Container": NAME, "EndpointConfig": {"IPAMConfig": None}}),
    connect({"Container": NAME, "EndpointConfig": {"IPAMConfig": {}}}),
    connect({"Container": NAME, "EndpointConfig": {"IPAMConfig": {"IPv4Address": 1}}}),
    connect({"Container": NAME, "EndpointConfig": {"IPAMConfig": {**END["IPAMConfig"],
                                                                 "LinkLocalIPs": ["1.2.3.4"]}}}),
    connect({"Container": NAME, "EndpointConfig": {"IPAMConfig": {**END["IPAMConfig"],
                                                                 "IPv6Address": "fe80::1"}}}),
    *(connect({"Container": NAME, "EndpointConfig": {**END, key: value}}) for key, value in [
        ("Aliases", ["madang-database"]), ("Links", ["madang-database:db"]),
        ("MacAddress", "02:00:00:00:00:01"), ("DriverOpts", {"a": "b"}), ("GwPriority", 1),
        ("NetworkID", NETWORK), ("aliases", ["x"]), ("Aliases", None)]),
    connect({"Container": NAME, "EndpointConfig": END, "Force": True}),
    connect({"Container": NAME, "EndpointConfig": END}, query="force=1"),
    connect({"Container": NAME, "EndpointConfig": END}, network="a%2fb"),
]  # fmt: skip


@pytest.mark.parametrize("decision", HOSTILE, ids=range(len(HOSTILE)))
def test_anything_more_or_less_is_refused(decision: Decision) -> None:
    assert not decision.allow
    assert decision.reason


def test_a_repeated_container_is_refused() -> None:
    text = b'{"Container": "%s", "Container": "madang-database"}' % NAME.encode()
    decision = decide("POST", f"{API}/networks/none/disconnect", "", text, RULES)
    assert "twice" in decision.reason


def test_the_broker_has_none_of_them() -> None:
    assert not {"rename", "connect", "disconnect"} & policy.BROKER_CALLS
    text = json.dumps({"Container": NAME}).encode()
    for path in (f"{API}/networks/none/disconnect", f"{API}/containers/{NAME}/rename"):
        assert not decide("POST", path, "", text, RULES, policy.BROKER_CALLS).allow


# ---- ours, and what it is now ---------------------------------------------------------------------

LABELS: dict[str, str] = dict(ASKED["Labels"])


def container(name: str = NAME, *ends: str, running: bool = True, **labels: Any) -> dict[str, Any]:
    """As the engine describes it; ``labels`` with None are taken away."""
    said = {**LABELS, **{key.replace("_", "."): text for key, text in labels.items()}}
    return {
        "Id": ID,
        "Name": f"/{name}",
        "State": {"Running": running},
        "Config": {"Labels": {key: text for key, text in said.items() if text is not None}},
        "NetworkSettings": {"Networks": {end: {} for end in ends}},
    }


@pytest.mark.parametrize(
    ("inspected", "expected"),
    [
        (container(), True),
        (container("madang-user-alice"), True),
        (container(f"madang-warm-{OTHER}"), False),
        (container("madang-warm-"), False),
        (container("madang-database"), False),
        (container("other-user-alice"), False),
        (container(f"other-warm-{SLOT}"), False),
        (container(madang_instance="other"), False),
        (container(madang_instance=None), False),
        (container("madang-user-alice", madang_instance="other"), False),
        (container(madang_warm=None), False),
        (container(madang_warm=None, madang_user="alice"), False),
        (container("madang-warm-", madang_warm=""), False),
        (container("madang-warm-x", madang_warm="x"), False),
        (container("madang-user-alice", madang_warm=None), False),
        (container("madang-user-alice", madang_warm=""), False),
        (container("madang-user-alice", madang_warm="x"), False),
        (container(com_docker_compose_project="madang"), False),
        (container("madang-user-alice", com_docker_compose_project="madang"), False),
    ],
)
def test_whose_container(inspected: dict[str, Any], expected: bool) -> None:
    assert is_our_container(inspected, RULES) is expected


def network(index: int = 3) -> dict[str, Any]:
    plan = networks.plan(RULES.pool, index)
    return {"Id": NETWORK, "Name": plan.name, "Labels": dict(plan.labels)}


def renamed(found: dict[str, Any]) -> Decision:
    decision = rename()
    assert decision.subject is not None
    return settled(decision, {decision.subject: found}, RULES)


def disconnected(found: dict[str, Any]) -> Decision:
    decision = disconnect({"Container": NAME})
    assert decision.inner is not None
    return settled(decision, {decision.inner: found}, RULES)


def connected(found: dict[str, Any], index: int = 3, address: str = str(PLAN.address)) -> Decision:
    end = {"IPAMConfig": {"IPv4Address": address}}
    decision = connect({"Container": NAME, "EndpointConfig": end}, network="madang-u")
    assert decision.allow
    assert decision.subject is not None
    assert decision.inner is not None
    subjects = {decision.subject: network(index), decision.inner: found}
    return settled(decision, subjects, RULES)


def test_names_have_become_ids() -> None:
    one = renamed(container())
    assert one.path == f"{API}/containers/{ID}/rename"
    assert one.query == (("name", "madang-user-alice"),)
    assert one.subject == Subject("container", ID)
    two = disconnected(container(NAME, "none"))
    assert two.path == f"{API}/networks/none/disconnect"
    assert json.loads(two.body or b"") == {"Container": ID, "Force": False}
    three = connected(container())
    assert three.path == f"{API}/networks/{NETWORK}/connect"
    assert json.loads(three.body or b"") == {"Container": ID, "EndpointConfig": END}


def test_renamed_and_connected_in_either_order() -> None:
    assert renamed(container(NAME, PLAN.name)).allow
    assert connected(container("madang-user-alice")).allow


ALICE = "madang-user-alice"
COLD: dict[str, Any] = {"madang_warm": None, "madang_user": "alice"}


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (container(NAME, "none"), "still in the network none"),
        (container(NAME, "none", PLAN.name), "still in the network none"),
        (container(ALICE), "does not wait any more"),
        (container(ALICE, PLAN.name), "does not wait any more"),
        (container(f"madang-warm-{OTHER}"), "does not wait any more"),
        (container(ALICE, **COLD), "not made to wait"),
        (container(NAME, running=False), "does not run"),
    ],
)
def test_not_every_container_is_renamed(found: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says):
        renamed(found)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (container(), "not in the network none"),
        (container(NAME, PLAN.name), "not in the network none"),
        (container(NAME, "none", PLAN.name), "not in the network none"),
        (container(ALICE, "none"), "does not wait any more"),
        (container(ALICE, "none", **COLD), "not made to wait"),
        (container(NAME, "none", running=False), "does not run"),
    ],
)
def test_not_every_container_is_disconnected(found: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says):
        disconnected(found)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (container(NAME, "none"), "in a network already"),
        (container(NAME, PLAN.name), "in a network already"),
        (container(ALICE, PLAN.name), "in a network already"),
        (container(ALICE, **COLD), "not made to wait"),
        (container(NAME, running=False), "does not run"),
        (container(NAME, madang_network="4"), "not this container's"),
        (container(NAME, madang_network=None), "madang.network"),
        (container(NAME, madang_network="9999"), "madang.network"),
    ],
)
def test_not_every_container_is_connected(found: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says):
        connected(found)


def test_only_to_its_own_network_with_its_own_address() -> None:
    with pytest.raises(Refused, match="not this container's"):
        connected(container(), index=4)
    for address in (str(PLAN.gateway), str(networks.plan(RULES.pool, 4).address), "10.213.000.26"):
        with pytest.raises(Refused, match="its address there is"):
            connected(container(), address=address)


@given(
    st.sampled_from(["rename", "disconnect", "connect"]),
    st.sampled_from([NAME, ALICE, "madang-database", f"madang-warm-{OTHER}"]),
    st.sets(st.sampled_from(["none", PLAN.name, "bridge", "host"])),
    st.booleans(),
    st.sampled_from([LABELS["madang.warm"], None, ""]),
)
def test_each_step_has_one_state_before_it(
    call: str, name: str, ends: set[str], running: bool, slot: str | None
) -> None:
    found = container(name, *ends, running=running, madang_warm=slot)
    if not is_our_container(found, RULES):
        return
    step = {"rename": renamed, "disconnect": disconnected, "connect": connected}[call]
    try:
        step(found)
    except Refused:
        return
    assert running
    assert slot == SLOT
    if call == "connect":
        assert ends == set()
    else:
        assert name == NAME
        assert ("none" in ends) is (call == "disconnect")
