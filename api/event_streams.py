"""Server-sent events: the log as one caller may see it, told while it grows (`GET /v1/events`, text/event-stream).

A stream is a place in the log, so one that is slow costs nothing but its own connection. Each read authenticates its
caller anew; between reads the credential is looked at as that of a socket is, within whose limits streams count too.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Protocol
from uuid import UUID

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.doorkeeper import Doorkeeper
from api.errors import RateLimited
from app.authentication import Principal, Unauthenticated
from app.database import DatabaseAway, Db
from app.event_log import LogPage, log_head
from app.secrets import Claim
from app.sign_in import SignIn
from app.tokens import LEEWAY_SECONDS
from domain.refusals import Refusal

HEARTBEAT_SECONDS = 15.0
AGAIN_MILLISECONDS = 2_000  # until a reader connects again
SEND_SECONDS_MAX = 30.0  # until there is room for what is sent
LOOK_SECONDS = 5.0  # between looks while nothing wakes us
LOOK_UNHEARD_SECONDS = 1.0
PAUSE_SECONDS = 0.01  # between two looks, so that a burst of notifications is one look
OF_CREDENTIAL_MAX = 20  # streams: each reads by itself what is new
FULL_SECONDS = 30  # what a caller waits who finds no room
MEDIA_TYPE = "text/event-stream"
log = structlog.get_logger("holdfast.streams")

Read = Callable[[Db, Principal, int], Awaitable[LogPage]]


class Sockets(Protocol):
    """What the open connections of this process share: their limits, and the look at their credentials."""

    opened: set[object]
    peers: set[Any]
    log_moved: asyncio.Event

    @property
    def is_heard(self) -> bool:
        """Whether notifications arrive."""

    async def within(self, request: Request, work: Callable[[Db, Principal], Awaitable[Any]]) -> Any:
        """Do `work` as the caller of `request`, authenticated anew, in one read-only transaction."""


class Reader:
    """One open stream. It ends when its credential does, when its caller's rights change, or when we stop."""

    def __init__(self, claim: Claim | SignIn, principal: Principal) -> None:
        self.claim = claim
        self.principal = principal
        self.news = asyncio.Event()
        self.has_ended = False

    def check_in(self, now: float) -> None:
        """Look at the end of an access token. `now` is in seconds since the epoch."""
        if isinstance(self.claim, SignIn) and self.claim.token.expires_at + LEEWAY_SECONDS <= now:
            self.refuse()

    def refuse(self) -> None:
        """End: its credential opens nothing any more."""
        self.has_ended = True
        self.news.set()

    def renew(self) -> None:
        """End: what its caller may see has changed. It may connect again."""
        self.refuse()


