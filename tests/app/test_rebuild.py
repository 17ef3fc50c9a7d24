"""Stored state is what the events fold to, and whoever changes either is found out."""

from collections import OrderedDict
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from app import record
from app.database import Database
from app.incidents import begin_change
from app.rebuild import check_tenant
from app.sequencer import Sequencer
from domain.actors import SYSTEM
from domain.settling import settle
from tests.api.people import enrolled


@pytest.fixture
async def busy(http: httpx.AsyncClient, tenant: Any) -> UUID:
    """A tenant in which something of every kind has happened."""
    client = (await http.post("/v1/clients", json={"name": "Acme"})).json()["id"]
    await http.patch(f"/v1/clients/{client}", json={"hipaa_role": "covered_entity"})
    await http.patch("/v1/settings", json={"grace": "PT5M"})
    person, _ = await enrolled(http, "hr")
    await http.patch(f"/v1/people/{person}", json={"roles": ["privacy"]})
    await http.post("/v1/service-accounts", json={"name": "PSA"})
    key = (await http.post("/v1/keys", json={"name": "k"})).json()["id"]
    await http.post(f"/v1/keys/{key}/revoke")
    body = {"title": "A paste too many", "playbook": "data-leakage", "client_ids": [client]}
    incident = (await http.post("/v1/incidents", json=body)).json()["id"]
    await http.patch(f"/v1/incidents/{incident}", json={"facts": {"pii": True}})
    found: UUID = tenant.tenant_id
    return found


async def test_what_is_stored_is_what_the_events_say(database: Database, busy: UUID) -> None:
    report = await check_tenant(database, busy)
    assert report["faults"] == []
    assert report["streams"] > 15 and report["erased"] == 0


async def test_settling_what_is_settled_writes_nothing_wherever_it_was_read(
    database: Database, busy: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "_kept", OrderedDict())
    async with database.transaction(busy) as db:
        incident = await db.value("SELECT id FROM incidents WHERE tenant_id = $1", busy)
        stored = await record.lock_record(db, incident)
        change = await begin_change(db, None, stored, SYSTEM)
        settle(change)
        difference = record.Difference(stored)
    assert (difference.rows, difference.changes, change.events) == ({}, {}, [])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE people SET roles = '{risk_owner}' WHERE tenant_id = $1 AND roles = '{privacy}'",
        "UPDATE clients SET name = 'Acne' WHERE tenant_id = $1",
        "UPDATE api_keys SET revoked_at = NULL WHERE tenant_id = $1 AND revoked_at IS NOT NULL",
        "UPDATE incidents SET title = 'Nothing' WHERE tenant_id = $1",
        "UPDATE step_runs SET status = 'completed' WHERE tenant_id = $1 AND position = 1",
        "UPDATE tenants SET settings = '{}' WHERE tenant_id = $1",
        "UPDATE risks SET impact = 5, residual_impact = 5 WHERE tenant_id = $1 AND ref = 'AR-001'",
    ],
)
async def test_a_row_that_was_changed_past_the_events_is_found(
    database: Database, busy: UUID, superuser: asyncpg.Connection, statement: str
) -> None:
    assert await superuser.execute(statement, busy) == "UPDATE 1"
    assert len((await check_tenant(database, busy))["faults"]) in (1, 2)


async def test_a_place_in_the_log_that_is_missing_or_too_early_is_found(
    database: Database, busy: UUID, superuser: asyncpg.Connection
) -> None:
    await Sequencer(database).work_for(busy)
    assert (await check_tenant(database, busy))["faults"] == []
    of_incident = "tenant_id = $1 AND stream = 'incident'"
    await superuser.execute(f"UPDATE log_entries SET log_index = 5000 WHERE {of_incident} AND seq = 1", busy)
    await superuser.execute(f"DELETE FROM log_entries WHERE {of_incident} AND seq = 2", busy)
    said = sorted(fault.partition(": ")[2] for fault in (await check_tenant(database, busy))["faults"])
    entries = await superuser.fetchval("SELECT count(*) FROM log_entries WHERE tenant_id = $1", busy)
    assert f"{entries} entries are numbered up to 5000" in said
    assert "event 2 has no place in the log and waits for none" in said
    assert "event 3 stands before an earlier one in the log" in said


async def test_an_event_that_was_changed_is_found(
    database: Database, busy: UUID, superuser: asyncpg.Connection
) -> None:
    await superuser.execute("ALTER TABLE event_data DISABLE TRIGGER USER")
    try:
        await superuser.execute(
            "UPDATE event_data SET data = data || '{\"fields\": []}' WHERE tenant_id = $1 AND stream = 'settings'", busy
        )
    finally:
        await superuser.execute("ALTER TABLE event_data ENABLE TRIGGER USER")
    report = await check_tenant(database, busy, compare=False)
    assert [fault.rpartition(":")[2] for fault in report["faults"]] == [" the data of event 1 is not what was recorded"]
