"""Server mode: the stack as containers by ``docker compose``, user servers beside it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

import docker
import requests
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from madang_hub.bundle import loading
from madang_hub.bundle.engine import Engine
from madang_hub.bundle.manifest import Manifest
from madang_hub.catalog import Catalog
from madang_hub.deploy import accelerator_part
from madang_hub.deploy.engine import EngineFacts, cdi_folders
from madang_hub.deploy.waiting import wait_for
from madang_hub.places import ACCELERATOR_PREFIX, DASHBOARD_PREFIX, PEOPLE_PREFIX, Places, tool_of
from madang_hub.shelf import build as shelf
from madang_hub.shelf import carried_site
from madang_hub.shelf.installed import Installed
from madang_hub.shelf.publish import build_folder, publish
from madang_hub.shelf.versions import install
from madang_hub.warm import names

SERVICE_UID = 990
"""The account of proxy, database and tracking server inside their images."""
_SERVING = ("hub", "accelerators", "dashboards", "mlflow", "proxy")
"""The parts whose logs say why the stack does not answer."""


class ServerError(RuntimeError):
    """The stack cannot be started or stopped; the message says why and what to do."""


def environ(places: Places, catalog: Catalog, facts: EngineFacts) -> dict[str, str]:
    """Variables that ``docker-compose.yml`` is filled with."""
    return {
        **os.environ,
        **places.settings.environ(),
        "MADANG_RELEASE": catalog.release,
        "MADANG_ENGINE_SOCKET": facts.socket,
        "COMPOSE_PROJECT_NAME": places.settings.instance,
        "DOCKER_HOST": f"unix://{facts.socket}",
    }


class Stack:
    """The stack of one installation, driven by ``docker compose``."""

    def __init__(self, places: Places, catalog: Catalog, facts: EngineFacts, root: Path) -> None:
        self.places = places
        self._catalog = catalog
        self._root = root
        self._facts = facts
        self._environ = environ(places, catalog, facts)
        self._client = docker.DockerClient(base_url=f"unix://{facts.socket}", timeout=120)

    def _command(self, words: Sequence[str]) -> list[str]:
        files = [self._root / "docker-compose.yml", self._of_this_machine]
        named = [word for file in files if file.exists() for word in ("--file", str(file))]
        # no .env of the folder: every variable comes from the settings
        return ["docker", "compose", *named, "--env-file", os.devnull, *words]

    @property
    def _of_this_machine(self) -> Path:
        """The second file. Not in the data folder: what the Hub can write, an operator must not run."""
        return self._root / "build" / "compose" / f"{self.places.settings.instance}.json"

    def compose_here(self, words: Sequence[str]) -> int:
        """Run ``docker compose WORDS`` on this terminal; returns its exit status."""
        return subprocess.run(self._command(words), env=self._environ, check=False).returncode

    def inside(
        self, words: Sequence[str], stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``madang WORDS`` in the Hub's container, fed with ``stdin``; what came of it."""
        command = ["exec", "-T", "hub", "python", "-m", "madang_hub", *words]
        return subprocess.run(
            self._command(command),
            env=self._environ,
            input=stdin,
            capture_output=True,
            check=False,
        )

    def inside_tracking(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Do a task (``madang_mlflow/tasks.py``) in the tracking server's container."""
        return subprocess.run(
            self._command(["exec", "-T", "mlflow", "start", *words]),
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def prepare(self, words: Sequence[str], stdin: bytes = b"") -> None:
        """Run ``madang WORDS`` in the short-lived container that may write the whole data folder.

        Raises:
            ServerError: it failed.
        """
        run = (
            "run",
            "--rm",
            "--no-deps",
            "-T",
            "--quiet-pull",
            "prepare",
            "python",
            "-m",
            "madang_hub",
        )
        done = subprocess.run(
            self._command([*run, *words]),
            env=self._environ,
            input=stdin,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            tail = done.stderr.decode("utf-8", "replace").strip().splitlines()[-15:]
            raise ServerError("docker compose run failed:\n" + "\n".join(tail))

    @property
    def environ(self) -> dict[str, str]:
        """Variables for ``docker``."""
        return self._environ

    def docker(self, *words: str) -> str:
        """Run ``docker WORDS``; returns its output.

        Raises:
            ServerError: it failed.
        """
        done = subprocess.run(
            ["docker", *words], env=self._environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ServerError(f"docker {words[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def compose(self, *words: str) -> str:
        """Run ``docker compose WORDS``; returns its output.

        Raises:
            ServerError: it failed; the message holds its last lines.
        """
        done = subprocess.run(
            self._command(words), env=self._environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
            raise ServerError(f"docker compose {words[0]} failed:\n{tail}")
        return done.stdout

    def up(self) -> None:
        """Build what is stale, prepare folders and secrets, start what does not run, wait for it.

        Raises:
            ServerError, shelf.BuildError, PublishError: it cannot be done; the message says why.
        """
        if self.places.bind in ("127.0.0.1", "localhost", "::1"):
            raise ServerError(
                f"MADANG_BIND={self.places.bind} shuts the users' containers out as well: they reach the "
                "Hub through the public port. Leave it unset and close the port for others in the "
                "machine's firewall."
            )
        if bundle := loading.loaded(self._root):
            self._require_bundled(bundle)
        else:
            shelf.build(self._catalog, self._root, self._catalog.needed(), self._environ)
        self.places.settings.data.mkdir(parents=True, exist_ok=True)
        # before `prepare`, which would make the folder root's
        listed = build_folder(self._root)
        where = self.places.environments
        publish(self._catalog, self._catalog.images, where, self._environ, before=listed)
        python = str(tool_of(self._root, "python"))
        found = carried_site.of_machine(self._environ, python)
        self.prepare(["prepare", "--site"], json.dumps(found).encode())
        named = tuple(map(Path, self.places.settings.accelerator_cdi))
        machine = accelerator_part.look(named or cdi_folders(self._facts), self._root)
        content = accelerator_part.compose_file(machine, self.places.settings.environ())
        accelerator_part.write(self._of_this_machine, content)
        if not self.places.settings.warm:
            self._remove_waiting()
        self.compose("up", "--detach", "--remove-orphans", "--pull", "never")
        base = f"http://127.0.0.1:{self.places.settings.port}"

        def answers() -> bool:
            try:
                return (
                    requests.get(f"{base}/hub/health", timeout=5).ok
                    and requests.get(f"{base}{PEOPLE_PREFIX}health", timeout=5).ok
                    and requests.get(f"{base}{ACCELERATOR_PREFIX}health", timeout=5).ok
                    and requests.get(f"{base}{DASHBOARD_PREFIX}health", timeout=5).ok
                    and requests.get(f"{self.places.tracking_url}/health", timeout=5).ok
                )
            except requests.RequestException:
                return False

        if not wait_for(answers, 180):
            raise ServerError(
                "The stack started but does not answer. 'docker compose ps' of it:\n"
                + self.compose("ps", "--all")
                + self.compose("logs", "--tail", "15", *_SERVING)
            )

    def _require_bundled(self, bundle: Manifest) -> None:
        """Raises:
        ServerError: an image of the bundle is missing or stale; nothing can be built without a network.
        """
        engine = Engine(self._environ)
        if lacking := [image.reference for image in bundle.images if engine.lacks(image)]:
            raise ServerError(
                f"The engine does not have {', '.join(lacking)} as the bundle brought it. Load the bundle "
                "again (docs/howto/offline.md)."
            )
        _, stale = shelf.look(self._catalog, self._root, bundle.of_table(), self._environ)
        if stale:
            raise ServerError(
                f"Files were changed in {self._root} from which images are made ({', '.join(stale)}), and "
                "without a network none can be built. Put them back and make the change where bundles are "
                "made; or, with a network, remove build/bundle."
            )

    def down(self) -> bool:
        """Stop users' servers, then the stack; data stays. False if nothing was running."""
        servers = self._servers()
        for container in servers:
            if not self._waits(container):  # a Hub would make others
                with suppress(NotFound):
                    container.stop(timeout=10)
                _remove(container)
        parts = self.compose("ps", "--all", "--quiet").split()
        self.compose("down", "--remove-orphans", "--timeout", "30")
        # what the Hub made ahead, or was starting meanwhile
        for container in self._servers():
            _remove(container)
        self._of_this_machine.unlink(missing_ok=True)
        label = {"label": f"madang.instance={self.places.settings.instance}"}
        for network in self._client.networks.list(filters=label):
            try:
                network.remove()
            except APIError as error:
                raise ServerError(f"network {network.name} cannot be removed: {error}") from error
        return bool(servers or parts)

    def _remove_waiting(self) -> None:
        """Remove what waits since warm servers were on; the Hub does not look for it any more."""
        for container in self._servers():
            if self._waits(container):
                _remove(container)

    def _waits(self, container: Container) -> bool:
        return str(container.name).startswith(names.prefix(self.places.settings.instance))

    def _servers(self) -> list[Container]:
        label = f"madang.instance={self.places.settings.instance}"
        found: list[Container] = self._client.containers.list(all=True, filters={"label": label})
        return found

    def empty_data(self) -> None:
        """Delete everything in the data folder (its files belong to several accounts)."""
        data = str(self.places.settings.data)
        self._client.containers.run(
            self._catalog.reference("hub"),
            ["find", data, "-mindepth", "1", "-delete"],
            remove=True,
            network_mode="none",
            user="0:0",
            cap_drop=["ALL"],
            cap_add=["DAC_OVERRIDE", "FOWNER"],
            volumes={data: {"bind": data, "mode": "rw"}},
        )


def _remove(container: Container) -> None:
    """Return when the container is gone; a Hub that ends may be removing it as well."""
    try:
        container.remove(force=True)
    except NotFound:
        pass
    except APIError as error:
        if error.status_code != HTTPStatus.CONFLICT:
            raise
        with suppress(NotFound):
            container.wait(condition="removed", timeout=60)


def prepare(places: Places, catalog: Catalog, found: Mapping[str, str], now: datetime) -> None:
    """Folders, their owners, what is installed, and what the machine is set to (``found``).

    Runs inside the ``prepare`` container, as root with few capabilities.

    Raises:
        ShelfError: what was installed before cannot be read.
    """
    from madang_hub.places import ensure_secrets, sign_in_secret, storage_keys

    for folder in places.folders():
        folder.mkdir(parents=True, exist_ok=True)
    ensure_secrets(places.secrets)
    # those that Madang cannot make by itself
    sign_in_secret(places)
    storage_keys(places)
    places.storage_secrets.mkdir(exist_ok=True)
    places.settings.data.chmod(0o711)
    places.homes.chmod(0o711)
    places.hub.chmod(0o700)
    places.archive.chmod(0o700)
    places.run.chmod(0o711)
    places.warm_slots.chmod(0o711)
    places.mounter_socket.parent.chmod(0o700)
    carried_site.write(places.hub, found)
    # `madang up` built all images of this table before it came here
    installed = Installed(places.environments)
    installed.save(install(installed.load(), catalog, now))
    for name in (
        "proxy_token",
        "tracking_token",
        "tracking_cookies",
        "accelerators_token",
        "accelerators_cookies",
        "dashboards_token",
        "dashboards_cookies",
        "dashboards_apps",
        "database_hub",
        "database_mlflow",
    ):
        os.chown(places.secrets / name, SERVICE_UID, SERVICE_UID)
    for path in places.storage_secrets.iterdir():  # put there by the operator, read by MLflow
        os.chown(path, SERVICE_UID, SERVICE_UID, follow_symlinks=False)
    private = (places.postgres, places.postgres_socket, places.tracking, places.storage_secrets)
    for folder in private:
        os.chown(folder, SERVICE_UID, SERVICE_UID)
        folder.chmod(0o700)
    # the filter of the engine, which has no right to more, looks at what it is told the path of; nobody else of
    # the machine lists what people publish
    for folder in (places.dashboards, places.snapshots):
        os.chown(folder, SERVICE_UID, SERVICE_UID)
        folder.chmod(0o711)
