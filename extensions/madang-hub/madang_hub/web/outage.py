"""The sign-in page while the database is away.

JupyterHub takes everybody for a stranger while it cannot look up who they are, so what people meet then is
the sign-in page. It says what is wrong, with status 503, instead of letting them try their passwords.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import sqlalchemy as sa
from jinja2 import pass_context
from jinja2.runtime import Context
from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger("jupyterhub.madang")


def database_away(url: str) -> Callable[[Context], bool]:
    """Template function: whether the database at ``url`` (SQLAlchemy) does not answer now."""
    engine = sa.create_engine(url, pool_pre_ping=True, pool_size=1, pool_timeout=5)

    @pass_context
    def away(context: Context) -> bool:
        try:
            with engine.connect() as connection:
                connection.execute(sa.text("SELECT 1"))
        except SQLAlchemyError as error:
            # the handler that renders the page, as in i18n.py
            handler = getattr(context.get("static_url"), "__self__", None)
            if handler is not None:
                handler.set_status(503)
            log.error("The database does not answer: %s", error.__class__.__name__)
            return True
        return False

    return away
