"""One server, one pair of tenants with everything in them, and calls in batches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest
import structlog

from tests.cluster import Cluster
from tests.conftest import serving
from tests.issuer import Issuer, issuing
from tests.surface.prepared import Prepared, prepare
from tests.surface.surface import Surface

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.database import Database
    from app.settings import Settings

AT_ONCE = 8


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of refusals need no line each; what fails on our side still gets one."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def api(settings: Settings) -> FastAPI:
    """The whole application, without the limits that thousands of wrong credentials would meet."""
    from api.server import create_api

    more = {"refused_credentials_per_minute": 1_000_000, "issuer_networks": (ip_network("127.0.0.0/8"),)}
    return create_api(settings.model_copy(update=more))


@pytest.fixture(scope="session")
async def issuer() -> AsyncIterator[Issuer]:
    """An issuer whose tokens open the tenants."""
    async with issuing() as found:
        yield found


@pytest.fixture(scope="session")
def surface(api: FastAPI) -> Surface:
    return Surface(api)


@pytest.fixture(scope="session")
async def address(api: FastAPI) -> AsyncIterator[str]:
    async with serving(api) as found:
        yield found


@pytest.fixture(scope="session")
async def anybody(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A caller who says with each call who it is."""
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=address, timeout=60, trust_env=False, limits=limits) as http:
        yield http


@pytest.fixture(scope="module")
async def ours(database: Database, surface: Surface, anybody: httpx.AsyncClient, issuer: Issuer) -> Prepared:
    """A tenant with one of everything, made afresh for each file."""
    return await prepare(database, surface, anybody, issuer)


@pytest.fixture(scope="module")
async def theirs(database: Database, surface: Surface, anybody: httpx.AsyncClient, issuer: Issuer) -> Prepared:
    """Another such tenant."""
    return await prepare(database, surface, anybody, issuer)


@pytest.fixture
async def stored(
    cluster: Cluster, database_name: str
) -> AsyncIterator[Callable[[Prepared], Awaitable[dict[str, str]]]]:
    """`await stored(tenant)`: a digest of every table's rows of a tenant, to compare with a later one."""
    connection = await asyncpg.connect(cluster.superuser_dsn(database_name))
    tables = await connection.fetch(
        "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'"
        " where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' order by 1"
    )

    async def digests(tenant: Prepared) -> dict[str, str]:
        found = {}
        for (table,) in tables:
            sql = (
                f"select count(*) || ' ' || md5(coalesce(string_agg(row, '' order by row), '')) from"
                f" (select (to_jsonb(t) - 'last_used_at')::text as row from {table} t where tenant_id = $1) rows"
            )
            found[table] = await connection.fetchval(sql, tenant.tenant_id)
        return found

    yield digests
    await connection.close()


@pytest.fixture(scope="session")
def together() -> Callable[[Iterable[Awaitable[Any]]], Awaitable[list[Any]]]:
    """Await many calls, a few at once, and give their results in order."""

    async def run(calls: Iterable[Awaitable[Any]]) -> list[Any]:
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(call: Awaitable[Any]) -> Any:
            async with turn:
                return await call

        return await asyncio.gather(*(one(call) for call in calls))

    return run
