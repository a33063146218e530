"""A repository by its address: a real git server over https, and addresses that are refused."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from dulwich.objects import Blob, Commit, Tree
from dulwich.refs import HEADREF, Ref
from dulwich.repo import MemoryRepo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain

from madang_hub.shelf import checkout
from madang_hub.shelf.checkout import checked, fetch
from madang_hub.shelf.repository import RepositoryError

LOOPBACK = [IPv4Network("127.0.0.0/8")]


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, secret


def repository(files: dict[str, tuple[int, bytes]]) -> MemoryRepo:
    """One with the branches main and next and the tag v1; ``files`` are mode and content by path."""
    repo = MemoryRepo()
    trees: dict[str, Tree] = {"": Tree()}
    for path, (mode, content) in files.items():
        blob = Blob.from_string(content)
        repo.object_store.add_object(blob)
        folder, _, name = path.rpartition("/")
        trees.setdefault(folder, Tree()).add(name.encode(), mode, blob.id)
    for folder, tree in trees.items():
        if folder:
            repo.object_store.add_object(tree)
            trees[""].add(folder.encode(), 0o040000, tree.id)
    repo.object_store.add_object(trees[""])
    commit = Commit()
    commit.tree = trees[""].id
    commit.author = commit.committer = b"kim <kim@example.org>"
    commit.author_time = commit.commit_time = 1_700_000_000
    commit.author_timezone = commit.commit_timezone = 0
    commit.message = b"first"
    repo.object_store.add_object(commit)
    for ref in (b"refs/heads/main", b"refs/heads/next", b"refs/tags/v1"):
        repo.refs[Ref(ref)] = commit.id
    repo.refs.set_symbolic_ref(HEADREF, Ref(b"refs/heads/main"))
    return repo


@dataclass
class Server:
    url: str
    environ: dict[str, str]
    commit: str


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *words: object) -> None:
        """Nothing."""


class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: object, address: object) -> None:
        """A client that goes away is none."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("git")
    good = repository(
        {
            "requirements.txt": (0o100644, b"rich\n"),
            "binder/apt.txt": (0o100644, b"tree\n"),
            "binder/postBuild": (0o120000, b"/etc/passwd"),
            "src/requirements.txt": (0o100644, b"no"),
            "notebook.ipynb": (0o100644, b"{}"),
        }
    )
    large = repository(
        {"apt.txt": (0o100644, b"x" * 5), "data": (0o100644, bytes(range(256)) * 40)}
    )
    backend = DictBackend({"/course": good, "/large": large})  # type: ignore[arg-type]  # a memory repository serves as well
    web = make_server("127.0.0.1", 0, make_wsgi_chain(backend), Threads, Quiet)
    pem, key = certificate(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem, key)
    web.socket = tls.wrap_socket(web.socket, server_side=True)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield Server(
        f"https://127.0.0.1:{web.server_address[1]}",
        {"SSL_CERT_FILE": str(pem)},
        good.refs[HEADREF].decode(),
    )
    web.shutdown()
    web.server_close()
    thread.join()


@pytest.mark.parametrize("ref", ["", "main", "next", "v1"])
def test_the_newest_state_of_a_branch_or_tag(server: Server, ref: str) -> None:
    found = fetch(f"{server.url}/course", ref, LOOPBACK, server.environ)
    assert found.files == {"requirements.txt": b"rich\n", "binder/apt.txt": b"tree\n"}
    assert found.commit == server.commit


def refused(server: Server, path: str, ref: str = "", **more: object) -> str:
    allowed = more.get("allowed", LOOPBACK)
    assert isinstance(allowed, list)
    with pytest.raises(RepositoryError) as wrong:
        fetch(server.url + path, ref, allowed, server.environ)
    return wrong.value.faults[0].sentence.message


def test_what_is_not_there_is_said(server: Server) -> None:
    assert refused(server, "/course", "no-such") == checkout.NO_SUCH_REF
    assert refused(server, "/nothing") == checkout.NOT_THERE


def test_private_networks_are_not_asked(server: Server) -> None:
    assert refused(server, "/course", allowed=[]) == checkout.PRIVATE
    assert refused(server, "/course", allowed=[IPv4Network("10.0.0.0/8")]) == checkout.PRIVATE


def test_a_server_that_nobody_vouches_for_is_not_believed(server: Server, tmp_path: Path) -> None:
    other, _ = certificate(tmp_path)
    stranger = Server(server.url, {"SSL_CERT_FILE": str(other)}, "")
    assert refused(stranger, "/course") == checkout.AWAY


def test_nobody_there(server: Server) -> None:
    nobody = Server("https://127.0.0.1:9", server.environ, "")
    assert refused(nobody, "/course") == checkout.AWAY


def test_no_more_than_the_limit_is_taken(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    # the limits are the child's; here the function itself is asked
    monkeypatch.setattr(checkout, "MAX_PACK", 100)
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(checkout._Refused, match="too large"):
        checkout._get(f"{server.url}/large", "", LOOPBACK)


@pytest.mark.parametrize(
    "address",
    [
        "", "course", "http://example.org/x", "git://example.org/x", "ssh://git@example.org/x",
        "git@example.org:x/y.git", "file:///etc", "/etc", "https://", "https://example.org",
        "https://example.org/", "https://kim@example.org/x", "https://kim:pw@example.org/x",
        "https://example.org/x?y", "https://example.org/x#y", "https://example.org/x y",
        "https://example.org:0/x", "https://example.org:99999/x", "https://example.org/한글",
        "ext::sh -c id", "--upload-pack=x", "https://[::1/x", "https://example.org/" + "x" * 300,
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_is_refused(address: str) -> None:
    with pytest.raises(RepositoryError) as wrong:
        checked(address, "")
    assert wrong.value.faults[0].sentence.message == checkout.NO_ADDRESS


@pytest.mark.parametrize("ref", ["-x", "a..b", "a b", "x" * 120, "$(x)", "한글", "@{1}"])
def test_a_ref_that_cannot_be_is_refused(ref: str) -> None:
    with pytest.raises(RepositoryError) as wrong:
        checked("https://example.org/x.git", ref)
    assert wrong.value.faults[0].sentence.message == checkout.NO_REF


def test_a_good_address_is_taken_as_it_is() -> None:
    address = "https://git.example.org:8443/team/course.git"
    assert checked(f" {address} ", " release/2026-1 ") == (address, "release/2026-1")
