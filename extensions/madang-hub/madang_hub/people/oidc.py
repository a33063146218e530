"""Any OpenID Connect provider, found by its issuer (so Google as well); ``provider.py`` has what all share."""

from __future__ import annotations

import time
from typing import Any

from oauthenticator.generic import GenericOAuthenticator

from madang_hub.people import discovery, id_tokens
from madang_hub.people.provider import DESCRIPTION_SECONDS, ProviderAuthenticator
from madang_hub.people.standing import answered


class OidcAuthenticator(ProviderAuthenticator, GenericOAuthenticator):
    """An OpenID Connect provider, found by its issuer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._looked = float("-inf")

    async def look(self, not_older: float = DESCRIPTION_SECONDS) -> None:
        if time.monotonic() < self._looked + not_older:
            return
        reply = await self._ask(discovery.well_known(self.issuer))
        if answered(reply.status) != "yes":
            raise discovery.DiscoveryError(
                f"{discovery.well_known(self.issuer)} has status {reply.status}: is MADANG_OIDC_ISSUER "
                "right?"
            )
        found = discovery.read_endpoints(reply.body, self.issuer)
        self.authorize_url, self.token_url = found.authorize, found.token
        self.userdata_url, self.end_session_url = found.user_info, found.end_session
        self.basic_auth = found.basic_auth
        self._looked = time.monotonic()

    def _note_identity(
        self, state: dict[str, Any], tokens: dict[str, Any], nonce: str | None
    ) -> None:
        if nonce is None and not tokens.get("id_token"):
            return  # a refresh need not bring one
        claims = id_tokens.payload(tokens.get("id_token"))
        id_tokens.check(
            claims,
            issuer=self.issuer,
            client_id=self.client_id,
            now=time.time(),
            expected_nonce=nonce,
        )
        if state.setdefault("subject", claims.get("sub")) != claims.get("sub"):
            raise id_tokens.IdTokenError("the ID token is somebody else's")
        state["id_token"], state["id_claims"] = tokens["id_token"], claims

    async def _claims(self, state: dict[str, Any]) -> dict[str, Any] | None:
        reply = await self._ask(self.userdata_url, token=state)
        if answered(reply.status) == "no":
            return None
        said = reply.table
        if said.get("sub") != state["subject"]:
            # OpenID Connect Core 5.3.2
            raise id_tokens.IdTokenError("the provider's answer is about somebody else")
        # some providers put groups into the ID token only; what the answer has once held, it alone says
        told = {*state.get("user_info_keys", ()), *said}
        state["user_info_keys"] = sorted(told)
        kept = {k: v for k, v in state.get("id_claims", {}).items() if k not in told}
        return {**kept, **said}
