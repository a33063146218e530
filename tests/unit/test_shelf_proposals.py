"""Proposals: the form, who may decide, the way from a wish to the shelf, locks, and the build's two files."""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.proposals import zipped

from madang_hub.catalog import Catalog, Person
from madang_hub.environment_commands import (
    TeamEnvironmentError,
    build,
    in_words,
    note,
    propose,
    register,
    retire,
    row,
)
from madang_hub.people.audit import Audit
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory
from madang_hub.people.directory import Person as Record
from madang_hub.places import Places
from madang_hub.settings import Settings
from madang_hub.shelf import carried_site, proposed
from madang_hub.shelf.locking import Lock, Locker, LockingError, pins
from madang_hub.shelf.offering import Shelf
from madang_hub.shelf.proposal_store import Proposals
from madang_hub.shelf.proposals import (
    STEPS,
    Proposal,
    ProposalRefused,
    State,
    Step,
    after,
    may,
    reason,
    wish,
)
from madang_hub.shelf.repository import RepositoryError
from madang_hub.shelf.versions import Version
from madang_hub.texts import Text

ROOT = Path(__file__).resolve().parents[2]
TABLE = Catalog.load(ROOT / "images" / "images.toml").offering(["lab"])
T0 = datetime(2026, 3, 2, 9, tzinfo=UTC)
STATES: tuple[State, ...] = get_args(State)
ALL_STEPS: tuple[Step, ...] = get_args(Step)
FORM = {
    "title_ko": "그래프 실습",
    "title_en": "Graphs",
    "purpose_ko": "그래프 분석",
    "purpose_en": "Graph analysis",
    "sizes": ["small"],
}
LOCK = "rich==13.0.0 \\\n    --hash=sha256:00\n"


def proposal(**facts: Any) -> Proposal:
    values: dict[str, Any] = {
        "id": 0, "team": "class:ai", "author": "teacher", "made": T0,
        "title": Text(ko="그래프", en="Graphs"), "purpose": Text(ko="분석", en="Analysis"),
        "sizes": ("small",), "source": {"kind": "upload", "name": "x.zip"},
        "files": {"requirements.txt": "rich"}, "requirements": ("rich",), "apt": ("tree",),
        "lock": LOCK, "added": (("rich", "13.0.0"),), "notes": (),
    }  # fmt: skip
    return Proposal(**{**values, **facts})


# ---- the way --------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(ALL_STEPS), max_size=12))
def test_nothing_is_offered_that_was_not_approved_and_built(steps: list[Step]) -> None:
    state: State = "proposed"
    done: list[Step] = []
    for step in steps:
        try:
            state = after(state, step)
            done.append(step)
        except ProposalRefused:
            continue
        if state == "offered":
            assert done == ["approve", "built", "offer"]
    if "reject" in done or "withdraw" in done:
        assert state in ("rejected", "withdrawn")


def test_decided_is_decided() -> None:
    for step in ALL_STEPS:
        for state in ("rejected", "withdrawn"):
            with pytest.raises(ProposalRefused, match="decided or changed"):
                after(state, step)
    assert {state for state, _ in STEPS} | set(STEPS.values()) == set(STATES)


@pytest.mark.parametrize(
    ("step", "admin", "mentor"),
    [
        ("approve", True, False),
        ("reject", True, False),
        ("withdraw", True, True),
        ("built", False, False),
        ("offer", False, False),
    ],
)
def test_who_may_do_what(step: Step, admin: bool, mentor: bool) -> None:
    assert may(step, admin=True, mentor=False) == admin
    assert may(step, admin=False, mentor=True) == mentor
    assert not may(step, admin=False, mentor=False)


# ---- the form -------------------------------------------------------------------------------


def test_a_form_is_cleaned() -> None:
    found = wish({**FORM, "title_en": "  Graphs \n for all "}, TABLE)
    assert (found.title.en, found.sizes) == ("Graphs for all", ("small",))


@pytest.mark.parametrize(
    "change",
    [
        {"title_ko": ""},
        {"title_en": "x" * 61},
        {"purpose_en": "   "},
        {"purpose_ko": None},
        {"sizes": []},
        {"sizes": "small"},
        {"sizes": ["large"]},  # for admins only
        {"sizes": ["small", "none"]},
    ],
)
def test_a_form_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ProposalRefused):
        wish({**FORM, **change}, TABLE)


