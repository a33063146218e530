"""The spawner's part, in both modes: apps of the service account are started by a sealed order, and by no other
way; people get no servers with names.

In front of the class that starts people's servers; theirs go on to it untouched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from traitlets import Unicode

from madang_hub import options as spawn_options
from madang_hub.catalog import Choice, Environment
from madang_hub.dashboards.gateway import sealed
from madang_hub.dashboards.gateway.sealed import Order
from madang_hub.image_table import ADMIN
from madang_hub.options import StartRefused
from madang_hub.places import APP_IMAGE, DASHBOARD_ACCOUNT
from madang_hub.texts import Text
from madang_hub.user_server import UserServer
from madang_hub.web.i18n import N_, gettext_for

NOT_BY_HAND = N_(
    "Servers with names are started by the dashboards service alone. Start your own server, or publish a "
    "notebook."
)
TITLE = Text(ko="대시보드", en="Dashboard")


class AppServer(UserServer):
    """What is an app's, beside a user server's."""

    snapshots = Unicode(
        help="Folder with the snapshots of dashboards (`<folder>/<sha256>/files`). Required for "
        "dashboards, for example `/srv/madang/dashboards/versions`.",
    ).tag(config=True)
    apps_secret = Unicode(
        help="What the dashboards service and the spawner know each other by. Default: empty, no dashboard is "
        "started.",
    ).tag(config=True)
    app_url = Unicode("", help="Where this app's runner answers; empty for a person's server.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._order: Order | None = None

    @property
    def is_app(self) -> bool:
        """Whether this is a server of the service account."""
        return bool(self.user.name == DASHBOARD_ACCOUNT)

    @property
    def is_refused(self) -> bool:
        """Whether this is a person's server with a name: none is ever started, so there is nothing to ask or
        to end."""
        return bool(self.name) and not self.is_app

    def choose(self, options: Any) -> Choice:
        """Check the request's options and set the limits by them.

        Raises:
            StartRefused: (403) an app without the gateway's seal, or a person's server with a name; else as
                for every user server.
        """
        if not self.is_app:
            if self.name:
                self.language = spawn_options.language_of(self)
                raise self._not_by_hand()
            return super().choose(options)
        self._order = None
        try:
            order = sealed.order_of(self.apps_secret, self.name, options)
        except sealed.UnsealedError:
            raise self._not_by_hand() from None
        size = self.catalog.sizes.get(order.size) or self.catalog.sizes[self.catalog.default[1]]
        environment = Environment(APP_IMAGE, APP_IMAGE, TITLE, TITLE, (size.name,), (ADMIN,), ())
        self._order = order
        self._choice = choice = Choice(environment, size)
        self.mem_limit, self.cpu_limit = size.memory, size.cpu
        self.environment_name, self.size_name = environment.name, size.name
        self.version = self.catalog.release
        return choice

    def _not_by_hand(self) -> StartRefused:
        message = gettext_for(self.language)(NOT_BY_HAND)
        return StartRefused(message, reason="named", log=self.name[:40], status_code=403)

    @property
    def order(self) -> Order:
        """What is shown.

        Raises:
            StartRefused: (403) nobody said it.
        """
        if self._order is None:
            self.choose(self.user_options)
        if self._order is None:
            raise self._not_by_hand()
        return self._order

    @property
    def snapshot(self) -> Path:
        """The folder that is shown.

        Raises:
            StartRefused: (503) it is not there.
        """
        folder = Path(self.snapshots) / self.order.content / "files"
        if not (folder / self.order.notebook).is_file():
            raise self.not_started("Its files are not there any more. Publish it again.")
        return folder

    def not_started(self, why: str) -> StartRefused:
        """The refusal of a start of an app; ``why`` is for its author, in English as a program's error."""
        return StartRefused(why, reason="dashboard", log=why)

    def app_environment(self) -> dict[str, str]:
        """The variables that a runner is told by: nothing of the Hub, no token."""
        return {
            "MADANG_DASHBOARD_KEY": sealed.key(self.apps_secret, self.name),
            "MADANG_DASHBOARD_NOTEBOOK": self.order.notebook,
            "LANG": "C.UTF-8",
            "DO_NOT_TRACK": "1",
        }

    def get_state(self) -> dict[str, Any]:
        state: dict[str, Any] = super().get_state()
        return {**state, "app_url": self.app_url} if self.app_url else state

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self.app_url = str(state.get("app_url") or "")

    def clear_state(self) -> None:
        super().clear_state()
        self.app_url = ""
        self._order = None
