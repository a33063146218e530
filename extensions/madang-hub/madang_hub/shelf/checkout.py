"""The few files of a repository that matter, by its address: ``python -m madang_hub.shelf.checkout``.

The newest state of one branch or tag is fetched over https by dulwich, which is a git of its own: no hooks,
no submodules, no configuration, no credentials, nothing is written to the disk. Somebody else's server
decides what comes, so it happens in a process of its own with limits of memory and time, and private
addresses are refused after the connection is made and before anything is asked.
"""

from __future__ import annotations

import base64
import json
import os
import re
import resource
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address
from typing import Any
from urllib.parse import urlsplit

import urllib3
from dulwich.client import Urllib3HttpGitClient
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository
from dulwich.object_store import MemoryObjectStore
from dulwich.objects import Blob, Commit, ObjectID, Tag, Tree
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

from madang_hub.people.sentences import Sentence
from madang_hub.shelf.repository import FOLDERS, MAX_FILE, NAMES, Fault, RepositoryError
from madang_hub.web.i18n import N_

SECONDS = 60
"""For the whole of it."""
MAX_PACK = 32 * 2**20
"""Bytes that are fetched; one state of a repository of packages' names and notebooks is smaller."""
MAX_MEMORY = 1536 * 2**20
"""Address space of the process that fetches: what is fetched may be made to grow when it is unpacked."""
REF = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,100}", re.ASCII)

NO_ADDRESS = N_(
    "Write the repository's address as https://server/path, without a user name, a password or options."
)
NO_REF = N_("Write the name of a branch or a tag, or leave it empty.")
NOT_THERE = N_(
    "There is no repository at this address, or it is not public. Upload an archive of it instead."
)
NO_SUCH_REF = N_("The repository has no branch and no tag of this name.")
TOO_LARGE = N_(
    "The repository is too large. Upload an archive of only the files that name the packages."
)
AWAY = N_(
    "The repository's server cannot be reached from this machine. Upload an archive of it instead, or tell "
    "the operator."
)
PRIVATE = N_(
    "This address lies in a private network, where the Hub does not look. Upload an archive of it instead."
)
SENTENCES = (NOT_THERE, NO_SUCH_REF, TOO_LARGE, AWAY, PRIVATE)


@dataclass(frozen=True)
class Found:
    """The commit, and the relevant files by path."""

    commit: str
    files: Mapping[str, bytes]


def error(message: str) -> RepositoryError:
    return RepositoryError([Fault("", 0, Sentence(message))])


def checked(address: str, ref: str) -> tuple[str, str]:
    """``address`` and ``ref`` as they may be used.

    Raises:
        RepositoryError: one of them cannot be.
    """
    address, ref = address.strip(), ref.strip()
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as wrong:
        raise error(NO_ADDRESS) from wrong
    if (
        len(address) > 300
        or not re.fullmatch(r"[!-~]+", address, re.ASCII)
        or parts.scheme != "https"
        or not parts.hostname
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
        or "?" in address
        or "#" in address
        or len(parts.path) < 2
        or port == 0
    ):
        raise error(NO_ADDRESS)
    if ref and not REF.fullmatch(ref):
        raise error(NO_REF)
    return address, ref


def fetch(
    address: str, ref: str, allowed: Sequence[IPv4Network], environ: Mapping[str, str]
) -> Found:
    """The relevant files of the newest state of ``ref`` (empty: the default branch); it takes seconds.

    Args:
        allowed: private networks that may be asked.
        environ: the site's certificates and proxy.

    Raises:
        RepositoryError: address, ref, server or repository cannot be used.
    """
    address, ref = checked(address, ref)
    command = [sys.executable, "-m", "madang_hub.shelf.checkout", address, ref]
    with tempfile.TemporaryDirectory(prefix="madang-checkout-") as folder:
        try:
            done = subprocess.run(
                [*command, *map(str, allowed)],
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "HOME": folder,
                    "PYTHONSAFEPATH": "1",
                    **environ,
                },
                cwd=folder,
                capture_output=True,
                check=False,
                timeout=SECONDS,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired as late:
            raise error(AWAY) from late
    try:
        said = json.loads(done.stdout)
    except ValueError as wrong:
        # it ended without a word: the limit of memory
        raise error(TOO_LARGE) from wrong
    if said.get("error") in SENTENCES:
        raise error(said["error"])
    return Found(
        said["commit"], {path: base64.b64decode(text) for path, text in said["files"].items()}
    )


# ---- in the process of its own --------------------------------------------------------------


class _Refused(Exception):  # noqa: N818  # as the other refusals
    """With one of :data:`SENTENCES`."""


