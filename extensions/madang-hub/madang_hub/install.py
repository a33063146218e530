"""Everything that Madang sets in a JupyterHub configuration; the only module that touches ``c``."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.proxy import ConfigurableHTTPProxy

from madang_hub.dashboards.gateway.assembly import spawner_part
from madang_hub.dashboards.gateway.container_app import DashboardSpawner
from madang_hub.isolation.forgotten import looking
from madang_hub.isolation.pool import NetworkPool
from madang_hub.options import options_from_form
from madang_hub.people import discovery
from madang_hub.people.authenticator import LocalAuthenticator
from madang_hub.people.database import Database
from madang_hub.people.failures import Failures, choosing, hook
from madang_hub.people.github import GitHubAuthenticator
from madang_hub.people.oidc import OidcAuthenticator
from madang_hub.permissions import (
    ACCELERATORS_ON_BEHALF,
    CUSTOM_SCOPES,
    DASHBOARDS_ON_BEHALF,
    PEOPLE_ON_BEHALF,
    SERVER_TOKEN_SCOPES,
    TRACKING_ON_BEHALF,
    roles,
)
from madang_hub.places import (
    ACCELERATOR_SERVICE,
    DASHBOARD_SERVICE,
    ENVIRONMENTS,
    IDLE_SERVICE,
    PEOPLE_SERVICE,
    SPAWNER_SERVICE,
    TRACKING_SERVICE,
    Places,
    read_secret,
    sign_in_secret,
)
from madang_hub.shelf.offered import offered
from madang_hub.shelf.offering import Shelf, shelf_of
from madang_hub.shelf.starts import Starts
from madang_hub.shelf.starts import hook as noting_starts
from madang_hub.spawner import MadangSpawner
from madang_hub.user_container import HOME, HUB_HOST, SERVER_PORT, persons_prefix
from madang_hub.warm.linux import can_wait
from madang_hub.web import outage, pages


def install(c: Any, places: Places, root: Path) -> None:
    """Set traits of ``c`` (traitlets' config object) for the installation at ``places``.

    ``root`` is the folder with ``images/images.toml`` (the checkout, or its copy in the Hub's image).

    Raises:
        CatalogError: the table of environments is wrong.
    """
    catalog = offered(root, places.settings)
    database = Database(places.database_url("hub"))
    shelf = shelf_of(places, catalog, database)
    _addresses(c, places)
    _database(c, places)
    _people(c, places)
    servers(c, places, shelf, database, root)
    _services(c, places, root)
    pages.install(c, places.settings, shelf)


def _addresses(c: Any, places: Places) -> None:
    settings = places.settings
    c.JupyterHub.bind_url = f"http://{places.bind}:{settings.port}/"
    c.JupyterHub.public_url = settings.public_url
    c.JupyterHub.hub_ip = "127.0.0.1"
    c.JupyterHub.hub_port = settings.hub_port
    c.JupyterHub.proxy_class = ConfigurableHTTPProxy
    # the proxy is a process of its own, so that open notebooks outlive a restart of the Hub
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = places.proxy_api
    c.ConfigurableHTTPProxy.auth_token = read_secret(places.secrets, "proxy_token")
    c.JupyterHub.cleanup_servers = False
    # also how often routes are compared with the proxy's, which forgets them when it is restarted
    c.JupyterHub.last_activity_interval = 10


def _database(c: Any, places: Places) -> None:
    c.JupyterHub.db_url = places.database_url("hub")
    c.JupyterHub.upgrade_db = True
    if places.mode == "server":
        # a database that was restarted is found again at the next use
        c.JupyterHub.db_kwargs = {"pool_pre_ping": True}
        away = outage.database_away(places.database_url("hub"))
        c.JupyterHub.template_vars = {"database_away": lambda user: away}
    c.JupyterHub.cookie_secret = bytes.fromhex(read_secret(places.secrets, "cookie_secret"))
    c.CryptKeeper.keys = [bytes.fromhex(read_secret(places.secrets, "crypt_key"))]


def _people(c: Any, places: Places) -> None:
    settings = places.settings
    # groups and roles follow from the directory, at sign-in and while people are signed in
    c.Authenticator.manage_groups = True
    c.Authenticator.manage_roles = True
    c.Authenticator.reset_managed_roles_on_startup = True
    c.Authenticator.auth_refresh_age = settings.refresh_age
    c.Authenticator.auth_refresh_strict = True
    c.Authenticator.refresh_pre_spawn = True
    c.DirectoryAuthenticator.database_url = places.database_url("hub")
    c.DirectoryAuthenticator.timezone = settings.timezone
    # everybody whom the directory knows; there is no sign-up
    c.Authenticator.allow_all = True
    c.Authenticator.admin_users = {settings.admin}
    c.JupyterHub.authenticator_class = LocalAuthenticator
    c.LocalAuthenticator.one_time_days = settings.one_time_days
    c.LocalAuthenticator.trusted_proxies = [str(n) for n in settings.trusted_proxies]

    if settings.sign_in != "local":
        _provider(c, places, settings.sign_in)


def _provider(c: Any, places: Places, kind: discovery.Kind) -> None:
    """Sign-in with an institution, in place of local accounts."""
    settings, preset = places.settings, discovery.PRESETS[kind]
    issuer = settings.oidc_issuer or preset.issuer
    c.JupyterHub.authenticator_class = (
        GitHubAuthenticator if kind == "github" else OidcAuthenticator
    )
    # tokens are kept, encrypted, to ask again whether people still have access
    c.Authenticator.enable_auth_state = True
    c.OAuthenticator.client_id = settings.oidc_client_id
    c.OAuthenticator.client_secret = sign_in_secret(places)
    c.OAuthenticator.scope = list(settings.oidc_scopes or preset.scopes)
    c.OAuthenticator.extra_authorize_params = dict(preset.authorize)
    c.OAuthenticator.login_service = (
        settings.sign_in_name or preset.label or (urlsplit(issuer).hostname or issuer)
    )
    if settings.public_url:
        c.OAuthenticator.oauth_callback_url = f"{settings.public_url}/hub/oauth_callback"
    if kind == "github":
        c.GitHubOAuthenticator.github_url = issuer.rstrip("/")
    c.ProviderAuthenticator.issuer = issuer
    c.ProviderAuthenticator.name_claim = settings.oidc_name_claim or preset.name_claim
    c.ProviderAuthenticator.groups_claim = settings.oidc_groups_claim or preset.groups_claim
    c.ProviderAuthenticator.teams = settings.oidc_teams
    c.ProviderAuthenticator.admit = settings.oidc_admit
    c.ProviderAuthenticator.local_admin = settings.sign_in_local_admin
    c.ProviderAuthenticator.homes = str(places.homes)


def servers(c: Any, places: Places, shelf: Shelf, database: Database, root: Path) -> None:
    """What starts servers."""
    settings = places.settings
    # both hooks run before every start; a refusal by the second is logged without a traceback
    c.Spawner.apply_user_options = lambda spawner, options: None
    c.Spawner.pre_spawn_hook = choosing
    note_failure = hook(Failures(database))
    c.Spawner.options_from_form = options_from_form
    c.Spawner.options_form = pages.options_form(shelf)
    c.Spawner.start_timeout = settings.start_timeout
    c.Spawner.http_timeout = 30
    c.Spawner.poll_interval = 10
    c.Spawner.default_url = "/lab"
    c.Spawner.server_token_scopes = list(SERVER_TOKEN_SCOPES)
    # where servers wait, a start may be over before a page could say that it is on; else straight to that page
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0.8 if settings.warm else 0}
    c.JupyterHub.concurrent_spawn_limit = 0  # a class starts in the same minute
    c.UserServer.package_index = settings.package_index
    c.UserServer.accelerators_url = places.accelerators_url
    c.UserServer.accelerators_token = read_secret(places.secrets, "spawner_token")
    spawner_part(c, places)
    if places.mode == "embedded":
        from madang_hub.dashboards.gateway.local_app import DashboardLocalSpawner

        c.JupyterHub.spawner_class = DashboardLocalSpawner
        c.MadangLocalSpawner.catalog = shelf.table
        c.MadangLocalSpawner.homes = str(places.homes)
        c.MadangLocalSpawner.environments = str(root / ENVIRONMENTS)
        c.MadangLocalSpawner.samples = str(root / "images")
        c.MadangLocalSpawner.lessons = str(root / "build" / "lessons")
        c.MadangLocalSpawner.logs = str(places.log / "servers")
        c.MadangLocalSpawner.public_port = settings.port
        c.MadangLocalSpawner.ip = "127.0.0.1"
        c.MadangLocalSpawner.failed_start_hook = note_failure
        c.MadangLocalSpawner.post_stop_hook = lambda spawner: spawner.note_early_end()
        if settings.warm:
            from madang_hub.warm.beginning import warm_parents

            c.MadangLocalSpawner.warm = warm_parents(places, root, shelf.table)
        return
    c.JupyterHub.spawner_class = DashboardSpawner
    c.MadangSpawner.catalog = shelf.table
    c.MadangSpawner.shelf = shelf
    c.MadangSpawner.started_hook = noting_starts(Starts(database))
    c.MadangSpawner.instance = settings.instance
    c.MadangSpawner.homes = str(places.homes)
    networks = NetworkPool(
        settings.network,
        instance=settings.instance,
        prefix=settings.bridge_prefix,
        kept=settings.networks_kept,
    )
    c.MadangSpawner.networks = networks
    looking(networks, persons_prefix(settings.instance), MadangSpawner.names, settings.hub_port)
    if settings.warm and can_wait(platform.release()):
        from madang_hub.warm.beginning import warm_servers

        c.MadangSpawner.warm = warm_servers(
            places,
            shelf.table,
            networks,
            database,
            busy=MadangSpawner.starting,
            running=lambda: MadangSpawner.running,
        )
    c.MadangSpawner.guard_heartbeat = str(places.guard_heartbeat)
    c.MadangSpawner.public_port = settings.port
    c.MadangSpawner.post_stop_hook = lambda spawner: spawner.tidy()
    c.MadangSpawner.failed_start_hook = note_failure
    c.MadangSpawner.prefix = f"{settings.instance}-user"
    c.MadangSpawner.name_template = "{prefix}-{username}"
    c.MadangSpawner.port = SERVER_PORT
    c.MadangSpawner.use_internal_ip = True
    c.MadangSpawner.hub_connect_url = f"http://{HUB_HOST}:{settings.port}"
    c.MadangSpawner.pull_policy = (
        "never"  # DockerSpawner has one thread: a pull there stalls everybody
    )
    c.MadangSpawner.remove = True
    c.MadangSpawner.notebook_dir = HOME
    c.MadangSpawner.volumes = {}
    c.MadangSpawner.allowed_images = []


def _services(c: Any, places: Places, root: Path) -> None:
    c.JupyterHub.services = [
        {
            "name": TRACKING_SERVICE,
            "url": places.tracking_url,
            "api_token": read_secret(places.secrets, "tracking_token"),
            "oauth_no_confirm": True,
            "oauth_client_allowed_scopes": list(TRACKING_ON_BEHALF),
        },
        {
            # `madang` on the command line: add, remove and stop
            "name": "operator",
            "api_token": read_secret(places.secrets, "operator_token"),
        },
        {
            # the spawner asks the broker of accelerators in this name
            "name": SPAWNER_SERVICE,
            "api_token": read_secret(places.secrets, "spawner_token"),
        },
        _people_service(places, root),
        _broker(places, root),
        _dashboards(places, root),
        _idle_culler(places, root),
    ]
    c.JupyterHub.custom_scopes = CUSTOM_SCOPES
    c.JupyterHub.load_roles = roles()


def _people_service(places: Places, root: Path) -> dict[str, Any]:
    """The people service: the Hub starts it as a process of its own, and again when it ends."""
    return {
        "name": PEOPLE_SERVICE,
        "url": places.people_url,
        "api_token": read_secret(places.secrets, "people_token"),
        "oauth_no_confirm": True,
        "oauth_client_allowed_scopes": list(PEOPLE_ON_BEHALF),
        "display": False,  # the pages' own links lead there
        "command": [sys.executable, "-m", "madang_hub.people.service"],
        "cwd": str(places.hub),
        "environment": _service_environment(places, root),
    }


def _broker(places: Places, root: Path) -> dict[str, Any]:
    """The broker of accelerators: started by the Hub in embedded mode, a part of its own in server mode."""
    service: dict[str, Any] = {
        "name": ACCELERATOR_SERVICE,
        "url": places.accelerators_url,
        "api_token": read_secret(places.secrets, "accelerators_token"),
        "oauth_no_confirm": True,
        "oauth_client_allowed_scopes": list(ACCELERATORS_ON_BEHALF),
        "display": False,  # the pages' own links lead there
    }
    if places.mode == "embedded":
        service |= {
            "command": [sys.executable, "-m", "madang_hub.accelerators.broker"],
            "cwd": str(places.hub),
            "environment": _service_environment(places, root),
        }
    return service


def _dashboards(places: Places, root: Path) -> dict[str, Any]:
    """Gallery and gateway of dashboards: as the broker, a part of its own in server mode."""
    service: dict[str, Any] = {
        "name": DASHBOARD_SERVICE,
        "url": places.dashboards_url,
        "api_token": read_secret(places.secrets, "dashboards_token"),
        "oauth_no_confirm": True,
        "oauth_client_allowed_scopes": list(DASHBOARDS_ON_BEHALF),
        "display": False,  # the pages' own links lead there
    }
    if places.mode == "embedded":
        service |= {
            "command": [sys.executable, "-m", "madang_hub.dashboards"],
            "cwd": str(places.hub),
            "environment": _service_environment(places, root),
        }
    return service


def _idle_culler(places: Places, root: Path) -> dict[str, Any]:
    """Looks at running servers and stops those whose time is over (the rules: ``people/idle.py``)."""
    return {
        "name": IDLE_SERVICE,
        "api_token": read_secret(places.secrets, "idle_token"),
        "display": False,  # it has no pages
        "command": [sys.executable, "-m", "madang_hub.people.culler"],
        "cwd": str(places.hub),
        "environment": _service_environment(places, root),
    }


def _service_environment(places: Places, root: Path) -> dict[str, str]:
    """What a process that the Hub starts must be told; no secret, those are read from their files."""
    return {
        **places.settings.environ(),
        "MADANG_RUNS_AS": places.mode,
        "MADANG_ROOT": str(root),
        "PYTHONSAFEPATH": "1",
    }
