"""What is said to a person whom something about a dashboard is refused. Rules only."""

from __future__ import annotations

from madang_hub.people.sentences import Sentence, Value


class DashboardError(ValueError):
    """What was asked cannot be; ``sentence`` says why, for the person who asked."""

    def __init__(self, message: str, **values: Value) -> None:
        self.sentence = Sentence(message, values)
        super().__init__(str(self.sentence))


class ArchiveRefusedError(DashboardError):
    """The archive is not taken. Nothing of it was kept."""


class NoRoomError(DashboardError):
    """The disk of the store has too little room. Nothing was kept."""


class MayNotError(DashboardError):
    """Somebody else may do this. Whoever may not even see the dashboard is told that there is none."""


class MoveError(DashboardError):
    """The dashboard is not in a state for this (any more)."""


class ChangedError(DashboardError):
    """It was changed since the page was loaded; nothing was done."""


class NotFoundError(DashboardError):
    """There is no such dashboard or version."""
