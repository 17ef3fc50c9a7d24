"""Sources that should speak every so often and do not: told once, and told again when they are heard.

A sender that is broken looks exactly like a world without alerts. What the source is expected to do is said by its
`limits.expected_seconds`; one row of the queue per such source holds when it is looked at next.
"""

from datetime import datetime, timedelta
from uuid import UUID

import orjson

from app.database import Database, Db
from app.due_work import Claim, finish
from app.rows import Written, update_row
from domain.actors import SYSTEM

KIND = "source_silence"

_QUEUE = f"""
INSERT INTO due_work (tenant_id, kind, subject_id, next_at) VALUES ($1, '{KIND}', $2, $3)
ON CONFLICT (tenant_id, kind, subject_id) DO UPDATE SET next_at = excluded.next_at, attempts = 0
"""
_LOOK = """
SELECT s.version, s.status, s.limits::text AS limits, s.silent_since,
       coalesce((SELECT max(received_at) FROM hook_deliveries d WHERE d.tenant_id = $1 AND d.source_id = $2),
                s.created_at) AS heard_at
FROM sources s WHERE s.tenant_id = $1 AND s.id = $2 FOR UPDATE
"""


async def expect(db: Db, source_id: UUID, seconds: int, at: datetime) -> None:
    """Look at a source when it should have spoken."""
    await db.execute(_QUEUE, db.tenant_id, source_id, at + timedelta(seconds=seconds))


async def announce_silence(database: Database, claim: Claim) -> None:
    """Look whether a source has spoken in time, and tell when that has changed.

    Repeating does no harm: what was told is on the source, in the same transaction.
    """

    async def work(db: Db) -> None:
        row = await db.row(_LOOK, db.tenant_id, claim.subject_id)
        seconds = None if row is None else orjson.loads(row["limits"]).get("expected_seconds")
        if row is None or seconds is None or row["status"] != "active":
            await finish(db, claim)
            return
        due_at = row["heard_at"] + timedelta(seconds=seconds)
        is_silent = due_at <= claim.now
        if is_silent != (row["silent_since"] is not None):
            changes = {"silent_since": row["heard_at"] if is_silent else None, "version": row["version"] + 1}
            kind = "source.silent" if is_silent else "source.heard"
            told = Written("source", kind, expected_seconds=seconds, heard_at=row["heard_at"])
            await update_row(db, "sources", claim.subject_id, changes, told, actor=SYSTEM, at=claim.now)
        await finish(db, claim, claim.now + timedelta(seconds=seconds) if is_silent else due_at)

    await database.run(claim.tenant_id, work)
