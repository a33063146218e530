"""Settings of how accelerators are lent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from madang_hub.settings.values import Factors, Group, Port, Weights, Words


class AcceleratorSettings(Group):
    """Who may have an accelerator for how long, in which order, and how much of a month."""

    heading = "Accelerators"

    accelerators_port: Annotated[
        Port,
        Field(
            description="Loopback port of the broker of accelerators (see "
            "[accelerators](../explanation/accelerators.md))."
        ),
    ] = 8003
    accelerator_cdi: Annotated[
        Words,
        Field(
            description="Folders with CDI specifications, separated by spaces, in rising priority. Default: "
            "where engines look, `/etc/cdi /var/run/cdi`."
        ),
    ] = ()
    accelerator_longest_hours: Annotated[
        float,
        Field(
            ge=0.05,
            le=8760,
            description="Hours that one lease may last at most, extensions included. Who waits, waits longer "
            "with it.",
        ),
    ] = 8
    accelerator_claim_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=86400,
            description="Seconds for which an accelerator is kept for the person whose turn it is.",
        ),
    ] = 120
    accelerator_start_seconds: Annotated[
        int,
        Field(
            ge=10,
            le=86400,
            description="Seconds in which the server must be there after its person took an accelerator, and "
            "in which one that ran before must have stopped; it goes to the next otherwise. More than "
            "`start_timeout`.",
        ),
    ] = 300
    accelerator_after: Annotated[
        Literal["stop", "cpu"],
        Field(
            description="What happens to a server when its accelerator is given back, its time is over, or it "
            "lay idle. "
            "`stop`: it is stopped. `cpu`: it is stopped, and started again without an accelerator in the same "
            "environment and size. A running kernel is lost either way: a container cannot lose a device."
        ),
    ] = "stop"
    accelerator_idle_minutes: Annotated[
        float,
        Field(
            ge=0,
            le=10080,
            description="Minutes without any use after which the person of an accelerator is warned, and it "
            "goes back if somebody waits for it. A kernel or terminal that works counts as use, and so does "
            "what nobody can tell. 0: never. The default is longer than a look at results or a short break, "
            "and shorter than a lunch.",
        ),
    ] = 30
    accelerator_idle_grace_minutes: Annotated[
        float,
        Field(
            ge=1,
            le=1440,
            description="Minutes between that warning and the end, counted while somebody waits.",
        ),
    ] = 10
    accelerator_ill_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=86400,
            description="Seconds for which an accelerator must be ill before its lease is ended: a driver may "
            "fail to answer for a moment. It is given to nobody from the first moment on.",
        ),
    ] = 30
    accelerator_patience_hours: Annotated[
        float,
        Field(
            ge=0,
            le=8760,
            description="Hours after which a waiting request gets a turn whatever the shares say.",
        ),
    ] = 24
    accelerator_turn_every: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="Every so-many-th grant is such a turn. 1: whenever one is due.",
        ),
    ] = 4
    accelerator_half_life_days: Annotated[
        float,
        Field(ge=0.05, le=3650, description="Days after which use counts half in the fair shares."),
    ] = 7
    accelerator_team_weights: Annotated[
        Weights,
        Field(
            description="Shares of teams, separated by commas: `team:vision=2, class:2026-a=0.5`. 1 where none "
            "is named."
        ),
    ] = ()
    accelerator_weights: Annotated[
        Factors,
        Field(
            description="What an hour of a model, or else of a kind, counts, separated by commas: "
            "`NVIDIA H100 80GB HBM3=4, rebellions.ai/npu=0.5`. 1 where none is named."
        ),
    ] = ()
    accelerator_budget_hours: Annotated[
        float,
        Field(
            ge=0,
            description="Weighed accelerator-hours that a team has in a calendar month. 0: no limit.",
        ),
    ] = 0
    accelerator_budgets: Annotated[
        Factors,
        Field(
            description="Other hours for some teams, separated by commas: `team:vision=400`. 0: no limit."
        ),
    ] = ()
