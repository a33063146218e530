"""The model made ready on a device: a function from samples to answers that computes there and nowhere else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

from chipbench import model as models
from chipbench.devices import CPU, Device
from chipbench.rules import deviation, steps

Run = Callable[[Any], Any]


class CannotError(Exception):
    """The device cannot run the model in this precision; one sentence says why."""


def ready(device: Device, precision: str, model: bytes, data: models.Digits, threads: int) -> Run:
    """``model`` on ``device``; copies to and from the device are part of each call, as in MLPerf.

    Raises:
        CannotError: it would be computed elsewhere, or in another precision.
    """
    if device.runtime == "torch":
        return _torch(device, precision, model, threads)
    return _onnxruntime(device, models.in_precision(model, precision, data), precision, threads)


def _torch(device: Device, precision: str, model: bytes, threads: int) -> Run:
    if precision == "int8":
        raise CannotError("PyTorch by itself has no int8 form of this model; ONNX Runtime has")
    torch.set_num_threads(threads)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    where = torch.device(device.backend, None if device.kind == "cpu" else device.index)
    net = models.network()
    with torch.no_grad():
        for part, value in zip(net.parameters(), models.weights(model), strict=True):
            part.copy_(torch.tensor(value))
    net = net.to(where, dtype).eval()

    def forward(x: Any) -> Any:
        with torch.inference_mode():
            return net(torch.from_numpy(x).to(where, dtype))

    tried = forward(np.zeros((1, models.SIZES[0]), np.float32))
    if (tried.device.type, tried.dtype) != (where.type, dtype):
        raise CannotError(f"the answer came from {tried.device} in {tried.dtype}")
    return lambda x: forward(x).float().cpu().numpy()


def _onnxruntime(device: Device, model: bytes, precision: str, threads: int) -> Run:
    # a session of its own that writes down what it executes; the timed one does not write
    with tempfile.TemporaryDirectory() as folder:
        watched = _session(device, model, threads, profile=str(Path(folder, "profile")))
        watched.run(None, {"x": np.zeros((1, models.SIZES[0]), np.float32)})
        profile = Path(watched.end_profiling()).read_text(encoding="utf-8")
    if why := deviation(steps(profile), device.backend, precision):
        raise CannotError(why)
    session = _session(device, model, threads)
    return lambda x: session.run(None, {"x": x})[0]


def _session(device: Device, model: bytes, threads: int, profile: str = "") -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what fails is raised, and said in a sentence of ours
    options.intra_op_num_threads = threads
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    if device.backend != CPU:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    settings: dict[str, str] = {}
    if device.backend == "CUDAExecutionProvider":
        settings["use_tf32"] = "0"  # else what is called fp32 would be less
    # enable_fallback=0: Python would try again on the CPU when a provider fails
    if device.handle is not None:
        options.add_provider_for_devices([device.handle], settings)
        session = ort.InferenceSession(model, options, enable_fallback=0)
    else:
        if device.kind == "nvidia.com/gpu":
            settings["device_id"] = str(device.index)
        session = ort.InferenceSession(
            model, options, providers=[(device.backend, settings)], enable_fallback=0
        )
    if device.backend not in session.get_providers():
        raise CannotError(f"{device.backend} did not start, so ONNX Runtime would use the CPU")
    return session


def load_libraries() -> None:
    """Let ONNX Runtime find CUDA's libraries, which are Python packages here; be silent about what it lacks."""
    ort.set_default_logger_severity(4)
    if "CUDAExecutionProvider" in ort.get_available_providers() and hasattr(ort, "preload_dlls"):
        with Path(os.devnull).open("w") as silence, redirect_stdout(silence):
            ort.preload_dlls()
