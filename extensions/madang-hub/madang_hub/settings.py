"""What an operator may set, in one place.

Every setting is an environment variable ``MADANG_<NAME>``, or a line ``MADANG_<NAME>=value`` of the file
``madang.env`` beside ``docker-compose.yml``; the environment wins. Nothing has to be set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

PREFIX = "MADANG_"
Port = Annotated[int, Field(ge=1, le=65535)]


class SettingsError(ValueError):
    """A setting cannot be used; the message names each one and what to write, a line each."""


def _networks(value: Any) -> Any:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def default_data() -> Path:
    """Where data lives unless said otherwise: ``/srv/madang`` for root, else in the own home."""
    if os.geteuid() == 0:
        return Path("/srv/madang")
    return Path.home() / ".local" / "share" / "madang"


class Settings(BaseModel):
    """The operator's settings; ``docs/reference/settings.md`` is made from the descriptions here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Annotated[
        Literal["auto", "server", "embedded"],
        Field(
            description="How to run: `server` (containers, needs a Docker Engine), `embedded` "
            "(processes of this account, for trying it), or `auto`: server where an engine answers."
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
    tracking_port: Annotated[Port, Field(description="Loopback port of the tracking server.")] = (
        5000
    )
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
            "machine need two.",
        ),
    ] = "mdg"
    allow_networks: Annotated[
        tuple[IPv4Network, ...],
        BeforeValidator(_networks),
        Field(
            description="Private networks that user servers may reach (a package mirror, a data store), "
            "separated by spaces or commas. All others are closed."
        ),
    ] = ()
    admin: Annotated[str, Field(min_length=1, description="User name of the first admin.")] = (
        "admin"
    )
    language: Annotated[
        Literal["ko", "en"], Field(description="Language where a browser asks for neither.")
    ] = "ko"
    start_timeout: Annotated[
        int, Field(ge=5, description="Seconds that a user server may take to start.")
    ] = 120
    allow_shared_account: Annotated[
        bool,
        Field(
            description="Embedded mode: yes, listen beyond loopback although all users' code runs under "
            "one account and they can read each other's files."
        ),
    ] = False

    @model_validator(mode="after")
    def _ports_differ(self) -> Settings:
        ports = [self.port, self.hub_port, self.proxy_api_port, self.tracking_port]
        if len(set(ports)) < len(ports):
            raise ValueError("port, hub_port, proxy_api_port and tracking_port must differ")
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
                name = PREFIX + str(fault["loc"][0]).upper() if fault["loc"] else "settings"
                lines.append(f"{name}: {fault['msg']} (got {fault['input']!r})")
            raise SettingsError("\n".join(lines)) from error

    def environ(self) -> dict[str, str]:
        """These settings as ``MADANG_*`` variables: what :meth:`load` reads back to the same."""
        texts = {}
        for name, value in self:
            if isinstance(value, tuple):
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
        host = self.bind if self.bind not in ("", "0.0.0.0", "::") else "localhost"  # noqa: S104
        return f"http://{host}:{self.port}"


def read_env_file(path: Path) -> dict[str, str]:
    """Lines ``NAME=value`` of ``path``; blank lines and ``#`` comments are passed over.

    The same subset that ``docker compose --env-file`` reads, so that one file serves both.
    A missing file has no lines.
    """
    if not path.is_file():
        return {}
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip().isidentifier():
            raise SettingsError(f"{path.name}:{number}: write NAME=value")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name.strip()] = value
    return found
