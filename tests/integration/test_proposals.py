"""Proposing an environment and reviewing it, over HTTP, with uv and the real package index."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from support.classroom import AtService, Classroom, classroom, database
from support.deployment import Deployment
from support.people import visible
from support.proposals import FORM, zipped

from madang_hub.people.directory import Person as Record
from madang_hub.shelf.proposal_store import Proposals

CLASS = "class:proposals-a"
GOOD = {
    "requirements.txt": "python-docx>=1\npandas\n",
    "apt.txt": "tree\n",
    "notebook.ipynb": "{}",
    "setup.py": "raise SystemExit",
}


@pytest.fixture(scope="module")
def room(embedded_mode: Deployment) -> Classroom:
    people: dict[str, Any] = {
        "po-mentor": ("mentor", "김멘토"),
        "po-trainee": ("trainee", "이학생"),
        "po-admin": ("member", "박관리"),
    }
    found = classroom(embedded_mode, CLASS, "제안 반", people)
    other = classroom(embedded_mode, "class:proposals-b", "", {"po-other": ("mentor", "")})
    found.people.update(other.people)
    found.directory.save_people([Record("po-admin", "박관리", admin=True)])
    found.directory.set_memberships("po-admin", {}, "operator")
    return found


def propose(who: AtService, files: dict[str, Any], **form: Any) -> requests.Response:
    return who.api(
        "POST",
        "proposals",
        data={"team": CLASS, **FORM, **form},
        files={"archive": ("course.zip", zipped(files))},
    )


def decide(who: AtService, identity: int, step: str, reason: str = "") -> int:
    return who.api("POST", f"proposals/{identity}/{step}", json={"reason": reason}).status_code


def test_from_a_repository_to_an_approved_proposal(room: Classroom) -> None:
    mentor, admin = room["po-mentor"], room["po-admin"]
    reply = propose(mentor, GOOD)
    assert reply.status_code == 201, reply.text
    identity = reply.json()["id"]

    page = visible(admin.page(f"proposals/{identity}").text)
    assert "python-docx" in page
    assert "tree" in page
    assert "setup.py는 실행하지 않습니다" in page
    assert "내장 모드" in page
    store = database(room.deployment)
    kept = Proposals(store).get(identity)
    assert kept is not None
    names = {name for name, _ in kept.added}
    assert "python-docx" in names
    assert "pandas" not in names, "the parent has it"
    assert "--hash=sha256:" in kept.lock
    assert set(kept.files) == {"requirements.txt", "apt.txt"}

    # a mentor cannot approve, not even one of the team; nobody reaches the operator's steps
    assert [decide(mentor, identity, step) for step in ("approve", "reject")] == [404, 404]
    assert decide(admin, identity, "offer") == 404
    assert decide(room["po-other"], identity, "withdraw", "x") == 404
    assert decide(admin, identity, "reject") == 400, "without a reason"
    assert decide(admin, identity, "approve") == 200
    assert decide(admin, identity, "reject", "too late") == 409
    assert decide(mentor, identity, "withdraw", "더 이상 필요 없습니다.") == 200
    assert "더 이상 필요 없습니다." in visible(mentor.page("proposals").text)
    actions = [e.action for e in room.audit.read(team=CLASS, action="proposal")]
    assert actions == ["proposal.withdrawn", "proposal.approved", "proposal.made"]
    store.close()


def test_a_rejection_reaches_the_mentor(room: Classroom) -> None:
    mentor = room["po-mentor"]
    identity = propose(mentor, {"apt.txt": "tree"}).json()["id"]
    assert decide(room["po-admin"], identity, "reject", "이미 base에 있습니다.") == 200
    assert "이미 base에 있습니다." in visible(mentor.page(f"proposals/{identity}").text)


def test_everything_that_is_wrong_comes_back_in_the_readers_language(room: Classroom) -> None:
    reply = propose(
        room["po-mentor"],
        {"binder/requirements.txt": "-e .\n", "binder/postBuild": "x", "binder/apt.txt": "A;b"},
    )
    assert reply.status_code == 422
    found = reply.json()["faults"]
    assert [f.partition(" ")[0] for f in found] == [
        "binder/postBuild:",
        "binder/requirements.txt:1:",
        "binder/apt.txt:1:",
    ]
    assert "저장소의 폴더" in found[1]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("no-such-package-of-madang", "no-such-package-of-madang"),
        ("pandas==0.25", "맞지 않습니다"),
        ("pycocotools==2.0.2", "소스만"),
    ],
)
def test_what_cannot_be_locked_is_explained(room: Classroom, line: str, says: str) -> None:
    reply = propose(room["po-mentor"], {"requirements.txt": line})
    assert reply.status_code == 422, reply.text
    assert says in reply.json()["faults"][0]


@pytest.mark.parametrize(
    "form", [{"title_en": ""}, {"sizes": ["large"]}, {"sizes": []}, {"purpose_ko": "x" * 201}]
)
def test_a_form_that_cannot_be_is_refused(room: Classroom, form: dict[str, Any]) -> None:
    reply = propose(room["po-mentor"], GOOD, **form)
    assert reply.status_code == 400
    assert reply.json()["message"]


@pytest.mark.parametrize("who", ["po-trainee", "po-other", "po-admin"])
def test_only_mentors_of_the_team_propose(room: Classroom, who: str) -> None:
    assert propose(room[who], GOOD).status_code == 404


def test_embedded_mode_builds_nothing_and_says_so(room: Classroom) -> None:
    said = room.deployment.madang("environment", "build", check=False)
    assert "Embedded mode runs without containers" in said
    assert CLASS in room.deployment.madang("environment", "list")
