"""What the container of a user server may look like: bodies of the engine's create call.

Rules; no I/O. A body is checked key by key and written anew from what was checked (see ``policy.py``).
Bodies about containers that wait for their person are in ``warm_bodies.py``, about networks in
``network_bodies.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from madang_hub.engine.checks import (
    a_text,
    an_object,
    empty,
    flag,
    need,
    only,
    show,
    texts,
    whole,
)
from madang_hub.engine.devices import said
from madang_hub.engine.network_bodies import network_of
from madang_hub.engine.rules import Rules
from madang_hub.isolation import networks
from madang_hub.user_container import DEVICES_LABEL, LEASE_LABEL, PERSON_LABEL, SLOTS_LABEL

SMALLEST_MEMORY = 6 * 2**20
"""Bytes; the engine takes no lower limit."""

_OF_A_LEASE = (LEASE_LABEL, SLOTS_LABEL, DEVICES_LABEL)
_CONTENT = re.compile(r"[0-9a-f]{64}", re.ASCII)
_HOME_NAME = re.compile(r"[a-z0-9-]{1,255}", re.ASCII)


# ---- containers/create ---------------------------------------------------------------------------

CONFIG = {
    "Image", "User", "Hostname", "Env", "Cmd", "Labels", "ExposedPorts", "Volumes", "HostConfig",
    "NetworkingConfig", "AttachStdout", "AttachStderr", "StopTimeout",
}  # fmt: skip
CONFIG_UNSET = {
    "Domainname", "AttachStdin", "Tty", "OpenStdin", "StdinOnce", "ArgsEscaped", "WorkingDir",
    "Entrypoint", "NetworkDisabled", "MacAddress", "OnBuild", "StopSignal", "Shell", "Healthcheck",
    "Runtime", "VolumeDriver",
}  # fmt: skip
HOST = {
    "Binds", "NetworkMode", "CapDrop", "SecurityOpt", "Memory", "MemorySwap", "CpuQuota",
    "CpuPeriod", "NanoCpus", "PidsLimit", "ReadonlyRootfs", "Tmpfs", "ExtraHosts", "Init",
    "AutoRemove", "LogConfig", "ShmSize", "RestartPolicy", "DeviceRequests", "IpcMode",
    "CgroupnsMode",
}  # fmt: skip
HOST_UNSET = {
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
    only(value, "", CONFIG, CONFIG_UNSET)
    out = basis(value, rules, apps=True)
    app = bool(rules.app_image) and out["Image"] == rules.app_image
    need(out["Labels"].get(PERSON_LABEL), f"Labels must hold {PERSON_LABEL}")
    if value.get("Cmd") is not None:
        out["Cmd"] = texts(value["Cmd"], "Cmd")
    if value.get("Env") is not None:
        out["Env"] = texts(value["Env"], "Env")
    if value.get("StopTimeout") is not None:
        out["StopTimeout"] = whole(value["StopTimeout"], "StopTimeout", 0, 600)
    if ports := value.get("ExposedPorts"):
        port = f"{rules.server_port}/tcp"
        need(ports in ({port: {}}, {port: None}), f"ExposedPorts may only be {port}")
        out["ExposedPorts"] = {port: {}}
    host = an_object(value.get("HostConfig"), "HostConfig")
    out["HostConfig"] = _host_config(host, rules, app)
    _check_lease(out["Labels"], out["HostConfig"])
    plan = network_of(out["HostConfig"]["NetworkMode"], rules)
    need(plan.closed == app, "a dashboard, and nothing else, is in a network that leads nowhere")
    if app:
        _check_app(host)
    elif (hosts := host.get("ExtraHosts")) not in (None, []):
        expected_hosts = [f"{rules.hub_host}:{plan.gateway}"]
        need(hosts == expected_hosts, f"ExtraHosts may only be {expected_hosts[0]}")
        out["HostConfig"]["ExtraHosts"] = expected_hosts
    if volumes := value.get("Volumes"):
        places = {bind.split(":")[1] for bind in out["HostConfig"]["Binds"]}
        volumes = an_object(volumes, "Volumes")
        need(
            set(volumes) <= places and all(v == {} for v in volumes.values()),
            "Volumes may only name places that Binds fill",
        )
        out["Volumes"] = {place: {} for place in volumes}
    out["NetworkingConfig"] = _endpoints(value.get("NetworkingConfig"), plan)
    return out


def _check_app(host: Mapping[str, Any]) -> None:
    """What a dashboard's container must not have, beside what no container has."""
    need(empty(host.get("ExtraHosts")), "ExtraHosts of a dashboard may not be set")
    need(empty(host.get("DeviceRequests")), "DeviceRequests of a dashboard may not be set")


