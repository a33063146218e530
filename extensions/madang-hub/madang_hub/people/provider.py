"""Sign-in with an institution: what all providers share (``oidc.py`` and ``github.py`` have the rest).

OAuthenticator does the OAuth part (redirect, state cookie, PKCE, the request for tokens); the rules are in
``claims.py``, ``discovery.py``, ``id_tokens.py`` and ``standing.py``, the tables behind ``arrivals.py``. Added
here: the provider's addresses are looked up, an ID token is checked with a nonce, identity decides who
somebody is, and a refresh tells "removed" from "does not answer".

JupyterHub's own form stays the operator's way in: ``data`` is what it posted; the provider's callback has none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.httputil import url_concat
from traitlets import Bool, Enum, Unicode

from madang_hub.people import discovery, id_tokens
from madang_hub.people.accounts import DASHBOARD_ACCOUNT
from madang_hub.people.arrivals import Arrivals, NotAdmittedError
from madang_hub.people.authenticator import (
    DirectoryAuthenticator,
    LocalAuthenticator,
    no_access,
)
from madang_hub.people.claims import Claimed, ClaimError, Reading, parse_teams
from madang_hub.people.provider_handlers import (
    CallbackHandler,
    LeaveHandler,
    ProviderSignInRefused,
    SignInHandler,
    provider_away,
    unfinished,
)
from madang_hub.people.standing import (
    Asked,
    ProviderAwayError,
    Reply,
    answered,
    held,
    refused_grant,
    renewed,
    understood,
)
from madang_hub.web.i18n import gettext_for, language_of_handler

DESCRIPTION_SECONDS = 15.0
"""How long the provider's description of itself is not asked for again."""

AWAY_SECONDS = 15.0
"""After the provider did not answer, refreshes don't wait for it so long."""

ANSWER_BYTES = 2**20


class RefusedError(Exception):
    """The provider, or what it sent, does not allow this sign-in; the message is for the log."""


