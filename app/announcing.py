"""Announcing deadlines: the alarm of one incident, under its lock, in one transaction."""

from datetime import timedelta

from app.database import Database, Db
from app.due_work import Claim, finish
from app.incidents import begin_change, write_change
from app.record import lock_record
from domain.actors import SYSTEM
from domain.announcements import announce
from domain.refusals import NotFound
from domain.settling import settle

KIND = "deadline"
AGAIN_AFTER = timedelta(seconds=1)  # an alarm that rings at this very instant has not passed yet


async def announce_deadlines(database: Database, claim: Claim) -> None:
    """Announce what an incident's clock has passed, and wait for its next alarm.

    Repeating does no harm: what was announced is marked in the same transaction.
    """

    async def work(db: Db) -> None:
        try:
            stored = await lock_record(db, claim.subject_id)
        except NotFound:
            await finish(db, claim)
            return
        incident = stored.record.incident
        if incident.status in ("closed", "rejected"):
            await finish(db, claim)
            return
        change = await begin_change(db, None, stored, SYSTEM)
        change.now = claim.now
        announce(change)
        settle(change)
        await write_change(db, None, stored, change)
        alarm = incident.next_alarm_at
        await finish(db, claim, None if alarm is None else max(alarm, claim.now + AGAIN_AFTER))

    await database.run(claim.tenant_id, work)
