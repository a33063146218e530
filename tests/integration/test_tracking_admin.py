"""An admin's view: everybody's runs, to read, in the browser; and nobody gets it in another way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from support.tracking import HEARD, Stack, running, wait_until

SCOPE = "access:services!service=mlflow"
ALL = "custom:mlflow:admin"
LOG = """
import mlflow
with mlflow.start_run() as run:
    mlflow.log_text("{text}", "note.txt")
print("RUN", run.info.run_id)
"""


@dataclass(frozen=True)
class Seen:
    """Runs by workspace."""

    runs: dict[str, str]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("admin")) as made:
        yield made


@pytest.fixture(scope="module")
def seen(stack: Stack) -> Seen:
    runs = {}
    for user, workspace in (("ann", "u-ann"), ("ann", "g-crew"), ("ben", "u-ben")):
        token, _ = stack.new_token(user, [SCOPE])
        done = stack.client(token, LOG.format(text=workspace), workspace, experiment=user)
        assert done.returncode == 0, done.stderr[-3000:]
        found = re.search(r"^RUN (\w+)", done.stdout, re.MULTILINE)
        assert found
        runs[workspace] = found[1]
    return Seen(runs)


@pytest.fixture(scope="module")
def olga(stack: Stack) -> requests.Session:
    """An admin who came through the Hub's sign-in."""
    return page_of(stack.sign_in("olga"))


