"""Everything that Madang sets in a JupyterHub configuration; the only module that touches ``c``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy

from madang_hub.catalog import Catalog
from madang_hub.options import options_from_form
from madang_hub.people.authenticator import LocalAuthenticator
from madang_hub.permissions import SERVER_TOKEN_SCOPES, roles
from madang_hub.places import TRACKING_SERVICE, Places, read_secret
from madang_hub.spawner import HOME, HUB_HOST, SERVER_PORT, MadangSpawner
from madang_hub.web import outage, pages


def install(c: Any, places: Places, root: Path) -> None:
    """Set traits of ``c`` (traitlets' config object) for the installation at ``places``.

    ``root`` is the folder with ``images/images.toml`` (the checkout, or its copy in the Hub's image).

    Raises:
        CatalogError: the table of environments is wrong.
    """
    catalog = Catalog.load(root / "images" / "images.toml")
    _addresses(c, places)
    _database(c, places)
    _people(c, places)
    _servers(c, places, catalog, root)
    _services(c, places)
    pages.install(c, places.settings, catalog)


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
    c.JupyterHub.authenticator_class = LocalAuthenticator
    c.LocalAuthenticator.database_url = places.database_url("hub")
    c.LocalAuthenticator.allow_all = True  # everybody who has an account; there is no sign-up
    c.LocalAuthenticator.admin_users = {places.settings.admin}


def _servers(c: Any, places: Places, catalog: Catalog, root: Path) -> None:
    settings = places.settings
    # both hooks run before every start; a refusal by the second is logged without a traceback
    c.Spawner.apply_user_options = lambda spawner, options: None
    c.Spawner.pre_spawn_hook = lambda spawner: spawner.choose(spawner.user_options)
    c.Spawner.options_from_form = options_from_form
    c.Spawner.options_form = pages.options_form(catalog)
    c.Spawner.start_timeout = settings.start_timeout
    c.Spawner.http_timeout = 30
    c.Spawner.poll_interval = 10
    c.Spawner.default_url = "/lab"
    c.Spawner.server_token_scopes = list(SERVER_TOKEN_SCOPES)
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}  # straight to the progress page
    c.JupyterHub.concurrent_spawn_limit = 0  # a class starts in the same minute
    if places.mode == "embedded":
        from madang_hub.local import MadangLocalSpawner

        c.JupyterHub.spawner_class = MadangLocalSpawner
        c.MadangLocalSpawner.catalog = catalog
        c.MadangLocalSpawner.homes = str(places.homes)
        c.MadangLocalSpawner.environments = str(root / "build" / "env")
        c.MadangLocalSpawner.samples = str(root / "images")
        c.MadangLocalSpawner.logs = str(places.log / "servers")
        c.MadangLocalSpawner.public_port = settings.port
        c.MadangLocalSpawner.ip = "127.0.0.1"
        return
    c.JupyterHub.spawner_class = MadangSpawner
    c.MadangSpawner.catalog = catalog
    c.MadangSpawner.instance = settings.instance
    c.MadangSpawner.homes = str(places.homes)
    c.MadangSpawner.network_pool = str(settings.network)
    c.MadangSpawner.networks_kept = settings.networks_kept
    c.MadangSpawner.bridge_prefix = settings.bridge_prefix
    c.MadangSpawner.guard_heartbeat = str(places.guard_heartbeat)
    c.MadangSpawner.public_port = settings.port
    c.MadangSpawner.post_stop_hook = lambda spawner: spawner.tidy()
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


def _services(c: Any, places: Places) -> None:
    c.JupyterHub.services = [
        {
            "name": TRACKING_SERVICE,
            "url": places.tracking_url,
            "api_token": read_secret(places.secrets, "tracking_token"),
            "oauth_no_confirm": True,
        },
        {
            # `madang` on the command line: add, remove and stop
            "name": "operator",
            "api_token": read_secret(places.secrets, "operator_token"),
        },
    ]
    c.JupyterHub.load_roles = roles()
