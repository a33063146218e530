"""The gate's only way to the Hub: `HubOAuth`, narrowed to what is asked of it.

This is where JupyterHub's types (none) end.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import ClientError
from jupyterhub.httpclient import JupyterHubHTTPClient, fetch
from jupyterhub.services.auth import HubOAuth, check_scopes
from tornado.web import HTTPError

from madang_mlflow.identity import CodeRefusedError, HubUnreachableError
from madang_mlflow.settings import Settings


class Hub:
    """Questions to the Hub. Every method that waits gives the event loop back."""

    def __init__(self, settings: Settings) -> None:
        self._scope = settings.scope
        self._api_url = settings.api_url
        self._token = settings.api_token
        self._oauth: Any = HubOAuth(
            api_url=settings.api_url,
            api_token=settings.api_token,
            base_url=settings.prefix,
            hub_prefix=settings.hub_prefix,
            hub_host=settings.hub_host,
            oauth_client_id=settings.client_id,
            oauth_redirect_uri=settings.hub_host + settings.prefix + "oauth_callback",
            access_scopes={settings.scope},
        )

    async def owner(self, token: str) -> Mapping[str, Any] | None:
        """The model of a token's owner; None when the Hub does not know the token.

        Raises:
            HubUnreachableError: no answer, or an answer that says nothing about the token.
        """
        try:
            model: Mapping[str, Any] | None = await self._oauth.user_for_token(
                token, use_cache=False, sync=False
            )
        except HTTPError as error:
            raise HubUnreachableError(error.log_message or str(error)) from error
        return model

    async def people(self, group: str) -> frozenset[str]:
        """Who is in a group; nobody, if there is no such group.

        Raises:
            HubUnreachableError: no answer, or an answer that says nothing about the group.
        """
        url = f"{self._api_url}/groups/{quote(group, safe='')}"
        headers = {"Authorization": f"token {self._token}"}
        try:
            reply = await fetch(url, headers=headers, raise_for_status=False)
            if reply.status == 404:
                return frozenset()
            if reply.status != 200:
                raise HubUnreachableError(f"it answered {reply.status} about a group")
            return frozenset(map(str, (await reply.json())["users"]))
        except (ClientError, OSError, ValueError, KeyError) as error:
            raise HubUnreachableError(str(error)) from error

    def may_enter(self, scopes: frozenset[str]) -> bool:
        """Whether scopes open this service."""
        return bool(check_scopes({self._scope}, set(scopes)))

    def new_challenge(self) -> tuple[str, str, str]:
        """A PKCE verifier, its challenge and the challenge's method."""
        verifier, challenge, method = self._oauth.generate_pkce_code_challenge()
        return verifier, challenge, method

    def authorize_url(self, state: str, challenge: str, method: str) -> str:
        """Where a browser goes to sign in."""
        query = {
            "client_id": self._oauth.oauth_client_id,
            "redirect_uri": self._oauth.oauth_redirect_uri,
            "response_type": "code",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": method,
        }
        return f"{self._oauth.oauth_authorization_url}?{urlencode(query)}"

    async def token_for_code(self, code: str, verifier: str) -> str:
        """The token for an OAuth code.

        Raises:
            CodeRefusedError: the code is wrong, used or another browser's.
            HubUnreachableError: no answer.
        """
        try:
            token = await self._oauth.token_for_code(code, code_verifier=verifier, sync=False)
        except HTTPError as error:
            # HubOAuth says 502 for the Hub's own failures and 500 for the rest; a 500 that was
            # raised while another error was handled is a connection that failed.
            if error.status_code == 502 or error.__context__ is not None:
                raise HubUnreachableError(error.log_message or str(error)) from error
            raise CodeRefusedError from error
        return str(token)

    async def close(self) -> None:
        """Close the connections of this event loop."""
        await JupyterHubHTTPClient.loop_instance().close()
