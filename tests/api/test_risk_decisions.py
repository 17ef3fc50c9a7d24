"""Decisions on risks over HTTP: how D10 completes, who decides, proposals that wait, and races."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from app.database import Database
from app.rebuild import check_tenant
from app.tenants import NewTenant
from tests.api.risk_calls import PLAN, REASON, d10, decide, declared, made, revise, risk
from tests.people import Somebody, add_person


async def test_an_accepted_revision_of_the_primary_risk_completes_d10(
    http: httpx.AsyncClient, superuser: asyncpg.Connection, tenant: NewTenant
) -> None:
    incident = await declared(http)
    before = await d10(http, incident)
    assert (before["state"], before["value"]) == ("missing", None)
    assert before["missing"][0]["href"] == "/v1/risks/AR-001/revisions"
    await made(http, "AR-005", incident_id=incident["number"])
    await made(http, proposed_only=True, incident_id=incident["id"])
    await made(http)
    assert (await d10(http, incident))["state"] == "missing"
    written = await http.put(
        f"/v1/incidents/{incident['id']}/documentation/D10", json={"risk": "AR-001", "revision_id": str(uuid4())}
    )
    assert written.status_code == 422

    revision = await made(http, incident_id=incident["number"])
    assert (revision["cause"], revision["incident_id"]) == ("incident", incident["id"])
    after = await d10(http, incident)
    assert (after["state"], after["missing"]) == ("complete", [])
    value = after["value"]
    assert (value["risk"], value["revision_id"], value["no_change"]) == ("AR-001", revision["id"], True)
    assert value["rationale"] == REASON
    assert value["before"] == value["after"]
    assert value["before"]["residual"] == 9

    kinds = [
        (row["stream"], row["kind"])
        for row in await superuser.fetch(
            "SELECT e.stream, e.kind FROM events e JOIN event_data d USING (tenant_id, stream, stream_id, seq)"
            " WHERE e.tenant_id = $1 AND d.data ->> 'revision_id' = $2 ORDER BY e.stream",
            tenant.tenant_id,
            revision["id"],
        )
    ]
    assert kinds == [("incident", "risk.updated_by_incident"), ("risk", "risk.revised")]
    about = await http.get(f"/v1/risks/AR-001/proposal?incident_id={incident['id']}")
    assert about.json()["incident"]["revision_id"] == revision["id"]

    edited = await made(http, decision="edit", edits={"likelihood": 5}, incident_id=incident["id"])
    value = (await d10(http, incident))["value"]
    assert (value["revision_id"], value["no_change"], value["decision"]) == (edited["id"], False, "edit")
    assert (value["before"]["likelihood"], value["after"]["likelihood"]) == (4, 5)


async def test_an_incident_is_cited_only_while_it_is_declared_and_open(
    http: httpx.AsyncClient, superuser: asyncpg.Connection
) -> None:
    reported = await http.post("/v1/incidents", json={"title": "Something odd"})
    undeclared = await revise(http, incident_id=reported.json()["number"])
    assert undeclared.status_code == 409, undeclared.text
    assert undeclared.json()["current"]["status"] == "reported"
    incident = await declared(http)
    wrong = await revise(http, incident_id=incident["id"], cause="audit")
    assert wrong.status_code == 422, wrong.text
    assert wrong.json()["errors"][0]["pointer"] == "/cause"
    for status in ("closed", "rejected"):
        await superuser.execute("UPDATE incidents SET status = $2 WHERE id = $1", incident["id"], status)
        refused = await revise(http, incident_id=incident["id"])
        assert refused.status_code == 409, refused.text
        assert refused.json()["current"]["status"] == status
    assert (await risk(http))["revisions"] == []


async def test_a_decision_needs_a_risk_owner_and_a_critical_one_leadership(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    privacy = await add_person(database, tenant.tenant_id, "privacy")
    staff = await add_person(database, tenant.tenant_id, "any_staff")
    auditor = await add_person(database, tenant.tenant_id, "auditor")
    leader = await add_person(database, tenant.tenant_id, "executive_leadership")
    assert (await revise(http, by=privacy)).status_code == 403
    assert (await revise(http, by=staff)).status_code == 403
    assert (await revise(http, by=auditor)).status_code == 403
    assert (await revise(http, by=leader)).status_code == 403
    assert (await http.get("/v1/risks", headers=staff.headers)).status_code == 403
    assert (await http.get("/v1/risks", headers=auditor.headers)).status_code == 200
    assert (await revise(http, by=auditor, proposed_only=True)).status_code == 403
    critical: dict[str, Any] = {
        "decision": "edit",
        "edits": {"residual_likelihood": 4, "residual_impact": 5, "treatment_plan": PLAN},
    }
    assert (await revise(http, "AR-004", **critical)).status_code == 403
    assert (await revise(http, "AR-004", by=leader, **critical)).status_code == 201
    assert (await risk(http, "AR-004"))["residual_band"] == "critical"
    # Nor does a risk owner alone score it down again, or state that it stands.
    lowered: dict[str, Any] = {"decision": "edit", "edits": {"residual_likelihood": 1}}
    assert (await revise(http, "AR-004", **lowered)).status_code == 403
    assert (await revise(http, "AR-004")).status_code == 403
    assert (await revise(http, "AR-004", by=leader, **lowered)).status_code == 201


async def test_a_proposal_waits_for_somebody_who_may_decide(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    privacy = await add_person(database, tenant.tenant_id, "privacy")
    owner = await add_person(database, tenant.tenant_id, "risk_owner")
    incident = await declared(http)
    proposed = await made(
        http,
        by=privacy,
        decision="edit",
        edits={"likelihood": 5, "status": "treating"},
        proposed_only=True,
        incident_id=incident["id"],
    )
    assert (proposed["status"], proposed["author_id"], proposed["decided_by"]) == ("proposed", str(privacy.id), None)
    entry = await risk(http)
    assert (entry["likelihood"], entry["version"], entry["last_reviewed_at"]) == (4, 1, None)
    assert (await d10(http, incident))["state"] == "missing"
    assert (await decide(http, proposed, "accept", privacy)).status_code == 403
    assert (await decide(http, proposed, "reject", privacy)).status_code == 403
    stranger = {**proposed, "risk_ref": "AR-002"}
    assert (await decide(http, stranger, "accept", owner)).status_code == 404

    answer = await decide(http, proposed, "accept", owner)
    assert answer.status_code == 200, answer.text
    accepted = answer.json()
    assert (accepted["status"], accepted["author_id"], accepted["decided_by"]) == (
        "accepted",
        str(privacy.id),
        str(owner.id),
    )
    assert accepted["decision_reason"] == REASON
    entry = await risk(http)
    assert (entry["likelihood"], entry["status"], entry["version"]) == (5, "treating", 2)
    value = (await d10(http, incident))["value"]
    assert (value["revision_id"], value["accepted_by"]) == (proposed["id"], str(owner.id))
    again = await decide(http, proposed, "reject", owner)
    assert again.status_code == 409
    assert again.json()["current"]["status"] == "accepted"


async def test_a_proposal_on_an_entry_that_moved_is_decided_anew(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    owner = await add_person(database, tenant.tenant_id, "risk_owner")
    proposed = await made(http, decision="edit", edits={"likelihood": 5}, proposed_only=True)
    await made(http)  # a review that changes no words or scores leaves the proposal as good as it was
    other = await made(http, decision="edit", edits={"impact": 5}, proposed_only=True)
    assert (await decide(http, proposed, "accept", owner)).status_code == 200
    stale = await decide(http, other, "accept", owner)
    assert stale.status_code == 409, stale.text
    assert stale.json()["current"]["likelihood"] == 5
    rejected = await decide(http, other, "reject", owner)
    assert rejected.status_code == 200, rejected.text
    assert rejected.json()["status"] == "rejected"
    assert (await risk(http))["impact"] == 4
    found = await http.get("/v1/risks/AR-001/revisions?status=rejected")
    assert [item["id"] for item in found.json()["items"]] == [other["id"]]


async def test_who_accepts_a_risk_is_who_decides(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    owner = await add_person(database, tenant.tenant_id, "risk_owner")
    until = (datetime.now(UTC) + timedelta(days=200)).isoformat()
    someone = {"status": "accepted", "acceptance": {"expires_at": until, "approved_by": str(owner.id)}}
    refused = await revise(http, decision="edit", edits=someone)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"] == "/edits/acceptance/approved_by"
    too_long = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    over = await revise(http, decision="edit", edits={"status": "accepted", "acceptance": {"expires_at": too_long}})
    assert over.status_code == 422, over.text
    proposed = await made(
        http, decision="edit", edits={"status": "accepted", "acceptance": {"expires_at": until}}, proposed_only=True
    )
    assert (await decide(http, proposed, "accept", owner)).status_code == 200
    entry = await risk(http)
    assert entry["status"] == "accepted"
    assert entry["acceptance"]["approved_by"] == str(owner.id)


async def test_two_revisions_at_once_follow_one_another(http: httpx.AsyncClient) -> None:
    incident = await declared(http)
    edits = [{"likelihood": 5}, {"impact": 5}, {"title": "Leaks"}, {"category": "privacy"}]
    answers = await asyncio.gather(
        *(revise(http, decision="edit", edits=edit, incident_id=incident["id"]) for edit in edits)
    )
    assert [answer.status_code for answer in answers] == [201] * 4, [answer.text for answer in answers]
    entry = await risk(http)
    assert (entry["version"], entry["likelihood"], entry["impact"], entry["title"]) == (5, 5, 5, "Leaks")
    line = sorted((answer.json() for answer in answers), key=lambda revision: revision["at"])
    for earlier, later in pairwise(line):
        assert later["before"] == earlier["after"]
    assert (await d10(http, incident))["value"]["revision_id"] == line[-1]["id"]


async def test_of_two_who_read_the_same_version_one_wins(http: httpx.AsyncClient) -> None:
    async def guarded(edit: dict[str, Any]) -> httpx.Response:
        body = {"decision": "edit", "reason": REASON, "edits": edit}
        return await http.post("/v1/risks/AR-001/revisions", json=body, headers={"If-Match": '"1"'})

    answers = await asyncio.gather(guarded({"likelihood": 5}), guarded({"impact": 5}))
    assert sorted(answer.status_code for answer in answers) == [201, 412]
    assert (await risk(http))["version"] == 2


async def test_one_of_two_decisions_on_a_proposal_wins(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    owner = await add_person(database, tenant.tenant_id, "risk_owner")
    incident = await declared(http)
    proposed = await made(
        http, decision="edit", edits={"likelihood": 5}, proposed_only=True, incident_id=incident["id"]
    )
    answers = await asyncio.gather(decide(http, proposed, "accept", owner), decide(http, proposed, "reject", owner))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    won = next(answer.json()["status"] for answer in answers if answer.status_code == 200)
    assert (await risk(http))["likelihood"] == (5 if won == "accepted" else 4)
    assert (await d10(http, incident))["state"] == ("complete" if won == "accepted" else "missing")


async def test_a_service_account_decides_nothing(
    http: httpx.AsyncClient, superuser: asyncpg.Connection, tenant: NewTenant
) -> None:
    account = uuid4()
    await superuser.execute(
        "INSERT INTO service_accounts (tenant_id, id, name) VALUES ($1, $2, 'Robot')", tenant.tenant_id, account
    )
    await superuser.execute(
        "UPDATE api_keys SET person_id = NULL, service_account_id = $2 WHERE id = $1", tenant.key_id, account
    )
    assert (await revise(http)).status_code == 403
    assert (await revise(http, proposed_only=True)).status_code == 403
    assert (await http.get("/v1/risks")).status_code == 403


async def test_what_is_stored_is_what_the_events_say(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    await made(http, decision="edit", edits={"likelihood": 5, "treatment_plan": PLAN})
    proposed = await made(http, decision="edit", edits={"impact": 5}, proposed_only=True)
    owner = Somebody(tenant.person_id, tenant.key)
    assert (await decide(http, proposed, "accept", owner)).status_code == 200
    report = await check_tenant(database, tenant.tenant_id)
    assert report["faults"] == []


async def test_a_revision_queues_the_open_incidents_of_its_risk(
    http: httpx.AsyncClient, superuser: asyncpg.Connection, tenant: NewTenant
) -> None:
    incident = await declared(http)
    await made(http, "AR-005")
    await made(http, proposed_only=True)
    queued = "SELECT subject_id::text FROM due_work WHERE tenant_id = $1 AND kind = 'reevaluate'"
    assert await superuser.fetch(queued, tenant.tenant_id) == []
    await made(http)
    assert [row[0] for row in await superuser.fetch(queued, tenant.tenant_id)] == [incident["id"]]
