"""Accelerators in words: ``make doctor`` and ``madang accelerators``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from madang_hub.accelerators import cdi_files
from madang_hub.accelerators.inventory import Inventory
from madang_hub.accelerators.nvml import NO_NVML, Nvml, Reading
from madang_hub.accelerators.report import summary, table
from madang_hub.accelerators.slots import Health, Slot, Use
from madang_hub.deploy import doctor
from madang_hub.deploy.engine import EngineFacts
from madang_hub.places import Mode, Places
from madang_hub.settings import Settings

GIB = 2**30
H100 = Slot("GPU-1", "nvidia.com/gpu", "NVIDIA H100 80GB HBM3", 80 * GIB, "nvidia.com/gpu=0")
LOST = replace(H100, id="GPU-2", cdi="nvidia.com/gpu=1", health=Health.ILL, why="It is lost.")
NPU = Slot("furiosa.ai/npu=npu0", "furiosa.ai/npu", "", 0, "furiosa.ai/npu=npu0")
SEVERAL = Inventory(
    (H100, replace(H100, id="GPU-3"), LOST, NPU),
    {"GPU-1": Use(97, 3 * GIB, (812, 4711)), "GPU-3": Use(0, 0, ())},
    (NO_NVML, "Left out by accelerators.toml: GPU-9."),
    ("x.yaml: kind is missing.",),
)


def test_the_summary_counts_and_names_what_is_wrong() -> None:
    assert summary(SEVERAL) == [
        "2 × NVIDIA H100 80GB HBM3, 1 × furiosa.ai/npu",
        "NVIDIA H100 80GB HBM3, GPU-2, is ill. It is lost.",
        "x.yaml: kind is missing.",
        "Left out by accelerators.toml: GPU-9.",
    ]
    assert summary(Inventory(notes=(NO_NVML,))) == ["none found; everything runs on CPU"]
    assert summary(Inventory((LOST,)))[0] == "none that can be used"
    assert summary(Inventory(faults=("It hangs.",))) == ["none that can be used", "It hangs."]


def test_the_table_has_a_line_for_each_slot() -> None:
    head, first, idle, lost, why, npu = table(SEVERAL)
    assert head.split("  ")[0] == "SLOT"
    memory, use = head.index("MEMORY"), head.index("USE")
    assert first[memory:].startswith("3.0 of 80.0 GiB")
    assert first[use:].split() == ["97%", "812", "4711", "nvidia.com/gpu=0"]
    assert idle[use:].split() == ["0%", "-", "nvidia.com/gpu=0"]
    assert "ill" in lost.split()
    assert why == "    It is lost."
    assert npu[memory:].split() == ["?", "?", "?", "furiosa.ai/npu=npu0"]


# ---- make doctor ----------------------------------------------------------------------------------


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> doctor.Subject:
    """A machine without an engine to ask and with its CDI specifications in ``tmp_path/cdi``."""
    monkeypatch.setattr(Nvml, "read", lambda self: Reading(notes=(NO_NVML,), present=False))
    monkeypatch.setattr(doctor, "FOLDERS", (tmp_path / "cdi",))
    (tmp_path / "cdi").mkdir()
    return on(tmp_path, "server")


def on(root: Path, mode: Mode) -> doctor.Subject:
    return doctor.Subject(
        Places(Settings(data=root), mode), EngineFacts("/no/engine"), root, running=False
    )


def offer(root: Path, node: str) -> None:
    (root / "cdi" / "acme.yaml").write_text(
        "cdiVersion: 0.5.0\nkind: acme.com/npu\ndevices:\n"
        f"- {{name: a, containerEdits: {{deviceNodes: [{{path: {node}}}]}}}}\n"
    )


def test_doctor_on_a_machine_without_any(subject: doctor.Subject) -> None:
    finding = doctor.accelerators(subject)
    assert (finding.level, finding.what) == (
        "note",
        "accelerators: none found; everything runs on CPU",
    )


def test_doctor_names_them(subject: doctor.Subject) -> None:
    offer(subject.root, "/dev/null")
    finding = doctor.accelerators(subject)
    assert (finding.level, finding.what) == ("good", "accelerators: 1 × acme.com/npu")


def test_doctor_says_why_one_cannot_be_used(subject: doctor.Subject) -> None:
    offer(subject.root, "/dev/madang-none")
    finding = doctor.accelerators(subject)
    assert finding.level == "bad"
    assert finding.what.splitlines() == [
        "accelerators: none that can be used",
        "      acme.com/npu, acme.com/npu=a, is ill. Its device node /dev/madang-none is missing.",
    ]
    assert "docs/howto/accelerators.md" in finding.mend
    # where nobody gets a container, no container is refused
    assert doctor.accelerators(on(subject.root, "embedded")).level == "note"


def test_doctor_says_which_file_is_wrong(subject: doctor.Subject) -> None:
    (subject.root / "cdi" / "bad.json").write_text("{}")
    finding = doctor.accelerators(subject)
    assert finding.level == "bad"
    assert f"{subject.root}/cdi/bad.json: cdiVersion is missing." in finding.what


def test_doctor_says_that_an_engine_hands_out_nothing(
    subject: doctor.Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("madang_hub.deploy.engine.cdi_folders", lambda facts: ())
    offer(subject.root, "/dev/null")
    finding = doctor.accelerators(subject)
    assert finding.level == "bad"
    assert "hands out no devices by CDI" in finding.what
    assert "features" in finding.mend


def test_doctor_explains_a_wrong_table(subject: doctor.Subject) -> None:
    (subject.root / "accelerators.toml").write_text("[gpu0]\n")
    finding = doctor.accelerators(subject)
    assert finding.level == "bad"
    assert "write the full CDI name" in finding.what


def test_the_usual_folders_are_those_of_the_specification() -> None:
    assert [str(folder) for folder in cdi_files.FOLDERS] == ["/etc/cdi", "/var/run/cdi"]
