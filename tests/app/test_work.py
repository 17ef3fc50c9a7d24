"""My work: what waits is found by what is open, not by reading what was ever done."""

import asyncpg

from app.database import Database
from app.work import _WORK, LIMIT
from tests.api.small_api import make_tenant


async def test_approvals_are_found_by_their_own_indexes(database: Database, superuser: asyncpg.Connection) -> None:
    """As the runtime role: behind the walls an index whose condition cannot be proven is not used."""
    caller = await make_tenant(superuser)
    async with database.transaction(caller.tenant_id, read_only=True) as db:
        await db.execute("set local enable_seqscan = off")
        rows = await db.fetch("explain " + _WORK, caller.tenant_id, caller.id, ["risk_owner"], LIMIT)
    plan = "\n".join(row[0] for row in rows)
    for index in (
        "action_runs_unavailable",
        "action_runs_in_approval",
        "notifications_in_review",
        "tool_decisions_proposed",
    ):
        assert index in plan
