"""Which of MLflow's routes are open. A route that is not listed here is closed (403).

So a newer MLflow brings nothing new to the network until somebody has read it and put it here.

Closed on purpose, and why:

- ``v1/traces`` (OTLP): chooses the experiment by a header; the client logs traces without it.
- ``jobs``, ``genai/evaluate/invoke``, ``scorer(s)/…/invoke``, ``issues/invoke``,
  ``prompt-optimization``: run work, or users' code, on the server.
- ``gateway``, ``gateway-proxy`` (but for its empty list), ``assistant``, ``mcp-servers``: reach
  out to other hosts, or hold other people's keys.
- ``webhooks``: make the server call addresses that a user chose.
- ``users``, ``roles``, ``permissions``: people and rights come from the Hub.
- ``workspaces``, but for the list, which the gate answers itself (`WORKSPACES`): they are made on
  first use, from what the Hub says.
- ``demo``: writes and deletes for everybody.
- presigned and multipart transfers: only object storage has them.
- ``ui-telemetry`` (POST): nothing about users leaves this server.
"""

import re
from collections.abc import Iterable, Mapping

_BOTH = ("/api", "/ajax-api")
_UI = ("/ajax-api",)

#: The routes of MLflow's own pages.
PAGES = (
    "GET /",
    "GET /version",
    "GET /static-files/{path}",
    "GET /get-artifact",
    "GET /model-versions/get-artifact",
    # The page of a run needs it. Its fields only read what the routes below read, too: experiment,
    # run, artifact list, metric history, model versions, search.
    "POST /graphql",
    # answered by the gate: what a workspace holds and may hold (`madang_mlflow.meter`)
    "GET /madang/usage",
)

#: Answered without knowing who asks, while the Hub is away: MLflow says of it that it is for everybody, also
#: behind a password, and must hold nobody's data (`build_server_info_payload` in its server/handlers.py). Its
#: client asks this first and does not ask twice, but repeats what comes next.
PUBLIC = frozenset(("GET", f"{base}/3.0/mlflow/server-info") for base in _BOTH)

