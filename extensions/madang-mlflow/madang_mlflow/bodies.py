"""Rules about request bodies: a client must not choose where the server reads and writes files.

MLflow takes an artifact location from the client in three places and later opens it with the
server's own rights: a local path would hand out the server's files, a bucket its keys. Here the
server chooses, always. (A fourth place, a model version's ``source``, MLflow checks itself with a
regular expression that `madang_mlflow.settings` insists on.)
"""

import json
import re
from typing import Any

#: Bodies that are looked at are small: names and tags.
MAX_BYTES = 4 * 1024 * 1024

_LOOKED_AT = re.compile(
    r"/(?:ajax-)?api/(?:2\.0/mlflow/experiments/create|[23]\.0/mlflow/traces(?:/[^/]+(?:/tags)?)?)"
)
_TAG = "mlflow.artifactLocation"
_METRICS = re.compile(r"/(?:ajax-)?api/2\.0/mlflow/runs/log-(?:metric|batch)")


class RefusedBodyError(Exception):
    """A body that must not reach MLflow; its text is for the caller."""


def looked_at(method: str, path: str) -> bool:
    """Whether the body of a request must be read before it may pass (`checked`)."""
    return method in ("POST", "PATCH") and _LOOKED_AT.fullmatch(path) is not None


def names_models(method: str, path: str) -> bool:
    """Whether the body of a request may name models that a metric belongs to (`models_in`)."""
    return method == "POST" and _METRICS.fullmatch(path) is not None


def models_in(body: bytes) -> frozenset[str]:
    """The logged models that metrics in a body are written to.

    MLflow writes a metric to any model whose id it is given, whoever's it is. Bodies that name none
    (nearly all) are not parsed: this is the path of every ``log_metric``.

    Raises:
        RefusedBodyError: it cannot be read.
    """
    if b"\0" in body:  # UTF-16, in which the words below look different
        raise RefusedBodyError("The request's body must be UTF-8.")
    if b"model" not in body.lower() and b"\\u" not in body:
        return frozenset()
    found: set[str] = set()

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        for key, value in items:
            if key.replace("_", "").lower() == "modelid" and value is not None:
                found.add(str(value))
        return dict(items)

    try:
        content = json.loads(body, object_pairs_hook=pairs)
        if isinstance(content, str):
            json.loads(content, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise RefusedBodyError("The request's body is not JSON.") from error
    found.discard("")
    return frozenset(found)


def checked(body: bytes) -> bytes:
    """The body to hand on: the one that was looked at, written anew.

    Written anew because two readers of one JSON text can disagree (a key given twice, a text
    inside a text); what MLflow reads is exactly what was judged.

    Raises:
        RefusedBodyError: it is not a JSON object, or it chooses an artifact location.
    """
    try:
        content = json.loads(body or b"{}")
        if isinstance(content, str):  # old clients wrap their JSON in a JSON string
            content = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RefusedBodyError("The request's body is not JSON.") from error
    if not isinstance(content, dict):
        raise RefusedBodyError("The request's body must be a JSON object.")
    if _chooses_location(content):
        raise RefusedBodyError(
            "Artifact locations are chosen by the server: leave artifact_location out."
        )
    _forget_assessment_ids(content)
    return json.dumps(content).encode()


def _chooses_location(content: Any) -> bool:
    """Whether some key, or some tag's name, sets an artifact location."""
    pending = [content]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, dict):
            for key, value in item.items():
                # protobuf's JSON reads artifact_location and artifactLocation alike
                if key.replace("_", "").lower() == "artifactlocation" and value:
                    return True
                if key == _TAG or (key == "key" and value == _TAG):
                    return True
                pending.append(value)
    return False


def _forget_assessment_ids(content: Any) -> None:
    """Let MLflow number the assessments that come with a trace.

    It takes the id that it is given, and an assessment of this id that another trace has, whoever's
    it is, would be moved here and overwritten.
    """
    pending = [content]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, dict):
            for key in [key for key in item if key.replace("_", "").lower() == "assessmentid"]:
                del item[key]
            pending.extend(item.values())
