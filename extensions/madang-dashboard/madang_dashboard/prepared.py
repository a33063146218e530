"""Whether a page may be made before its visitor comes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_ASKS_FOR_THE_VISIT = re.compile(
    r"\b(wait_for_request|get_query_string|QUERY_STRING|SCRIPT_NAME|PATH_INFO|SERVER_\w+|VOILA_\w+)\b"
)


def may_prepare(notebook: Mapping[str, Any]) -> bool:
    """False where the notebook asks about its visit: it would wait for ever, or show another's answer.

    Args:
        notebook: as nbformat 4 has it.
    """
    return not any(
        _ASKS_FOR_THE_VISIT.search("".join(cell.get("source", "")))
        for cell in notebook.get("cells", [])
        if cell.get("cell_type") == "code"
    )
