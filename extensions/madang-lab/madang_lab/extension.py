"""What is added to a user server: routes below ``/madang``, the report of what runs, news of accelerators."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tornado.ioloop import PeriodicCallback

from madang_lab.handlers import routes
from madang_lab.layer import layer_of
from madang_lab.learn.handlers import routes as learn_routes
from madang_lab.learn.manifest import Reader
from madang_lab.learn.shelf import Shelf
from madang_lab.packages import Packages
from madang_lab.publish.handlers import Publishing
from madang_lab.publish.handlers import routes as publish_routes
from madang_lab.publish.service import dashboards_of


def people_of(environ: Mapping[str, str]) -> Any:
    """The people service as this server reaches it; None outside Madang."""
    url, token = environ.get("MADANG_PEOPLE_URL", ""), environ.get("JUPYTERHUB_API_TOKEN", "")
    if not url or not token:
        return None
    from madang_lab.people import People

    return People(url.rstrip("/"), token, environ.get("JUPYTERHUB_SERVER_NAME", ""))


def lending_of(environ: Mapping[str, str]) -> Any:
    """The broker of accelerators as this server reaches it; None where there is none."""
    url, token = environ.get("MADANG_ACCELERATORS_URL", ""), environ.get("JUPYTERHUB_API_TOKEN", "")
    if not url or not token:
        return None
    from madang_lab.lending import Lending

    return Lending(url.rstrip("/"), token, environ.get("MADANG_LEASE"))


def tracking_of(environ: Mapping[str, str]) -> Any:
    """The tracking server as this server's owner uses it; None where there is none."""
    if not environ.get("MLFLOW_TRACKING_URI") or not environ.get("MLFLOW_TRACKING_TOKEN"):
        return None
    from madang_lab.tracking import Tracking, place_of

    place = place_of(environ)
    return None if place is None else Tracking(place)


def shelf_of(environ: Mapping[str, str], log: logging.Logger) -> Shelf:
    """The lessons of this environment, and the home that their copies are in."""
    folder = environ.get("MADANG_LESSONS", "")
    home = Path(environ.get("HOME") or Path.home()).resolve()
    return Shelf(Reader(Path(folder) if folder else None, log), home)


def load(serverapp: Any) -> None:
    """Jupyter Server's hook; the event loop is there but does not run yet."""
    from madang_lab.warm.provisioner import configured

    people = people_of(os.environ)
    serverapp.web_app.settings["madang_people"] = people
    lending = lending_of(os.environ)
    serverapp.web_app.settings["madang_lending"] = lending
    # the page sees by it that it is another run of the server that answers
    serverapp.web_app.settings["madang_run"] = secrets.token_hex(8)
    serverapp.web_app.settings["madang_tracking"] = tracking_of(os.environ)
    serverapp.web_app.settings["madang_packages"] = Packages(layer_of(os.environ))
    configured(serverapp.config)
    serverapp.web_app.settings["madang_dashboards"] = dashboards_of(os.environ)
    serverapp.web_app.settings["madang_publishing"] = Publishing()
    # for the page (`src/outputs.ts`): what kernels call the tracking server
    page = serverapp.web_app.settings.setdefault("page_config_data", {})
    page["madangTracking"] = os.environ.get("MLFLOW_TRACKING_URI", "")
    shelf = serverapp.web_app.settings["madang_shelf"] = shelf_of(os.environ, serverapp.log)
    # says at the start what is wrong with the manifest, not when somebody looks
    shelf.reader.manifest()
    serverapp.web_app.add_handlers(".*$", routes(serverapp.base_url))
    serverapp.web_app.add_handlers(".*$", learn_routes(serverapp.base_url))
    serverapp.web_app.add_handlers(".*$", publish_routes(serverapp.base_url))
    if people is not None:
        from madang_lab.busy import REPORT_EVERY, Reporter

        reporter = Reporter(serverapp, people)
        PeriodicCallback(reporter.report, REPORT_EVERY * 1000, jitter=0.2).start()
    if lending is not None:
        from madang_lab.herald import EVERY, Herald

        herald = Herald(serverapp.event_logger, lending)
        PeriodicCallback(herald.look, EVERY * 1000, jitter=0.2).start()
