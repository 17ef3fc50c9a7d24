"""The exceptions of the whole provider: what deviated in incidents, and reviews of the registers that came late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from app.database import Database
from app.settings import Settings
from app.tenants import NewTenant, create_tenant
from app.worker import Worker
from tests.api.tool_calls import decided, requested
from tests.people import add_person, report

WHY = "The client asked us to go on before this was done."


async def seen(http: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await http.get("/v1/audit/exceptions", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def skipped(http: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    """An incident with an action that was skipped."""
    incident = await report(http, playbook="data-leakage", **more)
    body = {"transition": "skip", "reason": WHY}
    path = f"/v1/incidents/{incident['id']}/actions/DL.1.1/transitions"
    answer = await http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return incident


async def late(http: httpx.AsyncClient, database: Database, settings: Settings, tenant: NewTenant) -> dict[str, Any]:
    """A tool whose review is late, and ten risks; the tool."""
    tool = await requested(http)
    await decided(http, tool, "conditional")
    later = datetime.now(UTC) + timedelta(days=400)
    await Worker(database, settings, clock=lambda: later).work_for(tenant.tenant_id)
    return tool


async def test_late_reviews_stand_beside_what_deviated_in_incidents(
    http: httpx.AsyncClient, database: Database, settings: Settings, tenant: NewTenant
) -> None:
    incident = await skipped(http)
    own = (await http.get(f"/v1/incidents/{incident['id']}/exceptions")).json()
    tool = await late(http, database, settings, tenant)
    risks = {one["id"]: one["ref"] for one in (await http.get("/v1/risks")).json()["items"]}
    everything = await seen(http)
    assert [one["at"] for one in everything] == sorted(one["at"] for one in everything)
    of = {source: [one for one in everything if one["source"] == source] for source in ("incident", "risk", "tool")}
    assert [one["id"] for one in of["incident"]] == [one["id"] for one in own]
    assert of["incident"][0]["incident"] == {"id": incident["id"], "number": incident["number"]}
    assert {one["risk_id"]: one["details"]["ref"] for one in of["risk"]} == risks
    assert all(one["details"]["controls"] == ["CC3.2", "CC4.1"] for one in of["risk"])
    assert [one["tool_id"] for one in of["tool"]] == [tool["id"]]
    assert {one["kind"] for one in (*of["risk"], *of["tool"])} == {"late_review"}
    assert await seen(http, source="tool") == of["tool"]
    assert await seen(http, kind="late_review", source="incident") == []
    cut = of["tool"][0]["at"]
    assert of["tool"][0] in await seen(http, period_start=cut)
    assert of["tool"][0] not in await seen(http, period_end=cut)


async def test_pages_leave_nothing_out(
    http: httpx.AsyncClient, database: Database, settings: Settings, tenant: NewTenant
) -> None:
    await skipped(http)
    await late(http, database, settings, tenant)
    whole, found, cursor = await seen(http), [], {}
    while True:
        answer = (await http.get("/v1/audit/exceptions", params={"limit": 3, **cursor})).json()
        found += answer["items"]
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}
    assert found == whole
    assert len(whole) == 12


async def test_drills_are_shown_on_request(http: httpx.AsyncClient) -> None:
    await skipped(http, exercise=True)
    assert await seen(http) == []
    assert [one["exercise"] for one in await seen(http, exercises=True)] == [True]


async def test_who_may_not_audit_or_see_the_registers_learns_nothing(
    http: httpx.AsyncClient,
    database: Database,
    settings: Settings,
    tenant: NewTenant,
    superuser: asyncpg.Connection,
) -> None:
    client = (await http.post("/v1/clients", json={"name": "A client"})).json()["id"]
    mine = await skipped(http, client_ids=[client])
    await skipped(http)
    await late(http, database, settings, tenant)
    engineer = await add_person(database, tenant.tenant_id, "it_security")
    assert (await http.get("/v1/audit/exceptions", headers=engineer.headers)).status_code == 403
    other = await create_tenant(database, f"Tenant {uuid4().hex[:8]}")
    answer = await http.get("/v1/audit/exceptions", headers={"Authorization": f"Bearer {other.key}"})
    assert answer.json()["items"] == []
    await superuser.execute("UPDATE api_keys SET client_ids = $2 WHERE id = $1", tenant.key_id, [client])
    assert [one["incident"]["id"] for one in await seen(http)] == [mine["id"]]
