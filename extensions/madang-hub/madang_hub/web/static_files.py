"""Serving our static files beside JupyterHub's, without a handler of our own in its routes.

``static_handler_class`` is one of the Tornado settings that ``JupyterHub.tornado_settings`` may set.
Addresses that start with ``madang/`` come from this package, all others from JupyterHub, so both keep
Tornado's version hashes: ``static_url("madang/madang.css")`` is cached for long and never stale.
Copying both trees into one ``data_files_path`` was the other way; it would need a build step.
"""

from __future__ import annotations

from pathlib import Path

from tornado.web import StaticFileHandler

STATIC = Path(__file__).parent / "static"
PREFIX = "madang/"


class MadangStaticFiles(StaticFileHandler):
    """Tornado's static files from two roots; public, as JupyterHub's own are."""

    @classmethod
    def get_absolute_path(cls, root: str, path: str) -> str:
        """The file of ``path``: ours below ``madang/``, else JupyterHub's."""
        if path.startswith(PREFIX):
            return super().get_absolute_path(str(STATIC), path.removeprefix(PREFIX))
        return super().get_absolute_path(root, path)

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        """Tornado's check that a path stays below its root, against the root it came from."""
        ours = self.path.replace("\\", "/").startswith(PREFIX)
        return super().validate_absolute_path(str(STATIC) if ours else root, absolute_path)

    def compute_etag(self) -> str | None:
        """No ETag: addresses carry a version, and the date serves where they do not."""
        return None

    def set_extra_headers(self, path: str) -> None:
        """Let browsers ask again for what is addressed without a version."""
        if "v" not in self.request.arguments:
            self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Content-Type-Options", "nosniff")
