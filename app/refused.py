"""A gate's refusal belongs to the record (documentation item D06): written after the refused change rolled back."""

from datetime import UTC, datetime

from app.authentication import Principal
from app.database import Database, Db
from app.events import append
from domain.refusals import GateRefused


async def record_refusal(database: Database, principal: Principal, refusal: GateRefused) -> None:
    """Append `gate.refused` under the row lock, once per incident, gate, actor and minute. No version changes.

    Does nothing for a refusal of something that is no incident. Raises what the database raises: the caller then says
    503 instead of the refusal.
    """
    if refusal.incident_id is None:
        return
    incident_id, gate = refusal.incident_id, refusal.gate or "G-ALL-4"
    now = datetime.now(UTC)

    async def work(db: Db) -> None:
        found = await db.value(
            "SELECT id FROM incidents WHERE tenant_id = $1 AND id = $2 FOR UPDATE", db.tenant_id, incident_id
        )
        if found is None:
            return
        is_new = await db.value(
            "INSERT INTO gate_refusals (tenant_id, incident_id, gate, actor_id, minute)"
            " VALUES ($1, $2, $3, $4, date_trunc('minute', $5::timestamptz)) ON CONFLICT DO NOTHING RETURNING true",
            db.tenant_id,
            incident_id,
            gate,
            principal.id,
            now,
        )
        if is_new:
            data = {"gate": gate, "detail": refusal.detail, "missing": [m.ref for m in refusal.missing][:50]}
            await append(db, "incident", incident_id, "gate.refused", data, actor=principal.actor, recorded_at=now)

    await database.run(principal.tenant_id, work)
