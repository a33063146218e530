"""What is left of servers that ended: an idle Madang has only those that wait.

Everything is looked at from outside, as root of the machine: the engine's lists, the mounts of every mount
namespace, the interfaces, the processes and the open files. Each finding is one sentence.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docker.errors import DockerException
from docker.models.containers import Container

from support.deployment import wait_for
from support.warm_stack import Stack

_PROC = Path("/proc")
_IN_CONTAINER = re.compile(r":(/[^:]*/)([0-9a-f]{64})(?:$|/)", re.MULTILINE)
"""A container in a process's list of control groups: the group above it, and its id."""


def remains(stack: Stack, parts: frozenset[str]) -> list[str]:
    """What an idle stack with these parts does not have; empty where nothing is left.

    Args:
        parts: the names of its parts' containers.
    """
    waiting = stack.waiting()
    return [
        *_containers(stack, waiting, parts),
        *_networks(stack, waiting),
        *_slots(stack, waiting),
        *_mounts(stack, waiting),
        *_held(stack, waiting),
        *_processes(stack),
        *_servers(stack),
    ]


def wait_for_idle(stack: Stack, parts: frozenset[str]) -> None:
    """Wait until nothing is left; fail with what is."""
    left: list[str] = []

    def clean() -> bool:
        try:
            left[:] = remains(stack, parts)
        except (DockerException, OSError) as error:
            # what was listed is gone before it was looked at
            left[:] = [str(error)]
        return not left

    try:
        wait_for(clean, "nothing to be left", 90)
    except AssertionError:
        raise AssertionError("\n".join(["left:", *left])) from None


def parts_of(stack: Stack) -> frozenset[str]:
    """The names of the containers of the stack's parts that run."""
    found = stack.engine.containers.list(filters={"label": f"madang.stack={stack.instance}"})
    return frozenset(str(c.name) for c in found)


def _containers(stack: Stack, waiting: list[Container], parts: frozenset[str]) -> Iterator[str]:
    own = {str(c.id) for c in waiting}
    for container in stack.containers(""):
        if str(container.id) not in own:
            yield f"container {container.name} ({container.status})"
        elif container.status != "running":
            yield f"{container.name}, which waits, is {container.status}"
    now = parts_of(stack)
    if now != parts:
        yield f"parts: {sorted(now ^ parts)} are not as they were"


def _networks(stack: Stack, waiting: list[Container]) -> Iterator[str]:
    of_waiting = {c.labels["madang.network"] for c in waiting}
    mark = {"label": f"madang.instance={stack.instance}"}
    networks = {
        n.attrs["Labels"]["madang.network"] for n in stack.engine.networks.list(filters=mark)
    }
    if networks != of_waiting:
        yield f"networks {sorted(networks)}, and those of servers that wait are {sorted(of_waiting)}"
    prefix = stack.deployment.bridge_prefix
    links = _links()
    bridges = {
        str(link["ifname"]).removeprefix(prefix)
        for link in links
        if str(link["ifname"]).startswith(prefix)
    }
    if bridges != of_waiting:
        yield f"bridges {sorted(bridges)}, and those of servers that wait are {sorted(of_waiting)}"
    for link in links:
        if str(link.get("master", "")).startswith(prefix):
            yield f"interface {link['ifname']} at {link['master']}, and nobody is in a network"


def _links() -> list[dict[str, Any]]:
    said = subprocess.run(["ip", "-json", "link"], check=True, capture_output=True, text=True)
    found: list[dict[str, Any]] = json.loads(said.stdout)
    return found


def _slots(stack: Stack, waiting: list[Container]) -> Iterator[str]:
    slots = stack.deployment.data / "run" / "warm"
    found = {str(path.relative_to(slots)) for path in slots.rglob("*")}
    of_waiting = {c.labels["madang.warm"] for c in waiting}
    expected = of_waiting | {f"{slot}/line" for slot in of_waiting}
    if found != expected:
        yield f"slots: {sorted(found ^ expected)}"
    mounter = {path.name for path in (slots.parent / "mounter").iterdir()}
    if mounter != {"mounter.sock"}:
        yield f"the mounter's folder holds {sorted(mounter)}"


