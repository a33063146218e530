"""What a comparison of chips must say, and the arithmetic behind it. Rules only: nothing is asked or written.

Scenarios and words are those of MLPerf Inference: *single-stream* sends one sample after the other and
reports percentiles of the latency, *offline* has all samples at hand and reports throughput.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

SCHEMA = "chips/1"
"""The version of the names below; runs of different versions are not compared."""

PRECISIONS = ("fp32", "bf16", "int8")

METRICS = {
    "latency_p50_ms": "single-stream: half of the answers took at most this long",
    "latency_p90_ms": "single-stream: 90 % of the answers took at most this long",
    "latency_p99_ms": "single-stream: 99 % of the answers took at most this long",
    "latency_count": "answers that were timed",
    "throughput_sps": "offline: samples per second",
    "accuracy": "share of the held-out digits that were told right, 0 to 1",
    "agreement_fp32": "share of answers that fp32 on the CPU gives too, 0 to 1",
}
PARAMS = {
    "device": "runtime, its backend and a number: ort:cuda:0",
    "device_kind": "cpu, a kind in words of CDI (nvidia.com/gpu), or unknown",
    "device_model": "the maker's name of the chip, or unknown",
    "provider": "what computed: ONNX Runtime's execution provider, or torch with its device type",
    "precision": ", ".join(PRECISIONS),
    "latency_batch": "samples in one timed call, single-stream",
    "throughput_batch": "samples in one timed call, offline",
    "min_seconds": "each scenario was timed for at least so long",
    "threads": "threads of the CPU that the runtime may use",
    "model_sha256": "of the fp32 model as an ONNX file",
    "samples_tested": "held-out samples behind accuracy and agreement",
    "version_runtime": "version of onnxruntime or torch",
    "version_python": "version of Python",
}
_WHOLE = ("latency_batch", "throughput_batch", "threads", "samples_tested")
_MATRIX = {"Gemm", "MatMul", "FusedGemm", "FusedMatMul"}
_MAKERS = {
    "CPU": "cpu",
    "CUDA": "nvidia.com/gpu",
    "CudaPlugin": "nvidia.com/gpu",
    "Tensorrt": "nvidia.com/gpu",
    "NvTensorRTRTX": "nvidia.com/gpu",
    "MIGraphX": "amd.com/gpu",
    "ROCM": "amd.com/gpu",
    "VitisAI": "amd.com/npu",
    "cpu": "cpu",
    "cuda": "nvidia.com/gpu",
    "xpu": "intel.com/gpu",
    "rbln": "rebellions.ai/npu",
    "furiosa": "furiosa.ai/rngd",
}


def kind_of(backend: str) -> str:
    """The CDI kind of an execution provider or a device type of PyTorch; ``unknown`` where nobody can tell.

    OpenVINO, for one, is ``unknown``: it runs on CPUs, GPUs and NPUs.
    """
    return _MAKERS.get(backend.removesuffix("ExecutionProvider"), "unknown")


def percentile(values: Sequence[int], share: float) -> int:
    """The smallest of ``values`` that ``share`` (above 0, at most 1) of them do not exceed: nearest rank."""
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1]


@dataclass(frozen=True)
class Effort:
    """How long a scenario is timed: until both ``seconds`` and ``count`` are reached."""

    seconds: float = 1.0
    count: int = 200
    warmup: int = 20


def timed(call: Callable[[], object], effort: Effort, clock: Callable[[], int]) -> list[int]:
    """Nanoseconds of each ``call``, after the calls of the warm-up; ``clock`` gives nanoseconds."""
    for _ in range(effort.warmup):
        call()
    spent: list[int] = []
    first = before = clock()
    while len(spent) < effort.count or before - first < effort.seconds * 1e9:
        call()
        after = clock()
        spent.append(after - before)
        before = after
    return spent


def figures(single: Sequence[int], offline: Sequence[int], batch: int) -> dict[str, float]:
    """The metrics of speed from the nanoseconds of calls with one sample and with ``batch`` samples."""
    return {
        **{f"latency_p{p}_ms": percentile(single, p / 100) / 1e6 for p in (50, 90, 99)},
        "latency_count": float(len(single)),
        "throughput_sps": batch * len(offline) / (sum(offline) / 1e9),
    }


@dataclass(frozen=True)
class Step:
    """One operation that ONNX Runtime has executed: its name, who computed it, its inputs' types."""

    name: str
    provider: str
    types: tuple[str, ...]


def steps(profile: str) -> list[Step]:
    """What was executed, by the text of a profile of ONNX Runtime."""
    found = []
    for event in json.loads(profile):
        about = event.get("args", {})
        if event.get("cat") == "Node" and "provider" in about:
            types = tuple(kind for one in about.get("input_type_shape", ()) for kind in one)
            found.append(Step(about["op_name"], about["provider"], types))
    return found


def deviation(done: Sequence[Step], provider: str, precision: str) -> str:
    """Why a run of ``done`` is not one of ``provider`` in ``precision``; empty if it is one.

    ONNX Runtime hands to the CPU what a provider leaves, and computes in fp32 what has no kernel
    of its type. The figure would then be of something else than its name says.
    """
    if not done:
        return "ONNX Runtime does not tell what it executed"
    if others := sorted({step.provider for step in done} - {provider}):
        return f"a part of it is computed by {', '.join(others)}"
    for step in done:
        if step.name in _MATRIX and precision != "fp32" and "float" in step.types:
            return f"{provider} has no {precision} kernel for it and would compute in fp32"
    return ""


def check(
    params: Mapping[str, str], metrics: Mapping[str, float], tags: Mapping[str, str]
) -> list[str]:
    """What is missing or wrong in a run, a sentence each; empty if it keeps to the schema.

    Params are text, as tracking keeps them. Further names do no harm.
    """
    wrong = []
    if tags.get("schema") != SCHEMA:
        wrong.append(f"tag schema is {tags.get('schema')!r}, not {SCHEMA!r}")
    wrong += [f"param {name} is missing" for name in PARAMS if not params.get(name)]
    wrong += [f"metric {name} is missing" for name in METRICS if name not in metrics]
    if (precision := params.get("precision")) and precision not in PRECISIONS:
        wrong.append(f"param precision is {precision!r}, not one of {', '.join(PRECISIONS)}")
    if (kind := params.get("device_kind")) and not re.fullmatch(
        r"cpu|unknown|[a-z0-9.-]+/[a-z0-9_-]+", kind
    ):
        wrong.append(f"param device_kind is {kind!r}, no kind such as nvidia.com/gpu")
    if (digest := params.get("model_sha256")) and not re.fullmatch(r"[0-9a-f]{64}", digest):
        wrong.append("param model_sha256 is no SHA-256 in hexadecimal")
    for name in _WHOLE:
        if (value := params.get(name)) and not re.fullmatch(r"[1-9]\d*", value):
            wrong.append(f"param {name} is {value!r}, no whole number above 0")
    for name in METRICS:
        value_of = metrics.get(name)
        if value_of is None:
            continue
        if name in ("accuracy", "agreement_fp32"):
            if not 0 <= value_of <= 1:
                wrong.append(f"metric {name} is {value_of}, not from 0 to 1")
        elif not (math.isfinite(value_of) and value_of > 0):
            wrong.append(f"metric {name} is {value_of}, no number above 0")
    order = [metrics[n] for n in METRICS if n.startswith("latency_p") and n in metrics]
    if order != sorted(order):
        wrong.append("the percentiles of the latency fall where they must rise")
    return wrong
