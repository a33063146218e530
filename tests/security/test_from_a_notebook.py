"""What code in somebody's own notebook can reach: the whole stack, tried from inside a real kernel.

``test_isolation.py`` holds the container against the rules; here the attacker has what a person has: a
kernel, the server's token and the internet.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from support.deployment import Deployment
from support.people import Person, newcomer

from madang_hub.dashboards.web.scopes import PUBLISH
from madang_hub.permissions import SERVER_TOKEN_SCOPES

from .conftest import listener

pytestmark = pytest.mark.engine

REACHES = """
import json, socket
def reaches(address, port):
    try:
        with socket.create_connection((address, port), 1):
            return True
    except OSError:
        return False
"""


def started(deployment: Deployment, name: str) -> Person:
    person = newcomer(deployment, name)
    person.start(environment="lab", size="small")
    return person


@pytest.fixture(scope="module")
def attacker(server_mode: Deployment) -> Person:
    """Somebody who tries everything."""
    return started(server_mode, "mallory")


@pytest.fixture(scope="module")
def victim(server_mode: Deployment) -> Person:
    """Somebody with a server, a file and a run."""
    person = started(server_mode, "jisoo")
    person.run("open('secret.txt', 'w').write('only mine')")
    person.run("import mlflow\nwith mlflow.start_run(run_name='only mine'): pass")
    return person


def address_of(engine: docker.DockerClient, person: Person) -> tuple[str, str]:
    """The container's address and its gateway's."""
    labels = [f"madang.instance={person.deployment.instance}", f"madang.user={person.name}"]
    (container,) = engine.containers.list(filters={"label": labels})
    (network,) = container.attrs["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"]), str(network["Gateway"])


def open_doors(person: Person, doors: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Which of ``doors`` (address and port) a kernel of ``person`` can connect to."""
    said = person.run(
        f"{REACHES}\nfrom concurrent.futures import ThreadPoolExecutor\n"
        f"doors = {doors!r}\n"
        "with ThreadPoolExecutor(32) as pool:\n"
        "    found = list(pool.map(lambda d: reaches(*d), doors))\n"
        "print(json.dumps([d for d, yes in zip(doors, found) if yes]))"
    )
    return [(a, p) for a, p in json.loads(said)]


def asked(
    person: Person, method: str, path: str, base: str = "/hub/api", **kwargs: Any
) -> tuple[int, str]:
    """What the server's own token gets from ``path``, asked in its kernel; status and text."""
    said = person.run(
        "import json, os, requests\n"
        "token = os.environ['JUPYTERHUB_API_TOKEN']\n"
        "site = os.environ['JUPYTERHUB_API_URL'].removesuffix('/hub/api')\n"
        f"r = requests.request({method!r}, site + {base + path!r},\n"
        "    headers={'Authorization': f'token {token}'}, timeout=30, allow_redirects=False,\n"
        f"    **{kwargs!r})\n"
        "print(json.dumps([r.status_code, r.text]))"
    )
    status, text = json.loads(said.strip().splitlines()[-1])
    return int(status), str(text)


def machine_addresses() -> list[str]:
    found = subprocess.run(
        ["ip", "-json", "-4", "addr"], capture_output=True, check=True, text=True
    ).stdout
    return [
        str(info["local"])
        for link in json.loads(found)
        if link["ifname"] != "lo"
        for info in link.get("addr_info", [])
    ]


# ---- the network ---------------------------------------------------------------------------------


def test_only_the_public_port_of_the_machine(
    server_mode: Deployment, attacker: Person, victim: Person, engine: docker.DockerClient
) -> None:
    _, own_gateway = address_of(engine, attacker)
    _, other_gateway = address_of(engine, victim)
    addresses = machine_addresses()
    assert {own_gateway, other_gateway} <= set(addresses)
    listening = {
        int(line.split()[1].rpartition(":")[2], 16)
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        if line.split()[3] == "0A"
    }
    own = {server_mode.hub_port, server_mode.proxy_api_port, server_mode.tracking_port}
    assert own <= listening
    with listener() as everywhere:
        ports = sorted({*listening, *own, everywhere, 22, 5432, 2375, 2376} - {server_mode.port})
        doors = [(a, p) for a in [*addresses, "127.0.0.1"] for p in ports]
        inside = attacker.run("import os; print(os.environ['JUPYTERHUB_SERVICE_URL'])")
        found = open_doors(attacker, doors)
        # its own loopback is the notebook's own: the kernel's ports are there
        assert [d for d in found if d[0] != "127.0.0.1"] == []
        assert str(server_mode.hub_port) not in inside
        assert ("127.0.0.1", everywhere) not in found
    # and the detector works
    assert open_doors(attacker, [(own_gateway, server_mode.port)])


