"""Deliveries on their way: claiming lanes with their next events, recording what the receivers made of them.

A claim is a lease: `next_at` moves past it. Whoever records compares the lease, so of two that believe to hold a lane
one moves it on. A receiver may get an event twice, never a later one of the same stream before an earlier one.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct, structs

from app.database import Database, Db
from app.due_work import CHANNEL
from app.event_envelopes import COLUMNS, DATA, event_of
from app.rows import Written, update_row
from app.sequencer import give_places
from domain.actors import SYSTEM

LEASE = timedelta(seconds=60)  # more than an attempt may take

# Statements that change lanes take one each and are sent together: joined with a list, a plan made while few waited
# would read all lanes of the tenant once many wait.
#
# Of an endpoint that fails one lane at a time is tried: a dead receiver takes no room from the living. What the
# worker's clock and the database's say is due: a test may wind the former forward.
_DUE = """
SELECT l.*, greatest(now(), $2::timestamptz) + $6::interval AS lease
FROM webhook_endpoints e
CROSS JOIN LATERAL (
    SELECT tenant_id, endpoint_id, stream, stream_id, next_at FROM webhook_lanes
    WHERE tenant_id = $1 AND endpoint_id = e.id AND next_at <= greatest(now(), $2::timestamptz)
    ORDER BY next_at LIMIT CASE WHEN e.failing_since IS NULL THEN $5::integer ELSE 1 END
    FOR UPDATE SKIP LOCKED) l
WHERE e.tenant_id = $1 AND NOT e.id = ANY ($3::uuid[]) LIMIT $4
"""
_MINE = "tenant_id = $1 AND endpoint_id = $2 AND stream = $3 AND stream_id = $4 AND next_at = $5"
_MOVE = f"UPDATE webhook_lanes SET next_at = $6 WHERE {_MINE}"
_PARK = f"UPDATE webhook_lanes SET next_at = 'infinity' WHERE {_MINE}"
# Whoever lets the endpoint go on again has done so before, or finds the lane parked.
_IS_TOLD = """
SELECT status = 'active' AND (confirmed_at IS NOT NULL OR id = $3) FROM webhook_endpoints
WHERE tenant_id = $1 AND id = $2 FOR SHARE
"""
# What was parked goes on, and what waits goes on now; what is leased is on its way.
_RESUME = """
UPDATE webhook_lanes SET next_at = now()
WHERE tenant_id = $1 AND endpoint_id = $2 AND next_at > now() + interval '2 minutes'
"""
# Of lanes that this transaction holds: whoever queues for one waits, and then makes it anew.
_END = f"DELETE FROM webhook_lanes WHERE {_MINE}"
# Read anew for each attempt: what was erased meanwhile is not sent.
_NEXT = f"""
SELECT g.place, n.* FROM unnest($2::uuid[], $3::text[], $4::uuid[]) WITH ORDINALITY
    AS g(endpoint_id, stream, stream_id, place)
CROSS JOIN LATERAL (
    SELECT d.id, d.attempts, {COLUMNS}, l.log_index,
           d.created_at, w.connection_id, w.ticket::text AS ticket,
           w.format, w.url, w.sealed_url, w.filter, w.client_ids, w.payload, w.status,
           w.failing_since, w.confirmed_at, w.secret,
           CASE WHEN w.previous_secret_until > now() THEN w.previous_secret END AS previous_secret
    FROM webhook_deliveries d
    JOIN webhook_endpoints w ON w.tenant_id = d.tenant_id AND w.id = d.endpoint_id
    JOIN events e ON e.tenant_id = d.tenant_id AND e.stream = d.stream AND e.stream_id = d.stream_id AND e.seq = d.seq
    {DATA}
    LEFT JOIN log_entries l ON l.tenant_id = d.tenant_id AND l.stream = d.stream AND l.stream_id = d.stream_id
        AND l.seq = d.seq
    WHERE d.tenant_id = $1 AND d.endpoint_id = g.endpoint_id AND d.stream = g.stream AND d.stream_id = g.stream_id
        AND d.status = 'pending'
    ORDER BY d.seq LIMIT 1) n
"""
# An attempt counts once, whoever records it. A writer may hold several lanes and wait for another of ours: of many,
# those that are held are passed by and recorded alone, where nobody waits in a circle.
_RECORD = f"""
WITH held AS (SELECT stream_id FROM webhook_lanes WHERE {_MINE} FOR NO KEY UPDATE {{skip}}),
told AS (
    UPDATE webhook_deliveries SET status = $8, attempts = attempts + CASE WHEN $8 = 'withheld' THEN 0 ELSE 1 END,
        attempted_at = coalesce($9, attempted_at), delivered_at = CASE WHEN $8 = 'delivered' THEN $9 END,
        next_attempt_at = $10, duration_ms = $11, response_status = $12, response_excerpt = $13, error = $14,
        request = $16::jsonb
    WHERE tenant_id = $1 AND id = $6 AND status = 'pending' AND attempts = $7)
