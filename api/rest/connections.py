"""Connections: the systems that we call, for writing back and for reading what a notification only names."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import orjson
from fastapi import Query
from pydantic import Field, StringConstraints
from starlette.responses import Response

from api.calls import Call
from api.fields import In, JsonObject, Name, Out, Url, Word
from api.routing import declares, router
from api.showing import listed, shown
from app.answers import Answer, answer
from app.authentication import Principal
from app.connections import (
    ask,
    change_connection,
    create_connection,
    find_connection,
    record_check,
    retire_connection,
    rotate_connection,
)
from app.database import Db
from app.dialling import Connection as Callable
from app.dialling import Dialler
from app.rights import require, require_unlimited
from domain.connections import CREDENTIAL_MAX, ConnectionSystem, connection_systems

routes = router("Connections")

Credential = Annotated[str, StringConstraints(min_length=1, max_length=CREDENTIAL_MAX)]
Credentials = Annotated[
    dict[Annotated[str, StringConstraints(max_length=50)], Credential], Field(min_length=1, max_length=10)
]
Status = Literal["active", "retired"]


class ConnectionIn(In):
    """A new connection. Which `credentials` a system wants is told by `/v1/connection-systems`; they are never shown.

    `instance` tells several instances of one system apart. Given that of a source, tickets that came from there are
    recognised; it is the id of the connection unless said otherwise.
    """

    name: Name
    system: Word
    base_url: Url
    credentials: Credentials
    instance: Word | None = None


class ConnectionEdit(In):
    """What to change; members that are absent stay."""

    name: Name = Field(default="")
    instance: Word = Field(default="")


class CredentialsIn(In):
    """New credentials, and perhaps another address: credentials never go where they were not given for."""

    credentials: Credentials
    base_url: Url | None = None


class Connection(Out):
    """A connection. `account` is the name under which the system knows us, once it has told.

    `last_error` is what the last check found amiss.
    """

    id: UUID
    version: int
    name: str
    system: str
    instance: str
    base_url: str
    account: str | None
    status: Status
    last_checked_at: datetime | None
    last_error: str | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime


class ConnectionsPage(Out):
    """One page of connections, oldest first."""

    items: list[Connection]
    next_cursor: str | None


class ConnectionCheck(Out):
    """What a check found: what the system said, or why it could not be asked."""

    id: UUID
    ok: bool
    seen: JsonObject
    error: str | None
    checked_at: datetime


class CredentialField(Out):
    """One thing to copy out of the system."""

    name: str
    title: str
    optional: bool


class SignInWay(Out):
    """One way to sign in, with all that it asks for."""

    title: str
    credentials: list[CredentialField]


class MapWord(Out):
    """A word that tickets of this system take, in all or for each client."""

    name: str
    title: str
    needed: bool


class ConnectedSystem(Out):
    """A system that can be called. `base_url` is an example."""

    system: str
    title: str
    base_url: str
    auth: list[SignInWay]
    map: list[MapWord]
    operations: list[str]


class ConnectedSystems(Out):
    """The systems that can be called, by name."""

    items: list[ConnectedSystem]


CONNECTIONS = "/connections"


@routes.get(
    "/connection-systems",
    summary="List systems that can be called",
    **declares("connection.read", answer=ConnectedSystems),
)
async def systems(call: Call) -> Response:
    """What each system asks for to sign in, and what its tickets take."""

    async def query(db: Db, principal: Principal) -> Answer:
        return answer(orjson.dumps({"items": [_described(one) for one in connection_systems().values()]}).decode())

    return await call.read("connection.read", query)


@routes.get(CONNECTIONS, summary="List connections", **declares("connection.read", answer=ConnectionsPage))
async def list_connections(
    call: Call,
    system: Word | None = None,
    status: Status | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Connections, oldest first."""
    filters = {"system": system, "status": status}
    return await listed(call, "connection.read", "connection", Connection, filters, cursor=cursor, limit=limit)


