"""The broker's JSON API, behind the Hub's word for who asks.

People ask for themselves, with the token of their JupyterLab or one that they made. Admins need a scope of the
broker's own besides, and so does what starts servers, which is a service and no person.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from madang_hub.accelerators.broker import views
from madang_hub.accelerators.broker.parts import Parts
from madang_hub.accelerators.broker.rounds import Rounds
from madang_hub.accelerators.broker.scopes import ADMIN, DEVICES
from madang_hub.accelerators.broker.wishes import (
    NOT_UNDERSTOOD,
    WishError,
    check_environment,
    restart_of,
    seconds_of,
    text_of,
    wish_of,
)
from madang_hub.accelerators.leases import Lease, LeaseError, NotYoursError, Request, State
from madang_hub.accelerators.leases import RequestRefusedError as Refused
from madang_hub.accelerators.ledger import BudgetSpentError
from madang_hub.accelerators.reserving import DAY
from madang_hub.accelerators.slots import Health
from madang_hub.catalog import OptionError
from madang_hub.catalog import Person as Chooser
from madang_hub.people.service.base import NOTHING_HERE, Problem, SignedIn
from madang_hub.people.service.hub import HubAwayError, HubRefusedError
from madang_hub.web.i18n import N_

NO_RIGHT = N_("This needs a right that you do not have: {scope}.")
STOP_FIRST = N_(
    "Your server runs without it: stop the server first. The accelerator comes with its next start."
)
FOR_SERVICES = N_("This is for the program that starts servers.")


class Asked(SignedIn):
    """A person who asks."""

    tokens = True

    @property
    def parts(self) -> Parts:
        found: Parts = self.settings["parts"]
        return found

    @property
    def rounds(self) -> Rounds:
        found: Rounds = self.settings["rounds"]
        return found

    def _explained(self, status: int, error: BaseException | None) -> tuple[int, str]:
        if isinstance(error, NotYoursError):
            return 404, self.sentence(NOTHING_HERE)
        if isinstance(error, LeaseError):
            refused = isinstance(error, Refused)
            return 400 if refused else 409, error.sentence.text(self.language)
        if isinstance(error, WishError):
            return error.status, error.sentence.text(self.language)
        if isinstance(error, BudgetSpentError):
            return 403, error.sentence.text(self.language)
        if isinstance(error, OptionError):
            return 400, self.sentence(error.message, **error.values_in(self.language))
        return super()._explained(status, error)

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        if not isinstance(value, LeaseError | WishError | BudgetSpentError | OptionError):
            super().log_exception(typ, value, tb)

    async def model(self, lease: Lease) -> dict[str, Any]:
        """A lease of this person as JSON has it, with its place in line."""
        desk = self.parts.desk
        estimate = await self.parts.work(desk.estimate, lease, self.parts.seconds())
        return views.lease_model(lease, estimate, desk.inventory, desk.policy, desk.idle(lease))

    async def own(self, identity: str) -> Lease:
        """The lease with this id.

        Raises:
            Problem: (404) there is none, or it is somebody else's: both read the same.
        """
        return self.found(await self.parts.work(self.parts.desk.own, identity, self.viewer.name))

    def titles(self) -> dict[str, str]:
        """Blocking: what people call the teams, by name."""
        return {t.name: t.title or t.name for t in self.parts.directory.teams()}

    def checked(self, request: Request) -> Request:
        """Blocking: the same with what is started by default where it names no environment or size. The Hub
        checks again when the server is started.

        Raises:
            OptionError: it is not open to this person.
            WishError: the environment cannot use the accelerator.
        """
        who = Chooser(self.viewer.name, self.viewer.teams, self.viewer.admin)
        wish = {"environment": request.environment, "size": request.size}
        options = {name: value for name, value in wish.items() if value}
        choice = self.parts.shelf.open_to(who).choose(options, who)
        check_environment(request, choice.environment)
        environment = request.environment or choice.environment.name
        return replace(request, environment=environment, size=choice.size.name)

    async def note(self, now: datetime, action: str, subject: str, **detail: Any) -> None:
        """A line of the audit log."""
        write = self.parts.audit.write
        await self.off_loop(write, now, self.viewer.name, action, subject, **detail)


class Overview(Asked):
    """``GET api/``: what is free and when the next frees, what classes have reserved for the next day, the own
    requests, the own teams' budgets."""

    async def get(self) -> None:
        parts, now = self.parts, self.parts.seconds()
        desk = parts.desk
        leases = await parts.work(desk.leases.open_ones)
        drained = await parts.work(desk.leases.drained)
        fleet = replace(desk.fleet, drained=frozenset(drained))
        mine = await parts.work(desk.mine, self.viewer.name, now)
        classes = await parts.work(desk.classes, now, DAY)
        budgets = [await parts.work(desk.budget, t, now) for t in sorted(self.viewer.teams)]
        spent = any(b.spent for b in budgets)
        titles = await self.off_loop(self.titles)
        self.send(
            {
                "now": views.moment(now),
                "lending": desk.engine_answers,
                "longest": desk.policy.longest,
                "after": parts.settings.accelerator_after,
                "free": views.free_model(
                    now, fleet, leases, desk.policy, self.viewer.teams, classes
                ),
                "reserved": [views.reserved_model(x, titles) for x in classes if x.end > now],
                "requests": [await self.model(x) for x in mine],
                "budgets": [views.budget_model(b, self.language, titles) for b in budgets],
                "helpers": list(await self.off_loop(desk.helpers)) if spent else [],
                "server": await self._server(mine),
            }
        )

    async def _server(self, mine: list[Lease]) -> bool | None:
        """Whether a server of this person is there; None where it does not matter, or nobody says."""
        taken = {x.state for x in mine if not x.container}
        if taken.isdisjoint((State.GRANTED, State.ACTIVE)):
            return None
        try:
            user = await self.parts.hub.user(self.viewer.name)
        except (HubAwayError, HubRefusedError):
            return None
        return user is not None and user.server is not None


