"""Is the process alive, is it ready, and its figures for Prometheus on a listener of their own."""

import asyncio
import time

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.pages import PlainRoute
from app.database import Database, DatabaseAway

READY_CACHED_SECONDS = 1.0
READY_TIMEOUT_SECONDS = 2.0
REQUEST_BYTES_MAX = 8_192


class Readiness:
    """Whether requests can be answered: the database is reachable and its schema known. Asked at most once a second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked_at = float("-inf")
        self._reason: str | None = "starting"
        self.is_stopping = False

    async def reason(self) -> str | None:
        """Why not, in one word; None when ready."""
        if self.is_stopping:
            return "stopping"
        if time.monotonic() - self._asked_at > READY_CACHED_SECONDS:
            self._asked_at = time.monotonic()
            self._reason = await self._ask()
        return self._reason

    async def _ask(self) -> str | None:
        try:
            async with asyncio.timeout(READY_TIMEOUT_SECONDS), self._database.transaction(None, read_only=True) as db:
                is_migrated = await db.value("select to_regclass('incidents') is not null")
        except (DatabaseAway, TimeoutError):
            return "database"
        return None if is_migrated else "schema"


async def _alive(request: Request) -> Response:
    return _said({"status": "ok"})


async def _ready(request: Request) -> Response:
    readiness: Readiness = request.app.state.readiness
    reason = await readiness.reason()
    if reason is None:
        return _said({"status": "ready"})
    return _said({"status": "unready", "reason": reason}, 503, {"Retry-After": "2"})


def _said(what: dict[str, str], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(what, status, headers, "application/json; charset=utf-8")


ROUTES = [PlainRoute("/healthz", _alive, methods=["GET"]), PlainRoute("/readyz", _ready, methods=["GET"])]


async def serve_metrics(host: str, port: int) -> asyncio.Server:
    """Listen for Prometheus. The listener answers `GET /metrics` and nothing else; it belongs on a loopback address."""
    return await asyncio.start_server(_scrape, host, port, limit=REQUEST_BYTES_MAX)


async def _scrape(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(5):
            request = await reader.readuntil(b"\r\n\r\n")
            is_metrics = request.startswith((b"GET /metrics ", b"GET /metrics?"))
            body = generate_latest() if is_metrics else b""
            status = b"200 OK" if is_metrics else b"404 Not Found"
            head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
            writer.write(head % (status, CONTENT_TYPE_LATEST.encode(), len(body)) + body)
            await writer.drain()
    except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # a scraper that went away, or no HTTP at all
    finally:
        writer.close()
