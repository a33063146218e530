"""An author's user server beside the agreed API of dashboards, and a notebook with what usually lies around."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madang_hub.dashboards.model import Actor
from support.dashboards_api import TEAMS, DashboardsApi, dashboards_api
from support.fake_hub import FakeHub, fake_hub
from support.user_server import MENTOR, OWNER, STRANGER, Server, user_server

AUTHOR = Actor("minji", TEAMS, frozenset({"class:2026-a"}), publishes=True)
KEY = "ghp_" + "Ab1" * 12
"""What looks like somebody's token of GitHub."""


def book(*cells: tuple[str, str]) -> str:
    """A notebook of cells of these kinds and sources, never run."""
    made: list[dict[str, Any]] = [
        {"id": f"c{number}", "cell_type": kind, "source": source, "metadata": {}}
        | ({"outputs": [], "execution_count": None} if kind == "code" else {})
        for number, (kind, source) in enumerate(cells)
    ]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec}, "cells": made}
    return json.dumps(notebook, ensure_ascii=False)


def sales(home: Path, *more: tuple[str, str]) -> Path:
    """The notebook ``판매/판매.ipynb`` in ``home`` with a table, a hidden file, and ``more`` cells."""
    folder = home / "판매"
    folder.mkdir(exist_ok=True)
    path = folder / "판매.ipynb"
    cells = [("markdown", "# **판매** 현황"), ("code", "rows = open('표.csv').read()"), *more]
    path.write_text(book(*cells), "utf-8")
    (folder / "표.csv").write_text("월,판매\n1,20\n" * 100, "utf-8")
    (folder / ".env").write_text("X=1\n")
    return path


@dataclass
class Author:
    """The server of minji, who publishes, and what the service has."""

    server: Server
    api: DashboardsApi

    @property
    def home(self) -> Path:
        return self.server.home


@contextmanager
def author(root: Path, folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[Author]:
    """It in ``folder``; ``kim`` looks in with the token MENTOR."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    people = {OWNER: "minji", MENTOR: "kim", STRANGER: "lee"}
    with (
        dashboards_api(folder, {OWNER: AUTHOR}) as api,
        fake_hub(FakeHub("minji", people, {"minji", "kim"})) as hub,
        user_server(
            root, home, hub, {"MADANG_DASHBOARDS_URL": api.url, **(environ or {})}
        ) as server,
    ):
        yield Author(server, api)
