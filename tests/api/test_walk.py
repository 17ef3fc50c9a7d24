"""It walks `data-leakage` from a report to the signed close, and is refused wherever the playbook refuses."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.timeout(120)


async def test_it_opens_a_declared_incident(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/v1/incidents", json={"title": "Client list pasted into a chatbot", "playbook": "data-leakage"}
    )
    assert answer.status_code == 201, answer.text
    incident = answer.json()
    assert incident["number"] == "INC-1001"
    assert incident["status"] == "in_progress"
    assert [step["id"] for step in incident["steps"]] == ["DL.1", "DL.2", "DL.3", "DL.4", "DL.5"]
    again = await http.get(answer.headers["location"])
    assert again.status_code == 200
    assert again.json() | {"server_time": ""} == incident | {"server_time": ""}
    for offering in (incident, incident["steps"][0], incident["steps"][0]["actions"][0]):
        assert offering["allowed_transitions"][0].keys() >= {"transition", "permit", "missing"}, (
            "matched with the caller"
        )
    done = await http.post("/v1/incidents/INC-1001/actions/DL.1.1/transitions", json={"transition": "complete"})
    assert done.status_code == 200, done.text
    assert done.json()["status"] == "done"
    assert done.json()["step"]["id"] == "DL.1"
    listed = await http.get("/v1/incidents")
    assert listed.status_code == 200, listed.text
    assert [item["number"] for item in listed.json()["items"]] == ["INC-1001"]


class Caller:
    """One person's calls on one incident."""

    def __init__(self, http: httpx.AsyncClient, number: str) -> None:
        self.http = http
        self.base = f"/v1/incidents/{number}"

    async def ok(self, method: str, path: str, body: object = None, status: int = 200) -> dict[str, Any]:
        answer = await self.http.request(method, f"{self.base}{path}", json=body)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json()
        return found

    async def refused(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        answer = await self.http.request(method, f"{self.base}{path}", json=body)
        assert answer.status_code in (403, 409, 422), f"{method} {path}: {answer.status_code} {answer.text}"
        assert answer.headers["content-type"].startswith("application/problem+json")
        found: dict[str, Any] = answer.json()
        return found

    async def act(self, action: str, **body: object) -> dict[str, Any]:
        return await self.ok("POST", f"/actions/{action}/transitions", {"transition": "complete", **body})

    async def step(self, step: str) -> dict[str, Any]:
        return await self.ok("POST", f"/steps/{step}/transitions", {"transition": "complete"})

    async def tell(self, kind: str, action: str | None, **more: object) -> dict[str, Any]:
        draft = {
            "kind": kind,
            "audience": "risk management and IT security",
            "channel": "e-mail",
            "recipients": ["security@msp.example"],
            "subject": "Data in a public chatbot",
            "body": "Contact data was entered into a public AI service. Containment is under way.",
            "action_id": action,
            **more,
        }
        made = await self.ok("POST", "/notifications", draft, 201)
        return await self.ok("POST", f"/notifications/{made['id']}/transitions", {"transition": "record_sent"})


async def colleague(http: httpx.AsyncClient, server: str, name: str, roles: list[str]) -> httpx.AsyncClient:
    """A second person of the tenant, calling with a key of their own."""
    answer = await http.post("/v1/people", json={"name": name, "roles": roles, "email": "second@msp.example"})
    assert answer.status_code == 201, answer.text
    token = await http.post(f"/v1/people/{answer.json()['id']}/enrolment", json={})
    assert token.status_code == 201, token.text
    async with httpx.AsyncClient(base_url=server) as nobody:
        key = await nobody.post("/v1/enrolments/redeem", json={"token": token.json()["token"]})
    assert key.status_code == 201, key.text
    headers = {"Authorization": f"Bearer {key.json()['key']}"}
    return httpx.AsyncClient(base_url=server, headers=headers, timeout=30, trust_env=False)


NOBODY = {"none": True, "reason": "Neither clients nor private persons were touched, it was our own list."}
LIST = [
    {
        "data_type": "contact_data",
        "record_count": 40,
        "individuals_count": 40,
        "fields": ["name", "e-mail"],
        "count_precision": "exact",
        "encrypted": False,
    }
]
WHY = "A sentence of a reason that an auditor can read."
TARGETS = ("technical_controls", "vendor_review", "tool_list", "training", "policy")


async def contain(me: Caller) -> None:
    """DL.1 with its evidence, up to the completed step."""
    shot = await me.http.post(
        f"{me.base}/evidence?filename=prompt.txt&kind=screenshot&action_id=DL.1.2",
        content=b"what was typed in",
        headers={"Content-Type": "text/plain"},
    )
    assert shot.status_code == 201, shot.text
    await me.act("DL.1.1")
    await me.act("DL.1.2", evidence_ids=[shot.json()["id"]])
    tool = {"name": "ExampleChat", "url": "https://chat.example.com", "identification": "identified"}
    await me.act("DL.1.3", inputs={"ai_systems": {"entries": [tool]}})
    await me.act("DL.1.4", inputs={"affected_data": {"entries": LIST}, "credentials_exposed": True})
    await me.act("DL.1.5", inputs={"impacted_parties": NOBODY})
    refused = await me.refused("POST", "/steps/DL.1/transitions", {"transition": "complete"})
    assert refused["gate"] == "G-DL-2"  # credentials not rotated
    assert refused["missing"][0]["ref"] == "DL.1.6"
    await me.act("DL.1.6")
    assert (await me.step("DL.1"))["status"] == "completed"


async def assess(me: Caller) -> None:
    """DL.2 and DL.3; a client's notice is refused before DL.3 is done."""
    await me.tell("internal", "DL.2.1")
    await me.act("DL.2.2", inputs={"retention": "30 days", "breach_notice": "within 72 hours"})
    await me.act("DL.2.3", inputs={"opt_out_available": "yes"})
    await me.act("DL.2.4")
    await me.step("DL.2")
    await me.act("DL.3.1", outcome="does_not_apply", inputs={"rationale": "40 persons are fewer than 500."})
    vendor = {"vendor_retained": "yes", "vendor_trained_on": "no", "vendor_access_known": "unknown"}
    await me.act("DL.3.5", inputs=vendor)
    await me.act("DL.3.6", outcome="reviewed", inputs={"rationale": "The rules ran over the facts; see the duties."})


async def decide(me: Caller) -> None:
    """Every open duty gets a person's decision."""
    answer = await me.http.get(f"{me.base}/obligations")
    assert answer.status_code == 200, answer.text
    for duty in answer.json():
        body = {"decision": "not_required", "rationale": "Our own marketing list; no duty to tell anybody outside."}
        if duty["decision"] == "open":
            await me.ok("POST", f"/obligations/{duty['id']}/decision", body)


async def remedy(me: Caller) -> None:
    await me.act("DL.4.1")
    await me.act("DL.4.4")
    await me.act("DL.4.5", inputs={"vendor_answer": "Deleted on the same day.", "deletion_confirmed": "yes"})


async def revise(me: Caller) -> None:
    """The register says that the incident changes nothing, and why."""
    risk = await me.http.post(
        "/v1/risks/AR-001/revisions",
        json={"incident_id": me.base.rpartition("/")[2], "decision": "no_change", "reason": WHY},
    )
    assert risk.status_code == 201, risk.text


async def review(me: Caller, verifier: str) -> None:
    """DL.5 up to the sign-off."""
    await me.tell("briefing", "DL.5.1", subject="A reminder", body="Keep client data out of public chatbots.")
    await me.act(
        "DL.5.2", outcome="not_needed", inputs={"rationale": "The gateway filters it.", "policy_gap_found": False}
    )
    cause = {
        "category": "policy_not_followed",
        "statement": "The policy forbids it and the person was in a hurry that night.",
        "method": "five_whys",
        "contributing": [],
        "confidence": "high",
    }
    await me.act("CO.3", inputs={"root_cause": cause})
    done = {
        "description": "The credential was rotated and the chat deleted.",
        "done_at": "2026-11-22T02:00:00Z",
        "done_by": verifier,
        "verified_by": verifier,
    }
    await me.act("CO.4", inputs={"remediation": {"entries": [done]}})
    await me.act("CO.5", inputs={"none": {"reason": WHY}})
    answers = {target: {"answer": "no_change_needed", "reason": WHY} for target in TARGETS}
    await me.act("CO.6", outcome="answered", inputs=answers)


async def test_a_provider_of_two_closes_with_nothing_overridden(http: httpx.AsyncClient, server: str) -> None:
    opened = await http.post("/v1/incidents", json={"title": "A list in a chatbot", "playbook": "data-leakage"})
    me = Caller(http, opened.json()["number"])
    myself = (await http.get("/v1/me")).json()["id"]
    other = await colleague(http, server, "Bea Second", ["it_security", "legal_counsel", "executive_leadership"])
    her = Caller(other, opened.json()["number"])
    her_id = (await other.get("/v1/me")).json()["id"]
    forbidden = await her.refused("POST", "/actions/DL.1.1/transitions", {"transition": "complete"})
    assert forbidden["code"] == "forbidden"  # the first step is for those who have a part in the incident
    await me.ok("PUT", f"/participants/{her_id}", {"involvement": "responder"})
    await contain(her)
    early = await me.http.get(me.base)
    assert early.json()["severity"] == "SEV3"
    await assess(me)
    await decide(me)
    await me.step("DL.3")
    await remedy(her)
    await revise(me)
    await me.act("DL.4.3")
    await me.step("DL.4")
    assert (await me.ok("GET", ""))["status"] == "contained"
    await review(me, her_id)
    assert (await me.ok("GET", ""))["status"] == "post_incident"
    refused = await me.refused("POST", "/sign-off", {"statement": "All is done."})
    assert refused["code"] == "documentation-incomplete"
    assert {m["ref"] for m in refused["missing"]} == {"D02", "person_concerned"}
    discovery = {"discovered_by": her_id, "discovery_method": "self_report"}
    await me.ok("PUT", "/documentation/D02", discovery)
    await me.ok("PATCH", "", {"person_concerned": "person", "person_concerned_id": her_id})
    closed = await me.ok("POST", "/sign-off", {"statement": "All is done and documented."})
    assert closed["status"] == "closed"
    whole = await me.ok("GET", "")
    assert [step["status"] for step in whole["steps"]] == ["completed"] * 5
    assert {d["state"] for d in whole["documentation"]} <= {"complete", "not_applicable"}
    events = (await me.http.get(f"{me.base}/timeline?limit=200")).json()["items"]
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert events[-1]["kind"] == "incident.closed"
    assert "gate.refused" in {e["kind"] for e in events}
    assert "gate.overridden" not in {e["kind"] for e in events}
    assert myself != her_id
    again = await me.refused("POST", "/actions/DL.1.1/transitions", {"transition": "reopen", "reason": WHY})
    assert again["code"] == "state-conflict"
    await other.aclose()
