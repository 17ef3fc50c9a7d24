"""Deliveries on their way: claiming a lane, reading its next event, recording what the receiver made of it.

A claim is a lease: `next_at` moves past it. Whoever records compares the lease, so of two that believe to hold a lane
one moves it on. A receiver may get an event twice, never a later one of the same stream before an earlier one.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct

from app.database import Database, Db
from app.event_envelopes import COLUMNS, DATA, event_of
from app.rows import Written, update_row
from domain.actors import SYSTEM

LEASE = timedelta(seconds=60)  # more than an attempt may take

# Of an endpoint that fails one lane at a time is tried: a dead receiver takes no room from the living. What the
# worker's clock and the database's say is due: a test may wind the former forward.
_CLAIM = """
WITH due AS (
    SELECT l.endpoint_id, l.stream, l.stream_id FROM webhook_endpoints e
    CROSS JOIN LATERAL (
        SELECT endpoint_id, stream, stream_id FROM webhook_lanes
        WHERE tenant_id = $1 AND endpoint_id = e.id AND next_at <= greatest(now(), $2::timestamptz)
        ORDER BY next_at LIMIT CASE WHEN e.failing_since IS NULL THEN $5::integer ELSE 1 END
        FOR UPDATE SKIP LOCKED) l
    WHERE e.tenant_id = $1 AND NOT e.id = ANY ($3::uuid[]) LIMIT $4)
UPDATE webhook_lanes n SET next_at = greatest(now(), $2::timestamptz) + $6::interval
FROM due WHERE n.tenant_id = $1 AND n.endpoint_id = due.endpoint_id AND n.stream = due.stream
    AND n.stream_id = due.stream_id
RETURNING n.tenant_id, n.endpoint_id, n.stream, n.stream_id, n.next_at AS lease, n.bumps
"""
# Read anew for each attempt: what was erased meanwhile is not sent.
_NEXT = f"""
SELECT d.id, d.attempts, {COLUMNS},
       w.format, w.url, w.sealed_url, w.filter, w.client_ids, w.payload, w.status,
       w.failing_since, w.secret,
       CASE WHEN w.previous_secret_until > now() THEN w.previous_secret END AS previous_secret
FROM webhook_deliveries d
JOIN webhook_endpoints w ON w.tenant_id = d.tenant_id AND w.id = d.endpoint_id
JOIN events e ON e.tenant_id = d.tenant_id AND e.stream = d.stream AND e.stream_id = d.stream_id AND e.seq = d.seq
{DATA}
LEFT JOIN log_entries l ON l.tenant_id = d.tenant_id AND l.stream = d.stream AND l.stream_id = d.stream_id
    AND l.seq = d.seq
WHERE d.tenant_id = $1 AND d.endpoint_id = $2 AND d.stream = $3 AND d.stream_id = $4 AND d.status = 'pending'
ORDER BY d.seq LIMIT 1
"""
_MINE = "tenant_id = $1 AND endpoint_id = $2 AND stream = $3 AND stream_id = $4 AND next_at = $5"
# Only while nothing was queued since: a delivery that this worker did not see would wait for the next event.
_LEAVE = f"DELETE FROM webhook_lanes WHERE {_MINE} AND bumps = $6"
# Whoever queues meanwhile waits for this transaction and then makes the lane anew.
_LEAVE_EMPTY = f"""
DELETE FROM webhook_lanes WHERE {_MINE} AND NOT EXISTS (
    SELECT 1 FROM webhook_deliveries d WHERE d.tenant_id = $1 AND d.endpoint_id = $2 AND d.stream = $3
    AND d.stream_id = $4 AND d.status = 'pending')
"""
_MOVE = f"UPDATE webhook_lanes SET next_at = $6::timestamptz WHERE {_MINE}"
_PARK = f"UPDATE webhook_lanes SET next_at = 'infinity' WHERE {_MINE}"
_RECORD = f"""
WITH told AS (
    UPDATE webhook_deliveries SET status = $7, attempts = attempts + $8, attempted_at = coalesce($9, attempted_at),
        delivered_at = CASE WHEN $7 = 'delivered' THEN $9 END, next_attempt_at = $10, duration_ms = $11,
        response_status = $12, response_excerpt = $13, error = $14
    WHERE tenant_id = $1 AND id = $15 AND status = 'pending'),
healed AS (
    UPDATE webhook_endpoints SET failing_since = NULL
    WHERE tenant_id = $1 AND id = $2 AND $7 = 'delivered' AND failing_since IS NOT NULL),
failed AS (
    UPDATE webhook_endpoints SET failing_since = $9
    WHERE tenant_id = $1 AND id = $2 AND $14::text IS NOT NULL AND failing_since IS NULL)
