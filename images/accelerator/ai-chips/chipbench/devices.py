"""The devices that this server holds: by ONNX Runtime's execution providers, and by PyTorch."""

from __future__ import annotations

import importlib
import math
import os
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chipbench.rules import kind_of

CPU = "CPUExecutionProvider"
_NO_CHIP = ("AzureExecutionProvider",)  # sends the work to a service
_NVIDIA = "nvidia.com/gpu"
_registered: set[str] = set()


@dataclass(frozen=True)
class Device:
    """One way to compute: ``runtime`` ``ort`` or ``torch``, its ``backend`` (provider, device type), a number.

    The same chip appears once for each way. ``handle`` is what a plug-in gave ONNX Runtime for it.
    """

    runtime: str
    backend: str
    index: int
    kind: str
    model: str
    handle: Any = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Stable: the same way on the same machine has it again."""
        short = self.backend.removesuffix("ExecutionProvider").lower()
        return f"{self.runtime}:{short}" + ("" if self.kind == "cpu" else f":{self.index}")

    @property
    def provider(self) -> str:
        """What computes, for the schema."""
        return self.backend if self.runtime == "ort" else f"torch {self.backend}"


def register_plugins(ort: Any) -> list[str]:
    """Make ONNX Runtime know the makers' plug-ins that are installed; a sentence for each that failed.

    A package of a plug-in is named ``onnxruntime_ep_…`` and has ``get_library_path()``, by
    https://onnxruntime.ai/docs/execution-providers/plugin-ep-libraries/packaging.html.
    """
    failed = []
    for module in pkgutil.iter_modules():
        if not module.name.startswith("onnxruntime_ep_") or module.name in _registered:
            continue
        try:
            library = importlib.import_module(module.name).get_library_path()
            ort.register_execution_provider_library(module.name, str(library))
        except Exception as error:  # a maker's library raises what it likes
            failed.append(f"{module.name} could not be registered: {first_line(error)}")
        else:
            _registered.add(module.name)
    return failed


def found(ort: Any, torch: Any) -> list[Device]:
    """Every device, the CPU first; ``ort`` and ``torch`` are the modules ``onnxruntime`` and ``torch``."""
    return [*_by_onnxruntime(ort, torch), *_by_torch(torch)]


def _by_onnxruntime(ort: Any, torch: Any) -> Iterator[Device]:
    yield Device("ort", CPU, 0, "cpu", cpu_model())
    plugged: dict[str, int] = {}
    for handle in ort.get_ep_devices():
        if handle.ep_name == CPU:
            continue
        index = plugged[handle.ep_name] = plugged.get(handle.ep_name, -1) + 1
        about = {**dict(handle.device.metadata), **dict(handle.ep_metadata)}
        model = about.get("Description") or about.get("name") or handle.device.vendor or "unknown"
        kind = kind_of(handle.ep_name)
        if kind == _NVIDIA and index < torch.cuda.device_count():
            model = str(torch.cuda.get_device_name(index))
        yield Device("ort", handle.ep_name, index, kind, model, handle)
    for provider in ort.get_available_providers():
        if provider in (CPU, *_NO_CHIP, *plugged):
            continue
        kind = kind_of(provider)
        if kind == _NVIDIA:
            # compiled in, with or without a card: the cards are those that PyTorch sees
            for index in range(torch.cuda.device_count()):
                model = str(torch.cuda.get_device_name(index))
                yield Device("ort", provider, index, kind, model)
        else:
            yield Device("ort", provider, 0, kind, "unknown")


def _by_torch(torch: Any) -> Iterator[Device]:
    yield Device("torch", "cpu", 0, "cpu", cpu_model())
    # CUDA, XPU, or what a maker's package (torch-rbln and others) has added: PyTorch loads these by itself
    here = torch.accelerator.current_accelerator(check_available=True)
    if here is None:
        return
    module = torch.get_device_module(here.type)
    kind = kind_of(here.type)
    if here.type == "cuda" and torch.version.hip:
        kind = "amd.com/gpu"
    for index in range(torch.accelerator.device_count()):
        name = getattr(module, "get_device_name", lambda _: "unknown")
        yield Device("torch", here.type, index, kind, str(name(index)))


def cpu_model(file: Path = Path("/proc/cpuinfo")) -> str:
    """The processor by its maker's name, or ``unknown``."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else "unknown"


def cpu_threads(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Processors that this server may use: its share by the control group, else what the kernel gives."""
    here = len(os.sched_getaffinity(0))
    try:
        quota, period = file.read_text(encoding="utf-8").split()
    except OSError:
        return here
    return here if quota == "max" else max(1, min(here, math.ceil(int(quota) / int(period))))


def first_line(error: Exception) -> str:
    """What an exception says, in one line, without ONNX Runtime's code numbers and places in its source."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    line = re.sub(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ", "", line)
    return re.sub(r"^/\S+\.cc:\d+ .*?\) (?=[A-Z])", "", line)