def test_no_way_to_another_persons_server(
    server_mode: Deployment, attacker: Person, victim: Person, engine: docker.DockerClient
) -> None:
    address, _ = address_of(engine, victim)
    assert requests.get(f"http://{address}:8888/user/{victim.name}/api", timeout=10).ok
    assert open_doors(attacker, [(address, p) for p in (8888, 22, 80)]) == []
    # through the proxy the door is there, and shut
    for path in ("api/contents/secret.txt", "api/kernels", "files/secret.txt", "api/sessions"):
        status, text = asked(attacker, "GET", f"/user/{victim.name}/{path}", base="")
        assert status in (302, 403, 404), path
        assert "only mine" not in text
    status, _ = asked(attacker, "POST", f"/user/{victim.name}/api/kernels", base="")
    assert status in (302, 403, 404)
    # the detector: its own door opens to the same token
    assert asked(attacker, "GET", f"/user/{attacker.name}/api/kernels", base="")[0] == 200


@pytest.mark.parametrize("address", ["169.254.169.254", "169.254.170.2", "100.100.100.200"])
def test_no_metadata_address(attacker: Person, address: str) -> None:
    assert open_doors(attacker, [(address, p) for p in (80, 443)]) == []


def test_no_raw_sockets_and_no_ipv6(attacker: Person) -> None:
    said = attacker.run(
        "import socket\n"
        "for family, kind, proto in [(socket.AF_INET, socket.SOCK_RAW, 1),\n"
        "                            (socket.AF_PACKET, socket.SOCK_RAW, 768)]:\n"
        "    try:\n        socket.socket(family, kind, proto); print('open')\n"
        "    except PermissionError: print('refused')\n"
        "import pathlib\n"
        "six = pathlib.Path('/proc/net/if_inet6')\n"
        "print([l for l in (six.read_text() if six.exists() else '').splitlines()\n"
        "       if not l.endswith(' lo')])"
    )
    assert said.split() == ["refused", "refused", "[]"]


# ---- the disk ------------------------------------------------------------------------------------


def test_nothing_of_others_on_the_disk(
    server_mode: Deployment, attacker: Person, victim: Person
) -> None:
    said = attacker.run(
        "import os, pathlib\n"
        f"data = pathlib.Path({str(server_mode.data)!r})\n"
        "print(os.listdir('/home'), data.exists())\n"
        "print([p for p in ('/var/run/docker.sock', '/run/docker.sock', '/run/engine.sock',\n"
        "       '/run/postgres', '/run/secrets') if os.path.exists(p)])\n"
        "try: os.symlink(data / 'homes' / 'jisoo', 'link')\nexcept FileExistsError: pass\n"
        "try: print(os.listdir('link'))\nexcept OSError as e: print(type(e).__name__)"
    )
    assert said.splitlines() == ["['madang'] False", "[]", "FileNotFoundError"]
    reply = attacker.server("GET", "/contents/link")
    assert reply.status_code in (400, 403, 404)
    mounts = attacker.run("print(open('/proc/mounts').read())")
    assert victim.name not in mounts
    # the kernel says where a mount comes from on the machine; the way there is closed
    assert "postgres" not in mounts


def test_the_root_file_system_cannot_be_written(attacker: Person) -> None:
    said = attacker.run(
        "import os, tempfile\n"
        "for place in ('/', '/etc', '/usr/bin', '/opt', '/var/tmp', '/run', '/proc/sys/kernel', '/home',\n"
        "              '/dev'):\n"
        "    try:\n"
        "        with tempfile.TemporaryFile(dir=place): print('written', place)\n"
        "    except OSError: pass\n"
        "print(os.getuid(), os.getgid(), os.getgroups())"
    )
    *written, who = said.splitlines()
    assert written == []
    assert who in ("1000 1000 []", "1000 1000 [1000]")


# ---- the server's own token ----------------------------------------------------------------------


def test_the_token_has_its_scopes_and_no_other(attacker: Person) -> None:
    status, text = asked(attacker, "GET", "/user")
    assert status == 200
    me = json.loads(text)
    filled = {
        scope.replace("!user", f"!user={attacker.name}").replace(
            "!server", f"!server={attacker.name}/"
        )
        for scope in SERVER_TOKEN_SCOPES
    }
    # what its person may not do, a server's token cannot either
    filled -= {PUBLISH}
    assert PUBLISH not in me["scopes"]
    # a person's name comes with every token (JupyterHub adds the right to know who one is)
    whoami = {f"read:users:name!user={attacker.name}", f"read:users:groups!user={attacker.name}"}
    assert filled <= set(me["scopes"])
    assert set(me["scopes"]) - filled <= whoami | {
        f"read:users:activity!user={attacker.name}",
    }
    assert not me.get("admin")


