"""Telling forged deliveries apart cheaply: a flood of them shares its look-ups, an authentic one costs none more."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic

from app.database import Database, DatabaseAway, Db
from app.secrets import Claim, Vault
from app.sources import Source, find_source
from domain.signatures import Received, Sns, authentic, is_quiet
from domain.systems import system_of

REMEMBERED_MAX = 5_000
LINGER_SECONDS = 0.01  # an open transaction waits so long for the next look
TRANSACTION_SECONDS_MAX = 0.1  # then its connection goes back to the pool, flood or not


class SourceLookups:
    """What this process remembers of sources, only to suspect by: nothing is refused or believed on that alone."""

    def __init__(self) -> None:
        self._remembered: dict[bytes, Source] = {}
        self._queues: dict[bytes, _Queue] = {}

    def remember(self, claim: Claim, source: Source) -> None:
        """Note what was found for an address."""
        if claim.hash not in self._remembered and len(self._remembered) >= REMEMBERED_MAX:
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered[claim.hash] = source

    async def is_forged(self, database: Database, vault: Vault, claim: Claim, received: Received) -> bool:
        """Whether the source, as it is now, takes this for forged. False where only a closer look can tell.

        Raises DatabaseAway.
        """
        known = self._remembered.get(claim.hash)
        if known is None or not _looks_forged(known, received):
            return False
        # Its secret may have been replaced a moment ago, so it is asked for anew: once for all that wait.
        source = await self._asked_anew(database, vault, claim)
        if source is None:
            self._remembered.pop(claim.hash, None)
            return False
        self.remember(claim, source)
        is_same = (source.secrets, source.schemes, source.system) == (known.secrets, known.schemes, known.system)
        return is_same or _looks_forged(source, received)

    async def _asked_anew(self, database: Database, vault: Vault, claim: Claim) -> Source | None:
        """The answer to a look that begins after this call; all who come while one runs share the next."""
        queue = self._queues.get(claim.hash)
        if queue is None:
            queue = self._queues[claim.hash] = _Queue()
            queue.task = asyncio.create_task(self._serve(queue, database, vault, claim))
        return await asyncio.shield(queue.join())

    async def _serve(self, queue: "_Queue", database: Database, vault: Vault, claim: Claim) -> None:
        """Look for as long as somebody asks, in one transaction: each of its statements sees what is committed by
        then, and a look costs one round trip."""

        async def look(db: Db) -> None:
            ends_at = monotonic() + TRANSACTION_SECONDS_MAX
            while await queue.begin() and monotonic() < ends_at:
                queue.answer(await find_source(db, claim, vault))

        try:
            while queue.is_wanted:
                await database.run(claim.tenant_id, look, read_only=True)
        except BaseException as error:
            queue.fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            del self._queues[claim.hash]


class _Queue:
    """Who waits for the next look at one address, and who for the one that runs."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None  # kept: the loop alone would let go of it
        self._next: asyncio.Future[Source | None] | None = None
        self._running: asyncio.Future[Source | None] | None = None
        self._asked = asyncio.Event()

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits."""
        return self._next is not None or self._running is not None

    def join(self) -> asyncio.Future[Source | None]:
        """The answer of the next look."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
            self._asked.set()
        return self._next

    async def begin(self) -> bool:
        """Whether there is a look to do: one that was begun and not answered, or the next, waited for a moment."""
        if self._running is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    await self._asked.wait()
            self._asked.clear()
            self._running, self._next = self._next, None
        return self._running is not None

    def answer(self, source: Source | None) -> None:
        """Tell those that waited for the look that ran."""
        if self._running is not None and not self._running.done():
            self._running.set_result(source)
        self._running = None

    def fail(self, error: BaseException) -> None:
        """Tell everybody that waits that there is no answer."""
        for one in (self._running, self._next):
            if one is not None and not one.done():
                one.set_exception(error if isinstance(error, Exception) else DatabaseAway("the process ends"))
        self._running = self._next = None


def _looks_forged(source: Source, received: Received) -> bool:
    system = system_of(source.system, source.mapping)
    schemes = source.schemes or system.verify
    # A question whether we are here is answered without a proof, and a certificate may have to be fetched first.
    if system.handshakes or any(isinstance(one, Sns) for one in schemes) or is_quiet(schemes, received):
        return False
    return not authentic(schemes, source.secrets, received, datetime.now(UTC), {})
