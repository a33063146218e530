"""What is said to a person whom the rules of leases refuse something. Rules only."""

from __future__ import annotations

from madang_hub.people.sentences import Sentence, Value


class LeaseError(ValueError):
    """What was asked of a lease cannot be; ``sentence`` says why, for its person."""

    def __init__(self, message: str, **values: Value) -> None:
        self.sentence = Sentence(message, values)
        super().__init__(str(self.sentence))


class RequestRefusedError(LeaseError):
    """Nobody could be given this."""


class NotYoursError(LeaseError):
    """The lease is another person's."""


class StateError(LeaseError):
    """The lease is not in a state for this (any more)."""


class ExtensionRefusedError(LeaseError):
    """The lease may not go on for longer."""
