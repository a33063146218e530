"""What images cost: to build, to keep, to start; beside a plain Dockerfile with pip and the same lock."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import docker
import requests
from support.deployment import ROOT

from bench.result import Result
from madang_hub.catalog import Catalog
from madang_hub.deploy import lab_extension
from madang_hub.shelf import build, site

SITE = (
    "--mount=type=secret,id=ca --mount=type=secret,id=mirrors "
    "--mount=type=bind,source=images/site,target=/site"
)
PLAIN = f"""\
FROM debian:bookworm-slim
RUN {SITE} \\
    . /site; apt-get update && apt-get install -y python3 python3-venv git curl less vim-tiny fonts-nanum
COPY locks/lab.txt /tmp/lab.txt
RUN {SITE} \\
    . /site; python3 -m venv /opt/lab && /opt/lab/bin/pip install --no-deps --require-hashes -r /tmp/lab.txt
ENV PATH=/opt/lab/bin:/usr/bin:/bin
"""
"""How an image with these packages is commonly written."""

COPIED = (
    "images",
    "locks",
    "mlflow",
    "extensions",
    "tutorials",
    ".dockerignore",
    "jupyterhub_config.py",
)
FROM_NOTHING = ("--no-cache",)


@dataclass
class Bench:
    """A copy of the checkout, whose lock can be changed, and the names of what is built from it."""

    root: Path
    catalog: Catalog

    @property
    def plain(self) -> str:
        return f"bench/plain:{self.catalog.release}"

    def ours(self, options: tuple[str, ...] = ()) -> float:
        """Seconds to build ``lab`` and all that it stands on."""
        begin = time.monotonic()
        build.build(self.catalog, self.root, ["lab"], os.environ, options)
        return time.monotonic() - begin

    def theirs(self, options: tuple[str, ...] = ()) -> float:
        """Seconds to build the plain image."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "Dockerfile"
            file.write_text(PLAIN)
            python = str(ROOT / "build" / "env" / "tool" / "bin" / "python")
            words = site.secrets(Path(folder), os.environ, python)
            command = [
                "docker",
                "build",
                "--file",
                str(file),
                "--tag",
                self.plain,
                *words,
                *options,
            ]
            begin = time.monotonic()
            done = subprocess.run(
                [*command, str(self.root)], check=False, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr[-3000:]
            return time.monotonic() - begin

    def change_a_line(self) -> None:
        """One package of the lock is gone: the smallest change that a lock can have."""
        lock = self.root / "locks" / "lab.txt"
        text, changed = re.subn(r"(?m)^seaborn==.*\n(?:[ ].*\n)*", "", lock.read_text(), count=1)
        assert changed == 1
        lock.write_text(text)


@contextmanager
def bench() -> Iterator[Bench]:
    catalog = Catalog.load(ROOT / "images" / "images.toml")
    lab_extension.ensure(ROOT)
    with tempfile.TemporaryDirectory(prefix="madang-bench-") as folder:
        root = Path(folder)
        for name in (*COPIED, "build/lab-extension"):
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("node_modules"))
            else:
                shutil.copy(ROOT / name, target)
        (root / "build" / "env").symlink_to(ROOT / "build" / "env")
        made = Bench(root, replace(catalog, release=f"bench-{secrets.token_hex(3)}"))
        try:
            yield made
        finally:
            names = [made.catalog.reference(n) for n in catalog.images]
            subprocess.run(
                ["docker", "image", "rm", "--force", made.plain, *names],
                capture_output=True,
                check=False,
            )


def _forget_downloads() -> None:
    """The installers' caches of earlier builds, which no fresh machine has."""
    kind = "type=exec.cachemount"
    subprocess.run(
        ["docker", "builder", "prune", "--force", "--filter", kind], check=True, capture_output=True
    )


def image_build_lab() -> list[Result]:
    """Building ``lab`` from nothing, and with a changed lock line; then its size and its start."""
    with bench() as made:
        _forget_downloads()
        whole = [(made.ours(FROM_NOTHING), made.theirs(FROM_NOTHING))]
        made.change_a_line()
        changed = [(made.ours(), made.theirs())]
        lab = made.catalog.reference("lab")
        size = [(compressed(lab), compressed(made.plain))]
        starts = [(answering(lab), answering(made.plain)) for _ in range(4)][1:]
    return [
        Result.smaller("image_build_lab", "s", whole),
        Result.smaller("image_build_lab_changed", "s", changed),
        Result.smaller("image_size_lab", "MB", size),
        Result.smaller("image_start_lab", "s", starts),
    ]


def image_start() -> Iterator[Result]:
    """Every image of the shelf that is here: compressed size and start → HTTP, printed beside ``base``."""
    catalog = Catalog.load(ROOT / "images" / "images.toml")
    client = docker.DockerClient.from_env()
    here = {tag for image in client.images.list() for tag in image.tags}
    client.close()
    names = [n for n in catalog.images if "os" in catalog.lineage(n) and n != "os"]
    base = catalog.reference("base")
    for name in names:
        reference = catalog.reference(name)
        if reference not in here:
            continue
        command = DASHBOARD if name == "dashboard" else LAB
        runs = [(answering(reference, command), answering(base)) for _ in range(4)][1:]
        yield Result.smaller(f"image_start_{name}", "s", runs)
        yield Result.smaller(
            f"image_size_{name}", "MB", [(compressed(reference), compressed(base))]
        )


NOTEBOOK = '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}'
DASHBOARD = [
    "sh",
    "-c",
    f"echo '{NOTEBOOK}' > /tmp/a.ipynb; export MADANG_DASHBOARD_ROOT=/tmp MADANG_DASHBOARD_NOTEBOOK=a.ipynb; "
    f"MADANG_DASHBOARD_KEY={'k' * 40} exec madang-dashboard",
]
LAB = ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "--IdentityProvider.token="]


@cache
def compressed(reference: str) -> float:
    """Megabytes (10^6 bytes) of an image's layers under gzip, as a registry keeps them."""
    line = f"docker save {reference} | gzip -6 | wc -c"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1e6


def answering(reference: str, command: Sequence[str] = LAB) -> float:
    """Seconds from the start of a container of ``reference`` to its first answer over HTTP."""
    client = docker.DockerClient.from_env()
    container = client.containers.create(
        reference, list(command), user="1000:1000", environment={"HOME": "/tmp"}, working_dir="/tmp"
    )
    try:
        begin = time.monotonic()
        container.start()
        container.reload()
        address = container.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        # a runner of dashboards says 404 to who has no key
        url = f"http://{address}:8888/api"
        while not _answers(url):
            if time.monotonic() > begin + 120:
                raise AssertionError(f"{reference} does not answer:\n{container.logs().decode()}")
        return time.monotonic() - begin
    finally:
        container.remove(force=True, v=True)
        client.close()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).status_code < 500
    except requests.RequestException:
        time.sleep(0.02)  # between two tries, not to wait for something
        return False


ALONE: dict[str, Callable[[], Iterable[Result]]] = {
    "image_build_lab": image_build_lab,
    "image_start": image_start,
}
"""Measures that need no Hub."""
