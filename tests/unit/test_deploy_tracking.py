"""What the tracking server is told, and what doctor says about where runs' files lie."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from madang_hub.deploy import embedded, tracking_server
from madang_hub.places import Places, storage_keys
from madang_hub.settings import Settings, SettingsError
from madang_mlflow import storage

ROOT = Path(__file__).resolve().parents[2]
BUCKET = {"MADANG_TRACKING_ARTIFACTS": "s3://runs/madang"}


def places(tmp_path: Path, **values: str) -> Places:
    environ = {"MADANG_DATA": str(tmp_path / "data"), **values}
    return Places(Settings.load(tmp_path, environ), "embedded")


def put_keys(given: Places) -> Path:
    given.storage_secrets.mkdir(parents=True)
    path = given.storage_secrets / "keys"
    path.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = hidden\n")
    path.chmod(0o600)
    return path


def answer(code: int, out: str = "", err: str = "") -> tracking_server.Ask:
    def ask(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        assert words == ["storage"]
        return subprocess.CompletedProcess(["start"], code, out, err)

    return ask


def test_the_settings_reach_the_tracking_server(tmp_path: Path) -> None:
    given = places(tmp_path, MADANG_TRACKING_S3_ENDPOINT="https://storage.example.org", **BUCKET)
    keys = put_keys(given)
    problems: list[str] = []
    found = storage.read(embedded.tracking_environment(given, ROOT), problems)
    assert problems == []
    assert found.destination == "madang-s3://runs/madang"
    assert found.variables["AWS_SHARED_CREDENTIALS_FILE"] == str(keys)
    assert found.variables["MLFLOW_S3_ENDPOINT_URL"] == "https://storage.example.org"
    assert "AWS_CA_BUNDLE" not in found.variables
    (given.storage_secrets / "ca.pem").write_text("")
    authority = storage.read(embedded.tracking_environment(given, ROOT), problems)
    assert authority.variables["AWS_CA_BUNDLE"] == str(given.storage_secrets / "ca.pem")
    assert "hidden" not in embedded.supervisor_config(given, ROOT, Path("/proxy"))


def test_without_a_setting_they_lie_in_the_data_folder(tmp_path: Path) -> None:
    given = places(tmp_path)
    problems: list[str] = []
    found = storage.read(embedded.tracking_environment(given, ROOT), problems)
    assert problems == []
    assert found.destination == str(given.tracking / "artifacts")
    assert storage_keys(given) is None
    assert tracking_server.check(given, None).level == "good"


def test_every_variable_of_the_stack_file_reaches_its_container() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    mlflow = text[text.index("\n  mlflow:") :]
    for name in Settings.model_fields:
        if name.startswith("tracking_"):
            assert f"MADANG_{name.upper()}: ${{MADANG_{name.upper()}" in mlflow, name
    start = (ROOT / "mlflow" / "start").read_text(encoding="utf-8")
    assert "/run/secrets/storage/keys" in start
    assert "/secrets/storage:/run/secrets/storage:ro" in mlflow


@pytest.mark.parametrize("content", [None, ""])
def test_missing_keys_are_named_with_the_way_out(tmp_path: Path, content: str | None) -> None:
    given = places(tmp_path, **BUCKET)
    if content is not None:
        put_keys(given).write_text(content)
    with pytest.raises(SettingsError, match="install -D -m 600"):
        storage_keys(given)
    finding = tracking_server.check(given, None)
    assert finding.level == "bad"
    assert str(given.storage_secrets / "keys") in finding.mend


def test_doctor_says_what_the_storage_answered(tmp_path: Path) -> None:
    given = places(tmp_path, **BUCKET)
    put_keys(given)
    assert tracking_server.check(given, None).level == "note"
    assert tracking_server.check(given, answer(0, "fine")).level == "good"
    refused = tracking_server.check(given, answer(1, err="The bucket answered AccessDenied."))
    assert refused.level == "bad"
    assert "AccessDenied" in refused.what


def test_a_task_needs_what_make_up_makes(tmp_path: Path) -> None:
    with pytest.raises(tracking_server.TrackingError, match="make up"):
        tracking_server.in_environment(places(tmp_path), tmp_path)
