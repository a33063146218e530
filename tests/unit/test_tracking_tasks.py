"""What is said and kept apart when deleted runs are cleared, and the tables of the operator's commands."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub import tracking_commands
from madang_hub.people.directory import Person
from madang_hub.tracking import workspace_of_team
from madang_mlflow import clearing, handed, workspaces
from madang_mlflow.storage import path_of


@pytest.mark.parametrize(
    ("age", "milliseconds"),
    [("30d", 30 * 86_400_000), ("12h", 43_200_000), ("1d12h5m", 129_900_000), ("0d", 0)],
)
def test_ages(age: str, milliseconds: int) -> None:
    assert clearing.milliseconds(age) == milliseconds


@pytest.mark.parametrize("age", ["", "30", "d", "-1d", "1.5d", "1d ", "30d --yes"])
def test_what_is_no_age_is_refused(age: str) -> None:
    with pytest.raises(clearing.ClearingError, match="write 30d"):
        clearing.milliseconds(age)


def test_a_place_of_the_workspace() -> None:
    uri = "mlflow-artifacts:/workspaces/u-ann/1/abc/artifacts"
    assert path_of(uri, "u-ann") == "workspaces/u-ann/1/abc/artifacts"


@pytest.mark.parametrize(
    "uri",
    [
        "mlflow-artifacts:/workspaces/u-ben/1/abc/artifacts",
        "mlflow-artifacts:/workspaces/u-ann",
        "mlflow-artifacts:/workspaces/u-ann/",
        "mlflow-artifacts:/workspaces/u-ann/../u-ben/1",
        "mlflow-artifacts:/workspaces/u-ann/1//x",
        "mlflow-artifacts:/workspaces/u-ann2/1/x",
        "mlflow-artifacts:/1/abc/artifacts",
        "mlflow-artifacts://host/workspaces/u-ann/1",
        "s3://bucket/workspaces/u-ann/1",
        "mlflow-artifacts://workspaces/u-ann/1",
        "/workspaces/u-ann/1",
        "workspaces/u-ann/1",
        "",
    ],
)
def test_nothing_outside_is_ever_removed(uri: str) -> None:
    with pytest.raises(ValueError, match="not a place"):
        path_of(uri, "u-ann")


@given(st.text(alphabet="./\\abu-n:", max_size=30))
def test_no_address_leads_out(text: str) -> None:
    try:
        path = path_of(f"mlflow-artifacts:/{text}", "u-ann")
    except ValueError:
        return
    assert path.startswith("workspaces/u-ann/")
    assert ".." not in path.split("/")


def test_the_table_and_the_sentence() -> None:
    one = {"workspace": "u-ann", "runs": 12, "deleted": 3, "bytes": 2_500_000_000}
    full = {**one, "limit": 20_000_000_000, "last": 1_700_000_000.0}
    never = {**one, "workspace": "g-crew", "limit": 0, "last": 0}
    zone = ZoneInfo("Asia/Seoul")
    rows = [(*tracking_commands.row(one, zone), "ann (ended)") for one in (full, never)]
    lines = tracking_commands.table(rows)
    assert lines[1].split()[:6] == ["u-ann", "12", "3", "2.500", "20", "2023-11-15"]
    assert lines[2].split()[:6] == ["g-crew", "12", "3", "2.500", "-", "-"]
    assert all(line.endswith("ann (ended)") for line in lines[1:])
    due = {
        **{"workspace": "u-ann", "runs": ["a"], "models": [], "experiments": [], "bytes": 10**9},
        **{"registered": ["net/1"], "error": ""},
    }
    text = tracking_commands.cleared(due, done=False)
    assert text.startswith("u-ann: 1 runs, 0 models, 0 experiments, 1.000 GB")
    assert "net/1" in text
    assert "net/1" not in tracking_commands.cleared(due, done=True)
    assert "boom" in tracking_commands.cleared({**due, "error": "boom"}, done=True)


# ---- handing over -----------------------------------------------------------------------------

GONE = Person("ann", ended=datetime(2026, 1, 2, tzinfo=UTC), ended_why="removed")
TODAY = date(2026, 2, 1)
GRANT = handed.Grant("u-ann", "ben", "ann", "2026-03-01T00:00:00+00:00")


def test_only_what_was_somebodys_whose_access_has_ended_is_handed_over() -> None:
    ben = Person("ben")
    assert tracking_commands.refusal(GONE, ben, TODAY) == ""
    expired = Person("ann", expires=date(2026, 1, 1))
    assert tracking_commands.refusal(expired, ben, TODAY) == ""
    for owner, to in ((None, ben), (Person("ann"), ben), (GONE, None), (GONE, GONE)):
        assert tracking_commands.refusal(owner, to, TODAY)


def test_what_is_handed_over_can_be_read_and_nothing_else() -> None:
    given = workspaces.access("ben", ["team:x"], None, {"u-ann": "ann"})
    assert given.rights == {
        "u-ben": workspaces.Right.WRITE,
        "g-x": workspaces.Right.WRITE,
        "u-ann": workspaces.Right.READ,
    }
    # and never lessens a right
    own = workspaces.access("ann", [], None, {"u-ann": "ann"})
    assert own.rights["u-ann"] is workspaces.Right.WRITE


def test_the_file_is_read_anew_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / handed.NAME
    asked = handed.Handed(path, clock=lambda: 0.0)
    assert asked.of("ben") == {}
    handed.save(path, [GRANT])
    assert asked.of("ben") == {"u-ann": "ann"}
    assert asked.of("carl") == {}
    assert path.stat().st_mode & 0o777 == 0o600
    handed.save(path, handed.without(handed.load(path), "u-ann", "ben"))
    assert asked.of("ben") == {}
    handed.save(path, [GRANT])
    assert asked.of("ben")
    path.unlink()
    assert asked.of("ben") == {}


def test_it_ends_by_itself(tmp_path: Path) -> None:
    path, end = tmp_path / handed.NAME, datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    handed.save(path, [GRANT])
    assert handed.Handed(path, clock=lambda: end - 1).of("ben") == {"u-ann": "ann"}
    assert handed.Handed(path, clock=lambda: end).of("ben") == {}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}x",
        '[{"workspace": "u-ann"}]',
        '[{"workspace": "g-crew", "to": "ben", "title": "", "until": "2026-03-01T00:00:00+00:00"}]',
        '[{"workspace": "default", "to": "ben", "title": "", "until": "2026-03-01T00:00:00+00:00"}]',
        '[{"workspace": "u-ann/..", "to": "ben", "title": "", "until": "2026-03-01T00:00:00+00:00"}]',
        '[{"workspace": "u-ann", "to": "", "title": "", "until": "2026-03-01T00:00:00+00:00"}]',
        '[{"workspace": "u-ann", "to": 1, "title": "", "until": "2026-03-01T00:00:00+00:00"}]',
        '[{"workspace": "u-ann", "to": "ben", "title": "", "until": "2026-03-01"}]',
        '[{"workspace": "u-ann", "to": "ben", "title": "", "until": "soon"}]',
    ],
)
def test_a_damaged_file_hands_nothing_over(tmp_path: Path, text: str) -> None:
    with pytest.raises(handed.HandedError):
        handed.parse(text)
    path = tmp_path / handed.NAME
    handed.save(path, [GRANT])
    asked = handed.Handed(path, clock=lambda: 0.0)
    assert asked.of("ben")
    path.write_text(text)
    assert asked.of("ben") == {}


def test_one_grant_for_two() -> None:
    later = handed.Grant("u-ann", "ben", "ann", "2026-04-01T00:00:00+00:00")
    assert handed.with_one([GRANT], later) == [later]
    assert handed.parse(handed.write([GRANT])) == [GRANT]


@given(st.text(min_size=1, max_size=80))
def test_a_teams_workspace_has_one_name_in_both_packages(name: str) -> None:
    assert workspace_of_team(f"team:{name}") == workspaces.shared_by(f"team:{name}")
    assert workspace_of_team(f"class:{name}") == ""
