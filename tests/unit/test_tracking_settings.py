"""The gate's settings: read whole, refused by name."""

from pathlib import Path

import pytest

from madang_mlflow import launch, settings
from madang_mlflow.identity import Times


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    secret = tmp_path / "cookies"
    secret.write_text("a" * 40 + "\n")
    secret.chmod(0o600)
    return {
        "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api",
        "JUPYTERHUB_API_TOKEN": "t" * 32,
        "MADANG_PUBLIC_URL": "https://madang.example.org",
        "MADANG_TRACKING_SECRET_FILE": str(secret),
        "MADANG_TRACKING_BACKEND": "sqlite:////data/mlflow.db",
        "MADANG_TRACKING_ARTIFACTS": "/data/artifacts",
    }


def test_usual_settings(env: dict[str, str]) -> None:
    got = settings.read(env)
    assert got.scope == "access:services!service=mlflow"
    assert got.client_id == "service-mlflow"
    assert got.hub_prefix == "/hub/"
    assert got.secure
    assert got.times == Times()
    assert env["JUPYTERHUB_API_TOKEN"] not in repr(got)
    assert "a" * 40 not in repr(got)


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("JUPYTERHUB_API_URL", "", "JUPYTERHUB_API_URL"),
        ("JUPYTERHUB_API_TOKEN", "", "JUPYTERHUB_API_TOKEN"),
        ("JUPYTERHUB_SERVICE_PREFIX", "/a b/", "JUPYTERHUB_SERVICE_PREFIX"),
        ("MADANG_PUBLIC_URL", "madang", "MADANG_PUBLIC_URL"),
        ("MADANG_PUBLIC_URL", "http://a/b", "MADANG_PUBLIC_URL"),
        ("MADANG_PORT", "0", "MADANG_PORT"),
        ("MADANG_TRACKING_HOSTS", "a,*", "MADANG_TRACKING_HOSTS"),
        ("MADANG_TRACKING_SECRET_FILE", "", "MADANG_TRACKING_SECRET_FILE"),
        ("MADANG_TRACKING_SECRET_FILE", "/nowhere", "MADANG_TRACKING_SECRET_FILE"),
        ("MADANG_TRACKING_FRESH_SECONDS", "nan", "MADANG_TRACKING_FRESH_SECONDS"),
        ("MADANG_TRACKING_STALE_SECONDS", "5", "MADANG_TRACKING_STALE_SECONDS"),
        ("MADANG_TRACKING_PORT", "x", "MADANG_TRACKING_PORT"),
        ("MADANG_TRACKING_WORKERS", "0", "MADANG_TRACKING_WORKERS"),
        ("MADANG_TRACKING_BACKEND", "./mlruns", "MADANG_TRACKING_BACKEND"),
        ("MADANG_TRACKING_ARTIFACTS", "", "MADANG_TRACKING_ARTIFACTS"),
    ],
)
def test_what_is_wrong_is_named(env: dict[str, str], name: str, value: str, named: str) -> None:
    with pytest.raises(settings.SettingsError) as error:
        launch.plan({**env, name: value})
    assert [problem for problem in error.value.problems if problem.startswith(named)]


def test_secret_files_are_private_and_long(env: dict[str, str]) -> None:
    path = Path(env["MADANG_TRACKING_SECRET_FILE"])
    path.chmod(0o644)
    with pytest.raises(settings.SettingsError, match="chmod o="):
        settings.read(env)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(settings.SettingsError, match="32 random characters"):
        settings.read(env)


