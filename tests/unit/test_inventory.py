"""Slots joined from NVIDIA's driver, CDI specifications and the operator's table; and what changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cdi import FILES

from madang_hub.accelerators.cdi import Part, parse, parts, resolve
from madang_hub.accelerators.inventory import (
    NO_NAME,
    NOT_SHOWN,
    SILENT,
    Changes,
    Inventory,
    changes,
    join,
)
from madang_hub.accelerators.nvml import Gpu, Nvml, Reading
from madang_hub.accelerators.slots import Health, Slot, Use
from madang_hub.accelerators.sources import Sources
from madang_hub.accelerators.table import Row, TableError
from madang_hub.accelerators.table import parse as parse_table

GIB = 2**30
CARD = "GPU-aaaa1111-0000-0000-0000-000000000000"
SLICED = "GPU-dddd4444-0000-0000-0000-000000000000"
SLICES = ("MIG-bbbb2222-0000-0000-0000-000000000000", "MIG-cccc3333-0000-0000-0000-000000000000")
ABSENT = Reading(present=False)


def offered(*files: str) -> list[Part]:
    return parts(resolve([parse(FILES[file], file) for file in files]), lambda node: "")


def numbered(*names: str) -> list[Part]:
    """NVIDIA's devices as older toolkits name them: by number only."""
    rows = {
        "0": ["/dev/nvidia0"],
        "gpu0": ["/dev/nvidia0"],
        "1": ["/dev/nvidia1"],
        "1:0": ["/dev/nvidia1", "/dev/nvidia-caps/nvidia-cap66"],
        "1:1": ["/dev/nvidia1", "/dev/nvidia-caps/nvidia-cap75"],
    }
    return [
        Part("nvidia.com/gpu", (name,), f"nvidia.com/gpu={name}", frozenset(rows[name]))
        for name in names
    ]


def gpu(uuid: str = CARD, index: str = "0", **facts: object) -> Gpu:
    node = f"/dev/nvidia{index.partition(':')[0]}"
    made = Gpu(uuid, index, node, "NVIDIA H100 80GB HBM3", 80 * GIB, Use(7, GIB, (4711,)))
    return replace(made, **facts)  # type: ignore[arg-type]  # checked where it is used


def machine() -> Reading:
    """What the driver shows of the machine that nvidia.yaml was made for."""
    slices = [
        gpu(uuid, f"1:{place}", parent=SLICED, use=Use()) for place, uuid in enumerate(SLICES)
    ]
    return Reading((gpu(), gpu(SLICED, "1", sliced=True), *slices))


# ---- one GPU is one slot --------------------------------------------------------------------------


def test_the_driver_and_the_specification_are_joined_by_uuid() -> None:
    found = join(machine(), offered("nvidia.yaml"), {})
    assert [slot.id for slot in found.slots] == [CARD, *SLICES]
    card, first, second = found.slots
    assert card.cdi == f"nvidia.com/gpu={CARD}"
    assert card.devices == (card.cdi,)
    assert (card.model, card.memory, card.parent) == ("NVIDIA H100 80GB HBM3", 80 * GIB, "")
    assert (first.parent, second.parent) == (SLICED, SLICED)
    assert {slot.health for slot in found.slots} == {Health.GOOD}
    assert found.use[CARD] == Use(7, GIB, (4711,))
    assert found.notes == ()


def test_numbers_are_joined_by_device_node() -> None:
    reading = machine()
    found = join(reading, numbered("0", "1:0", "1:1"), {})
    assert [(slot.id, slot.cdi) for slot in found.slots] == [
        (CARD, "nvidia.com/gpu=0"),
        (SLICES[0], "nvidia.com/gpu=1:0"),
        (SLICES[1], "nvidia.com/gpu=1:1"),
    ]
    # NVML's number is not the number of the device node
    swapped = Reading((gpu("GPU-x111", "0", node="/dev/nvidia1"), gpu("GPU-y222", "1")))
    swapped = Reading((swapped.gpus[0], replace(swapped.gpus[1], node="/dev/nvidia0")))
    found = join(swapped, numbered("0", "1"), {})
    assert [(slot.id, slot.cdi) for slot in found.slots] == [
        ("GPU-x111", "nvidia.com/gpu=1"),
        ("GPU-y222", "nvidia.com/gpu=0"),
    ]


