"""Which variables the runner and its kernels get: an allow-list, so that what is new is left out."""

from __future__ import annotations

from collections.abc import Mapping

KEY = "MADANG_DASHBOARD_KEY"
"""The key of the gateway. It reaches neither a kernel nor the environment of the running runner."""

_COMMON = {
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "MATPLOTLIBRC",
    "MPLBACKEND",
    "MPLCONFIGDIR",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
    "PYTHONSAFEPATH",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CUDA_VISIBLE_DEVICES",
    "DO_NOT_TRACK",
    "MLFLOW_DISABLE_TELEMETRY",
    "ORT_DISABLE_TELEMETRY",
}
_COMMON_BEGINNINGS = ("LC_", "OMP_", "OPENBLAS_", "MKL_", "NUMEXPR_", "NVIDIA_")

# what a notebook may ask about its visit, by the names of Voila and of CGI (RFC 3875)
_OF_A_VISIT = {
    "QUERY_STRING",
    "SCRIPT_NAME",
    "PATH_INFO",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
    "VOILA_PREHEAT",
    "VOILA_BASE_URL",
    "VOILA_REQUEST_URL",
    "VOILA_KERNEL_ID",
}


def _common(name: str) -> bool:
    return name in _COMMON or name.startswith(_COMMON_BEGINNINGS)


def of_runner(environ: Mapping[str, str]) -> dict[str, str]:
    """What the runner keeps of the variables that it was started with: its settings, never its key."""
    return {
        name: value
        for name, value in environ.items()
        if (_common(name) or name.startswith("MADANG_DASHBOARD_")) and name != KEY
    }


def of_kernel(environ: Mapping[str, str], ipython: str) -> dict[str, str]:
    """What a kernel gets of what Voila would give it.

    Args:
        environ: the runner's variables and those of the visit.
        ipython: a folder of the kernel's own, so that no kernel's start-up files reach another.
    """
    kept = {name: value for name, value in environ.items() if _common(name) or name in _OF_A_VISIT}
    # JUPYTER_…: the image's own kernels and templates, not what a kernel may write into its home
    return {**kept, "IPYTHONDIR": ipython, "PYTHONNOUSERSITE": "1"}
