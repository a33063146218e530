"""``make doctor``: what is missing or wrong on this machine, in plain words, and how to mend it.

Each check is a plain function ``(Subject) -> Finding``; add a row to ``CHECKS``.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from madang_hub.accelerators.cdi_files import FOLDERS
from madang_hub.accelerators.report import GUIDE, ill, summary
from madang_hub.accelerators.sources import Sources
from madang_hub.accelerators.table import TableError
from madang_hub.bundle.loading import loaded
from madang_hub.bundle.manifest import BundleError
from madang_hub.deploy import engine, provider_check, tracking_server
from madang_hub.deploy.engine import EngineFacts, ModeError, decide
from madang_hub.deploy.findings import Finding
from madang_hub.deploy.server import Stack
from madang_hub.image_table import CatalogError
from madang_hub.places import Places, tool_of
from madang_hub.shelf.offered import offered
from madang_hub.warm.linux import can_wait

NEED_FREE = {"server": 12 * 2**30, "embedded": 4 * 2**30}
"""Bytes of free disk for images, environments and first data."""
_NO_INDEX = "Builds need a package index: see docs/howto/mirrors-and-certificates.md for mirrors and proxies"


@dataclass(frozen=True)
class Subject:
    """What is looked at. ``running``: Madang itself holds its ports."""

    places: Places
    facts: EngineFacts
    root: Path
    running: bool


def _mode(s: Subject) -> Finding:
    try:
        mode, why = decide(s.places.settings.mode, s.facts, s.places.made_in)
    except ModeError as error:
        return Finding("bad", str(error), "Mend the engine, or set MADANG_MODE=embedded")
    return Finding("good", f"{mode} mode: {why}")


def _python(s: Subject) -> Finding:
    return Finding("good", f"Python {platform.python_version()}")


def _catalog(s: Subject) -> Finding:
    try:
        catalog = offered(s.root, s.places.settings)
    except CatalogError as error:
        return Finding(
            "bad", f"the table of environments is wrong:\n{error}", "Correct the lines named"
        )
    return Finding("good", f"environments: {', '.join(catalog.environments)}")


def port_taken(address: str, port: int) -> str:
    """Why ``port`` cannot be listened on (empty when it can)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "another program listens there"
            if error.errno == errno.EACCES:
                return "this account may not use ports below 1024"
            return error.strerror or str(error)
    return ""


def _ports(s: Subject) -> Finding:
    settings = s.places.settings
    wanted = {
        "MADANG_PORT": (s.places.bind, settings.port),
        "MADANG_HUB_PORT": ("127.0.0.1", settings.hub_port),
        "MADANG_PROXY_API_PORT": ("127.0.0.1", settings.proxy_api_port),
        "MADANG_TRACKING_PORT": ("127.0.0.1", settings.tracking_port),
        "MADANG_PEOPLE_PORT": ("127.0.0.1", settings.people_port),
        "MADANG_ACCELERATORS_PORT": ("127.0.0.1", settings.accelerators_port),
        "MADANG_DASHBOARDS_PORT": ("127.0.0.1", settings.dashboards_port),
    }
    listing = ", ".join(str(port) for _, port in wanted.values())
    if s.running:
        return Finding("good", f"ports {listing}: Madang is running on them")
    taken = [
        f"{name}={port}: {why}"
        for name, (address, port) in wanted.items()
        if (why := port_taken(address, port))
    ]
    if taken:
        return Finding(
            "bad",
            "ports that cannot be used: " + "; ".join(taken),
            "Stop the other program, or set another number in madang.env",
        )
    return Finding("good", f"ports {listing} are free")


def overlapping(
    pool: IPv4Network, routes: Iterable[tuple[str, str]], bridge_prefix: str
) -> list[str]:
    """Which ``routes`` (destination, interface) of this machine meet ``pool``, beside Madang's own."""
    found = []
    for destination, interface in routes:
        if destination == "default" or interface.startswith(bridge_prefix):
            continue
        if IPv4Network(destination, strict=False).overlaps(pool):
            found.append(f"{destination} ({interface})")
    return found