def test_numbers_count_where_the_driver_names_no_node() -> None:
    (slot,) = join(Reading((gpu(node=""),)), numbered("gpu0"), {}).slots
    assert (slot.cdi, slot.health) == ("nvidia.com/gpu=gpu0", Health.GOOD)


def test_a_card_in_mig_mode_is_no_slot_even_when_it_has_a_name() -> None:
    reading = Reading((gpu(SLICED, "1", sliced=True),))
    assert join(reading, numbered("1"), {}).slots == ()


def test_a_gpu_without_a_name_cannot_be_given_out() -> None:
    (slot,) = join(Reading((gpu(),)), [], {}).slots
    assert (slot.kind, slot.cdi, slot.devices) == ("nvidia.com/gpu", "", ())
    assert (slot.health, slot.why) == (Health.ILL, NO_NAME)


def test_a_specification_for_cards_that_were_exchanged() -> None:
    """The new card has the old one's node, but not its UUID."""
    new, old, *slices = join(Reading((gpu("GPU-eeee5555-new"),)), offered("nvidia.yaml"), {}).slots
    assert (new.id, new.why) == ("GPU-eeee5555-new", NO_NAME)
    assert (old.id, old.why) == (CARD, NOT_SHOWN)
    assert [slot.why for slot in slices] == [NOT_SHOWN, NOT_SHOWN]


def test_what_is_ill_says_why() -> None:
    named = replace(offered("nvidia.yaml")[0], why="Its device node /dev/nvidia0 is missing.")
    (by_cdi,) = join(Reading((gpu(),)), [named], {}).slots
    assert (by_cdi.health, by_cdi.why) == (Health.ILL, named.why)
    (by_driver,) = join(Reading((gpu(why="It is lost."),)), [named], {}).slots
    assert by_driver.why == "It is lost."


def test_other_makers_and_a_machine_without_nvidia() -> None:
    found = join(ABSENT, offered("amd.json", "rebellions.yaml"), {}, ["x.json: no JSON."])
    assert [slot.id for slot in found.slots] == [
        "amd.com/gpu=0",
        "amd.com/gpu=1",
        "rebellions.ai/npu=0+1",
        "rebellions.ai/npu=2",
        "rebellions.ai/npu=3",
    ]
    assert found.slots[2].devices == ("rebellions.ai/npu=0", "rebellions.ai/npu=1")
    assert found.use["amd.com/gpu=0"].busy(5), "nobody says what it does"
    assert found.faults == ("x.json: no JSON.",)


def test_where_the_driver_cannot_be_asked_the_specification_counts() -> None:
    found = join(ABSENT, offered("nvidia.yaml"), {})
    assert {slot.health for slot in found.slots} == {Health.GOOD}


GPUS = st.lists(
    st.builds(
        gpu,
        uuid=st.sampled_from([CARD, SLICED, *SLICES, "GPU-new0"]),
        index=st.sampled_from(["0", "1", "1:0", "1:1"]),
        node=st.sampled_from(["", "/dev/nvidia0", "/dev/nvidia1"]),
        parent=st.sampled_from(["", SLICED]),
        sliced=st.booleans(),
    ),
    unique_by=lambda found: found.uuid,
)
NAMES = st.lists(st.sampled_from(["0", "gpu0", "1", "1:0", "1:1"]), unique=True)


@given(GPUS, NAMES, st.booleans(), st.booleans())
def test_no_device_is_two_slots(
    gpus: list[Gpu], names: list[str], uuids: bool, complete: bool
) -> None:
    specification = offered("nvidia.yaml") if uuids else numbered(*names)
    reading = Reading(tuple(gpus), complete=complete)
    before = join(machine(), specification, {})
    found = join(reading, specification, {}, last=before).slots
    assert len(ids(found)) == len(found)
    given_out = [name for slot in found if slot.health is Health.GOOD for name in slot.devices]
    assert len(set(given_out)) == len(given_out)
    assert all(slot.why.endswith(".") == (slot.health is Health.ILL) for slot in found)
    assert all(slot.devices for slot in found if slot.health is Health.GOOD)


# ---- a driver that does not answer ----------------------------------------------------------------


