"""Settings: from file and environment, checked, and the same after a round trip."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from madang_hub.settings import Settings, SettingsError, read_env_file
from madang_hub.user_server import index_environment


def test_nothing_has_to_be_set(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, {})
    assert settings.port == 8000
    assert settings.url == "http://localhost:8000"


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "madang.env").write_text('# a comment\nMADANG_PORT=9000\nMADANG_ADMIN="kim"\n')
    settings = Settings.load(tmp_path, {"MADANG_PORT": "9001", "MADANG_ROOT": "/elsewhere"})
    assert (settings.port, settings.admin) == (9001, "kim")


def test_settings_survive_a_round_trip(tmp_path: Path) -> None:
    given = {
        "MADANG_DATA": "/tmp/x",
        "MADANG_ALLOW_NETWORKS": "10.1.0.0/16, 10.2.0.0/16",
        "MADANG_PUBLIC_URL": "https://madang.example.org",
        "MADANG_ALLOW_SHARED_ACCOUNT": "yes",
    }
    settings = Settings.load(tmp_path, given)
    assert settings.allow_networks == (IPv4Network("10.1.0.0/16"), IPv4Network("10.2.0.0/16"))
    assert settings.url == "https://madang.example.org"
    assert Settings.load(tmp_path, settings.environ()) == settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MADANG_PORT", "90000"),
        ("MADANG_PORT", "8081"),
        ("MADANG_MODE", "cluster"),
        ("MADANG_NETWORK", "10.0.0.0/30"),
        ("MADANG_PUBLIC_URL", "madang.example.org"),
        ("MADANG_INSTANCE", "Two Words"),
        ("MADANG_ALLOW_NETWORKS", "everything"),
        ("MADANG_PACKAGE_INDEX", "mirror.example.org/simple"),
        ("MADANG_PACKAGE_INDEX", "file:///srv/simple"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        Settings.load(tmp_path, {name: value})
    assert (
        name in str(wrong.value) or "must differ" in str(wrong.value) or "/29" in str(wrong.value)
    )


def test_pip_and_uv_are_told_of_the_sites_index() -> None:
    assert index_environment("") == {}
    address = "https://mirror.example.org/pypi/simple"
    assert index_environment(address) == {"PIP_INDEX_URL": address, "UV_DEFAULT_INDEX": address}
    plain = index_environment("http://10.1.2.3:3141/root/pypi/+simple/")
    assert plain["PIP_TRUSTED_HOST"] == "10.1.2.3"


def test_a_wrong_line_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "madang.env").write_text("MADANG_PORT=1\nnonsense\n")
    with pytest.raises(SettingsError, match=r"madang\.env:2"):
        read_env_file(tmp_path / "madang.env")
    (tmp_path / "madang.env").write_text("MADANG_PROT=1\n")
    with pytest.raises(SettingsError, match="MADANG_PROT"):
        Settings.load(tmp_path, {})
