"""Service accounts: the identities of integrations."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from api.calls import Call
from api.fields import In, Name, Out
from api.routing import declares, router
from api.showing import listed, shown
from app.answers import Answer
from app.authentication import Principal
from app.database import Db
from app.service_accounts import change_service_account, create_service_account

routes = router("Service accounts")


class ServiceAccountIn(In):
    """A new service account; `source_id` makes the incidents of that source its own."""

    name: Name
    source_id: UUID | None = None


class ServiceAccountEdit(In):
    """What to change; members that are absent stay. An inactive account's keys count no more."""

    name: Name = Field(default="")
    active: bool = True
    source_id: UUID | None = None


class ServiceAccount(Out):
    """A service account."""

    id: UUID
    name: str
    active: bool
    source_id: UUID | None
    created_by: UUID | None
    created_at: datetime


class ServiceAccountsPage(Out):
    """One page of service accounts, oldest first."""

    items: list[ServiceAccount]
    next_cursor: str | None


@routes.get("/service-accounts", summary="List service accounts", **declares("key.write", answer=ServiceAccountsPage))
async def list_service_accounts(
    call: Call,
    active: bool | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Service accounts, oldest first."""
    filters = {"active": active}
    return await listed(call, "key.write", "service_account", ServiceAccount, filters, cursor=cursor, limit=limit)


@routes.post(
    "/service-accounts", summary="Add a service account", **declares("key.write", answer=ServiceAccount, status=201)
)
async def add_service_account(call: Call, given: ServiceAccountIn) -> Response:
    """Add a service account. Its keys are issued with `POST /v1/keys` and its id."""

    async def work(db: Db, principal: Principal) -> Answer:
        id = await create_service_account(db, principal, given.model_dump())
        location = f"/v1/service-accounts/{id}"
        return await shown(db, principal, "service_account", ServiceAccount, id, status=201, location=location)

    return await call.write("key.write", work)


@routes.get("/service-accounts/{id}", summary="Read a service account", **declares("key.write", answer=ServiceAccount))
async def read_service_account(call: Call, id: UUID) -> Response:
    """One service account."""

    async def query(db: Db, principal: Principal) -> Answer:
        return await shown(db, principal, "service_account", ServiceAccount, id)

    return await call.read("key.write", query)


@routes.patch(
    "/service-accounts/{id}", summary="Change a service account", **declares("key.write", answer=ServiceAccount)
)
async def edit_service_account(call: Call, id: UUID, given: ServiceAccountEdit) -> Response:
    """Rename, deactivate or attach it to a source."""

    async def work(db: Db, principal: Principal) -> Answer:
        await change_service_account(db, principal, id, given.model_dump(exclude_unset=True))
        return await shown(db, principal, "service_account", ServiceAccount, id)

    return await call.write("key.write", work)
