"""The gate's settings, read once from the environment and refused when they are unsafe."""

import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from madang_mlflow.identity import Times
from madang_mlflow.quota import Limits, limits

#: What the launcher sets for MLflow, and what the gate insists on: name, value, why.
INSISTED = (
    ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false", "jobs run users' code on the server"),
    ("MLFLOW_ENABLE_AI_GATEWAY", "false", "the AI gateway sends requests out with stored keys"),
    ("MLFLOW_ENABLE_REMOTE_ASSISTANT", "false", "the assistant runs commands on the server"),
    ("MLFLOW_SERVER_ENABLE_CUSTOM_SCORERS", "false", "scorers are users' code"),
    ("MLFLOW_SERVER_ENABLE_GRAPHQL_AUTH", "true", "GraphQL must never be the unguarded door"),
    ("MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE", "false", "it checks hosts and origins"),
    ("MLFLOW_ENABLE_WORKSPACES", "true", "without workspaces everybody sees everybody's runs"),
    ("MLFLOW_WORKSPACE", "", "a workspace for requests that name none must come from the gate"),
    ("MLFLOW_WORKSPACE_STORE_URI", "", "the gate makes workspaces in the tracking database"),
    ("MLFLOW_DEPLOYMENTS_TARGET", "", "the gateway proxy would send users' requests to it"),
    ("MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES", "", "the server must not fetch from hosts"),
)

#: The only sources a model version may have: things that this server itself stores.
SOURCE_REGEX = r"\A(?:mlflow-artifacts:/|runs:/|models:/|prompt-template\Z|dummy-source\Z)"
_FOREIGN_SOURCES = (
    "s3://bucket/key",
    "gs://bucket/key",
    "file:///etc",
    "/etc",
    "http://host/path",
    "hdfs://host/path",
    "x s3://bucket/runs:/",
)

_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z")


#: The name by which user servers know the machine they run on.
INSIDE_NAME = "hub.madang"


@dataclass(frozen=True, slots=True)
class Hosts:
    """The values of the Host header that are answered.

    Attributes:
        names: host, or host:port, in lower case.
        address_port: if not None, any IP address with this port, too. Safe, because a hostile
            page can make a name of its own point here, but not an address.
    """

    names: frozenset[str]
    address_port: int | None

    def known(self, host: str) -> bool:
        """Whether a Host header's value is one of them."""
        host = host.lower()
        if host in self.names:
            return True
        if self.address_port is None:
            return False
        try:
            parts = urlsplit(f"//{host}")
            ipaddress.ip_address(parts.hostname or "")
            return (parts.port or 80) == self.address_port and "@" not in host
        except ValueError:
            return False


