"""For how long slots have been ill: a lease is not ended because a driver stumbled once. Rules only."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from madang_hub.accelerators.inventory import Inventory
from madang_hub.accelerators.slots import Health


def ill_since(
    before: Mapping[str, int], inventory: Inventory, held: Collection[str], now: int
) -> dict[str, int]:
    """Since when each slot is ill, or is held and not there any more; ``before`` is what was said last."""
    known = inventory.by_id
    ill = {slot.id for slot in inventory.slots if slot.health is Health.ILL}
    ill.update(slot for slot in held if slot not in known)
    return {slot: min(before.get(slot, now), now) for slot in ill}


def lasting(since: Mapping[str, int], now: int, seconds: int) -> frozenset[str]:
    """The slots that have been ill for ``seconds`` or longer."""
    return frozenset(slot for slot, moment in since.items() if now - moment >= seconds)
