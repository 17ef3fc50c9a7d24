"""Proposals for the inputs of an incident, read with two statements and worked out from the shipped directory."""

from uuid import UUID

import msgspec
import orjson

from app.database import Db
from app.incidents import visible_incident
from app.playbooks import pinned
from domain.proposed_inputs import propose_inputs

_READ = """
SELECT i.playbook_hash, d.value::text AS value,
  (SELECT array_agg(a.id ORDER BY a.step_id, a.position) FROM action_runs a
   WHERE a.tenant_id = $1 AND a.incident_id = i.id AND a.generation = i.generation
     AND a.status IN ('pending', 'pending_fact')) AS open
FROM incidents i LEFT JOIN documents d ON d.tenant_id = i.tenant_id AND d.incident_id = i.id AND d.id = 'D03'
WHERE i.tenant_id = $1 AND i.id = $2
"""


async def read_proposed_inputs(db: Db, ref: UUID | str) -> str:
    """The proposals as JSON text `{"items": [...]}`. Raises NotFound."""
    row = await db.row(_READ, db.tenant_id, await visible_incident(db, ref))
    assert row is not None, "it was visible"
    playbook = await pinned(db, row["playbook_hash"])
    systems = (orjson.loads(row["value"] or "null") or {}).get("entries", [])
    found = propose_inputs(playbook, systems, row["open"] or []) if playbook is not None else []
    return msgspec.json.encode({"items": found}).decode()
