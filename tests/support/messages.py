"""What a page says to a kernel."""

from __future__ import annotations

import uuid
from typing import Any


def execute_request(code: str, username: str = "x") -> dict[str, Any]:
    """The message by which ``username`` asks a kernel to run ``code``."""
    return {
        "header": {
            "msg_id": uuid.uuid4().hex,
            "msg_type": "execute_request",
            "username": username,
            "session": uuid.uuid4().hex,
            "version": "5.3",
        },
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": False, "allow_stdin": False},
        "channel": "shell",
        "buffers": [],
    }
