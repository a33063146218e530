"""A real S3 server for tests: moto's, as a process, with one bucket.

It has an environment of its own, ``build/env/s3`` from ``locks/s3.txt``, made when first needed.
"""

import fcntl
import os
import subprocess
import xml.etree.ElementTree as Xml
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from madang_hub.deploy import envs
from madang_hub.places import bin_of
from support.deployment import ROOT, free_ports
from support.tracking import stop, wait_until

BUCKET = "runs"
OTHER = "payroll"
KEYS = "[default]\naws_access_key_id = madang\naws_secret_access_key = not-for-users\n"
_XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass(frozen=True)
class Bucket:
    """The storage, asked as its owner would; moto asks nobody for a signature."""

    endpoint: str
    settings: dict[str, str]

    def keys(self, prefix: str = "", bucket: str = BUCKET) -> dict[str, int]:
        """The sizes of what is stored."""
        query = {"list-type": "2", "prefix": prefix}
        reply = requests.get(f"{self.endpoint}/{bucket}", params=query, timeout=30)
        reply.raise_for_status()
        tree = Xml.fromstring(reply.text)  # noqa: S314 - our own server's answer
        return {
            str(item.findtext(f"{_XML}Key")): int(item.findtext(f"{_XML}Size") or 0)
            for item in tree.iter(f"{_XML}Contents")
        }

    def put(self, key: str, content: bytes, bucket: str = BUCKET) -> None:
        requests.put(f"{self.endpoint}/{bucket}/{key}", data=content, timeout=30).raise_for_status()


def _python() -> Path:
    (ROOT / "build/env").mkdir(parents=True, exist_ok=True)
    with (ROOT / "build/env/s3.flock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of the workers installs, the others wait
        envs.ensure_python(ROOT, "s3", ["locks/s3.txt"])
    return bin_of(ROOT, "s3") / "python"


@contextmanager
def storage(folder: Path) -> Iterator[Bucket]:
    """The server, and the tracking server's settings for it."""
    (port,) = free_ports(1)
    keys = folder / "keys"
    keys.write_text(KEYS)
    keys.chmod(0o600)
    endpoint = f"http://127.0.0.1:{port}"
    command = [str(_python()), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ}, stdout=log, stderr=log)
        try:
            for bucket in (BUCKET, OTHER):

                def made(name: str = bucket) -> bool:
                    assert process.poll() is None, (folder / "s3.log").read_text()
                    return requests.put(f"{endpoint}/{name}", timeout=5).ok

                wait_until(made, "the storage")
            yield Bucket(
                endpoint,
                {
                    "MADANG_TRACKING_ARTIFACTS": f"s3://{BUCKET}/madang",
                    "MADANG_TRACKING_S3_ENDPOINT": endpoint,
                    "MADANG_TRACKING_S3_KEYS_FILE": str(keys),
                },
            )
        finally:
            stop(process)
