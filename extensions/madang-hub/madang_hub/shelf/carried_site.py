"""The site's package mirror and certificates, for the Hub's own look-ups; `madang up` writes them down.

The machine's pip knows the mirror, and the Hub in its container does not see the machine. A mirror's address
may hold a password, so it is a file that only the Hub's account reads, and no variable.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from madang_hub.shelf import site

FILE = "site.json"
CERTIFICATES = "site-certificates.pem"


def of_machine(environ: Mapping[str, str], python: str) -> dict[str, str]:
    """What this machine is set to: variables for uv, and under ``certificates`` the text of its store."""
    # npm is not asked: nothing of it is looked up
    mirrors = site.mirrors({**environ, "NPM_CONFIG_REGISTRY": "-"}, python)
    found = {name: value for name, value in mirrors.items() if not name.startswith("PIP")}
    given = environ.get("SSL_CERT_FILE", "")
    if given and Path(given).is_file():
        found["certificates"] = Path(given).read_text(encoding="utf-8")
    elif site.CERTIFICATE_STORE.is_file() and any(site.CERTIFICATES.glob("*.crt")):
        found["certificates"] = site.CERTIFICATE_STORE.read_text(encoding="utf-8")
    return found


def write(folder: Path, found: Mapping[str, str]) -> None:
    """Keep ``found`` in ``folder``, mode 0600."""
    values = dict(found)
    certificates = values.pop("certificates", "")
    if certificates:
        _private(folder / CERTIFICATES, certificates)
        values["SSL_CERT_FILE"] = str(folder / CERTIFICATES)
    _private(folder / FILE, json.dumps(values))


def read(folder: Path) -> dict[str, str]:
    """The variables; none where nothing was written."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _private(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)
