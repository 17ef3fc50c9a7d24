"""The register of AI tools over HTTP: requests, assessments, decisions with their artifacts, lists and walls."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from app.database import Database
from app.rebuild import check_tenant
from app.settings import Settings
from app.tenants import NewTenant, create_tenant
from app.worker import Worker
from tests.api.people import enrolled
from tests.api.tool_calls import APPROVAL, GOOD, REPORTED, WHY, assessed, decided, ok, refused, requested
from tests.people import add_person

pytestmark = pytest.mark.timeout(60)


async def test_a_request_is_filled_in_from_the_directory(http: httpx.AsyncClient) -> None:
    tool = await requested(http, "Claude", service="claude", intended_use="Drafting answers")
    assert (tool["status"], tool["vendor"], tool["domains"]) == ("requested", "Anthropic", ["claude.ai"])
    taken = await refused(http, "POST", "/v1/tools", {"name": "  CLAUDE "})
    assert (taken["code"], taken["current"]["id"]) == ("tool-exists", tool["id"])
    unknown = await refused(http, "POST", "/v1/tools", {"name": "Other", "service": "no-such-service"})
    assert unknown["errors"][0]["pointer"] == "/service"
    owner = await refused(http, "POST", "/v1/tools", {"name": "Other", "owner_id": str(uuid4())})
    assert owner["errors"][0]["pointer"] == "/owner_id"


async def test_answers_suggest_and_put_a_request_under_review(http: httpx.AsyncClient) -> None:
    tool = await requested(http)
    path = f"/v1/tools/{tool['id']}/assessment"
    first = await ok(http, "PATCH", path, {"answers": {"VC-1": GOOD["VC-1"]}})
    assert (first["status"], first["suggested"]["outcome"]) == ("draft", "conditional")
    whole = await assessed(http, tool)
    assert (whole["id"], whole["status"], whole["suggested"]["outcome"]) == (first["id"], "complete", "approve")
    read = await ok(http, "GET", f"/v1/tools/{tool['id']}")
    assert (read["status"], read["report_type"], read["report_period_end"]) == ("under_review", "type_2", REPORTED)
    for body, pointer in (
        ({"answers": {"VC-9": GOOD["VC-1"]}}, "/answers/VC-9"),
        ({"answers": {"VC-1": {"answer": "yes"}}}, "/answers/VC-1"),
        ({"personal_data": "yes"}, "/personal_data"),
        ({"status": "decided"}, "/status"),
    ):
        fault = await refused(http, "PATCH", path, body)
        assert fault["errors"][0]["pointer"].startswith(pointer)


async def test_approve_takes_two_persons_and_a_passed_checklist(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    me = (await ok(http, "GET", "/v1/me"))["id"]
    tool = await requested(http, owner_id=me)
    decisions = f"/v1/tools/{tool['id']}/decisions"
    early = await refused(http, "POST", decisions, APPROVAL)
    assert (early["gate"], [m["ref"] for m in early["missing"]]) == ("G-SA-2", ["VC-1", "VC-2", "VC-3", "VC-4"])
    await assessed(http, tool)
    lacking = await refused(http, "POST", decisions, {"outcome": "approve", "reason": WHY})
    assert [e["pointer"] for e in lacking["errors"]] == ["/approved_uses", "/approved_data_classes"]
    proposed = await ok(http, "POST", decisions, APPROVAL, 201)
    assert (proposed["status"], proposed["status_after"]) == ("proposed", "approved")
    assert (await ok(http, "GET", f"/v1/tools/{tool['id']}"))["status"] == "under_review"
    again = await refused(http, "POST", decisions, {"outcome": "block", "reason": WHY})
    assert again["current"]["decision_id"] == proposed["id"]
    turn = f"{decisions}/{proposed['id']}/transitions"
    alone = await refused(http, "POST", turn, {"transition": "approve"})
    assert (alone["code"], alone["gate"]) == ("gate-refused", "G-ALL-11")
    wrong = await add_person(database, tenant.tenant_id, "vendor_management", name="Wes Vendor")
    other = await add_person(database, tenant.tenant_id, "it_security", name="Ida Second")
    answer = await http.post(turn, json={"transition": "approve"}, headers=wrong.headers)
    assert answer.status_code == 403
    answer = await http.post(turn, json={"transition": "approve", "reason": "Seen."}, headers=other.headers)
    assert answer.status_code == 200, answer.text
    assert [a["role"] for a in answer.json()["approvals"]] == ["risk_owner", "it_security"]
    read = await ok(http, "GET", f"/v1/tools/{tool['id']}")
    assert (read["status"], read["approved_uses"], read["owner_id"]) == ("approved", ["Drafting texts"], me)
    due = datetime.fromisoformat(read["review_due_at"])
    assert timedelta(days=364) < due - datetime.now(UTC) < timedelta(days=367)
    assert read["assessments"][0]["status"] == "decided"
    late = await http.post(turn, json={"transition": "approve"}, headers=other.headers)
    assert late.status_code == 409


async def test_a_proposal_waits_in_the_work_of_who_may_give_the_second_approval(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    tool = await requested(http, owner_id=(await ok(http, "GET", "/v1/me"))["id"])
    await assessed(http, tool)
    decisions = f"/v1/tools/{tool['id']}/decisions"
    proposed = await ok(http, "POST", decisions, APPROVAL, 201)
    wrong = await add_person(database, tenant.tenant_id, "vendor_management", name="Wes Vendor")
    other = await add_person(database, tenant.tenant_id, "it_security", name="Ida Second")
    _, stand_in = await enrolled(http, "it_security")  # the proposer could act as this person

    async def waits(headers: dict[str, str]) -> list[dict[str, Any]]:
        answer = await http.get("/v1/me/work", headers=headers)
        assert answer.status_code == 200, answer.text
        return [item for item in answer.json()["items"] if item["tool_id"]]

    (item,) = await waits(other.headers)
    assert (item["kind"], item["tool_id"], item["ref"]) == ("approval", tool["id"], proposed["id"])
    assert (item["incident_id"], item["number"], item["title"]) == (None, None, tool["name"])
    for headers in ({}, wrong.headers, {"Authorization": f"Bearer {stand_in}"}):
        assert await waits(headers) == []
    turn = f"{decisions}/{proposed['id']}/transitions"
    answer = await http.post(turn, json={"transition": "approve"}, headers=other.headers)
    assert answer.status_code == 200, answer.text
    assert await waits(other.headers) == []


async def test_personal_data_among_the_approved_classes_asks_for_an_agreement(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    me = (await ok(http, "GET", "/v1/me"))["id"]
    tool = await requested(http, owner_id=me)
    await assessed(http, tool, VC_3={"answer": "no", "source": "contract"})
    await ok(http, "PATCH", f"/v1/tools/{tool['id']}/assessment", {"personal_data": False})
    body = {**APPROVAL, "approved_data_classes": ["contact_data"]}
    proposed = await ok(http, "POST", f"/v1/tools/{tool['id']}/decisions", body, 201)
    other = await add_person(database, tenant.tenant_id, "it_security")
    turn = f"/v1/tools/{tool['id']}/decisions/{proposed['id']}/transitions"
    answer = await http.post(turn, json={"transition": "approve"}, headers=other.headers)
    assert (answer.status_code, answer.json()["gate"]) == (409, "G-SA-2")
    assert [m["ref"] for m in answer.json()["missing"]] == ["VC-3"]
    rejected = await ok(http, "POST", turn, {"transition": "reject", "reason": "Contact data is in scope."})
    assert rejected["status"] == "rejected"


async def test_conditional_and_block_bring_their_artifacts_and_end_each_other(http: httpx.AsyncClient) -> None:
    tool = await requested(http, domains=["Chat.Example.com"], extension_ids=["abcdef"])
    condition = await decided(http, tool, "conditional")
    assert condition["artifact"]["conditions"] == ["No client data is entered.", "No personal data is entered."]
    assert condition["artifact"]["acknowledgement_required"] is True
    block = await decided(http, tool, "block")
    assert block["status_before"] == "conditional"
    assert block["artifact"]["blocked_domains"] == ["chat.example.com"]
    read = await ok(http, "GET", f"/v1/tools/{tool['id']}")
    assert (read["status"], read["conditions"], read["review_due_at"]) == ("blocked", [], None)
    assert read["block_requested_at"] is not None
    assert read["block_confirmed_at"] is None
    turn = f"/v1/tools/{tool['id']}/decisions/{block['id']}/transitions"
    early = {"transition": "confirm_block", "occurred_at": "2020-01-01T00:00:00Z"}
    assert (await refused(http, "POST", turn, early))["errors"][0]["pointer"] == "/occurred_at"
    await ok(http, "POST", turn, {"transition": "confirm_block"})
    assert (await ok(http, "GET", f"/v1/tools/{tool['id']}"))["block_confirmed_at"] is not None
    strange = {"outcome": "retire", "reason": WHY, "conditions": ["None"]}
    fault = await refused(http, "POST", f"/v1/tools/{tool['id']}/decisions", strange)
    assert fault["errors"][0]["pointer"] == "/conditions"
    await decided(http, tool, "retire")
    twice = await refused(http, "POST", f"/v1/tools/{tool['id']}/decisions", {"outcome": "retire", "reason": WHY})
    assert twice["code"] == "state-conflict"
    nothing = await requested(http, "Nowhere")
    lacks = await refused(
        http, "POST", f"/v1/tools/{nothing['id']}/decisions", {"outcome": "block", "reason": "No use for it."}
    )
    assert lacks["errors"][0]["pointer"] == "/blocked_domains"


async def test_deciding_otherwise_than_suggested_takes_a_reason(http: httpx.AsyncClient) -> None:
    tool = await requested(http, domains=["chat.example.com"])
    await assessed(http, tool)
    body = {"outcome": "block", "reason": "No."}
    fault = await refused(http, "POST", f"/v1/tools/{tool['id']}/decisions", body)
    assert "suggests approve" in fault["errors"][0]["reason"]
    assert (await decided(http, tool, "block"))["suggested"] == "approve"


async def test_the_register_is_listed_filtered_and_given_as_csv(http: httpx.AsyncClient) -> None:
    alpha = await requested(http, "Alpha Chat", vendor="Acme", domains=["alpha.example"])
    await requested(http, "Beta Notes", vendor="Beta Inc")
    await decided(http, alpha, "block")

    async def names(query: str) -> list[str]:
        return [item["name"] for item in (await ok(http, "GET", f"/v1/tools?{query}"))["items"]]

    assert await names("") == ["Alpha Chat", "Beta Notes"]
    assert await names("status=blocked") == ["Alpha Chat"]
    assert await names("q=notes%20beta") == ["Beta Notes"]
    assert await names("domain=ALPHA.example") == ["Alpha Chat"]
    assert await names("vendor=acme") == ["Alpha Chat"]
    assert await names("review_due_before=2090-01-01T00:00:00Z") == []
    first = await ok(http, "GET", "/v1/tools?limit=1")
    assert [i["name"] for i in first["items"]] == ["Alpha Chat"]
    assert await names(f"limit=1&cursor={first['next_cursor']}") == ["Beta Notes"]
    answer = await http.get("/v1/tools", headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["name"], row["status"]) for row in rows] == [("Alpha Chat", "blocked"), ("Beta Notes", "requested")]
    listed = await ok(http, "GET", "/v1/tool-decisions?outcome=block")
    assert [(d["tool_name"], d["status_after"]) for d in listed["items"]] == [("Alpha Chat", "blocked")]
    assert (await ok(http, "GET", "/v1/tool-decisions?decided_to=2020-01-01T00:00:00Z"))["items"] == []


async def test_an_edit_keeps_what_is_absent_and_heeds_the_version(http: httpx.AsyncClient) -> None:
    tool = await requested(http, vendor="Acme")
    other = await requested(http, "Other")
    path = f"/v1/tools/{tool['id']}"
    read = await http.get(path)
    edited = await http.patch(path, json={"domains": ["a.example"]}, headers={"If-Match": read.headers["etag"]})
    assert edited.status_code == 200, edited.text
    assert (edited.json()["vendor"], edited.json()["domains"], edited.json()["version"]) == ("Acme", ["a.example"], 2)
    stale = await http.patch(path, json={"vendor": "B"}, headers={"If-Match": read.headers["etag"]})
    assert stale.status_code in (409, 412)
    taken = await refused(http, "PATCH", path, {"name": "other"})
    assert taken["current"]["id"] == other["id"]
    assert (await refused(http, "PATCH", path, {"domains": ["not a host"]}))["errors"][0]["pointer"] == "/domains/0"
    assert (await refused(http, "PATCH", path, {"status": "approved"}))["errors"][0]["pointer"] == "/status"


async def test_members_request_and_only_those_who_may_assess_and_decide(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    member = await add_person(database, tenant.tenant_id, name="Mia Member")
    made = await http.post("/v1/tools", json={"name": "Wanted"}, headers=member.headers)
    assert made.status_code == 201, made.text
    path = f"/v1/tools/{made.json()['id']}"
    for method, place, body in (
        ("PATCH", path, {"vendor": "X"}),
        ("PATCH", f"{path}/assessment", {"answers": {}}),
        ("POST", f"{path}/decisions", {"outcome": "conditional", "reason": WHY}),
    ):
        answer = await http.request(method, place, json=body, headers=member.headers)
        assert answer.status_code == 403, f"{method} {place}"


async def test_another_tenants_tools_are_not_there(http: httpx.AsyncClient, database: Database) -> None:
    tool = await requested(http)
    decision = await decided(http, tool, "conditional")
    other = await create_tenant(database, f"Tenant {uuid4().hex[:8]}")
    headers = {"Authorization": f"Bearer {other.key}"}
    for path in (f"/v1/tools/{tool['id']}", f"/v1/tools/{tool['id']}/decisions/{decision['id']}"):
        assert (await http.get(path, headers=headers)).status_code == 404
    assert (await http.get("/v1/tools", headers=headers)).json()["items"] == []
    assert (await http.get("/v1/tool-decisions", headers=headers)).json()["items"] == []
    body = {"outcome": "block", "reason": WHY}
    assert (await http.post(f"/v1/tools/{tool['id']}/decisions", json=body, headers=headers)).status_code == 404
    same = await http.post("/v1/tools", json={"name": tool["name"]}, headers=headers)
    assert same.status_code == 201, same.text


async def test_a_key_limited_to_clients_sees_no_tools(
    http: httpx.AsyncClient, superuser: asyncpg.Connection, tenant: NewTenant
) -> None:
    tool = await requested(http)
    await superuser.execute("UPDATE api_keys SET client_ids = $2 WHERE id = $1", tenant.key_id, [uuid4()])
    assert (await http.get("/v1/tools")).json()["items"] == []
    assert (await http.get(f"/v1/tools/{tool['id']}")).status_code == 404
    assert (await http.patch(f"/v1/tools/{tool['id']}", json={"vendor": "X"})).status_code == 404


async def test_a_late_review_is_announced_once(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant, settings: Settings
) -> None:
    tool = await requested(http)
    await decided(http, tool, "conditional")
    later = datetime.now(UTC) + timedelta(days=400)
    worker = Worker(database, settings, clock=lambda: later)
    assert await worker.work_for(tenant.tenant_id) >= 1  # reviews of risks fall due by then as well
    read = await ok(http, "GET", f"/v1/tools/{tool['id']}")
    assert read["review_overdue_at"] is not None
    assert await worker.work_for(tenant.tenant_id) == 0
    async with database.transaction(tenant.tenant_id) as db:
        kinds = [r[0] for r in await db.fetch("SELECT kind FROM events WHERE stream = 'tool' ORDER BY seq")]
    assert kinds == ["tool.requested", "tool.decided", "tool.review_overdue"]
    await decided(http, tool, "conditional")
    assert (await ok(http, "GET", f"/v1/tools/{tool['id']}"))["review_overdue_at"] is None


async def test_the_register_is_what_its_events_say(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    tool = await requested(http, domains=["a.example"])
    await assessed(http, tool)
    await decided(http, tool, "conditional")
    await decided(http, tool, "block")
    report = await check_tenant(database, tenant.tenant_id)
    assert report["faults"] == []


async def test_the_directory_finds_services_and_leaves_unknown_null(http: httpx.AsyncClient) -> None:
    found = (await ok(http, "GET", "/v1/ai-services?q=openai"))["items"]
    assert "chatgpt" in [one["slug"] for one in found]
    assert (await ok(http, "GET", "/v1/ai-services?q=no-such-thing-anywhere"))["items"] == []
    every = (await ok(http, "GET", "/v1/ai-services"))["items"]
    assert len(every) >= 60
    assert all(set(one["links"]) == set(every[0]["links"]) for one in every)
    assert any(value is None for value in every[0]["links"].values())
    checks = (await ok(http, "GET", "/v1/vendor-checklist"))["items"]
    assert [check["id"] for check in checks] == [f"VC-{n}" for n in range(1, 9)]
    assert checks[0]["answer_schema"]["required"] == ["answer", "source"]


async def test_the_directory_fills_in_the_open_actions_of_an_incident(http: httpx.AsyncClient) -> None:
    report = {"title": "A list in a chatbot", "playbook": "data-leakage", "ai_systems": [{"name": "ChatGPT"}]}
    made = await ok(http, "POST", "/v1/incidents", report, 201)
    path = f"/v1/incidents/{made['number']}"
    found = (await ok(http, "GET", f"{path}/proposed-inputs"))["items"]
    portal = next(one for one in found if (one["action_id"], one["input"]) == ("DL.4.1", "portal_url"))
    assert (portal["value"], portal["service"], portal["confidence"]) == (
        "https://privacy.openai.com",
        "chatgpt",
        "high",
    )
    body = {"transition": "complete", "inputs": {portal["input"]: portal["value"]}}
    await ok(http, "POST", f"{path}/actions/DL.4.1/transitions", body)
    left = (await ok(http, "GET", f"{path}/proposed-inputs"))["items"]
    assert "DL.4.1" not in {one["action_id"] for one in left}
    assert (await refused(http, "GET", f"/v1/incidents/{uuid4()}/proposed-inputs"))["status"] == 404
    nothing = await ok(http, "POST", "/v1/incidents", {"title": "Something else"}, 201)
    assert await ok(http, "GET", f"/v1/incidents/{nothing['id']}/proposed-inputs") == {"items": []}
