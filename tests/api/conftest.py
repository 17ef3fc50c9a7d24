"""The small API over a real socket, and somebody who calls it."""

from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from app.settings import Settings
from tests.api.small_api import Caller, make_tenant, routes
from tests.conftest import serving


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
