"""Where things are: folders, sockets, addresses and database URLs that follow from the settings.

Pure: nothing here touches the disk, except :meth:`Secrets.read` and :func:`ensure_secrets`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

# its name is a rule about accounts; it belongs to the places of dashboards as well
from madang_hub.people.accounts import DASHBOARD_ACCOUNT as DASHBOARD_ACCOUNT
from madang_hub.settings import Settings, SettingsError

Mode = Literal["server", "embedded"]

ENVIRONMENTS = Path("build", "env")
"""The checkout's environments, a folder each; `scripts/setup` makes the first of them."""

TRACKING_SERVICE = "mlflow"
TRACKING_PREFIX = "/services/mlflow/"
PEOPLE_SERVICE = "people"
PEOPLE_PREFIX = "/services/people/"
IDLE_SERVICE = "idle-culler"
ACCELERATOR_SERVICE = "accelerators"
ACCELERATOR_PREFIX = "/services/accelerators/"
DASHBOARD_SERVICE = "dashboards"
DASHBOARD_PREFIX = "/services/dashboards/"
APP_IMAGE = "dashboard"
"""The image of the table that dashboards run in; it is no environment, so nobody is offered it."""
SPAWNER_SERVICE = "spawner"
"""What starts servers: the Hub's own process, which asks the broker in this name."""

SERVER_MARK = "MADANG_SERVER_OF"
"""Variable of every process of an embedded user server: the homes' folder of its installation."""
APP_MARK = "MADANG_DASHBOARD_OF"
"""The same of an embedded dashboard's runner, which keeps variables that begin like this one."""

_MAKERS: Mapping[str, Callable[[], str]] = {
    "cookie_secret": lambda: secrets.token_hex(32),
    "crypt_key": lambda: secrets.token_hex(32),
    "proxy_token": lambda: secrets.token_hex(32),
    "tracking_token": lambda: secrets.token_hex(32),
    "tracking_cookies": lambda: secrets.token_hex(32),
    "operator_token": lambda: secrets.token_hex(32),
    "people_token": lambda: secrets.token_hex(32),
    "idle_token": lambda: secrets.token_hex(32),
    "people_cookies": lambda: secrets.token_hex(32),
    "accelerators_token": lambda: secrets.token_hex(32),
    "accelerators_cookies": lambda: secrets.token_hex(32),
    "dashboards_token": lambda: secrets.token_hex(32),
    "dashboards_cookies": lambda: secrets.token_hex(32),
    "dashboards_apps": lambda: secrets.token_hex(32),
    "spawner_token": lambda: secrets.token_hex(32),
    "database_hub": lambda: secrets.token_hex(24),
    "database_mlflow": lambda: secrets.token_hex(24),
}
"""Every secret of an installation and how it is made. A new one appears at the next `make up`."""


