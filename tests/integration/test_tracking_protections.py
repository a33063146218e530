"""Each protection of the tracking server, taken away alone, makes a test fail.

The tests are those of test_tracking_gate.py, test_tracking_workspaces.py and test_tracking_admin.py, run
against the same gate with one part of it missing (`support.weakened`).
"""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from integration import test_tracking_admin as admin
from integration import test_tracking_gate as gate
from integration import test_tracking_workspaces as space
from support import weakened
from support.tracking import FRESH, ROOT, Stack, mlflow_python, running, stop, wait_until

SCOPE = ["access:services!service=mlflow"]


@dataclass(frozen=True)
class House:
    """A tracking server that can be weakened, and the people at it."""

    stack: Stack
    ann: space.Work
    ben: str
    seen: admin.Seen
    olga: requests.Session

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        file = self.stack.folder / "without"
        file.write_text(name, encoding="utf-8")
        try:
            yield
        finally:
            file.write_text("", encoding="utf-8")


#: The protection and the test that fails without it. Last, what spoils the data for the others.
NOTICED: dict[str, Callable[[House], None]] = {
    "host": lambda h: gate.test_headers_that_pretend_are_nothing(h.stack),
    "odd paths": lambda h: gate.test_odd_paths_are_refused_and_lead_nowhere(h.stack, "a/../../x"),
    "scope": lambda h: gate.test_a_token_without_the_scope_is_refused(h.stack, "carl", None),
    "person": lambda h: gate.test_a_service_is_not_a_person(h.stack),
    "header alone": lambda h: gate.test_a_header_never_falls_back_to_the_cookie(h.stack),
    "origin": lambda h: gate.test_changes_by_cookie_need_this_sites_page(h.stack),
    "routes": lambda h: space.test_workspaces_are_made_by_nobody(h.stack, h.ben),
    "list of workspaces": lambda h: space.test_a_person_named_admin_is_nobody_special(
        h.stack, h.ann
    ),
    "workspace given once": lambda h: space.test_a_workspace_named_twice_is_refused(h.stack, h.ben),
    "workspace": lambda h: space.test_anothers_workspace_is_refused(h.stack, h.ben, "u-ann"),
    "workspace inward": lambda h: space.test_an_empty_name_is_the_own_workspace(
        h.stack, h.ann, h.ben
    ),
    "artifact location": lambda h: gate.test_nobody_chooses_where_the_server_reads(h.stack),
    "source": lambda h: gate.test_nobody_chooses_where_the_server_reads(h.stack),
    "sandbox": lambda h: gate.test_a_browser_signs_in_through_the_hub(h.stack),
    "foreign pages": lambda h: gate.test_headers_that_pretend_are_nothing(h.stack),
    "admin by header": lambda h: admin.test_in_a_header_her_token_opens_the_own_alone(
        h.stack, h.seen, h.olga, "for the tracking server"
    ),
    "admin by flag": lambda h: admin.test_neither_a_flag_nor_a_name_opens_anything(
        h.stack, h.seen, "chief"
    ),
    "model": lambda h: space.test_metrics_are_not_written_to_anothers_model(h.stack, h.ann, h.ben),
    "assessment": lambda h: space.test_assessments_are_not_moved(h.stack, h.ann, h.ben),
    "read only": lambda h: space.test_a_mentor_changes_nothing(h.stack, h.ann),
}


def test_every_protection_has_its_test() -> None:
    assert NOTICED.keys() == weakened.PROTECTIONS.keys()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("protections")
    (folder / "without").write_text("", encoding="utf-8")
    with running(folder) as stack:
        stop(stack.tracking)
        weak = start(stack)
        try:
            wait_until(lambda: stack.call("version", stack.new_token("ann")[0]).ok, "the server")
            ann = space.logged(stack)
            yield House(
                stack,
                ann,
                stack.new_token("ben", SCOPE)[0],
                admin.Seen({"u-ann": ann.ids["run"]}),
                admin.page_of(stack.sign_in("olga")),
            )
        finally:
            stop(weak)


def start(stack: Stack) -> subprocess.Popen[bytes]:
    """The same tracking server, one worker, that looks into a file for what it should leave out."""
    site = stack.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        textwrap.dedent(f"""
        import importlib.util, pathlib
        spec = importlib.util.spec_from_file_location("weakened", {str(source())!r})
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.install(pathlib.Path({str(stack.folder / "without")!r}))
        """)
    )
    more = {"PYTHONPATH": str(site), "MADANG_TRACKING_WORKERS": "1"}
    with (stack.folder / "log").open("ab") as log:
        return subprocess.Popen(
            [mlflow_python(), "-m", "madang_mlflow"],
            cwd=stack.folder,
            env={**stack.tracking_env, **more},
            stdout=log,
            stderr=log,
        )


def source() -> Path:
    return ROOT / "tests" / "support" / "weakened.py"


@pytest.mark.parametrize("name", NOTICED)
def test_a_protection_taken_away_is_noticed(house: House, name: str) -> None:
    NOTICED[name](house)  # with it, all is well

    def fails() -> bool:
        try:
            NOTICED[name](house)
        except AssertionError:
            return True
        return False

    with house.without(name):  # answers of the Hub are believed for a moment
        wait_until(fails, f"a failure without {name!r}", FRESH + 15)
