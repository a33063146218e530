"""Telling JupyterHub about our pages, and the picker that it shows before a start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment as Jinja
from jinja2 import FileSystemLoader, StrictUndefined

from madang_hub.catalog import Catalog, Choice, Offer, Size
from madang_hub.options import person_of
from madang_hub.places import PEOPLE_PREFIX, TRACKING_SERVICE
from madang_hub.settings import Settings
from madang_hub.shelf.offering import Shelf
from madang_hub.tracking import workspace_of
from madang_hub.web.i18n import Translations, language_of_handler
from madang_hub.web.static_files import STATIC, MadangStaticFiles

TEMPLATES = Path(__file__).parent / "templates"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        # spawners' html_message and the admin page set style attributes
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""For the Hub's own pages (user servers and services send their own): no script but our files."""


def install(c: Any, settings: Settings, shelf: Shelf) -> None:
    """Set the traits of ``c`` (traitlets' config object) that make the Hub show our pages.

    Only public traits: template paths and variables, Jinja's options, the logo and Tornado's settings.
    What others put into the same dictionaries stays.
    """
    c.JupyterHub.template_paths = [str(TEMPLATES)]
    c.JupyterHub.logo_file = str(STATIC / "logo.svg")
    _update(c, "jinja_environment_options", {"extensions": [Translations]})
    # traitlets copies values of dictionaries deeply, but functions stay what they are
    _update(
        c,
        "template_vars",
        {"chosen": lambda user: lambda options: chosen(shelf.everything(), options)},
    )
    _update(c, "template_vars", {"picker": lambda user: lambda spawner: picker(shelf, spawner)})
    _update(c, "template_vars", {"tracking_service": TRACKING_SERVICE})
    # MLflow's pages open at the workspace that the link names
    _update(c, "template_vars", {"workspace_of": lambda user: workspace_of})
    _update(
        c,
        "tornado_settings",
        {
            "static_handler_class": MadangStaticFiles,
            "madang_language": settings.language,
        },
    )
    headers = dict(c.JupyterHub.tornado_settings.get("headers", {}))
    headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("X-Content-Type-Options", "nosniff")
    c.JupyterHub.tornado_settings["headers"] = headers


def _update(c: Any, trait: str, values: dict[str, Any]) -> None:
    present = c.JupyterHub.get(trait, {})
    c.JupyterHub[trait] = {**present, **values}


def chosen(catalog: Catalog, options: Any) -> Choice | None:
    """What a server was started with, for showing it; None where ``options`` don't say or are stale."""
    if not isinstance(options, Mapping):
        return None
    environment = catalog.environments.get(str(options.get("environment")))
    size = catalog.sizes.get(str(options.get("size")))
    return Choice(environment, size) if environment and size else None


@dataclass(frozen=True)
class Choices:
    """What the picker shows: the offers to one person, their sizes in the table's order, the marked pair.

    ``contents_url`` and an environment's name are the address of what is in it.
    """

    offers: list[Offer]
    sizes: list[Size]
    release: str
    environment: str
    size: str
    contents_url: str = PEOPLE_PREFIX + "environment/"


def picker(shelf: Shelf, spawner: Any) -> Choices:
    """What the user of ``spawner`` may start; marked is what was used last, else the default."""
    person = person_of(spawner.user)
    catalog = shelf.open_to(person)
    offers = catalog.offers(person)
    last = chosen(catalog, getattr(spawner, "user_options", None))
    wishes = [(last.environment.name, last.size.name)] if last else []
    pairs = [(o.environment.name, s.name) for o in offers for s in o.sizes]
    marked = next((pair for pair in [*wishes, catalog.default, *pairs] if pair in pairs), ("", ""))
    sizes = [s for s in catalog.sizes.values() if any(s in o.sizes for o in offers)]
    return Choices(offers, sizes, catalog.release, *marked)


def options_form(shelf: Shelf) -> Callable[[Any], str]:
    """The value of ``Spawner.options_form``: a function from a spawner to the picker's HTML.

    It offers what the spawner's user may start and nothing else, marks what was used last, and speaks
    the language of the request that the spawner's ``handler`` answers. Fields: ``environment``, ``size``.

    JupyterHub shows ``spawn.html`` only where this gives something. After a refused start the handler is
    gone and with it the language, so ``spawn.html`` asks :func:`picker` itself, in the page's language.
    """
    jinja = Jinja(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=[Translations],
    )

    def form(spawner: Any) -> str:
        return jinja.get_template("picker.html").render(
            madang_page_language=language_of_handler(getattr(spawner, "handler", None)),
            choices=picker(shelf, spawner),
        )

    return form