def test_only_the_named_file_opens_a_storage(env: dict[str, str], tmp_path: Path) -> None:
    """Keys that a shell or an account of this machine holds are not used."""
    keys = tmp_path / "keys"
    keys.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = hidden\n")
    keys.chmod(0o600)
    shell = {"AWS_SECRET_ACCESS_KEY": "mine", "AWS_PROFILE": "other", "BOTO_CONFIG": "/x"}
    launched = launch.plan(
        {
            **env,
            **shell,
            "MADANG_TRACKING_ARTIFACTS": "s3://runs/madang",
            "MADANG_TRACKING_S3_KEYS_FILE": str(keys),
        }
    )
    assert not {"AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "BOTO_CONFIG"} & set(launched.env)
    assert launched.env["AWS_SHARED_CREDENTIALS_FILE"] == str(keys)
    assert launched.env["AWS_EC2_METADATA_DISABLED"] == "true"
    assert "hidden" not in repr(launched) + " ".join(launched.command)
    assert "madang-s3://runs/madang" in launched.command


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2"])
def test_postgresql_is_asked_by_the_driver_that_is_there(env: dict[str, str], scheme: str) -> None:
    address = "mlflow:p%40ss@/mlflow?host=/run/postgres"
    launched = launch.plan({**env, "MADANG_TRACKING_BACKEND": f"{scheme}://{address}"})
    assert launched.env["MLFLOW_BACKEND_STORE_URI"] == f"postgresql+psycopg2://{address}"


def served(env: dict[str, str]) -> dict[str, str]:
    """The environment as ``mlflow server`` hands it to its workers."""
    return {
        **launch.plan(env).env,
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "MLFLOW_SERVER_ALLOWED_HOSTS": "madang.example.org",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "https://madang.example.org",
    }


def test_the_launch_is_safe_whatever_the_shell_holds(env: dict[str, str]) -> None:
    hostile = {"MLFLOW_ENABLE_AI_GATEWAY": "true", "_MLFLOW_STATIC_PREFIX": "/x"}
    assert settings.unsafe(served({**env, **hostile})) == []
    command = launch.plan(env).command
    assert "sqlite" not in " ".join(command)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert "--static-prefix" not in command


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            (name, "true" if wanted == "false" else "false")
            for name, wanted, _ in settings.INSISTED
        ],
        ("MLFLOW_SERVER_ALLOWED_HOSTS", "*"),
        ("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", ""),
        ("MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX", ""),
        ("MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX", "("),
        ("MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX", "runs:/"),
        ("MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX", ".*"),
    ],
)
def test_each_unsafe_setting_is_named(env: dict[str, str], name: str, value: str) -> None:
    problems = settings.unsafe({**served(env), name: value})
    assert [problem for problem in problems if problem.startswith(name)]


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("_MLFLOW_STATIC_PREFIX", "/x", "--static-prefix"),
        ("_MLFLOW_SGI_NAME", "gunicorn", "uvicorn"),
        ("_MLFLOW_SERVER_SERVE_ARTIFACTS", "", "--serve-artifacts"),
        ("_MLFLOW_SERVER_ARTIFACT_ROOT", "/data", "--default-artifact-root"),
    ],
)
def test_each_unsafe_option_is_named(env: dict[str, str], name: str, value: str, word: str) -> None:
    problems = settings.unsafe({**served(env), name: value})
    assert len(problems) == 1
    assert word in problems[0]


@pytest.mark.parametrize(
    ("url", "host", "known"),
    [
        ("https://madang.example.org", "madang.example.org", True),
        ("https://madang.example.org", "MADANG.example.org", True),
        ("https://madang.example.org", "evil.example", False),
        ("https://madang.example.org", "10.0.0.5:8000", False),
        ("https://madang.example.org", "hub.madang:8000", True),
        ("", "10.0.0.5:8000", True),
        ("", "[::1]:8000", True),
        ("", "10.0.0.5:8001", False),
        ("", "a@10.0.0.5:8000", False),
        ("", "box:8000", True),
        ("", "evil.example:8000", False),
        ("", "10.0.0.5.evil.example:8000", False),
        ("", "", False),
    ],
)
def test_hosts(env: dict[str, str], url: str, host: str, known: bool) -> None:
    got = settings.read({**env, "MADANG_PUBLIC_URL": url}, ["box"])
    assert got.hosts.known(host) is known
