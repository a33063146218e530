"""Where artifacts lie: what the settings must say, and what is said when they do not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_mlflow import storage

SECRET = "not-for-anybody"
KEYS = f"[default]\naws_access_key_id = madang\naws_secret_access_key = {SECRET}\n"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    keys = tmp_path / "keys"
    keys.write_text(KEYS)
    keys.chmod(0o600)
    return {
        "MADANG_TRACKING_ARTIFACTS": "s3://runs/madang",
        "MADANG_TRACKING_S3_KEYS_FILE": str(keys),
        "MADANG_TRACKING_S3_ENDPOINT": "https://storage.example.org/",
    }


def read(env: dict[str, str]) -> tuple[storage.Storage, list[str]]:
    problems: list[str] = []
    return storage.read(env, problems), problems


def test_a_bucket(env: dict[str, str]) -> None:
    found, problems = read(env)
    assert problems == []
    assert found.destination == "madang-s3://runs/madang"
    assert found.place_of("u-ann") == "madang/workspaces/u-ann/"
    assert found.variables["MLFLOW_S3_ENDPOINT_URL"] == "https://storage.example.org"
    assert found.variables["AWS_SHARED_CREDENTIALS_FILE"] == env["MADANG_TRACKING_S3_KEYS_FILE"]
    assert SECRET not in repr(found)


def test_a_whole_bucket_and_a_folder(env: dict[str, str]) -> None:
    whole, problems = read({**env, "MADANG_TRACKING_ARTIFACTS": "s3://runs/"})
    assert problems == []
    assert whole.destination == "madang-s3://runs"
    assert whole.place_of("u-ann") == "workspaces/u-ann/"
    folder, problems = read({"MADANG_TRACKING_ARTIFACTS": "/data/artifacts"})
    assert problems == []
    assert (folder.bucket, folder.variables) == ("", {})
    assert folder.place_of("g-crew") == "/data/artifacts/workspaces/g-crew/"


def test_amazon_needs_no_address(env: dict[str, str]) -> None:
    found, problems = read({**env, "MADANG_TRACKING_S3_ENDPOINT": ""})
    assert problems == []
    assert "MLFLOW_S3_ENDPOINT_URL" not in found.variables


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MADANG_TRACKING_ARTIFACTS", "s3://"),
        ("MADANG_TRACKING_ARTIFACTS", "s3://Runs/x"),
        ("MADANG_TRACKING_ARTIFACTS", "s3://runs//x"),
        ("MADANG_TRACKING_ARTIFACTS", "s3://runs/../x"),
        ("MADANG_TRACKING_ARTIFACTS", "s3://runs/workspaces"),
        ("MADANG_TRACKING_ARTIFACTS", "s3://runs/workspaces/u-ann"),
        ("MADANG_TRACKING_ARTIFACTS", "s3://key:secret@runs/x"),
        ("MADANG_TRACKING_ARTIFACTS", "gs://runs/x"),
        ("MADANG_TRACKING_S3_KEYS_FILE", ""),
        ("MADANG_TRACKING_S3_KEYS_FILE", "/nowhere"),
        ("MADANG_TRACKING_S3_ENDPOINT", "storage.example.org"),
        ("MADANG_TRACKING_S3_ENDPOINT", "https://key:secret@storage.example.org"),
        ("MADANG_TRACKING_S3_REGION", "eu west"),
        ("MADANG_TRACKING_S3_CA_FILE", "/nowhere"),
    ],
)
def test_what_is_wrong_is_named_in_one_sentence(env: dict[str, str], name: str, value: str) -> None:
    _, problems = read({**env, name: value})
    assert len(problems) == 1
    assert problems[0].startswith(name)


@pytest.mark.parametrize(
    "text",
    ["", "madang:secret", "[default]\naws_access_key_id = a\n", KEYS.replace("default", "other")],
)
def test_a_file_without_keys_is_named_and_not_shown(env: dict[str, str], text: str) -> None:
    Path(env["MADANG_TRACKING_S3_KEYS_FILE"]).write_text(text)
    _, problems = read(env)
    assert len(problems) == 1
    assert "[default]" in problems[0]
    assert SECRET not in problems[0]


def test_keys_that_anybody_can_read_are_refused(env: dict[str, str]) -> None:
    Path(env["MADANG_TRACKING_S3_KEYS_FILE"]).chmod(0o644)
    _, problems = read(env)
    assert len(problems) == 1
    assert "chmod o=" in problems[0]


@given(st.text(max_size=40))
def test_no_address_leads_into_anothers_place(text: str) -> None:
    """Whatever is written, what comes out is a plain prefix, or a problem."""
    problems: list[str] = []
    found = storage.read({"MADANG_TRACKING_ARTIFACTS": f"s3://runs/{text}"}, problems)
    if found.bucket:
        assert found.bucket == "runs"
        assert ".." not in found.prefix.split("/")
        assert "" not in found.prefix.split("/") or not found.prefix
        assert storage.WORKSPACES not in found.prefix.split("/")
