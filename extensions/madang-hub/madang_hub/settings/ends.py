"""Settings of how servers and accounts end."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from madang_hub.settings.values import ByRole, Group


class EndSettings(Group):
    """When servers are stopped, and accounts with their homes end."""

    heading = "The end of servers and accounts"

    idle_minutes: Annotated[
        float,
        Field(
            ge=0,
            le=525600,
            description="Minutes after which a server that nobody uses is stopped. 0: never.",
        ),
    ] = 60
    idle_minutes_by_role: Annotated[
        ByRole,
        Field(
            description="Other minutes for some roles: `mentor=240 admin=0`. The roles are trainee, member, "
            "mentor, admin; the highest that a person has counts.",
        ),
    ] = ""
    server_hours: Annotated[
        float,
        Field(
            ge=0,
            le=8760,
            description="Hours after which a server is stopped although it is used or busy. 0: never.",
        ),
    ] = 24
    server_hours_by_role: Annotated[
        ByRole,
        Field(description="Other hours for some roles: `member=72`."),
    ] = ""
    warning_minutes: Annotated[
        float,
        Field(
            gt=0,
            le=1440,
            description="Minutes that a warning with the *extend* button stands before a server is stopped.",
        ),
    ] = 10
    extend_minutes: Annotated[
        float,
        Field(gt=0, le=10080, description="Minutes that one press of *extend* gives."),
    ] = 60
    extend_times: Annotated[
        int, Field(ge=0, description="How often one run of a server can be extended.")
    ] = 3
    class_end: Annotated[
        Literal["stop", "warn", "keep"],
        Field(
            description="Servers that trainees started for class, when it is over: `warn` them and stop them "
            "after `warning_minutes` unless they extend; `stop` them at the end, warned before; `keep` them."
        ),
    ] = "warn"
    ended_server: Annotated[
        Literal["stop", "warn"],
        Field(
            description="Running server of somebody whose access has ended (account expired, removed by the "
            "provider): `stop` it at once, or `warn` first."
        ),
    ] = "stop"
    account_grace_days: Annotated[
        int,
        Field(
            ge=0,
            le=3650,
            description="Days that an account works after the last day of its last class, to fetch files. "
            "Mentors, admins and people of a team without a last day are not concerned.",
        ),
    ] = 14
    archive_keep_days: Annotated[
        int,
        Field(
            ge=0,
            le=36500,
            description="Days that the archived home of an account that ended with its class is kept; then "
            "it is deleted. 0: for ever.",
        ),
    ] = 90