def basis(value: Mapping[str, Any], rules: Rules, *, apps: bool = False) -> dict[str, Any]:
    """What every container has beside its host settings: image, user, labels, host name.

    ``apps``: whether it may be a dashboard's.

    Raises:
        Refused: one of them is not as ``rules`` say.
    """
    image = a_text(value.get("Image"), "Image")
    known = image in rules.images or (apps and bool(image) and image == rules.app_image)
    need(known, f"Image {show(image)} is not an image of the catalogue")
    need(value.get("User") == rules.user, f"User must be {rules.user}")
    out: dict[str, Any] = {
        "Image": image,
        "User": rules.user,
        "Labels": _labels(value.get("Labels"), rules),
        "AttachStdout": False,
        "AttachStderr": False,
    }
    if (hostname := value.get("Hostname")) not in (None, ""):
        name = a_text(hostname, "Hostname", 63)
        need(re.fullmatch(r"[A-Za-z0-9._-]+", name, re.ASCII), "Hostname is not a host name")
        out["Hostname"] = name
    return out


def _labels(value: Any, rules: Rules) -> dict[str, str]:
    labels = an_object(value, "Labels")
    for key in labels:
        need(
            re.fullmatch(r"madang\.[a-z][a-z.-]{0,60}", key, re.ASCII),
            f"the label {show(key)} is not one of ours",
        )
        a_text(labels[key], f"the label {key}", 8192 if key in _OF_A_LEASE else 512)
    need(
        labels.get(networks.INSTANCE_LABEL) == rules.instance,
        f"Labels must hold {networks.INSTANCE_LABEL}={rules.instance}",
    )
    return {key: str(text) for key, text in labels.items()}


def _check_lease(labels: Mapping[str, str], host: Mapping[str, Any]) -> None:
    """Devices only by a lease, and said on the container: who holds what is read from labels."""
    if not (requests := host.get("DeviceRequests")):
        need(not set(_OF_A_LEASE) & set(labels), "Labels name a lease, but no device is asked for")
        return
    said(labels, requests)
    for key in (LEASE_LABEL, SLOTS_LABEL):
        need(labels.get(key), f"Labels must hold {key} where devices are asked for")


def _host_config(host: Mapping[str, Any], rules: Rules, app: bool) -> dict[str, Any]:
    binds = host.get("Binds")
    out = {
        **limits(host, rules),
        "NetworkMode": network_of(host.get("NetworkMode"), rules).name,
        "Binds": _snapshot(binds, rules) if app else _binds(binds, rules),
    }
    if requests := host.get("DeviceRequests"):
        out["DeviceRequests"] = devices(requests, rules)
    return out


