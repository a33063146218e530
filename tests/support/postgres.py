"""A PostgreSQL of a test's own, on a unix socket, from the programs that this machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

USER = "madang"


def programs() -> Path | None:
    """The folder with its programs; None where there are none (Debian's package ``postgresql``)."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


@contextmanager
def postgres(
    where: Path, names: tuple[str, ...] = ("madang",), *, durable: bool = False
) -> Iterator[list[str]]:
    """The addresses (SQLAlchemy's, psycopg2) of new databases.

    Args:
        where: the folder of the programs.
        names: the databases.
        durable: whether it waits for the disk, as it usually does.
    """
    folder = Path(tempfile.mkdtemp(prefix="madang-pg-"))  # a socket's path must be short
    run: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "check": True}
    if os.getuid() == 0:
        # it does not run as root, and its folder must be its own
        shutil.chown(folder, user="postgres", group="postgres")
        run |= {"user": "postgres", "group": "postgres", "extra_groups": []}
    data = str(folder / "data")
    control = [str(where / "pg_ctl"), "--pgdata", data, "--wait", "--log", str(folder / "log")]
    options = (
        f"-c listen_addresses= -c unix_socket_directories={folder} -c max_connections=200 "
        f"-c log_min_messages=fatal -c fsync={'on' if durable else 'off'}"
    )
    try:
        words = ["--auth=trust", f"--username={USER}", "--locale=C.UTF-8", "--encoding=UTF8"]
        subprocess.run(
            [str(where / "initdb"), "--pgdata", data, *words], stderr=subprocess.DEVNULL, **run
        )
        subprocess.run([*control, "--options", options, "start"], **run)
        try:
            client = ["--host", str(folder), f"--username={USER}"]
            for name in names:
                subprocess.run([str(where / "createdb"), *client, name], **run)
            yield [f"postgresql+psycopg2://{USER}@/{name}?host={folder}" for name in names]
        finally:
            subprocess.run([*control, "--mode", "immediate", "stop"], **run)
    finally:
        shutil.rmtree(folder)
