"""Names by which systems call clients, and of which nobody has said whom they mean: a queue for people."""

from datetime import datetime
from uuid import UUID

from app.database import Db
from app.ids import new_id

KEPT_MAX = 1_000  # of one source: a sender that invents names fills no table

_NOTE = """
INSERT INTO unmapped_clients (tenant_id, id, source_id, external_id, name, incident_id, incidents, first_at, last_at)
SELECT $1, $3, $2, $4, $5, $6, 1, $7, $7
WHERE (SELECT count(*) FROM (SELECT 1 FROM unmapped_clients WHERE tenant_id = $1 AND source_id = $2 LIMIT $8) u) < $8
ON CONFLICT (tenant_id, source_id, external_id) DO UPDATE SET incident_id = excluded.incident_id,
    name = coalesce(excluded.name, unmapped_clients.name), incidents = unmapped_clients.incidents + 1,
    last_at = excluded.last_at
"""


async def note_unmapped(
    db: Db, source_id: UUID, external_id: str, name: str | None, incident_id: UUID, at: datetime
) -> None:
    """Note that an incident was opened for a client of this name, which means nobody here."""
    await db.execute(_NOTE, db.tenant_id, source_id, new_id(), external_id, name, incident_id, at, KEPT_MAX)