def _range(s: Subject) -> Finding:
    settings = s.places.settings
    if s.places.mode == "embedded":
        return Finding("good", "no networks are made in embedded mode")
    try:
        done = subprocess.run(
            ["ip", "-json", "-4", "route"], capture_output=True, text=True, check=True, timeout=10
        )
        routes = [(r["dst"], r.get("dev", "?")) for r in json.loads(done.stdout)]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        return Finding("note", f"this machine's routes cannot be read ({error})")
    if met := overlapping(settings.network, routes, settings.bridge_prefix):
        return Finding(
            "bad",
            f"users' networks ({settings.network}) meet networks of this machine: {', '.join(met)}",
            "Set MADANG_NETWORK to a private range that is free here",
        )
    return Finding("good", f"the range for users' networks, {settings.network}, is free")


def _disk(s: Subject) -> Finding:
    folder = s.places.settings.data
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    need = NEED_FREE[s.places.mode]
    line = f"{free / 2**30:.1f} GiB free for data in {s.places.settings.data}"
    if free < need:
        return Finding(
            "bad",
            f"{line}; {need >> 30} GiB are needed",
            "Make room, or set MADANG_DATA to a larger disk",
        )
    return Finding("good", line)


def _writable(s: Subject) -> Finding:
    folder = s.places.settings.data
    parent = folder
    while not parent.exists():
        parent = parent.parent
    if not os.access(parent, os.W_OK):
        return Finding(
            "bad",
            f"this account may not write in {parent}",
            "Set MADANG_DATA to a folder of this account, or run as root",
        )
    return Finding("good", f"data folder {folder} can be written")


def _network(s: Subject) -> Finding:
    """Whether packages can be had, asked the way a build asks: by pip with this machine's settings."""
    try:
        if bundle := loaded(s.root):
            return Finding(
                "good", f"no network is needed: a bundle of Madang {bundle.release} is loaded"
            )
    except BundleError as error:
        return Finding("bad", str(error), "Load the bundle again (docs/howto/offline.md)")
    pip = tool_of(s.root, "pip")
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [
                    str(pip),
                    "download",
                    "--quiet",
                    "--no-cache-dir",
                    "--require-hashes",
                    "--no-deps",
                    "--dest",
                    folder,
                    "-r",
                    str(s.root / "locks" / "tool.txt"),
                ],
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Finding("bad", f"the package index does not answer ({error})", _NO_INDEX)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Finding("bad", f"packages cannot be downloaded: {last}", _NO_INDEX)
    return Finding("good", "the package index answers")


def _warm(s: Subject) -> Finding:
    if not s.places.settings.warm:
        return Finding("note", "no servers are made ready ahead (MADANG_WARM=0)")
    release = platform.release()
    if s.places.mode == "server" and not can_wait(release):
        return Finding(
            "note",
            f"every server is started cold: to make servers ready ahead takes Linux 5.12, this is {release}",
        )
    return Finding("good", "servers are made ready ahead")


def accelerators(s: Subject) -> Finding:
    """Which accelerators people can be given, and what is wrong with the others."""
    named = engine.cdi_folders(s.facts)
    try:
        inventory = Sources(s.root, named or FOLDERS).take()
    except TableError as error:
        return Finding("bad", str(error), f"Correct it ({GUIDE})")
    said = "accelerators: " + "\n      ".join(summary(inventory))
    if s.places.mode == "embedded":
        return Finding("note", said)
    if inventory.slots and named == ():
        return Finding(
            "bad",
            f"{said}\n      the engine hands out no devices by CDI",
            'Docker 25 or newer, with {"features": {"cdi": true}} in /etc/docker/daemon.json before 28.3',
        )
    if ill(inventory) or inventory.faults:
        return Finding("bad", said, f"See {GUIDE}; 'scripts/madang accelerators' lists all")
    return Finding("good" if inventory.slots else "note", said)


def _sign_in(s: Subject) -> Finding:
    return provider_check.check(s.places)


def _tracking_storage(s: Subject) -> Finding:
    ask: tracking_server.Ask | None = None
    if s.running and s.places.settings.tracking_artifacts:
        if s.places.mode == "embedded":
            ask = tracking_server.in_environment(s.places, s.root)
        else:
            stack = Stack(s.places, offered(s.root, s.places.settings), s.facts, s.root)
            ask = tracking_server.in_container(stack)
    return tracking_server.check(s.places, ask)


CHECKS: tuple[Callable[[Subject], Finding], ...] = (
    _mode,
    _python,
    _catalog,
    _ports,
    _range,
    _writable,
    _disk,
    _network,
    _sign_in,
    _tracking_storage,
    _warm,
    accelerators,
)


def examine(subject: Subject) -> list[Finding]:
    """Every check's finding, in order."""
    return [check(subject) for check in CHECKS]
