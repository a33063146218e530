"""What CDI specifications offer: makers' own shapes, names for one device, and files that are wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.cdi import FILES

from madang_hub.accelerators import cdi_files
from madang_hub.accelerators.cdi import Device, Part, SpecificationError, parse, parts, resolve


def fine(node: str) -> str:
    return ""


def offered(file: str) -> list[Part]:
    return parts(resolve([parse(FILES[file], file)]), fine)


def spec(*names: str, kind: str = "acme.com/npu", node: str = "/dev/acme") -> str:
    devices = [
        {"name": name, "containerEdits": {"deviceNodes": [{"path": f"{node}{name}"}]}}
        for name in names
    ]
    return json.dumps({"cdiVersion": "0.5.0", "kind": kind, "devices": devices})


# ---- makers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        (
            "nvidia.yaml",
            [
                "nvidia.com/gpu=GPU-aaaa1111-0000-0000-0000-000000000000",
                "nvidia.com/gpu=MIG-bbbb2222-0000-0000-0000-000000000000",
                "nvidia.com/gpu=MIG-cccc3333-0000-0000-0000-000000000000",
            ],
        ),
        ("amd.json", ["amd.com/gpu=0", "amd.com/gpu=1"]),
        ("intel.yaml", ["intel.com/gpu=0000-03-00-0-0x56a0"]),
        (
            "rebellions.yaml",
            [
                "rebellions.ai/npu=0 rebellions.ai/npu=1",
                "rebellions.ai/npu=2",
                "rebellions.ai/npu=3",
            ],
        ),
        ("furiosa.yaml", ["furiosa.ai/npu=npu0", "furiosa.ai/npu=npu1"]),
    ],
)
def test_each_device_is_offered_once(file: str, wanted: list[str]) -> None:
    assert [part.cdi for part in offered(file)] == wanted
    assert [part.why for part in offered(file)] == [""] * len(wanted)


def test_every_name_of_a_device_is_kept() -> None:
    card, first, _ = offered("nvidia.yaml")
    assert card.names == ("GPU-aaaa1111-0000-0000-0000-000000000000", "0")
    assert card.nodes == {"/dev/nvidia0", "/dev/dri/card1", "/dev/dri/renderD128"}
    assert first.names == ("MIG-bbbb2222-0000-0000-0000-000000000000", "1:0")


def test_a_group_has_an_id_of_its_own() -> None:
    group, single, _ = offered("rebellions.yaml")
    assert (group.id, single.id) == ("rebellions.ai/npu=0+1", "rebellions.ai/npu=2")


def test_a_group_is_ill_with_one_of_its_devices() -> None:
    devices = resolve([parse(FILES["rebellions.yaml"], "rebellions.yaml")])
    group, *others = parts(devices, lambda node: "is missing" if node == "/dev/rbln1" else "")
    assert group.why == "rebellions.ai/npu=1: Its device node /dev/rbln1 is missing."
    assert [part.why for part in others] == ["", ""]


def test_one_card_alone_is_not_taken_for_all() -> None:
    value = json.loads(FILES["amd.json"])
    value["devices"] = [value["devices"][0], {**value["devices"][0], "name": "all"}]
    (only,) = parts(resolve([parse(json.dumps(value), "amd.json")]), fine)
    assert only.names == ("0",)


def test_what_the_whole_file_needs_makes_every_device_ill() -> None:
    devices = resolve([parse(FILES["nvidia.yaml"], "nvidia.yaml")])
    ill = parts(devices, lambda node: "is missing" if node == "/dev/nvidia-uvm" else "")
    assert {part.why for part in ill} == {"Its device node /dev/nvidia-uvm is missing."}


@pytest.mark.parametrize(
    "kind", ["nvidia.com/gds", "rebellions.ai/rds", "management.nvidia.com/gpu"]
)
def test_what_is_no_accelerator_is_passed_over(kind: str) -> None:
    assert parts(resolve([parse(spec("0", kind=kind), "x.json")]), fine) == []


def test_a_name_without_devices_is_passed_over() -> None:
    devices = [Device("acme.com/npu", "libraries", frozenset(), frozenset(), "x.json")]
    assert parts(devices, fine) == []


# ---- several files --------------------------------------------------------------------------------


def test_a_later_folder_wins() -> None:
    low = parse(spec("0", "1", node="/dev/old"), "etc.json")
    high = parse(spec("0", node="/dev/new"), "run.json")
    assert {(d.full, *d.nodes) for d in resolve([low, high])} == {
        ("acme.com/npu=0", "/dev/new0"),
        ("acme.com/npu=1", "/dev/old1"),
    }


def test_two_files_of_one_folder_that_name_the_same_device() -> None:
    both = [*parse(spec("0", "1"), "a.json"), *parse(spec("0"), "b.json")]
    ill, well = parts(resolve([both]), fine)
    assert ill.cdi == "acme.com/npu=0"
    assert ill.why == "It is in both a.json and b.json; remove one."
    assert well.why == ""


# ---- files that are wrong -------------------------------------------------------------------------

NODES = '[{"name": "0", "containerEdits": {"deviceNodes": %s}}]'
BROKEN = {
    '{"cdiVersion": "0.5.0",\n oops}': "x.json:2: no JSON (",
    "[]": "x.json: a CDI specification is an object",
    "{}": "x.json: cdiVersion is missing.",
    '{"cdiVersion": 1}': "x.json: cdiVersion is missing.",
    '{"cdiVersion": "0.5.0"}': "x.json: kind is missing.",
    '{"cdiVersion": "0.5.0", "kind": "gpu"}': "x.json: kind 'gpu' is not of the form vendor.com/class.",
    '{"cdiVersion": "0.5.0", "kind": "a.b/c"}': "x.json: devices is not a list.",
    '{"cdiVersion": "0.5.0", "kind": "a.b/c", "devices": [3]}': "x.json: devices[0] is not an object.",
    '{"cdiVersion": "0.5.0", "kind": "a.b/c", "devices": [{"name": "a b"}]}': (
        "x.json: devices[0] has no valid name."
    ),
    '{"cdiVersion": "0.5.0", "kind": "a.b/c", "devices": [{"name": "0"}, {"name": "0"}]}': (
        "x.json: the device '0' is there twice."
    ),
    '{"cdiVersion": "0.5.0", "kind": "a.b/c", "devices": %s}' % (NODES % '"x"'): (
        "x.json: devices[0].containerEdits.deviceNodes is not a list."
    ),
    '{"cdiVersion": "0.5.0", "kind": "a.b/c", "devices": %s}' % (NODES % '[{"path": "dev"}]'): (
        "x.json: devices[0].containerEdits has a device node without a path."
    ),
    '{"cdiVersion": "0.5.0", "kind": "a.b/c", "devices": [], "containerEdits": 7}': (
        "x.json: containerEdits.deviceNodes is not a list."
    ),
    "[" * 100_000: "x.json: nested too deeply.",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_wrong_file_is_named_with_its_fault(text: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        parse(text, "x.json")
    assert str(caught.value).startswith(BROKEN[text])


def test_wrong_yaml_is_named_with_its_line() -> None:
    with pytest.raises(SpecificationError, match=r"x\.yaml:2: no YAML \("):
        parse("cdiVersion: 0.5.0\nkind: [", "x.yaml")


def test_a_wrong_file_hides_no_other(tmp_path: Path) -> None:
    etc, run = tmp_path / "etc", tmp_path / "run"
    etc.mkdir()
    run.mkdir()
    (etc / "acme.json").write_text(spec("null", "zero", node="/dev/"))
    (etc / "broken.yaml").write_text("kind: [")
    (etc / "folder.json").mkdir()
    (etc / "latin.json").write_bytes(b"\xff")
    (etc / "gone.yaml").symlink_to(tmp_path / "nothing")
    (etc / "huge.json").touch()
    os.truncate(etc / "huge.json", cdi_files.LARGEST + 1)
    (etc / "notes.txt").write_text("not looked at")
    (run / "more.json").write_text(spec("missing", node="/dev/madang-is-"))
    found, faults = cdi_files.read([tmp_path / "no folder", etc, run])
    assert [(part.cdi, part.why) for part in found] == [
        ("acme.com/npu=null", ""),
        ("acme.com/npu=zero", ""),
        ("acme.com/npu=missing", "Its device node /dev/madang-is-missing is missing."),
    ]
    assert [fault.removeprefix(f"{etc}/").split(":")[0] for fault in faults] == [
        "broken.yaml",
        "folder.json",
        "gone.yaml",
        "huge.json",
        "latin.json",
    ]


def test_a_file_in_the_place_of_a_device(tmp_path: Path) -> None:
    (tmp_path / "0").touch()
    assert cdi_files.trouble(str(tmp_path / "0")) == "is no device"
    assert cdi_files.trouble("/dev/null") == ""
    # in a container the machine's nodes are below another folder
    assert cdi_files.trouble("/dev/null", under=tmp_path) == "is missing"
    assert cdi_files.trouble("/null", under=Path("/dev")) == ""


def test_folders_that_a_setting_names_are_the_only_ones() -> None:
    assert cdi_files.chosen(["/a", "/b"]) == (Path("/a"), Path("/b"))
    assert cdi_files.chosen([]) == cdi_files.FOLDERS
