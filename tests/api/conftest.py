"""The small API over a real socket, and somebody who calls it."""

from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from app.database import Database
from app.settings import Settings
from tests.api.places import LOOPBACK, Place, a_place
from tests.api.small_api import Caller, make_tenant, routes
from tests.conftest import serving
from tests.issuer import Issuer, issuing
from tests.sockets import ORIGIN


@pytest.fixture(scope="session")
async def small_server(settings: Settings) -> AsyncIterator[str]:
    """Address of the small API."""
    from api.server import create_api

    async with serving(create_api(settings, routers=[routes])) as address:
        yield address


@pytest.fixture
async def caller(superuser: asyncpg.Connection) -> Caller:
    """The first person of a tenant of this test alone."""
    return await make_tenant(superuser)


@pytest.fixture
async def door(small_server: str, caller: Caller) -> AsyncIterator[httpx.AsyncClient]:
    """The small API, called by `caller`."""
    async with httpx.AsyncClient(base_url=small_server, headers=caller.headers, timeout=30, trust_env=False) as http:
        yield http


@pytest.fixture(scope="session")
async def believing(settings: Settings) -> AsyncIterator[str]:
    """Address of a served API that believes issuers on loopback and hears hundreds of wrong tokens out."""
    from api.server import create_api

    more = {"issuer_networks": LOOPBACK, "refused_credentials_per_minute": 100_000}
    async with serving(create_api(settings.model_copy(update=more))) as address:
        yield address


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """An issuer of this test alone."""
    async with issuing() as found:
        yield found


@pytest.fixture
async def place(believing: str, database: Database, issuer: Issuer) -> AsyncIterator[Place]:
    """A tenant whose first person may sign in as `ann`."""
    async with a_place(believing, database, issuer) as found:
        linked = await found.http.post("/v1/identities", json={"access_token": issuer.token()})
        assert linked.status_code == 201, linked.text
        yield found


@pytest.fixture(scope="session")
async def other_server(settings: Settings) -> AsyncIterator[str]:
    """A second application on the same database."""
    from api.server import create_api

    more = {"cors_origins": (ORIGIN,), "tenant_sockets_max": 3}
    async with serving(create_api(settings.model_copy(update=more))) as address:
        yield address
