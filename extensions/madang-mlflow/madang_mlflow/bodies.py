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


class RefusedBodyError(Exception):
    """A body that must not reach MLflow; its text is for the caller."""


def looked_at(method: str, path: str) -> bool:
    """Whether the body of a request must be read before it may pass (`checked`)."""
    return method in ("POST", "PATCH") and _LOOKED_AT.fullmatch(path) is not None


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
