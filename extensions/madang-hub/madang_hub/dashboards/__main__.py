"""The dashboards service as a process: ``python -m madang_hub.dashboards``."""

from __future__ import annotations

import sys

from madang_hub.dashboards.web.process import main

if __name__ == "__main__":
    sys.exit(main())
