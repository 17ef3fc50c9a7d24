"""When a key was last used: noted in batches, since a write per request would double the cost of reading."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import groupby
from uuid import UUID

from app.database import Database

NOTE = """
update api_keys k set last_used_at = greatest(k.last_used_at, u.at)
from unnest($2::uuid[], $3::timestamptz[]) as u(id, at)
where k.tenant_id = $1 and k.id = u.id
"""


async def note_last_used(database: Database, used: Mapping[tuple[UUID, UUID], float]) -> None:
    """Store the last use (seconds since the epoch) of keys, by (tenant, key). Raises DatabaseAway."""
    for tenant_id, keys in groupby(sorted(used), key=lambda one: one[0]):
        ids = [key_id for _, key_id in keys]
        instants = [datetime.fromtimestamp(used[tenant_id, key_id], UTC) for key_id in ids]
        async with database.transaction(tenant_id) as db:
            await db.execute(NOTE, tenant_id, ids, instants)
