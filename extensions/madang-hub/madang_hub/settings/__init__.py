"""What an operator may set, in one place.

Every setting is an environment variable ``MADANG_<NAME>``, or a line ``MADANG_<NAME>=value`` of the file
``madang.env`` beside ``docker-compose.yml``; the environment wins. Nothing has to be set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from madang_hub.settings.accelerators import AcceleratorSettings
from madang_hub.settings.dashboards import DashboardSettings
from madang_hub.settings.ends import EndSettings
from madang_hub.settings.file import SettingsError, read_env_file
from madang_hub.settings.sign_in import SignInSettings
from madang_hub.settings.tracking import TrackingSettings
from madang_hub.settings.values import Factor, Group, Names, Networks, Port, Zone

__all__ = ["GROUPS", "PREFIX", "Settings", "SettingsError", "default_data", "read_env_file"]

PREFIX = "MADANG_"
GROUPS: tuple[type[Group], ...] = (
    TrackingSettings,
    SignInSettings,
    EndSettings,
    AcceleratorSettings,
    DashboardSettings,
)
"""The settings that have a module of their own; all others are in :class:`Settings`."""


def default_data() -> Path:
    """Where data lives unless said otherwise: ``/srv/madang`` for root, else in the own home."""
    if os.geteuid() == 0:
        return Path("/srv/madang")
    return Path.home() / ".local" / "share" / "madang"


class Settings(
    TrackingSettings, SignInSettings, EndSettings, AcceleratorSettings, DashboardSettings
):
    """The operator's settings; ``docs/reference/settings.md`` is made from the descriptions here."""

    mode: Annotated[
        Literal["auto", "server", "embedded"],
        Field(
            description="How to run: `server` (containers, needs a Docker Engine), `embedded` "
            "(processes of this account, for trying it), or `auto`: the mode that the data folder was made in; "
            "for a new one server where an engine answers."
        ),
    ] = "auto"
    data: Annotated[
        Path,
        Field(
            default_factory=default_data,
            description="The folder that holds everything worth keeping: homes, databases, artifacts, "
            "secrets. Default: `/srv/madang` for root, else `~/.local/share/madang`.",
        ),
    ]
    instance: Annotated[
        str,
        Field(
            pattern=r"^[a-z][a-z0-9-]{0,20}$",
            description="Name of this installation; marks its containers and networks, so that two can "
            "live on one engine.",
        ),
    ] = "madang"
    bind: Annotated[
        str,
        Field(
            description="Address that the public port listens on. Embedded mode refuses anything but "
            "loopback unless `allow_shared_account` is set as well."
        ),
    ] = ""
    port: Annotated[Port, Field(description="The public port.")] = 8000
    public_url: Annotated[
        str,
        Field(
            pattern=r"^(|https?://[^/\s]+)$",
            description="The address that people type, if it differs from host and port (behind a TLS "
            "proxy: `https://madang.example.org`).",
        ),
    ] = ""
    hub_port: Annotated[Port, Field(description="Loopback port of the Hub.")] = 8081
    proxy_api_port: Annotated[Port, Field(description="Loopback port of the proxy's API.")] = 8001
    people_port: Annotated[Port, Field(description="Loopback port of the people service.")] = 8002
    network: Annotated[
        IPv4Network,
        Field(
            description="Private range that user servers get their networks from, eight addresses each "
            "(a /20 holds 512). It must be free on this machine."
        ),
    ] = IPv4Network("10.213.0.0/20")
    networks_kept: Annotated[
        int,
        Field(
            ge=0,
            description="How many networks of stopped user servers stay for the next ones: a class's "
            "worth, since making one takes time.",
        ),
    ] = 40
    bridge_prefix: Annotated[
        str,
        Field(
            pattern=r"^[a-z]{2,8}$",
            description="Start of the names of user servers' bridge interfaces. Two installations on one "
            "machine need two, of which neither begins with the other.",
        ),
    ] = "mdg"
    allow_networks: Annotated[
        Networks,
        Field(
            description="Private networks that user servers may reach (a package mirror, a data store), "
            "separated by spaces or commas. All others are closed."
        ),
    ] = ()
    environments: Annotated[
        Names,
        Field(
            description="The environments that are built and offered here, separated by spaces or commas, "
            "for example `lab rescue torch energy`. Default: those that the table "
            "(`images/images.toml`) says are always installed."
        ),
    ] = ()
    package_index: Annotated[
        str,
        Field(
            pattern=r"^(|https?://[^/\s]+(/\S*)?)$",
            description="Where `pip` and `uv` in user servers get packages from: a mirror's address, ending "
            "in `/simple` as a rule. People can read it, so no password belongs in it. Default: PyPI. See "
            "[people's own packages](../explanation/packages.md).",
        ),
    ] = ""
    admin: Annotated[str, Field(min_length=1, description="User name of the first admin.")] = (
        "admin"
    )
    timezone: Annotated[
        Zone,
        Field(description="Time zone of timetables, last days and the times on pages."),
    ] = "Asia/Seoul"
    language: Annotated[
        Literal["ko", "en"], Field(description="Language where a browser asks for neither.")
    ] = "ko"
    version_days: Annotated[
        int,
        Field(
            ge=0,
            le=3650,
            description="Days that an environment's former version stays open, after a new one was installed, "
            "to the people who used it and have not started the new one yet. 0: not at all.",
        ),
    ] = 60
    start_timeout: Annotated[
        int, Field(ge=5, description="Seconds that a user server may take to start.")
    ] = 120
    warm: Annotated[
        bool,
        Field(
            description="Servers are made ready before anybody asks for one, so that they answer at once. In "
            "server mode as many wait as the timetable and recent starts say, and one with each free "
            "accelerator, about 120 MiB of memory each; in embedded mode one process per environment, from "
            "which servers are forked. See [instant start](../explanation/instant-start.md)."
        ),
    ] = True
    warm_base: Annotated[
        int,
        Field(
            ge=0,
            le=500,
            description="Server mode with `MADANG_WARM`: how many servers of the default environment and size "
            "always wait, where the machine has room for them.",
        ),
    ] = 2
    allow_shared_account: Annotated[
        bool,
        Field(
            description="Embedded mode: yes, listen beyond loopback although all users' code runs under "
            "one account and they can read each other's files."
        ),
    ] = False

    @model_validator(mode="after")
    def _ports_differ(self) -> Settings:
        ports = [
            self.port,
            self.hub_port,
            self.proxy_api_port,
            self.tracking_port,
            self.people_port,
            self.accelerators_port,
            self.dashboards_port,
        ]
        if len(set(ports)) < len(ports):
            raise ValueError(
                "port, hub_port, proxy_api_port, tracking_port, people_port, accelerators_port and "
                "dashboards_port must differ"
            )
        if self.network.prefixlen > 29:
            raise ValueError("network must be a /29 or larger")
        return self

    @classmethod
    def load(cls, root: Path, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read ``root/madang.env`` (if there) and ``environ``.

        Raises:
            SettingsError: an unknown name in the file, or a value that cannot be used.
        """
        values = dict(read_env_file(root / "madang.env"))
        unknown = [n for n in values if n.removeprefix(PREFIX).lower() not in cls.model_fields]
        if unknown:
            raise SettingsError(f"madang.env: unknown setting {', '.join(unknown)}")
        values.update({k: v for k, v in environ.items() if k.startswith(PREFIX)})
        chosen = {
            name: values[PREFIX + name.upper()]
            for name in cls.model_fields
            if values.get(PREFIX + name.upper(), "") != ""
        }
        try:
            return cls.model_validate(chosen)
        except ValidationError as error:
            lines = []
            for fault in error.errors():
                said = fault["msg"].removeprefix("Value error, ")
                if fault["loc"]:
                    name = PREFIX + str(fault["loc"][0]).upper()
                    lines.append(f"{name}: {said} (got {fault['input']!r})")
                else:  # about several settings: the sentence names them
                    lines.append(f"settings: {said}")
            raise SettingsError("\n".join(lines)) from error

    def environ(self) -> dict[str, str]:
        """These settings as ``MADANG_*`` variables: what :meth:`load` reads back to the same."""
        texts = {}
        for name, value in self:
            if isinstance(value, tuple) and value and isinstance(value[0], Factor):
                value = ", ".join(f"{name}={number!r}" for name, number in value)
            elif isinstance(value, tuple):
                value = " ".join(str(v) for v in value)
            elif isinstance(value, bool):
                value = "1" if value else "0"
            texts[PREFIX + name.upper()] = str(value)
        return texts

    @property
    def url(self) -> str:
        """Where people find Madang, without a slash at the end."""
        if self.public_url:
            return self.public_url
        host = self.bind if self.bind not in ("", "0.0.0.0", "::") else "localhost"  # noqa: S104  # compared, not bound
        return f"http://{host}:{self.port}"