SELECT $15::integer AS place FROM held
"""
_RECORD_ONE, _RECORD_SOME = _RECORD.format(skip=""), _RECORD.format(skip="SKIP LOCKED")
# Before the lanes, as whoever replays takes them, and in one order.
_HEALTH = """
WITH touched AS (
    SELECT id FROM webhook_endpoints WHERE tenant_id = $1 AND (
        id = ANY ($2::uuid[]) AND failing_since IS NOT NULL OR id = ANY ($3::uuid[]) AND failing_since IS NULL)
    ORDER BY id FOR NO KEY UPDATE)
UPDATE webhook_endpoints w SET failing_since = CASE WHEN w.id = ANY ($2::uuid[]) THEN NULL ELSE $4::timestamptz END
FROM touched WHERE w.tenant_id = $1 AND w.id = touched.id
"""


class Lane(Struct, kw_only=True):
    """A lane that this worker holds until `lease`."""

    tenant_id: UUID
    endpoint_id: UUID
    stream: str
    stream_id: UUID
    lease: datetime

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
    confirmed_at: datetime | None
    secret: bytes
    previous_secret: bytes | None
    connection_id: UUID | None
    ticket: str | None
    created_at: datetime

    def may_repeat(self, now: datetime) -> bool:
        """Whether an attempt may have been made before: a courier that died over it leaves a lease alone."""
        return self.attempts > 0 or now - self.created_at >= LEASE


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of an attempt; `error` tells why it failed. `withheld` is no attempt."""

    status: str  # pending, delivered, failed, withheld
    at: datetime | None = None
    again_at: datetime | None = None
    duration_ms: int | None = None
    request: str | None = None  # what the log shows of it, as JSON text
    response_status: int | None = None
    response_excerpt: str | None = None
    error: str | None = None
    disabled_because: str | None = None


class Told(Struct, frozen=True):
    """What became of the delivery of a lane. The lane is kept for its next one, or given back with `is_last`."""

    lane: Lane
    delivery: Delivery
    outcome: Outcome
    is_last: bool


async def claim_lanes(
    database: Database,
    tenant_id: UUID,
    now: datetime,
    *,
    busy: Collection[UUID],
    limit: int,
    per_endpoint: int,
    base_url: str,
) -> list[tuple[Lane, Delivery | None]]:
    """Claim lanes that are due for a tenant, the longest waiting of each endpoint first; none of `busy` endpoints.

    Each with its next delivery; a lane that has none is gone. `base_url` is where the service is reached.
    """

    async def work(db: Db) -> list[tuple[Lane, Delivery | None]]:
        rows = await db.fetch(_DUE, tenant_id, now, list(busy), limit, per_endpoint, LEASE)
        if rows:
            await give_places(db)  # the sequencer woke when we did, and a message says its place
        await db.each(_MOVE, [tuple(row) for row in rows])
        lanes = [Lane(**{name: row[name] for name in Lane.__struct_fields__}) for row in rows]
        return list(zip(lanes, await _next(db, lanes, base_url), strict=True))

    return await database.run(tenant_id, work)


async def park(database: Database, lane: Lane, now: datetime) -> None:
    """Give back a lane until its endpoint is activated or has taken its test; at once if that has just happened."""
    async with database.transaction(lane.tenant_id) as db:
        if await db.value(_IS_TOLD, lane.tenant_id, lane.endpoint_id, lane.stream_id):
            await db.execute(_MOVE, *lane.place, now)
        else:
            await db.execute(_PARK, *lane.place)


async def resume(db: Db, endpoint_id: UUID) -> None:
    """Let everything that waits for an endpoint go on now."""
    await db.execute(_RESUME, db.tenant_id, endpoint_id)
    await db.execute(f"NOTIFY {CHANNEL}")


