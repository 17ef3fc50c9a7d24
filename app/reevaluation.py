"""Queueing incidents whose surroundings changed: rules that look at a client, a person, a risk or a tool run again.

Call it in the transaction that makes the change: then the queue is drained or the change is not there.
"""

from collections.abc import Collection
from uuid import UUID

from app.database import Db

KIND = "reevaluate"

_QUEUE = """
INSERT INTO due_work (tenant_id, kind, subject_id, next_at)
SELECT DISTINCT $1::uuid, 'reevaluate', i.id, now() FROM {incidents} ORDER BY i.id
ON CONFLICT (tenant_id, kind, subject_id) DO UPDATE SET next_at = excluded.next_at, attempts = 0
"""
_OPEN = "i.tenant_id = $1 AND i.status NOT IN ('closed', 'rejected')"
_NAMED = _QUEUE.format(incidents="unnest($2::uuid[]) AS i (id)")
_ALL = _QUEUE.format(incidents=f"incidents i WHERE {_OPEN}")
_OF_CLIENT = _QUEUE.format(
    incidents="incident_clients c JOIN incidents i ON i.tenant_id = c.tenant_id AND i.id = c.incident_id"
    f" WHERE c.tenant_id = $1 AND c.client_id = $2 AND {_OPEN}"
)
_OF_RISK = _QUEUE.format(incidents=f"incidents i WHERE {_OPEN} AND i.primary_risk = $2")
_OF_TOOL = _QUEUE.format(
    incidents="incident_tools n JOIN incidents i ON i.tenant_id = n.tenant_id AND i.id = n.incident_id"
    f" WHERE n.tenant_id = $1 AND n.tool_id = $2 AND {_OPEN}"
)
# Members are reporter, discoverer, assignees and responders; an author's manager may approve what the author wrote.
_OF_PERSON = _QUEUE.format(
    incidents="""(
    SELECT m.incident_id AS id FROM incident_members m WHERE m.tenant_id = $1 AND m.member_id = $2
    UNION SELECT n.incident_id FROM notifications n WHERE n.tenant_id = $1 AND n.author_id = $2
    UNION SELECT p.incident_id FROM participants p WHERE p.tenant_id = $1 AND p.person_id = $2
    UNION SELECT c.id FROM incidents c WHERE c.tenant_id = $1 AND c.person_concerned_id = $2
) f JOIN incidents i ON i.id = f.id WHERE """
    + _OPEN
)


async def queue_reevaluation(
    db: Db,
    *,
    incident_ids: Collection[UUID] | None = None,
    client_id: UUID | None = None,
    person_id: UUID | None = None,
    risk: str | None = None,
    tool_id: UUID | None = None,
) -> None:
    """Queue incidents by id, or the open ones of a client, with a part of a person, under a risk (its reference), or
    that name a tool.

    With none of these: all open incidents of the tenant, as after a change of its settings. One statement.
    """
    if incident_ids is not None:
        await db.execute(_NAMED, db.tenant_id, list(incident_ids))
    elif client_id is not None:
        await db.execute(_OF_CLIENT, db.tenant_id, client_id)
    elif person_id is not None:
        await db.execute(_OF_PERSON, db.tenant_id, person_id)
    elif risk is not None:
        await db.execute(_OF_RISK, db.tenant_id, risk)
    elif tool_id is not None:
        await db.execute(_OF_TOOL, db.tenant_id, tool_id)
    else:
        await db.execute(_ALL, db.tenant_id)
