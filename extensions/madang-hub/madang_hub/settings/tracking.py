"""Settings of the tracking server."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from madang_hub.settings.values import Group, Port


class TrackingSettings(Group):
    """Storage of what is logged, and its limits."""

    heading = "Tracking"

    tracking_port: Annotated[Port, Field(description="Loopback port of the tracking server.")] = (
        5000
    )
    tracking_artifacts: Annotated[
        str,
        Field(
            pattern=r"^(|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?)$",
            description="Where runs' files and models lie: empty, in the data folder; or "
            "`s3://bucket/prefix`, in an S3-compatible storage, whose keys only the tracking server holds. "
            "See [storage of tracking](../howto/tracking-storage.md).",
        ),
    ] = ""
    tracking_s3_endpoint: Annotated[
        str,
        Field(
            pattern=r"^(|https?://[^/\s@]+/?)$",
            description="The address of that storage. Default: Amazon's.",
        ),
    ] = ""
    tracking_s3_region: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9-]{0,40}$",
            description="The region of the bucket. Default: `us-east-1`, which most other than Amazon's take.",
        ),
    ] = ""
    tracking_quota_gb: Annotated[
        float,
        Field(
            ge=0,
            lt=1e9,
            description="How many GB of files a person's runs and models may hold. 0: no limit. See "
            "[room for runs' files](../howto/tracking-room.md).",
        ),
    ] = 0
    tracking_team_quota_gb: Annotated[
        float,
        Field(ge=0, lt=1e9, description="The same for what a team shares. 0: no limit."),
    ] = 0
