"""Issue 2's main job as a person does it, in a browser, in Korean and in English, with pictures."""

from __future__ import annotations

import re

import pytest
from browser.conftest import Visit
from browser.visitor import Language, Visitor
from playwright.sync_api import expect
from support.deployment import Deployment

pytestmark = pytest.mark.browser
NAMES: dict[Language, tuple[str, str]] = {"ko": ("haneul", "bada"), "en": ("emma", "oliver")}
NOTEBOOK = "first-steps.ipynb"
RUN = "logistic C=1.0"


def open_sample(visitor: Visitor) -> None:
    """Find the sample in the file list and open it."""
    page = visitor.page
    visitor.open_folder("welcome", visitor.language)
    # a kernel is there when it talks: before that JupyterLab would ask which one to use
    with page.expect_websocket(lambda socket: "/channels" in socket.url) as connection:
        visitor.file(NOTEBOOK).dblclick()
    connection.value.wait_for_event("framereceived")
    expect(page.locator(".jp-NotebookPanel:visible .jp-Cell").first).to_be_visible()
    expect(
        page.locator(".jp-NotebookPanel:visible .jp-Notebook-ExecutionIndicator")
    ).to_have_attribute("data-status", "idle")


def outputs(visitor: Visitor) -> list[str]:
    """What stands in the saved notebook: one word per code cell ("done", "open", "error", "warned")."""
    cells = visitor.contents(f"welcome/{visitor.language}/{NOTEBOOK}")["content"]["cells"]
    words = []
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        kinds = {output["output_type"] for output in cell["outputs"]}
        streams = {output.get("name") for output in cell["outputs"]}
        if "error" in kinds:
            words.append("error: " + "".join(str(o.get("evalue")) for o in cell["outputs"]))
        elif "stderr" in streams:
            words.append("warned: " + "".join(str(o.get("text")) for o in cell["outputs"]))
        else:
            words.append("done" if cell["execution_count"] else "open")
    return words


def run_all(visitor: Visitor) -> None:
    """Run all cells by the menu, wait for the end, save."""
    page = visitor.page
    code_cells = len(outputs(visitor))
    visitor.menu(visitor.word("run menu"), visitor.word("run all"))
    last = page.locator(".jp-NotebookPanel:visible .jp-CodeCell .jp-InputArea-prompt").last
    expect(last).to_have_text(re.compile(rf"\[{code_cells}\]:"), timeout=120_000)
    with page.expect_response(lambda r: r.request.method == "PUT" and NOTEBOOK in r.url and r.ok):
        page.keyboard.press("Control+s")
    assert outputs(visitor) == ["done"] * code_cells


@pytest.mark.engine
@pytest.mark.parametrize("language", ["ko", pytest.param("en", marks=pytest.mark.long)])
def test_a_first_day(server_mode: Deployment, visit: Visit, language: Language) -> None:
    name, other = NAMES[language]
    person = visit(server_mode, name, language)
    page = person.page

    person.join(pictures=True)
    person.go_home()
    person.reads("off")
    person.picture("home")
    person.pick()
    person.picture("picker")
    person.button("start").click()
    page.wait_for_url(re.compile(r"/hub/spawn-pending/"))
    expect(page.get_by_role("heading", level=1)).to_have_text(person.word("preparing"))
    expect(page.locator("#stages")).to_contain_text(person.word("lab stage"))
    person.picture("progress")
    seen = person.await_lab()
    assert person.word("lab stage") in seen, seen
    expect(page.locator(".lm-MenuBar-itemLabel").first).to_have_text(person.word("file menu"))
    person.picture("jupyterlab", full_page=False)

    open_sample(person)
    person.picture("notebook", full_page=False)
    run_all(person)
    person.picture("notebook-done", full_page=False)

    person.go_home()
    person.reads("running")
    person.picture("home-running")
    sees_the_run(person)
    person.stop()
    person.picture("home-stopped")
    person.sign_out()
    person.picture("signed-out")

    person.sign_in()
    person.start()
    assert outputs(person)
    assert set(outputs(person)) == {"done"}, "the notebook kept its results"
    # JupyterLab comes back with what was open
    panel = page.locator(".jp-NotebookPanel:visible")
    expect(panel.locator(".jp-OutputArea-output").first).to_be_visible()
    person.picture("back-again", full_page=False)
    sees_the_run(person)

    stranger = visit(server_mode, other, language)
    stranger.taken = person.taken
    stranger.join()
    stranger.go(f"/user/{person.name}/lab")
    expect(stranger.page.locator("[data-status]")).to_have_attribute("data-status", "403")
    expect(stranger.page.locator("main")).to_contain_text(person.word("not mine"))
    stranger.picture("not-mine")
    stranger.start()
    stranger.open_folder("welcome", language)
    assert set(outputs(stranger)) == {"open"}, "the second person has a sample of their own"
    stranger.stop()
    person.stop()


def sees_the_run(person: Visitor) -> None:
    """From the home page to the tracking page and the run of the notebook there."""
    page = person.page
    person.go_home()
    page.locator("header").get_by_role("link", name=person.word("experiments")).click()
    # at the own workspace, without a question
    page.wait_for_url(re.compile(rf"/services/mlflow/#/experiments\?workspace=u-{person.name}"))
    experiment = page.get_by_role("link", name=person.name, exact=True).first
    expect(experiment).to_be_visible()
    person.picture("experiments", full_page=False)
    experiment.click()
    expect(page.get_by_text(RUN).first).to_be_visible()
    expect(page.get_by_role("heading", name="Welcome to MLflow Assistant")).to_have_count(0)
    person.picture("runs", full_page=False)


def test_embedded_mode_opens_too(embedded_mode: Deployment, visit: Visit) -> None:
    person = visit(embedded_mode, "sol", "ko")
    person.join()
    person.start()
    expect(person.page.locator(".lm-MenuBar-itemLabel").first).to_have_text(
        person.word("file menu")
    )
    open_sample(person)
    run_all(person)
    person.stop()
