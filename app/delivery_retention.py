"""How long deliveries are kept: those that are done go after a time, in small pieces, by the worker.

The events themselves stay, and so does their place in the log; what goes is the note of who was told. One row of the
queue per tenant with endpoints holds when this is looked at next.
"""

from datetime import datetime, timedelta

import orjson

from app.database import Database, Db
from app.directory import tenant_settings
from app.due_work import Claim, finish

KIND = "delivery_retention"
LOOKED_AT_EVERY = timedelta(hours=6)
AT_ONCE = 1_000  # deliveries in one transaction
PIECES_MAX = 20  # of one claim, which is a lease

_QUEUE = f"""
INSERT INTO due_work (tenant_id, kind, subject_id, next_at) VALUES ($1, '{KIND}', $1, $2)
ON CONFLICT (tenant_id, kind, subject_id) DO UPDATE SET next_at = least(due_work.next_at, excluded.next_at)
"""
_SETTINGS = "SELECT settings::text FROM tenants WHERE tenant_id = $1"
# Nobody is told for an endpoint that is retired: what waited is kept back.
_WITHHOLD = """
UPDATE webhook_deliveries SET status = 'withheld', next_attempt_at = NULL, error = 'The endpoint was retired.'
WHERE tenant_id = $1 AND id IN (
    SELECT d.id FROM webhook_endpoints e
    CROSS JOIN LATERAL (SELECT id FROM webhook_deliveries WHERE tenant_id = $1 AND endpoint_id = e.id
                        AND status = 'pending' LIMIT $2) d
    WHERE e.tenant_id = $1 AND e.status = 'retired' LIMIT $2)
"""
# Found by age and then looked at: of what is old almost all is done.
_FORGET = """
DELETE FROM webhook_deliveries WHERE tenant_id = $1 AND id IN (
    SELECT d.id FROM webhook_endpoints e
    CROSS JOIN LATERAL (SELECT id FROM webhook_deliveries WHERE tenant_id = $1 AND endpoint_id = e.id
                        AND created_at < $3 AND status <> 'pending'
                        AND coalesce(delivered_at, attempted_at, created_at) < $3 LIMIT $2) d
    WHERE e.tenant_id = $1 LIMIT $2)
"""


async def queue_retention(db: Db, at: datetime) -> None:
    """Let the worker look through the deliveries of the tenant at `at`, or when it would anyway if that is sooner."""
    await db.execute(_QUEUE, db.tenant_id, at)


async def kept_since(db: Db, now: datetime) -> datetime:
    """From when on all deliveries of the tenant are kept."""
    stored = orjson.loads(await db.value(_SETTINGS, db.tenant_id))
    return now - tenant_settings(stored).delivery_retention


async def forget_deliveries(database: Database, claim: Claim) -> None:
    """Keep back what waits for retired endpoints and remove what was done long enough ago, the rest a moment later."""
    for _ in range(PIECES_MAX):
        async with database.transaction(claim.tenant_id) as db:
            before = await kept_since(db, claim.now)
            done = [
                await db.execute(_WITHHOLD, claim.tenant_id, AT_ONCE),
                await db.execute(_FORGET, claim.tenant_id, AT_ONCE, before),
            ]
            if not any(one.endswith(f" {AT_ONCE}") for one in done):
                await finish(db, claim, claim.now + LOOKED_AT_EVERY)
                return
    async with database.transaction(claim.tenant_id) as db:
        await finish(db, claim, claim.now)
