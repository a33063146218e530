"""Sign-in: what the directory says about a person becomes groups and roles; and local accounts.

The rules are in ``roles.py`` and ``passwords.py``, the tables in ``directory.py`` and ``accounts.py``; this
only joins them to JupyterHub. No handler of its own: the Hub's login form posts ``username``, ``password``
and, for a one-time password, ``new_password`` and ``new_password_again``, and gets its sentences by
exceptions.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from jupyterhub.auth import Authenticator
from sqlalchemy.exc import SQLAlchemyError
from tornado import web
from traitlets import Integer, List, Unicode

from madang_hub.people.accounts import DASHBOARD_ACCOUNT, Account, Accounts
from madang_hub.people.audit import Audit
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, DirectoryError, Person
from madang_hub.people.passwords import Guesses, Spray, sender, weakness
from madang_hub.people.roles import mentored, rights
from madang_hub.permissions import account_role, mentor_role, roles_of
from madang_hub.web.i18n import gettext_for, language_of_handler

T = TypeVar("T")


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


def no_access(handler: Any) -> bool:
    """False, as ``refresh_user`` says it.

    JupyterHub 6.1.1 then reads ``_token_authenticated`` of the request, which it has set only where a token
    came. Without a token that ended in a traceback in its log for each page of an ended session (which was
    refused all the same), and in a 500 where such a person's server was to be started.
    """
    if handler is not None and not hasattr(handler, "_token_authenticated"):
        handler._token_authenticated = False
    return False


class DirectoryAuthenticator(Authenticator):
    """The directory decides who has access, and the groups and roles of everybody, however they sign in.

    For subclasses, in front of the class that knows how people prove who they are. They call
    :meth:`admitted` at the end of ``authenticate`` (or ``update_auth_model``) and, where the provider is
    asked again, :meth:`refreshed` in ``refresh_user``.

    A database that does not answer raises: JupyterHub then forgets nothing (no cookie is cleared, no role
    taken), shows the sign-in page, which says what is wrong, and asks again at the next request.
    """

    database_url = Unicode(
        help="SQLAlchemy URL of the database with Madang's tables. Default: none; required.",
    ).tag(config=True)

    timezone = Unicode(
        "Asia/Seoul",
        help="Time zone in which an account's last day ends. Default: Asia/Seoul.",
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = Database(self.database_url)
        self.directory = Directory(self.database)
        self.audit = Audit(self.database)
        # apart from the threads that check passwords: signed-in people don't wait for those
        self._readers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="directory")

    def close(self) -> None:
        """Let go of the database (for tests; the Hub keeps it to its end)."""
        self._readers.shutdown()
        self.database.close()

    async def in_thread(self, call: Callable[..., T], *args: Any) -> T:
        """The result of ``call``, which waits for the database, without stopping the Hub."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, call, *args)

    def known(self, name: str) -> Person | None:
        """The person called ``name``; blocks. Subclasses may make one that ought to be there."""
        return self.directory.person(name)

    def model_of(self, name: str) -> dict[str, Any] | None:
        """What ``name`` may do now as parts of an auth model, None without access; blocks."""
        if name == DASHBOARD_ACCOUNT:
            # nobody signs in as what apps belong to, also where a person had this name before
            return None
        person = self.known(name)
        if person is None:
            return None
        found = rights(
            person,
            self.directory.memberships(person=name),
            datetime.now(ZoneInfo(self.timezone)).date(),
            admins=self.admin_users,
        )
        if found is None:
            return None
        shown = {"name": person.display_name, "display_name": person.display_name}
        return {
            "name": name,
            "groups": list(found.groups),
            "roles": roles_of(found),
            "admin": found.admin,
            # how the Hub's pages and JupyterLab name this person (JupyterHub 6)
            "user_info": shown if person.display_name else {},
        }

    async def refreshed(self, name: str) -> dict[str, Any] | None:
        """``name``, ``groups``, ``roles``, ``admin`` and ``user_info`` of an auth model, or None without
        access."""
        return await self.in_thread(self.model_of, name)

    async def admitted(self, handler: Any, name: str) -> dict[str, Any]:
        """The same at a sign-in that was right so far.

        Raises:
            SignInRefused: the access of this person has ended, or there never was one.
        """
        found = await self.refreshed(name)
        if found is None:
            self.log.warning("%s has no access (any more)", name)
            _ = gettext_for(language_of_handler(handler))
            raise SignInRefused(
                _("Your access has ended. If you still need it, ask your mentor or the operator.")
            )
        return found

    async def refresh_user(self, user: Any, handler: Any = None) -> dict[str, Any] | bool:
        """Read the directory again: new groups and roles, or False, which ends sessions and tokens.

        The account of running apps is no person: the Hub asks about it before each of their starts.
        """
        if user.name == DASHBOARD_ACCOUNT:
            return True
        return await self.refreshed(user.name) or no_access(handler)

    async def load_managed_roles(self) -> list[dict[str, Any]]:
        """The mentors' roles that exist; JupyterHub drops others at its start, with a class's end.

        And the role by which the account of running apps is there: where an authenticator manages roles,
        JupyterHub takes people in roles from it alone.
        """
        teams = mentored(await self.in_thread(self.directory.memberships))
        return [account_role(), *(mentor_role(team) for team in teams)]


