"""Fixtures of the mounter's tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import missing
from support.mounting import Site
from support.namespaces import Maker


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    if os.geteuid() != 0:
        missing("the right to mount (root)")
    with closing(Maker(tmp_path_factory.mktemp("container"))) as made:
        yield made


@pytest.fixture
def site(maker: Maker, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, maker)
    made.start()
    try:
        yield made
    finally:
        made.stop()
