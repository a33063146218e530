"""Environments that mentors propose: what one is, and how it goes from a wish to the shelf; rules only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from madang_hub.catalog import Catalog
from madang_hub.image_table import EVERYONE
from madang_hub.people.sentences import Sentence
from madang_hub.shelf.locking import Lock
from madang_hub.shelf.repository import Reading
from madang_hub.texts import Text
from madang_hub.web.i18n import N_

PARENT = "lab"
"""The environment that every proposal builds on."""
TITLE_LENGTH, PURPOSE_LENGTH, REASON_LENGTH = 60, 200, 500

State = Literal["proposed", "approved", "rejected", "built", "offered", "withdrawn"]
Step = Literal["approve", "reject", "built", "offer", "withdraw"]

STEPS: Mapping[tuple[State, Step], State] = {
    ("proposed", "approve"): "approved",
    ("proposed", "reject"): "rejected",
    ("proposed", "withdraw"): "withdrawn",
    ("approved", "built"): "built",
    ("approved", "withdraw"): "withdrawn",
    ("built", "offer"): "offered",
    ("built", "withdraw"): "withdrawn",
    ("offered", "withdraw"): "withdrawn",
}
"""Every way from one state to another; there is none out of rejected and withdrawn."""


class ProposalRefused(ValueError):  # noqa: N818 (as the other refusals)
    """It cannot be; ``sentence`` says why."""

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(sentence.text("en"))
        self.sentence = sentence


@dataclass(frozen=True)
class Proposal:
    """One proposal. ``requirements``, ``apt``, ``lock`` and ``added`` are what is reviewed and built."""

    id: int
    team: str
    author: str
    made: datetime
    title: Text
    purpose: Text
    sizes: tuple[str, ...]
    source: Mapping[str, str]
    files: Mapping[str, str]
    requirements: tuple[str, ...]
    apt: tuple[str, ...]
    lock: str
    added: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    state: State = "proposed"
    changed: datetime | None = None
    changed_by: str = ""
    reason: str = ""
    failure: str = ""
    image: str = ""

    @property
    def environment(self) -> str:
        """Its name on the shelf, in requests and as an image."""
        return f"proposed-{self.id}"


def after(state: State, step: Step) -> State:
    """The state after ``step``.

    Raises:
        ProposalRefused: there is no such step from ``state``.
    """
    found = STEPS.get((state, step))
    if found is None:
        raise ProposalRefused(
            Sentence(
                N_("This proposal has been decided or changed in the meantime. Load the page anew.")
            )
        )
    return found


def may(step: Step, *, admin: bool, mentor: bool) -> bool:
    """Whether somebody may do ``step``: admins review, mentors of its team may take it back.

    What the operator's command does (``built``, ``offer``) nobody may do on a page.
    """
    if step in ("approve", "reject"):
        return admin
    return step == "withdraw" and (admin or mentor)


@dataclass(frozen=True)
class Wish:
    """What the form says, checked."""

    title: Text
    purpose: Text
    sizes: tuple[str, ...]


def wish(form: Mapping[str, Any], catalog: Catalog) -> Wish:
    """Check the form: titles and purposes in both languages, and sizes.

    Raises:
        ProposalRefused: something is missing, too long or not offered.
    """
    title = _texts(form, "title", TITLE_LENGTH)
    purpose = _texts(form, "purpose", PURPOSE_LENGTH)
    sizes = form.get("sizes", ())
    offered = [s.name for s in sizes_of(catalog)]
    if (
        not isinstance(sizes, Sequence)
        or isinstance(sizes, str)
        or not sizes
        or set(sizes) - set(offered)
    ):
        raise ProposalRefused(Sentence(N_("Choose at least one of the sizes.")))
    return Wish(title, purpose, tuple(s for s in offered if s in sizes))


def sizes_of(catalog: Catalog) -> list[Any]:
    """The sizes that a proposal may ask for: those of its parent that everybody may use."""
    return [
        catalog.sizes[name]
        for name in catalog.environments[PARENT].sizes
        if EVERYONE in catalog.sizes[name].who
    ]


def _texts(form: Mapping[str, Any], name: str, length: int) -> Text:
    found = {}
    for language in ("ko", "en"):
        value = form.get(f"{name}_{language}", "")
        text = " ".join(value.split()) if isinstance(value, str) else ""
        if not text or len(text) > length:
            raise ProposalRefused(
                Sentence(
                    N_(
                        "Write title (at most {title} characters) and purpose (at most {purpose}) in both "
                        "languages."
                    ),
                    {"title": TITLE_LENGTH, "purpose": PURPOSE_LENGTH},
                )
            )
        found[language] = text
    return Text(ko=found["ko"], en=found["en"])


def reason(text: object) -> str:
    """The reason of a rejection or withdrawal.

    Raises:
        ProposalRefused: there is none, or it is too long.
    """
    found = " ".join(text.split()) if isinstance(text, str) else ""
    if not found or len(found) > REASON_LENGTH:
        raise ProposalRefused(
            Sentence(
                N_("Write a reason of at most {length} characters."), {"length": REASON_LENGTH}
            )
        )
    return found


def new_proposal(
    team: str,
    author: str,
    now: datetime,
    wanted: Wish,
    source: dict[str, str],
    reading: Reading,
    lock: Lock,
) -> Proposal:
    """A proposal that is not kept yet (id 0)."""
    return Proposal(
        id=0,
        team=team,
        author=author,
        made=now,
        title=wanted.title,
        purpose=wanted.purpose,
        sizes=wanted.sizes,
        source=source,
        files=reading.files,
        requirements=reading.requirements,
        apt=reading.apt,
        lock=lock.text,
        added=lock.added,
        notes=reading.notes,
    )
