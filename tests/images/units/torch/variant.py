"""The variant is what its name says: the CPU build without CUDA, or CUDA's libraries whole and no driver."""

import ctypes
import importlib
import json
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

torch: Any = importlib.import_module("torch")
name = json.loads(Path("/opt/madang/manifest.json").read_text(encoding="utf-8"))["image"]
libraries = sorted(
    d.metadata["Name"] for d in distributions() if d.metadata["Name"].startswith("nvidia-")
)
libraries = [n for n in libraries if n != "nvidia-ml-py"]  # asks the driver; holds nothing of it
if not name.endswith("-cuda"):
    assert torch.version.cuda is None, torch.version.cuda
    assert libraries == []
else:
    assert int(torch.version.cuda.split(".")[0]) >= 12, torch.version.cuda
    assert torch.backends.cudnn.version() > 90000
    for part in ("cublas", "cudnn", "cufft", "cusolver", "cusparse", "nccl", "cuda-runtime"):
        assert any(part in library for library in libraries), (part, libraries)
    root = Path(torch.__file__).parent.parent / "nvidia"
    for library in ("libcublas.so", "libcudnn.so", "libnccl.so", "libcudart.so"):
        assert list(root.rglob(f"{library}*")), library
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        raise AssertionError("a driver is in the image; the host brings it")
