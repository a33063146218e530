"""MLflow's pages behind the gate, in a browser that comes from the Hub's sign-in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.visitor import PICTURES
from playwright.sync_api import Browser, BrowserContext, Page, expect
from support.tracking import PREFIX, Stack, running

pytestmark = pytest.mark.browser
SCOPE = ["access:services!service=mlflow"]
RUN = """
import mlflow
with mlflow.start_run(run_name="{name}") as run:
    mlflow.log_metric("loss", 0.25)
print("RUN", run.info.experiment_id, run.info.run_id)
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("pages")) as made:
        yield made


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser that has never been here."""
    made = chromium.new_context(locale="en-US", viewport={"width": 1280, "height": 800})
    yield made
    made.close()


def logged(stack: Stack, user: str, workspace: str, name: str) -> tuple[str, str]:
    """The ids of the experiment and of a run of this name that ``user`` logged."""
    token, _ = stack.new_token(user, SCOPE)
    done = stack.client(token, RUN.format(name=name), workspace=workspace, experiment=user)
    assert done.returncode == 0, done.stderr[-3000:]
    found = re.search(r"^RUN (\S+) (\S+)", done.stdout, re.MULTILINE)
    assert found, done.stdout
    return found[1], found[2]


def sign_in(context: BrowserContext, stack: Stack, user: str) -> Page:
    """Signed in at the Hub; the tracking server is not open yet."""
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{stack.public}/hub/login?next=/hub/token")
    page.locator("#username_input").fill(user)
    page.locator("#password_input").fill("pass")
    page.locator("#login_submit").click()
    page.wait_for_url(re.compile("/hub/token"))
    return page


def picture(page: Page, name: str) -> Path:
    folder = PICTURES / "tracking"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    return path


def undisturbed(page: Page) -> None:
    """No notice, and no offer of what is closed, stands in the way."""
    for words in ("Create new workspace", "UI telemetry", "Welcome to MLflow Assistant"):
        expect(page.get_by_text(words)).to_have_count(0)


def at(page: Page, hash_: str) -> None:
    """Wait until the address ends so (behind the ``#``)."""
    page.wait_for_url(re.compile(re.escape(f"{PREFIX}#{hash_}") + "$"))


def test_it_opens_at_the_own_workspace(stack: Stack, context: BrowserContext) -> None:
    logged(stack, "ann", "u-ann", "first")
    page = sign_in(context, stack, "ann")
    page.goto(stack.url)
    at(page, "/experiments?workspace=u-ann")
    expect(page.get_by_role("link", name="ann", exact=True).first).to_be_visible()
    undisturbed(page)
    picture(page, "own-workspace")


def test_home_has_no_notices(stack: Stack, context: BrowserContext) -> None:
    page = sign_in(context, stack, "ann")
    page.goto(f"{stack.url}#/?workspace=u-ann")
    at(page, "/?workspace=u-ann")
    expect(page.get_by_text("Welcome to MLflow", exact=True).first).to_be_visible()
    undisturbed(page)
    picture(page, "home")


def test_a_run_without_a_workspace_in_its_address_opens(
    stack: Stack, context: BrowserContext
) -> None:
    """Also in a browser that was at somebody else's workspace last."""
    experiment, run = logged(stack, "mia", "u-mia", "of-mia")
    theirs, _ = logged(stack, "ann", "u-ann", "of-ann")
    page = sign_in(context, stack, "mia")
    page.goto(f"{stack.url}#/experiments/{theirs}/runs?workspace=u-ann")
    expect(page.get_by_text("of-ann").first).to_be_visible()
    fresh = context.new_page()
    fresh.goto(f"{stack.url}#/experiments/{experiment}/runs/{run}?compareRunsMode=CHART")
    at(fresh, f"/experiments/{experiment}/runs/{run}?compareRunsMode=CHART&workspace=u-mia")
    expect(fresh.get_by_text("of-mia").first).to_be_visible()
    picture(fresh, "run")


def test_the_printed_address_opens_through_the_hubs_sign_in(
    stack: Stack, context: BrowserContext
) -> None:
    """Signed in at the Hub, but never at the tracking server: no question on the way."""
    experiment, run = logged(stack, "dan", "g-crew", "of-the-team")
    page = sign_in(context, stack, "ann")
    address = f"/experiments/{experiment}/runs/{run}?workspace=g-crew"
    page.goto(f"{stack.url}#{address}")
    at(page, address)
    expect(page.get_by_text("of-the-team").first).to_be_visible()
