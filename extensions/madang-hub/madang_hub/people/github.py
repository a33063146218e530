"""Sign-in with GitHub: OAuth, with its API in place of claims."""

from __future__ import annotations

from typing import Any

from oauthenticator.github import GitHubOAuthenticator
from tornado.httputil import url_concat

from madang_hub.people.claims import ClaimError
from madang_hub.people.provider import ProviderAuthenticator
from madang_hub.people.standing import ProviderAwayError, answered


class GitHubAuthenticator(ProviderAuthenticator, GitHubOAuthenticator):
    """GitHub, or a GitHub Enterprise server.

    Groups are ``organisation`` and ``organisation/team``.
    """

    async def _claims(self, state: dict[str, Any]) -> dict[str, Any] | None:
        reply = await self._ask(self.userdata_url, token=state)
        if answered(reply.status) == "no":
            return None
        said = reply.table
        identity = said.get("id")
        if isinstance(identity, bool) or not isinstance(identity, int):
            raise ClaimError("GitHub's answer has no id")
        return {
            "sub": str(identity),
            "preferred_username": said.get("login"),
            "name": said.get("name"),
            **await self._address(state),
            "groups": await self._groups(state),
        }

    async def _address(self, state: dict[str, Any]) -> dict[str, Any]:
        for entry in await self._list("/user/emails", state):
            if entry.get("primary") is True:
                return {"email": entry.get("email"), "email_verified": entry.get("verified")}
        return {}

    async def _groups(self, state: dict[str, Any]) -> list[str]:
        found = []
        for entry in await self._list("/user/orgs", state):
            found.append(str(entry.get("login")))
        for entry in await self._list("/user/teams", state):
            organisation = entry.get("organization")
            if isinstance(organisation, dict):
                found.append(f"{organisation.get('login')}/{entry.get('slug')}")
        return found

    async def _list(self, path: str, state: dict[str, Any]) -> list[dict[str, Any]]:
        """All pages of a list; GitHub gives a hundred entries at a time."""
        found: list[dict[str, Any]] = []
        for number in range(1, 11):
            reply = await self._ask(
                url_concat(f"{self.github_api}{path}", {"per_page": "100", "page": str(number)}),
                token=state,
            )
            page = reply.body if answered(reply.status) == "yes" else []
            if not isinstance(page, list):
                raise ProviderAwayError(f"{path}: the answer is no list")
            found += [entry for entry in page if isinstance(entry, dict)]
            if len(page) < 100:
                break
        return found
