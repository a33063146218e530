"""What a comparison of chips must say: percentiles, what was executed, the schema, which devices there are."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipbench import devices, rules
from chipbench.rules import Effort, Step

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

# ---- figures --------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 10**9), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[int], p: float) -> None:
    found = rules.percentile(values, p)
    assert found in values
    assert sum(v <= found for v in values) >= p * len(values)
    assert sum(v < found for v in values) < p * len(values)


def test_known_percentiles() -> None:
    values = list(range(100, 0, -1))
    assert [rules.percentile(values, p) for p in (0.5, 0.9, 0.99, 1)] == [50, 90, 99, 100]


class Clock:
    """Nanoseconds under the test's control."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "least", "calls"),
    [
        pytest.param(1.0, 10, 1000, id="until the time is over"),
        pytest.param(0.001, 10, 10, id="until there are enough"),
    ],
)
def test_timing_lasts_for_both_the_time_and_the_count(
    seconds: float, least: int, calls: int
) -> None:
    clock, made = Clock(), count()

    def call() -> None:
        # the warm-up is slow, as first calls are
        clock.now += 10**9 if next(made) < 3 else 10**6

    spent = rules.timed(call, Effort(seconds, least, warmup=3), clock)
    assert spent == [10**6] * calls
    assert next(made) == calls + 3


def test_figures_have_their_units() -> None:
    found = rules.figures([1_000_000] * 98 + [5_000_000] * 2, [2_000_000, 2_000_000], batch=256)
    assert found == {
        "latency_p50_ms": 1.0,
        "latency_p90_ms": 1.0,
        "latency_p99_ms": 5.0,
        "latency_count": 100.0,
        "throughput_sps": 128_000.0,
    }


# ---- what was executed ----------------------------------------------------------------------


def test_steps_are_read_from_a_profile() -> None:
    node = {
        "cat": "Node",
        "name": "gemm_kernel_time",
        "args": {
            "op_name": "Gemm",
            "provider": CUDA,
            "input_type_shape": [{"float": [1, 64]}, {"bfloat16": [64, 10]}],
        },
    }
    fence = {"cat": "Node", "name": "gemm_fence_before", "args": {"op_name": "Gemm"}}
    session = {"cat": "Session", "name": "model_run", "args": {}}
    profile = json.dumps([session, fence, node, {"cat": "Session"}])
    assert rules.steps(profile) == [Step("Gemm", CUDA, ("float", "bfloat16"))]


@pytest.mark.parametrize(
    ("done", "precision", "said"),
    [
        pytest.param([Step("FusedGemm", CUDA, ("float",))], "fp32", "", id="fp32"),
        pytest.param(
            [Step("Cast", CUDA, ("float",)), Step("Gemm", CUDA, ("bfloat16",))],
            "bf16",
            "",
            id="bf16",
        ),
        pytest.param(
            [Step("QuantizeLinear", CUDA, ("float",)), Step("QGemm", CUDA, ("uint8", "float"))],
            "int8",
            "",
            id="int8",
        ),
        pytest.param([Step("Engine_1", CUDA, ("float",))], "int8", "", id="compiled as a whole"),
        pytest.param(
            [Step("Gemm", CUDA, ("float",)), Step("Gemm", CPU, ("float",))],
            "fp32",
            "a part of it is computed by CPUExecutionProvider",
            id="a part elsewhere",
        ),
        pytest.param(
            [Step("DequantizeLinear", CUDA, ("int8",)), Step("Gemm", CUDA, ("float",))],
            "int8",
            "CUDAExecutionProvider has no int8 kernel for it and would compute in fp32",
            id="int8 that is fp32",
        ),
        pytest.param(
            [Step("FusedMatMul", CUDA, ("float",))],
            "bf16",
            "CUDAExecutionProvider has no bf16 kernel for it and would compute in fp32",
            id="bf16 that is fp32",
        ),
        pytest.param([], "fp32", "ONNX Runtime does not tell what it executed", id="nothing"),
    ],
)
def test_a_figure_is_of_what_its_name_says(done: list[Step], precision: str, said: str) -> None:
    assert rules.deviation(done, CUDA, precision) == said


# ---- the schema -----------------------------------------------------------------------------


