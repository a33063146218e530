"""Accelerators in a Madang as it is: the broker is there by itself, and servers get what is lent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from support.academy import Academy, academy
from support.deployment import Deployment, wait_for
from support.lending import Borrower, specification

from madang_hub.accelerators.broker.scopes import ADMIN

KIND = "lending.example/npu"


@pytest.fixture(scope="module")
def here(embedded_mode: Deployment) -> Iterator[Academy]:
    file = embedded_mode.cdi / "lending.json"
    specification(file, KIND, {"0": {"path": "/dev/lending0", "hostPath": "/dev/null"}})
    with academy(embedded_mode) as opened:
        yield opened
    file.unlink()


def test_a_server_gets_what_is_lent_and_its_end_gives_it_back(here: Academy) -> None:
    person = here.comes("lee-lent", {"team:lending": "member"})
    lee = Borrower(person)
    lee.wait_for_slots(KIND, 1)
    lease = lee.ask(KIND)
    lee.becomes(lease, "granted")
    lee.step(lease, "take")
    person.start(environment="lab", size="small")
    said = person.run(
        "import json, os, urllib.request\n"
        "print(os.environ['MADANG_LEASE'])\n"
        "request = urllib.request.Request(os.environ['MADANG_ACCELERATORS_URL'] + '/api/')\n"
        "request.add_header('Authorization', 'token ' + os.environ['JUPYTERHUB_API_TOKEN'])\n"
        "print([r['state'] for r in json.load(urllib.request.urlopen(request))['requests']])\n"
        "print(os.environ.get('CUDA_VISIBLE_DEVICES'))"
    )
    assert said.splitlines() == [lease, "['active']", "None"]
    # it only asks whether a server is there as long as it has not seen the lease's own
    wait_for(lambda: lee.get()["server"] is None, "the broker to see the server")
    person.stop()
    assert lee.becomes(lease, "ended")["why"] == "vanished"


def test_a_server_without_a_lease(here: Academy) -> None:
    person = here.comes("choi-none", {"team:lending": "member"})
    person.start(environment="lab", size="small")
    assert person.run("import os; print(repr(os.environ['MADANG_LEASE']))").strip() == "''"
    person.stop()


def test_an_admin_sees_every_slot_and_others_do_not(here: Academy) -> None:
    admin = Borrower(here.admin(), ADMIN)
    assert KIND in {slot["kind"] for slot in admin.get("slots")["slots"]}
    member = Borrower(here.comes("park-member", {"team:lending": "member"}))
    assert member.call("GET", "slots").status_code == 403


def test_nobody_without_a_token_is_let_in(embedded_mode: Deployment) -> None:
    address = f"{embedded_mode.url}/services/accelerators/"
    assert requests.get(f"{address}health", timeout=30).text == "ok"
    for path in ("api/", "api/slots", "api/devices/kim"):
        reply = requests.get(address + path, timeout=30, allow_redirects=False)
        assert reply.status_code in (302, 401, 403), (path, reply.status_code)