#: Open below ``/api`` (the client) and ``/ajax-api`` (MLflow's pages).
CLIENT_AND_UI = (
    "GET /3.0/mlflow/server-info",
    # answered by the gate, never by MLflow, which would name everybody's
    "GET /3.0/mlflow/workspaces",
    "GET /3.0/mlflow/workspaces/{id}",
    # experiments
    "POST /2.0/mlflow/experiments/create",
    "POST /2.0/mlflow/experiments/delete",
    "POST /2.0/mlflow/experiments/delete-experiment-tag",
    "GET /2.0/mlflow/experiments/get",
    "GET /2.0/mlflow/experiments/get-by-name",
    "POST /2.0/mlflow/experiments/restore",
    "GET /2.0/mlflow/experiments/search",
    "POST /2.0/mlflow/experiments/search",
    "POST /2.0/mlflow/experiments/set-experiment-tag",
    "POST /2.0/mlflow/experiments/update",
    # runs
    "POST /2.0/mlflow/runs/create",
    "POST /2.0/mlflow/runs/delete",
    "POST /2.0/mlflow/runs/delete-tag",
    "GET /2.0/mlflow/runs/get",
    "POST /2.0/mlflow/runs/log-batch",
    "POST /2.0/mlflow/runs/log-inputs",
    "POST /2.0/mlflow/runs/log-metric",
    "POST /2.0/mlflow/runs/log-model",
    "POST /2.0/mlflow/runs/log-parameter",
    "POST /2.0/mlflow/runs/outputs",
    "POST /2.0/mlflow/runs/restore",
    "POST /2.0/mlflow/runs/search",
    "POST /2.0/mlflow/runs/set-tag",
    "POST /2.0/mlflow/runs/update",
    "GET /2.0/mlflow/metrics/get-history",
    "GET /2.0/mlflow/metrics/get-history-bulk-interval",
    # artifacts
    "GET /2.0/mlflow/artifacts/list",
    "GET /2.0/mlflow-artifacts/artifacts",
    "GET /2.0/mlflow-artifacts/artifacts/{path}",
    "PUT /2.0/mlflow-artifacts/artifacts/{path}",
    "DELETE /2.0/mlflow-artifacts/artifacts/{path}",
    # models of a run
    "POST /2.0/mlflow/logged-models",
    "POST /2.0/mlflow/logged-models/search",
    "GET /2.0/mlflow/logged-models/{id}",
    "PATCH /2.0/mlflow/logged-models/{id}",
    "DELETE /2.0/mlflow/logged-models/{id}",
    "GET /2.0/mlflow/logged-models/{id}/artifacts/directories",
    "POST /2.0/mlflow/logged-models/{id}/params",
    "PATCH /2.0/mlflow/logged-models/{id}/tags",
    "DELETE /2.0/mlflow/logged-models/{id}/tags/{key}",
    # model registry and prompts
    "POST /2.0/mlflow/registered-models/alias",
    "DELETE /2.0/mlflow/registered-models/alias",
    "GET /2.0/mlflow/registered-models/alias",
    "POST /2.0/mlflow/registered-models/create",
    "DELETE /2.0/mlflow/registered-models/delete",
    "DELETE /2.0/mlflow/registered-models/delete-tag",
    "GET /2.0/mlflow/registered-models/get",
    "GET /2.0/mlflow/registered-models/get-latest-versions",
    "POST /2.0/mlflow/registered-models/get-latest-versions",
    "POST /2.0/mlflow/registered-models/rename",
    "GET /2.0/mlflow/registered-models/search",
    "POST /2.0/mlflow/registered-models/set-tag",
    "PATCH /2.0/mlflow/registered-models/update",
    "POST /2.0/mlflow/model-versions/create",
    "DELETE /2.0/mlflow/model-versions/delete",
    "DELETE /2.0/mlflow/model-versions/delete-tag",
    "GET /2.0/mlflow/model-versions/get",
    "GET /2.0/mlflow/model-versions/get-download-uri",
    "GET /2.0/mlflow/model-versions/search",
    "POST /2.0/mlflow/model-versions/set-tag",
    "POST /2.0/mlflow/model-versions/transition-stage",
    "PATCH /2.0/mlflow/model-versions/update",
    # traces
    "POST /3.0/mlflow/traces",
    "GET /3.0/mlflow/traces/batchGet",
    "POST /3.0/mlflow/traces/batchGetInfos",
    "POST /3.0/mlflow/traces/calculate-filter-correlation",
    "POST /3.0/mlflow/traces/delete-traces",
    "GET /3.0/mlflow/traces/get",
    "POST /3.0/mlflow/traces/metrics",
    "POST /3.0/mlflow/traces/search",
    "GET /3.0/mlflow/traces/{id}",
    "POST /3.0/mlflow/traces/{id}/assessments",
    "GET /3.0/mlflow/traces/{id}/assessments/{assessment}",
    "PATCH /3.0/mlflow/traces/{id}/assessments/{assessment}",
    "DELETE /3.0/mlflow/traces/{id}/assessments/{assessment}",
    "PATCH /3.0/mlflow/traces/{id}/tags",
    "DELETE /3.0/mlflow/traces/{id}/tags",
    "POST /2.0/mlflow/traces",
    "GET /2.0/mlflow/traces",
    "PATCH /2.0/mlflow/traces/{id}",
    "GET /2.0/mlflow/traces/{id}/info",
    "PATCH /2.0/mlflow/traces/{id}/tags",
    "DELETE /2.0/mlflow/traces/{id}/tags",
    "POST /2.0/mlflow/traces/delete-traces",
    "POST /2.0/mlflow/traces/link-prompts",
    "POST /2.0/mlflow/traces/link-to-run",
    # evaluation data sets
    "POST /3.0/mlflow/datasets/create",
    "GET /3.0/mlflow/datasets/search",
    "POST /3.0/mlflow/datasets/search",
    "GET /3.0/mlflow/datasets/{id}",
    "DELETE /3.0/mlflow/datasets/{id}",
    "POST /3.0/mlflow/datasets/{id}/add-experiments",
    "GET /3.0/mlflow/datasets/{id}/experiment-ids",
    "POST /3.0/mlflow/datasets/{id}/records",
    "GET /3.0/mlflow/datasets/{id}/records",
    "DELETE /3.0/mlflow/datasets/{id}/records",
    "POST /3.0/mlflow/datasets/{id}/remove-experiments",
    "PATCH /3.0/mlflow/datasets/{id}/tags",
    "DELETE /3.0/mlflow/datasets/{id}/tags/{key}",
    # what the pages read to know that there are none
    "GET /3.0/mlflow/scorers/get",
    "GET /3.0/mlflow/scorers/list",
    "GET /3.0/mlflow/scorers/versions",
)