class SettingsError(Exception):
    """Settings that are missing, malformed or unsafe; the text has one line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(
            "The tracking server does not start with these settings:\n"
            + "\n".join(f"- {problem}" for problem in problems)
        )
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Settings:
    """What the gate needs to know.

    Attributes:
        api_url: the Hub's API as this process reaches it.
        api_token: this service's own Hub token (it is the OAuth client's secret, too).
        prefix: where the Hub's proxy serves this, with a slash at both ends.
        service: the service's name in the Hub; its scope is ``access:services!service=<name>``.
        client_id: the OAuth client's id.
        hub_prefix: the Hub's pages, with a slash at both ends.
        hub_host: scheme and host of the Hub where it has one of its own, else empty.
        public_url: what people type, without a path.
        hosts: the values of the Host header that are answered.
        cookie_secrets: newest first.
        session_seconds: how long a browser stays signed in without going through the Hub.
        times: how long the Hub's answers are believed.
        limits: how much workspaces may hold.
        state: the folder in which the server's processes keep what they share; None: there is none.
    """

    api_url: str
    api_token: str = field(repr=False)
    prefix: str
    service: str
    client_id: str
    hub_prefix: str
    hub_host: str
    public_url: str
    hosts: Hosts
    cookie_secrets: tuple[str, ...] = field(repr=False)
    session_seconds: int
    times: Times
    limits: Limits
    state: Path | None

    @property
    def scope(self) -> str:
        """The Hub scope that opens the tracking server."""
        return f"access:services!service={self.service}"

    @property
    def secure(self) -> bool:
        """Whether people come by https."""
        return self.public_url.startswith("https://")


def machine_names() -> list[str]:
    """The names by which this machine knows itself."""
    return [socket.gethostname(), socket.getfqdn()]


def read(env: Mapping[str, str], names: Iterable[str] = ()) -> Settings:
    """The settings in an environment.

    Args:
        env: the environment.
        names: this machine's names; they are answered when MADANG_PUBLIC_URL is not set.

    Raises:
        SettingsError: naming everything that is wrong, not only the first.
    """
    problems: list[str] = []
    api_url = env.get("JUPYTERHUB_API_URL", "").rstrip("/")
    if urlsplit(api_url).scheme not in ("http", "https"):
        problems.append(
            "JUPYTERHUB_API_URL must be the Hub's API, such as http://127.0.0.1:8081/hub/api."
        )
    port = env.get("MADANG_PORT", "") or "8000"
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        problems.append("MADANG_PORT must be the public port, a number from 1 to 65535.")
        port = "8000"
    given_url = env.get("MADANG_PUBLIC_URL", "").rstrip("/")
    public_url = given_url or f"http://127.0.0.1:{port}"
    public = urlsplit(public_url)
    if public.scheme not in ("http", "https") or not _HOST.match(public.netloc) or public.path:
        problems.append(
            "MADANG_PUBLIC_URL must be the address people use, without a path, "
            "such as https://madang.example.org (or be left out)."
        )
    extra = [part.strip() for part in env.get("MADANG_TRACKING_HOSTS", "").split(",")]
    extra = [host.lower() for host in extra if host]
    problems += [
        f"MADANG_TRACKING_HOSTS has {host!r}: write host or host:port, no wildcard, comma between."
        for host in extra
        if not _HOST.match(host)
    ]
    prefix = _slashes(env.get("JUPYTERHUB_SERVICE_PREFIX", "/services/mlflow/"))
    if not re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)+/", prefix):
        problems.append("JUPYTERHUB_SERVICE_PREFIX must be a plain path such as /services/mlflow/.")
    service = env.get("JUPYTERHUB_SERVICE_NAME", "mlflow")
    hub_host = env.get("JUPYTERHUB_HOST", "").rstrip("/")
    near = ["127.0.0.1", "localhost", INSIDE_NAME, *([] if given_url else names)]
    usual = Times()
    settings = Settings(
        api_url=api_url,
        api_token=_secret(env, "JUPYTERHUB_API_TOKEN", problems),
        prefix=prefix,
        service=service,
        client_id=env.get("JUPYTERHUB_CLIENT_ID", f"service-{service}"),
        hub_prefix=_slashes(env.get("JUPYTERHUB_BASE_URL", "/")) + "hub/",
        hub_host=hub_host,
        public_url=public_url,
        hosts=Hosts(
            frozenset([public.netloc.lower(), *extra, *(f"{n}:{port}".lower() for n in near)]),
            None if given_url else int(port),
        ),
        cookie_secrets=_cookie_secrets(env, problems),
        session_seconds=int(_seconds(env, "SESSION", 12 * 3600.0, problems)),
        times=Times(
            fresh=_seconds(env, "FRESH", usual.fresh, problems),
            negative=_seconds(env, "NEGATIVE", usual.negative, problems),
            stale=_seconds(env, "STALE", usual.stale, problems),
            timeout=_seconds(env, "HUB_TIMEOUT", usual.timeout, problems),
            breaker=_seconds(env, "BREAKER", usual.breaker, problems),
        ),
        limits=limits(env, problems),
        state=state_folder(env),
    )
    if settings.limits != Limits() and not settings.state:
        problems.append(
            "MADANG_TRACKING_STATE must be a folder of this server's own: with a quota its processes "
            "count there together."
        )
    if settings.times.stale < settings.times.fresh:
        problems.append(
            "MADANG_TRACKING_STALE_SECONDS must not be less than MADANG_TRACKING_FRESH_SECONDS."
        )
    if problems:
        raise SettingsError(problems)
    return settings


def state_folder(env: Mapping[str, str]) -> Path | None:
    """``MADANG_TRACKING_STATE``: the counts of workspaces' bytes, and what was handed over."""
    return Path(folder) if (folder := env.get("MADANG_TRACKING_STATE", "")) else None


