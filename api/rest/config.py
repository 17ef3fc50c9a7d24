"""What a console needs to know before anybody signed in."""

from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from api.calls import JSON
from api.doorkeeper import Doorkeeper
from api.fields import Out
from api.routing import declares, router
from app.identity_providers import read_sign_ins

routes = router("Console")


class SignInWith(Out):
    """An identity provider to begin with: the issuer, and what to ask it for."""

    name: str
    issuer: str
    client_id: str
    audience: str


class Config(Out):
    """Where people of a tenant sign in. Empty for a tenant that has no identity provider, as for one there is not."""

    sign_in: list[SignInWith]


_CONFIG = declares([], answer=Config)
_CONFIG["openapi_extra"] |= {"x-public": True}


@routes.get("/config", summary="Read how to sign in", **_CONFIG)
async def read_config(request: Request, tenant: Annotated[str, Query(min_length=1, max_length=100)]) -> Response:
    """Issuer and client id for the console of a tenant, by its id. Nothing here tells whether a tenant exists."""
    keeper: Doorkeeper = request.app.state.keeper
    keeper.admit_anybody(request)
    try:
        tenant_id = UUID(tenant)
    except ValueError:
        tenant_id = UUID(int=0)  # as costly, and as empty, as a tenant that there is not
    async with keeper.database.transaction(tenant_id, read_only=True) as db:
        found = await read_sign_ins(db)
    return Response(f'{{"sign_in":{found}}}', 200, None, JSON)