async def record_outcomes(
    database: Database, tenant_id: UUID, told: Sequence[Told], now: datetime, base_url: str
) -> list[Delivery | None]:
    """Record outcomes of lanes of one tenant; the next delivery of each lane that goes on, its lease renewed.

    None: the lane has no more, or waits for its next attempt, or was given back, or another worker holds it by now.
    With `disabled_because` the endpoint is disabled, a moment later.
    """
    for one in told:
        if one.outcome.status == "delivered" and one.delivery.confirmed_at is None:
            await _confirm(database, one, now)

    async def work(db: Db) -> tuple[dict[int, Lane], dict[int, Delivery | None]]:
        await _note_health(db, told, now)
        # What is due is what the later of two clocks says. By one that lags, a wait would be over before it began.
        behind = max(await db.value("SELECT now()") - now, timedelta(0))
        lanes = {}
        for place in await _record(db, told, behind):
            one = told[place]
            lease = (one.outcome.again_at or (now if one.is_last else now + LEASE)) + behind
            lanes[place] = structs.replace(one.lane, lease=lease)
        await db.each(_MOVE, [(*told[place].lane.place, lane.lease) for place, lane in lanes.items()])
        going = {place: lane for place, lane in lanes.items() if told[place].outcome.again_at is None}
        return lanes, dict(zip(going, await _next(db, list(going.values()), base_url), strict=True))

    held, following = await database.run(tenant_id, work)
    for place, lane in held.items():
        told[place].lane.lease = lane.lease
    for one in told:
        if one.outcome.disabled_because is not None:
            await _disable(database, one.lane, one.outcome.disabled_because, now)
    if len(told) > 1:
        for place in set(range(len(told))) - held.keys():
            (following[place],) = await record_outcomes(database, tenant_id, [told[place]], now, base_url)
    return [None if one.is_last else following.get(place) for place, one in enumerate(told)]


async def _next(db: Db, lanes: Sequence[Lane], base_url: str) -> list[Delivery | None]:
    """The next delivery of each lane that this transaction holds; a lane that has none is gone."""
    found: list[Delivery | None] = [None] * len(lanes)
    keys = [lane.endpoint_id for lane in lanes], [lane.stream for lane in lanes], [lane.stream_id for lane in lanes]
    for row in await db.fetch(_NEXT, db.tenant_id, *keys) if lanes else ():
        kept = {name: row[name] for name in Delivery.__struct_fields__ if name != "event"}
        found[row["place"] - 1] = Delivery(event=event_of(row, base_url), **kept)
    await db.each(_END, [lane.place for lane, delivery in zip(lanes, found, strict=True) if delivery is None])
    return found


async def _record(db: Db, told: Sequence[Told], behind: timedelta) -> list[int]:
    """Write the outcomes; the places of those whose lanes are held still, and by this transaction now."""
    values = [
        (
            *one.lane.place,
            one.delivery.id,
            one.delivery.attempts,
            one.outcome.status,
            one.outcome.at,
            None if one.outcome.again_at is None else one.outcome.again_at + behind,
            one.outcome.duration_ms,
            one.outcome.response_status,
            one.outcome.response_excerpt,
            one.outcome.error,
            place,
            one.outcome.request,
        )
        for place, one in enumerate(told)
    ]
    rows = await db.each(_RECORD_ONE if len(told) == 1 else _RECORD_SOME, values)
    return [row["place"] for row in rows]


async def _note_health(db: Db, told: Sequence[Told], now: datetime) -> None:
    """Since when an endpoint has had nothing but failures. Where nothing changes, nothing is asked."""
    well = {one.lane.endpoint_id for one in told if one.outcome.status == "delivered" and one.delivery.failing_since}
    ill = {one.lane.endpoint_id for one in told if one.outcome.error and not one.delivery.failing_since} - well
    if well or ill:
        since = min((one.outcome.at for one in told if one.outcome.at), default=now)
        await db.execute(_HEALTH, db.tenant_id, list(well), list(ill), since)


async def _confirm(database: Database, told: Told, now: datetime) -> None:
    """An endpoint took its test: from now on it is told of events, unless its address is another one by now."""
    lane, delivery = told.lane, told.delivery
    find = (
        "SELECT name FROM webhook_endpoints WHERE tenant_id = $1 AND id = $2 AND confirmed_at IS NULL AND url = $3"
        " AND sealed_url IS NOT DISTINCT FROM $4 FOR NO KEY UPDATE"
    )

    async def work(db: Db) -> None:
        row = await db.row(find, db.tenant_id, lane.endpoint_id, delivery.url, delivery.sealed_url)
        if row is None:
            return
        written = Written("webhook_endpoint", "webhook_endpoint.confirmed", name=row["name"])
        changes = {"confirmed_at": now}
        await update_row(db, "webhook_endpoints", lane.endpoint_id, changes, written, actor=SYSTEM, at=now)
        await resume(db, lane.endpoint_id)

    await database.run(lane.tenant_id, work)


async def _disable(database: Database, lane: Lane, because: str, now: datetime) -> None:
    find = "SELECT version, status, name FROM webhook_endpoints WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE"

    async def work(db: Db) -> None:
        row = await db.row(find, db.tenant_id, lane.endpoint_id)
        if row is None or row["status"] != "active":
            return
        changes = {"status": "disabled", "disabled_because": because, "version": row["version"] + 1, "updated_at": now}
        told = Written("webhook_endpoint", "webhook_endpoint.disabled", because=because, name=row["name"])
        await update_row(db, "webhook_endpoints", lane.endpoint_id, changes, told, actor=SYSTEM, at=now)

    await database.run(lane.tenant_id, work)
