"""What a user server is told by its variables."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from urllib3.util import Retry

from madang_hub.catalog import Catalog
from madang_hub.image_table import TABLE
from madang_hub.user_server import UserServer
from madang_mlflow.identity import Times


class Server(UserServer):
    """With what a spawner of JupyterHub's has."""

    api_token = "t"
    user = SimpleNamespace(name="kim")


def test_it_knows_every_environment_that_packages_may_be_for(root: Path) -> None:
    """Those that the operator does not offer just now as well: their packages are no leftovers."""
    offered = Catalog.load(root / TABLE).offering(["lab"])
    told = Server(catalog=offered).environment_at("http://hub")["MADANG_ENVIRONMENTS"].split()
    assert {"lab", "energy", "rescue"} <= set(told)
    assert "energy" not in offered.environments


def test_an_earlier_version_has_the_same_packages_of_ones_own(root: Path) -> None:
    server = Server(catalog=Catalog.load(root / TABLE))
    server.environment_name = "lab@0.0.9"
    assert server.environment_at("http://hub")["MADANG_ENVIRONMENT"] == "lab"


def test_who_logs_waits_as_long_as_the_gate_believes_the_hub(root: Path) -> None:
    told = Server(catalog=Catalog.load(root / TABLE)).environment_at("http://hub")
    assert told["MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER"] == "false"
    # as MLflow's client counts, which has 2 as its factor
    left = Retry(total=int(told["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]), backoff_factor=2)
    pauses = 0.0
    while left.total:
        left = left.increment("POST", "/", error=ConnectionError())
        pauses += left.get_backoff_time()
    assert pauses >= Times().stale
