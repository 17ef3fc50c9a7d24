"""The sequencer: gives each event its place in the log of its tenant, soon after the commit and in a dense order.

One sequencer at a time works for a tenant, under an advisory lock; what another moved meanwhile is seen by the
statement after it. Any number may run: the next one finds what is left (docs/decisions/0009-the-log-of-a-tenant.md).
"""

import asyncio
import random
from contextlib import suppress
from uuid import UUID

import structlog

from app.database import Database, DatabaseAway, Db
from app.waiting_tenants import PENDING_EVENTS, waiting_tenants

POLL_SECONDS = 5.0
POLL_UNHEARD_SECONDS = 1.0  # while nothing wakes us
PAUSE_SECONDS = 0.01  # between two looks, so that a burst of notifications is one look
MOVED_AT_ONCE = 1_000  # events of a tenant, before others get a turn
log = structlog.get_logger("holdfast.sequencer")

# A statement of its own: the one that waited for a lock would look at what was there before the wait.
_LOCK = """
SELECT pg_advisory_xact_lock(hashtextextended('log of ' || $1::uuid, 0)) FROM log_pending WHERE tenant_id = $1 LIMIT 1
"""
# Who sees an event pending sees the earlier ones of its stream too, pending or moved: they committed before it. Their
# positions are lower, so a part of what is pending is taken in the order of each stream.
_MOVE = """
WITH head AS (SELECT coalesce(max(log_index), 0) AS log_index FROM log_entries WHERE tenant_id = $1),
next AS MATERIALIZED (
    SELECT position FROM log_pending WHERE tenant_id = $1 ORDER BY position LIMIT $2),
moved AS (
    DELETE FROM log_pending p USING next WHERE p.tenant_id = $1 AND p.position = next.position
    RETURNING p.position, p.stream, p.stream_id, p.seq),
entered AS (
    INSERT INTO log_entries (tenant_id, log_index, stream, stream_id, seq)
    SELECT $1, head.log_index + row_number() OVER (ORDER BY moved.position), moved.stream, moved.stream_id, moved.seq
    FROM moved, head RETURNING 1)
SELECT count(*) FROM entered
"""


async def give_places(db: Db) -> int:
    """Give places to what waits for one, at most MOVED_AT_ONCE events; how many. Others wait until the commit."""
    if await db.row(_LOCK, db.tenant_id) is None:
        return 0
    return int(await db.value(_MOVE, db.tenant_id, MOVED_AT_ONCE))


class Sequencer:
    """One sequencer. `run` works until `stop`; `work_for` does what is pending for one tenant and returns.

    Whoever listens to the database sets `wake`, and says in `is_heard` whether it does.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.wake = asyncio.Event()
        self.is_heard = False
        self._stopping = False

    async def run(self) -> None:
        """Move events until `stop` is called. A database that is away is waited for."""
        while not self._stopping:
            self.wake.clear()
            if not await self._look():
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS if self.is_heard else POLL_UNHEARD_SECONDS):
                        await self.wake.wait()
            await asyncio.sleep(PAUSE_SECONDS)

    def stop(self) -> None:
        """Let `run` return after what it is doing."""
        self._stopping = True
        self.wake.set()

    async def work_for(self, tenant_id: UUID) -> int:
        """Move what is pending for a tenant; how many events that was."""
        done = 0
        while some := await self._move(tenant_id):
            done += some
        return done

    async def _look(self) -> bool:
        """Whether anything may be left to do."""
        try:
            tenants = await waiting_tenants(self.database, PENDING_EVENTS)
        except DatabaseAway as away:
            log.warning("database away", error=type(away).__name__)
            return False
        except Exception as error:
            log.error("look failed", error=type(error).__name__)
            return False
        random.shuffle(tenants)  # sequencers that wake together begin with different tenants
        moved = 0
        for tenant_id in tenants:
            if self._stopping:
                break
            try:
                moved += await self._move(tenant_id)
            except DatabaseAway as away:
                log.warning("database away", error=type(away).__name__)
            except Exception as error:
                log.error("not sequenced", tenant=str(tenant_id), error=type(error).__name__)
        return moved > 0

    async def _move(self, tenant_id: UUID) -> int:
        async with self.database.transaction(tenant_id) as db:
            return await give_places(db)
