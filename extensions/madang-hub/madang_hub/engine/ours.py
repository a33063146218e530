"""Whose an object of the engine is, and what it is now. Rules; no I/O.

A *waiting* container has no person yet, and its name ends with its slot. It is somebody's as soon as its
name is that of a person's server. What makes it so is asked for in one order: it is started, disconnected from
``none``, then renamed and connected (these two in either order), each once. So what the engine says of it is
looked at each time, and never remembered (:func:`settled`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from madang_hub.engine.checks import canonical, need
from madang_hub.engine.policy import Decision, Kind, Subject
from madang_hub.engine.rules import Rules
from madang_hub.engine.warm_bodies import planned
from madang_hub.isolation import networks
from madang_hub.user_container import PERSON_LABEL
from madang_hub.warm.names import SLOT, WARM_LABEL


def _labels(container: Mapping[str, Any]) -> Mapping[str, Any]:
    return (container.get("Config") or {}).get("Labels") or {}


def _name(container: Mapping[str, Any]) -> str:
    return str(container.get("Name", "")).removeprefix("/")


def _was_made_ahead(container: Mapping[str, Any]) -> bool:
    return SLOT.fullmatch(str(_labels(container).get(WARM_LABEL, ""))) is not None


def _waits(container: Mapping[str, Any], rules: Rules) -> bool:
    """Whether it was made ahead and is nobody's yet."""
    slot = _labels(container).get(WARM_LABEL)
    return _was_made_ahead(container) and _name(container) == f"{rules.warm_prefix}{slot}"


def is_our_container(inspected: Mapping[str, Any], rules: Rules) -> bool:
    """Whether the engine's description of a container is of a user server of this installation, waiting or not.

    The parts of the stack itself (database, proxy, this gateway) are not: they have no user, and
    carry Compose's labels.
    """
    labels = _labels(inspected)
    persons = _name(inspected).startswith(rules.prefix) and (
        bool(labels.get(PERSON_LABEL)) or _was_made_ahead(inspected)
    )
    return (
        (persons or _waits(inspected, rules))
        and labels.get(networks.INSTANCE_LABEL) == rules.instance
        and not any(key.startswith("com.docker.compose.") for key in labels)
    )


def is_our_network(inspected: Mapping[str, Any], rules: Rules) -> bool:
    """Whether the engine's description of a network is of a user server of this installation."""
    labels = inspected.get("Labels") or {}
    index = networks.index_of(str(inspected.get("Name", "")), instance=rules.instance)
    return (
        index is not None
        and labels.get(networks.INSTANCE_LABEL) == rules.instance
        and labels.get(networks.NETWORK_LABEL) == str(index)
    )


def is_ours(kind: Kind, inspected: Mapping[str, Any], rules: Rules) -> bool:
    if kind == "container":
        return is_our_container(inspected, rules)
    return is_our_network(inspected, rules)


def path_for(decision: Decision, identity: str) -> str:
    """The decision's path with the subject's full id in place of the name that the client used.

    A name can mean another object a moment later; an id cannot.
    """
    assert decision.subject is not None  # noqa: S101  # only asked for calls with one
    start, _, rest = decision.path.partition(f"/{decision.subject.kind}s/")
    tail = rest.removeprefix(decision.subject.ref)
    return f"{start}/{decision.subject.kind}s/{identity}{tail}"


def settled(
    decision: Decision, found: Mapping[Subject, Mapping[str, Any]], rules: Rules
) -> Decision:
    """A call that makes a waiting container somebody's, with full ids in place of all names.

    Args:
        decision: of one of the calls that are ``afresh``.
        found: what the engine said a moment ago of each subject; all are ours.

    Raises:
        Refused: a subject is not, or not any more, what the call needs.
    """
    subject, inner = decision.subject, decision.inner
    body: dict[str, Any] = json.loads(decision.body or b"{}")
    container = next(said for key, said in found.items() if key.kind == "container")
    connected = set((container.get("NetworkSettings") or {}).get("Networks") or {})
    need(_was_made_ahead(container), "this container was not made to wait")
    need((container.get("State") or {}).get("Running") is True, "this container does not run")
    if decision.call in ("rename", "disconnect"):
        need(_waits(container, rules), "this container does not wait any more")
    if decision.call == "disconnect":
        need(connected == {"none"}, "this container is not in the network none")
    elif decision.call == "rename":
        need("none" not in connected, "this container is still in the network none")
    else:
        need(not connected, "this container is in a network already")
    if decision.call == "connect" and subject is not None:
        plan = planned(str(_labels(container).get(networks.NETWORK_LABEL)), rules)
        need(found[subject].get("Name") == plan.name, "this network is not this container's")
        end = {"IPAMConfig": {"IPv4Address": str(plan.address)}}
        need(body.get("EndpointConfig") == end, f"its address there is {plan.address}")
    if subject is not None:
        identity = str(found[subject]["Id"])
        path = path_for(decision, identity)
        decision = replace(decision, path=path, subject=Subject(subject.kind, identity))
    if inner is not None:
        written = canonical({**body, "Container": str(container["Id"])})
        decision = replace(decision, body=written)
    return decision
