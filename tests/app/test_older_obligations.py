"""Obligations from before their offers were stored: the migration queues them, the worker completes them."""

from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from app import record
from app.database import Database
from app.settings import Settings
from app.worker import Worker
from tests.people import report

SCRIPT = Path(__file__).parents[2] / "migrations" / "sql" / "0035_obligation_offers.sql"


async def offers(http: httpx.AsyncClient, incident: dict[str, Any]) -> list[list[dict[str, Any]]]:
    answer = await http.get(f"/v1/incidents/{incident['id']}/obligations")
    assert answer.status_code == 200, answer.text
    return [one["allowed_transitions"] for one in answer.json()]


async def test_older_obligations_of_open_incidents_show_their_offers_again(
    http: httpx.AsyncClient, database: Database, settings: Settings, superuser: asyncpg.Connection, tenant: Any
) -> None:
    older, other = await report(http, playbook="data-leakage"), await report(http, playbook="data-leakage")
    shown = await offers(http, older)
    assert shown
    assert all(shown)
    async with database.transaction(tenant.tenant_id) as db:
        await db.execute("delete from due_work where kind = 'reevaluate'")
        await db.execute("update obligations set allowed = null where incident_id = $1", UUID(older["id"]))
    assert not any(await offers(http, older))
    await superuser.execute(SCRIPT.read_text(encoding="utf-8"))
    queued = "select subject_id from due_work where kind = 'reevaluate'"
    async with database.transaction(tenant.tenant_id) as db:
        assert [row[0] for row in await db.fetch(queued)] == [UUID(older["id"])], other["number"]
    record._kept.clear()  # a process that starts remembers no record
    await Worker(database, settings).work_for(tenant.tenant_id)
    assert await offers(http, older) == shown
