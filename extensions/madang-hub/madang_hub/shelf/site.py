"""What this machine says about where packages come from: certificates, mirrors, folders with wheels.

pip's and npm's own settings and the certificate store are the one place where a site says so; a build and
the making of an environment follow them.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

CERTIFICATES = Path("/usr/local/share/ca-certificates")
CERTIFICATE_STORE = Path("/etc/ssl/certs/ca-certificates.crt")


def secrets(folder: Path, environ: Mapping[str, str], python: str) -> list[str]:
    """BuildKit arguments that carry this machine's certificates and mirrors into a build.

    Args:
        folder: where the file that holds the mirrors is written.
        python: as for :func:`mirrors`.
    """
    arguments = []
    if CERTIFICATE_STORE.is_file() and any(CERTIFICATES.glob("*.crt")):
        arguments += ["--secret", f"id=ca,src={CERTIFICATE_STORE}"]
    found = mirrors(environ, python)
    if found:
        file = folder / "mirrors"
        file.write_text(
            "".join(f"export {k}={shlex.quote(v)}\n" for k, v in sorted(found.items())),
            encoding="utf-8",
        )
        arguments += ["--secret", f"id=mirrors,src={file}"]
    return arguments


def mirrors(environ: Mapping[str, str], python: str = sys.executable) -> dict[str, str]:
    """Package indexes that this machine's pip and npm are set to, as variables for pip, uv and npm.

    What is not set is left out; files on this machine (``file://``) cannot be seen by a build
    (:func:`wheels` gives it a folder).

    Args:
        python: an interpreter that has pip (the run-time environment, made by uv, has none).
    """
    found: dict[str, str] = {}
    for option, names in {
        "index-url": ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        "extra-index-url": ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
        "find-links": ("PIP_FIND_LINKS", "UV_FIND_LINKS"),
    }.items():
        addresses = [a for a in _pip(option, environ, python) if _is_mirror(a)]
        if addresses:
            found[names[0]] = " ".join(addresses)
            found[names[1]] = (" " if option == "extra-index-url" else ",").join(addresses)
    registry = environ.get("NPM_CONFIG_REGISTRY", "") or _setting(
        ["npm", "config", "get", "registry"], environ
    )
    if _is_mirror(registry):
        found["NPM_CONFIG_REGISTRY"] = registry
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        for spelling in (name, name.lower()):
            if value := environ.get(spelling, ""):
                found[spelling] = value
    return found


def wheels(lock: str, environ: Mapping[str, str], python: str = sys.executable) -> Path | None:
    """The folder of this machine that pip's ``find-links`` names, for a ``lock`` (its text) that needs it.

    None where it names none, or where the lock asks for no local version (``torch==2.13.0+cpu``): those are
    what no package index has, and to others an installer would prefer them.
    """
    if not re.search(r"(?m)^[\w.-]+==[^\s;]+\+", lock):
        return None
    for link in _pip("find-links", environ, python):
        parts = urlsplit(link)
        if parts.scheme in ("", "file"):
            folder = Path(unquote(parts.path))
            if folder.is_dir():
                return folder
    return None


def _pip(option: str, environ: Mapping[str, str], python: str) -> list[str]:
    """The values of pip's ``option``; its variable goes before its files, as for pip itself."""
    value = environ.get("PIP_" + option.upper().replace("-", "_"), "") or _setting(
        [python, "-m", "pip", "config", "get", f"global.{option}"], environ
    )
    return value.split()


def _is_mirror(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _setting(command: list[str], environ: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            command,
            env=dict(environ),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
