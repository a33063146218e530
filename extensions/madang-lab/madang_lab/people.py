"""The people service. Rules are :func:`me` and the functions below it: what is handed to the browser."""

from __future__ import annotations

from typing import Any

from madang_lab.service import AwayError, Service, rows, text

WHY = ("idle", "class", "limit", "account", "provider")
"""Reasons why a server ends that the page has words for."""
MAX_ROWS = 100


class People(Service):
    """One person's view of the people service at ``url`` (ends without a slash)."""

    def __init__(self, url: str, token: str, server: str = "") -> None:
        super().__init__(url, token, "api/me", me)
        self._server = server

    async def extend(self, language: str) -> None:
        """Ask for more time.

        Raises:
            AwayError, RefusedError: there is none.
        """
        await self.ask("POST", "api/me/extend", {"server": self._server}, language)
        self.forget()

    async def end_look_in(self, identity: str, language: str) -> None:
        """End a look-in at this server.

        Raises:
            AwayError, RefusedError: it goes on.
        """
        await self.ask("POST", f"api/look-ins/{identity}/end", {}, language)
        self.forget()

    async def report(self, why: str) -> None:
        """Say what runs here: ``kernel``, ``accelerator``, or "" for nothing any more.

        Raises:
            AwayError, RefusedError: nobody listens.
        """
        body = {"server": self._server, "busy": bool(why), "why": why}
        await self.ask("POST", "api/me/busy", body)


def me(raw: object) -> dict[str, Any]:
    """``api/me`` with the fields that pages use, each of its kind; the rest is left out.

    Raises:
        AwayError: it is no such answer.
    """
    if not isinstance(raw, dict):
        raise AwayError("GET api/me: no object")
    return {
        "now": text(raw.get("now")),
        "server": _server(raw.get("server")),
        "announcements": _texts(raw.get("announcements"), ("id", "text", "team", "from", "until")),
        "look_ins": _texts(
            raw.get("look_ins"), ("id", "mentor", "mentor_name", "reason", "began", "until")
        ),
    }


def _server(raw: object) -> dict[str, Any] | None:
    if not isinstance(raw, dict):
        return None
    return {
        "ends": text(raw.get("ends")) or None,
        "why": raw["why"] if raw.get("why") in WHY else None,
        "warning": raw.get("warning") is True,
        "can_extend": raw.get("can_extend") is True,
        "extended_until": text(raw.get("extended_until")) or None,
    }


def _texts(raw: object, fields: tuple[str, ...]) -> list[dict[str, str]]:
    found = ({name: text(row.get(name)) for name in fields} for row in rows(raw, MAX_ROWS))
    return [row for row in found if row["id"]]