def _mounts(stack: Stack, waiting: list[Container]) -> Iterator[str]:
    """Homes and slots that are mounted anywhere, and the engine's own mounts of containers that are gone."""
    data = _below_its_mount(stack.deployment.data)
    slots = []
    for pid, root, place in mounts():
        if root.startswith(f"{data}/homes/"):
            yield f"{root} is mounted at {place} in the namespace of process {pid}"
        if root.startswith(f"{data}/run/warm/"):
            slots.append((root.rpartition("/")[2], place))
    expected = sorted((str(c.labels["madang.warm"]), "/run/madang") for c in waiting)
    if sorted(slots) != expected:
        yield f"slots are mounted as {sorted(slots)}, and they should be as {expected}"
    here = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    if str(stack.deployment.data) in here:
        yield "the data folder is mounted on the machine"


def _below_its_mount(folder: Path) -> str:
    """``folder`` as mountinfo names it: inside its file system."""
    for above in folder.parents:
        if above.is_mount():
            return f"/{folder.relative_to(above)}"
    raise AssertionError(f"{folder} is on no file system")


def mounts() -> Iterator[tuple[int, str, str]]:
    """Every mount of every mount namespace in which a process is: a process, the mount's root, its place."""
    for pid, text in _each_namespace().values():
        for line in text.splitlines():
            fields = line.split()
            yield pid, fields[3], fields[4]


def _each_namespace() -> Mapping[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for pid in _pids():
        try:
            name = str((_PROC / str(pid) / "ns" / "mnt").readlink())
            if name not in found:
                found[name] = (pid, (_PROC / str(pid) / "mountinfo").read_text(encoding="utf-8"))
        except OSError:
            continue  # it ended
    return found


def _pids() -> Iterator[int]:
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            yield int(folder.name)


def _held(stack: Stack, waiting: list[Container]) -> Iterator[str]:
    """Mount namespaces that the Hub and the mounter keep open: those of servers that wait, and no others."""
    of_waiting = sorted(
        str((_PROC / str(_pid(c)) / "ns" / "mnt").readlink()) for c in waiting if _pid(c)
    )
    for part, expected in (("hub", of_waiting), ("mounter", [])):
        folder = _PROC / str(_pid(stack.part(part))) / "fd"
        files = []
        for file in folder.iterdir():
            try:
                files.append(str(file.readlink()))
            except OSError:
                continue  # closed meanwhile
        held = sorted(name for name in files if name.startswith("mnt:"))
        if held != expected:
            yield f"the {part} holds {held}, and those of servers that wait are {expected}"


def _pid(container: Container) -> int:
    container.reload()
    return int(container.attrs["State"]["Pid"])


def _processes(stack: Stack) -> Iterator[str]:
    """Processes in the control group of a container that this engine does not know."""
    known = {str(c.id) for c in stack.engine.containers.list(all=True, ignore_removed=True)}
    hub = stack.part("hub")
    groups = (_PROC / str(_pid(hub)) / "cgroup").read_text(encoding="utf-8")
    # where this engine's containers are: another's are elsewhere
    above = groups.partition(str(hub.id))[0].rpartition(":")[2]
    for pid in _pids():
        try:
            text = (_PROC / str(pid) / "cgroup").read_text(encoding="utf-8")
        except OSError:
            continue  # it ended
        inside = {name for group, name in _IN_CONTAINER.findall(text) if group == above}
        if inside and not known & inside:
            yield f"process {pid} of a container that is gone"


def _servers(stack: Stack) -> Iterator[str]:
    """What the Hub takes for running."""
    reply = stack.admin.api("GET", "/users?state=active")
    if reply.status_code != 200:
        yield f"the Hub does not say who has a server: {reply.status_code}"
    elif found := [user["name"] for user in reply.json()]:
        yield f"the Hub says that {found} have a server"
