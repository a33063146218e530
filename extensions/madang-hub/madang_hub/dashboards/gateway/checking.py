"""The check run of a version: started as for a visitor, its page read to the end, its errors looked at."""

from __future__ import annotations

import secrets
import time

from madang_hub.dashboards.gateway import sealed
from madang_hub.dashboards.gateway.apps import Apps, StartError
from madang_hub.dashboards.gateway.gateway import CheckResult, Trouble
from madang_hub.dashboards.gateway.runner import RunnerAwayError
from madang_hub.dashboards.gateway.sealed import Order

PAGE_S = 240.0
"""Seconds that the whole page may take."""
FAULTS = frozenset({"cell", "kernel"})
"""What makes a check fail. A picture that is missing or a long output is only told to the author."""


async def check(apps: Apps, order: Order, page: float = PAGE_S) -> CheckResult:
    """Run ``order``, whose ``check`` is set, in a server of its own, and end that."""
    name = sealed.new_name()
    apps.check_begins(name, order)
    try:
        return await _checked(apps, name, order, page)
    finally:
        apps.check_ends(name, order)


async def _checked(apps: Apps, name: str, order: Order, page: float) -> CheckResult:
    visit = secrets.token_urlsafe(24)
    try:
        runner, _ = await apps.serve(name, order)
        status, state = await runner.page(visit, page)
        seen = await runner.seen()
    except StartError as error:
        # no cell has run yet
        return _failed(f"The dashboard does not start: {error}", ran=False)
    except RunnerAwayError as error:
        return _failed(f"The dashboard ended while its page was made ({error}).")
    except TimeoutError:
        return _failed(f"The page was not complete within {page:.0f} seconds.")
    troubles = seen.by_visit.get(visit, ())
    faults = [t for t in troubles if t.where in FAULTS]
    if faults:
        return CheckResult(False, faults[0])
    if status != 200 or visit not in seen.visits:
        said = [t for t in troubles if t.where == "page"]
        return (
            CheckResult(False, said[-1]) if said else _failed(f"No page came ({status} {state}).")
        )
    return CheckResult(True)


def _failed(text: str, *, ran: bool = True) -> CheckResult:
    return CheckResult(False, Trouble(time.time(), "page", text), ran)
