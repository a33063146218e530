"""Somebody's first sign-in, server and cell, as a program: it runs in the network namespace of the Madang.

``python -m support.first_cell PORT NAME ONE_TIME_PASSWORD`` prints what the cell printed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from support.deployment import Deployment
from support.people import Person

CELL = """
import mlflow
mlflow.log_metric("answer", 42)
print(mlflow.get_experiment_by_name(__import__("os").environ["MLFLOW_EXPERIMENT_NAME"]).name, 6 * 7)
"""


def main() -> None:
    port, name, one_time = sys.argv[1:]
    deployment = Deployment("server", Path("/nonexistent"))
    deployment.port = int(port)
    person = Person(deployment, name)
    person.join(one_time)
    person.start(environment="lab", size="small")
    print(person.run(CELL).strip())
    person.stop()


if __name__ == "__main__":
    main()
