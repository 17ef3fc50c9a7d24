"""The risk register over HTTP: reading it, what incidents propose, who decides a revision, and how D10 completes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import orjson
import pytest

from app.database import Database
from app.tenants import NewTenant, create_tenant
from tests.people import Somebody, add_person

REASON = "Reviewed with the team after the incident."
PLAN = {"actions": [{"title": "Block uploads to public chatbots", "due": "2027-01-31"}]}


async def declared(http: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    """A declared incident whose primary risk is AR-001."""
    report = {"title": "Client list pasted into a chatbot", "playbook": "data-leakage", **more}
    answer = await http.post("/v1/incidents", json=report)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert found["primary_risk"] == "AR-001"
    return found


async def revise(
    http: httpx.AsyncClient, ref: str = "AR-001", *, by: Somebody | None = None, **body: Any
) -> httpx.Response:
    """A revision; `no_change` with a reason unless said otherwise."""
    given = {"decision": "no_change", "reason": REASON, **body}
    return await http.post(f"/v1/risks/{ref}/revisions", json=given, headers=by.headers if by else None)


async def made(http: httpx.AsyncClient, ref: str = "AR-001", **body: Any) -> dict[str, Any]:
    """A revision that is let pass."""
    answer = await revise(http, ref, **body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def d10(http: httpx.AsyncClient, incident: dict[str, Any]) -> dict[str, Any]:
    """The incident's documentation item about the register."""
    answer = await http.get(f"/v1/incidents/{incident['id']}/documentation")
    assert answer.status_code == 200, answer.text
    return next(item for item in answer.json() if item["id"] == "D10")


async def risk(http: httpx.AsyncClient, ref: str = "AR-001") -> dict[str, Any]:
    answer = await http.get(f"/v1/risks/{ref}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["etag"] == f'"{found["version"]}"'
    return found


async def decide(http: httpx.AsyncClient, revision: dict[str, Any], transition: str, by: Somebody) -> httpx.Response:
    return await http.post(
        f"/v1/risks/{revision['risk_ref']}/revisions/{revision['id']}/transitions",
        json={"transition": transition, "reason": REASON},
        headers=by.headers,
    )


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
    for status in ("closed", "rejected"):
        await superuser.execute("UPDATE incidents SET status = $2 WHERE id = $1", incident["id"], status)
        refused = await revise(http, incident_id=incident["id"])
        assert refused.status_code == 409, refused.text
        assert refused.json()["current"]["status"] == status
    wrong = await revise(http, incident_id=incident["id"], cause="audit")
    assert wrong.status_code in (409, 422)
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
    critical = {
        "decision": "edit",
        "edits": {"residual_likelihood": 4, "residual_impact": 5, "treatment_plan": PLAN},
    }
    assert (await revise(http, "AR-004", **critical)).status_code == 403
    assert (await revise(http, "AR-004", by=leader, **critical)).status_code == 201
    assert (await risk(http, "AR-004"))["residual_band"] == "critical"
    # Nor does a risk owner alone score it down again, or state that it stands.
    lowered = {"decision": "edit", "edits": {"residual_likelihood": 1}}
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
    http: httpx.AsyncClient, superuser: asyncpg.Connection, tenant: NewTenant
) -> None:
    await made(http, decision="edit", edits={"likelihood": 5, "treatment_plan": PLAN})
    proposed = await made(http, decision="edit", edits={"impact": 5}, proposed_only=True)
    owner = Somebody(tenant.person_id, tenant.key)
    assert (await decide(http, proposed, "accept", owner)).status_code == 200
    rows = await superuser.fetch(
        "SELECT d.data FROM event_data d JOIN risks r ON r.tenant_id = d.tenant_id AND r.id = d.stream_id"
        " WHERE d.tenant_id = $1 AND d.stream = 'risk' AND r.ref = 'AR-001' ORDER BY d.seq",
        tenant.tenant_id,
    )
    state: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        for table, changed in orjson.loads(row["data"])["changes"].items():
            for key, columns in changed.items():
                state.setdefault(table, {}).setdefault(key, {}).update(columns)
    for table, key in (("risks", "ref"), ("risk_revisions", "id")):
        for value, columns in state[table].items():
            stored = await superuser.fetchval(
                f"SELECT to_jsonb(t)::text FROM {table} t WHERE t.tenant_id = $1 AND t.{key}::text = $2",
                tenant.tenant_id,
                value,
            )
            found = orjson.loads(stored)
            for name, told in columns.items():
                if name.endswith("_at") or name == "at":
                    assert datetime.fromisoformat(found[name]) == datetime.fromisoformat(told)
                elif name != "id" or table == "risk_revisions":
                    assert found[name] == told, name
