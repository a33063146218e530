"""Settings of dashboards."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from madang_hub.settings.values import Group, Port


class DashboardSettings(Group):
    """How long things stay, and who may come in without an account."""

    heading = "Dashboards"

    dashboards_port: Annotated[
        Port,
        Field(
            description="Loopback port of the dashboards service (see "
            "[dashboards](../explanation/dashboards-versions.md))."
        ),
    ] = 8004
    dashboards_link_days: Annotated[
        int,
        Field(
            ge=0,
            le=3650,
            description="Days that a link for people without an account is good for at most. 0: there are no "
            "such links, and those that were made let nobody in.",
        ),
    ] = 90
    dashboards_grace_days: Annotated[
        int,
        Field(
            ge=1,
            le=365,
            description="Days for which a deleted dashboard can be brought back.",
        ),
    ] = 7
    dashboards_author_left: Annotated[
        Literal["mentor", "stop"],
        Field(
            description="What becomes of a dashboard whose author has no access any more. `mentor`: it "
            "passes to a mentor of its team, and stops where there is none. `stop`: it stops until a mentor "
            "takes it over."
        ),
    ] = "mentor"
