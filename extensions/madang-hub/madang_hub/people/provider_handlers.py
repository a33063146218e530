"""The three addresses of a sign-in with a provider: to it, back from it, and out of both.

OAuthenticator's handlers (its documented place to change them), and the sentences for what can go wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oauthenticator.oauth2 import (
    STATE_COOKIE_NAME,
    OAuthCallbackHandler,
    OAuthLoginHandler,
    OAuthLogoutHandler,
)
from tornado import web

from madang_hub.people import id_tokens
from madang_hub.people.authenticator import SignInRefused
from madang_hub.web.i18n import gettext_for, language_of_handler

ATTEMPT_DAYS = 1 / 24
"""How long a begun sign-in may take: an hour."""


class ProviderSignInRefused(SignInRefused):
    """The same as :class:`SignInRefused`, on a page of its own: there is no form to show it above."""

    at_provider = True


class SignInHandler(OAuthLoginHandler):
    """To the provider, unless it does not answer."""

    async def get(self) -> None:
        # asked each time, so that nobody is sent to where nobody answers
        await self.authenticator.ready(self, not_older=0)
        super().get()

    def authorize_redirect(self, *args: Any, extra_params: dict[str, str], **kwargs: Any) -> None:
        extra_params["nonce"] = id_tokens.nonce(extra_params["code_challenge"])
        super().authorize_redirect(*args, extra_params=extra_params, **kwargs)


class CallbackHandler(OAuthCallbackHandler):
    """Back from the provider; the sentences are ours, for what stands in the address may be anybody's."""

    def check_arguments(self) -> None:
        _ = gettext_for(language_of_handler(self))
        state = self.get_argument("state", "")
        cookie = self.get_secure_cookie(STATE_COOKIE_NAME, max_age_days=ATTEMPT_DAYS)
        if not state or not cookie or not self._is_mine():
            self.log.warning("A sign-in came back that this browser did not begin, or too late")
            raise ProviderSignInRefused(
                _(
                    "This sign-in was begun in another browser or too long ago. Please sign in once more."
                ),
                status_code=400,
            )
        if error := self.get_argument("error", ""):
            self.log.warning("The provider refused a sign-in: %r", error[:60])
            raise ProviderSignInRefused(
                _("Your institution did not let you in. Ask it about your account.")
            )
        if not self.get_argument("code", ""):
            raise ProviderSignInRefused(unfinished(_), status_code=400)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Without the query of the address, which Tornado would log: the code in it may still be good."""
        if isinstance(value, web.HTTPError):
            self.log.warning("%d %s: %s", value.status_code, self.request.path, value.get_message())
        else:
            super().log_exception(typ, value, tb)

    def _is_mine(self) -> bool:
        try:
            self.check_state()
        except (web.HTTPError, ValueError, AttributeError):
            return False  # another state, or text that is none
        return True


class LeaveHandler(OAuthLogoutHandler):
    """Sign out here, then at the provider where it has a place for that."""

    leave_by = ""
    stays_at = ""

    async def handle_logout(self) -> None:
        await super().handle_logout()
        state = await self.current_user.get_auth_state() if self.current_user else None
        if state:
            self.leave_by = await self.authenticator.leave(self, self.current_user, state)
            self.stays_at = self.authenticator.login_service

    async def render_logout_page(self) -> None:
        if self.leave_by:
            self.redirect(self.leave_by)
            return
        self.finish(await self.render_template("logout.html", stays_at=self.stays_at))


def unfinished(_: Callable[[str], str]) -> str:
    """The sentence for an answer that is none."""
    return _("Your institution's answer could not be used. Please sign in once more.")


def provider_away(handler: Any) -> SignInRefused:
    """The page for a provider that does not answer, to be raised."""
    _ = gettext_for(language_of_handler(handler))
    return ProviderSignInRefused(
        _(
            "Your institution's sign-in does not answer now, so nobody can sign in. Running servers and open "
            "notebooks go on. Try again in a few minutes; if it stays, tell the operator."
        ),
        status_code=503,
    )
