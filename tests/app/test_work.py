"""My work: what waits is found by what is open, not by reading what was ever done."""

from collections.abc import Awaitable, Callable

from app.database import Database
from app.ids import new_id
from app.tenants import create_tenant
from app.work import _WORK, LIMIT
from tests.cluster import Cluster


async def test_approvals_are_found_by_their_own_indexes(
    cluster: Cluster, new_database: Callable[..., Awaitable[str]]
) -> None:
    """As the runtime role: behind the walls an index whose condition cannot be proven is not used.

    In a database of its own, since what other tests leave in a table moves the plan.
    """
    database = await Database.connect(cluster.runtime_dsn(await new_database()), max_size=2)
    try:
        tenant = await create_tenant(database, "Waiting")
        async with database.transaction(tenant.tenant_id, read_only=True) as db:
            rows = await db.fetch("explain " + _WORK, tenant.tenant_id, new_id(), ["risk_owner"], LIMIT)
    finally:
        await database.close()
    plan = "\n".join(row[0] for row in rows)
    for index in (
        "action_runs_unavailable",
        "action_runs_in_approval",
        "notifications_in_review",
        "tool_decisions_proposed",
    ):
        assert index in plan