UPDATE webhook_lanes SET next_at = $6::timestamptz WHERE {_MINE} RETURNING next_at, bumps
"""


class Lane(Struct, kw_only=True):
    """A lane that this worker holds until `lease`."""

    tenant_id: UUID
    endpoint_id: UUID
    stream: str
    stream_id: UUID
    lease: datetime
    bumps: int

    @property
    def place(self) -> tuple[Any, ...]:
        """Its key and lease, as statements take them."""
        return self.tenant_id, self.endpoint_id, self.stream, self.stream_id, self.lease


class Delivery(Struct, frozen=True, kw_only=True):
    """The next event of a lane, as its envelope takes it, with what its endpoint says now."""

    id: UUID
    attempts: int
    event: dict[str, Any]
    format: str
    url: str  # masked where `sealed_url` is the address
    sealed_url: bytes | None
    filter: str | None
    client_ids: list[UUID] | None
    payload: str
    status: str
    failing_since: datetime | None
    secret: bytes
    previous_secret: bytes | None


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of an attempt; `error` tells why it failed. `withheld` is no attempt."""

    status: str  # pending, delivered, failed, withheld
    at: datetime | None = None
    again_at: datetime | None = None
    duration_ms: int | None = None
    response_status: int | None = None
    response_excerpt: str | None = None
    error: str | None = None
    disabled_because: str | None = None


async def claim_lanes(
    database: Database, tenant_id: UUID, now: datetime, *, busy: Collection[UUID], limit: int, per_endpoint: int
) -> list[Lane]:
    """Claim lanes that are due for a tenant, the longest waiting of each endpoint first; none of `busy` endpoints."""
    async with database.transaction(tenant_id) as db:
        rows = await db.fetch(_CLAIM, tenant_id, now, list(busy), limit, per_endpoint, LEASE)
    return [Lane(**dict(row)) for row in rows]


async def next_delivery(database: Database, lane: Lane, base_url: str) -> Delivery | None:
    """The first delivery of the lane that is pending. `base_url` is where the service is reached."""
    async with database.transaction(lane.tenant_id, read_only=True) as db:
        row = await db.row(_NEXT, lane.tenant_id, lane.endpoint_id, lane.stream, lane.stream_id)
    if row is None:
        return None
    kept = {name: row[name] for name in Delivery.__struct_fields__ if name != "event"}
    return Delivery(event=event_of(row, base_url), **kept)


async def leave(database: Database, lane: Lane, now: datetime) -> None:
    """Give back a lane that has nothing more; it goes, unless something was queued meanwhile."""
    async with database.transaction(lane.tenant_id) as db:
        if await db.execute(_LEAVE, *lane.place, lane.bumps) == "DELETE 0":
            await db.execute(_MOVE, *lane.place, now)


async def move(database: Database, lane: Lane, next_at: datetime) -> None:
    """Give back a lane until `next_at`."""
    async with database.transaction(lane.tenant_id) as db:
        await db.execute(_MOVE, *lane.place, next_at)


async def park(database: Database, lane: Lane) -> None:
    """Give back a lane until its endpoint is activated again."""
    async with database.transaction(lane.tenant_id) as db:
        await db.execute(_PARK, *lane.place)


async def record_outcome(database: Database, lane: Lane, delivery: Delivery, outcome: Outcome, now: datetime) -> bool:
    """Record an outcome. True when there is more in the lane and this worker holds it still, with its lease renewed.

    After a failure the lane waits until the next attempt, and with `disabled_because` its endpoint is disabled.
    """

    async def work(db: Db) -> bool:
        next_at = outcome.again_at or now + LEASE
        row = await db.row(
            _RECORD,
            *lane.place,
            next_at,
            outcome.status,
            0 if outcome.status == "withheld" else 1,
            outcome.at,
            outcome.again_at,
            outcome.duration_ms,
            outcome.response_status,
            outcome.response_excerpt,
            outcome.error,
            delivery.id,
        )
        if outcome.disabled_because is not None:
            await _disable(db, lane.endpoint_id, outcome.disabled_because, now)
        if row is None:
            return False
        if outcome.again_at is not None:
            return False
        lane.lease, lane.bumps = row["next_at"], row["bumps"]
        return bool(await db.execute(_LEAVE_EMPTY, *lane.place) == "DELETE 0")

    return await database.run(lane.tenant_id, work)


async def _disable(db: Db, endpoint_id: UUID, because: str, now: datetime) -> None:
    row = await db.row(
        "SELECT version, status, name FROM webhook_endpoints WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE",
        db.tenant_id,
        endpoint_id,
    )
    if row is None or row["status"] != "active":
        return
    changes = {"status": "disabled", "disabled_because": because, "version": row["version"] + 1, "updated_at": now}
    told = Written("webhook_endpoint", "webhook_endpoint.disabled", because=because, name=row["name"])
    await update_row(db, "webhook_endpoints", endpoint_id, changes, told, actor=SYSTEM, at=now)
