"""Which calls to the container engine the Hub may make (rules; no I/O).

Whoever may talk to an engine freely is root on its machine. So the Hub talks to a gateway, which
asks :func:`decide` about every request. Vocabulary: a *call* is one row of the allow-list; its
*subject* is the container or network that it is about, which must be *ours*: a user server's, of
this installation (:func:`is_our_container`, :func:`is_our_network`). Everything that is not named
here is refused.

What is let through is not the client's text but what was understood of it, written anew: the engine
reads JSON keys in any letter case and takes the last of two, so a text may mean one thing to a
filter and another to the engine. Path, query and body are therefore all rebuilt from checked
parts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import PurePosixPath
from typing import Any, Literal
from urllib.parse import parse_qsl

from madang_hub.isolation import networks

MAX_BODY = 256 * 1024
"""Bytes of the largest body that is read; a real one has about four thousand."""

MIN_API, MAX_API = 40, 99
"""Minor numbers of the engine's API 1.x that the rules were written for."""

SMALLEST_MEMORY = 6 * 2**20
"""Bytes; the engine takes no lower limit."""


class Refused(Exception):  # noqa: N818  # read as a state: the call is refused
    """The call is not allowed; the message says which part of it, never what was in it."""


@dataclass(frozen=True)
class Rules:
    """What user servers of one installation may be.

    Memory and swap are in bytes, ``max_cpu`` is in cores, ``max_pids`` counts processes and
    threads. ``read_only_binds`` maps a place inside the container to the one folder that may be
    mounted there, read-only. ``devices`` are names of CDI devices that may be handed out.
    """

    images: frozenset[str]
    homes: PurePosixPath
    pool: IPv4Network
    instance: str = "madang"
    prefix: str = "madang-user-"
    bridge_prefix: str = "mdg"
    user: str = "1000:1000"
    home: str = "/home/madang"
    hub_host: str = "hub.madang"
    server_port: int = 8888
    max_memory: int = 16 * 2**30
    max_cpu: float = 8.0
    max_pids: int = 4096
    max_tmpfs: int = 2 * 2**30
    max_shm: int = 2 * 2**30
    read_only_binds: Mapping[str, str] = field(default_factory=dict)
    devices: frozenset[str] = frozenset()
    security_options: frozenset[str] = frozenset()


Kind = Literal["container", "network"]


@dataclass(frozen=True)
class Subject:
    """The object that a call is about, as the client named it (a name or an id)."""

    kind: Kind
    ref: str


@dataclass(frozen=True)
class Decision:
    """What is to be done with a request.

    If ``allow``, the engine is asked ``method`` ``path`` with ``query`` and ``body`` (None: no
    body), once ``subject`` (if any) is known to be ours. Otherwise ``reason`` is a sentence for
    the log and for the client. ``call`` is the name of the row of the allow-list.
    """

    allow: bool
    reason: str
    body: bytes | None = None
    call: str = ""
    path: str = ""
    query: tuple[tuple[str, str], ...] = ()
    subject: Subject | None = None


# ---- small checks --------------------------------------------------------------------------------

_REF = r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}"
_HOME_NAME = re.compile(r"[a-z0-9-]{1,255}", re.ASCII)


def _need(condition: object, message: str) -> None:
    if not condition:
        raise Refused(message)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        _need(key not in found, f"the body has the key {_show(key)} twice")
        found[key] = value
    return found


def _constant(_: str) -> Any:
    raise Refused("the body has a number that JSON does not know")


def _show(text: str) -> str:
    """``text`` for a message: short, and with nothing that could forge a line of the log."""
    return repr(text if len(text) <= 60 else text[:59] + "…")


