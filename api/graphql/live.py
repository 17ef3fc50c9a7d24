"""What is live in this process: one listening connection, the feeds, the open sockets and who is behind them.

A wake-up is answered by one look per tenant that is followed here; the feeds it concerns read by themselves, each once
for all its followers. Credentials of open sockets are looked at again every few seconds.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, Protocol
from uuid import UUID

import orjson
import structlog
from graphql import GraphQLError, OperationType, VariableNode
from starlette.requests import Request

from api.doorkeeper import Doorkeeper
from api.graphql.answering import coerced
from api.graphql.calls import GraphCall
from api.graphql.documents import Refused, document_of
from api.graphql.feeds import FEEDS, BoardFeed, Feed, IncidentFeed, Work
from api.graphql.followed import Followed, followed
from api.graphql.schema import schema
from app.authentication import Principal, Unauthenticated, authenticate, wall
from app.database import DatabaseAway, Db
from app.following import CHANNEL, LOG_CHANNEL, Listener, Mark, heads_of, mark_now, moved_since
from app.secrets import Claim
from app.sign_in import SignIn

LOOK_SECONDS = 5.0  # between looks while nothing wakes us
LOOK_UNHEARD_SECONDS = 1.0  # without a listening connection
PAUSE_SECONDS = 0.02  # between two looks, so that a burst of notifications is one look
CHECK_SECONDS = 2.0  # between two looks at the credentials of open sockets
READS_AT_ONCE = 4  # connections of the pool that all feeds together may hold
log = structlog.get_logger("holdfast.following")


class Peer(Protocol):
    """An open socket whose caller is known."""

    claim: Claim | SignIn
    principal: Principal

    def check_in(self, now: float) -> None:
        """Look at its own limits of time."""

    def refuse(self) -> None:
        """Close it: its credential opens nothing any more."""

    def renew(self) -> None:
        """Close it: what its caller may do or see has changed."""


class Live:
    """Lives as long as the application."""

    def __init__(self, keeper: Doorkeeper) -> None:
        self.keeper = keeper
        self.vault = keeper.vault
        self.opened: set[object] = set()  # sockets, whether or not their caller is known
        self.peers: set[Peer] = set()
        self._feeds: dict[tuple[Any, ...], Feed] = {}
        self._marks: dict[UUID, Mark] = {}
        self._wake = asyncio.Event()
        self._at_once = asyncio.Semaphore(READS_AT_ONCE)
        self.log_moved = asyncio.Event()  # for whoever reads the log
        self._listener = Listener(keeper.database.dsn, {CHANNEL: self._wake.set, LOG_CHANNEL: self.log_moved.set})

    @property
    def is_heard(self) -> bool:
        """Whether notifications arrive."""
        return self._listener.is_heard

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen and look for the length of the block."""
        tasks = [asyncio.create_task(one) for one in (self._listener.run(), self._look_on(), self._check_on())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def within(self, request: Request, work: Work) -> Any:
        """Do `work` as the caller of `request`, authenticated anew. Raises Unauthenticated, which nobody counts: it is
        not a wrong guess but the end of a credential."""
        claim: Claim | SignIn = request.scope["holdfast.claim"]

        async def begun(db: Db) -> Any:
            principal, _ = await authenticate(db, claim)
            await wall(db, principal)
            return await work(db, principal)

        async with self._at_once:
            return await self.keeper.database.run(claim.tenant_id, begun, read_only=True)

    async def follow(
        self, request: Request, find: Callable[[], str], variables: dict[str, Any]
    ) -> AsyncGenerator[bytes, None]:
        """The messages of a subscription, each as the text of a result. Raises Refused and Refusal.

        `find` gives the document, or raises Refused, once the caller is known.
        """
        follower, key, feed = object(), tuple[Any, ...](), None
        call = GraphCall(request)
        try:

            async def begin(db: Db, by: Principal) -> tuple[bytes, int]:
                nonlocal key, feed
                document = document_of(find(), schema()._schema)
                given = coerced(document, variables, by)
                if document.kind is not OperationType.SUBSCRIPTION:
                    raise Refused([GraphQLError(OTHERS, extensions={"code": "use-http"})])
                what = followed(document)
                arguments = what.arguments(given)
                key = _key(request, what, variables)
                feed = self._feeds.get(key)
                if feed is None:
                    feed = self._feeds[key] = FEEDS[what.name](self, request, what, variables, arguments)
                feed.followers.add(follower)
                if isinstance(feed, BoardFeed) and call.tenant_id not in self._marks:
                    mark = await mark_now(db)
                    self._marks.setdefault(call.tenant_id, mark)
                return await feed.begin(db, by, arguments.get("afterSeq"))

            first, place = await call.within(begin)
            assert feed is not None
            yield first
            self._wake.set()  # what came while it began
            async with contextlib.aclosing(feed.follow(place)) as messages:
                async for message in messages:
                    yield message
        finally:
            if feed is not None:
                feed.followers.discard(follower)
                if not feed.followers and self._feeds.get(key) is feed:
                    feed.close()
                    del self._feeds[key]
                    self._forget_mark(call.tenant_id)

    def _forget_mark(self, tenant: UUID) -> None:
        if not any(key[0] == tenant and isinstance(feed, BoardFeed) for key, feed in self._feeds.items()):
            self._marks.pop(tenant, None)

    # -- looking -------------------------------------------------------------------------------------------------------

    async def _look_on(self) -> None:
        while True:
            seconds = LOOK_SECONDS if self._listener.is_heard else LOOK_UNHEARD_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            self._wake.clear()
            tenants: dict[UUID, list[Feed]] = {}
            for (tenant, *_), feed in self._feeds.items():
                tenants.setdefault(tenant, []).append(feed)
            await asyncio.gather(*(self._look(tenant, feeds) for tenant, feeds in tenants.items()))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _look(self, tenant: UUID, feeds: list[Feed]) -> None:
        """See what moved at a tenant. Ids and sequence numbers alone are read here, and they stay here."""
        incidents = [feed for feed in feeds if isinstance(feed, IncidentFeed) and feed.incident is not None]
        mark = self._marks.get(tenant)
        try:
            async with self._at_once, self.keeper.database.transaction(tenant, read_only=True) as db:
                watched = {feed.incident for feed in incidents if feed.incident is not None}
                heads = await heads_of(db, watched) if watched else {}
                later, moved = await moved_since(db, mark) if mark is not None else (None, set[UUID]())
        except DatabaseAway as away:
            log.warning("database away", error=type(away).__name__)
            return
        except Exception as error:
            log.error("look failed", error=type(error).__name__)
            return
        for feed in incidents:
            if feed.head is not None and feed.incident is not None and heads.get(feed.incident, 0) > feed.head:
                feed.poke()
        if later is not None and self._marks.get(tenant) is mark:
            self._marks[tenant] = later
        # Those that began while we looked, too: the mark has moved past what they were to be told.
        for key, board in list(self._feeds.items()):
            if key[0] == tenant and isinstance(board, BoardFeed) and board.head is not None:
                board.moved(moved)

    # -- credentials ---------------------------------------------------------------------------------------------------

    async def _check_on(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self._check_in()

    async def _check_in(self) -> None:
        """One look at everybody; what it held goes with it, or the last sockets would stay until others came."""
        tenants: dict[UUID, dict[Claim | SignIn, list[Peer]]] = {}
        now = time.time()
        for peer in list(self.peers):
            peer.check_in(now)
            tenants.setdefault(peer.claim.tenant_id, {}).setdefault(_credential(peer.claim), []).append(peer)
        for tenant, peers in tenants.items():
            try:
                await self._check(tenant, peers)
            except DatabaseAway as away:
                log.warning("database away", error=type(away).__name__)
            except Exception as error:
                log.error("check failed", error=type(error).__name__)

    async def _check(self, tenant: UUID, credentials: Mapping[Any, list[Peer]]) -> None:
        async with self.keeper.database.transaction(tenant, read_only=True) as db:
            for peers in credentials.values():
                try:
                    principal, _ = await authenticate(db, peers[0].claim)
                except Unauthenticated:
                    for peer in peers:
                        peer.refuse()
                    continue
                for peer in peers:
                    if _rights(peer.principal) != _rights(principal):
                        peer.renew()


OTHERS = "Queries and mutations are answered over POST /graphql."


def _credential(claim: Claim | SignIn) -> Any:
    """What tells one credential from another: of an access token its text, since claims may narrow roles."""
    return claim.token.text if isinstance(claim, SignIn) else claim.hash


def _rights(by: Principal) -> tuple[Any, ...]:
    return by.roles, by.roles_max, by.client_ids, by.reads_all, by.period_from, by.period_to


def _key(request: Request, what: Followed, variables: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a feed is shared by: tenant, credential, document and variables, without the place to go on from."""
    places = {
        one.value.name.value
        for one in what.node.arguments or ()
        if one.name.value == "afterSeq" and isinstance(one.value, VariableNode)
    }
    kept = {name: value for name, value in variables.items() if name not in places}
    claim: Claim | SignIn = request.scope["holdfast.claim"]
    text = orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
    return claim.tenant_id, _credential(claim), what.document.text, text
