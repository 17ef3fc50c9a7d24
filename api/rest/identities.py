"""Identities: what people sign in with, linked by the people themselves."""

import time
from datetime import datetime
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import Query
from pydantic import StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from api.calls import Call, respond
from api.doorkeeper import Doorkeeper
from api.errors import RateLimited
from api.fields import In, Out
from api.rest.identity_providers import TokenText
from api.rest.keys import own
from api.routing import declares, router
from api.showing import listed, shown
from app.answers import Answer, answer
from app.authentication import Principal, Unauthenticated
from app.database import Db
from app.identities import check_visible, enrol_identity, link_own_identity, unlink_identity
from app.secrets import parse_hook_token
from app.sign_in import SignIn
from domain.refusals import InputError, Invalid

routes = router("Identities")


class IdentityIn(In):
    """An access token of the identity that the caller wants to sign in with."""

    access_token: TokenText


class Identity(Out):
    """An identity: a subject of an issuer, and the person that it is. `is_linked` is false once it was unlinked."""

    id: UUID
    person_id: UUID
    issuer: str
    subject: str
    is_linked: bool
    created_at: datetime
    unlinked_at: datetime | None


class IdentitiesPage(Out):
    """One page of identities, oldest first."""

    items: list[Identity]
    next_cursor: str | None


class IdentityEnrolment(In):
    """An enrolment token, and an access token of the identity that its person will sign in with."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    access_token: TokenText


class EnrolledIdentity(Out):
    """The identity that an enrolment token was exchanged for."""

    id: UUID
    person_id: UUID


@routes.get("/identities", summary="List identities", **declares("key.read", answer=IdentitiesPage))
async def list_identities(
    call: Call,
    person_id: UUID | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Identities, oldest first: all of them for an administrator, one's own for everybody else."""
    filters = {"person": person_id}
    return await listed(call, "key.read", "identity", Identity, filters, cursor=cursor, limit=limit, narrow=own)


@routes.post(
    "/identities",
    summary="Link an identity to oneself",
    **declares("key.write_own", answer=Identity, status=201, refuses=[409]),
)
async def link_identity(call: Call, request: Request, given: IdentityIn) -> Response:
    """Sign in with this identity from now on. It takes a key with all roles of the person, without limits and end."""
    await call.authorise("key.write_own")
    sign_in = await _believed(request, given.access_token)

    async def work(db: Db, principal: Principal) -> Answer:
        if sign_in is None:  # said only now: a repeated request is answered as before, though its token has expired
            raise _not_believed()
        try:
            id = await link_own_identity(db, principal, sign_in)
        except Unauthenticated:
            raise _not_believed() from None
        return await shown(db, principal, "identity", Identity, id, status=201, location=f"/v1/identities/{id}")

    return await call.write("key.write_own", work)


@routes.get("/identities/{id}", summary="Read an identity", **declares("key.read", answer=Identity))
async def read_identity(call: Call, id: UUID) -> Response:
    """One identity."""

    async def query(db: Db, principal: Principal) -> Answer:
        await check_visible(db, principal, id)
        return await shown(db, principal, "identity", Identity, id)

    return await call.read("key.read", query)


@routes.delete(
    "/identities/{id}", summary="Unlink an identity", **declares(["key.write_own", "key.write"], answer=Identity)
)
async def delete_identity(call: Call, id: UUID) -> Response:
    """From the next request on the identity opens nothing; it stays listed, as unlinked."""

    async def work(db: Db, principal: Principal) -> Answer:
        await unlink_identity(db, principal, id)
        return await shown(db, principal, "identity", Identity, id)

    return await call.write("key.write_own", work)


_ENROL = declares([], answer=EnrolledIdentity, status=201, refuses=[401, 409])
_ENROL["openapi_extra"] |= {"x-public": True}


@routes.post("/enrolments/sign-in", summary="Exchange a token for signing in", **_ENROL)
async def enrol(request: Request, given: IdentityEnrolment) -> Response:
    """The token is the credential, and who holds it signs in with the identity of the access token from now on."""
    keeper: Doorkeeper = request.app.state.keeper
    claim, refused = parse_hook_token(given.token), keeper.refused_tokens
    if claim is None:
        raise Unauthenticated
    address, now = request.scope["holdfast.address"], time.monotonic()
    if wait := refused.blocked(address, now):
        raise RateLimited(wait)
    sign_in = await keeper.sign_in(given.access_token, address, anew=True)

    async def work(db: Db) -> Answer:
        if sign_in is None:
            raise Unauthenticated
        person_id, id = await enrol_identity(db, claim, sign_in)
        return answer(orjson.dumps({"id": str(id), "person_id": str(person_id)}).decode(), status=201)

    try:
        return respond(await keeper.database.run(claim.tenant_id, work))
    except Unauthenticated:
        refused.take(address, now)
        raise


async def _believed(request: Request, text: str) -> SignIn | None:
    """The sign-in of an access token in a body; None for one that is not believed."""
    keeper: Doorkeeper = request.app.state.keeper
    try:
        return await keeper.sign_in(text, request.scope["holdfast.address"], anew=True)
    except Unauthenticated:
        return None


def _not_believed() -> Invalid:
    said = "No enabled identity provider of this organisation vouches for the access token."
    return Invalid(said, errors=[InputError("/access_token", "not a valid one of an identity provider of yours")])
