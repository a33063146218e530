"""From a request's options to a spawner's traits: the one way a server gets image, size and language.

Shared by the container spawner and the embedded one, and called by JupyterHub's public
``pre_spawn_hook`` before every start, so a request made by hand passes here as well.
"""

from __future__ import annotations

from typing import Any

from jupyterhub.spawner import SpawnException

from madang_hub.catalog import Choice, OptionError, Person
from madang_hub.people.roles import teams_of
from madang_hub.shelf.offering import Shelf
from madang_hub.web.i18n import gettext_for, language_of_handler


def person_of(user: Any) -> Person:
    """The catalogue's view of a JupyterHub user."""
    return Person(user.name, teams_of(group.name for group in user.groups), bool(user.admin))


class StartRefused(SpawnException):
    """A start that cannot be: ``message`` for the person, ``log_message`` for the operator alone.

    JupyterHub's pages show ``str(exception)``, which is the log's text, unless ``jupyterhub_message``
    says otherwise (JupyterHub's documentation, "Spawners": exceptions).
    """

    def __init__(self, message: str, *, reason: str, log: str = "", status_code: int = 503) -> None:
        super().__init__(message, reason=reason, log_message=log, status_code=status_code)
        self.jupyterhub_message = message


def chosen(shelf: Shelf, user: Any, options: Any, language: str) -> Choice:
    """What ``user`` may start of what ``options`` ask for.

    Raises:
        StartRefused: (400/403) with the reason in ``language``.
    """
    _ = gettext_for(language)
    if not isinstance(options, dict):
        message = _("The start request is not a set of options.")
        raise StartRefused(message, reason="options", status_code=400)
    try:
        person = person_of(user)
        return shelf.open_to(person).choose(options, person)
    except OptionError as error:
        raise StartRefused(
            _(error.message).format(**error.values_in(language)),
            reason=error.reason,
            log=str(error),
            status_code=400 if error.reason == "unknown-option" else 403,
        ) from error


def options_from_form(form: dict[str, list[str]]) -> dict[str, str]:
    """The picker's form as options; every field counts, so that an unknown one is refused.

    ``_xsrf`` and ``lang`` belong to the page, not to the start.
    """
    return {
        key: values[-1] for key, values in form.items() if key not in ("_xsrf", "lang") and values
    }


def language_of(spawner: Any) -> str:
    """The language of the person who asked for this start (default where nobody's page asked)."""
    return language_of_handler(getattr(spawner, "handler", None))
