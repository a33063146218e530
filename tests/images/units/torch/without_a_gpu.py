"""No driver and no GPU here: the library says so calmly, and nothing of a driver is in the image."""

import importlib
import shutil
import subprocess
import warnings
from typing import Any

warnings.simplefilter("error")
torch: Any = importlib.import_module("torch")
assert torch.cuda.is_available() is False
assert torch.ones(2, device="cuda" if torch.cuda.is_available() else "cpu").sum() == 2
assert shutil.which("nvidia-smi") is None
listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
assert "libcuda.so" not in listed, "a driver is in the image; the host brings it"
