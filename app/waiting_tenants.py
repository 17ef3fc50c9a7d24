"""Which tenants have something waiting: the only questions asked across tenants, as holdfast_worker and without a lock.

What waits is then claimed for each tenant behind its walls.
"""

from typing import Final
from uuid import UUID

from app.database import Database

# A step in the index for each tenant that has rows, not one for each row: what waits makes no look dearer.
_WALK = """
WITH RECURSIVE waiting(tenant_id) AS (
    (SELECT tenant_id FROM {table} ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT t.tenant_id FROM {table} t WHERE t.tenant_id > w.tenant_id ORDER BY t.tenant_id LIMIT 1)
    FROM waiting w WHERE w.tenant_id IS NOT NULL)
SELECT w.tenant_id FROM waiting w WHERE {which}
"""
_IS_DUE = "EXISTS (SELECT 1 FROM webhook_lanes l WHERE l.tenant_id = w.tenant_id AND l.next_at <= now())"

DUE_WORK: Final = "SELECT DISTINCT tenant_id FROM due_work WHERE next_at <= now()"
DUE_DELIVERIES: Final = _WALK.format(table="webhook_lanes", which=_IS_DUE)
PENDING_EVENTS: Final = _WALK.format(table="log_pending", which="w.tenant_id IS NOT NULL")
"""Work for the worker, webhooks that go out for the courier, events without a place in the log for the sequencer."""


async def waiting_tenants(database: Database, question: str) -> list[UUID]:
    """The tenants that one of the questions above names. Raises DatabaseAway."""
    async with database.transaction(None, read_only=True) as db:
        await db.execute("SET LOCAL ROLE holdfast_worker")
        return [row["tenant_id"] for row in await db.fetch(question)]
