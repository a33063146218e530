"""Sign-in with a local account.

The rules are in ``passwords.py``, the table in ``accounts.py``; this only joins them to JupyterHub. No
handler of its own: the Hub's login form posts ``username``, ``password`` and, for a one-time password,
``new_password`` and ``new_password_again``, and gets its sentences by exceptions.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from jupyterhub.auth import Authenticator
from sqlalchemy.exc import SQLAlchemyError
from tornado import web
from traitlets import Unicode

from madang_hub.people.accounts import Accounts
from madang_hub.people.passwords import Guesses, weakness
from madang_hub.web.i18n import gettext_for, language_of_handler


class SignInRefused(web.HTTPError):
    """Why a sign-in did not work, in the person's language; shown above the form."""

    needs_new_password = False

    def __init__(self, message: str, status_code: int = 403) -> None:
        super().__init__(status_code)
        self.jupyterhub_message = message

    def get_message(self) -> str:
        return self.jupyterhub_message


class NewPasswordNeeded(SignInRefused):
    """The one-time password was right; the form asks for the new one."""

    needs_new_password = True


class LocalAuthenticator(Authenticator):
    """Names and passwords kept by Madang itself."""

    database_url = Unicode(
        help="SQLAlchemy URL of the database with the table of accounts. Default: none; required.",
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._accounts = Accounts(self.database_url)
        self._guesses: dict[str, Guesses] = {}

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
        """The user's name when the password is right, None when not.

        Raises:
            NewPasswordNeeded: a one-time password was right, or its replacement is not good enough.
            SignInRefused: too many wrong passwords in a row for this name.
        """
        _ = gettext_for(language_of_handler(handler))
        name, password = data.get("username", ""), data.get("password", "")
        now = time.monotonic()
        guesses = self._guesses.get(name, Guesses())
        if wait := guesses.wait(now):
            raise SignInRefused(
                _("Too many wrong passwords. Try again in {seconds} seconds.").format(
                    seconds=round(wait) + 1
                ),
                status_code=429,
            )
        # counted before the slow check, so that guesses sent side by side count as well
        self._guesses[name] = guesses.failed(now)
        self._forget_old(now)
        try:
            account = await asyncio.to_thread(self._accounts.check, name, password)
        except SQLAlchemyError:
            self._guesses[name] = guesses  # nobody looked at the password
            raise
        if account is None:
            self.log.warning("Wrong name or password for %r", name[:60])
            return None
        self._guesses.pop(name, None)
        if account.one_time:
            await self._replace(account.name, password, data, _)
        return account.name

    async def _replace(self, name: str, password: str, data: dict[str, str], _: Any) -> None:
        new, again = data.get("new_password", ""), data.get("new_password_again", "")
        if not new:
            raise NewPasswordNeeded(
                _("Your one-time password is right. Now choose your own password.")
            )
        if new != again:
            raise NewPasswordNeeded(_("The two new passwords differ. Type the same one twice."))
        if new == password:
            raise NewPasswordNeeded(_("Choose a password other than the one-time password."))
        if fault := weakness(new, name):
            raise NewPasswordNeeded(_(fault))
        await asyncio.to_thread(self._accounts.change, name, new)
        self.log.info("%s replaced the one-time password", name)

    def _forget_old(self, now: float) -> None:
        """Keep the table of guesses small: a name whose wait is over starts anew after a while."""
        if len(self._guesses) > 1000:
            self._guesses = {n: g for n, g in self._guesses.items() if g.last > now - 3600}
