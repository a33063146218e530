"""What is in an environment, as `make up` writes it down and the people service shows it."""

from __future__ import annotations

import json

import pytest
import requests
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from support.deployment import ROOT, Deployment
from support.people import Person

from madang_hub.catalog import Catalog

CATALOG = Catalog.load(ROOT / "images" / "images.toml")
PAGE = "/services/people/environment/"
VISIT = {"Sec-Fetch-Mode": "navigate"}


def get(person: Person, path: str) -> requests.Response:
    return person.session.get(person.url + PAGE + path, headers=VISIT, timeout=60)


def test_the_picker_leads_to_what_is_in_it(madang: Deployment, someone: Person) -> None:
    picker = someone.session.get(f"{someone.url}/hub/spawn", timeout=60)
    assert f'href="{PAGE}lab"' in picker.text
    page = get(someone, "lab")
    assert page.status_code == 200, page.text
    assert "scikit-learn" in page.text
    assert ("libc6" in page.text) == (madang.mode == "server")


def test_its_files_are_whole(madang: Deployment, someone: Person) -> None:
    manifest = get(someone, f"lab/{CATALOG.release}/manifest.json").json()
    assert (manifest["image"], manifest["release"]) == ("lab", CATALOG.release)
    assert manifest["created"] > "2020"
    reply = get(someone, f"lab/{CATALOG.release}/sbom.cdx.json")
    assert "attachment" in reply.headers["Content-Disposition"]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(reply.text) is None
    listed = sum(len(manifest[kind]) for kind in ("python", "debian", "npm", "other"))
    assert len(json.loads(reply.text)["components"]) == listed > 100
    if madang.mode == "server":
        assert manifest["parent"] == CATALOG.reference("base")
        assert manifest["bytes"] > manifest["totals"]["python"]["bytes"]


@pytest.mark.parametrize(
    "path",
    [
        "lab/9.9.9",
        "base",
        "gone",
        f"base/{CATALOG.release}/manifest.json",
        "lab/../../secrets/people_token",
        "lab/%2e%2e/manifest.json",
        f"lab/{CATALOG.release}/people_token",
    ],
)
def test_nothing_else_is_given_out(madang: Deployment, someone: Person, path: str) -> None:
    url = someone.url + PAGE + path
    request = requests.Request("GET", url, headers={**dict(someone.session.headers), **VISIT})
    prepared = someone.session.prepare_request(request)
    prepared.url = url  # as it is, with its dots
    assert someone.session.send(prepared, timeout=60).status_code == 404


def test_a_stranger_is_sent_to_the_sign_in(madang: Deployment) -> None:
    for path in ("lab", f"lab/{CATALOG.release}/manifest.json"):
        reply = requests.get(
            madang.url + PAGE + path, headers=VISIT, timeout=60, allow_redirects=False
        )
        assert reply.status_code == 302
        assert "/hub/api/oauth2/authorize" in reply.headers["Location"]