class EventStreams:
    """The open streams of this process. Lives as long as the application."""

    def __init__(self, keeper: Doorkeeper, sockets: Sockets) -> None:
        self.sockets = sockets
        self._keeper = keeper
        self._readers: dict[UUID, set[Reader]] = {}
        self._heads: dict[UUID, int] = {}
        self._is_ending = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look at the logs that are read here for the length of the block."""
        looking = asyncio.create_task(self._look_on())
        try:
            yield
        finally:
            self.end()
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    def end(self) -> None:
        """Let every stream end in good order, and open no other."""
        self._is_ending = True
        for reader in [one for some in self._readers.values() for one in some]:
            reader.refuse()

    def open(self, request: Request, principal: Principal, first: LogPage, read: Read) -> Response:
        """The answer that goes on telling: `first`, then what `read` finds after it. Raises RateLimited."""
        claim: Claim | SignIn = request.scope["holdfast.claim"]
        settings = self._keeper.settings
        same = sum(peer.claim.tenant_id == claim.tenant_id for peer in self.sockets.peers)
        own = sum(one.claim.hash == claim.hash for one in self._readers.get(claim.tenant_id, ()))
        if self._is_ending or len(self.sockets.opened) >= settings.sockets_max or same >= settings.tenant_sockets_max:
            raise RateLimited(FULL_SECONDS)
        if own >= OF_CREDENTIAL_MAX:
            raise RateLimited(FULL_SECONDS)
        return _Stream(self, request, Reader(claim, principal), first, read)

    @contextlib.contextmanager
    def registered(self, reader: Reader) -> Any:
        """Count and wake a reader for the length of the block."""
        tenant = reader.claim.tenant_id
        readers = self._readers.setdefault(tenant, set())
        readers.add(reader)
        self.sockets.opened.add(reader)
        self.sockets.peers.add(reader)
        reader.news.set()  # what came since it read first
        if self._is_ending:
            reader.refuse()
        try:
            yield
        finally:
            readers.discard(reader)
            self.sockets.opened.discard(reader)
            self.sockets.peers.discard(reader)
            if not readers and self._readers.get(tenant) is readers:
                del self._readers[tenant]
                self._heads.pop(tenant, None)

    async def told(self, reader: Reader, request: Request, page: LogPage, read: Read) -> AsyncGenerator[bytes, None]:
        """The text of a stream: events with their place as `id`, and a comment now and then."""
        yield b"retry: %d\n\n" % AGAIN_MILLISECONDS
        place = page.next_after
        while True:
            if text := _text(page, place):
                yield text
            place = page.next_after
            if not page.has_more and not await _waits(reader):
                yield b": nothing new\n\n"
            if reader.has_ended:
                yield b": the end, connect again\n\n"
                return

            async def work(db: Db, by: Principal, after: int = place) -> LogPage:
                return await read(db, by, after)

            try:
                page = await self.sockets.within(request, work)
            except (Unauthenticated, Refusal):
                return
            except DatabaseAway as away:
                log.warning("database away", error=type(away).__name__)
                page = LogPage(items=[], next_after=place, has_more=False)

    async def _look_on(self) -> None:
        while True:
            seconds = LOOK_SECONDS if self.sockets.is_heard else LOOK_UNHEARD_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.sockets.log_moved.wait()
            self.sockets.log_moved.clear()
            for tenant in list(self._readers):
                await self._look(tenant)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _look(self, tenant: UUID) -> None:
        try:
            async with self._keeper.database.transaction(tenant, read_only=True) as db:
                head = await log_head(db)
        except DatabaseAway as away:
            log.warning("database away", error=type(away).__name__)
            return
        except Exception as error:
            log.error("look failed", error=type(error).__name__)
            return
        if head > self._heads.get(tenant, 0):
            self._heads[tenant] = head
            for reader in self._readers.get(tenant, ()):
                reader.news.set()


async def _waits(reader: Reader) -> bool:
    """Wait for news; False when none came for as long as a connection may be silent."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HEARTBEAT_SECONDS):
            await reader.news.wait()
    came = reader.news.is_set()
    reader.news.clear()
    return came


def _text(page: LogPage, place: int) -> bytes:
    """The events of a page, and where to go on from where nothing of it passed. `place` was told before."""
    parts = [b"id: %d\ndata: %s\n\n" % (one["log_index"], orjson.dumps(one)) for one in page.items]
    if page.next_after > (page.items[-1]["log_index"] if page.items else place):
        parts.append(b"id: %d\n\n" % page.next_after)
    return b"".join(parts)


class _Stream(Response):
    """An answer without an end of its own. It stops when its reader goes away, or takes nothing for too long."""

    def __init__(self, streams: EventStreams, request: Request, reader: Reader, first: LogPage, read: Read) -> None:
        super().__init__(None, 200, {"X-Accel-Buffering": "no"}, MEDIA_TYPE)
        del self.headers["content-length"]
        self._streams, self._request, self._reader = streams, request, reader
        self._first, self._read = first, read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell until the end."""
        began = time.monotonic()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with self._streams.registered(self._reader):
            telling = asyncio.create_task(self._tell(send))
            leaving = asyncio.create_task(_left(receive))
            try:
                await asyncio.wait((telling, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (telling, leaving):
                    task.cancel()
                await asyncio.gather(telling, leaving, return_exceptions=True)
        log.info("stream", seconds=round(time.monotonic() - began, 1), tenant=str(self._reader.claim.tenant_id))

    async def _tell(self, send: Send) -> None:
        try:
            texts = self._streams.told(self._reader, self._request, self._first, self._read)
            async with contextlib.aclosing(texts):
                async for text in texts:
                    async with asyncio.timeout(SEND_SECONDS_MAX):
                        await send({"type": "http.response.body", "body": text, "more_body": True})
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (TimeoutError, OSError):
            log.info("stream given up", tenant=str(self._reader.claim.tenant_id))


async def _left(receive: Receive) -> None:
    """Return when the reader has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
