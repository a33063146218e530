"""Madang's part of every user server: memory and time left, announcements, *extend*, look-ins.

The hooks that Jupyter Server and JupyterLab look for. Nothing else is imported here: a class's start is
bound by what its servers import.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "madang-lab"}]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "madang_lab"}]


def _link_jupyter_server_extension(serverapp: Any) -> None:
    """Before the server is made: visitors are watched by our authorizer, and the network is there."""
    from madang_lab.authorizer import VisitorAuthorizer
    from madang_lab.warm import network

    serverapp.authorizer_class = VisitorAuthorizer
    network.await_word()


def _load_jupyter_server_extension(serverapp: Any) -> None:
    """Add the routes below ``/madang`` and the report of what runs."""
    from madang_lab.extension import load

    load(serverapp)