SELF, OTHER = "mallory", "jisoo"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/users", None),
        ("GET", f"/users/{OTHER}", None),
        ("GET", "/groups", None),
        ("GET", "/services", None),
        ("GET", "/proxy", None),
        ("GET", "/info", None),
        ("GET", f"/users/{SELF}/tokens", None),
        ("GET", f"/users/{OTHER}/tokens", None),
        ("POST", "/users", {"usernames": ["new"], "admin": True}),
        ("POST", f"/users/{SELF}/tokens", {"note": "more", "scopes": ["self"]}),
        ("POST", f"/users/{SELF}/tokens", {}),
        ("POST", f"/users/{OTHER}/tokens", {}),
        ("POST", f"/users/{SELF}/server", {}),
        ("DELETE", f"/users/{SELF}/server", None),
        ("POST", f"/users/{SELF}/servers/second", {}),
        ("POST", f"/users/{OTHER}/server", {}),
        ("DELETE", f"/users/{OTHER}/server", None),
        ("PATCH", f"/users/{SELF}", {"admin": True}),
        ("DELETE", f"/users/{OTHER}", None),
        ("POST", f"/users/{OTHER}/activity", {"last_activity": "2026-01-01T00:00:00Z"}),
        ("POST", f"/shares/{SELF}/", {"user": OTHER}),
        ("POST", f"/share-codes/{SELF}/", {}),
        ("GET", f"/users/{OTHER}/shared", None),
        ("POST", "/groups/admins", {}),
        ("POST", "/shutdown", {}),
    ],
)
def test_the_token_may_not(
    attacker: Person, victim: Person, method: str, path: str, body: dict[str, object] | None
) -> None:
    kwargs: dict[str, Any] = {} if body is None else {"json": body}
    status, text = asked(attacker, method, path, **kwargs)
    assert status in (403, 404), text
    assert victim.password not in text
    assert attacker.server_ready
    assert victim.server_ready


def test_the_environment_holds_no_other_secret(server_mode: Deployment, attacker: Person) -> None:
    seen = attacker.run(
        "import glob\n"
        "for name in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):\n"
        "    try: print(open(name, 'rb').read().replace(b'\\0', b'\\n').decode('utf-8', 'replace'))\n"
        "    except OSError: pass"
    )
    assert "JUPYTERHUB_API_TOKEN" in seen
    for secret in (p for p in (server_mode.data / "secrets").iterdir() if p.is_file()):
        assert secret.read_text(encoding="ascii").strip() not in seen, secret.name
    names = {line.partition("=")[0] for line in seen.splitlines() if "=" in line}
    known = {"JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN", "MLFLOW_TRACKING_TOKEN"}
    words = ("TOKEN", "SECRET", "PASSWORD", "CRYPT", "DATABASE")
    assert {n for n in names if any(w in n.upper() for w in words)} <= known
    assert not [n for n in names if n.startswith(("DOCKER", "AWS_", "CONFIGPROXY"))]


def test_tracking_takes_no_made_up_identity(
    server_mode: Deployment, attacker: Person, victim: Person
) -> None:
    def search(headers: dict[str, str]) -> tuple[int, str]:
        said = attacker.run(
            "import json, os, requests\n"
            "r = requests.post(os.environ['MLFLOW_TRACKING_URI'] + "
            "'/api/2.0/mlflow/experiments/search',\n"
            f"    json={{'max_results': 10}}, headers={headers!r}, timeout=30)\n"
            "print(json.dumps([r.status_code, r.text]))"
        )
        status, text = json.loads(said.strip().splitlines()[-1])
        return int(status), str(text)

    for headers in (
        {},
        {"Authorization": "Bearer made-up"},
        {"Authorization": "Bearer " + "0" * 32},
        {"X-Forwarded-User": victim.name, "Remote-User": victim.name},
        {"Authorization": "Basic amlzb286amlzb28="},
    ):
        status, text = search(headers)
        assert status in (401, 403), text
        assert "only mine" not in text
    # the detector: with the own token it answers
    token = attacker.run("import os; print(os.environ['MLFLOW_TRACKING_TOKEN'])").strip()
    assert search({"Authorization": f"Bearer {token}"})[0] == 200
