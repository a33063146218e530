"""Which workspaces somebody may use, and which one a request means."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub import permissions
from madang_hub.people.roles import MENTORS
from madang_hub.tracking import workspace_of
from madang_mlflow import workspaces
from madang_mlflow.bodies import RefusedBodyError, checked, models_in, names_models
from madang_mlflow.classes import Classes
from madang_mlflow.handed import Handed
from madang_mlflow.identity import READS_ALL, HubUnreachableError, Identity, Times
from madang_mlflow.oversight import Entrances, widened
from madang_mlflow.routes import CLIENT_AND_UI, changes
from madang_mlflow.workspaces import Right

# as MLflow's WorkspaceNameValidator has it
MLFLOW_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)

names = st.text(min_size=1, max_size=80) | st.text("ab-", min_size=1, max_size=70)
people = st.sampled_from(["ann", "ben", "carl", "Ann", "an n", "admin"])
groups = st.frozensets(
    st.sampled_from(
        [
            *("team:crew", "team:x", "class:a", "class:b", "mentor:class:a", "mentor:class:b"),
            *("mentor:team:crew", "admin", "team:", "u-ann", "mentor:mentor:class:a"),
        ]
    )
)
classes = st.dictionaries(st.sampled_from(["class:a", "class:b"]), st.frozensets(people))


@given(names)
def test_every_name_gives_a_name_that_mlflow_allows(name: str) -> None:
    for workspace in (workspaces.home_of(name), workspaces.shared_by(f"team:{name}")):
        assert workspace is not None
        assert 2 <= len(workspace) <= 63
        assert MLFLOW_NAME.fullmatch(workspace)
        assert workspaces.asked_for([workspace.encode()]) == workspace


@given(names, names)
def test_two_names_never_share_a_slug(one: str, other: str) -> None:
    assert (workspaces.slug(one) == workspaces.slug(other)) == (one == other)
    # and nobody can take the name that a hash gave somebody else
    hashed = workspaces.slug(one)
    if hashed != one:
        assert workspaces.slug(hashed) != hashed


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ann", "ann"),
        ("a", "a"),
        ("a-1", "a-1"),
        ("admin", "admin"),
        ("Ann", r"ann--[0-9a-f]{20}"),
        ("ann.lee@example.org", r"ann-lee-example-org--[0-9a-f]{20}"),
        ("지수", r"x--[0-9a-f]{20}"),
        ("a--b", r"a-b--[0-9a-f]{20}"),
        ("-ann", r"ann--[0-9a-f]{20}"),
    ],
)
def test_slugs(name: str, expected: str) -> None:
    assert re.fullmatch(expected, workspaces.slug(name))


@given(names)
def test_hub_and_gate_name_the_same_workspace(name: str) -> None:
    assert workspace_of(name) == workspaces.home_of(name)
    assert MENTORS == workspaces.MENTORS


@given(people, groups, classes)
def test_what_somebody_may_use(
    name: str, held: frozenset[str], in_class: dict[str, frozenset[str]]
) -> None:
    given_ = workspaces.access(name, held, in_class)
    home = workspaces.home_of(name)
    assert given_.home == home
    assert given_.rights[home] is Right.WRITE
    written = {w for w, right in given_.rights.items() if right is Right.WRITE}
    teams = {g.removeprefix("team:") for g in held if g.startswith("team:") and g != "team:"}
    assert written == {home, *(f"g-{team}" for team in teams)}
    taught = {c for c in in_class if f"mentor:{c}" in held}
    read = {workspaces.home_of(person) for c in taught for person in in_class[c]}
    if "mentor:team:crew" in held:
        read.add("g-crew")
    assert set(given_.rights) == written | read
    assert "default" not in given_.rights
    assert set(given_.titles) == set(given_.rights)
    assert workspaces.listing(given_)[0]["name"] == home
    assert {item["name"] for item in workspaces.listing(given_)} == set(given_.rights)


def test_the_workspace_of_a_request() -> None:
    ann = workspaces.access("ann", ["team:crew", "mentor:class:a"], {"class:a": ["ben"]})
    assert workspaces.chosen(None, ann) == ("u-ann", Right.WRITE)
    assert workspaces.chosen("g-crew", ann) == ("g-crew", Right.WRITE)
    assert workspaces.chosen("u-ben", ann) == ("u-ben", Right.READ)
    for name in ("u-carl", "default", "g-x"):
        with pytest.raises(workspaces.ForeignWorkspaceError):
            workspaces.chosen(name, ann)
    assert workspaces.asked_for([]) is None
    assert workspaces.asked_for([b""]) is None


@pytest.mark.parametrize(
    "values",
    [
        [b"u-ann", b"u-ann"],
        [b"", b""],
        [b"U-ANN"],
        [b"u-ann, u-ben"],
        [b"u-ann\n"],
        [b" "],
        [b"a"],
        [b"a" * 64],
        ["u-한".encode()],
        [b"u-\xff"],
        [b"-a"],
    ],
)
def test_odd_headers(values: list[bytes]) -> None:
    with pytest.raises(workspaces.OddWorkspaceError):
        workspaces.asked_for(values)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/2.0/mlflow/runs/get", False),
        ("HEAD", "/", False),
        ("POST", "/graphql", False),
        ("POST", "/ajax-api/2.0/mlflow/runs/search", False),
        ("POST", "/api/2.0/mlflow/experiments/search-datasets", False),
        ("POST", "/api/3.0/mlflow/traces/search", False),
        ("POST", "/api/3.0/mlflow/traces", True),
        ("POST", "/api/2.0/mlflow/runs/search/x", True),
        ("POST", "/api/2.0/mlflow/runs/log-metric", True),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/x", True),
        ("DELETE", "/api/3.0/mlflow/traces/search", True),
        ("OPTIONS", "/graphql", True),
    ],
)
def test_what_changes_something(method: str, path: str, expected: bool) -> None:
    assert changes(method, path) is expected


def test_all_that_reads_by_post_is_written_here() -> None:
    posts = [line.removeprefix("POST ") for line in CLIENT_AND_UI if line.startswith("POST ")]
    assert [path for path in posts if not changes("POST", "/api" + path)] == [
        "/2.0/mlflow/experiments/search",
        "/2.0/mlflow/runs/search",
        "/2.0/mlflow/logged-models/search",
        "/2.0/mlflow/registered-models/get-latest-versions",
        "/3.0/mlflow/traces/batchGetInfos",
        "/3.0/mlflow/traces/calculate-filter-correlation",
        "/3.0/mlflow/traces/metrics",
        "/3.0/mlflow/traces/search",
        "/3.0/mlflow/datasets/search",
    ]


def test_models_in_metrics_are_found() -> None:
    assert names_models("POST", "/ajax-api/2.0/mlflow/runs/log-batch")
    assert not names_models("POST", "/api/2.0/mlflow/runs/log-inputs")
    assert models_in(b'{"key": "loss", "value": 1}') == frozenset()
    assert models_in(b'{"metrics": [{"modelId": "m-1"}, {"model_id": "m-2"}]}') == {"m-1", "m-2"}
    assert models_in(b'{"model_id": "m-1", "model_id": ""}') == {"m-1"}
    assert models_in(b'{"m\\u006fdel_id": "m-1"}') == {"m-1"}
    assert models_in(b'"{\\"model_id\\": \\"m-1\\"}"') == {"m-1"}
    for body in ('{"model_id": "m-1"}'.encode("utf-16-le"), b'{"model', b'"{model'):
        with pytest.raises(RefusedBodyError):
            models_in(body)


def test_assessments_are_numbered_by_the_server() -> None:
    body = b'{"trace": {"trace_info": {"assessments": [{"assessmentId": "a-1", "x": 1}]}}}'
    assert checked(body) == b'{"trace": {"trace_info": {"assessments": [{"x": 1}]}}}'


async def test_classes_are_asked_once_and_forgotten_in_time() -> None:
    now, asked, away = 0.0, 0, False

    async def ask(name: str) -> frozenset[str]:
        nonlocal asked
        asked += 1
        if away:
            raise HubUnreachableError("away")
        return frozenset({"ben"})

    times = Times(fresh=60, stale=600, breaker=10)
    known = Classes(ask, times, clock=lambda: now)
    for _ in range(3):
        assert await known.people(["class:a"]) == {"class:a": {"ben"}}
    assert asked == 1
    now, away = 61.0, True
    assert await known.people(["class:a"]) == {"class:a": {"ben"}}
    assert await known.people(["class:b"]) == {"class:b": frozenset()}
    assert asked == 2  # the breaker holds
    now = 600.0
    assert await known.people(["class:a"]) == {"class:a": frozenset()}


def test_hub_and_gate_name_the_same_scope() -> None:
    assert READS_ALL == permissions.TRACKING_ADMIN


def test_an_admin_sees_what_is_there_beside_the_own() -> None:
    before = workspaces.access("kim", ["team:x"])
    found = widened(before, ["default", "u-kim", "g-x", "u-lee"])
    assert {n for n, r in found.rights.items() if r is Right.WRITE} == {"u-kim", "g-x"}
    assert {n for n, r in found.rights.items() if r is Right.READ} == {"default", "u-lee"}
    assert found.seen == {"default", "u-lee"}
    assert next(item["name"] for item in workspaces.listing(found)) == "u-kim"
    assert found.titles["u-kim"] == "kim"
    assert widened(before, []).rights == before.rights


class Everything:
    """All workspaces, and how often they were asked for."""

    asked = 0

    async def names(self) -> frozenset[str]:
        self.asked += 1
        return frozenset({"default", "u-lee"})


@pytest.mark.parametrize(
    ("reads_all", "wanted", "asked", "open_"),
    [
        (True, "u-lee", 1, True),
        (True, None, 1, True),
        (True, "u-kim", 0, False),
        (False, "u-lee", 0, False),
    ],
)
async def test_workspaces_are_listed_only_for_an_admin_who_looks_elsewhere(
    reads_all: bool, wanted: str | None, asked: int, open_: bool
) -> None:
    store = Everything()
    entrances = Entrances(Classes(nobody, Times()), store, Handed(None))
    caller = Identity("kim", "user", may_enter=True, reads_all=reads_all)
    found = await entrances.of(caller, wanted)
    assert store.asked == asked
    assert ("u-lee" in found.rights) == open_


async def test_what_an_admin_looks_at_is_noted_once_an_hour(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    entrances = Entrances(
        Classes(nobody, Times()), Everything(), Handed(None), clock=lambda: now[0]
    )
    caller = Identity("kim", "user", may_enter=True, reads_all=True)
    for now[0], noted in ((0.0, 1), (3599.0, 1), (3600.0, 2)):
        for wanted in ("u-lee", "u-nobody", "u-kim", None):
            await entrances.of(caller, wanted)
        assert caplog.messages.count("kim looks at the workspace u-lee as an admin.") == noted
        assert len(caplog.messages) == noted


async def nobody(group: str) -> frozenset[str]:
    raise AssertionError(group)
