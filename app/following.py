"""Following events while they are written: what woke us, which incidents moved since, and what happened to one.

A notification only wakes; what happened is read from the timeline. A stream is followed by its sequence, which has no
gaps. A whole tenant is followed by transactions: each look begins with the oldest one that was open at the look before,
so what commits late is not skipped (docs/decisions/0007-following-events.md).
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from app.database import Db

CHANNEL = "holdfast_events"
LOG_CHANNEL = "holdfast_log"  # notified when events get their places in the log
AGAIN_SECONDS = 1.0  # until a lost connection is opened again
KEPT_AT_MOST = 1_000  # incidents that one look at a tenant tells; the rest is told by asking anew
log = structlog.get_logger("holdfast.following")

_HEADS = """
SELECT stream_id, seq FROM streams WHERE tenant_id = $1 AND stream = 'incident' AND stream_id = ANY ($2::uuid[])
"""
_NOW = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
# One statement has one snapshot: what it does not see has a transaction that is not older than its `xmin`. Numbers from
# beyond its `xmax` were restored from another server.
_MOVED = """
WITH seen AS MATERIALIZED (SELECT pg_current_snapshot() AS at)
SELECT pg_snapshot_xmin(seen.at)::text::bigint AS mark, e.stream_id, e.seq
FROM seen LEFT JOIN LATERAL (
    SELECT e.stream_id, max(e.seq) AS seq FROM events e
    WHERE e.tenant_id = $1 AND e.written_in >= $2 AND e.written_in < pg_snapshot_xmax(seen.at)::text::bigint
      AND e.stream = 'incident'
    GROUP BY e.stream_id LIMIT $3
) e ON true
"""
_AFTER = """
SELECT e.seq, e.kind, d.data->>'step_id' AS step_id, d.data->>'action_id' AS action_id
FROM events e LEFT JOIN event_data d USING (tenant_id, stream, stream_id, seq)
WHERE e.tenant_id = $1 AND e.stream = 'incident' AND e.stream_id = $2 AND e.seq > $3
ORDER BY e.seq LIMIT $4
"""


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of an incident: its place in the timeline, and the step and action it names, if any."""

    seq: int
    kind: str
    step_id: str | None
    action_id: str | None


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where a tenant was looked through. `told` are the heads that the last look found: it overlaps the next."""

    transaction: int
    told: dict[UUID, int] = field(default_factory=dict)


async def heads_of(db: Db, incidents: Collection[UUID]) -> dict[UUID, int]:
    """The last sequence number of each of these incidents that the transaction may see."""
    rows = await db.fetch(_HEADS, db.tenant_id, list(incidents))
    return {row["stream_id"]: row["seq"] for row in rows}


async def mark_now(db: Db) -> Mark:
    """A mark at this moment: looking on from it finds whatever is committed from now on."""
    return Mark(await db.value(_NOW))


async def moved_since(db: Db, mark: Mark) -> tuple[Mark, set[UUID] | None]:
    """The mark to look on from, and the incidents with new events; None for more than can be told one by one."""
    rows = await db.fetch(_MOVED, db.tenant_id, mark.transaction, KEPT_AT_MOST + 1)
    found = {row["stream_id"]: row["seq"] for row in rows if row["stream_id"] is not None}
    moved = {one for one, seq in found.items() if mark.told.get(one) != seq}
    return Mark(rows[0]["mark"], found), None if len(found) > KEPT_AT_MOST else moved


async def events_after(db: Db, incident: UUID, seq: int, limit: int) -> list[Happened]:
    """What happened to an incident after `seq`, in order. Of an erased event the kind is left."""
    rows = await db.fetch(_AFTER, db.tenant_id, incident, seq, limit)
    return [Happened(row["seq"], row["kind"], row["step_id"], row["action_id"]) for row in rows]


class Listener:
    """One connection that hears channels, opened again whenever it is lost. What `on_wake` names for a channel is
    called for each notification and after each opening, since some may have been missed."""

    def __init__(self, dsn: str, on_wake: Mapping[str, Callable[[], Any]]) -> None:
        self._dsn = dsn
        self._on_wake = on_wake
        self.is_heard = False

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            lost = asyncio.Event()
            connection = None
            try:
                connection = await asyncpg.connect(self._dsn, timeout=4, server_settings={"jit": "off"})
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                for channel, wake in self._on_wake.items():
                    await connection.add_listener(channel, lambda *_, wake=wake: wake())
                self.is_heard = True
                for wake in self._on_wake.values():
                    wake()
                await lost.wait()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("not listening", error=type(error).__name__)
            finally:
                self.is_heard = False
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(AGAIN_SECONDS)