def _pool(allowed: Sequence[IPv4Network], environ: Mapping[str, str]) -> urllib3.PoolManager:
    """Connections by https alone, and to no private address; behind a proxy, that decides."""
    proxy = environ.get("HTTPS_PROXY") or environ.get("https_proxy")
    limits: dict[str, Any] = {"timeout": 20, "retries": urllib3.Retry(0, redirect=3)}
    if proxy:
        manager: urllib3.PoolManager = urllib3.ProxyManager(proxy, **limits)
        return manager

    class Connection(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            peer = ip_address(self.sock.getpeername()[0])
            mapped = getattr(peer, "ipv4_mapped", None) or peer
            if not mapped.is_global and not any(mapped in network for network in allowed):
                self.close()
                raise _Refused(PRIVATE)

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

    manager = urllib3.PoolManager(**limits)
    # no http: a redirect to it finds no pool
    manager.pool_classes_by_scheme = {"https": Pool}
    return manager


def _get(address: str, ref: str, allowed: Sequence[IPv4Network]) -> Found:
    base, _, path = address.rpartition("/")
    client = Urllib3HttpGitClient(base + "/", pool_manager=_pool(allowed, os.environ))
    wanted: list[ObjectID] = []

    def wants(refs: Mapping[bytes, ObjectID | None], depth: int | None = None) -> list[ObjectID]:
        name = ref.encode()
        names = [b"refs/heads/" + name, b"refs/tags/" + name] if ref else [b"HEAD"]
        found = next((sha for n in names if (sha := refs.get(n))), None)
        if found is None:
            raise _Refused(NO_SUCH_REF if any(refs.values()) else NOT_THERE)
        wanted.append(found)
        return wanted

    class Nothing:
        """We have nothing yet; dulwich's graph walker for that."""

        shallow: frozenset[ObjectID] = frozenset()

        def __next__(self) -> None:
            return None

        def ack(self, sha: object) -> None: ...

        def nak(self) -> None: ...

    store = MemoryObjectStore()
    file, commit, abort = store.add_pack()
    size = 0

    def take(data: bytes) -> int:
        nonlocal size
        size += len(data)
        if size > MAX_PACK:
            raise _Refused(TOO_LARGE)
        return file.write(data)

    try:
        client.fetch_pack(path, wants, Nothing(), take, depth=1)  # type: ignore[arg-type]  # all of a walker that it calls
    except BaseException:
        abort()
        raise
    commit()
    one = store[wanted[0]]
    while isinstance(one, Tag):
        one = store[one.object[1]]
    if not isinstance(one, Commit):
        raise _Refused(NO_SUCH_REF)
    return Found(one.id.decode(), dict(_files(store, one)))


def _files(store: MemoryObjectStore, commit: Commit) -> list[tuple[str, bytes]]:
    top = store[commit.tree]
    trees = [("", top)]
    if isinstance(top, Tree):
        for entry in top.iteritems():
            if entry.path.decode("utf-8", "replace") in FOLDERS and stat.S_ISDIR(entry.mode or 0):
                trees.append((entry.path.decode() + "/", store[entry.sha]))
    found = []
    for prefix, tree in trees:
        for entry in tree.iteritems() if isinstance(tree, Tree) else ():
            name = entry.path.decode("utf-8", "replace")
            # links and submodules are no files
            if name in NAMES and stat.S_ISREG(entry.mode or 0):
                blob = store[entry.sha]
                if isinstance(blob, Blob):
                    found.append((prefix + name, blob.as_raw_string()[: MAX_FILE + 1]))
    return found


def main(words: Sequence[str]) -> int:
    """Fetch what ``words`` say, and print it as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    address, ref, *allowed = words
    said: dict[str, Any]
    try:
        found = _get(address, ref, [IPv4Network(n) for n in allowed])
        files = {path: base64.b64encode(text).decode() for path, text in found.files.items()}
        said = {"commit": found.commit, "files": files}
    except _Refused as refused:
        said = {"error": str(refused)}
    except MemoryError:
        said = {"error": TOO_LARGE}
    except (NotGitRepository, GitProtocolError, HangupException, KeyError) as wrong:
        print(f"{type(wrong).__name__}: {wrong}", file=sys.stderr)
        # dulwich's own error stands for that of the connection
        away = isinstance(wrong.__cause__ or wrong.__context__, urllib3.exceptions.HTTPError)
        said = {"error": AWAY if away else NOT_THERE}
    except (urllib3.exceptions.HTTPError, OSError) as gone:
        print(f"{type(gone).__name__}: {gone}", file=sys.stderr)
        said = {"error": AWAY}
    json.dump(said, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
