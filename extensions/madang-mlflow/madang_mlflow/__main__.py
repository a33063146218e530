"""``python -m madang_mlflow``: become ``mlflow server`` with the gate before it.

Settings come from the environment (`madang_mlflow.launch.plan`, `madang_mlflow.settings.read`).
Ends with status 2 and one line for each problem when they are not safe.
"""

import os
import sys

from madang_mlflow.launch import plan
from madang_mlflow.settings import SettingsError


def main() -> int:
    """Replace this process; returns (2) only when its settings are wrong."""
    try:
        launch = plan(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    sys.stdout.flush()
    os.execve(launch.command[0], launch.command, launch.env)  # noqa: S606  # it is MLflow's server from here on


if __name__ == "__main__":
    sys.exit(main())