@pytest.mark.parametrize("text", ["", "  \n", None, 3, "x" * 501])
def test_a_rejection_has_a_reason(text: object) -> None:
    with pytest.raises(ProposalRefused):
        reason(text)


# ---- the store ------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Proposals:
    return Proposals(Database(f"sqlite:///{tmp_path}/hub.sqlite"))


def test_a_proposal_is_kept_as_it_is(store: Proposals) -> None:
    identity = store.add(proposal())
    assert store.get(identity) == proposal(id=identity)
    assert store.get(99) is None
    assert [p.id for p in store.read(teams=["class:ai"], states=["proposed"])] == [identity]
    assert store.read(teams=[]) == store.read(states=["approved"]) == []


def test_of_two_decisions_at_once_one_counts(store: Proposals) -> None:
    seen = store.get(store.add(proposal()))
    assert seen is not None
    assert store.step(seen, "approve", "admin", T0).state == "approved"
    with pytest.raises(ProposalRefused, match="Load the page anew"):
        store.step(seen, "reject", "other", T0, reason="no")
    again = store.get(seen.id)
    assert again is not None
    assert (again.state, again.changed_by, again.reason) == ("approved", "admin", "")


# ---- on the shelf ---------------------------------------------------------------------------


def test_a_team_sees_its_environment_while_it_is_offered() -> None:
    made = Version(
        environment="proposed-1", image="proposed-1", release="0.1.0", title=Text(ko="그", en="G"),
        purpose=Text(ko="분", en="A"), sizes=("small", "gone"), who=("group:class:ai",), installed=T0,
    )  # fmt: skip
    offered = {"proposed-1"}
    shelf = Shelf(TABLE, team_made=lambda: [made], offered=lambda: offered)
    trainee, other = Person("kim", frozenset({"class:ai"})), Person("lee", frozenset({"class:b"}))

    def names(person: Person) -> list[str]:
        return [o.environment.name for o in shelf.open_to(person).offers(person)]

    assert names(trainee) == ["lab", "proposed-1"]
    assert names(other) == ["lab"]
    choice = shelf.open_to(trainee).choose({"environment": "proposed-1"}, trainee)
    assert shelf.table.reference_of(choice.environment) == "madang/proposed-1:0.1.0"
    offered.clear()  # withdrawn: at once
    assert names(trainee) == ["lab"]
    assert "proposed-1" in shelf.everything().environments


# ---- locks ----------------------------------------------------------------------------------


HEAD = "error: No solution found when resolving dependencies\n  cause: "
UV_SAYS = {
    f"{HEAD}Because zzz-q was not found in the package registry and you": "no package “zzz-q”",
    f"{HEAD}Because pycocotools==2.0.2 has no usable wheels and you require": "“pycocotools” is published as",
    f"{HEAD}Because all versions of docopt have no usable wheels and you": "“docopt” is published as source",
    f"{HEAD}Because you require networkx==0.25 and networkx==3.1.1, we": "uv says: Because you",
}
"""What uv 0.13 says, and what the person reads of it."""


def locker(root: Path, monkeypatch: pytest.MonkeyPatch, said: str, out: str = "") -> Locker:
    (root / "locks").mkdir()
    (root / "locks" / "lab.txt").write_text("numpy==1.26.4 \\\n    --hash=sha256:00\n")
    (root / "libexec").mkdir()
    (root / "libexec" / "uv").touch()
    status = 1 if said else 0

    def run(command: list[str], **facts: Any) -> subprocess.CompletedProcess[str]:
        assert "--no-build" in command
        assert "MADANG_SECRET" not in facts["env"]
        return subprocess.CompletedProcess(command, status, out, said)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("MADANG_SECRET", "x")
    return Locker(root, dict)


@pytest.mark.parametrize("said", sorted(UV_SAYS))
def test_what_uv_refuses_is_said_plainly(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RepositoryError, match=UV_SAYS[said]):
        locker(tmp_path, monkeypatch, said).lock(["x"], "lab")


def test_a_machine_without_network_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "error: Request failed after 3 retries in 10.4s\n  cause: Failed to fetch: https://x/simple/rich/"
    with pytest.raises(LockingError) as away:
        locker(tmp_path, monkeypatch, said).lock(["x"], "lab")
    assert "cannot be reached" in away.value.sentence.text("en")