def unsafe(env: Mapping[str, str]) -> list[str]:
    """What is unsafe about the environment that MLflow itself runs in; empty when nothing is.

    Args:
        env: of the process that serves requests, as ``mlflow server`` made it.
    """
    problems = [
        f"{name} must be {wanted!r}: {why}."
        for name, wanted, why in INSISTED
        if env.get(name, "").strip().lower() != wanted
    ]
    if env.get("_MLFLOW_STATIC_PREFIX"):
        problems.append("--static-prefix must not be used: the gate itself takes the prefix off.")
    if env.get("_MLFLOW_SGI_NAME") != "uvicorn":
        problems.append("Only uvicorn can carry the gate: no --gunicorn-opts or --waitress-opts.")
    if env.get("_MLFLOW_SERVER_SERVE_ARTIFACTS") != "true":
        problems.append("--serve-artifacts must be on: users hold no keys to the storage.")
    root = env.get("_MLFLOW_SERVER_ARTIFACT_ROOT", "")
    if not root.startswith("mlflow-artifacts:"):
        problems.append(
            "--default-artifact-root must not be set: artifacts go through the server "
            f"(mlflow-artifacts:/), not to {root or 'the working directory'}."
        )
    for name in ("MLFLOW_SERVER_ALLOWED_HOSTS", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"):
        value = env.get(name, "")
        if not value or "*" in value:
            problems.append(f"{name} must name the public address and have no wildcard.")
    problems += _regex_problems(env.get("MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX", ""))
    return problems


def _regex_problems(regex: str) -> list[str]:
    name = "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX"
    if not regex:
        return [f"{name} must be set: else the server reads any storage its own keys open."]
    try:
        compiled = re.compile(regex)
    except re.error as error:
        return [f"{name} is not a regular expression: {error}."]
    # MLflow uses `search`, so an expression without an anchor lets anything through
    let_in = [source for source in _FOREIGN_SOURCES if compiled.search(source)]
    return [f"{name} must not accept {source!r}." for source in let_in]


def _slashes(path: str) -> str:
    stripped = path.strip("/")
    return f"/{stripped}/" if stripped else "/"


def _seconds(env: Mapping[str, str], name: str, default: float, problems: list[str]) -> float:
    variable = f"MADANG_TRACKING_{name}_SECONDS"
    text = env.get(variable, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        problems.append(f"{variable} must be a number of seconds, such as {default:g}.")
        return default
    return value


def _secret(env: Mapping[str, str], name: str, problems: list[str]) -> str:
    value = env.get(name, "")
    file = env.get(f"{name}_FILE", "")
    if file and not value:
        value = _read_secret_file(f"{name}_FILE", file, problems)
        if not value:
            return ""
    if not value:
        problems.append(
            f"{name} (or {name}_FILE) must be the service's token, as the Hub knows it."
        )
    return value.strip()


def _cookie_secrets(env: Mapping[str, str], problems: list[str]) -> tuple[str, ...]:
    name = "MADANG_TRACKING_SECRET_FILE"
    file = env.get(name, "")
    if not file:
        problems.append(f"{name} must name a file with a random line of 32 characters or more.")
        return ()
    before = len(problems)
    lines = [line.strip() for line in _read_secret_file(name, file, problems).splitlines()]
    found = tuple(line for line in lines if line)
    if len(problems) == before and (not found or min(map(len, found)) < 32):
        problems.append(f"{name}: every line of {file} must have 32 random characters or more.")
    return found


def _read_secret_file(name: str, file: str, problems: list[str]) -> str:
    path = Path(file)
    try:
        if path.stat().st_mode & 0o007:
            problems.append(f"{name}: anybody can read {file}; run: chmod o= {file}")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{name}: {file} cannot be read ({error}).")
        return ""
