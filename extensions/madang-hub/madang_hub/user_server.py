"""What a user server is in both modes: something chosen from the shelf, started in a person's home.

The base of the container spawner and of the embedded one; how a server comes to run is theirs.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from traitlets import Any as AnyTrait
from traitlets import Instance, Int, Unicode
from traitlets.config import LoggingConfigurable

from madang_hub import lending
from madang_hub import options as spawn_options
from madang_hub.catalog import Catalog, Choice
from madang_hub.homes import LOW_SPACE, USER_GID, USER_UID, DiskFullError, HomeError, ensure_home
from madang_hub.options import StartRefused
from madang_hub.shelf.offering import Shelf
from madang_hub.tracking import PATIENCE, workspace_of
from madang_hub.web.i18n import gettext_for

REMEMBERED = {
    "language": "language",
    "environment": "environment_name",
    "size": "size_name",
    "version": "version",
    "lease": "lease",
    "last_end": "last_end",
}
"""What outlives the Hub's process: the key in the Hub's database and the trait."""


HOME_TROUBLE = {73: "home-full", 77: "home-not-writable"}
"""How the start script ends when it cannot write the home (exit codes of sysexits.h: CANTCREAT, NOPERM)."""


def index_environment(address: str) -> dict[str, str]:
    """Variables that make pip and uv get packages from the index at ``address``; none for an empty one.

    pip has to be told to trust an index without TLS; uv takes the address itself for that.
    """
    if not address:
        return {}
    found = {"PIP_INDEX_URL": address, "UV_DEFAULT_INDEX": address}
    parts = urlsplit(address)
    if parts.scheme == "http" and parts.hostname:
        found["PIP_TRUSTED_HOST"] = parts.hostname
    return found


class UserServer(LoggingConfigurable):
    """The choice, the home, the sentences and the memory that all user servers have.

    In front of a class of JupyterHub's spawners.
    """

    catalog = Instance(
        Catalog,
        help="The shelf of environments and sizes, loaded from `images/images.toml`. Required.",
    ).tag(config=True)
    shelf = Instance(
        Shelf,
        allow_none=True,
        help="What each person may start: the table, and earlier versions that the person still uses. "
        "Default: the table alone.",
    ).tag(config=True)
    homes = Unicode(
        help="Folder with one home per person, at the same path for the Hub and for the engine. "
        "Required, for example `/srv/madang/homes`.",
    ).tag(config=True)
    public_port = Int(
        8000, help="Port of the proxy, on this machine and on every user network. Default: 8000."
    ).tag(config=True)
    package_index = Unicode(
        help="Address of the package index that `pip` and `uv` use in user servers. Default: empty, theirs "
        "(PyPI).",
    ).tag(config=True)
    accelerators_url = Unicode(
        help="Address of the broker of accelerators on this machine, without a path. Default: empty, and "
        "nobody is asked."
    ).tag(config=True)
    accelerators_token = Unicode(help="Token that the broker is asked with. Default: empty.").tag(
        config=True
    )
    failed_start_hook = AnyTrait(
        allow_none=True,
        help="Called as `hook(spawner, error)` when a start fails; Madang notes it for the mentor's "
        "and the admin's pages. Default: none.",
    ).tag(config=True)

    started_hook = AnyTrait(
        allow_none=True,
        help="Called as `hook(spawner)` when a server answers; Madang notes who uses which version. "
        "Default: none.",
    ).tag(config=True)

    language = Unicode("ko", help="Language of the person who started this server (`ko` or `en`).")
    environment_name = Unicode("", help="Environment that this server was started with.")
    size_name = Unicode("", help="Size that this server was started with.")
    version = Unicode("", help="Release of the environment that this server was started with.")
    lease = Unicode("", help="The lease whose accelerators this server was started with.")
    last_end = Unicode(
        "", help="How the last server ended by itself: `memory`, `killed`, or empty."
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._choice: Choice | None = None
        self._lent = lending.Lent()

    # ---- the choice -----------------------------------------------------------------------

    def choose(self, options: Any) -> Choice:
        """Check the request's options and set the limits by them.

        Raises:
            StartRefused: (400/403) this person may not start that.
        """
        self.language = spawn_options.language_of(self)
        choice = spawn_options.chosen(
            self.shelf or Shelf(self.catalog), self.user, options, self.language
        )
        self._choice = choice
        self.mem_limit = choice.size.memory
        self.cpu_limit = choice.size.cpu
        self.environment_name, self.size_name = choice.environment.name, choice.size.name
        self.version = choice.environment.release or self.catalog.release
        return choice

    def begin(self) -> Choice:
        """What is to be started now; how the last server ended is forgotten."""
        self.last_end = ""
        return self._choice or self.choose(self.user_options)

    # ---- the home -------------------------------------------------------------------------

    async def ready_home(self, uid: int = USER_UID, gid: int = USER_GID) -> Path:
        """The person's folder, made if it is missing; its owner is ``uid`` and ``gid``.

        Raises:
            StartRefused: (503) it cannot be used, or the disk is full.
        """
        rescue = self._choice is not None and self._choice.environment.rescue
        try:
            return await asyncio.to_thread(
                ensure_home, Path(self.homes), self.user.name, uid, gid, 0 if rescue else LOW_SPACE
            )
        except DiskFullError as error:
            raise self._refusal(
                "The disk for people's files is full, so no server can be started. The operator has to "
                "make room; your files are safe.",
                "disk-full",
                str(error),
            ) from error
        except HomeError as error:
            raise self._refusal(
                "Your folder cannot be used. Tell the operator; your files are not touched.",
                "home",
                str(error),
            ) from error

    def home_trouble(self, reason: str, log: str) -> StartRefused:
        """The refusal of a start in a home that is full or cannot be written, with the way out."""
        rescue = [e for e in self.catalog.environments.values() if e.rescue]
        if reason == "home-full" and rescue:
            return self._refusal(
                "Your folder is full, so JupyterLab cannot start. Start the environment “{rescue}” to make "
                "room; your files are safe.",
                reason,
                log,
                rescue=rescue[0].title.for_language(self.language),
            )
        if reason == "home-full":
            return self._refusal(
                "Your folder is full, so JupyterLab cannot start. Ask the operator to make room; your "
                "files are safe.",
                reason,
                log,
            )
        return self._refusal(
            "Your folder cannot be used. Tell the operator; your files are not touched.",
            reason,
            log,
        )

    # ---- accelerators ---------------------------------------------------------------------

    async def borrow(self) -> lending.Lent:
        """What is lent to this person now; nothing when nobody can be asked.

        Raises:
            StartRefused: (503) a lease is there, but its accelerator does not work.
        """
        self._lent, self.lease = lending.Lent(), ""
        if not self.accelerators_url:
            return self._lent
        try:
            self._lent = await lending.ask(
                self.accelerators_url, self.accelerators_token, self.user.name, self.language
            )
        except lending.NotUsableError as error:
            raise StartRefused(str(error), reason="accelerator", log="broker: 409") from error
        except lending.BrokerAwayError as error:
            self.log.warning(
                "%s starts without an accelerator: the broker cannot be asked (%s)",
                self.user.name,
                error,
            )
        self.lease = self._lent.lease
        return self._lent

    def not_given(self, said: str) -> bool:
        """Whether what the engine ``said`` when it made no container is about the accelerator."""
        return bool(self.lease) and ("cdi" in said.lower() or "device" in said.lower())

    def no_accelerator(self, said: str) -> StartRefused:
        """The refusal of a start for which the engine did not give what is lent, with the way out."""
        return self._refusal(
            "The container engine could not give your server its accelerator. Tell the operator the time, or "
            "give the accelerator back and start on CPU.",
            "accelerator",
            f"engine: {said}; see 'madang accelerators' and docs/howto/accelerators.md",
        )

    # ---- words ----------------------------------------------------------------------------

    def _sentence(self, msgid: str, **values: str) -> str:
        text: str = gettext_for(self.language)(msgid)
        return text.format(**values)

    def _refusal(self, msgid: str, reason: str, log: str, **values: str) -> StartRefused:
        return StartRefused(self._sentence(msgid, **values), reason=reason, log=log)

    # ---- environment ----------------------------------------------------------------------

    def _every_environment(self) -> list[str]:
        """Those that are not offered here just now as well: somebody's packages for them are still good."""
        all_here = self.shelf.everything() if self.shelf else self.catalog
        return sorted({*self.catalog.every, *all_here.environments})

    def environment_at(self, public: str) -> dict[str, str]:
        """The server's variables beside JupyterHub's own; ``public`` is the proxy's address as it reaches it.

        Tracking takes the server's own token and logs to the person's own workspace.
        """
        return {
            "MADANG_LANG": self.language,
            # an earlier version (`lab@0.0.9`) is the same environment: the person's own packages belong to both
            "MADANG_ENVIRONMENT": self.environment_name.partition("@")[0],
            # so that it is known which of a person's own packages nothing can use any more
            "MADANG_ENVIRONMENTS": " ".join(self._every_environment()),
            "MADANG_SIZE": self.size_name,
            "MADANG_LEASE": self.lease,
            "MADANG_PEOPLE_URL": f"{public}/services/people",
            "MADANG_ACCELERATORS_URL": f"{public}/services/accelerators",
            "MADANG_DASHBOARDS_URL": f"{public}/services/dashboards",
            "MLFLOW_TRACKING_URI": f"{public}/services/mlflow",
            "MLFLOW_TRACKING_TOKEN": self.api_token,
            "MLFLOW_WORKSPACE": workspace_of(self.user.name),
            "MLFLOW_EXPERIMENT_NAME": self.user.name,
            **PATIENCE,
            **index_environment(self.package_index),
        }

    # ---- memory ---------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        state: dict[str, Any] = super().get_state()
        return {**state, **{key: getattr(self, trait) for key, trait in REMEMBERED.items()}}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        for key, trait in REMEMBERED.items():
            if key in state:
                setattr(self, trait, state[key])

    def clear_state(self) -> None:
        super().clear_state()
        self._choice = None
        self.lease = ""