def good() -> tuple[dict[str, str], dict[str, float], dict[str, str]]:
    params = dict.fromkeys(rules.PARAMS, "x") | {
        "device_kind": "rebellions.ai/npu",
        "precision": "int8",
        "latency_batch": "1",
        "throughput_batch": "256",
        "threads": "2",
        "samples_tested": "540",
        "model_sha256": "0" * 64,
    }
    metrics = {
        "latency_p50_ms": 0.1,
        "latency_p90_ms": 0.1,
        "latency_p99_ms": 0.4,
        "latency_count": 200.0,
        "throughput_sps": 1e6,
        "accuracy": 0.97,
        "agreement_fp32": 1.0,
    }
    return params, metrics, {"schema": rules.SCHEMA, "mlflow.runName": "x"}


def test_a_run_that_keeps_to_the_schema() -> None:
    assert rules.check(*good()) == []


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        (2, {"schema": "chips/0"}, "tag schema is 'chips/0', not 'chips/1'"),
        (0, {"device_kind": "GPU"}, "param device_kind is 'GPU', no kind such as nvidia.com/gpu"),
        (0, {"precision": "fp8"}, "param precision is 'fp8', not one of fp32, bf16, int8"),
        (0, {"model_sha256": "abc"}, "param model_sha256 is no SHA-256 in hexadecimal"),
        (0, {"threads": "0"}, "param threads is '0', no whole number above 0"),
        (0, {"device": ""}, "param device is missing"),
        (1, {"accuracy": 97.0}, "metric accuracy is 97.0, not from 0 to 1"),
        (1, {"throughput_sps": float("inf")}, "metric throughput_sps is inf, no number above 0"),
        (1, {"latency_count": 0.0}, "metric latency_count is 0.0, no number above 0"),
        (1, {"latency_p90_ms": 0.5}, "the percentiles of the latency fall where they must rise"),
    ],
)
def test_what_is_wrong_is_named(part: int, change: dict[str, Any], said: str) -> None:
    run = good()
    run[part].update(change)
    assert rules.check(*run) == [said]


@pytest.mark.parametrize("name", [*rules.PARAMS, *rules.METRICS])
def test_what_is_missing_is_named(name: str) -> None:
    params, metrics, tags = good()
    kind = "param" if params.pop(name, None) else "metric"
    metrics.pop(name, None)
    assert rules.check(params, metrics, tags) == [f"{kind} {name} is missing"]


# ---- devices --------------------------------------------------------------------------------


def fake_ort(*providers: str, plugged: tuple[SimpleNamespace, ...] = ()) -> Any:
    cpu = SimpleNamespace(ep_name=CPU, ep_metadata={}, device=None)
    return SimpleNamespace(
        get_available_providers=lambda: [*providers, "AzureExecutionProvider", CPU],
        get_ep_devices=lambda: [cpu, *plugged],
    )


def fake_torch(kind: str = "", cards: tuple[str, ...] = (), hip: str | None = None) -> Any:
    here = SimpleNamespace(type=kind) if kind else None
    module = SimpleNamespace(
        get_device_name=lambda index: cards[index],
        device_count=lambda: len(cards) if kind == "cuda" else 0,
    )
    return SimpleNamespace(
        accelerator=SimpleNamespace(
            current_accelerator=lambda check_available: here, device_count=lambda: len(cards)
        ),
        cuda=module,
        version=SimpleNamespace(hip=hip),
        get_device_module=lambda kind: module,
    )


def listed(ort: Any, torch: Any) -> list[tuple[str, str]]:
    return [(d.name, d.kind) for d in devices.found(ort, torch) if d.kind != "cpu"]


def test_the_cpu_is_always_there_and_first() -> None:
    found = devices.found(fake_ort(), fake_torch())
    assert [d.name for d in found] == ["ort:cpu", "torch:cpu"]
    assert {d.model for d in found} == {devices.cpu_model()}


def test_nvidia_providers_without_a_card_are_no_devices() -> None:
    assert listed(fake_ort("TensorrtExecutionProvider", CUDA), fake_torch()) == []


def test_each_card_appears_for_each_way_to_use_it() -> None:
    torch = fake_torch("cuda", ("NVIDIA A2", "NVIDIA L4"))
    assert listed(fake_ort(CUDA), torch) == [
        ("ort:cuda:0", "nvidia.com/gpu"),
        ("ort:cuda:1", "nvidia.com/gpu"),
        ("torch:cuda:0", "nvidia.com/gpu"),
        ("torch:cuda:1", "nvidia.com/gpu"),
    ]
    assert {d.model for d in devices.found(fake_ort(CUDA), torch)[1:3]} == {
        "NVIDIA A2",
        "NVIDIA L4",
    }


