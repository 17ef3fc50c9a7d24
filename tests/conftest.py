"""What tests may ask for: a database walled like the real one, a tenant of their own, a server that answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import hypothesis
import pytest

from tests import cluster as clusters

if TYPE_CHECKING:
    import httpx

    from app.database import Database
    from app.settings import Settings

# The same examples in every run of a commit: a failure belongs to the change, never to the dice.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.load_profile("steady")

_CLUSTER = pytest.StashKey[clusters.Cluster]()


def pytest_configure(config: pytest.Config) -> None:
    """The first process of a run starts the server; its workers are told where it is."""
    if hasattr(config, "workerinput"):
        if folder := config.workerinput["cluster"]:
            config.stash[_CLUSTER] = clusters.Cluster(Path(folder))
    elif _wants_database(config):
        config.stash[_CLUSTER] = clusters.start()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Called by xdist for each worker before it starts."""
    found = node.config.stash.get(_CLUSTER, None)
    node.workerinput["cluster"] = str(found.data_dir) if found else ""


def pytest_unconfigure(config: pytest.Config) -> None:
    found = config.stash.get(_CLUSTER, None)
    if found is not None and not hasattr(config, "workerinput"):
        clusters.stop(found)


def _wants_database(config: pytest.Config) -> bool:
    """Rules need no database, so a run of `tests/domain` alone starts none."""
    if config.option.collectonly or config.option.help or config.option.version:
        return False
    rules = config.rootpath / "tests" / "domain"
    places = [(config.invocation_params.dir / arg.split("::")[0]).resolve() for arg in config.args]
    return not all(place.is_relative_to(rules) for place in places)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> clusters.Cluster:
    """The run's server, without a promise that our schema is on it."""
    return request.config.stash[_CLUSTER]


@pytest.fixture(scope="session")
async def database_name(cluster: clusters.Cluster, request: pytest.FixtureRequest) -> str:
    """This worker's database, migrated."""
    if cluster.fault_path.exists():
        pytest.fail("the migrated template could not be made: " + cluster.fault_path.read_text(), pytrace=False)
    worker = getattr(request.config, "workerinput", {}).get("workerid", "alone")
    name = f"holdfast_{worker}"
    await cluster.drop(name)
    await cluster.create(name)
    return name


@pytest.fixture(scope="session")
async def database(cluster: clusters.Cluster, database_name: str) -> AsyncIterator[Database]:
    """This worker's database as the role the service runs as: row-level security binds it."""
    from app.database import Database

    pool = await Database.connect(cluster.runtime_dsn(database_name), max_size=16)
    yield pool
    await pool.close()


@pytest.fixture
async def superuser(cluster: clusters.Cluster, database_name: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that sees every tenant: for checks and for damage, never for what a test is about."""
    connection = await asyncpg.connect(cluster.superuser_dsn(database_name))
    yield connection
    await connection.close()


@pytest.fixture
async def new_database(cluster: clusters.Cluster) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Makes databases that a test may spoil: `await new_database()` gives the name of a migrated one,
    `await new_database(template="template0")` that of an empty one."""
    made: list[str] = []

    async def make(template: str = clusters.TEMPLATE) -> str:
        name = f"holdfast_{uuid4().hex[:12]}"
        await cluster.create(name, template=template)
        made.append(name)
        return name

    yield make
    for name in made:
        await cluster.drop(name)


@pytest.fixture(scope="session")
def settings(cluster: clusters.Cluster, database_name: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a service on this worker's database. It does no background work unless a test asks for it."""
    from app.settings import Settings

    return Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        database_url=cluster.runtime_dsn(database_name),
        owner_database_url=cluster.superuser_dsn(database_name),
        migrate="off",
        port=0,
        metrics_port=0,
        worker=False,
    )


@pytest.fixture
async def tenant(database: Database, settings: Settings) -> Any:
    """A tenant of this test alone, with its first person and that person's key."""
    from app.tenants import create_tenant

    return await create_tenant(database, f"Tenant {uuid4().hex[:8]}")


@pytest.fixture(scope="session")
async def server(settings: Settings) -> AsyncIterator[str]:
    """Address of a served API, one per worker, through a real socket."""
    from api.server import create_api

    async with serving(create_api(settings)) as address:
        yield address


@pytest.fixture
async def stranger(server: str) -> AsyncIterator[httpx.AsyncClient]:
    """A caller without a credential."""
    import httpx

    async with httpx.AsyncClient(base_url=server, timeout=30, trust_env=False) as http:
        yield http


@pytest.fixture
async def http(server: str, tenant: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The tenant's first person, calling with the first key."""
    import httpx

    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with httpx.AsyncClient(base_url=server, headers=headers, timeout=30, trust_env=False) as http:
        yield http


@contextlib.asynccontextmanager
async def serving(api: Any) -> AsyncIterator[str]:
    """Serve an ASGI application on a free loopback port for the length of the block; its address."""
    import uvicorn

    from app.listening import SOCKETS, GuardedConnection

    config = uvicorn.Config(
        api,
        host="127.0.0.1",
        port=0,
        http=GuardedConnection,
        log_config=None,
        lifespan="on",
        timeout_graceful_shutdown=2,
        server_header=False,
        **SOCKETS,
    )
    uvicorn_server = uvicorn.Server(config)
    # Signals belong to pytest here.
    uvicorn_server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
    running = asyncio.create_task(uvicorn_server.serve())
    while not uvicorn_server.started:
        if running.done():
            running.result()
            raise RuntimeError("the server ended while it started")
        await asyncio.sleep(0.01)
    port = uvicorn_server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        uvicorn_server.should_exit = True
        await running
