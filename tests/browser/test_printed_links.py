"""What MLflow prints in a notebook, in the browser of the person who runs it."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from browser.conftest import Visit
from browser.visitor import Visitor
from playwright.sync_api import expect
from support.deployment import Deployment

from madang_hub.homes import home_of

pytestmark = pytest.mark.browser
NAME = "printed.ipynb"
CELLS = [
    'import mlflow\nwith mlflow.start_run(run_name="printed"):\n    mlflow.log_metric("loss", 0.5)',
    "1 + 1",
]


class ByName(Deployment):
    """The same Madang by another name than the one by which its kernels reach it."""

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"


def by_name(deployment: Deployment) -> Deployment:
    found = copy.copy(deployment)
    found.__class__ = ByName
    return found


def give_notebook(deployment: Deployment, name: str) -> None:
    """A notebook of these cells in somebody's home, before the first start."""
    cells: list[dict[str, Any]] = [
        {
            **{"cell_type": "code", "id": f"cell-{number}", "source": source},
            **{"metadata": {}, "outputs": [], "execution_count": None},
        }
        for number, source in enumerate(CELLS)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {
        **{"nbformat": 4, "nbformat_minor": 5},
        **{"metadata": {"kernelspec": kernel}, "cells": cells},
    }
    home = home_of(deployment.data / "homes", name)
    home.mkdir(parents=True, mode=0o700)
    (home / NAME).write_text(json.dumps(notebook), encoding="utf-8")


def run_notebook(person: Visitor) -> None:
    page = person.page
    with page.expect_websocket(lambda socket: "/channels" in socket.url) as connection:
        person.file(NAME).dblclick()
    connection.value.wait_for_event("framereceived")
    expect(
        page.locator(".jp-NotebookPanel:visible .jp-Notebook-ExecutionIndicator")
    ).to_have_attribute("data-status", "idle")
    person.menu(person.word("run menu"), person.word("run all"))
    last = page.locator(".jp-NotebookPanel:visible .jp-CodeCell .jp-InputArea-prompt").last
    expect(last).to_have_text(re.compile(rf"\[{len(CELLS)}\]:"), timeout=120_000)


def test_the_printed_link_opens_that_run(embedded_mode: Deployment, visit: Visit) -> None:
    """The kernel says 127.0.0.1, the person came by localhost: for a browser those are two hosts."""
    person = visit(by_name(embedded_mode), "nari", "en")
    page = person.page
    give_notebook(embedded_mode, person.name)
    person.join()
    person.start()
    run_notebook(person)
    link = page.locator(".jp-NotebookPanel:visible .jp-OutputArea-output a[href*='/runs/']")
    address = link.get_attribute("href") or ""
    assert re.fullmatch(
        re.escape(f"{person.url}/services/mlflow/#/experiments/")
        + r"\d+/runs/[0-9a-f]{32}\?workspace=u-nari",
        address,
    )
    expect(link).to_have_text(address)
    person.picture("printed-link", full_page=False)
    with person.context.expect_page() as opened:
        link.click()
    run = opened.value
    # the person never opened the tracking server before: no question on the way
    run.wait_for_url(address)
    expect(run.get_by_text("printed", exact=True).first).to_be_visible(timeout=60_000)
    run.screenshot(path=person.picture("run-opened"), animations="disabled")
    # the file keeps what the kernel said: another time it may be opened by another address
    page.bring_to_front()
    page.locator(".jp-NotebookPanel:visible .jp-CodeCell .jp-InputArea-editor").last.click()
    with page.expect_response(lambda reply: reply.request.method == "PUT" and NAME in reply.url):
        page.keyboard.press("Control+s")
    saved = json.dumps(person.contents(NAME))
    assert f"http://127.0.0.1:{embedded_mode.port}/services/mlflow/#/experiments/" in saved
    person.stop()


def test_a_link_opens_where_it_leads_after_the_sign_in(
    embedded_mode: Deployment, visit: Visit
) -> None:
    """Also after a wrong password: what stands behind the ``#`` stays with the browser."""
    person = visit(embedded_mode, "dasom", "ko")
    person.join()
    person.go_home()
    person.sign_out()
    page = person.page
    place = "/services/mlflow/#/models?workspace=u-dasom"
    person.go(place)
    for password in ("wrong-one", person.password):
        page.locator("#username_input").fill(person.name)
        page.locator("#password_input").fill(password)
        page.locator("#login_submit").click()
        if password == "wrong-one":
            expect(page.locator("#login-error")).to_be_visible()
    page.wait_for_url(person.url + place)
