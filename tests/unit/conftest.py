"""What many unit tests stand on: a data folder and the Hub's database, both empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from madang_hub.people.database import Database
from madang_hub.people.directory import Directory
from madang_hub.places import Places
from madang_hub.settings import Settings


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