def parse_body(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``.

    Raises:
        Refused: it is too large, no object, or not what every reader reads in the same way.
    """
    _need(len(body) <= MAX_BODY, f"the body is larger than {MAX_BODY} bytes")
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_pairs, parse_constant=_constant)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Refused("the body is not JSON") from error
    _need(isinstance(value, dict), "the body is not a JSON object")
    return dict(value)


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False).encode("ascii")


def _object(value: Any, where: str) -> dict[str, Any]:
    _need(isinstance(value, dict), f"{where} must be an object")
    return dict(value)


def _text(value: Any, where: str, limit: int = 4096) -> str:
    _need(isinstance(value, str), f"{where} must be text")
    _need(len(value) <= limit and "\0" not in value, f"{where} is too long or holds a zero")
    return str(value)


def _texts(value: Any, where: str, limit: int = 32768, count: int = 512) -> list[str]:
    _need(isinstance(value, list) and len(value) <= count, f"{where} must be a list of texts")
    return [_text(item, where, limit) for item in value]


def _whole(value: Any, where: str, low: int, high: int) -> int:
    _need(
        type(value) is int and low <= value <= high,
        f"{where} must be a whole number from {low} to {high}",
    )
    return int(value)


def _flag(value: Any, where: str) -> bool:
    _need(isinstance(value, bool), f"{where} must be true or false")
    return bool(value)


def _empty(value: Any) -> bool:
    """Whether the engine would read ``value`` as "not set", whatever the key's type."""
    return (
        value is None
        or value is False
        or value in ("", [], {})
        or (type(value) is int and value == 0)
    )


def _only(value: Mapping[str, Any], where: str, known: Iterable[str], unset: Iterable[str]) -> None:
    """Refuse keys that are in neither list, and keys of ``unset`` that say something."""
    known, unset = set(known), set(unset)
    for key in value:
        if key in known:
            continue
        _need(key in unset, f"{where}{_show(key)} is not a key that user servers need")
        _need(_empty(value[key]), f"{where}{key} may not be set")


# ---- containers/create ---------------------------------------------------------------------------

_CONFIG = {
    "Image", "User", "Hostname", "Env", "Cmd", "Labels", "ExposedPorts", "Volumes", "HostConfig",
    "NetworkingConfig", "AttachStdout", "AttachStderr", "StopTimeout",
}  # fmt: skip
_CONFIG_UNSET = {
    "Domainname", "AttachStdin", "Tty", "OpenStdin", "StdinOnce", "ArgsEscaped", "WorkingDir",
    "Entrypoint", "NetworkDisabled", "MacAddress", "OnBuild", "StopSignal", "Shell", "Healthcheck",
    "Runtime", "VolumeDriver",
}  # fmt: skip
_HOST = {
    "Binds", "NetworkMode", "CapDrop", "SecurityOpt", "Memory", "MemorySwap", "CpuQuota",
    "CpuPeriod", "NanoCpus", "PidsLimit", "ReadonlyRootfs", "Tmpfs", "ExtraHosts", "Init",
    "AutoRemove", "LogConfig", "ShmSize", "RestartPolicy", "DeviceRequests", "IpcMode",
    "CgroupnsMode",
}  # fmt: skip
_HOST_UNSET = {
    "Privileged", "CapAdd", "Devices", "DeviceCgroupRules", "Mounts", "VolumesFrom",
    "VolumeDriver", "Links", "PortBindings", "PublishAllPorts", "Dns", "DnsOptions", "DnsSearch",
    "GroupAdd", "PidMode", "UTSMode", "UsernsMode", "Cgroup", "CgroupParent", "Runtime",
    "Isolation", "Sysctls", "StorageOpt", "MaskedPaths", "ReadonlyPaths", "OomKillDisable",
    "OomScoreAdj", "Ulimits", "ContainerIDFile", "CpuShares", "CpusetCpus", "CpusetMems",
    "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpuCount", "CpuPercent", "BlkioWeight",
    "BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps", "IOMaximumBandwidth", "IOMaximumIOps", "KernelMemory",
    "KernelMemoryTCP", "MemoryReservation", "MemorySwappiness", "ConsoleSize", "Annotations",
}  # fmt: skip
_NO_NEW_PRIVILEGES = {"no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"}
_SIZE = re.compile(r"size=([1-9][0-9]{0,12})([kmg]?)", re.ASCII)
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}