class Requests(Asked):
    """``POST api/requests``: come into line; see :func:`.wishes.wish_of` for the body."""

    async def post(self) -> None:
        request = wish_of(self.body(), self.viewer.name, self.viewer.teams)
        if request.environment:
            request = await self.off_loop(self.checked, request)
        lease = await self.parts.work(self.parts.desk.ask, request, self.parts.seconds())
        self.rounds.wake()
        self.send(await self.model(lease), 201)


class OneRequest(Asked):
    """``GET api/requests/<id>``."""

    async def get(self, identity: str) -> None:
        self.send(await self.model(await self.own(identity)))


class Take(Asked):
    """``POST api/requests/<id>/take``: while it is kept, and before the server is started.

    With ``{"restart": true}`` a server that runs is stopped and started again with the accelerator: in
    ``environment`` and ``size`` of the body, else those of the request, else those that it has.
    """

    async def post(self, identity: str) -> None:
        parts, name = self.parts, self.viewer.name
        restart = restart_of(self.body())
        lease = await self.own(identity)
        user = await parts.hub.user(name)
        server = user.server if user is not None else None
        if restart is not None and (server is not None or restart.environment):
            request = restart.over(lease.request, server.options if server is not None else {})
            request = await self.off_loop(self.checked, request)
            taken = await parts.work(
                parts.desk.take_after_stop,
                identity,
                name,
                request.environment,
                request.size,
                parts.seconds(),
            )
        else:
            if lease.state is State.GRANTED and server is not None:
                raise Problem(409, STOP_FIRST)
            taken = await parts.work(parts.desk.take, identity, name, parts.seconds())
        self.rounds.wake()
        self.send(await self.model(taken))


class Leave(Asked):
    """``POST api/requests/<id>/leave``: out of the line."""

    async def post(self, identity: str) -> None:
        parts = self.parts
        await self.own(identity)
        left = await parts.work(parts.desk.leave, identity, self.viewer.name, parts.seconds())
        self.rounds.wake()
        self.send(await self.model(left))


class GiveBack(Asked):
    """``POST api/requests/<id>/give-back``: before its end. The server that has it is stopped."""

    async def post(self, identity: str) -> None:
        parts = self.parts
        await self.own(identity)
        over = await parts.work(parts.desk.give_back, identity, self.viewer.name, parts.seconds())
        self.rounds.wake()
        self.send(await self.model(over))


class Extend(Asked):
    """``POST api/requests/<id>/extend``: ``minutes`` from now, while nobody waits."""

    async def post(self, identity: str) -> None:
        parts = self.parts
        await self.own(identity)
        lease = await parts.work(
            parts.desk.extend,
            identity,
            self.viewer.name,
            seconds_of(self.body()),
            parts.seconds(),
        )
        self.send(await self.model(lease))