class ProviderAuthenticator(DirectoryAuthenticator):
    """What all providers have in common; in front of one of OAuthenticator's classes."""

    login_handler = SignInHandler
    callback_handler = CallbackHandler
    logout_handler = LeaveHandler

    issuer = Unicode(help="The provider's name for itself, an https address.").tag(config=True)
    name_claim = Unicode(
        "preferred_username", help="The claim that proposes a new person's user name."
    ).tag(config=True)
    groups_claim = Unicode("groups", help="The claim that says who is in which group.").tag(
        config=True
    )
    teams = Unicode(
        help="Values of the groups claim and what they give, `VALUE=TEAM ROLE; VALUE=admin`."
    ).tag(config=True)
    admit = Enum(
        ("mapped", "everyone"),
        "mapped",
        help="`mapped`: only who is in a team (or is an admin) may enter. `everyone`: all whom the provider "
        "knows.",
    ).tag(config=True)
    local_admin = Bool(
        True, help="Whether the first admin may sign in with a local account as well."
    ).tag(config=True)
    homes = Unicode(help="The folder of homes; a name that has one is taken.").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reading = Reading(
            self.issuer, self.name_claim, self.groups_claim, parse_teams(self.teams)
        )
        self.arrivals = Arrivals(self.database, self.admit, self.admin_users, Path(self.homes))
        self.local = LocalAuthenticator(parent=self) if self.local_admin else None
        self.end_session_url = ""
        self._asking: dict[str, asyncio.Task[Asked]] = {}
        # the newest auth state of everybody; what the Hub has stored may be one request behind
        self._states: dict[str, dict[str, Any]] = {}
        self._away_until = 0.0

    def _http_client_default(self) -> Any:
        # a class comes in the same minute; Tornado's own limit is ten
        return AsyncHTTPClient(
            force_instance=True, max_clients=64, max_body_size=ANSWER_BYTES, max_header_size=2**16
        )

    def close(self) -> None:
        if self.local:
            self.local.close()
        super().close()

    async def load_managed_roles(self) -> list[dict[str, Any]]:
        """JupyterHub calls this at its start: the moment to say what is wrong with the provider."""
        try:
            await self.look()
        except (ProviderAwayError, discovery.DiscoveryError) as error:
            self.log.error(
                "Nobody can sign in with %s now: %s. It is tried again at each sign-in.",
                self.login_service,
                error,
            )
        found: list[dict[str, Any]] = await super().load_managed_roles()
        return found

    # ---- signing in -----------------------------------------------------------------------

    async def look(self, not_older: float = DESCRIPTION_SECONDS) -> None:
        """Find out where the provider does what, unless that was done in the last seconds.

        Raises:
            ProviderAwayError: it does not answer.
            discovery.DiscoveryError: its answer cannot be used; somebody must mend a setting.
        """

    async def ready(self, handler: Any, not_older: float = DESCRIPTION_SECONDS) -> None:
        """Return when a person may be sent to the provider.

        Raises:
            SignInRefused: it does not answer; the page says so.
        """
        try:
            await self.look(not_older)
        except (ProviderAwayError, discovery.DiscoveryError) as error:
            self.log.error("Nobody can sign in with %s now: %s", self.login_service, error)
            raise provider_away(handler) from error

    async def authenticate(
        self, handler: Any, data: dict[str, str] | None = None, **kwargs: Any
    ) -> dict[str, Any] | None:
        """The auth model of who comes back from the provider (or of the operator's own account).

        Raises:
            SignInRefused: with a sentence for the person.
        """
        if data is not None:
            return await self._by_password(handler, data)
        await self.ready(handler)
        _ = gettext_for(language_of_handler(handler))
        try:
            state, claims = await self._exchange(handler)
            claimed = self.reading.read(claims)
            name = await self.in_thread(self._sign_in, claimed)
        except ProviderAwayError as error:
            self.log.error("A sign-in with %s came to nothing: %s", self.login_service, error)
            raise provider_away(handler) from error
        except (RefusedError, ClaimError, id_tokens.IdTokenError) as error:
            self.log.warning("A sign-in with %s was refused: %s", self.login_service, error)
            raise ProviderSignInRefused(unfinished(_), status_code=400) from error
        except NotAdmittedError as error:
            self.log.warning("A sign-in with %s was refused: %s", self.login_service, error)
            raise ProviderSignInRefused(
                _(
                    "Your institution knows you, but Madang has no place for you: you are in none of its "
                    "teams or classes, or your access has ended. Ask your mentor or the operator."
                )
            ) from error
        model = await self.admitted(handler, name)
        self._states[name] = state
        return {**model, "auth_state": state}

    async def _by_password(self, handler: Any, data: dict[str, str]) -> dict[str, Any] | None:
        if self.local is None or data.get("username") not in self.admin_users:
            self.log.warning("A local sign-in of somebody else than the operator was refused")
            return None
        found: dict[str, Any] | None = await self.local.authenticate(handler, data)
        return found

    def _sign_in(self, claimed: Claimed) -> str:
        now = datetime.now(UTC)
        return self.arrivals.sign_in(claimed, now, now.astimezone(ZoneInfo(self.timezone)).date())

    async def _exchange(self, handler: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Tokens for the code that came back, and the claims behind them."""
        params = self.build_access_tokens_request_params(handler)
        params.pop("data", None)
        reply = await self._ask(self.token_url, params)
        tokens = reply.table if answered(reply.status) == "yes" else {}
        if not isinstance(tokens.get("access_token"), str):
            raise RefusedError(f"no token for the code (status {reply.status})")
        state = renewed({}, tokens, time.time())
        expected = id_tokens.nonce(id_tokens.challenge(params["code_verifier"]))
        self._note_identity(state, tokens, expected)
        claims = await self._claims(state)
        if claims is None:
            raise RefusedError("the new token was refused")
        return state, claims

    def _note_identity(
        self, state: dict[str, Any], tokens: dict[str, Any], nonce: str | None
    ) -> None:
        """Keep what an ID token says; for providers without one there is nothing to do."""

    async def _claims(self, state: dict[str, Any]) -> dict[str, Any] | None:
        """The claims about the person whose tokens ``state`` holds; None if the token is refused."""
        raise NotImplementedError

    # ---- while signed in ------------------------------------------------------------------

    async def refresh_user(
        self, user: Any, handler: Any = None, **kwargs: Any
    ) -> dict[str, Any] | bool:
        """New groups and roles; False when the person must sign in again, or has no access any more.

        Where the provider does not answer, what the directory says stays good for a day.
        """
        if user.name == DASHBOARD_ACCOUNT:  # see DirectoryAuthenticator.refresh_user
            return True
        model = await self.refreshed(user.name)
        if model is None:
            return no_access(handler)
        by_another = handler is not None and handler.current_user is not user
        stored = await user.get_auth_state()
        if not stored:
            # the operator by password; or somebody who was never here, for whom a mentor starts a server
            by_password = self.local is not None and user.name in self.admin_users
            return model if by_password or by_another else no_access(handler)
        asked = await self._asked(user.name, stored)
        if asked.standing == "good" and asked.claims is not None:
            return await self._renewed_model(user.name, asked.claims) or no_access(handler)
        if asked.standing == "away":
            return {**model, "auth_state": self._states[user.name]}
        if asked.standing == "gone":
            self.log.warning("%s does not know %s any more", self.login_service, user.name)
            await self.in_thread(self.arrivals.let_go, user.name, datetime.now(UTC))
            return no_access(handler)
        self.log.info("%s must sign in again with %s", user.name, self.login_service)
        return model if by_another else no_access(handler)

    async def _renewed_model(self, name: str, claims: dict[str, Any]) -> dict[str, Any] | None:
        now = datetime.now(UTC)
        try:
            claimed = self.reading.read(claims)
        except ClaimError as error:
            self.log.error("%s: %s", name, error)
            return None
        if not await self.in_thread(self.arrivals.refresh, claimed, name, now):
            self.log.warning("%s gives %s no access any more", self.login_service, name)
            await self.in_thread(self.arrivals.let_go, name, now)
            return None
        model = await self.refreshed(name)
        return {**model, "auth_state": self._states[name]} if model else None

    async def _asked(self, name: str, stored: dict[str, Any]) -> Asked:
        """Ask once for all requests of the person that come at the same time.

        A provider takes a refresh token that is used twice for stolen, and ends all that came of it.
        """
        self._states.setdefault(name, stored)
        task = self._asking.get(name)
        if task is None:
            task = asyncio.create_task(self._ask_about(name))
            self._asking[name] = task
            task.add_done_callback(lambda _: self._asking.pop(name, None))
        return await asyncio.shield(task)

    async def _ask_about(self, name: str) -> Asked:
        now, state = time.time(), self._states[name]
        have = held(state)
        try:
            if time.monotonic() < self._away_until:
                return Asked(have.meaning_of_silence(now))
            await self.look()
            claims = None if have.access_is_over(now) else await self._claims(state)
            if claims is None and have.refresh_token:
                found = await self._renew(name, state, have.refresh_token)
                if found == "client":
                    return Asked("stale")
                if found != "person":
                    state = found
                    claims = await self._claims(state)
        except (ProviderAwayError, discovery.DiscoveryError) as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            self.log.error(
                "%s does not answer; who is signed in goes on: %s", self.login_service, error
            )
            return Asked(have.meaning_of_silence(now))
        except (id_tokens.IdTokenError, ClaimError) as error:
            self.log.error("%s: %s", name, error)
            return Asked("stale")
        if claims is None:
            return Asked(have.meaning_of_no(now))
        self._keep(name, state, {**state, "checked": now})
        return Asked("good", claims)

    async def _renew(
        self, name: str, state: dict[str, Any], refresh_token: str
    ) -> dict[str, Any] | Literal["person", "client"]:
        """The state with new tokens, kept at once; or whom the provider refused them."""
        params = self.build_refresh_token_request_params(refresh_token)
        reply = await self._ask(self.token_url, params)
        tokens = reply.table if answered(reply.status) == "yes" else {}
        if isinstance(tokens.get("access_token"), str):
            new = renewed(state, tokens, time.time())
            self._keep(name, state, new)
            self._note_identity(new, tokens, None)
            return new
        whose = refused_grant(reply.status, reply.body)
        if whose == "person":
            return "person"
        self.log.error(
            "%s refuses Madang itself (status %d): is the client's secret right?",
            self.login_service,
            reply.status,
        )
        return "client"

    def _keep(self, name: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Remember ``after`` instead of ``before``, unless the person has signed in anew meanwhile."""
        if self._states.get(name) is before:
            self._states[name] = after

    # ---- signing out ----------------------------------------------------------------------

    async def leave(self, handler: Any, user: Any, state: dict[str, Any]) -> str:
        """Where to send the browser of ``user`` so that the provider signs it out too; "" for nowhere."""
        if not state.get("id_token") or not self.end_session_url:
            return ""
        # its tokens may end with that, which is no removal
        self._states[user.name] = {**self._states.get(user.name, state), "signed_out": True}
        await user.save_auth_state(self._states[user.name])
        return str(
            url_concat(
                self.end_session_url,
                {
                    "id_token_hint": state["id_token"],
                    "client_id": self.client_id,
                    "post_logout_redirect_uri": self.get_callback_url(handler).removesuffix(
                        "oauth_callback"
                    )
                    + "logout",
                },
            )
        )

    # ---- HTTP -----------------------------------------------------------------------------

    async def _ask(
        self, url: str, form: dict[str, str] | None = None, token: Mapping[str, Any] | None = None
    ) -> Reply:
        """Ask the provider: POST a ``form``, or GET, with the access token of ``token`` if given.

        Raises:
            ProviderAwayError: no answer, or one that blames itself.
        """
        options: dict[str, Any] = {
            "connect_timeout": 5,
            "request_timeout": 10,
            # a secret goes where the provider's description says and nowhere else
            "follow_redirects": False,
            "validate_cert": self.validate_server_cert,
        }
        if form is not None:
            options |= {"method": "POST", "body": urlencode(form)}
            options["headers"] = self.build_token_info_request_headers()
        elif token is not None:
            options["headers"] = self.build_userdata_request_headers(
                token["access_token"], token["token_type"]
            )
        try:
            found = await self.httpfetch(url, parse_json=False, raise_error=False, **options)
        except (HTTPClientError, OSError, ValueError) as error:
            raise ProviderAwayError(f"{_place(url)}: {error.__class__.__name__}") from error
        reply = understood(_place(url), found.code, found.headers, found.body)
        self._away_until = 0.0
        return reply


def _place(url: str) -> str:
    return url.partition("?")[0]