def create_container(value: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """The body of ``containers/create``, checked and reduced to what was checked.

    Raises:
        Refused: it is not a user server as ``rules`` describe it.
    """
    _only(value, "", _CONFIG, _CONFIG_UNSET)
    image = _text(value.get("Image"), "Image")
    _need(image in rules.images, f"Image {_show(image)} is not an image of the catalogue")
    _need(value.get("User") == rules.user, f"User must be {rules.user}")
    out: dict[str, Any] = {
        "Image": image,
        "User": rules.user,
        "Labels": _labels(value.get("Labels"), rules),
        "AttachStdout": False,
        "AttachStderr": False,
    }
    if (hostname := value.get("Hostname")) not in (None, ""):
        name = _text(hostname, "Hostname", 63)
        _need(re.fullmatch(r"[A-Za-z0-9._-]+", name, re.ASCII), "Hostname is not a host name")
        out["Hostname"] = name
    if value.get("Cmd") is not None:
        out["Cmd"] = _texts(value["Cmd"], "Cmd")
    if value.get("Env") is not None:
        out["Env"] = _texts(value["Env"], "Env")
    if value.get("StopTimeout") is not None:
        out["StopTimeout"] = _whole(value["StopTimeout"], "StopTimeout", 0, 600)
    if ports := value.get("ExposedPorts"):
        port = f"{rules.server_port}/tcp"
        _need(ports in ({port: {}}, {port: None}), f"ExposedPorts may only be {port}")
        out["ExposedPorts"] = {port: {}}
    host = _object(value.get("HostConfig"), "HostConfig")
    out["HostConfig"] = _host_config(host, rules)
    plan = _network_of(out["HostConfig"]["NetworkMode"], rules)
    if (hosts := host.get("ExtraHosts")) not in (None, []):
        expected_hosts = [f"{rules.hub_host}:{plan.gateway}"]
        _need(hosts == expected_hosts, f"ExtraHosts may only be {expected_hosts[0]}")
        out["HostConfig"]["ExtraHosts"] = expected_hosts
    if volumes := value.get("Volumes"):
        places = {bind.split(":")[1] for bind in out["HostConfig"]["Binds"]}
        volumes = _object(volumes, "Volumes")
        _need(
            set(volumes) <= places and all(v == {} for v in volumes.values()),
            "Volumes may only name places that Binds fill",
        )
        out["Volumes"] = {place: {} for place in volumes}
    out["NetworkingConfig"] = _endpoints(value.get("NetworkingConfig"), plan)
    return out


def _labels(value: Any, rules: Rules) -> dict[str, str]:
    labels = _object(value, "Labels")
    for key in labels:
        _need(
            re.fullmatch(r"madang\.[a-z][a-z.-]{0,60}", key, re.ASCII),
            f"the label {_show(key)} is not one of ours",
        )
        _text(labels[key], f"the label {key}", 512)
    _need(
        labels.get(networks.INSTANCE_LABEL) == rules.instance,
        f"Labels must hold {networks.INSTANCE_LABEL}={rules.instance}",
    )
    _need(labels.get("madang.user"), "Labels must hold madang.user")
    return {key: str(text) for key, text in labels.items()}


def _host_config(host: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    where = "HostConfig."
    _only(host, where, _HOST, _HOST_UNSET)
    memory = _whole(host.get("Memory"), where + "Memory", SMALLEST_MEMORY, rules.max_memory)
    _need(host.get("MemorySwap") == memory, where + "MemorySwap must be the same as Memory")
    _need(host.get("CapDrop") == ["ALL"], where + 'CapDrop must be ["ALL"]')
    _need(host.get("ReadonlyRootfs") is True, where + "ReadonlyRootfs must be true")
    out: dict[str, Any] = {
        "NetworkMode": _network_of(host.get("NetworkMode"), rules).name,
        "Binds": _binds(host.get("Binds"), rules),
        "CapDrop": ["ALL"],
        "SecurityOpt": _security(host.get("SecurityOpt"), rules),
        "Memory": memory,
        "MemorySwap": memory,
        "PidsLimit": _whole(host.get("PidsLimit"), where + "PidsLimit", 1, rules.max_pids),
        "ReadonlyRootfs": True,
        # an engine may be set to share these between containers by default
        "IpcMode": "private",
        "LogConfig": _log_config(host.get("LogConfig")),
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        **_cpu(host, rules),
    }
    _need(host.get("IpcMode") in (None, "", "private"), where + "IpcMode must be private")
    _need(host.get("CgroupnsMode") in (None, "", "private"), where + "CgroupnsMode must be private")
    restart = host.get("RestartPolicy")
    _need(
        _empty(restart)
        or (
            isinstance(restart, dict)
            and set(restart) <= {"Name", "MaximumRetryCount"}
            and restart.get("Name") in ("", "no")
        ),
        where + "RestartPolicy must be no",
    )
    if tmpfs := host.get("Tmpfs"):
        out["Tmpfs"] = _tmpfs(tmpfs, rules)
    for key in ("Init", "AutoRemove"):
        if host.get(key) is not None:
            out[key] = _flag(host[key], where + key)
    if host.get("ShmSize"):
        out["ShmSize"] = _whole(host["ShmSize"], where + "ShmSize", 1, rules.max_shm)
    if requests := host.get("DeviceRequests"):
        out["DeviceRequests"] = _devices(requests, rules)
    return out


def _network_of(name: Any, rules: Rules) -> networks.NetworkPlan:
    index = networks.index_of(name, instance=rules.instance) if isinstance(name, str) else None
    if index is None or index >= networks.capacity(rules.pool):
        raise Refused("NetworkMode must be a network of one user server")
    return networks.plan(rules.pool, index, instance=rules.instance, prefix=rules.bridge_prefix)


def _binds(value: Any, rules: Rules) -> list[str]:
    where = "HostConfig.Binds"
    found: list[str] = []
    places: set[str] = set()
    for bind in _texts(value if value is not None else [], where, count=16):
        source, _, rest = bind.partition(":")
        place, _, mode = rest.partition(":")
        _need(place not in places, f"{where} fills one place twice")
        places.add(place)
        if place == rules.home:
            # one name below the root and nothing else: no "..", and no part that a user can replace
            name = source.removeprefix(f"{rules.homes}/")
            _need(
                name != source and _HOME_NAME.fullmatch(name),
                f"{where}: only a person's own folder may be mounted at {rules.home}",
            )
            _need(mode in ("", "rw"), f"{where}: the mode at {rules.home} must be rw")
            found.append(f"{rules.homes}/{name}:{place}:rw,rprivate")
        else:
            _need(
                place in rules.read_only_binds and rules.read_only_binds[place] == source,
                f"{where}: nothing may be mounted at {_show(place)}",
            )
            _need(mode == "ro", f"{where}: the mode at {place} must be ro")
            found.append(f"{source}:{place}:ro,rprivate")
    return found


def _security(value: Any, rules: Rules) -> list[str]:
    where = "HostConfig.SecurityOpt"
    options = _texts(value, where, 65536, 8)
    plain = set(options) - _NO_NEW_PRIVILEGES
    _need(len(plain) < len(set(options)), f"{where} must hold no-new-privileges")
    _need(plain <= rules.security_options, f"{where} may not hold anything but no-new-privileges")
    return ["no-new-privileges:true", *sorted(plain)]


def _cpu(host: Mapping[str, Any], rules: Rules) -> dict[str, int]:
    where = "HostConfig."
    if host.get("NanoCpus"):
        _need(
            _empty(host.get("CpuQuota")) and _empty(host.get("CpuPeriod")),
            where + "NanoCpus does not go with CpuQuota",
        )
        most = int(rules.max_cpu * 1e9)
        return {"NanoCpus": _whole(host["NanoCpus"], where + "NanoCpus", 1, most)}
    period = _whole(host.get("CpuPeriod") or 100_000, where + "CpuPeriod", 1000, 1_000_000)
    most = int(rules.max_cpu * period)
    return {
        "CpuPeriod": period,
        "CpuQuota": _whole(host.get("CpuQuota"), where + "CpuQuota", 1000, most),
    }


def _tmpfs(value: Any, rules: Rules) -> dict[str, str]:
    where = "HostConfig.Tmpfs"
    out = {}
    for place, options in _object(value, where).items():
        _need(place in ("/tmp", "/run"), f"{where} may only be at /tmp and /run")  # noqa: S108
        words = _text(options, where, 200).split(",")
        for word in words:
            size = _SIZE.fullmatch(word)
            _need(
                word in ("rw", "nosuid", "nodev", "exec", "noexec")
                or re.fullmatch(r"mode=[01]?[0-7]{3}", word, re.ASCII)
                or (size and int(size[1]) * _UNITS[size[2]] <= rules.max_tmpfs),
                f"{where} has an option that user servers do not need, or is too large",
            )
        for word in ("nosuid", "nodev", "size"):
            _need(any(w.split("=")[0] == word for w in words), f"{where} must say {word}")
        out[place] = ",".join(words)
    return out


def _log_config(value: Any) -> dict[str, Any]:
    where = "HostConfig.LogConfig"
    log = _object(value, where)
    _need(set(log) == {"Type", "Config"}, f"{where} must have Type and Config")
    _need(log["Type"] in ("json-file", "local"), f"{where}.Type must be json-file or local")
    options = _object(log["Config"], f"{where}.Config")
    _need(set(options) <= {"max-size", "max-file"}, f"{where}.Config may only limit the size")
    size = options.get("max-size")
    _need(
        isinstance(size, str) and re.fullmatch(r"[1-9][0-9]{0,2}[km]", size, re.ASCII),
        f"{where}.Config.max-size must be such as 5m",
    )
    files = options.get("max-file", "1")
    _need(
        isinstance(files, str) and re.fullmatch(r"[1-9]", files, re.ASCII),
        f"{where}.Config.max-file must be 1 to 9",
    )
    return {"Type": log["Type"], "Config": {"max-size": size, "max-file": files}}


def _devices(value: Any, rules: Rules) -> list[dict[str, Any]]:
    where = "HostConfig.DeviceRequests"
    _need(isinstance(value, list) and len(value) <= 8, f"{where} must be a list")
    found = []
    for item in value:
        request = _object(item, where)
        _only(request, where + ".", ("Driver", "DeviceIDs"), ("Count", "Capabilities", "Options"))
        _need(request.get("Driver") == "cdi", f"{where}.Driver must be cdi")
        ids = _texts(request.get("DeviceIDs"), where + ".DeviceIDs", 256, 64)
        _need(
            ids and set(ids) <= rules.devices, f"{where} asks for a device that is not ours to give"
        )
        found.append({"Driver": "cdi", "DeviceIDs": ids})
    return found


def _endpoints(value: Any, plan: networks.NetworkPlan) -> dict[str, Any]:
    where = "NetworkingConfig"
    settings = {"IPAMConfig": {"IPv4Address": str(plan.address)}}
    if not _empty(value):
        outer = _object(value, where)
        _only(outer, where + ".", ("EndpointsConfig",), ())
        ends = _object(outer.get("EndpointsConfig") or {}, where + ".EndpointsConfig")
        _need(set(ends) <= {plan.name}, f"{where} may only hold the server's own network")
        for end in ends.values():
            _need(
                _empty(end) or end in (settings, {"IPAMConfig": None}, {"IPAMConfig": {}}),
                f"{where} may only hold the address {plan.address}",
            )
    return {"EndpointsConfig": {plan.name: settings}}


# ---- networks/create -----------------------------------------------------------------------------


def create_network(value: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """The body of ``networks/create``: exactly one of our plans, or refused.

    Raises:
        Refused: it differs from the plan of the network that it names.
    """
    _only(
        value,
        "",
        ("Name", "Driver", "Options", "IPAM", "Labels", "CheckDuplicate"),
        ("EnableIPv6", "Internal", "Attachable", "Ingress", "Scope", "ConfigOnly", "ConfigFrom"),
    )
    kwargs = networks.create_kwargs(_network_of(value.get("Name"), rules))
    expected = {
        "Name": kwargs["name"],
        "Driver": kwargs["driver"],
        "Options": kwargs["options"],
        "IPAM": kwargs["ipam"],
        "Labels": kwargs["labels"],
        "EnableIPv6": kwargs["enable_ipv6"],
        "CheckDuplicate": True,
    }
    for key in ("Driver", "Options", "IPAM", "Labels"):
        _need(
            value.get(key) == expected[key], f"{key} is not that of the network {expected['Name']}"
        )
    return expected


# ---- the allow-list ------------------------------------------------------------------------------

_FLAG = re.compile(r"0|1|true|false|True|False", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)
_Check = Callable[[str, Rules], str]


def _matches(pattern: re.Pattern[str]) -> _Check:
    def check(text: str, _: Rules) -> str:
        _need(pattern.fullmatch(text), "has a value that user servers do not need")
        return text

    return check


def _no(text: str, _: Rules) -> str:
    _need(text in ("", "0", "false", "False"), "may not be set")
    return "0"


def _container_name(text: str, rules: Rules) -> str:
    _need(
        text.startswith(rules.prefix) and re.fullmatch(_REF, text, re.ASCII),
        f"must start with {rules.prefix}",
    )
    return text


def _filters(text: str, rules: Rules) -> str:
    """The client's filters, and in any case the one that leaves only ours."""
    given = parse_body(text.encode()) if text else {}
    for key, values in given.items():
        _need(
            key in ("label", "name", "status", "id"), "has a filter that user servers do not need"
        )
        _texts(values, "the filter", 512, 64)
    ours = f"{networks.INSTANCE_LABEL}={rules.instance}"
    given["label"] = [*(v for v in given.get("label", []) if v != ours), ours]
    return json.dumps(given, sort_keys=True)


_flag_value, _number, _signal, _condition, _tail = (
    _matches(_FLAG),
    _matches(_NUMBER),
    _matches(re.compile(r"[A-Z]{3,10}|[0-9]{1,2}", re.ASCII)),
    _matches(re.compile(r"not-running|next-exit|removed", re.ASCII)),
    _matches(re.compile(r"all|[0-9]{1,9}", re.ASCII)),
)


@dataclass(frozen=True)
class Call:
    """A row of the allow-list. ``path`` comes after ``/v1.xx``; ``{ref}`` is the subject."""

    name: str
    method: str
    path: str
    why: str
    kind: Kind | None = None
    query: Mapping[str, _Check] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    body: Callable[[Mapping[str, Any], Rules], dict[str, Any]] | None = None
    unversioned: bool = False

    def pattern(self) -> re.Pattern[str]:
        """What the path must match, the version included."""
        start = r"(?:/v1\.(?P<api>[0-9]{2}))"
        rest = re.escape(self.path).replace(re.escape("{ref}"), f"(?P<ref>{_REF})")
        rest = rest.replace(re.escape("{image}"), r"(?P<image>[a-zA-Z0-9][a-zA-Z0-9_./:-]{0,254})")
        return re.compile(start + ("?" if self.unversioned else "") + rest, re.ASCII)


CALLS: tuple[Call, ...] = (
    Call("ping", "GET", "/_ping", "docker-py looks whether the engine is there", unversioned=True),
    Call(
        "ping-head", "HEAD", "/_ping", "the same, as the docker command does it", unversioned=True
    ),
    Call("version", "GET", "/version", "docker-py asks which API to speak", unversioned=True),
    Call(
        "image",
        "GET",
        "/images/{image}/json",
        "DockerSpawner looks that the image is there and reads its command",
    ),
    Call(
        "containers",
        "GET",
        "/containers/json",
        "find servers left behind by a crash",
        query={
            "all": _flag_value,
            "limit": _matches(re.compile(r"-1|[0-9]{1,6}", re.ASCII)),
            "size": _no,
            "trunc_cmd": _flag_value,
            "filters": _filters,
        },
        required=("filters",),
    ),
    Call(
        "create",
        "POST",
        "/containers/create",
        "start a server",
        query={"name": _container_name},
        required=("name",),
        body=create_container,
    ),
    Call(
        "inspect",
        "GET",
        "/containers/{ref}/json",
        "whether a server runs, and how it ended",
        kind="container",
        query={"size": _no},
    ),
    Call("start", "POST", "/containers/{ref}/start", "start a server", kind="container"),
    Call(
        "stop",
        "POST",
        "/containers/{ref}/stop",
        "stop a server",
        kind="container",
        query={"t": _number},
    ),
    Call(
        "kill",
        "POST",
        "/containers/{ref}/kill",
        "end a server that does not stop",
        kind="container",
        query={"signal": _signal},
    ),
    Call(
        "wait",
        "POST",
        "/containers/{ref}/wait",
        "notice that a server has ended",
        kind="container",
        query={"condition": _condition},
    ),
    Call(
        "logs",
        "GET",
        "/containers/{ref}/logs",
        "say why a server did not start",
        kind="container",
        query={
            "stdout": _flag_value,
            "stderr": _flag_value,
            "follow": _flag_value,
            "timestamps": _flag_value,
            "since": _number,
            "until": _number,
            "tail": _tail,
        },
    ),
    Call(
        "remove",
        "DELETE",
        "/containers/{ref}",
        "remove a server",
        kind="container",
        query={"v": _flag_value, "force": _flag_value, "link": _no},
    ),
    Call(
        "networks",
        "GET",
        "/networks",
        "which networks are taken",
        query={"filters": _filters},
        required=("filters",),
    ),
    Call(
        "network-create", "POST", "/networks/create", "the network of a server", body=create_network
    ),
    Call(
        "network",
        "GET",
        "/networks/{ref}",
        "look at a server's network",
        kind="network",
        query={"verbose": _no},
    ),
    Call(
        "network-remove", "DELETE", "/networks/{ref}", "remove a server's network", kind="network"
    ),
)
"""Every call that passes; ``why`` is its reason. The first row whose method and path match
decides."""

_PATTERNS = tuple((call, call.pattern()) for call in CALLS)


def decide(method: str, path: str, query: str, body: bytes, rules: Rules) -> Decision:
    """Whether the engine may be asked this.

    Args:
        method, path, query, body: the request as it came: ``path`` with its escapes (none is
        needed by
            an allowed call, so one is refused), ``query`` without the question mark.
        rules: what user servers may be.

    Returns:
        A decision; if it allows, it holds the request to make instead of the one that came. A
        ``subject`` must be looked up and found ours before.
    """
    try:
        return _decide(method, path, query, body, rules)
    except Refused as refusal:
        return Decision(False, str(refusal))


def _decide(method: str, path: str, query: str, body: bytes, rules: Rules) -> Decision:
    for call, pattern in _PATTERNS:
        if method == call.method and (found := pattern.fullmatch(path)):
            break
    else:
        raise Refused("this call is not one that user servers need")
    parts = found.groupdict()
    if (api := parts.get("api")) is not None:
        _need(
            MIN_API <= int(api) <= MAX_API,
            f"the API version must be 1.{MIN_API} or later",
        )
    if (image := parts.get("image")) is not None:
        _need(image in rules.images, f"{_show(image)} is not an image of the catalogue")
    subject = None
    if call.kind is not None:
        subject = Subject(call.kind, parts["ref"])
    content = None
    if call.body is None:
        _need(not body.strip() or body.strip() == b"{}", "this call has no body")
    else:
        content = _canonical(call.body(parse_body(body), rules))
    return Decision(True, "", content, call.name, path, _query(query, call, rules), subject)


def _query(text: str, call: Call, rules: Rules) -> tuple[tuple[str, str], ...]:
    try:
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=bool(text),
            max_num_fields=16,
            errors="strict",
        )
    except ValueError as error:
        raise Refused("the query cannot be read") from error
    given: dict[str, str] = {}
    for key, value in pairs:
        _need(key in call.query, f"the query's {_show(key)} is not one that user servers need")
        _need(key not in given, f"the query has {key} twice")
        given[key] = value
    for key in call.required:
        given.setdefault(key, "")
    found = []
    for key, value in sorted(given.items()):
        try:
            found.append((key, call.query[key](value, rules)))
        except Refused as refusal:
            raise Refused(f"the query's {key} {refusal}") from refusal
    return tuple(found)


# ---- ours or not ---------------------------------------------------------------------------------


def is_our_container(inspected: Mapping[str, Any], rules: Rules) -> bool:
    """Whether the engine's description of a container is of a user server of this installation.

    The parts of the stack itself (database, proxy, this gateway) are not: they have no user, and
    carry Compose's labels.
    """
    labels = (inspected.get("Config") or {}).get("Labels") or {}
    name = str(inspected.get("Name", "")).removeprefix("/")
    return (
        name.startswith(rules.prefix)
        and labels.get(networks.INSTANCE_LABEL) == rules.instance
        and bool(labels.get("madang.user"))
        and not any(key.startswith("com.docker.compose.") for key in labels)
    )


def is_our_network(inspected: Mapping[str, Any], rules: Rules) -> bool:
    """Whether the engine's description of a network is of a user server of this installation."""
    labels = inspected.get("Labels") or {}
    index = networks.index_of(str(inspected.get("Name", "")), instance=rules.instance)
    return (
        index is not None
        and labels.get(networks.INSTANCE_LABEL) == rules.instance
        and labels.get(networks.NETWORK_LABEL) == str(index)
    )


def path_for(decision: Decision, identity: str) -> str:
    """The decision's path with the subject's full id in place of the name that the client used.

    A name can mean another object a moment later; an id cannot.
    """
    assert decision.subject is not None  # noqa: S101  # only asked for calls with one
    start, _, rest = decision.path.partition(f"/{decision.subject.kind}s/")
    tail = rest.removeprefix(decision.subject.ref)
    return f"{start}/{decision.subject.kind}s/{identity}{tail}"