#: Open below ``/ajax-api`` only: MLflow has them for its pages alone.
UI_ONLY = (
    "POST /2.0/mlflow/experiments/search-datasets",
    "GET /2.0/mlflow/get-trace-artifact",
    "GET /3.0/mlflow/get-trace-artifact",
    "GET /2.0/mlflow/logged-models/{id}/artifacts/files",
    "GET /2.0/mlflow/metrics/get-history-bulk",
    "POST /2.0/mlflow/upload-artifact",
    "GET /3.0/mlflow/ui-telemetry",
    # The page of an experiment asks it for endpoints and shows an error if refused. It sends nothing
    # out and answers "none" without MLFLOW_DEPLOYMENTS_TARGET, which must be unset (settings.py).
    "GET /2.0/mlflow/gateway-proxy",
)

#: The list of workspaces, which the gate answers.
WORKSPACES = re.compile(r"/(?:ajax-)?api/3\.0/mlflow/workspaces(?:/(?P<name>[^/]+))?", re.DOTALL)

#: What reads although it is a POST. Everything else that is not a GET changes something.
READS_BY_POST = re.compile(
    # GraphQL has no field that changes anything (test_tracking_gate.py reads its schema)
    r"/graphql"
    r"|/(?:ajax-)?api/2\.0/mlflow/(?:experiments/search(?:-datasets)?|runs/search"
    r"|logged-models/search|registered-models/get-latest-versions)"
    r"|/(?:ajax-)?api/3\.0/mlflow/(?:traces/(?:batchGetInfos|calculate-filter-correlation|metrics"
    r"|search)|datasets/search)"
)

#: Answers that are files a user made: a browser must not run them as pages of this host.
FILES = re.compile(
    r"/get-artifact|/model-versions/get-artifact"
    r"|/(?:ajax-)?api/2\.0/mlflow-artifacts/artifacts/.*"
    r"|/ajax-api/[23]\.0/mlflow/get-trace-artifact"
    r"|/ajax-api/2\.0/mlflow/logged-models/[^/]+/artifacts/files",
    re.DOTALL,
)


def changes(method: str, path: str) -> bool:
    """Whether an open route may change something."""
    if method in ("GET", "HEAD"):
        return False
    return method != "POST" or READS_BY_POST.fullmatch(path) is None


class AllowList:
    """Tells whether a method and a path are open.

    A template's ``{path}`` stands for one or more segments, any other ``{name}`` for one. HEAD
    is open where GET is.
    """

    def __init__(self, templates: Iterable[str]) -> None:
        self._exact: dict[str, set[str]] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], set[str]]] = {}
        for template in templates:
            method, path = template.split(" ", 1)
            if "{" in path:
                pattern = re.compile(_pattern(path), re.DOTALL)
                methods = self._patterns.setdefault(path, (pattern, set()))[1]
            else:
                methods = self._exact.setdefault(path, set())
            methods.add(method)

    def open(self, method: str, path: str) -> bool:
        """Whether the request may pass.

        Args:
            method: in capitals.
            path: decoded, without the service's prefix.
        """
        wanted = "GET" if method == "HEAD" else method
        exact = self._exact.get(path)
        if exact is not None:
            return wanted in exact
        return any(
            wanted in methods and pattern.fullmatch(path) is not None
            for pattern, methods in self._patterns.values()
        )


def _pattern(template: str) -> str:
    parts = re.split(r"(\{[a-z]+\})", template)
    wild: Mapping[str, str] = {"{path}": ".+"}
    return "".join(wild.get(p, "[^/]+") if p.startswith("{") else re.escape(p) for p in parts)


def allow_list() -> AllowList:
    """The open routes of the MLflow that this package is made for."""

    def below(prefixes: tuple[str, ...], templates: tuple[str, ...]) -> list[str]:
        split = [template.split(" ", 1) for template in templates]
        return [f"{method} {prefix}{path}" for prefix in prefixes for method, path in split]

    return AllowList([*PAGES, *below(_BOTH, CLIENT_AND_UI), *below(_UI, UI_ONLY)])
