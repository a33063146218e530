"""Kinds of servers that wait: environment, size, and for some the slot of an accelerator. Rules only.

A *kind* is one word: ``lab/small``, or ``torch-cuda/medium/<slot>`` for the one server that waits with the
device of that slot. What the broker says of a slot decides whether there is such a kind:

- *free*: one may wait, of what is mostly started with accelerators like it, or else of the environment that
  the table says can use it.
- *kept* for a lease whose server is not there yet: one that waits already may stay, if it is what that
  server is to be; none is made.
- neither, or a start of somebody's has just got it: none, and one that waits goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from madang_hub.catalog import Catalog, Choice
from madang_hub.image_table import EVERYONE
from madang_hub.lending import Lent, Vacancy

REMEMBERED = 9
"""So many starts with accelerators of a kind decide what waits with one: most of them, or else the last."""


def kind_of(choice: Choice, lent: Lent | None = None) -> str:
    """The kind of a choice with what is lent to its person; empty where none ever waits: with several slots."""
    kind = f"{choice.environment.name}/{choice.size.name}"
    if lent is None or not lent.lease:
        return kind
    return with_slot(kind, lent.slots[0]) if len(lent.slots) == 1 else ""


def with_slot(kind: str, slot: str) -> str:
    """The kind of the server that waits with this slot's device."""
    return f"{kind}/{slot}"


def choice_of(kind: str, catalog: Catalog) -> Choice | None:
    """What a kind means; None for one that is never made ahead: unknown, or the rescue."""
    name, size = (*kind.split("/", 2), "")[:2]
    environment = catalog.environments.get(name)
    if environment is None or environment.rescue or size not in environment.sizes:
        return None
    return Choice(environment, catalog.sizes[size])


def usual(accelerator: str, starts: Sequence[str], catalog: Catalog) -> str:
    """The kind, without a slot, of the server that waits with an ``accelerator``.

    Args:
        accelerator: its CDI vendor and class.
        starts: kinds without a slot that people started with such a one, the last at the end.

    Returns:
        empty where nobody started any, and no environment says that it can use it.
    """
    known = [kind for kind in starts if choice_of(kind, catalog) is not None][-REMEMBERED:]
    if known:
        tally = Counter(known)
        most = max(tally.values())
        return next(kind for kind in reversed(known) if tally[kind] == most)
    for environment in catalog.environments.values():
        if accelerator in environment.accelerators and not environment.rescue:
            sizes = [s for s in environment.sizes if EVERYONE in catalog.sizes[s].who]
            size = next(
                (s for s in sizes if s == catalog.default[1]), (*sizes, *environment.sizes)[0]
            )
            return f"{environment.name}/{size}"
    return ""


def of_slots(
    vacancies: Iterable[Vacancy],
    got: Collection[str],
    waiting: Mapping[str, str],
    usually: Mapping[str, str],
) -> dict[str, Vacancy]:
    """The kinds of servers that may wait with an accelerator, one for each slot at most.

    Args:
        vacancies: what the broker says.
        got: slots that a start has got since it was asked.
        waiting: the kind of the server that waits with a slot, or is being made.
        usually: :func:`usual` for each kind of accelerator.
    """
    found = {}
    for vacancy in vacancies:
        slot = vacancy.slot
        if slot in got:
            continue
        if vacancy.kept:
            kind = waiting.get(slot, "")
            if kind and _fits(kind, vacancy):
                found[kind] = vacancy
        elif kind := usually.get(vacancy.kind, ""):
            found[with_slot(kind, slot)] = vacancy
    return found


def _fits(kind: str, vacancy: Vacancy) -> bool:
    """Whether it is what the server that the slot is kept for is to be, as far as that is known."""
    environment, size = kind.split("/", 2)[:2]
    return vacancy.environment in ("", environment) and vacancy.size in ("", size)
