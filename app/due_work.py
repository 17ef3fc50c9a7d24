"""The queue: one row per thing to be done for a tenant, claimed by moving its time past a lease.

A lease that expires is simply due again, so a worker may die at any moment. Whoever finishes compares the lease: what
was queued anew meanwhile stays queued.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from app.database import Database, Db

LEASE = timedelta(seconds=60)
PUT_OFF_MOST = timedelta(minutes=5)
CHANNEL = "holdfast_due_work"  # notified without a payload when something is due now: migrations/sql/0005_wakeups.sql


class Claim(Struct, frozen=True):
    """Work that this worker holds until `lease`. `attempts` counts this one; `now` is the worker's clock."""

    tenant_id: UUID
    kind: str
    subject_id: UUID
    attempts: int
    lease: datetime
    now: datetime


# What the worker's clock and the database's say is due: a test may wind the former forward.
_CLAIM = """
WITH due AS (
    SELECT kind, subject_id FROM due_work
    WHERE tenant_id = $1 AND kind = ANY ($2::text[]) AND next_at <= greatest(now(), $3::timestamptz)
    ORDER BY next_at LIMIT $4 FOR UPDATE SKIP LOCKED)
UPDATE due_work d SET next_at = greatest(now(), $3::timestamptz) + $5::interval, attempts = d.attempts + 1
FROM due WHERE d.tenant_id = $1 AND d.kind = due.kind AND d.subject_id = due.subject_id
RETURNING d.tenant_id, d.kind, d.subject_id, d.attempts, d.next_at AS lease
"""
_MINE = "tenant_id = $1 AND kind = $2 AND subject_id = $3 AND next_at = $4"


async def claim_due(
    database: Database, tenant_id: UUID, kinds: Collection[str], now: datetime, *, limit: int = 20
) -> list[Claim]:
    """Claim what is due for a tenant, the longest waiting first; rows that another worker is claiming are passed by."""
    async with database.transaction(tenant_id) as db:
        rows = await db.fetch(_CLAIM, tenant_id, list(kinds), now, limit, LEASE)
    return [Claim(**dict(row), now=now) for row in rows]


async def finish(db: Db, claim: Claim, again_at: datetime | None = None) -> None:
    """Take a claimed row out of the queue, or move it to `again_at`: in the transaction of the effect."""
    place = (claim.tenant_id, claim.kind, claim.subject_id, claim.lease)
    if again_at is None:
        await db.execute(f"DELETE FROM due_work WHERE {_MINE}", *place)
    else:
        await db.execute(f"UPDATE due_work SET next_at = $5, attempts = 0 WHERE {_MINE}", *place, again_at)


async def put_off(database: Database, claim: Claim) -> None:
    """Let a claim that failed wait, twice as long each time, at most PUT_OFF_MOST."""
    wait = min(timedelta(seconds=2 ** min(claim.attempts, 16)), PUT_OFF_MOST)
    async with database.transaction(claim.tenant_id) as db:
        await db.execute(
            f"UPDATE due_work SET next_at = greatest(now(), $5::timestamptz) + $6::interval WHERE {_MINE}",
            claim.tenant_id,
            claim.kind,
            claim.subject_id,
            claim.lease,
            claim.now,
            wait,
        )
