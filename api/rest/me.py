"""Who am I: the caller, its roles, its key and its limits."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from starlette.responses import Response

from api.calls import Call
from api.fields import Out
from api.routing import declares, router
from app.authentication import Principal
from app.database import Db
from app.me import read_me

routes = router("Me")


class TenantBrief(Out):
    """The organisation."""

    id: UUID
    name: str


class KeyBrief(Out):
    """The key that carried the request."""

    id: UUID
    name: str
    prefix: str
    expires_at: datetime | None


class IdentityBrief(Out):
    """The identity that signed in: a subject of an issuer."""

    id: UUID
    issuer: str
    subject: str


class Me(Out):
    """The caller. `permissions` are the operations that some relation to a thing could allow; null limits are none. The
    request was carried by a key or by the access token of an identity: the other one is null."""

    kind: Literal["person", "service_account"]
    id: UUID
    name: str
    email: str | None
    roles: list[str]
    permissions: list[str]
    tenant: TenantBrief
    key: KeyBrief | None
    identity: IdentityBrief | None
    client_ids: list[UUID] | None
    period_from: datetime | None
    period_to: datetime | None
    server_time: datetime


@routes.get("/me", summary="Read oneself", **declares("me.read", answer=Me))
async def me(call: Call) -> Response:
    """The person or service account that the credential belongs to."""

    async def query(db: Db, principal: Principal) -> str:
        return await read_me(db, principal)

    return await call.read("me.read", query)