class LocalAuthenticator(DirectoryAuthenticator):
    """Names and passwords kept by Madang itself."""

    one_time_days = Integer(
        14,
        min=1,
        help="Days that a one-time password works. Default: 14.",
    ).tag(config=True)

    trusted_proxies = List(
        Unicode(),
        help="Addresses or networks of your own reverse proxies in front of Madang's port, whose word about "
        "a visitor's address counts. Default: none.",
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.accounts = Accounts(self.database)
        self._trusted = [ip_network(n) for n in self.trusted_proxies]
        self._guesses: dict[str, Guesses] = {}
        self._sprays: dict[str, Spray] = {}
        # where each name was last right; there it need not wait for the neighbours' wrong passwords
        self._came_from: dict[str, str] = {}
        self._tidied = 0.0
        slots = max(2, os.cpu_count() or 2)
        self._checkers = ThreadPoolExecutor(max_workers=slots, thread_name_prefix="password")
        self._checking = asyncio.Semaphore(slots)

    def close(self) -> None:
        self._checkers.shutdown()
        super().close()

    def known(self, name: str) -> Person | None:
        """The person; an account that is older than the directory gets its person now."""
        found = super().known(name)
        if found is None and self.accounts.exists(name):
            try:
                self.directory.save_people([Person(name)])
            except DirectoryError:
                self.log.info("%s was added to the directory at the same time", name)
            found = super().known(name)
        return found

    async def authenticate(self, handler: Any, data: dict[str, str]) -> dict[str, Any] | None:
        """The person's auth model when the password is right, None when not.

        Raises:
            NewPasswordNeeded: a one-time password was right, or its replacement is not good enough.
            SignInRefused: too many wrong passwords (in a row for this name, or lately from this address),
                a one-time password that is too old, or access that has ended.
        """
        _ = gettext_for(language_of_handler(handler))
        name, password = data.get("username", ""), data.get("password", "")
        account = await self._checked(name, password, self._address(handler), _)
        if account is None:
            self.log.warning("Wrong name or password for %r", name[:60])
            return None
        model = await self.admitted(handler, account.name)
        if account.one_time:
            if datetime.now(UTC) > account.changed + timedelta(days=self.one_time_days):
                raise SignInRefused(
                    _(
                        "Your one-time password is right, but more than {days} days old, so it no longer "
                        "works. Ask the operator for a new one."
                    ).format(days=self.one_time_days)
                )
            await self._replace(account.name, password, data, _)
        return model

    async def _checked(self, name: str, password: str, address: str, _: Any) -> Account | None:
        """The account if name and password are right; wrong ones are counted for name and address."""
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
            async with self._checking:
                # only as many tries as are being checked can be ahead of this count
                self._not_too_many_from(address, name, _)
                account = await asyncio.get_running_loop().run_in_executor(
                    self._checkers, self.accounts.check, name, password
                )
        except (SQLAlchemyError, SignInRefused):
            self._guesses[name] = guesses  # nobody looked at the password
            raise
        if account is None:
            now = time.monotonic()
            self._sprays[address] = self._sprays.get(address, Spray()).failed(now)
            return None
        self._guesses.pop(name, None)
        self._came_from[name] = address
        return account

    def _not_too_many_from(self, address: str, name: str, _: Any) -> None:
        if self._came_from.get(name) == address:
            return
        wait = self._sprays.get(address, Spray()).wait(time.monotonic())
        if wait:
            self.log.warning("Too many wrong passwords from %s", address)
            raise SignInRefused(
                _(
                    "Too many wrong passwords from your network. Try again in {seconds} seconds."
                ).format(seconds=round(wait) + 1),
                status_code=429,
            )

    def _address(self, handler: Any) -> str:
        """Where this request comes from. Not the ``remote_ip`` that Tornado says: that believes the
        visitor's own ``X-Real-Ip``."""
        if handler is None:
            return ""
        request = handler.request
        return sender(request.headers.get("X-Forwarded-For", ""), request.remote_ip, self._trusted)

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
        await asyncio.get_running_loop().run_in_executor(
            self._checkers, self.accounts.change, name, new
        )
        await self.in_thread(
            self.audit.write, datetime.now(UTC), name, "account.password-chosen", name
        )
        self.log.info("%s replaced the one-time password", name)

    def _forget_old(self, now: float) -> None:
        """Keep the counts small: what was quiet for an hour starts anew."""
        if now < self._tidied + 60:
            return
        self._tidied = now
        self._guesses = {n: g for n, g in self._guesses.items() if g.last > now - 3600}
        self._sprays = {a: s for a, s in self._sprays.items() if s.last > now - 3600}
