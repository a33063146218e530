"""Which language a page speaks, and the sentences of that language.

Rules first (:func:`language_of`, the catalogues), then the two adapters: a Tornado handler
(:func:`language_of_handler`) and Jinja (:class:`Translations`). The sentences live in
``locale/<language>/LC_MESSAGES/madang.po``; message ids are the English sentences. The files are read
once, as text: nothing has to be compiled.
"""

from __future__ import annotations

import gettext as std_gettext
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import parse_qsl, urlencode

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from jinja2 import Environment, pass_context
from jinja2.ext import InternationalizationExtension
from jinja2.runtime import Context

from madang_hub.web.foreign_texts import PATTERNS

Language = Literal["ko", "en"]
LANGUAGES: tuple[Language, ...] = ("ko", "en")
LANGUAGE_NAMES: Mapping[Language, str] = {"ko": "한국어", "en": "English"}
DEFAULT_LANGUAGE: Language = "ko"
COOKIE = "madang_lang"
QUERY = "lang"
LOCALE = Path(__file__).parent / "locale"


_NOISE = re.compile(r"^\d{3} SpawnException\(reason=[^)]*\):? ?")
"""What an exception's ``str()`` puts before its sentence."""


# ---- rules ----------------------------------------------------------------------------------


def language_of(
    query: str | None,
    cookie: str | None,
    accept_language: str | None,
    default: Language = DEFAULT_LANGUAGE,
) -> Language:
    """The language to answer in: what the address asks for, else what was chosen before, else what
    the browser prefers, else ``default``.

    Args:
        query: value of ``?lang=``.
        cookie: value of the cookie ``madang_lang``.
        accept_language: the header of that name; ``ko-KR`` counts as ``ko``, ``q=0`` as "never".
        default: where none of them names a language that Madang speaks.
    """
    for wish in (query, cookie):
        for language in LANGUAGES:
            if wish == language:
                return language
    best: tuple[float, Language] | None = None
    for part in (accept_language or "").split(","):
        tag, _, parameters = part.partition(";")
        primary = tag.strip().lower().split("-")[0]
        weight = 1.0
        if found := re.fullmatch(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", parameters):
            weight = float(found[1])
        elif parameters.strip():
            continue
        for language in LANGUAGES:
            if primary == language and weight > 0 and (best is None or weight > best[0]):
                best = (weight, language)
    return best[1] if best else default


@cache
def translations(language: Language) -> std_gettext.GNUTranslations:
    """The catalogue of ``language``, read from its ``.po`` file and kept.

    Raises:
        OSError: the file is missing: the package was not installed whole.
    """
    with (LOCALE / language / "LC_MESSAGES" / "madang.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return std_gettext.GNUTranslations(compiled)


def gettext_for(language: str) -> Callable[[str], str]:
    """A function from an English sentence of the catalogues to the same in ``language``.

    A sentence that the catalogues don't know comes back as it is. Any language but ``en`` is Korean.
    """
    return translations("en" if language == "en" else "ko").gettext


def N_(message: str) -> str:  # noqa: N802 (gettext's usual name)
    """Mark ``message`` for the catalogues and return it as it is, to be translated when shown."""
    return message


def translated(text: object, language: str) -> str:
    """``text`` in ``language``, also where it is one of JupyterHub's own sentences with names in it.

    For texts that are only known at run time. What is not known comes back as it is.
    """
    gettext = gettext_for(language)
    text = _NOISE.sub("", " ".join(str(text).split()))
    if (found := gettext(text)) != text or not text:
        return found
    for pattern, message in PATTERNS:
        if match := pattern.fullmatch(text):
            return gettext(message).format(**match.groupdict())
    return text


def with_language(query: str, language: str) -> str:
    """The query string ``query`` with ``lang`` set to ``language`` and all else kept."""
    pairs = [(k, v) for k, v in parse_qsl(query, keep_blank_values=True) if k != QUERY]
    return urlencode([*pairs, (QUERY, language)])


# ---- adapters -------------------------------------------------------------------------------


def language_of_handler(handler: Any) -> Language:
    """The language of the request that ``handler`` (a Tornado handler) answers.

    ``handler`` may be ``None`` (a spawn that no page asked for): then the default. The operator's
    default is the Tornado setting ``madang_language``, see :func:`madang_hub.web.pages.install`.
    """
    request = getattr(handler, "request", None)
    settings = getattr(handler, "settings", None) or {}
    default: Language = "en" if settings.get("madang_language") == "en" else "ko"
    if request is None:
        return default
    cookies = getattr(request, "cookies", {})
    return language_of(
        _last_argument(request, QUERY),
        cookies[COOKIE].value if COOKIE in cookies else None,
        request.headers.get("Accept-Language"),
        default,
    )


def _last_argument(request: Any, name: str) -> str | None:
    values = request.query_arguments.get(name)
    return values[-1].decode("utf-8", "replace") if values else None


def _handler(context: Context) -> Any:
    """The Tornado handler that renders a page, or ``None``.

    JupyterHub gives its templates no request. It does give them ``static_url``, a bound method of the
    handler, and that is documented for templates. Where a template is rendered without one, pages
    fall back to the default language.
    """
    return getattr(context.get("static_url"), "__self__", None)


def _context_language(context: Context) -> Language:
    forced = context.get("madang_page_language")
    if forced in LANGUAGES:
        return cast(Language, forced)
    return language_of_handler(_handler(context))


@pass_context
def _gettext(context: Context, message: str) -> str:
    return translations(_context_language(context)).gettext(message)


@pass_context
def _ngettext(context: Context, singular: str, plural: str, number: int) -> str:
    return translations(_context_language(context)).ngettext(singular, plural, number)


@pass_context
def _language(context: Context) -> Language:
    """Template function ``language()``: "ko" or "en"."""
    return _context_language(context)


@pass_context
def _translated(context: Context, text: object) -> str:
    """Template function ``translated(text)``: a run-time text in the page's language."""
    return translated(text, _context_language(context))


@pass_context
def _argument(context: Context, name: str) -> str:
    """Template function ``argument(name)``: a query argument of the request, or ""."""
    request = getattr(_handler(context), "request", None)
    return (_last_argument(request, name) or "") if request is not None else ""


@pass_context
def _language_links(context: Context) -> list[dict[str, Any]]:
    """Template function ``language_links()``: name, code, address and "is it this one" of each."""
    request = getattr(_handler(context), "request", None)
    now = _context_language(context)
    query = request.query if request is not None else ""
    return [
        {
            "code": code,
            "name": LANGUAGE_NAMES[code],
            "href": "?" + with_language(query, code),
            "current": code == now,
        }
        for code in LANGUAGES
    ]


def timestamp(moment: datetime | None) -> str:
    """``moment`` (UTC without a zone, as JupyterHub stores it) for the ``datetime`` of a ``<time>``."""
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z" if moment else ""


class Translations(InternationalizationExtension):
    """Jinja's i18n extension with Madang's catalogues in it.

    ``JupyterHub.jinja_environment_options`` is the public way to an extension but not to the call
    that installs gettext functions, so this one installs them itself. The functions look at the
    context at each call: one environment serves both languages.
    """

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        # Jinja hands the context to functions marked so; its types don't say it
        install: Callable[..., None] = self._install_callables
        install(_gettext, _ngettext, newstyle=True)
        environment.globals.update(
            language=_language,
            translated=_translated,
            argument=_argument,
            language_links=_language_links,
        )
        environment.filters["timestamp"] = timestamp