@pytest.mark.parametrize("specification", [offered("nvidia.yaml"), numbered("0", "1:0", "1:1"), []])
def test_gpus_of_a_silent_driver_are_ill_and_not_gone(specification: list[Part]) -> None:
    before = join(machine(), specification, {})
    silent = Reading(notes=("It hangs.",), complete=False)
    now = join(silent, specification, {}, last=before)
    assert [slot.id for slot in now.slots] == [slot.id for slot in before.slots]
    assert {(slot.health, slot.why) for slot in now.slots} == {(Health.ILL, SILENT)}
    assert (now.faults, now.notes) == (("It hangs.",), ())
    again = join(silent, specification, {}, last=now)
    assert again.slots == now.slots
    assert join(machine(), specification, {}, last=now).slots == before.slots


def test_a_card_that_cannot_be_told_apart_is_known_by_who_is_missing() -> None:
    before = join(machine(), offered("nvidia.yaml"), {})
    partly = Reading(machine().gpus[1:], complete=False)
    found = changes(before, join(partly, offered("nvidia.yaml"), {}, last=before))
    assert [(slot.id, slot.why) for slot in found.fell_ill] == [(CARD, SILENT)]
    assert (found.came, found.went) == ((), ())


def test_without_an_earlier_inventory_the_specification_names_them() -> None:
    found = join(Reading(complete=False), offered("nvidia.yaml"), {})
    assert [(slot.id, slot.why) for slot in found.slots] == [
        (CARD, SILENT),
        (SLICES[0], SILENT),
        (SLICES[1], SILENT),
    ]


def test_a_card_that_is_taken_out_has_gone() -> None:
    before = join(machine(), offered("nvidia.yaml"), {})
    now = join(Reading(), [], {}, last=before)
    assert changes(before, now).went == before.slots


# ---- the operator's table -------------------------------------------------------------------------


def test_only_what_the_operator_divides_is_shared() -> None:
    table = parse_table(
        '["rebellions.ai/npu=0"]\nshares = 4\n["rebellions.ai/npu=1"]\nshares = 2\n'
        '["amd.com/gpu=0"]\nshares = 3\n["acme.com/tpu=7"]\nshares = 5\n'
    )
    found = join(ABSENT, offered("amd.json", "rebellions.yaml"), table).by_id
    # a group is divided into as many as each device of it may be
    assert found["rebellions.ai/npu=0+1"].shares == 2
    assert found["amd.com/gpu=0"].shares == 3
    assert found["acme.com/tpu=7"].shares == 5
    assert found["amd.com/gpu=1"].shares == found["rebellions.ai/npu=2"].shares == 1
    half = parse_table(
        '["rebellions.ai/npu=0"]\nshares = 4\n["rebellions.ai/npu=1"]\nmodel = "R"\n'
    )
    assert join(ABSENT, offered("rebellions.yaml"), half).by_id["rebellions.ai/npu=0+1"].shares == 1
    (card,) = (
        s
        for s in join(
            machine(), offered("nvidia.yaml"), parse_table('["nvidia.com/gpu=0"]\nshares = 8\n')
        ).slots
        if s.shares > 1
    )
    assert (card.id, card.shares) == (CARD, 8)


@pytest.mark.parametrize("shares", ["0", "65", "true", '"2"', "1.5"])
def test_parts_that_are_none(shares: str) -> None:
    with pytest.raises(TableError, match=r"amd.com/gpu=0 shares"):
        parse_table(f'["amd.com/gpu=0"]\nshares = {shares}\n')


def test_the_table_says_what_the_specification_does_not() -> None:
    table = parse_table(
        '["rebellions.ai/npu=0"]\nmodel = "RBLN-CA22"\nmemory = "16G"\n'
        '["rebellions.ai/npu=1"]\nmodel = "RBLN-CA22"\nmemory = "16G"\n'
        '["rebellions.ai/npu=2"]\nmodel = "RBLN-CA25"\n'
        '["amd.com/gpu=1"]\noffered = false\n'
        '["acme.com/tpu=7"]\nmodel = "A7"\nmemory = "8G"\n'
    )
    found = join(ABSENT, offered("amd.json", "rebellions.yaml"), table)
    by_id = found.by_id
    assert by_id["rebellions.ai/npu=0+1"].model == "2 × RBLN-CA22"
    assert by_id["rebellions.ai/npu=0+1"].memory == 32 * GIB
    assert by_id["rebellions.ai/npu=2"].model == "RBLN-CA25"
    assert "amd.com/gpu=1" not in by_id
    assert found.notes == ("Left out by accelerators.toml: amd.com/gpu=1.",)
    missing = by_id["acme.com/tpu=7"]
    assert (missing.kind, missing.model, missing.health) == ("acme.com/tpu", "A7", Health.ILL)
    assert "no CDI specification has it" in missing.why


