"""The risk register over HTTP: reading it, changing it, what incidents propose, and who sees nothing of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import orjson
import pytest

from app.database import Database
from app.tenants import NewTenant, create_tenant
from tests.api.risk_calls import PLAN, REASON, declared, made, revise, risk
from tests.people import add_person


async def test_the_register_is_listed_with_scores_and_bands(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/risks")
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [item["ref"] for item in items] == [f"AR-{number:03}" for number in range(1, 11)]
    phishing = items[3]
    assert (phishing["inherent_score"], phishing["inherent_band"]) == (20, "critical")
    assert (phishing["residual_score"], phishing["residual_band"]) == (12, "high")
    assert phishing["status"] == "open"
    assert phishing["last_reviewed_at"] is None


async def test_the_list_is_filtered_paged_and_given_as_csv(http: httpx.AsyncClient, tenant: NewTenant) -> None:
    await made(http, "AR-002", decision="edit", edits={"owner_id": str(tenant.person_id), "status": "treating"})

    async def refs(query: str) -> list[str]:
        answer = await http.get(f"/v1/risks?{query}")
        assert answer.status_code == 200, answer.text
        return [item["ref"] for item in answer.json()["items"]]

    assert await refs("band=high") == ["AR-004"]
    assert await refs("band=high&band=critical") == ["AR-004"]
    assert await refs("band=low") == []
    assert await refs("status=treating") == ["AR-002"]
    assert await refs(f"owner={tenant.person_id}") == ["AR-002"]
    assert await refs("category=endpoint") == ["AR-008"]
    assert (await http.get("/v1/risks?band=huge")).status_code == 422
    page = await http.get("/v1/risks?limit=3")
    assert page.json()["next_cursor"]
    assert 'rel="next"' in page.headers["link"]
    csv = await http.get("/v1/risks", headers={"Accept": "text/csv"})
    assert csv.headers["content-type"].startswith("text/csv")
    lines = csv.text.splitlines()
    assert lines[0].startswith("ref,id,version,title,category,owner_id,status")
    assert len(lines) == 11


async def test_an_edit_is_a_revision_with_before_and_after(http: httpx.AsyncClient, tenant: NewTenant) -> None:
    edits = {"likelihood": 5, "treatment_plan": PLAN, "owner_id": str(tenant.person_id), "kris": ["=incidents"]}
    answer = await revise(http, decision="edit", edits=edits)
    assert answer.status_code == 201, answer.text
    revision = answer.json()
    assert (revision["status"], revision["cause"], revision["author_id"]) == (
        "accepted",
        "review",
        str(tenant.person_id),
    )
    assert (revision["before"]["likelihood"], revision["after"]["likelihood"]) == (4, 5)
    assert revision["decided_by"] == str(tenant.person_id)
    entry = await risk(http)
    assert (entry["inherent_score"], entry["inherent_band"], entry["version"]) == (20, "critical", 2)
    assert entry["treatment_plan"] == PLAN
    assert entry["owner_id"] == str(tenant.person_id)
    assert entry["last_reviewed_at"] == revision["at"]
    assert entry["next_review_at"] > entry["last_reviewed_at"]
    assert entry["revisions"] == [revision]
    again = await http.get(answer.headers["location"])
    assert again.json() == revision
    listed = await http.get("/v1/risks/AR-001/revisions")
    assert listed.json() == {"items": [revision], "next_cursor": None}
    assert (await http.get("/v1/risks/AR-002/revisions")).json()["items"] == []
    assert (await http.get(f"/v1/risks/AR-002/revisions/{revision['id']}")).status_code == 404
    assert (await http.get("/v1/risks/AR-999/revisions")).status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"decision": "no_change", "reason": "short"}, "/reason"),
        ({"decision": "no_change", "edits": {"likelihood": 5}}, "/edits"),
        ({"decision": "accept", "edits": {"likelihood": 5}}, "/edits/likelihood"),
        ({"decision": "edit", "edits": {}}, "/edits"),
        ({"decision": "edit", "edits": {"likelihood": 4}}, "/edits"),
        ({"decision": "edit", "edits": {"likelihood": 6}}, "/edits/likelihood"),
        ({"decision": "edit", "edits": {"likelihood": "5"}}, "/edits/likelihood"),
        ({"decision": "edit", "edits": {"likelihood": True}}, "/edits/likelihood"),
        ({"decision": "edit", "edits": {"title": None}}, "/edits/title"),
        ({"decision": "edit", "edits": {"version": 7}}, "/edits/version"),
        ({"decision": "edit", "edits": {"residual_likelihood": 5}}, "/residual_likelihood"),
        ({"decision": "edit", "edits": {"residual_likelihood": 4, "residual_impact": 4}}, "/treatment_plan"),
        ({"decision": "edit", "edits": {"status": "accepted"}}, "/acceptance/approved_by"),
        ({"decision": "edit", "edits": {"playbooks": ["no-such-playbook"]}}, "/edits/playbooks"),
        ({"decision": "edit", "edits": {"controls": ["CC99.1"]}}, "/edits/controls"),
        ({"decision": "edit", "edits": {"owner_id": "0190b5a8-0000-7000-8000-000000000000"}}, "/edits/owner_id"),
        ({"decision": "no_change", "cause": "weather"}, "/cause"),
        ({"decision": "no_change", "incident_id": "INC-9999"}, "/incident_id"),
        ({"decision": "no_change", "proposed_only": "yes"}, "/proposed_only"),
    ],
)
async def test_what_can_never_be_right_is_refused_with_its_place(
    http: httpx.AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    answer = await revise(http, **body)
    assert answer.status_code == 422, answer.text
    assert pointer in [fault["pointer"] for fault in answer.json()["errors"]]
    assert (await risk(http))["version"] == 1


async def test_only_an_active_inside_person_owns_a_risk(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    gone = await add_person(database, tenant.tenant_id, "risk_owner")
    async with database.transaction(tenant.tenant_id) as db:
        await db.execute("UPDATE people SET active = false WHERE tenant_id = $1 AND id = $2", tenant.tenant_id, gone.id)
    answer = await revise(http, decision="edit", edits={"owner_id": str(gone.id)})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == "/edits/owner_id"


async def test_the_register_changes_through_revisions_alone(http: httpx.AsyncClient) -> None:
    for method in ("PATCH", "PUT", "DELETE"):
        assert (await http.request(method, "/v1/risks/AR-001", json={"title": "Mine"})).status_code == 405


async def test_incidents_of_twelve_months_make_the_proposal(
    http: httpx.AsyncClient, superuser: asyncpg.Connection
) -> None:
    empty = (await http.get("/v1/risks/AR-001/proposal")).json()
    assert (empty["incident_count_12m"], empty["because"], empty["last_incident_at"]) == (0, [], None)
    assert empty["present"]["inherent"] == empty["inherent"] == 16
    made = [await declared(http) for _ in range(4)]
    await declared(http, exercise=True)
    rejected, old = made[0], made[1]
    await superuser.execute("UPDATE incidents SET status = 'rejected' WHERE id = $1", rejected["id"])
    long_ago = datetime.now(UTC) - timedelta(days=400)
    await superuser.execute("UPDATE incidents SET discovered_at = $2 WHERE id = $1", old["id"], long_ago)
    await superuser.execute(
        "UPDATE incidents SET severity = 'SEV1' WHERE id = ANY ($1)", [made[0]["id"], made[1]["id"]]
    )
    await superuser.execute(
        "UPDATE incidents SET severity = 'SEV3' WHERE id = ANY ($1)", [made[2]["id"], made[3]["id"]]
    )
    two = (await http.get("/v1/risks/AR-001/proposal")).json()
    assert (two["incident_count_12m"], two["highest_severity_12m"]) == (2, "SEV3")
    assert (two["likelihood"], two["impact"]) == (4, 4)
    assert two["last_incident_at"] == made[3]["discovered_at"]
    await superuser.execute("UPDATE incidents SET severity = 'SEV1' WHERE id = $1", made[3]["id"])
    await superuser.execute(
        "UPDATE documents SET value = $2 WHERE incident_id = $1 AND id = 'D08'",
        made[3]["id"],
        orjson.dumps({"category": "control_failure", "statement": "x" * 30}).decode(),
    )
    grave = (await http.get(f"/v1/risks/AR-001/proposal?incident_id={made[3]['number']}")).json()
    assert (grave["impact"], grave["inherent"], grave["inherent_band"]) == (5, 20, "critical")
    assert (grave["residual_likelihood"], grave["residual_impact"]) == (3, 4)
    assert len(grave["because"]) == 2
    assert grave["incident"] == {
        "id": made[3]["id"],
        "number": made[3]["number"],
        "status": "in_progress",
        "is_primary_risk": True,
        "revision_id": None,
    }
    assert (await http.get("/v1/risks/AR-001/proposal?incident_id=INC-9999")).status_code == 404
    assert (await http.get("/v1/risks/AR-999/proposal")).status_code == 404
    refused = await revise(http, decision="accept", incident_id=made[3]["id"])
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"] == "/treatment_plan"
    accepted = await revise(
        http, decision="accept", incident_id=made[3]["id"], edits={"treatment_plan": PLAN, "status": "treating"}
    )
    assert accepted.status_code == 201, accepted.text
    assert accepted.json()["proposal"]["impact"] == accepted.json()["after"]["impact"] == 5
    entry = await risk(http)
    assert (entry["residual_score"], entry["residual_band"], entry["status"]) == (12, "high", "treating")


async def test_a_repeated_request_revises_once(http: httpx.AsyncClient) -> None:
    body = {"decision": "edit", "reason": REASON, "edits": {"likelihood": 5}}
    headers = {"Idempotency-Key": str(uuid4())}
    answers = [await http.post("/v1/risks/AR-001/revisions", json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert (await risk(http))["version"] == 2


async def test_another_tenants_register_is_not_there(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    incident = await declared(http)
    revision = await made(http, incident_id=incident["id"])
    other = await create_tenant(database, f"Tenant {uuid4().hex[:8]}")
    headers = {"Authorization": f"Bearer {other.key}"}
    path = f"/v1/risks/AR-001/revisions/{revision['id']}"
    assert (await http.get(path, headers=headers)).status_code == 404
    body = {"transition": "reject", "reason": REASON}
    assert (await http.post(f"{path}/transitions", json=body, headers=headers)).status_code == 404
    cited = {"decision": "no_change", "reason": REASON, "incident_id": incident["id"]}
    refused = await http.post("/v1/risks/AR-001/revisions", json=cited, headers=headers)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"] == "/incident_id"
    theirs = await http.get("/v1/risks/AR-001", headers=headers)
    assert theirs.json()["revisions"] == []


async def test_a_key_limited_to_clients_sees_no_register(
    http: httpx.AsyncClient, superuser: asyncpg.Connection, tenant: NewTenant
) -> None:
    await made(http)
    await superuser.execute("UPDATE api_keys SET client_ids = $2 WHERE id = $1", tenant.key_id, [uuid4()])
    assert (await http.get("/v1/risks")).json()["items"] == []
    for path in ("", "/revisions", "/proposal"):
        assert (await http.get(f"/v1/risks/AR-001{path}")).status_code == 404
    assert (await revise(http)).status_code == 404


async def test_a_key_limited_to_a_period_does_not_weigh_a_risk(
    http: httpx.AsyncClient, superuser: asyncpg.Connection, tenant: NewTenant
) -> None:
    await superuser.execute("UPDATE api_keys SET period_from = now() - interval '1 day' WHERE id = $1", tenant.key_id)
    assert (await http.get("/v1/risks/AR-001")).status_code == 200
    assert (await http.get("/v1/risks/AR-001/proposal")).status_code == 403
    assert (await revise(http)).status_code == 403


async def test_an_outside_person_sees_no_register(
    http: httpx.AsyncClient, superuser: asyncpg.Connection, tenant: NewTenant
) -> None:
    await superuser.execute(
        "UPDATE people SET kind = 'external', expires_at = now() + interval '1 day' WHERE id = $1", tenant.person_id
    )
    for path in ("", "/AR-001", "/AR-001/revisions", "/AR-001/proposal"):
        assert (await http.get(f"/v1/risks{path}")).status_code == 403
    assert (await revise(http)).status_code == 403
