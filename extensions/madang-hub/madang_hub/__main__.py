"""``python -m madang_hub`` is the ``madang`` command."""

import sys

from madang_hub.cli import main

sys.exit(main())
