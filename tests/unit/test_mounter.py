"""The mounter's rules, and its place among the stack's parts."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import missing
from hypothesis import given
from hypothesis import strategies as st

from madang_hub import homes, user_container
from madang_hub.catalog import Catalog
from madang_hub.deploy import server
from madang_hub.mounter import rules
from madang_hub.mounter.rules import RefusedError, Request
from madang_hub.places import Places
from madang_hub.settings import Settings
from madang_hub.warm.names import SLOT, slot_name

NAMES = st.text().map(homes.slug).filter(rules.HOME.fullmatch)
WORDS = st.sampled_from(["home", "slot", "kim", "0123456789abcdef", "..", "a/b", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@given(NAMES, st.from_regex(SLOT, fullmatch=True))
def test_a_request_is_read_as_it_was_sent(home: str, slot: str) -> None:
    text = rules.packet(Request(home, slot))
    assert len(text) <= rules.MAX_PACKET
    assert rules.read(text) == Request(home, slot)


def test_the_longest_request_fits() -> None:
    assert len(rules.packet(Request("-" * 255, slot_name()))) < rules.MAX_PACKET


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_a_good_request_or_refused(text: bytes) -> None:
    try:
        found = rules.read(text)
    except RefusedError:
        return
    assert rules.HOME.fullmatch(found.home)
    assert SLOT.fullmatch(found.slot)
    assert json.loads(text) == {"home": found.home, "slot": found.slot}


@given(NAMES)
def test_a_homes_name_is_one_folder_and_never_leads_away(name: str) -> None:
    assert Path("/homes", name).resolve() == Path("/homes") / name


@pytest.mark.parametrize(
    "text",
    [
        b'{"home": "kim", "home": "kim", "slot": "0123456789abcdef"}',
        b'{"home": "kim", "slot": "0123456789abcdef", "slot": "0123456789abcdef"}',
        b'[["home", "kim"], ["slot", "0123456789abcdef"]]',
        b'{"home": {"home": "kim"}, "slot": "0123456789abcdef"}',
        '{"home": "kim", "slot": "0123456789abcdef"}'.encode("utf-16"),
        b"[" * 1000,
    ],
)
def test_two_ways_to_read_a_request_are_none(text: bytes) -> None:
    with pytest.raises(RefusedError):
        rules.read(text)


@given(st.text(min_size=1))
def test_a_refusal_arrives_as_it_was_meant(sentence: str) -> None:
    assert rules.reason(rules.answer(sentence)) == sentence


def test_only_a_mounted_home_is_one() -> None:
    assert rules.reason(rules.answer()) == ""
    for text in (
        b"",
        b"{}",
        b"[]",
        b"{",
        b'{"mounted": 0}',
        b'{"refused": ""}',
        b'{"mounted": 1, "refused": ""}',
    ):
        assert rules.reason(text) != "", text


LINE = "{number} 1 0:26 / {place} rw,relatime {tags}- tmpfs tmpfs rw"


@given(
    st.integers(1, 2**31),
    st.sampled_from(["", "shared:1 ", "master:3 ", "shared:7 master:3 ", "master:3 propagate_from:1 "]),
    st.sampled_from(["/home/madang", "/shared:1", "/-", "/a\\040b"]),
    st.lists(st.integers(2**31 + 1, 2**32)),
)  # fmt: skip
def test_what_is_shared_is_seen_in_its_own_line(
    number: int, tags: str, place: str, others: list[int]
) -> None:
    lines = [LINE.format(number=n, place="/", tags="shared:1 ") for n in others]
    text = "\n".join([*lines, LINE.format(number=number, place=place, tags=tags), ""]).encode()
    assert rules.is_private(text, number) == ("shared" not in tags)
    assert not rules.is_private(text, 2**33), "nobody says so"


def test_what_is_written_twice_is_the_same() -> None:
    """The mounter loads nothing of Madang but its own and the names of warm servers."""
    assert rules.HOME_PLACE == user_container.HOME
    assert rules.OWNER == homes.USER_UID


def test_it_loads_little() -> None:
    code = "import json, sys, madang_hub.mounter.__main__; print(json.dumps([*sys.modules]))"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    without = subprocess.run(
        [sys.executable, "-c", "import json, sys; print(json.dumps([*sys.modules]))"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    loaded = set(json.loads(said)) - set(json.loads(without))
    own = {name for name in loaded if name.startswith("madang_hub")}
    assert {n.partition(".")[0] for n in loaded - own} <= sys.stdlib_module_names
    assert {n for n in own if not n.startswith("madang_hub.mounter")} == {
        "madang_hub",
        "madang_hub.warm",
        "madang_hub.warm.names",
    }


def test_its_folders_are_closed(root: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        missing("the right to give files away (root)")
    places = Places(Settings.load(tmp_path, {"MADANG_DATA": str(tmp_path / "data")}), "server")
    for folder in (places.dashboards, places.snapshots):
        # as an earlier version made them
        folder.mkdir(mode=0o755, parents=True)
    server.prepare(places, Catalog.load(root / "images" / "images.toml"), {}, datetime.now(UTC))
    folders = (places.dashboards, *places.folders())
    modes = {f: stat.S_IMODE(f.stat().st_mode) for f in folders}
    # containers that wait have one folder below each; nobody lists the others
    assert modes[places.warm_slots] == modes[places.run] == 0o711
    assert modes[places.mounter_socket.parent] == 0o700
    # nor does anybody of the machine list what people publish
    assert modes[places.dashboards] == modes[places.snapshots] == 0o711


# ---- in the stack ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stack(root: Path) -> dict[str, Any]:
    text = (root / "docker-compose.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text.replace("${MADANG_DATA}", "/srv/madang"))
    return found["services"]  # type: ignore[no-any-return]  # YAML has no types


def test_it_may_mount_and_nothing_else(stack: dict[str, Any]) -> None:
    part = stack["mounter"]
    assert part["network_mode"] == "none"
    assert part["read_only"] is True
    assert part["cap_drop"] == ["ALL"]
    assert part["cap_add"] == ["SYS_ADMIN", "SYS_CHROOT"]
    assert part["security_opt"] == ["no-new-privileges:true", "apparmor:unconfined"]
    assert not set(part) & {
        "environment",
        "privileged",
        "pid",
        "devices",
        "depends_on",
        "group_add",
    }


def test_it_sees_homes_slots_and_its_socket_where_they_are(
    stack: dict[str, Any], tmp_path: Path
) -> None:
    places = Places(Settings.load(tmp_path, {"MADANG_DATA": "/srv/madang"}), "server")
    part = stack["mounter"]
    command = part["command"]
    assert command[:3] == ["python", "-m", "madang_hub.mounter"]
    assert command[3:] == [
        f"--homes={places.homes}",
        f"--slots={places.warm_slots}",
        f"--socket={places.mounter_socket}",
    ]
    volumes = {volume.split(":")[0]: volume.split(":", 1)[1] for volume in part["volumes"]}
    assert volumes == {
        str(places.homes): str(places.homes),
        str(places.warm_slots): f"{places.warm_slots}:ro",
        str(places.mounter_socket.parent): str(places.mounter_socket.parent),
    }
    for folder in volumes:
        assert Path(folder) in places.folders(), "made before anything starts"


def test_it_runs_only_where_warm_servers_are_on(stack: dict[str, Any], tmp_path: Path) -> None:
    assert stack["mounter"]["deploy"] == {"replicas": "${MADANG_WARM:?}"}
    for value in ("0", "1"):
        assert Settings.load(tmp_path, {"MADANG_WARM": value}).environ()["MADANG_WARM"] == value


def test_no_other_part_may_mount(stack: dict[str, Any]) -> None:
    for name, part in stack.items():
        assert name == "mounter" or "SYS_ADMIN" not in part.get("cap_add", []), name
