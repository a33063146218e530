"""The list of open routes, and the bodies that are looked at."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_mlflow import bodies
from madang_mlflow.routes import CLIENT_AND_UI, FILES, PAGES, UI_ONLY, AllowList, allow_list

ROUTES = allow_list()


@pytest.mark.parametrize(
    ("method", "path", "is_open"),
    [
        ("GET", "/", True),
        ("HEAD", "/", True),
        ("POST", "/", False),
        ("POST", "/api/2.0/mlflow/runs/create", True),
        ("GET", "/api/2.0/mlflow/runs/create", False),
        ("POST", "/ajax-api/2.0/mlflow/runs/create", True),
        ("POST", "/api/2.0/mlflow/runs/create/", False),
        ("POST", "/api/2.0/mlflow/runs/new-thing", False),
        ("POST", "/api/2.0/mlflow/upload-artifact", False),
        ("POST", "/ajax-api/2.0/mlflow/upload-artifact", True),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/2/a b/마당.txt", True),
        ("GET", "/api/2.0/mlflow/logged-models/m-1", True),
        ("GET", "/api/2.0/mlflow/logged-models/m-1/secret", False),
        ("GET", "/static-files/static/js/main.js", True),
        ("GET", "/graphql", False),
        ("POST", "/graphql", True),
        ("POST", "/v1/traces", False),
        ("GET", "/metrics", False),
        ("OPTIONS", "/", False),
        ("TRACE", "/", False),
    ],
)
def test_open(method: str, path: str, is_open: bool) -> None:
    assert ROUTES.open(method, path) is is_open


def test_every_line_is_written_once_and_well() -> None:
    for table in (PAGES, CLIENT_AND_UI, UI_ONLY):
        assert len(set(table)) == len(table)
        for line in table:
            method, path = line.split(" ")
            assert method in ("GET", "POST", "PUT", "PATCH", "DELETE")
            assert path.startswith("/")


@given(st.sampled_from(["GET", "POST", "PUT", "DELETE"]), st.text())
def test_an_empty_list_is_closed(method: str, path: str) -> None:
    assert not AllowList([]).open(method, path)


@given(st.text(alphabet="ab/\n.", min_size=1))
def test_one_segment_is_one_segment(text: str) -> None:
    routes = AllowList(["GET /x/{id}/y"])
    assert routes.open("GET", f"/x/{text}/y") == ("/" not in text)


def test_files_of_users_are_known() -> None:
    for path in ("/get-artifact", "/api/2.0/mlflow-artifacts/artifacts/1/x.html"):
        assert FILES.fullmatch(path)
    assert not FILES.fullmatch("/")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/api/2.0/mlflow/experiments/create", True),
        ("POST", "/ajax-api/2.0/mlflow/experiments/create", True),
        ("PATCH", "/api/3.0/mlflow/traces/tr-1/tags", True),
        ("POST", "/api/3.0/mlflow/traces", True),
        ("PATCH", "/api/2.0/mlflow/traces/tr-1", True),
        ("GET", "/api/2.0/mlflow/traces", False),
        ("POST", "/api/2.0/mlflow/runs/log-metric", False),
    ],
)
def test_which_bodies_are_looked_at(method: str, path: str, expected: bool) -> None:
    assert bodies.looked_at(method, path) is expected


locations = st.sampled_from(["artifact_location", "artifactLocation", "ARTIFACT_LOCATION"])
plain = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), plain, max_size=3), locations, st.text(min_size=1))
def test_a_location_is_refused_wherever_it_stands(
    content: dict[str, object], key: str, value: str
) -> None:
    assert json.loads(bodies.checked(json.dumps(content).encode())) == content
    for bad in ({**content, key: value}, {"trace": [content, {key: value}]}):
        text = json.dumps(bad)
        for body in (text, json.dumps(text)):
            with pytest.raises(bodies.RefusedBodyError):
                bodies.checked(body.encode())


@pytest.mark.parametrize("body", [b"[]", b"1", b"{", b"\xff", b'"["', b"[" * 100_000])
def test_other_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(bodies.RefusedBodyError):
        bodies.checked(body)


def test_the_tag_is_refused() -> None:
    for content in (
        {"key": "mlflow.artifactLocation", "value": "/etc"},
        {"trace": {"trace_info": {"tags": {"mlflow.artifactLocation": "/etc"}}}},
        {"tags": [{"key": "mlflow.artifactLocation", "value": "x"}]},
    ):
        with pytest.raises(bodies.RefusedBodyError):
            bodies.checked(json.dumps(content).encode())
