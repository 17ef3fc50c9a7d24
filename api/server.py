"""The application: routes, the layers around them, and what lives as long as they do."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware

from api import errors, health, problems, reference, schemas
from api.doorkeeper import Doorkeeper
from api.event_streams import EventStreams
from api.graphql import routes as graph
from api.graphql import sockets
from api.graphql.live import Live
from api.graphql.schema import schema
from api.health import Readiness
from api.middleware import Door
from api.rest import ROUTERS
from app.database import Database, DatabaseAway
from app.last_used import note_last_used
from app.secrets import vault_of
from app.settings import Settings

LAST_USED_SECONDS = 15.0
DESCRIPTION = (
    "Incident response for AI systems: playbooks against the clock, documentation that cannot be skipped,"
    " evidence that can be checked."
)


def create_api(
    settings: Settings, database: Database | None = None, *, routers: Sequence[APIRouter] | None = None
) -> FastAPI:
    """The application. Importing and creating do nothing; the lifespan opens what is needed.

    Without `database` the lifespan connects to `settings.database_url` and closes the pool at its end.
    """
    api = FastAPI(
        title="Holdfast",
        version=_version(),
        description=DESCRIPTION,
        lifespan=lambda api: _life(api, settings, database),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    api.state.settings = settings
    # Appended as they are: including a router would wrap each of its routes once more.
    for router in [*ROUTERS, graph.routes] if routers is None else routers:
        api.router.routes.extend(router.routes)
    api.router.routes.extend([*health.ROUTES, *problems.ROUTES, *reference.ROUTES])
    api.router.routes.extend(sockets.ROUTES)
    errors.install(api)
    _allow_origins(api, settings)
    api.add_middleware(Door, trusted=settings.trusted_proxies, hosts=settings.allowed_hosts)
    make: Callable[[], dict[str, Any]] = lambda: schemas.openapi(api)  # noqa: E731
    api.openapi = make  # type: ignore[method-assign]
    return api


@asynccontextmanager
async def _life(api: FastAPI, settings: Settings, database: Database | None) -> AsyncIterator[None]:
    """What lives as long as the application."""
    opened = database or await _connect(settings)
    api.state.keeper = Doorkeeper(settings, opened, vault_of(settings))
    api.state.readiness = Readiness(opened)
    api.state.live = Live(api.state.keeper)
    api.state.event_streams = EventStreams(api.state.keeper, api.state.live)
    metrics = (
        await health.serve_metrics(settings.metrics_host, settings.metrics_port) if settings.metrics_port else None
    )
    schema()  # now, or the first to ask would wait for it, and each collection would look through it
    settle_down()
    noting = asyncio.create_task(_note(api.state.keeper))
    try:
        async with api.state.live.running(), api.state.event_streams.running():
            yield
    finally:
        api.state.readiness.is_stopping = True
        noting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await noting
        await _note_once(api.state.keeper)
        if metrics is not None:
            metrics.close()
        if database is None:
            await opened.close()


def _allow_origins(api: FastAPI, settings: Settings) -> None:
    if settings.cors_origins:
        api.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "X-Request-Id"],
            expose_headers=["ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"],
        )


def settle_down() -> None:
    """Tell the collector that what was loaded stays, and that a request's many small rows are not worth a look each."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _connect(settings: Settings) -> Database:
    assert settings.database_url is not None, "the command that serves starts the embedded database and passes it in"
    return await Database.connect(
        settings.database_url.get_secret_value(), min_size=settings.pool_min, max_size=settings.pool_max
    )


async def _note(keeper: Doorkeeper) -> None:
    while True:
        await asyncio.sleep(LAST_USED_SECONDS)
        await _note_once(keeper)


async def _note_once(keeper: Doorkeeper) -> None:
    used, keeper.used = keeper.used, {}
    with contextlib.suppress(DatabaseAway):
        await note_last_used(keeper.database, used)


def _version() -> str:
    try:
        return version("holdfast")
    except PackageNotFoundError:
        return "0"
