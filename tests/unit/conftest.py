"""What many unit tests stand on: folders and the Hub's database, all empty."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from conftest import missing
from support.postgres import postgres, programs

from madang_hub.people.database import Database
from madang_hub.people.directory import Directory
from madang_hub.places import Places
from madang_hub.settings import Settings


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """For sockets: their paths may have 107 characters, which pytest's own folders can exceed."""
    made = Path(tempfile.mkdtemp(prefix="madang-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """The folders of an installation without an engine."""
    made = Places(Settings(data=tmp_path / "data"), "embedded")
    for folder in made.folders():
        folder.mkdir(parents=True)
    return made


@pytest.fixture
def database(places: Places) -> Iterator[Database]:
    made = Database(places.database_url("hub"))
    yield made
    made.close()


@pytest.fixture
def directory(database: Database) -> Directory:
    return Directory(database)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL of our own."""
    where = programs()
    if where is None:
        missing("PostgreSQL (Debian's package postgresql)")
        raise AssertionError
    with postgres(where) as addresses:
        yield addresses[0]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hub.sqlite'}"
    address: str = request.getfixturevalue("postgresql")
    engine = sa.create_engine(address)
    with engine.begin() as db:
        db.execute(sa.text("DROP SCHEMA public CASCADE"))
        db.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()
    return address
