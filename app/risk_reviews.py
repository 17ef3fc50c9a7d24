"""Reviews of the register that are late: announced once each, on the stream of the risk.

One row of the queue per tenant holds when the next review falls due, so a register costs nothing while it is current.
"""

from datetime import timedelta

from app.database import Database, Db
from app.due_work import Claim, finish
from app.events import append
from domain.actors import SYSTEM
from domain.timeline import instant_text

KIND = "risk_review"
AGAIN_AFTER = timedelta(seconds=1)
AT_ONCE = 100

_AWAITED = """
FROM risks WHERE tenant_id = $1 AND status <> 'closed' AND late_review_announced_at IS NULL
AND next_review_at IS NOT NULL
"""
_QUEUE = f"""
INSERT INTO due_work (tenant_id, kind, subject_id, next_at)
SELECT $1::uuid, '{KIND}', $1::uuid, min(next_review_at) {_AWAITED} HAVING min(next_review_at) IS NOT NULL
ON CONFLICT (tenant_id, kind, subject_id) DO UPDATE SET next_at = excluded.next_at, attempts = 0
"""
_LATE = f"SELECT id, ref, next_review_at {_AWAITED} AND next_review_at < $2 ORDER BY id LIMIT {AT_ONCE} FOR UPDATE"
_ANNOUNCE = "UPDATE risks SET late_review_announced_at = $3 WHERE tenant_id = $1 AND ref = $2"


async def queue_reviews(db: Db) -> None:
    """Wake the worker when the next review falls due. Call it where an entry is added or reviewed."""
    await db.execute(_QUEUE, db.tenant_id)


async def announce_late_reviews(database: Database, claim: Claim) -> None:
    """Tell each review that has become late, dated by when it fell due; a late review is an exception of CC3.2, CC4.1.

    Repeating does no harm: what was announced is marked in the same transaction.
    """

    async def work(db: Db) -> None:
        for row in await db.fetch(_LATE, db.tenant_id, claim.now):
            await db.execute(_ANNOUNCE, db.tenant_id, row["ref"], claim.now)
            changes = {"risks": {row["ref"]: {"late_review_announced_at": instant_text(claim.now)}}}
            data = {"ref": row["ref"], "due_at": row["next_review_at"], "controls": ["CC3.2", "CC4.1"]}
            await append(
                db,
                "risk",
                row["id"],
                "risk.review_late",
                {**data, "changes": changes},
                actor=SYSTEM,
                occurred_at=row["next_review_at"],
                recorded_at=claim.now,
            )
        following = await db.value(f"SELECT min(next_review_at) {_AWAITED}", db.tenant_id)
        await finish(db, claim, None if following is None else max(following, claim.now + AGAIN_AFTER))

    await database.run(claim.tenant_id, work)
