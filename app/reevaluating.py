"""Running the rules of one incident again, because something that they look at has changed."""

from app.database import Database, Db
from app.due_work import Claim, finish
from app.incidents import begin_change, write_change
from app.record import lock_record
from domain.actors import SYSTEM
from domain.refusals import NotFound
from domain.settling import settle


async def reevaluate(database: Database, claim: Claim) -> None:
    """Settle an incident with everything it depends on read afresh. Writes nothing where nothing follows."""

    async def work(db: Db) -> None:
        try:
            stored = await lock_record(db, claim.subject_id)
        except NotFound:
            await finish(db, claim)
            return
        if stored.record.incident.status not in ("closed", "rejected"):
            change = await begin_change(db, None, stored, SYSTEM)
            change.reconsider = True
            settle(change)
            await write_change(db, None, stored, change)
        await finish(db, claim)

    await database.run(claim.tenant_id, work)
