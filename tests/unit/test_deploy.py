"""How Madang decides to run, and what it says when it can't."""

from __future__ import annotations

import shlex
import socket
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from supervisor.datatypes import dict_of_key_value_pairs
from supervisor.options import UnhosedConfigParser

from madang_hub.deploy import doctor, embedded
from madang_hub.deploy.engine import EngineFacts, ModeError, decide, look
from madang_hub.deploy.findings import report
from madang_hub.places import Places, ensure_secrets, read_secret
from madang_hub.settings import Settings

GOOD = EngineFacts("/run/docker.sock", "28.0.1", "2.30")
OLD = EngineFacts(
    "/run/docker.sock", "20.10.24", "", "it is 20.10.24 and Madang needs 24.0 or newer"
)
NONE = EngineFacts("/run/docker.sock", trouble="no container engine answers at /run/docker.sock")


@pytest.mark.parametrize(
    ("wanted", "facts", "mode"),
    [
        ("auto", GOOD, "server"),
        ("auto", NONE, "embedded"),
        ("embedded", GOOD, "embedded"),
        ("server", GOOD, "server"),
        ("embedded", OLD, "embedded"),
    ],
)
def test_which_mode(wanted: str, facts: EngineFacts, mode: str) -> None:
    found, why = decide(wanted, facts)
    assert found == mode
    assert why


@pytest.mark.parametrize(("wanted", "facts"), [("server", NONE), ("auto", OLD), ("server", OLD)])
def test_an_engine_that_cannot_serve_is_not_passed_over_in_silence(
    wanted: str, facts: EngineFacts
) -> None:
    with pytest.raises(ModeError) as error:
        decide(wanted, facts)
    assert facts.trouble in str(error.value)


def test_an_engine_that_is_away_does_not_show_people_an_empty_madang() -> None:
    with pytest.raises(ModeError) as error:
        decide("auto", NONE, "server")
    assert NONE.trouble in str(error.value)
    assert "MADANG_MODE=embedded" in str(error.value)
    assert decide("embedded", NONE, "server")[0] == "embedded"
    assert decide("auto", GOOD, "server")[0] == "server"


def test_an_engine_that_is_new_leaves_the_accounts_of_embedded_mode_in_use() -> None:
    mode, why = decide("auto", GOOD, "embedded")
    assert mode == "embedded"
    assert "MADANG_MODE=server" in why
    assert decide("server", GOOD, "embedded")[0] == "server"
    assert decide("auto", NONE, "embedded")[0] == "embedded"


def test_the_data_folder_tells_which_mode_it_was_made_in(tmp_path: Path) -> None:
    places = Places(Settings.load(tmp_path, {"MADANG_DATA": str(tmp_path / "data")}), "server")
    found = [places.made_in]
    places.hub.mkdir(parents=True)
    (places.hub / "hub.sqlite").touch()
    found.append(places.made_in)
    places.postgres.mkdir()
    found.append(places.made_in)
    assert found == [None, "embedded", "server"]


def test_no_engine_is_found_out(tmp_path: Path) -> None:
    facts = look({"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "PATH": "/usr/bin"})
    assert not facts.version
    assert "no container engine answers" in facts.trouble
    assert "on this machine" in look({"DOCKER_HOST": "tcp://10.0.0.1:2375"}).trouble


def subject(tmp_path: Path, facts: EngineFacts = NONE, **values: str) -> doctor.Subject:
    environ = {
        "MADANG_DATA": str(tmp_path / "data"),
        **{f"MADANG_{k}": v for k, v in values.items()},
    }
    root = Path(__file__).resolve().parents[2]
    settings = Settings.load(tmp_path, environ)
    return doctor.Subject(Places(settings, "embedded"), facts, root, running=False)


def test_doctor_names_the_taken_port_and_the_setting(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        text = report(doctor.examine(subject(tmp_path, PORT=port)))
    assert f"MADANG_PORT={port}: another program listens there" in text
    assert "madang.env" in text


def test_doctor_tells_of_an_engine_too_old(tmp_path: Path) -> None:
    text = report(doctor.examine(subject(tmp_path, OLD)))
    assert "20.10.24" in text
    assert "→" in text


def test_doctor_tells_of_a_small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.NEED_FREE, "embedded", 2**60)
    findings = doctor.examine(subject(tmp_path))
    assert any(f.level == "bad" and "GiB are needed" in f.what for f in findings)


@pytest.mark.parametrize(
    ("route", "meets"),
    [
        (("default", "eth0"), False),
        (("10.213.4.0/24", "eth1"), True),
        (("10.0.0.0/8", "vpn0"), True),
        (("10.213.0.8/29", "mdg1"), False),
        (("192.168.1.0/24", "eth0"), False),
        (("10.213.1.7", "tun0"), True),
    ],
)
def test_which_routes_meet_the_range(route: tuple[str, str], meets: bool) -> None:
    assert bool(doctor.overlapping(IPv4Network("10.213.0.0/20"), [route], "mdg")) == meets


def test_secrets_are_private_and_stay(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = ensure_secrets(folder)
    before = {name: read_secret(folder, name) for name in made}
    assert len(set(before.values())) == len(made)
    assert ensure_secrets(folder) == []
    assert {name: read_secret(folder, name) for name in made} == before
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all((folder / name).stat().st_mode & 0o777 == 0o600 for name in made)


def test_embedded_mode_listens_on_loopback_unless_told_twice(tmp_path: Path) -> None:
    once = subject(tmp_path, BIND="0.0.0.0").places
    with pytest.raises(embedded.EmbeddedError, match="MADANG_ALLOW_SHARED_ACCOUNT"):
        embedded.check(once)
    embedded.check(subject(tmp_path, BIND="0.0.0.0", ALLOW_SHARED_ACCOUNT="1").places)
    embedded.check(subject(tmp_path).places)


def test_no_secret_is_written_into_the_supervisor_configuration(tmp_path: Path) -> None:
    places = subject(tmp_path).places
    made = ensure_secrets(places.secrets)
    text = embedded.supervisor_config(places, tmp_path, Path("/proxy"))
    for name in made:
        assert read_secret(places.secrets, name) not in text


@pytest.mark.parametrize(
    "text", ["가반=class:a trainee ; b=admin", "a \"b\" 'c' #d", "50%; \\n", "x=y", " ;#; # "]
)
def test_settings_of_any_characters_reach_the_processes(tmp_path: Path, text: str) -> None:
    """supervisord reads its own file; what it would start gets the text character for character."""
    given = subject(tmp_path, SIGN_IN_NAME=text).places
    ensure_secrets(given.secrets)
    parser = UnhosedConfigParser()
    parser.expansions = {}
    parser.read_string(embedded.supervisor_config(given, tmp_path, Path("/proxy")))
    for program in ("proxy", "hub", "mlflow"):
        section = f"program:{program}"
        words = shlex.split(parser.saneget(section, "command"))
        found = dict_of_key_value_pairs(parser.saneget(section, "environment"))
        found |= dict(word.split("=", 1) for word in words if word.startswith("MADANG_"))
        assert found["MADANG_SIGN_IN_NAME"] == text
