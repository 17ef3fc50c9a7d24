"""Identity providers: whose access tokens open this tenant."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from api.calls import Call
from api.doorkeeper import Doorkeeper
from api.fields import In, Name, Out
from api.routing import declares, router
from api.showing import listed, shown
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.identity_providers import ACCESS_TOKEN, change_provider, check_provider, create_provider, retire_provider
from app.sign_in import prove_pair
from app.tokens import TOKEN_CHARACTERS_MAX, URL_CHARACTERS_MAX, TokenRefused, read_token, token_type
from domain.glossary import Role
from domain.refusals import InputError, Invalid

routes = router("Identity providers")

Printed = Annotated[str, StringConstraints(min_length=1, max_length=URL_CHARACTERS_MAX, pattern=r"^\S+$")]
ClaimName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^\S+$")]
ClaimValue = Annotated[str, StringConstraints(min_length=1, max_length=200)]
RoleMap = Annotated[dict[ClaimValue, Annotated[list[Role], Field(min_length=1, max_length=20)]], Field(max_length=500)]
TokenType = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9+./-]+$")]
TokenText = Annotated[str, StringConstraints(min_length=1, max_length=TOKEN_CHARACTERS_MAX)]


class IdentityProviderIn(In):
    """A new identity provider. `proof` is a valid access token of this issuer and audience: only who has one registers
    the pair. `token_type` is what the issuer puts into `typ`; keep `at+jwt` where it can. With `role_claim` a token
    narrows the roles of its person to those that `role_map` gives for the values of that claim."""

    name: Name
    issuer: Printed
    audience: Printed
    client_id: Printed
    proof: TokenText
    token_type: TokenType = ACCESS_TOKEN
    role_claim: ClaimName | None = None
    role_map: RoleMap = Field(default_factory=dict)
    enabled: bool = True


class IdentityProviderEdit(In):
    """What to change; members that are absent stay. Another issuer or audience is another provider."""

    name: Name = Field(default="")
    client_id: Printed = Field(default="")
    role_claim: ClaimName | None = None
    role_map: RoleMap = Field(default_factory=dict)
    enabled: bool = True


class IdentityProvider(Out):
    """An identity provider. `retired_at` is null unless it was removed."""

    id: UUID
    version: int
    name: str
    issuer: str
    audience: str
    client_id: str
    token_type: str
    role_claim: str | None
    role_map: dict[str, list[Role]]
    enabled: bool
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime
    retired_at: datetime | None


class IdentityProvidersPage(Out):
    """One page of identity providers, oldest first."""

    items: list[IdentityProvider]
    next_cursor: str | None


@routes.get(
    "/identity-providers",
    summary="List identity providers",
    **declares("identity_provider.read", answer=IdentityProvidersPage),
)
async def list_identity_providers(
    call: Call,
    enabled: bool | None = None,
    retired: bool = False,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Identity providers, oldest first; those that were removed on request alone."""
    filters, noun = {"enabled": enabled, "retired": retired}, "identity_provider"
    return await listed(call, "identity_provider.read", noun, IdentityProvider, filters, cursor=cursor, limit=limit)


@routes.post(
    "/identity-providers",
    summary="Register an identity provider",
    **declares("identity_provider.write", answer=IdentityProvider, status=201, refuses=[409]),
)
async def add_identity_provider(call: Call, request: Request, given: IdentityProviderIn) -> Response:
    """Register an issuer and audience. A pair belongs to one tenant alone: who registers it proves to be a client of it
    by a token. The issuer is asked for its keys now."""
    await call.authorise("identity_provider.write")
    row = given.model_dump(exclude={"proof"}, mode="json") | {"token_type": token_type(given.token_type)}
    fault = await _fault(request.app.state.keeper, row, given.proof)

    async def work(db: Db, principal: Principal) -> Answer:
        if fault is not None:  # said only now: a repeated request is answered as before, though its token has expired
            raise fault
        id = await create_provider(db, principal, row)
        location = f"/v1/identity-providers/{id}"
        return await shown(db, principal, "identity_provider", IdentityProvider, id, status=201, location=location)

    return await call.write("identity_provider.write", work)


@routes.get(
    "/identity-providers/{id}",
    summary="Read an identity provider",
    **declares("identity_provider.read", answer=IdentityProvider),
)
async def read_identity_provider(call: Call, id: UUID) -> Response:
    """One identity provider."""

    async def query(db: Db, principal: Principal) -> Answer:
        return await shown(db, principal, "identity_provider", IdentityProvider, id)

    return await call.read("identity_provider.read", query)


@routes.patch(
    "/identity-providers/{id}",
    summary="Change an identity provider",
    **declares("identity_provider.write", answer=IdentityProvider),
)
async def edit_identity_provider(call: Call, id: UUID, given: IdentityProviderEdit) -> Response:
    """Change an identity provider. A disabled one opens nothing from the next request on."""

    async def work(db: Db, principal: Principal) -> Answer:
        sent = given.model_dump(exclude_unset=True, mode="json")
        await change_provider(db, principal, id, sent, call.if_match)
        return await shown(db, principal, "identity_provider", IdentityProvider, id)

    return await call.write("identity_provider.write", work)


@routes.delete(
    "/identity-providers/{id}",
    summary="Remove an identity provider",
    **declares("identity_provider.write", status=204),
)
async def remove_identity_provider(call: Call, id: UUID) -> Response:
    """Remove an identity provider: it opens nothing any more, and its pair may be registered anew. What it was stays
    readable with `retired=true`."""

    async def work(db: Db, principal: Principal) -> Answer:
        await retire_provider(db, principal, id)
        return answer(None, status=204)

    return await call.write("identity_provider.write", work)


async def _fault(keeper: Doorkeeper, row: Mapping[str, Any], proof: str) -> Invalid | None:
    """What is wrong with a provider or its proof; None when it may be registered. Asks the issuer."""
    try:
        check_provider(row, keeper.settings.issuer_networks)
        pair = {name: row[name] for name in ("issuer", "audience", "token_type")}
        await prove_pair(keeper.newcomers, read_token(proof, time.time()), **pair)
    except TokenRefused as error:
        said = (
            "`proof` has to be a valid access token of this issuer and audience; `errors` says what is wrong with it."
        )
        return Invalid(said, errors=[InputError("/proof", str(error))])
    except Invalid as refusal:
        return refusal
    return None