class AskedByStarter(Asked):
    """The program that starts servers asks."""

    async def admit(self, user: dict[str, Any]) -> None:
        if user.get("kind") != "service":
            raise Problem(403, FOR_SERVICES)
        if not self.hub_auth.check_scopes({DEVICES}, user):
            raise Problem(403, NO_RIGHT, scope=DEVICES)


class Devices(AskedByStarter):
    """``GET api/devices/<person>``: what the server of that person is to get, asked by what starts it."""

    async def get(self, person: str) -> None:
        desk = self.parts.desk
        lease = await self.parts.work(desk.held_by, person, self.parts.seconds())
        known = desk.inventory.by_id
        kinds = sorted({slot.kind for slot in known.values()})
        if lease is None:
            nothing: list[str] = []
            self.send({"lease": None, "slots": nothing, "devices": nothing, "kinds": kinds})
            return
        slots = [known[slot] for slot in lease.slots if slot in known]
        good = [s for s in slots if s.health is Health.GOOD and s.devices]
        if len(good) < len(lease.slots):
            raise Problem(
                409, N_("The accelerator does not work right now. Try again in a minute.")
            )
        self.send(
            {
                "lease": lease.id,
                "slots": list(lease.slots),
                "devices": [name for slot in good for name in slot.devices],
                "kinds": kinds,
                "ends": views.moment(lease.ends),
            }
        )


class Vacant(AskedByStarter):
    """``GET api/vacant``: the slots for which a server may be made ready before anybody starts one."""

    async def get(self) -> None:
        found = await self.parts.work(self.parts.desk.vacant)
        if found is None:
            raise HubAwayError("nobody says which servers run")
        self.send({"slots": [views.vacancy_model(x) for x in found]})


# ---- admins ---------------------------------------------------------------------------------


class AdminAsked(Asked):
    """An admin who asks: a person with the scope."""

    async def admit(self, user: dict[str, Any]) -> None:
        await super().admit(user)
        if not self.hub_auth.check_scopes({ADMIN}, user):
            raise Problem(403, NO_RIGHT, scope=ADMIN)


class Slots(AdminAsked):
    """``GET api/slots``: every one, with who has it since when and what runs on it."""

    async def get(self) -> None:
        desk, work = self.parts.desk, self.parts.work
        leases, drained = await work(desk.leases.open_ones), await work(desk.leases.drained)
        found = desk.inventory
        self.send(
            {
                "slots": views.slots_model(found, leases, drained),
                "waiting": sum(x.state is State.QUEUED for x in leases),
                "notes": list(found.notes),
                "faults": list(found.faults),
            }
        )


class Drain(AdminAsked):
    """``POST api/slots/drain``: give ``slot`` to nobody any more, ``why``; who has it keeps it to the end."""

    async def post(self) -> None:
        body, now = self.body(), self.parts.now()
        slot, why = text_of(body, "slot"), text_of(body, "why")
        desk, name = self.parts.desk, self.viewer.name
        if not await self.parts.work(desk.drain, slot, name, why, int(now.timestamp())):
            raise Problem(404, NOTHING_HERE)
        await self.note(now, "accelerator.drained", slot, why=why)
        self.set_status(204)


class Undrain(AdminAsked):
    """``POST api/slots/undrain``: give ``slot`` out again."""

    async def post(self) -> None:
        slot, now = text_of(self.body(), "slot"), self.parts.now()
        if not await self.parts.work(self.parts.desk.undrain, slot, int(now.timestamp())):
            raise Problem(404, NOTHING_HERE)
        await self.note(now, "accelerator.undrained", slot)
        self.rounds.wake()
        self.set_status(204)


class Allow(AdminAsked):
    """``POST api/budgets``: ``team`` gets so many weighed ``hours`` more this month, ``why``."""

    async def post(self) -> None:
        body, now = self.body(), self.parts.now()
        team, why, hours = text_of(body, "team"), text_of(body, "why"), body.get("hours")
        if not isinstance(hours, int | float) or isinstance(hours, bool) or not 0 < hours <= 10**6:
            raise Problem(400, NOT_UNDERSTOOD)
        self.found(await self.off_loop(self.parts.directory.team, team))
        budget = await self.parts.work(
            self.parts.desk.allow, team, hours, self.viewer.name, why, int(now.timestamp())
        )
        await self.note(now, "accelerator.allowed", team, team=team, hours=hours, why=why)
        self.rounds.wake()
        self.send(views.budget_model(budget, self.language, await self.off_loop(self.titles)), 201)
