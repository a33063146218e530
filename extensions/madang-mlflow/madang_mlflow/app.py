"""Assembly: settings → Hub, sessions, routes → the gate around MLflow's own application."""

import os
from typing import Any

from madang_mlflow import session, settings
from madang_mlflow.classes import Classes
from madang_mlflow.exchange import App
from madang_mlflow.gate import Gate
from madang_mlflow.hub import Hub
from madang_mlflow.identity import Directory
from madang_mlflow.routes import allow_list
from madang_mlflow.store import Store


def create_app() -> Gate:
    """The application that ``mlflow server --app-name madang`` serves.

    Raises:
        SettingsError: a setting is missing, malformed or unsafe; nothing is served then.
    """
    problems = settings.unsafe(os.environ)
    if problems:
        raise settings.SettingsError(problems)
    # imported late: it reads the environment when it is imported
    from mlflow.server import fastapi_app

    mlflow_app: Any = fastapi_app.app
    return build(mlflow_app, settings.read(os.environ, settings.machine_names()))


def build(app: App, config: settings.Settings) -> Gate:
    """The gate around an ASGI application."""
    hub = Hub(config)
    return Gate(
        app,
        hub=hub,
        directory=Directory(hub.owner, hub.may_enter, config.times),
        classes=Classes(hub.people, config.times),
        store=Store(),
        sessions=session.Sessions(
            fernet=session.keys(list(config.cookie_secrets)),
            name=config.client_id,
            path=config.prefix,
            secure=config.secure,
            seconds=config.session_seconds,
        ),
        routes=allow_list(),
        prefix=config.prefix,
        hosts=config.hosts,
        public_url=config.public_url,
        hub_timeout=config.times.timeout,
        retry_after=max(1, round(config.times.breaker)),
    )
