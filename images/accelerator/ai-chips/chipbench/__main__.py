"""``python -m chipbench [seconds]``: measure every device and print the figures as JSON; no tracking."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from chipbench.bench import measure
from chipbench.rules import Effort

if __name__ == "__main__":
    effort = Effort(seconds=float(sys.argv[1])) if len(sys.argv) > 1 else Effort()
    done = measure(effort, say=lambda line: print(line, file=sys.stderr))
    print(json.dumps(asdict(done), indent=1, ensure_ascii=False))