@dataclass(frozen=True)
class Places:
    """Folders and addresses of one installation."""

    settings: Settings
    mode: Mode

    @property
    def homes(self) -> Path:
        """One folder per person; the only thing that a user server may write."""
        return self.settings.data / "homes"

    @property
    def archive(self) -> Path:
        """Homes of people whose access has ended, a file each."""
        return self.settings.data / "archive"

    @property
    def hub(self) -> Path:
        return self.settings.data / "hub"

    @property
    def environments(self) -> Path:
        """What is in each image (:mod:`madang_hub.shelf.publish`), and what is installed beside the present
        table; the Hub and the gateway only read it."""
        return self.settings.data / "environments"

    @property
    def dashboards(self) -> Path:
        """What was published: immutable snapshots below ``versions``."""
        return self.settings.data / "dashboards"

    @property
    def snapshots(self) -> Path:
        return self.dashboards / "versions"

    @property
    def tracking(self) -> Path:
        return self.settings.data / "mlflow"

    @property
    def postgres(self) -> Path:
        return self.settings.data / "postgres"

    @property
    def made_in(self) -> Mode | None:
        """The mode whose database is in the data folder; server mode's where both are, None for neither."""
        if self.postgres.is_dir():
            return "server"
        return "embedded" if (self.hub / "hub.sqlite").is_file() else None

    @property
    def secrets(self) -> Path:
        return self.settings.data / "secrets"

    @property
    def storage_secrets(self) -> Path:
        """What the tracking server shows to an S3-compatible storage: ``keys``, and perhaps ``ca.pem``."""
        return self.secrets / "storage"

    @property
    def run(self) -> Path:
        """Sockets and other things that a reboot may take."""
        return self.settings.data / "run"

    @property
    def log(self) -> Path:
        return self.settings.data / "log"

    @property
    def warm_slots(self) -> Path:
        """A folder per warm server: of its socket in embedded mode, of its line to the Hub in server mode."""
        return self.run / "warm"

    @property
    def mounter_socket(self) -> Path:
        """Where the part that puts a home into a waiting container is asked."""
        return self.run / "mounter" / "mounter.sock"

    @property
    def engine_socket(self) -> Path:
        """The filtered engine: what the Hub talks to in server mode."""
        return self.run / "engine" / "engine.sock"

    @property
    def broker_socket(self) -> Path:
        """The engine for the broker of accelerators, filtered more narrowly."""
        return self.run / "broker" / "engine.sock"

    @property
    def guard_heartbeat(self) -> Path:
        return self.run / "guard" / "guard.json"

    @property
    def postgres_socket(self) -> Path:
        return self.run / "postgres"

    def folders(self) -> list[Path]:
        """Every folder that must exist before anything starts."""
        common = [
            self.homes,
            self.archive,
            self.environments,
            self.hub,
            self.tracking,
            self.snapshots,
            self.secrets,
            self.run,
            self.log,
        ]
        if self.mode == "server":
            common += [
                self.postgres,
                self.postgres_socket,
                self.engine_socket.parent,
                self.broker_socket.parent,
                self.guard_heartbeat.parent,
                self.warm_slots,
                self.mounter_socket.parent,
            ]
        return common

    def database_url(self, database: Literal["hub", "mlflow"]) -> str:
        """SQLAlchemy URL of the Hub's or the tracking server's database."""
        if self.mode == "embedded":
            folder = self.hub if database == "hub" else self.tracking
            return f"sqlite:///{folder}/{database}.sqlite"
        password = read_secret(self.secrets, f"database_{database}")
        socket = quote(str(self.postgres_socket), safe="")
        return f"postgresql+psycopg2://{database}:{password}@/{database}?host={socket}"

    @property
    def hub_api(self) -> str:
        """The Hub's API as the stack's own parts reach it."""
        return f"http://127.0.0.1:{self.settings.hub_port}/hub/api"

    @property
    def proxy_api(self) -> str:
        return f"http://127.0.0.1:{self.settings.proxy_api_port}"

    @property
    def tracking_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.tracking_port}"

    @property
    def people_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.people_port}"

    @property
    def accelerators_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.accelerators_port}"

    @property
    def dashboards_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.dashboards_port}"

    @property
    def bind(self) -> str:
        """Address of the public port: loopback in embedded mode, all in server mode, unless set."""
        return self.settings.bind or ("127.0.0.1" if self.mode == "embedded" else "0.0.0.0")  # noqa: S104  # what server mode is for


def env_of(root: Path, name: str) -> Path:
    """The environment ``name`` of the checkout ``root``."""
    return root / ENVIRONMENTS / name


def bin_of(root: Path, name: str) -> Path:
    """The folder with the programs of environment ``name``."""
    return env_of(root, name) / "bin"


def tool_of(root: Path, program: str) -> Path:
    """A program that builds and locks are made with (``uv``, ``pip``, ``python``), of `locks/tool.txt`."""
    return bin_of(root, "tool") / program


def read_secret(folder: Path, name: str) -> str:
    """The secret ``name``.

    Raises:
        FileNotFoundError: it was never made (`make up` makes all of them).
    """
    return (folder / name).read_text(encoding="ascii").strip()


def sign_in_secret(places: Places) -> str:
    """The secret that the provider gave Madang as its client; "" where nobody signs in with one.

    Raises:
        SettingsError: the file is not there or empty; the message says where it belongs.
    """
    if places.settings.sign_in == "local":
        return ""
    path = places.secrets / "oidc_client_secret"
    try:
        found = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        found = ""
    if not found:
        raise SettingsError(
            f"sign_in is {places.settings.sign_in}, so the provider's secret for Madang must be in {path}. "
            f"Put it there:  install -D -m 600 /dev/stdin {path}"
        )
    return found


def storage_keys(places: Places) -> Path | None:
    """The file with the keys of the storage of tracking; None where runs' files lie in the data folder.

    Raises:
        SettingsError: the file is not there or empty; the message says where it belongs.
    """
    if not places.settings.tracking_artifacts:
        return None
    path = places.storage_secrets / "keys"
    try:
        empty = not path.stat().st_size
    except FileNotFoundError:
        empty = True
    if empty:
        raise SettingsError(
            f"tracking_artifacts is {places.settings.tracking_artifacts}, so the storage's keys must be in "
            f"{path}. Put them there:  install -D -m 600 /dev/stdin {path}  "
            "(docs/howto/tracking-storage.md shows what to write)"
        )
    return path


def ensure_secrets(folder: Path) -> list[str]:
    """Make the secrets that are missing (mode 0600, folder 0700) and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    made = []
    for name, make in _MAKERS.items():
        path = folder / name
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(make() + "\n")
        made.append(name)
    return made
