"""What the handlers of one service process share: stores, rules' adapters, settings, templates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Environment as Jinja
from jinja2 import FileSystemLoader, StrictUndefined

from madang_hub.catalog import Catalog
from madang_hub.people.announcements import Announcements
from madang_hub.people.audit import Audit
from madang_hub.people.classes import Classes
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory
from madang_hub.people.failures import Failures
from madang_hub.people.intake import Intake
from madang_hub.people.lookins import LookIns
from madang_hub.people.servers import Servers
from madang_hub.people.service.hub import Hub
from madang_hub.people.service.tracking import Tracking
from madang_hub.people.service.visits import Visits
from madang_hub.places import Mode, Places
from madang_hub.settings import Settings
from madang_hub.shelf import carried_site
from madang_hub.shelf.locking import Locker
from madang_hub.shelf.offering import Shelf, shelf_of
from madang_hub.shelf.proposal_store import Proposals
from madang_hub.web.i18n import Translations
from madang_hub.web.pages import TEMPLATES as FRAME

TEMPLATES = Path(__file__).parent / "templates"


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Parts:
    """One per process, in Tornado's settings as ``parts``."""

    settings: Settings
    shelf: Shelf
    database: Database
    directory: Directory
    audit: Audit
    lookins: LookIns
    announcements: Announcements
    failures: Failures
    hub: Hub
    tracking: Tracking
    visits: Visits
    templates: Jinja
    zone: ZoneInfo
    classes: Classes
    servers: Servers
    intake: Intake
    environments: Path
    proposals: Proposals
    locker: Locker
    mode: Mode
    now: Callable[[], datetime] = utc_now

    @property
    def catalog(self) -> Catalog:
        """What can be started for a class: no earlier versions, which are each person's own."""
        return self.shelf.present()


def assemble(places: Places, catalog: Catalog, database: Database, hub: Hub) -> Parts:
    """The parts on ``database`` and ``hub``."""
    settings = places.settings
    directory, audit, lookins = Directory(database), Audit(database), LookIns(database)
    return Parts(
        settings=settings,
        shelf=shelf_of(places, catalog, database),
        database=database,
        directory=directory,
        audit=audit,
        lookins=lookins,
        announcements=Announcements(database),
        failures=Failures(database),
        hub=hub,
        tracking=Tracking(places.tracking_url, f"127.0.0.1:{settings.port}"),
        visits=Visits(lookins, directory, audit, hub),
        templates=templates(),
        zone=ZoneInfo(settings.timezone),
        classes=Classes(database, ZoneInfo(settings.timezone)),
        servers=Servers(database, settings),
        intake=Intake(database, places),
        environments=places.environments,
        proposals=Proposals(database),
        locker=Locker(catalog.path.parents[1], lambda: carried_site.read(places.hub)),
        mode=places.mode,
    )


def templates(folder: Path = TEMPLATES) -> Jinja:
    """A service's own templates, and the Hub's pages' frame and words."""
    return Jinja(
        loader=FileSystemLoader([folder, FRAME]),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=[Translations],
    )
