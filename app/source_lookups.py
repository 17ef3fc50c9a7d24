"""Telling forged deliveries apart cheaply: a flood of them shares its look-ups, an authentic one costs none more."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from app.database import Database, Db
from app.secrets import Claim, Vault
from app.sources import Source, find_source
from domain.signatures import Received, Sns, authentic, is_quiet
from domain.systems import system_of

REMEMBERED_MAX = 5_000


class SourceLookups:
    """What this process remembers of sources, only to suspect by: nothing is refused or believed on that alone."""

    def __init__(self) -> None:
        self._remembered: dict[bytes, Source] = {}
        self._running: dict[bytes, asyncio.Task[Source | None]] = {}
        self._following: dict[bytes, asyncio.Task[Source | None]] = {}

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

        async def look() -> Source | None:
            async def find(db: Db) -> Source | None:
                return await find_source(db, claim, vault)

            return await database.run(claim.tenant_id, find)

        # Its secret may have been replaced a moment ago, so it is asked for anew: once for all that wait.
        source = await self._shared(claim.hash, look)
        if source is None:
            self._remembered.pop(claim.hash, None)
            return False
        self.remember(claim, source)
        is_same = (source.secrets, source.schemes, source.system) == (known.secrets, known.schemes, known.system)
        return is_same or _looks_forged(source, received)

    async def _shared(self, key: bytes, look: Callable[[], Awaitable[Source | None]]) -> Source | None:
        """The answer to a look-up that begins after this call. One runs at a time; all who come meanwhile share the
        next."""
        following = self._following.get(key)
        if following is None:
            before = self._running.get(key)

            async def run() -> Source | None:
                if before is not None:
                    await asyncio.wait((before,))
                self._running[key] = self._following.pop(key)
                try:
                    return await look()
                finally:
                    self._running.pop(key, None)

            following = self._following[key] = asyncio.create_task(run())
        return await asyncio.shield(following)


def _looks_forged(source: Source, received: Received) -> bool:
    system = system_of(source.system, source.mapping)
    schemes = source.schemes or system.verify
    # A question whether we are here is answered without a proof, and a certificate may have to be fetched first.
    if system.handshakes or any(isinstance(one, Sns) for one in schemes) or is_quiet(schemes, received):
        return False
    return not authentic(schemes, source.secrets, received, datetime.now(UTC), {})