@routes.post(
    CONNECTIONS,
    summary="Add a connection",
    **declares("connection.write", answer=Connection, status=201, refuses=[409]),
)
async def add_connection(call: Call, given: ConnectionIn) -> Response:
    """Add a connection. Whether it works is told by a check."""

    async def work(db: Db, principal: Principal) -> Answer:
        id = await create_connection(db, principal, given.model_dump(), call.vault, call.settings)
        return await _shown(db, principal, id, status=201, location=f"/v1{CONNECTIONS}/{id}")

    return await call.write("connection.write", work)


@routes.get(f"{CONNECTIONS}/{{id}}", summary="Read a connection", **declares("connection.read", answer=Connection))
async def read_connection(call: Call, id: UUID) -> Response:
    """One connection."""

    async def query(db: Db, principal: Principal) -> Answer:
        return await _shown(db, principal, id)

    return await call.read("connection.read", query)


@routes.patch(
    f"{CONNECTIONS}/{{id}}",
    summary="Change a connection",
    **declares("connection.write", answer=Connection, refuses=[409]),
)
async def edit_connection(call: Call, id: UUID, given: ConnectionEdit) -> Response:
    """Change name or instance. Credentials and address are changed by rotating."""

    async def work(db: Db, principal: Principal) -> Answer:
        await change_connection(db, principal, id, given.model_dump(exclude_unset=True), call.if_match)
        return await _shown(db, principal, id)

    return await call.write("connection.write", work)


@routes.post(
    f"{CONNECTIONS}/{{id}}/rotate",
    summary="Rotate the credentials of a connection",
    **declares("connection.write", answer=Connection, refuses=[409]),
)
async def rotate(call: Call, id: UUID, given: CredentialsIn) -> Response:
    """Replace the credentials, and the address with them. The former ones are forgotten at once."""

    async def work(db: Db, principal: Principal) -> Answer:
        await rotate_connection(
            db,
            principal,
            id,
            credentials=given.credentials,
            base_url=given.base_url,
            vault=call.vault,
            settings=call.settings,
        )
        return await _shown(db, principal, id)

    return await call.write("connection.write", work)


@routes.post(
    f"{CONNECTIONS}/{{id}}/check",
    summary="Check a connection",
    **declares("connection.write", answer=ConnectionCheck, refuses=[409]),
)
async def check(call: Call, id: UUID) -> Response:
    """Ask the system for something harmless, and tell what it said."""

    async def find(db: Db) -> Callable:
        return await find_connection(db, id, call.vault)

    principal = await call.authorise("connection.write")
    require(principal, "connection.write")
    require_unlimited(principal)
    connection = await call.database.run(call.tenant_id, find, read_only=True)
    checked = await ask(Dialler(call.settings), connection, datetime.now(UTC))

    async def work(db: Db, principal: Principal) -> Answer:
        await record_check(db, principal.actor, id, checked)
        found = {
            "id": id,
            "ok": checked.error is None,
            "seen": checked.seen,
            "error": checked.error,
            "checked_at": checked.at,
        }
        return answer(ConnectionCheck.model_validate(found).model_dump_json())

    return await call.write("connection.write", work)


@routes.post(
    f"{CONNECTIONS}/{{id}}/retire",
    summary="Retire a connection",
    **declares("connection.write", answer=Connection, refuses=[409]),
)
async def retire(call: Call, id: UUID) -> Response:
    """Let a connection be called no more. Its credentials are forgotten; what it was stays readable."""

    async def work(db: Db, principal: Principal) -> Answer:
        await retire_connection(db, principal, id)
        return await _shown(db, principal, id)

    return await call.write("connection.write", work)


def _described(system: ConnectionSystem) -> dict[str, object]:
    ways = [
        {
            "title": one.title,
            "credentials": [
                {"name": name, "title": field.title, "optional": field.optional}
                for name, field in one.credentials.items()
            ],
        }
        for one in system.auth
    ]
    words = [{"name": name, "title": one.title, "needed": one.needed} for name, one in system.map.items()]
    return {
        "system": system.name,
        "title": system.title,
        "base_url": system.base_url,
        "auth": ways,
        "map": words,
        "operations": sorted(system.operations),
    }


async def _shown(db: Db, principal: Principal, id: UUID, *, status: int = 200, location: str | None = None) -> Answer:
    return await shown(db, principal, "connection", Connection, id, status=status, location=location)
