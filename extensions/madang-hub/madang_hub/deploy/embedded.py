"""Embedded mode: proxy, Hub and tracking server as processes under supervisord.

The three have the same addresses and the same configuration as in server mode.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import requests

from madang_hub.catalog import Catalog
from madang_hub.deploy import envs, lab_extension, lessons
from madang_hub.deploy.waiting import wait_for
from madang_hub.lessons import are_in
from madang_hub.places import (
    ACCELERATOR_PREFIX,
    APP_IMAGE,
    APP_MARK,
    DASHBOARD_PREFIX,
    PEOPLE_PREFIX,
    SERVER_MARK,
    Places,
    bin_of,
    ensure_secrets,
    env_of,
    read_secret,
    sign_in_secret,
    storage_keys,
    tool_of,
)
from madang_hub.shelf import carried_site
from madang_hub.shelf.publish import publish_environment

_CONFIG = """\
; written by `make up`; settings are in madang.env
[unix_http_server]
file = {run}/supervisor.sock
chmod = 0700

[supervisord]
logfile = {log}/supervisord.log
logfile_maxbytes = 5MB
pidfile = {run}/supervisord.pid
directory = {hub}
minfds = 1024
umask = 077

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{run}/supervisor.sock
"""

_PROGRAM = """
[program:{name}]
command = {command}
directory = {folder}
environment = {environment}
autorestart = true
startsecs = 2
startretries = 1000000
stopwaitsecs = 20
; a Hub that stops must leave the users' servers running
stopasgroup = {group}
killasgroup = {group}
redirect_stderr = true
stdout_logfile = {log}/{name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
"""


class EmbeddedError(RuntimeError):
    """Embedded mode cannot run; the message says why and what to do."""


def _quoted(value: str) -> str:
    """``value`` for supervisord's ``environment=``: quoted, with its own ``%`` doubled."""
    return '"' + value.replace("%", "%%") + '"'


def _with(environment: Mapping[str, str], command: str) -> str:
    """``command`` with these variables, whatever characters they hold, for supervisord's ``command=``.

    ``environment=`` knows no escapes. ``command=`` is read like a shell's words; only a ``;`` or ``#`` after
    a space would begin a comment there, so two quotes come between.
    """
    words = (f"{k}={shlex.quote(v)}" for k, v in sorted(environment.items()))
    given = re.sub(r"(?<=\s)(?=[;#])", "''", " ".join(words))
    return f"/usr/bin/env {given} {command}" if given else command


def _own_environment(places: Places, root: Path) -> dict[str, str]:
    """What all three processes are told."""
    return {
        **places.settings.environ(),
        "MADANG_RUNS_AS": "embedded",
        "MADANG_ROOT": str(root),
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "PYTHONSAFEPATH": "1",
        "HOME": str(Path.home()),
    }


def tracking_environment(places: Places, root: Path) -> dict[str, str]:
    """What the tracking server is told (no secret in it, but where they are)."""
    own, secrets = _own_environment(places, root), places.secrets
    authority = places.storage_secrets / "ca.pem"
    stored = places.settings.tracking_artifacts
    return {
        **own,
        "JUPYTERHUB_API_URL": places.hub_api,
        "JUPYTERHUB_API_TOKEN_FILE": str(secrets / "tracking_token"),
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_SERVICE_PREFIX": "/services/mlflow/",
        "JUPYTERHUB_CLIENT_ID": "service-mlflow",
        "MADANG_TRACKING_SECRET_FILE": str(secrets / "tracking_cookies"),
        "MADANG_TRACKING_BACKEND": places.database_url("mlflow"),
        "MADANG_TRACKING_ARTIFACTS": stored or str(places.tracking / "artifacts"),
        "MADANG_TRACKING_S3_KEYS_FILE": str(places.storage_secrets / "keys") if stored else "",
        "MADANG_TRACKING_S3_CA_FILE": str(authority) if authority.exists() else "",
        "MADANG_TRACKING_STATE": str(places.tracking),
        "PATH": f"{bin_of(root, 'mlflow')}:{own['PATH']}",
    }


def supervisor_config(places: Places, root: Path, proxy: Path) -> str:
    """supervisord's configuration for this installation (no secret in it)."""
    settings, secrets = places.settings, places.secrets
    own, tracking = _own_environment(places, root), tracking_environment(places, root)
    token = f"CONFIGPROXY_AUTH_TOKEN=$(cat {secrets}/proxy_token)"
    start_proxy = (
        f"export {token}; exec {envs.node()} {proxy} --ip={places.bind} --port={settings.port} "
        f"--api-ip=127.0.0.1 --api-port={settings.proxy_api_port} "
        f"--error-target=http://127.0.0.1:{settings.hub_port}/hub/error"
    )
    programs = {
        "proxy": (f"/bin/sh -c '{start_proxy}'", own, "true"),
        "hub": (
            f"{sys.executable} -m jupyterhub --config={root}/jupyterhub_config.py",
            own,
            "false",
        ),
        "mlflow": (f"{bin_of(root, 'mlflow')}/python -m madang_mlflow", tracking, "true"),
    }
    text = _CONFIG.format(run=places.run, log=places.log, hub=places.hub)
    for name, (command, environment, group) in programs.items():
        awkward = {k: v for k, v in environment.items() if set(v) & set("\"';#\\")}
        command = _with(awkward, command)
        environment = {k: v for k, v in environment.items() if k not in awkward}
        text += _PROGRAM.format(
            name=name,
            command=command.replace("%", "%%"),
            folder=places.tracking if name == "mlflow" else places.hub,
            environment=",".join(f"{k}={_quoted(v)}" for k, v in sorted(environment.items())),
            group=group,
            log=places.log,
        )
    return text


def check(places: Places) -> None:
    """Refuse what would expose people to each other without their knowing.

    Raises:
        EmbeddedError: a listening address beyond loopback that was not asked for twice.
    """
    if places.bind not in ("127.0.0.1", "localhost", "::1") and (
        not places.settings.allow_shared_account
    ):
        raise EmbeddedError(
            f"Embedded mode does not listen on {places.bind}: all users' code runs under one account "
            "here and can read everybody's files. Use a Docker Engine, or set "
            "MADANG_ALLOW_SHARED_ACCOUNT=1 as well if you really mean it."
        )


def ensure_environments(root: Path, catalog: Catalog) -> Path:
    """Build what is missing of the environments that are offered; returns the proxy's program."""
    for name in catalog.environments:
        # a lock is whole: it holds its ancestors' packages at the same versions
        member = lessons.MEMBER if are_in(catalog, name) else None
        envs.ensure_python(root, name, [catalog.images[name].locks[0]], member)
        lab_extension.ensure_in(root, name)
    lessons.ensure(root)
    ensure_dashboard(root)
    envs.ensure_python(root, "mlflow", ["locks/mlflow.txt"], "extensions/madang-mlflow")
    return envs.ensure_proxy(root)


def ensure_dashboard(root: Path) -> None:
    """Build what dashboards run in, unless it is there."""
    lock, member = "locks/dashboard.txt", "extensions/madang-dashboard"
    with envs.alone(env_of(root, APP_IMAGE).parent / ".dashboard.lock"):
        # a notebook uses a small part of it
        envs.ensure_python(root, APP_IMAGE, [lock], member, compiled=False)


def list_contents(places: Places, root: Path, catalog: Catalog) -> None:
    """Write down what is in each environment that is there.

    Raises:
        PublishError: it cannot be listed.
    """
    for environment in catalog.environments.values():
        python = bin_of(root, environment.image) / "python"
        if python.exists():
            publish_environment(catalog, environment.image, root, python, places.environments)


def up(places: Places, root: Path, catalog: Catalog) -> None:
    """Build what is missing and start what does not run.

    Raises:
        EmbeddedError, envs.BuildError, PublishError: it cannot be done; the message says why.
    """
    check(places)
    for folder in places.folders():
        folder.mkdir(parents=True, exist_ok=True)
    places.settings.data.chmod(0o700)
    ensure_secrets(places.secrets)
    # those that Madang cannot make by itself
    sign_in_secret(places)
    storage_keys(places)
    proxy = ensure_environments(root, catalog)
    list_contents(places, root, catalog)
    python = str(tool_of(root, "python"))
    carried_site.write(places.hub, carried_site.of_machine(os.environ, python))
    config = places.run / "supervisord.conf"
    text = supervisor_config(places, root, proxy)
    changed = not config.is_file() or config.read_text(encoding="utf-8") != text
    config.write_text(text, encoding="utf-8")
    config.chmod(0o600)
    if running(places):
        if changed:
            _control(places, "reread")
            _control(places, "update")
    else:
        end_left_over(places, servers=False)
        _start(places)
    wait_ready(places)


def _start(places: Places) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "supervisor.supervisord",
            "-c",
            str(places.run / "supervisord.conf"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    if done.returncode:
        raise EmbeddedError(f"supervisord did not start: {done.stdout}{done.stderr}".strip())


def _control(places: Places, *words: str) -> str:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "supervisor.supervisorctl",
            "-c",
            str(places.run / "supervisord.conf"),
            *words,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def running(places: Places) -> bool:
    """Whether this installation's supervisord is there."""
    return (places.run / "supervisord.conf").is_file() and bool(
        _control(places, "pid").strip().isdigit()
    )


def status(places: Places) -> str:
    """supervisord's own table of the three processes."""
    return _control(places, "status")


def wait_ready(places: Places, seconds: float = 120) -> None:
    """Return when Hub, its services and tracking server answer.

    Raises:
        EmbeddedError: they do not within ``seconds``; the message names the logs.
    """
    base = f"http://127.0.0.1:{places.settings.port}"

    # the Hub gives the proxy its services' addresses last of all
    addresses = (
        f"{base}/hub/health",
        f"{base}{PEOPLE_PREFIX}health",
        f"{base}{ACCELERATOR_PREFIX}health",
        f"{base}{DASHBOARD_PREFIX}health",
        f"{places.tracking_url}/health",
    )

    def all_answer() -> bool:
        try:
            return all(requests.get(address, timeout=5).ok for address in addresses)
        except requests.RequestException:
            return False

    if not wait_for(all_answer, seconds):
        raise EmbeddedError(
            f"Madang did not answer within {seconds:.0f} s; the reason is in {places.log} "
            f"(hub.log, proxy.log, mlflow.log).\n{status(places)}"
        )


def down(places: Places) -> bool:
    """Stop users' servers, then everything; data stays. False if nothing was running.

    Users' servers are ended also where the Hub, or all three, did not live any more to do it.
    """
    if not running(places):
        return end_left_over(places, servers=True)
    _stop_servers(places)
    pid = int(_control(places, "pid"))
    _control(places, "shutdown")
    # it refuses to talk while it is still stopping the three, and ends after them
    if not wait_for(lambda: not _alive(pid), 60):
        raise EmbeddedError(f"supervisord does not stop; see {places.log}/supervisord.log")
    end_left_over(places, servers=True)
    return True


def end_left_over(places: Places, *, servers: bool) -> bool:
    """End processes of this installation whose supervisord, or Hub, died; False if there were none.

    ``servers``: those of users' servers as well.
    """
    data = f"MADANG_DATA={places.settings.data}\0".encode()
    marks: list[tuple[bytes, ...]] = [(data, b"MADANG_RUNS_AS=embedded\0")]
    if servers:
        marks += [(f"{mark}={places.homes}\0".encode(),) for mark in (SERVER_MARK, APP_MARK)]

    def left() -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # ended meanwhile, or somebody else's
                environ = (folder / "environ").read_bytes()
                ours = any(all(part in environ for part in mark) for mark in marks)
                if ours and _alive(int(folder.name)):
                    found.append(int(folder.name))
        return found

    first = left()
    for pid in first:
        _send(pid, signal.SIGTERM)
    if not wait_for(lambda: not left(), 10):
        for pid in left():
            _send(pid, signal.SIGKILL)
    return bool(first)


def _send(pid: int, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, what)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _stop_servers(places: Places) -> None:
    """Ask the Hub to stop every running server and wait until it has."""
    session = requests.Session()
    session.headers["Authorization"] = f"token {read_secret(places.secrets, 'operator_token')}"

    def running() -> list[str]:
        """The addresses of the servers: people's own, and dashboards, which have names."""
        reply = session.get(f"{places.hub_api}/users?state=active", timeout=20)
        reply.raise_for_status()
        return [
            f"{user['name']}/servers/{name}" if name else f"{user['name']}/server"
            for user in reply.json()
            for name in user.get("servers") or {}
        ]

    try:
        for server in running():
            session.delete(f"{places.hub_api}/users/{server}", timeout=20)
        wait_for(lambda: not running(), 60)
    except requests.RequestException as error:
        print(
            f"  the Hub does not answer ({error.__class__.__name__}); users' servers are ended without it"
        )