def test_what_the_parent_has_is_not_listed_as_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = LOCK + "numpy==1.26.4 \\\n    --hash=sha256:00\nZope.Interface==5\n"
    found = locker(tmp_path, monkeypatch, "", out).lock(["rich"], "lab")
    assert found.added == (("rich", "13.0.0"), ("zope-interface", "5"))
    assert pins(found.text)["numpy"] == "1.26.4"


def test_without_requirements_nothing_is_locked(tmp_path: Path) -> None:
    assert Locker(tmp_path, dict).lock([], "lab").text == ""


def test_the_sites_mirror_reaches_uv_and_nobody_else_reads_it(tmp_path: Path) -> None:
    assert carried_site.read(tmp_path) == {}
    carried_site.write(
        tmp_path, {"UV_DEFAULT_INDEX": "https://u:p@m.example", "certificates": "PEM"}
    )
    found = carried_site.read(tmp_path)
    assert found["UV_DEFAULT_INDEX"] == "https://u:p@m.example"
    assert Path(found["SSL_CERT_FILE"]).read_text() == "PEM"
    assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o600}


# ---- the build ------------------------------------------------------------------------------


def test_the_build_reads_wheels_and_checked_names_only() -> None:
    wanted = proposed.Wanted("proposed-1", ("rich",), ("tree", "libgl1"), LOCK)
    assert proposed.context(wanted) == {
        "lock.txt": f"--only-binary :all:\n{LOCK}",
        "apt.txt": "tree\nlibgl1\n",
    }
    assert proposed.context(proposed.Wanted("x", (), (), ""))["lock.txt"] == ""
    for name in ("-o=x", "a;b", "$(x)", "a b", ""):
        with pytest.raises(proposed.ProposedError):
            proposed.context(dataclasses.replace(wanted, apt=(name,)))


def test_a_lock_for_another_parent_is_not_built(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "lab.txt").write_text("rich==14\n")
    wanted = proposed.Wanted("proposed-1", ("rich",), (), LOCK)
    with pytest.raises(proposed.ProposedError, match=r"earlier version of lab \(rich differ\)"):
        proposed.build(wanted, TABLE, tmp_path, {})