def test_a_makers_extension_of_pytorch_appears_by_itself() -> None:
    assert listed(fake_ort(), fake_torch("rbln", ("RBLN-CA22",))) == [
        ("torch:rbln:0", "rebellions.ai/npu")
    ]


def test_an_amd_card_is_no_nvidia_card() -> None:
    found = listed(fake_ort("MIGraphXExecutionProvider"), fake_torch("cuda", ("MI300",), hip="7"))
    assert found == [("ort:migraphx:0", "amd.com/gpu"), ("torch:cuda:0", "amd.com/gpu")]


def test_devices_of_a_plug_in_appear_once_with_their_handles() -> None:
    card = SimpleNamespace(metadata={"Description": "Acme A7"}, vendor="Acme")
    plain = SimpleNamespace(metadata={}, vendor="Acme")
    two = tuple(
        SimpleNamespace(ep_name="AcmeExecutionProvider", ep_metadata={}, device=device)
        for device in (card, plain)
    )
    # a registered plug-in is among the available providers too
    found = devices.found(fake_ort("AcmeExecutionProvider", plugged=two), fake_torch())[1:3]
    assert [(d.name, d.kind, d.model, d.handle) for d in found] == [
        ("ort:acme:0", "unknown", "Acme A7", two[0]),
        ("ort:acme:1", "unknown", "Acme", two[1]),
    ]


def test_nvidias_own_plug_in_names_the_cards_and_hides_what_is_compiled_in() -> None:
    plain = SimpleNamespace(metadata={}, vendor="NVIDIA")
    card = SimpleNamespace(ep_name=CUDA, ep_metadata={}, device=plain)
    found = devices.found(fake_ort(CUDA, plugged=(card,)), fake_torch("cuda", ("NVIDIA L4",)))
    assert [(d.name, d.model, d.handle) for d in found if d.kind != "cpu"] == [
        ("ort:cuda:0", "NVIDIA L4", card),
        ("torch:cuda:0", "NVIDIA L4", None),
    ]


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(devices, "_registered", set())
    return tmp_path


def test_installed_plug_ins_are_registered_once(plugins: Path) -> None:
    (plugins / "onnxruntime_ep_acme.py").write_text("def get_library_path(): return '/opt/acme.so'")
    (plugins / "onnxruntime_ep_broken.py").write_text("raise OSError('no driver\\nmore')")
    (plugins / "onnxruntime_extra.py").write_text("raise AssertionError")
    got: list[tuple[str, str]] = []
    ort = SimpleNamespace(register_execution_provider_library=lambda *names: got.append(names))
    said = ["onnxruntime_ep_broken could not be registered: no driver"]
    assert devices.register_plugins(ort) == said
    assert devices.register_plugins(ort) == said
    assert got == [("onnxruntime_ep_acme", "/opt/acme.so")]


@pytest.mark.parametrize(
    ("text", "expected"), [("150000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", None)]
)
def test_threads_follow_the_share_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: int | None
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    file = tmp_path / "cpu.max"
    assert devices.cpu_threads(file) == 8
    file.write_text(text)
    assert devices.cpu_threads(file) == (expected or 8)


def test_an_error_is_said_in_one_line_without_codes() -> None:
    error = RuntimeError("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : No Gemm(13)\nat: x.cc")
    assert devices.first_line(error) == "No Gemm(13)"
    assert devices.first_line(ValueError()) == "ValueError"
    place = "/source/pybind_state.cc:729 void onnxruntime::Register(Options&, const Options&) "
    assert devices.first_line(RuntimeError(f"{place}Please install it.")) == "Please install it."


# ---- the notebook ---------------------------------------------------------------------------


def cells(root: Path, language: str) -> list[dict[str, Any]]:
    file = root / "images" / "accelerator" / "ai-chips" / f"ai-chips.{language}.ipynb"
    return list(json.loads(file.read_text(encoding="utf-8"))["cells"])


def test_both_languages_have_the_same_code_and_no_outputs(root: Path) -> None:
    ko, en = cells(root, "ko"), cells(root, "en")
    assert [(c["id"], c["cell_type"]) for c in ko] == [(c["id"], c["cell_type"]) for c in en]
    for a, b in zip(ko, en, strict=True):
        if a["cell_type"] == "code":
            assert a == b
            assert (a["outputs"], a["execution_count"]) == ([], None)
        else:
            assert any("가" <= letter <= "힣" for letter in "".join(a["source"]))
            assert not any("가" <= letter <= "힣" for letter in "".join(b["source"]))
