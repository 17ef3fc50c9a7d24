"""People and the tokens with which they fetch their first key."""

import time
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import orjson
from fastapi import Query
from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from api.calls import Call, respond
from api.doorkeeper import Doorkeeper
from api.errors import RateLimited
from api.fields import In, Instant, Name, Out
from api.routing import declares, router
from api.showing import inside, listed, shown
from app.answers import Answer, answer
from app.authentication import Principal, Unauthenticated
from app.database import Db
from app.keys import issue_token, redeem_token
from app.people import change_person, create_person
from app.rights import require_inside
from app.secrets import parse_hook_token
from domain.glossary import Role

routes = router("People")

Email = Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+$")]
UserName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^\S+$")]
Roles = Annotated[list[Role], Field(max_length=20)]
Incidents = Annotated[list[UUID], Field(max_length=100)]


class PersonIn(In):
    """A new person. An outside one (`external`) is named for incidents and ends within P30D."""

    name: Name
    kind: Literal["internal", "external"] = "internal"
    email: Email | None = None
    user_name: UserName | None = None
    manager_id: UUID | None = None
    roles: Roles = Field(default_factory=list)
    expires_at: Instant | None = None
    incident_ids: Incidents = Field(default_factory=list)


class PersonEdit(In):
    """What to change; members that are absent stay."""

    name: Name = Field(default="")
    email: Email | None = None
    user_name: UserName | None = None
    manager_id: UUID | None = None
    roles: Roles = Field(default_factory=list)
    active: bool = True
    expires_at: Instant | None = None
    incident_ids: Incidents = Field(default_factory=list)


class PersonSummary(Out):
    """A person as lists show one."""

    id: UUID
    version: int
    kind: Literal["internal", "external", "system"]
    name: str
    email: str | None
    user_name: str | None
    manager_id: UUID | None
    roles: list[Role]
    active: bool
    expires_at: datetime | None


class Person(PersonSummary):
    """A person."""

    incident_ids: list[UUID]
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime


class PeoplePage(Out):
    """One page of people, by name."""

    items: list[PersonSummary]
    next_cursor: str | None


class Enrolment(Out):
    """A one-time token, shown here and never again."""

    person_id: UUID
    token: str
    expires_at: datetime


class Redemption(In):
    """A token, and what the key shall be called."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    name: Name = "First key"


class Redeemed(Out):
    """A key with all roles of the person. `key` is shown here and never again."""

    id: UUID
    person_id: UUID
    key: str


@routes.get("/people", summary="List people", **declares("person.read", answer=PeoplePage))
async def list_people(
    call: Call,
    active: bool | None = None,
    role: Role | None = None,
    kind: Literal["internal", "external", "system"] | None = None,
    user_name: Annotated[str | None, Query(max_length=200)] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """People by name."""
    filters = {"active": active, "role": role, "kind": kind, "user_name": user_name}
    return await listed(
        call, "person.read", "person", PersonSummary, filters, cursor=cursor, limit=limit, narrow=inside
    )


@routes.post("/people", summary="Add a person", **declares("person.write", answer=Person, status=201))
async def add_person(call: Call, given: PersonIn) -> Response:
    """Add a person; nobody can act as that person before an enrolment token was exchanged for a key."""

    async def work(db: Db, principal: Principal) -> Answer:
        id = await create_person(db, principal, given.model_dump())
        return await shown(db, principal, "person", Person, id, status=201, location=f"/v1/people/{id}")

    return await call.write("person.write", work)


@routes.get("/people/{id}", summary="Read a person", **declares("person.read", answer=Person))
async def read_person(call: Call, id: UUID) -> Response:
    """One person."""

    async def query(db: Db, principal: Principal) -> Answer:
        require_inside(principal)
        return await shown(db, principal, "person", Person, id)

    return await call.read("person.read", query)


@routes.patch(
    "/people/{id}",
    summary="Change a person",
    **declares(["person.write", "role.grant", "role.grant_admin"], answer=Person, refuses=[409]),
)
async def edit_person(call: Call, id: UUID, given: PersonEdit) -> Response:
    """Change a person, roles included. A change counts from the next request on."""

    async def work(db: Db, principal: Principal) -> Answer:
        await change_person(db, principal, id, given.model_dump(exclude_unset=True), call.if_match)
        return await shown(db, principal, "person", Person, id)

    return await call.write("person.write", work)


@routes.post(
    "/people/{id}/enrolment",
    summary="Issue an enrolment token",
    **declares("key.enrol", answer=Enrolment, status=201),
)
async def enrol(call: Call, id: UUID) -> Response:
    """A one-time token for somebody else, good for P7D. A new one ends the one before."""

    async def work(db: Db, principal: Principal) -> Answer:
        token, expires_at = await issue_token(db, principal, id)
        return answer(_json({"person_id": id, "token": token, "expires_at": expires_at}), status=201)

    return await call.write("key.enrol", work)


_REDEEM = declares([], answer=Redeemed, status=201, refuses=[401])
_REDEEM["openapi_extra"] |= {"x-public": True}


@routes.post("/enrolments/redeem", summary="Exchange a token for a key", **_REDEEM)
async def redeem(request: Request, given: Redemption) -> Response:
    """The token is the credential: whoever holds it gets the person's first key, once."""
    keeper: Doorkeeper = request.app.state.keeper
    claim = parse_hook_token(given.token)
    if claim is None:
        raise Unauthenticated
    refused = keeper.refused_tokens
    address, now = request.scope["holdfast.address"], time.monotonic()
    if wait := refused.blocked(address, now):
        raise RateLimited(wait)

    async def work(db: Db) -> Answer:
        person_id, key_id, text = await redeem_token(db, claim, given.name)
        body = _json({"id": key_id, "person_id": person_id, "key": text})
        return answer(body, status=201, location=f"/v1/keys/{key_id}")

    try:
        return respond(await keeper.database.run(claim.tenant_id, work))
    except Unauthenticated:
        refused.take(address, now)
        raise


def _json(members: dict[str, object]) -> str:
    return orjson.dumps(members, default=str, option=orjson.OPT_UTC_Z).decode()