def limits(host: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """Host settings that every container has, from ``host``, which may hold no key that is not known.

    Network, mounts, devices and names of hosts are not among them.

    Raises:
        Refused: one is not as ``rules`` say.
    """
    where = "HostConfig."
    only(host, where, HOST, HOST_UNSET)
    memory = whole(host.get("Memory"), where + "Memory", SMALLEST_MEMORY, rules.max_memory)
    need(host.get("MemorySwap") == memory, where + "MemorySwap must be the same as Memory")
    need(host.get("CapDrop") == ["ALL"], where + 'CapDrop must be ["ALL"]')
    need(host.get("ReadonlyRootfs") is True, where + "ReadonlyRootfs must be true")
    out: dict[str, Any] = {
        "CapDrop": ["ALL"],
        "SecurityOpt": _security(host.get("SecurityOpt"), rules),
        "Memory": memory,
        "MemorySwap": memory,
        "PidsLimit": whole(host.get("PidsLimit"), where + "PidsLimit", 1, rules.max_pids),
        "ReadonlyRootfs": True,
        # an engine may be set to share these between containers by default
        "IpcMode": "private",
        "LogConfig": _log_config(host.get("LogConfig")),
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        **_cpu(host, rules),
    }
    need(host.get("IpcMode") in (None, "", "private"), where + "IpcMode must be private")
    need(host.get("CgroupnsMode") in (None, "", "private"), where + "CgroupnsMode must be private")
    restart = host.get("RestartPolicy")
    need(
        empty(restart)
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
            out[key] = flag(host[key], where + key)
    if host.get("ShmSize"):
        out["ShmSize"] = whole(host["ShmSize"], where + "ShmSize", 1, rules.max_shm)
    return out


def _snapshot(value: Any, rules: Rules) -> list[str]:
    """The one folder that a dashboard has."""
    where = "HostConfig.Binds"
    binds = texts(value, where, count=1)
    need(len(binds) == 1 and rules.snapshots is not None, f"{where} must hold the snapshot")
    source = binds[0].partition(":")[0]
    parts = source.removeprefix(f"{rules.snapshots}/").split("/")
    need(
        source.startswith(f"{rules.snapshots}/")
        and len(parts) == 2
        and _CONTENT.fullmatch(parts[0])
        and parts[1] == "files",
        f"{where}: only a snapshot may be mounted at {rules.app_place}",
    )
    need(binds[0] == f"{source}:{rules.app_place}:ro", f"{where}: the snapshot must be mounted ro")
    return [f"{binds[0]},rprivate"]


def _binds(value: Any, rules: Rules) -> list[str]:
    where = "HostConfig.Binds"
    found: list[str] = []
    places: set[str] = set()
    for bind in texts(value if value is not None else [], where, count=16):
        source, _, rest = bind.partition(":")
        place, _, mode = rest.partition(":")
        need(place not in places, f"{where} fills one place twice")
        places.add(place)
        if place == rules.home:
            # one name below the root and nothing else: no "..", and no part that a user can replace
            name = source.removeprefix(f"{rules.homes}/")
            need(
                name != source and _HOME_NAME.fullmatch(name),
                f"{where}: only a person's own folder may be mounted at {rules.home}",
            )
            need(mode in ("", "rw"), f"{where}: the mode at {rules.home} must be rw")
            found.append(f"{rules.homes}/{name}:{place}:rw,rprivate")
        else:
            need(
                place in rules.read_only_binds and rules.read_only_binds[place] == source,
                f"{where}: nothing may be mounted at {show(place)}",
            )
            need(mode == "ro", f"{where}: the mode at {place} must be ro")
            found.append(f"{source}:{place}:ro,rprivate")
    return found


def _security(value: Any, rules: Rules) -> list[str]:
    where = "HostConfig.SecurityOpt"
    options = texts(value, where, 65536, 8)
    plain = set(options) - _NO_NEW_PRIVILEGES
    need(len(plain) < len(set(options)), f"{where} must hold no-new-privileges")
    need(plain <= rules.security_options, f"{where} may not hold anything but no-new-privileges")
    return ["no-new-privileges:true", *sorted(plain)]


def _cpu(host: Mapping[str, Any], rules: Rules) -> dict[str, int]:
    where = "HostConfig."
    if host.get("NanoCpus"):
        need(
            empty(host.get("CpuQuota")) and empty(host.get("CpuPeriod")),
            where + "NanoCpus does not go with CpuQuota",
        )
        most = int(rules.max_cpu * 1e9)
        return {"NanoCpus": whole(host["NanoCpus"], where + "NanoCpus", 1, most)}
    period = whole(host.get("CpuPeriod") or 100_000, where + "CpuPeriod", 1000, 1_000_000)
    most = int(rules.max_cpu * period)
    return {
        "CpuPeriod": period,
        "CpuQuota": whole(host.get("CpuQuota"), where + "CpuQuota", 1000, most),
    }


def _tmpfs(value: Any, rules: Rules) -> dict[str, str]:
    where = "HostConfig.Tmpfs"
    out = {}
    for place, options in an_object(value, where).items():
        need(place in ("/tmp", "/run"), f"{where} may only be at /tmp and /run")  # noqa: S108  # inside the container
        words = a_text(options, where, 200).split(",")
        for word in words:
            size = _SIZE.fullmatch(word)
            need(
                word in ("rw", "nosuid", "nodev", "exec", "noexec")
                or re.fullmatch(r"mode=[01]?[0-7]{3}", word, re.ASCII)
                or (size and int(size[1]) * _UNITS[size[2]] <= rules.max_tmpfs),
                f"{where} has an option that user servers do not need, or is too large",
            )
        for word in ("nosuid", "nodev", "size"):
            need(any(w.split("=")[0] == word for w in words), f"{where} must say {word}")
        out[place] = ",".join(words)
    return out


def _log_config(value: Any) -> dict[str, Any]:
    where = "HostConfig.LogConfig"
    log = an_object(value, where)
    need(set(log) == {"Type", "Config"}, f"{where} must have Type and Config")
    need(log["Type"] in ("json-file", "local"), f"{where}.Type must be json-file or local")
    options = an_object(log["Config"], f"{where}.Config")
    need(set(options) <= {"max-size", "max-file"}, f"{where}.Config may only limit the size")
    size = options.get("max-size")
    need(
        isinstance(size, str) and re.fullmatch(r"[1-9][0-9]{0,2}[km]", size, re.ASCII),
        f"{where}.Config.max-size must be such as 5m",
    )
    files = options.get("max-file", "1")
    need(
        isinstance(files, str) and re.fullmatch(r"[1-9]", files, re.ASCII),
        f"{where}.Config.max-file must be 1 to 9",
    )
    return {"Type": log["Type"], "Config": {"max-size": size, "max-file": files}}


def devices(value: Any, rules: Rules) -> list[dict[str, Any]]:
    """Requests of CDI devices by their names, of those that ``rules`` let be handed out.

    Raises:
        Refused: they ask for anything else.
    """
    where = "HostConfig.DeviceRequests"
    need(isinstance(value, list) and len(value) <= 8, f"{where} must be a list")
    found = []
    for item in value:
        request = an_object(item, where)
        only(request, where + ".", ("Driver", "DeviceIDs"), ("Count", "Capabilities", "Options"))
        need(request.get("Driver") == "cdi", f"{where}.Driver must be cdi")
        ids = texts(request.get("DeviceIDs"), where + ".DeviceIDs", 256, 64)
        need(
            ids and set(ids) <= rules.devices, f"{where} asks for a device that is not ours to give"
        )
        found.append({"Driver": "cdi", "DeviceIDs": ids})
    return found


def _endpoints(value: Any, plan: networks.NetworkPlan) -> dict[str, Any]:
    where = "NetworkingConfig"
    settings = {"IPAMConfig": {"IPv4Address": str(plan.address)}}
    if not empty(value):
        outer = an_object(value, where)
        only(outer, where + ".", ("EndpointsConfig",), ())
        ends = an_object(outer.get("EndpointsConfig") or {}, where + ".EndpointsConfig")
        need(set(ends) <= {plan.name}, f"{where} may only hold the server's own network")
        for end in ends.values():
            need(
                empty(end) or end in (settings, {"IPAMConfig": None}, {"IPAMConfig": {}}),
                f"{where} may only hold the address {plan.address}",
            )
    return {"EndpointsConfig": {plan.name: settings}}
