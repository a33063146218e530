"""Assembly: settings → Hub, sessions, routes → the gate around MLflow's own application."""

import os
from typing import Any

from madang_mlflow import artifacts, handed, ledger, session, settings, storage
from madang_mlflow.classes import Classes
from madang_mlflow.exchange import App
from madang_mlflow.gate import Gate
from madang_mlflow.handed import Handed
from madang_mlflow.hub import Hub
from madang_mlflow.identity import Directory
from madang_mlflow.ledger import Ledger
from madang_mlflow.meter import Meter
from madang_mlflow.routes import allow_list
from madang_mlflow.saying import Saying
from madang_mlflow.sign_in import SignIn
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
    config = settings.read(os.environ, settings.machine_names())
    # the launcher has named what is wrong with it
    return build(mlflow_app, config, storage.read(os.environ, []))


def build(app: App, config: settings.Settings, place: storage.Storage) -> Gate:
    """The gate around an ASGI application."""
    hub = Hub(config)

    counts = str(config.state / ledger.NAME) if config.state else ":memory:"

    def measure(workspace: str) -> int:
        return sum(file.size for file in artifacts.files(place, workspace))

    sessions = session.Sessions(
        fernet=session.keys(list(config.cookie_secrets)),
        name=config.client_id,
        path=config.prefix,
        secure=config.secure,
        seconds=config.session_seconds,
    )
    say = Saying(config.prefix)
    return Gate(
        app,
        close=hub.close,
        directory=Directory(hub.owner, hub.may_enter, config.times),
        classes=Classes(hub.people, config.times),
        store=Store(),
        handed=Handed(config.state / handed.NAME if config.state else None),
        meter=Meter(config.limits, Ledger(counts), measure),
        sessions=sessions,
        say=say,
        sign_in=SignIn(hub, sessions, say, prefix=config.prefix, timeout=config.times.timeout),
        routes=allow_list(),
        prefix=config.prefix,
        hosts=config.hosts,
        public_url=config.public_url,
        retry_after=max(1, round(config.times.breaker)),
    )