def page_of(browser: requests.Session) -> requests.Session:
    """The same browser, as a script of MLflow's page uses it."""
    browser.headers.update({"Accept": "application/json", "Sec-Fetch-Mode": "cors"})
    browser.headers.update({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"})
    return browser


def ask(
    stack: Stack, browser: requests.Session, path: str, workspace: str = "", **kwargs: Any
) -> requests.Response:
    headers = {"X-MLFLOW-WORKSPACE": workspace} if workspace else {}
    method = kwargs.pop("method", "GET")
    return browser.request(
        method, stack.url + path, headers=headers, timeout=30, allow_redirects=False, **kwargs
    )


def names(reply: requests.Response) -> list[str]:
    assert reply.ok, reply.text
    return [item["name"] for item in reply.json()["workspaces"]]


def test_every_workspace_is_listed_the_own_first(
    stack: Stack, seen: Seen, olga: requests.Session
) -> None:
    listed = names(ask(stack, olga, "ajax-api/3.0/mlflow/workspaces"))
    assert listed[0] == "u-olga"
    assert {"default", *seen.runs} <= set(listed)
    for workspace in seen.runs:
        one = ask(stack, olga, f"ajax-api/3.0/mlflow/workspaces/{workspace}")
        assert one.json()["workspace"]["name"] == workspace
    # and only what is there
    assert ask(stack, olga, "ajax-api/3.0/mlflow/workspaces/u-nobody").status_code == 403
    assert ask(stack, olga, "version", "u-nobody").status_code == 403


def test_everybodys_runs_are_read_and_not_changed(
    stack: Stack, seen: Seen, olga: requests.Session
) -> None:
    for workspace, run in seen.runs.items():
        path = f"ajax-api/2.0/mlflow/runs/get?run_id={run}"
        assert ask(stack, olga, path, workspace).json()["run"]["info"]["run_id"] == run
        file = f"get-artifact?run_id={run}&path=note.txt"
        assert ask(stack, olga, file, workspace).text == workspace
        tag = {"run_id": run, "key": "seen", "value": "yes"}
        change = "ajax-api/2.0/mlflow/runs/set-tag"
        refused = ask(stack, olga, change, workspace, method="POST", json=tag)
        assert refused.status_code == 403
        assert "not change it" in refused.json()["message"]
        # one workspace at a time: without a name it is the own one
        assert ask(stack, olga, path).status_code == 404
    search = "ajax-api/2.0/mlflow/experiments/search?max_results=5"
    assert ask(stack, olga, search, "default").ok
    making = "ajax-api/2.0/mlflow/experiments/create"
    body = {"name": "x"}
    assert ask(stack, olga, making, "default", method="POST", json=body).status_code == 403
    assert ask(stack, olga, making, method="POST", json={"name": "own"}).ok


def nothing_more(stack: Stack, reach: Any, name: str, seen: Seen) -> None:
    """Through ``reach(path, workspace)`` there is only what is the person's own."""
    assert names(reach("api/3.0/mlflow/workspaces", "")) == [f"u-{name}"]
    for workspace, run in {**seen.runs, "default": "x"}.items():
        for path in ("version", f"api/2.0/mlflow/runs/get?run_id={run}"):
            assert reach(path, workspace).status_code == 403
        assert reach(f"api/3.0/mlflow/workspaces/{workspace}", "").status_code == 403


@pytest.mark.parametrize("kind", ["all of hers", "for the tracking server", "the browser's own"])
def test_in_a_header_her_token_opens_the_own_alone(
    stack: Stack, seen: Seen, olga: requests.Session, kind: str
) -> None:
    given = {"all of hers": None, "for the tracking server": [SCOPE, ALL]}
    if kind == "the browser's own":
        # as a program would that got hold of what the cookie holds
        secret = (stack.folder / "cookies").read_text().split()
        from madang_mlflow.session import Sessions, keys

        sessions = Sessions(keys(secret), "service-mlflow", "/", secure=False, seconds=600)
        cookie = olga.cookies.get("service-mlflow", path="/services/mlflow/")
        token = sessions.read_session({"service-mlflow": str(cookie)})
        assert token
    else:
        token, _ = stack.new_token("olga", given[kind])

    def by_header(path: str, workspace: str) -> requests.Response:
        headers = {"X-MLFLOW-WORKSPACE": workspace} if workspace else {}
        return stack.call(path, token, headers=headers)

    def with_both(path: str, workspace: str) -> requests.Response:
        headers = {"X-MLFLOW-WORKSPACE": workspace, "Authorization": f"Bearer {token}"}
        return olga.get(stack.url + path, headers=headers, timeout=30, allow_redirects=False)

    nothing_more(stack, by_header, "olga", seen)
    nothing_more(stack, with_both, "olga", seen)


@pytest.mark.parametrize("name", ["chief", "admin"])
def test_neither_a_flag_nor_a_name_opens_anything(stack: Stack, seen: Seen, name: str) -> None:
    """chief is an admin of the Hub, with all scopes of JupyterHub's own role; the other is called so."""
    flags = {user["name"]: user["admin"] for user in stack.keeper("GET", "/users").json()}
    assert (flags["chief"], flags["admin"], flags["olga"]) == (True, False, False)
    browser = page_of(stack.sign_in(name))
    nothing_more(stack, lambda path, workspace: ask(stack, browser, path, workspace), name, seen)
    token, _ = stack.new_token(name)
    nothing_more(
        stack,
        lambda path, workspace: stack.call(
            path, token, headers={"X-MLFLOW-WORKSPACE": workspace} if workspace else {}
        ),
        name,
        seen,
    )


def test_the_view_ends_with_the_session(stack: Stack, seen: Seen) -> None:
    browser = page_of(stack.sign_in("olga"))
    path = "ajax-api/2.0/mlflow/experiments/search?max_results=5"
    assert ask(stack, browser, path, "u-ann").ok
    for token in stack.keeper("GET", "/users/olga/tokens").json()["api_tokens"]:
        done = stack.keeper("DELETE", f"/users/olga/tokens/{token['id']}")
        assert done.status_code in (204, 404)  # some go with another
    wait_until(lambda: ask(stack, browser, path, "u-ann").status_code == 401, "the end", HEARD)


def test_what_an_admin_looks_at_is_noted(stack: Stack, seen: Seen) -> None:
    browser = page_of(stack.sign_in("olga"))
    assert ask(stack, browser, "ajax-api/3.0/mlflow/server-info", "u-ben").ok
    said = (stack.folder / "log").read_text()
    assert "olga looks at the workspace u-ben as an admin." in said
