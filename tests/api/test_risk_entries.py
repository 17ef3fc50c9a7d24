"""Entries of one's own, the heat map, and reviews that fall due."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from app.database import Database
from app.rebuild import check_tenant
from app.settings import Settings
from app.tenants import NewTenant
from app.worker import Worker
from domain.timeline import instant_text
from tests.api.risk_calls import PLAN, REASON, d10, entry_of_ours, made, revise, risk
from tests.people import add_person, report


async def add(http: httpx.AsyncClient, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    return await http.post("/v1/risks", json=entry_of_ours(**more), headers=headers)


async def test_a_tenant_adds_an_entry_of_its_own(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    kris = ["follow-ups overdue", {"name": "notes older than a year", "target": "0", "value": "12"}]
    answer = await add(http, owner_id=str(tenant.person_id), controls=["CC9.2"], playbooks=["data-leakage"], kris=kris)
    assert answer.status_code == 201, answer.text
    entry = answer.json()
    assert (answer.headers["location"], answer.headers["etag"]) == ("/v1/risks/AR-011", '"1"')
    assert (entry["ref"], entry["inherent_score"], entry["residual_score"]) == ("AR-011", 9, 6)
    assert (entry["residual_band"], entry["status"], entry["owner_id"]) == ("medium", "open", str(tenant.person_id))
    assert [one if isinstance(one, str) else one["value"] for one in entry["kris"]] == ["follow-ups overdue", "12"]
    (revision,) = entry["revisions"]
    assert (revision["before"], revision["reason"], revision["cause"]) == ({}, REASON, "review")
    assert revision["after"]["title"] == entry["title"]
    assert await risk(http, "AR-011") == entry
    edited = await made(http, "AR-011", decision="edit", edits={"likelihood": 4})
    assert (edited["before"]["likelihood"], edited["after"]["likelihood"]) == (3, 4)
    incident = await report(http, playbook="generic-ai-incident", primary_risk="AR-011")
    await made(http, "AR-011", incident_id=incident["id"])
    assert (await d10(http, incident))["value"]["risk"] == "AR-011"
    assert (await check_tenant(database, tenant.tenant_id))["faults"] == []


async def test_entries_added_at_once_get_numbers_of_their_own(http: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(add(http, title=f"Risk {number}") for number in range(4)))
    assert sorted(answer.json()["ref"] for answer in answers) == ["AR-011", "AR-012", "AR-013", "AR-014"]


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"residual_likelihood": 4}, "/residual_likelihood"),
        ({"reason": "Short."}, "/reason"),
        ({"controls": ["CC9.9"]}, "/controls"),
        ({"owner_id": "00000000-0000-7000-8000-000000000001"}, "/owner_id"),
        ({"impact": 5, "likelihood": 4, "residual_impact": 5}, "/treatment_plan"),
        ({"status": "accepted"}, "/acceptance/approved_by"),
        ({"likelihood": 6}, "/likelihood"),
    ],
)
async def test_an_entry_that_breaks_the_rules_is_refused(
    http: httpx.AsyncClient, members: dict[str, Any], pointer: str
) -> None:
    answer = await add(http, **members)
    assert answer.status_code == 422, answer.text
    assert pointer in {fault["pointer"] for fault in answer.json()["errors"]}
    assert (await http.get("/v1/risks/AR-011")).status_code == 404


async def test_who_adds_an_entry_is_who_may_accept_its_band(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    critical = {"likelihood": 5, "impact": 5, "residual_likelihood": 4, "residual_impact": 5, "treatment_plan": PLAN}
    leader = await add_person(database, tenant.tenant_id, "executive_leadership")
    auditor = await add_person(database, tenant.tenant_id, "auditor")
    privacy = await add_person(database, tenant.tenant_id, "privacy")
    assert (await add(http, **critical)).status_code == 403
    assert (await add(http, leader.headers, **critical)).status_code == 201
    assert (await add(http, leader.headers)).status_code == 403
    assert (await add(http, auditor.headers)).status_code == 403
    assert (await add(http, privacy.headers)).status_code == 403


async def test_a_key_limited_to_clients_adds_nothing_and_sees_an_empty_map(
    http: httpx.AsyncClient, database: Database, superuser: asyncpg.Connection, tenant: NewTenant
) -> None:
    owner = await add_person(database, tenant.tenant_id, "risk_owner")
    client = (await http.post("/v1/clients", json={"name": "Client"})).json()["id"]
    await superuser.execute("UPDATE api_keys SET client_ids = $2::uuid[] WHERE person_id = $1", owner.id, [client])
    assert (await add(http, owner.headers)).status_code == 403
    seen = (await http.get("/v1/risks/heat-map", headers=owner.headers)).json()
    assert (seen["total"], seen["late_reviews"]) == (0, 0)


async def test_an_accepted_risk_names_who_accepted_it_and_until_when(
    http: httpx.AsyncClient, tenant: NewTenant
) -> None:
    until = datetime.now(UTC) + timedelta(days=30)
    entry = (await add(http, status="accepted", acceptance={"expires_at": instant_text(until)})).json()
    assert entry["acceptance"]["approved_by"] == str(tenant.person_id)
    assert entry["next_review_at"] == instant_text(until)  # the acceptance ends before the half year of a medium risk
    longer = instant_text(datetime.now(UTC) + timedelta(days=367))
    assert (await add(http, status="accepted", acceptance={"expires_at": longer})).status_code == 422


async def test_the_heat_map_counts_every_cell(http: httpx.AsyncClient) -> None:
    first = (await http.get("/v1/risks/heat-map")).json()
    assert [(c["likelihood"], c["impact"]) for c in first["inherent"]] == [
        (i, j) for i in range(1, 6) for j in range(1, 6)
    ]
    # As the register ships (AR-001 to AR-010), counted by hand.
    inherent = {(c["likelihood"], c["impact"]): c["refs"] for c in first["inherent"] if c["count"]}
    assert inherent == {
        (3, 4): ["AR-005", "AR-006", "AR-009"],
        (3, 5): ["AR-007", "AR-010"],
        (4, 3): ["AR-003", "AR-008"],
        (4, 4): ["AR-001"],
        (4, 5): ["AR-004"],
        (5, 3): ["AR-002"],
    }
    residual = {(c["likelihood"], c["impact"]): c["count"] for c in first["residual"] if c["count"]}
    assert residual == {(3, 3): 4, (3, 4): 1, (2, 4): 4, (2, 3): 1}
    assert first["bands"] == {
        "inherent": {"low": 0, "medium": 0, "high": 9, "critical": 1},
        "residual": {"low": 0, "medium": 9, "high": 1, "critical": 0},
    }
    assert (first["total"], first["late_reviews"]) == (10, 0)
    await made(http, "AR-008", decision="edit", edits={"status": "closed"})
    assert (await http.get("/v1/risks/heat-map")).json()["total"] == 9
    closed = (await http.get("/v1/risks/heat-map?status=closed")).json()
    assert [c["refs"] for c in closed["residual"] if c["count"]] == [["AR-008"]]
    assert len((await http.get("/v1/risks/key-indicators")).json()["items"]) == 6


async def test_a_late_review_is_told_once_and_shown_until_it_is_done(
    http: httpx.AsyncClient, database: Database, superuser: asyncpg.Connection, settings: Settings, tenant: NewTenant
) -> None:
    def worker(**ahead: float) -> Worker:
        return Worker(database, settings, clock=lambda: datetime.now(UTC) + timedelta(**ahead))

    async def told() -> list[str]:
        rows = await superuser.fetch(
            "SELECT d.data ->> 'ref' FROM events e JOIN event_data d USING (tenant_id, stream, stream_id, seq)"
            " WHERE e.tenant_id = $1 AND e.kind = 'risk.review_late' ORDER BY 1",
            tenant.tenant_id,
        )
        return [row[0] for row in rows]

    due = datetime.fromisoformat((await risk(http, "AR-004"))["next_review_at"])
    assert timedelta(days=88) < due - datetime.now(UTC) < timedelta(days=93)  # high: every three months
    await worker(days=80).work_for(tenant.tenant_id)
    assert await told() == []
    await worker(days=100).work_for(tenant.tenant_id)
    await worker(days=101).work_for(tenant.tenant_id)
    assert await told() == ["AR-004"]
    await superuser.execute(
        "UPDATE risks SET next_review_at = now() - interval '1 day' WHERE tenant_id = $1 AND ref = 'AR-001'",
        tenant.tenant_id,
    )
    late = (await http.get("/v1/risks?review_late=true")).json()["items"]
    assert [item["ref"] for item in late] == ["AR-001"]
    assert (await http.get("/v1/risks/heat-map")).json()["late_reviews"] == 1
    await made(http, "AR-001")
    await made(http, "AR-004")
    assert (await http.get("/v1/risks?review_late=true")).json()["items"] == []
    assert (await risk(http, "AR-004"))["late_review_announced_at"] is None
    await worker(days=100).work_for(tenant.tenant_id)
    assert await told() == ["AR-004", "AR-004"]  # the next one fell due and passed as well
    report = await check_tenant(database, tenant.tenant_id)
    assert report["faults"] == []


async def test_a_plan_is_asked_for_where_the_residual_is_high(http: httpx.AsyncClient) -> None:
    edits: dict[str, Any] = {"residual_impact": 4, "residual_likelihood": 4}
    refused = await revise(http, decision="edit", edits=edits)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/treatment_plan"
    entry = await made(
        http, decision="edit", edits={**edits, "treatment_plan": PLAN, "treatments": ["mitigate", "transfer"]}
    )
    assert entry["after"]["treatment_plan"]["actions"] == PLAN["actions"]
