"""Which server waits with which accelerator."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub.catalog import Catalog, Choice
from madang_hub.image_table import TABLE
from madang_hub.lending import Lent, Vacancy
from madang_hub.warm.kinds import choice_of, kind_of, of_slots, usual

TABLED = Catalog.load(Path(__file__).parents[2] / TABLE)
GPU, NPU = "nvidia.com/gpu", "rebellions.ai/npu"
LAB = Choice(TABLED.environments["lab"], TABLED.sizes["small"])
SLOTS = ("GPU-1", "nvidia.com/gpu=1", "GPU-3")


def test_a_kind_says_what_it_means() -> None:
    assert kind_of(LAB) == kind_of(LAB, Lent(kinds=(GPU,))) == "lab/small"
    one = Lent("l", ("nvidia.com/gpu=0",), ("nvidia.com/gpu=0",))
    assert kind_of(LAB, one) == "lab/small/nvidia.com/gpu=0"
    assert kind_of(LAB, Lent("l", ("GPU-1", "GPU-2"))) == ""
    for kind in ("lab/small", "lab/small/nvidia.com/gpu=0"):
        assert choice_of(kind, TABLED) == LAB


@pytest.mark.parametrize(
    "kind", ["", "lab", "lab/", "lab/huge", "rescue/small", "rescue/small/GPU-1", "lab@0.0.9/small"]
)
def test_what_never_waits(kind: str) -> None:
    assert choice_of(kind, TABLED) is None


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        # as the table says: the first that everyone may start, and the default size where it has that
        ([], "torch-cuda/medium"),
        (["lab/small"], "lab/small"),
        (["lab/small", "torch/small"], "torch/small"),
        (["lab/small", "torch/small", "lab/small"], "lab/small"),
        (["lab/small"] * 20 + ["torch/small"] * 5, "torch/small"),
        (["rescue/small", "gone/small"], "torch-cuda/medium"),
    ],
)
def test_what_is_mostly_started_with_such_an_accelerator(starts: list[str], expected: str) -> None:
    assert usual(GPU, starts, TABLED) == expected


def test_what_the_table_says() -> None:
    assert usual(NPU, [], TABLED) == "accelerator/small"
    assert usual("acme.com/npu", [], TABLED) == ""
    assert usual(GPU, [], TABLED.offering(["lab"])) == ""


vacancies = st.lists(
    st.builds(
        Vacancy,
        slot=st.sampled_from(SLOTS),
        kind=st.sampled_from((GPU, "acme.com/npu")),
        devices=st.just(("nvidia.com/gpu=0",)),
        kept=st.booleans(),
        environment=st.sampled_from(("", "lab", "torch")),
        size=st.sampled_from(("", "small")),
    ),
    max_size=3,
    unique_by=lambda v: v.slot,
)


@given(
    vacancies,
    st.sets(st.sampled_from(SLOTS)),
    st.dictionaries(st.sampled_from(SLOTS), st.sampled_from(("lab/small", "torch/small"))),
)
def test_one_for_a_slot_at_most_and_none_for_somebodys(
    told: list[Vacancy], got: set[str], waiting: dict[str, str]
) -> None:
    have = {slot: f"{kind}/{slot}" for slot, kind in waiting.items()}
    found = of_slots(told, got, have, {GPU: "torch-cuda/medium"})
    slots = [kind.split("/", 2)[2] for kind in found]
    assert len(set(slots)) == len(slots)
    for kind, vacancy in found.items():
        assert vacancy in told
        assert kind.endswith("/" + vacancy.slot)
        assert vacancy.slot not in got
        if vacancy.kept:
            # what waits already and is what that server is to be; nothing new
            assert kind == have[vacancy.slot]
            assert vacancy.environment in ("", kind.split("/")[0])
        else:
            assert kind == f"torch-cuda/medium/{vacancy.slot}"
            assert vacancy.kind == GPU
