"""What an operator may set, in one place.

Every setting is an environment variable ``MADANG_<NAME>``, or a line ``MADANG_<NAME>=value`` of the file
``madang.env`` beside ``docker-compose.yml``; the environment wins. Nothing has to be set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from madang_hub.people import claims, discovery

PREFIX = "MADANG_"
Port = Annotated[int, Field(ge=1, le=65535)]


class SettingsError(ValueError):
    """A setting cannot be used; the message names each one and what to write, a line each."""


def _list(value: Any) -> Any:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("write a name such as Asia/Seoul or UTC") from None
    return value


def _by_role(value: str) -> str:
    word = r"(trainee|member|mentor|admin)=\d{1,6}(\.\d+)?"
    if not all(re.fullmatch(word, w) for w in value.replace(",", " ").split()):
        raise ValueError("write ROLE=NUMBER, the role trainee, member, mentor or admin")
    return value


def _words(value: Any) -> Any:
    return tuple(value.split()) if isinstance(value, str) else value


def _issuer(value: str) -> str:
    if value and not discovery.safe(value):
        raise ValueError("write an https address (http only for this machine itself)")
    return value


def _teams(value: str) -> str:
    claims.parse_teams(value)
    return value


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
    tracking_port: Annotated[Port, Field(description="Loopback port of the tracking server.")] = (
        5000
    )
    tracking_artifacts: Annotated[
        str,
        Field(
            pattern=r"^(|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?)$",
            description="Where runs' files and models lie: empty, in the data folder; or "
            "`s3://bucket/prefix`, in an S3-compatible storage, whose keys only the tracking server holds. "
            "See [storage of tracking](../howto/tracking-storage.md).",
        ),
    ] = ""
    tracking_s3_endpoint: Annotated[
        str,
        Field(
            pattern=r"^(|https?://[^/\s@]+/?)$",
            description="The address of that storage. Default: Amazon's.",
        ),
    ] = ""
    tracking_s3_region: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9-]{0,40}$",
            description="The region of the bucket. Default: `us-east-1`, which most other than Amazon's take.",
        ),
    ] = ""
    tracking_quota_gb: Annotated[
        float,
        Field(
            ge=0,
            lt=1e9,
            description="How many GB of files a person's runs and models may hold. 0: no limit. See "
            "[room for runs' files](../howto/tracking-room.md).",
        ),
    ] = 0
    tracking_team_quota_gb: Annotated[
        float,
        Field(ge=0, lt=1e9, description="The same for what a team shares. 0: no limit."),
    ] = 0
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
            "machine need two.",
        ),
    ] = "mdg"
    allow_networks: Annotated[
        tuple[IPv4Network, ...],
        BeforeValidator(_list),
        Field(
            description="Private networks that user servers may reach (a package mirror, a data store), "
            "separated by spaces or commas. All others are closed."
        ),
    ] = ()
    environments: Annotated[
        tuple[str, ...],
        BeforeValidator(_list),
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
    sign_in: Annotated[
        Literal["local", "oidc", "google", "github"],
        Field(
            description="How people sign in: `local` accounts, or with an institution's provider: any "
            "OpenID Connect server (`oidc`: Keycloak, Entra ID, Okta …), `google` or `github`. See "
            "[sign-in](../howto/sign-in.md)."
        ),
    ] = "local"
    sign_in_name: Annotated[
        str,
        Field(
            max_length=60,
            description="What the button on the sign-in page calls the provider: your institution's name. "
            "Default: Google, GitHub, or the provider's host name.",
        ),
    ] = ""
    sign_in_local_admin: Annotated[
        bool,
        Field(
            description="With a provider: whether the first admin may sign in with the local account as "
            "well, the way in while the provider is down or set wrongly."
        ),
    ] = True
    oidc_issuer: Annotated[
        str,
        AfterValidator(_issuer),
        Field(
            description="The provider's name for itself, an https address: what its "
            "`/.well-known/openid-configuration` calls `issuer`. For `github`: the address of a GitHub "
            "Enterprise server."
        ),
    ] = ""
    oidc_client_id: Annotated[
        str,
        Field(
            description="The name that the provider knows Madang by. The client's secret belongs into the "
            "file `secrets/oidc_client_secret` of the data folder."
        ),
    ] = ""
    oidc_scopes: Annotated[
        tuple[str, ...],
        BeforeValidator(_words),
        Field(
            description="What Madang asks the provider for, separated by spaces. Default: `openid profile "
            "email`, for `github` `read:user user:email read:org`."
        ),
    ] = ()
    oidc_name_claim: Annotated[
        str,
        Field(
            description="The claim that proposes the user name of a new person. Default: "
            "`preferred_username`, for `google` `email` (the part before the @)."
        ),
    ] = ""
    oidc_groups_claim: Annotated[
        str,
        Field(
            description="The claim that says who is in which group, also inside others "
            "(`realm_access.roles`). Default: `groups`, for `google` `hd` (the organisation); for `github` "
            "it is always organisations and `organisation/team`."
        ),
    ] = ""
    oidc_teams: Annotated[
        str,
        AfterValidator(_teams),
        Field(
            description="What values of that claim give, separated by `;`: `VALUE=TEAM ROLE`, for example "
            "`academy/2026-a=class:2026-a trainee; academy/mentors-a=class:2026-a mentor`, or `VALUE=admin`."
        ),
    ] = ""
    oidc_admit: Annotated[
        Literal["mapped", "everyone"],
        Field(
            description="Who may enter: `mapped`, who is in a team by `oidc_teams` or by a class's roster, "
            "or is an admin; `everyone`, whoever the provider knows (for Google and GitHub: the whole "
            "world)."
        ),
    ] = "mapped"
    one_time_days: Annotated[
        int, Field(ge=1, description="Days that a one-time password of a local account works.")
    ] = 14
    refresh_age: Annotated[
        int,
        Field(
            ge=1,
            description="Seconds after which a signed-in person's access, groups and roles are looked up "
            "again: how long a removed person or mentor may go on.",
        ),
    ] = 60
    trusted_proxies: Annotated[
        tuple[IPv4Network | IPv6Network, ...],
        BeforeValidator(_list),
        Field(
            description="Addresses of your own reverse proxies (for TLS, say) in front of Madang's port, "
            "separated by spaces or commas. Wrong passwords are then counted for the visitor's address that "
            "they report; without this all visitors behind one count as one."
        ),
    ] = ()
    timezone: Annotated[
        str,
        AfterValidator(_zone),
        Field(description="Time zone of timetables, last days and the times on pages."),
    ] = "Asia/Seoul"
    account_grace_days: Annotated[
        int,
        Field(
            ge=0,
            le=3650,
            description="Days that an account works after the last day of its last class, to fetch files. "
            "Mentors, admins and people of a team without a last day are not concerned.",
        ),
    ] = 14
    archive_keep_days: Annotated[
        int,
        Field(
            ge=0,
            le=36500,
            description="Days that the archived home of an account that ended with its class is kept; then "
            "it is deleted. 0: for ever.",
        ),
    ] = 90
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
    idle_minutes: Annotated[
        float,
        Field(
            ge=0,
            le=525600,
            description="Minutes after which a server that nobody uses is stopped. 0: never.",
        ),
    ] = 60
    idle_minutes_by_role: Annotated[
        str,
        AfterValidator(_by_role),
        Field(
            description="Other minutes for some roles: `mentor=240 admin=0`. The roles are trainee, member, "
            "mentor, admin; the highest that a person has counts.",
        ),
    ] = ""
    server_hours: Annotated[
        float,
        Field(
            ge=0,
            le=8760,
            description="Hours after which a server is stopped although it is used or busy. 0: never.",
        ),
    ] = 24
    server_hours_by_role: Annotated[
        str,
        AfterValidator(_by_role),
        Field(description="Other hours for some roles: `member=72`."),
    ] = ""
    warning_minutes: Annotated[
        float,
        Field(
            gt=0,
            le=1440,
            description="Minutes that a warning with the *extend* button stands before a server is stopped.",
        ),
    ] = 10
    extend_minutes: Annotated[
        float,
        Field(gt=0, le=10080, description="Minutes that one press of *extend* gives."),
    ] = 60
    extend_times: Annotated[
        int, Field(ge=0, description="How often one run of a server can be extended.")
    ] = 3
    class_end: Annotated[
        Literal["stop", "warn", "keep"],
        Field(
            description="Servers that trainees started for class, when it is over: `warn` them and stop them "
            "after `warning_minutes` unless they extend; `stop` them at the end, warned before; `keep` them."
        ),
    ] = "warn"
    ended_server: Annotated[
        Literal["stop", "warn"],
        Field(
            description="Running server of somebody whose access has ended (account expired, removed by the "
            "provider): `stop` it at once, or `warn` first."
        ),
    ] = "stop"
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
        ]
        if len(set(ports)) < len(ports):
            raise ValueError(
                "port, hub_port, proxy_api_port, tracking_port and people_port must differ"
            )
        if self.network.prefixlen > 29:
            raise ValueError("network must be a /29 or larger")
        return self

    @model_validator(mode="after")
    def _provider_is_told(self) -> Settings:
        if self.sign_in == "local":
            return self
        if not self.oidc_client_id:
            raise ValueError(f"sign_in is {self.sign_in}, so oidc_client_id must be set as well")
        if self.sign_in == "oidc" and not self.oidc_issuer:
            raise ValueError("sign_in is oidc, so oidc_issuer must be set as well")
        if self.sign_in == "google" and self.oidc_issuer:
            raise ValueError(
                "sign_in is google, which has its own oidc_issuer; remove that setting"
            )
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
        host = self.bind if self.bind not in ("", "0.0.0.0", "::") else "localhost"  # noqa: S104  # compared, not bound
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
