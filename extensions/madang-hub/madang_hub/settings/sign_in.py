"""Settings of how people sign in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from madang_hub.people import claims, discovery
from madang_hub.settings.values import Addresses, Group, Words


def _issuer(value: str) -> str:
    if value and not discovery.safe(value):
        raise ValueError("write an https address (http only for this machine itself)")
    return value


def _teams(value: str) -> str:
    claims.parse_teams(value)
    return value


class SignInSettings(Group):
    """Local accounts or an institution's provider."""

    heading = "Sign-in"

    sign_in: Annotated[
        Literal["local", "oidc", "google", "github"],
        Field(
            description="How people sign in: `local` accounts, or with an institution's provider: any "
            "OpenID Connect server (`oidc`: Keycloak, Entra ID, Okta …), `google` or `github`. See "
            "[sign-in](../howto/sign-in.md)."
        ),
    ] = "local"
    sign_in_name: Annotated[
        str,
        Field(
            max_length=60,
            description="What the button on the sign-in page calls the provider: your institution's name. "
            "Default: Google, GitHub, or the provider's host name.",
        ),
    ] = ""
    sign_in_local_admin: Annotated[
        bool,
        Field(
            description="With a provider: whether the first admin may sign in with the local account as "
            "well, the way in while the provider is down or set wrongly."
        ),
    ] = True
    oidc_issuer: Annotated[
        str,
        AfterValidator(_issuer),
        Field(
            description="The provider's name for itself, an https address: what its "
            "`/.well-known/openid-configuration` calls `issuer`. For `github`: the address of a GitHub "
            "Enterprise server."
        ),
    ] = ""
    oidc_client_id: Annotated[
        str,
        Field(
            description="The name that the provider knows Madang by. The client's secret belongs into the "
            "file `secrets/oidc_client_secret` of the data folder."
        ),
    ] = ""
    oidc_scopes: Annotated[
        Words,
        Field(
            description="What Madang asks the provider for, separated by spaces. Default: `openid profile "
            "email`, for `github` `read:user user:email read:org`."
        ),
    ] = ()
    oidc_name_claim: Annotated[
        str,
        Field(
            description="The claim that proposes the user name of a new person. Default: "
            "`preferred_username`, for `google` `email` (the part before the @)."
        ),
    ] = ""
    oidc_groups_claim: Annotated[
        str,
        Field(
            description="The claim that says who is in which group, also inside others "
            "(`realm_access.roles`). Default: `groups`, for `google` `hd` (the organisation); for `github` "
            "it is always organisations and `organisation/team`."
        ),
    ] = ""
    oidc_teams: Annotated[
        str,
        AfterValidator(_teams),
        Field(
            description="What values of that claim give, separated by `;`: `VALUE=TEAM ROLE`, for example "
            "`academy/2026-a=class:2026-a trainee; academy/mentors-a=class:2026-a mentor`, or `VALUE=admin`."
        ),
    ] = ""
    oidc_admit: Annotated[
        Literal["mapped", "everyone"],
        Field(
            description="Who may enter: `mapped`, who is in a team by `oidc_teams` or by a class's roster, "
            "or is an admin; `everyone`, whoever the provider knows (for Google and GitHub: the whole "
            "world)."
        ),
    ] = "mapped"
    one_time_days: Annotated[
        int, Field(ge=1, description="Days that a one-time password of a local account works.")
    ] = 14
    refresh_age: Annotated[
        int,
        Field(
            ge=1,
            description="Seconds after which a signed-in person's access, groups and roles are looked up "
            "again: how long a removed person or mentor may go on.",
        ),
    ] = 60
    trusted_proxies: Annotated[
        Addresses,
        Field(
            description="Addresses of your own reverse proxies (for TLS, say) in front of Madang's port, "
            "separated by spaces or commas. Wrong passwords are then counted for the visitor's address that "
            "they report; without this all visitors behind one count as one."
        ),
    ] = ()

    @model_validator(mode="after")
    def _provider_is_told(self) -> SignInSettings:
        if self.sign_in == "local":
            return self
        if not self.oidc_client_id:
            raise ValueError(f"sign_in is {self.sign_in}, so oidc_client_id must be set as well")
        if self.sign_in == "oidc" and not self.oidc_issuer:
            raise ValueError("sign_in is oidc, so oidc_issuer must be set as well")
        if self.sign_in == "google" and self.oidc_issuer:
            raise ValueError(
                "sign_in is google, which has its own oidc_issuer; remove that setting"
            )
        return self