def test_the_driver_knows_better_and_any_name_will_do() -> None:
    table = {
        f"nvidia.com/gpu={CARD}": Row(model="mine", memory="1G"),  # type: ignore[arg-type]  # as written
        "nvidia.com/gpu=1:1": Row(offered=False),
    }
    found = join(machine(), offered("nvidia.yaml"), table)
    assert [slot.id for slot in found.slots] == [CARD, SLICES[0]]
    assert (found.slots[0].model, found.slots[0].memory) == ("NVIDIA H100 80GB HBM3", 80 * GIB)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[", "accelerators.toml: "),
        ('["gpu0"]\nmodel = "x"', "write the full CDI name"),
        (
            '["a.b/c=0"]\nmemory = "80 GiB"',
            "a.b/c=0 memory: write memory as a number with K, M or G",
        ),
        ('["a.b/c=0"]\ncolour = "red"', "a.b/c=0 colour: "),
        ("model = 3", "write the full CDI name"),
    ],
)
def test_a_wrong_table_is_explained(text: str, says: str) -> None:
    with pytest.raises(TableError) as caught:
        parse_table(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_sources_together(tmp_path: Path) -> None:
    folder = tmp_path / "cdi"
    folder.mkdir()
    text = FILES["amd.json"].replace("/dev/dri/card1", "/dev/null").replace("/dev/kfd", "/dev/zero")
    (folder / "amd.json").write_text(text.replace("/dev/dri/renderD128", "/dev/full"))
    (tmp_path / "accelerators.toml").write_text('["amd.com/gpu=0"]\nmodel = "MI300X"\n')

    class NoDriver(Nvml):
        def read(self) -> Reading:
            return ABSENT

    sources = Sources(tmp_path, [folder], NoDriver())
    first, second = sources.take().slots
    assert (first.model, first.health) == ("MI300X", Health.GOOD)
    assert second.why == "Its device node /dev/dri/card2 is missing."
    # where the machine's devices are seen elsewhere, this process's own say nothing
    elsewhere = Sources(tmp_path, [folder], NoDriver(), under=tmp_path).take().slots
    assert elsewhere[0].why == "Its device node /dev/full is missing."


# ---- what changed ---------------------------------------------------------------------------------

SLOTS = st.builds(
    Slot,
    id=st.sampled_from("abcdefgh"),
    kind=st.just("acme.com/npu"),
    model=st.sampled_from(["", "A7"]),
    memory=st.integers(0, 3),
    cdi=st.just("acme.com/npu=0"),
    health=st.sampled_from(Health),
)
INVENTORIES = st.lists(SLOTS, unique_by=lambda slot: slot.id).map(
    lambda slots: Inventory(tuple(slots))
)


def ids(slots: tuple[Slot, ...]) -> set[str]:
    return {slot.id for slot in slots}


@given(INVENTORIES, INVENTORIES)
def test_changes_lead_from_one_inventory_to_the_other(before: Inventory, now: Inventory) -> None:
    found = changes(before, now)
    assert (ids(before.slots) - ids(found.went)) | ids(found.came) == ids(now.slots)
    ill = {slot.id for slot in before.slots if slot.health is Health.ILL}
    ill = (ill - ids(found.went) - ids(found.well_again)) | ids(found.fell_ill)
    ill |= {slot.id for slot in found.came if slot.health is Health.ILL}
    assert ill == {slot.id for slot in now.slots if slot.health is Health.ILL}


@given(INVENTORIES, INVENTORIES)
def test_each_slot_changes_in_one_way_only(before: Inventory, now: Inventory) -> None:
    found = changes(before, now)
    every = [*found.came, *found.went, *found.fell_ill, *found.well_again]
    assert len({slot.id for slot in every}) == len(every)
    assert set(every) - set(found.went) <= set(now.slots)
    assert set(found.went) <= set(before.slots)


@given(INVENTORIES, INVENTORIES)
def test_going_back_is_the_opposite(before: Inventory, now: Inventory) -> None:
    there, back = changes(before, now), changes(now, before)
    assert (there.came, there.went) == (back.went, back.came)
    assert ids(there.fell_ill) == ids(back.well_again)
    assert ids(there.well_again) == ids(back.fell_ill)


@given(INVENTORIES)
def test_nothing_changes_from_itself(inventory: Inventory) -> None:
    assert changes(inventory, inventory) == Changes()
