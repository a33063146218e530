"""``python -m madang_mlflow``: become ``mlflow server`` with the gate before it.

Settings come from the environment (`madang_mlflow.launch.plan`, `madang_mlflow.settings.read`).
Ends with status 2 and one line for each problem when they are not safe. With words it does a task of the
operator instead (`madang_mlflow.tasks`).
"""

import os
import sys

from madang_mlflow import tasks
from madang_mlflow.launch import plan
from madang_mlflow.ledger import NAME, Ledger
from madang_mlflow.settings import SettingsError, state_folder


def main() -> int:
    """Replace this process; returns (2) only when its settings are wrong. With words: do a task."""
    if sys.argv[1:]:
        return tasks.main(sys.argv[1:])
    try:
        launch = plan(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    if folder := state_folder(os.environ):
        ledger = Ledger(str(folder / NAME))
        ledger.forget()  # uploads that a killed server had begun, and what changed meanwhile
        ledger.close()
    sys.stdout.flush()
    os.execve(launch.command[0], launch.command, launch.env)  # noqa: S606  # it is MLflow's server from here on


if __name__ == "__main__":
    sys.exit(main())
