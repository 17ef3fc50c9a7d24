"""API keys: issued, listed, revoked. A secret is shown once, by the call that issued it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from api.calls import Call
from api.fields import In, Instant, Name, Out
from api.routing import declares, router
from api.showing import listed, shown
from app.answers import Answer
from app.authentication import Principal
from app.database import Db
from app.keys import KeyRequest, issue_key, revoke_key
from app.rights import may
from domain.glossary import Role
from domain.refusals import Forbidden, NotFound

routes = router("Keys")


class KeyIn(In):
    """A new key: the caller's own, or with `service_account_id` that account's. Limits that are absent are the
    caller's own; `period_from` is inclusive, `period_to` exclusive."""

    name: Name
    person_id: UUID | None = None
    service_account_id: UUID | None = None
    roles: Annotated[list[Role], Field(max_length=20)] | None = None
    client_ids: Annotated[list[UUID], Field(max_length=200)] | None = None
    period_from: Instant | None = None
    period_to: Instant | None = None
    expires_at: Instant | None = None


class Key(Out):
    """A key without its secret. `roles` null: all of the person; `client_ids` null: no client limit."""

    id: UUID
    name: str
    prefix: str
    person_id: UUID | None
    service_account_id: UUID | None
    roles: list[Role] | None
    client_ids: list[UUID] | None
    period_from: datetime | None
    period_to: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    is_active: bool
    created_by: UUID | None
    created_at: datetime


class IssuedKey(Key):
    """A key with its secret, shown here and never again."""

    key: str


class KeysPage(Out):
    """One page of keys, oldest first."""

    items: list[Key]
    next_cursor: str | None


@routes.get("/keys", summary="List keys", **declares("key.read", answer=KeysPage))
async def list_keys(
    call: Call,
    person_id: UUID | None = None,
    service_account_id: UUID | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Keys, oldest first: all of them for an administrator, one's own for everybody else."""
    filters = {"person": person_id, "service_account": service_account_id}
    return await listed(call, "key.read", "key", Key, filters, cursor=cursor, limit=limit, narrow=own)


@routes.post("/keys", summary="Issue a key", **declares(["key.write_own", "key.write"], answer=IssuedKey, status=201))
async def add_key(call: Call, given: KeyIn) -> Response:
    """Issue a key. A key for another person is refused: that takes an enrolment token."""

    async def work(db: Db, principal: Principal) -> Answer:
        id, text = await issue_key(db, principal, KeyRequest(**given.model_dump()))
        location, more = f"/v1/keys/{id}", {"key": text}
        return await shown(db, principal, "key", Key, id, status=201, location=location, more=more)

    return await call.write("key.write_own", work)


@routes.get("/keys/{id}", summary="Read a key", **declares("key.read", answer=Key))
async def read_key(call: Call, id: UUID) -> Response:
    """One key, never its secret."""

    async def query(db: Db, principal: Principal) -> Answer:
        await _check_visible(db, principal, id)
        return await shown(db, principal, "key", Key, id)

    return await call.read("key.read", query)


@routes.post("/keys/{id}/revoke", summary="Revoke a key", **declares(["key.write_own", "key.write"], answer=Key))
async def revoke(call: Call, id: UUID) -> Response:
    """From the next request on the key counts no more. Revoking it again changes nothing."""
    return await _revoke(call, id)


@routes.delete("/keys/{id}", summary="Revoke a key", **declares(["key.write_own", "key.write"], answer=Key))
async def delete(call: Call, id: UUID) -> Response:
    """The same as `POST /v1/keys/{id}/revoke`: the key stays listed, as revoked."""
    return await _revoke(call, id)


async def _revoke(call: Call, id: UUID) -> Response:
    async def work(db: Db, principal: Principal) -> Answer:
        await revoke_key(db, principal, id)
        return await shown(db, principal, "key", Key, id)

    return await call.write("key.write_own", work)


def own(principal: Principal, filters: dict[str, Any]) -> dict[str, Any]:
    """Narrow a list of credentials to the caller's own, unless the caller administers them. Raises Forbidden."""
    if may(principal, "key.read"):
        return filters
    if filters.get("person", principal.person_id) != principal.person_id:
        raise Forbidden("You see your own keys and identities only.")
    return {**filters, "person": principal.person_id}


async def _check_visible(db: Db, principal: Principal, id: UUID) -> None:
    if may(principal, "key.read"):
        return
    owner = await db.value("SELECT person_id FROM api_keys WHERE tenant_id = $1 AND id = $2", db.tenant_id, id)
    if owner is None or owner != principal.person_id:
        raise NotFound