class Stack:
    """The stack's containers as one process; ``withdraw`` is what an admin does during the build."""

    def __init__(self, store: Proposals, audit: Audit) -> None:
        self.store, self.audit = store, audit
        self.kept: list[Version] = []
        self.environ: dict[str, str] = {}
        self.done: list[str] = []
        self.containers = ""

    def inside(self, words: list[str], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        if words[1] == "note":
            out = note(self.store, self.audit, json.loads(stdin), T0)
        else:
            states: list[State] = ["approved", "built"] if words[1] == "waiting" else ["withdrawn"]
            out = json.dumps([row(p) for p in self.store.read(states=states)])
        return subprocess.CompletedProcess(words, 0, out.encode(), b"")

    def prepare(self, words: list[str], stdin: bytes = b"") -> None:
        self.done.append(" ".join(words))
        if words[1] == "install":
            self.kept.append(Version.model_validate_json(stdin))

    def docker(self, *words: str) -> str:
        if words[0] in ("rmi",):
            self.done.append(" ".join(words))
        return {"images": "sha256:1", "ps": self.containers}.get(words[0], "")


@pytest.fixture
def stack(store: Proposals) -> Stack:
    identity = store.add(proposal())
    one = store.get(identity)
    assert one is not None
    store.step(one, "approve", "admin", T0)
    return Stack(store, Audit(store._database))


def built(monkeypatch: pytest.MonkeyPatch, stack: Any, fails: str = "") -> list[str]:
    def make(wanted: proposed.Wanted, *rest: Any) -> str:
        return f"madang/{wanted.name}:1"

    def trial(wanted: proposed.Wanted, *rest: Any) -> None:
        if fails:
            raise proposed.ProposedError(fails)

    monkeypatch.setattr(proposed, "build", make)
    monkeypatch.setattr(proposed, "smoke", trial)
    return list(build(stack, ROOT))


def test_what_is_approved_is_built_tried_and_offered_once(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = built(monkeypatch, stack)
    assert lines[-1] == "madang/proposed-1:1: offered to class:ai"
    assert stack.store.offered() == {1}
    assert stack.kept[0].who == ("group:class:ai",)
    assert [e.action for e in stack.audit.read()] == ["proposal.offered"]
    assert built(monkeypatch, stack) == []
    one = stack.store.get(1)
    assert one is not None
    assert "offered" in in_words(one)


def test_what_cannot_be_imported_is_not_offered_and_tried_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = built(monkeypatch, stack, "rich: cannot be imported")
    assert ": not offered. rich: cannot be imported" in lines[-1]
    one = stack.store.get(1)
    assert one is not None
    assert (one.state, one.failure) == ("built", "rich: cannot be imported")
    assert stack.kept == []
    assert built(monkeypatch, stack)[-1].endswith("offered to class:ai")
    again = stack.store.get(1)
    assert again is not None
    assert again.failure == ""


def test_what_is_withdrawn_while_it_is_built_is_not_offered(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = build(stack, ROOT)  # type: ignore[arg-type]  # all of a stack that it uses
    monkeypatch.setattr(proposed, "build", lambda *rest: "madang/proposed-1:1")
    next(lines)
    one = stack.store.get(1)
    assert one is not None
    stack.store.step(one, "withdraw", "admin", T0, reason="no")
    assert list(lines) == ["proposed-1: not offered, it is withdrawn now"]
    assert stack.store.offered() == frozenset()


def test_the_image_of_what_was_withdrawn_goes_when_no_container_is_left(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(monkeypatch, stack)
    one = stack.store.get(1)
    assert one is not None
    stack.store.step(one, "withdraw", "admin", T0, reason="no")
    stack.done.clear()
    stack.containers = "c1"
    assert "kept, 1 container" in next(iter(retire(stack)))  # type: ignore[arg-type]  # all of a stack that it uses
    assert stack.done == []
    stack.containers = ""
    assert list(retire(stack)) == ["madang/proposed-1:1: removed, it was withdrawn"]  # type: ignore[arg-type]  # all of a stack that it uses
    assert stack.done == ["environment forget proposed-1", "rmi madang/proposed-1:1"]


# ---- from the command line ------------------------------------------------------------------


def test_proposing_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    places = Places(Settings.model_validate({"data": tmp_path}), "embedded")
    places.hub.mkdir()
    database = Database(places.database_url("hub"))
    Directory(database).save_people([Record("teacher"), Record("kim")])
    Directory(database).set_memberships("teacher", {"class:ai": "mentor"}, "operator")
    Directory(database).set_memberships("kim", {"class:ai": "trainee"}, "operator")
    monkeypatch.setattr(Locker, "lock", lambda *rest: Lock(LOCK, (("rich", "13.0.0"),)))
    parser = argparse.ArgumentParser()
    register(lambda name, run: parser)

    def run(files: dict[str, str | bytes], who: str = "teacher", title: str = "Graphs") -> int:
        words = ["propose", "x/c.zip", "--team=class:ai", f"--as={who}", "--title-ko=그래프"]
        words += [f"--title-en={title}", "--purpose-ko=분석", "--purpose-en=Analysis"]
        return propose(parser.parse_args(words), places, ROOT, zipped(files), T0)

    assert run({"requirements.txt": "rich"}) == 0
    assert "number 1" in capsys.readouterr().out
    one = Proposals(database).get(1)
    assert one is not None
    assert (one.author, one.source["name"], one.lock) == ("teacher", "c.zip", LOCK)
    with pytest.raises(TeamEnvironmentError, match="is no mentor"):
        run({"requirements.txt": "rich"}, "kim")
    with pytest.raises(TeamEnvironmentError, match=r"requirements\.txt:1: .*folder"):
        run({"requirements.txt": "-e ."})
    with pytest.raises(TeamEnvironmentError, match="both languages"):
        run({"requirements.txt": "rich"}, title="")
    assert len(Proposals(database).read()) == 1
    database.close()


# ---- the try in the new image ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "status", "says"),
    [
        (["aiohttp", "pyyaml", "packaging"], 0, ""),
        ([], 0, ""),
        (["aiohttp", "no-such-package"], 1, "no-such-package: cannot be imported"),
    ],
)
def test_the_try_imports_what_was_asked_for(names: list[str], status: int, says: str) -> None:
    """As the container runs it: by stdin, names as arguments (``pyyaml`` is imported as ``yaml``)."""
    done = subprocess.run(
        [sys.executable, "-", *names],
        input=(ROOT / "images" / "proposed" / "smoke.py").read_text("utf-8"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, says in done.stdout) == (status, True), done.stderr
