"""Madang's JupyterHub configuration: assembly only.

Settings come from the environment and ``madang.env`` (see docs/reference/settings.md); everything that is
set from them is in ``madang_hub.install``. Change a trait for your site below the last line.
"""

import os
from pathlib import Path

from madang_hub.install import install
from madang_hub.places import Places
from madang_hub.settings import Settings

c = get_config()  # noqa: F821  # given by traitlets

root = Path(os.environ.get("MADANG_ROOT", Path(__file__).parent))
mode = "embedded" if os.environ.get("MADANG_RUNS_AS") == "embedded" else "server"
install(c, Places(Settings.load(root), mode), root)
