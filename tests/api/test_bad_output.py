"""Faulty output over HTTP: one wrong message to one client, and misinformation in public, from report to close."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.database import Database
from tests.api.crew import (
    Crew,
    attach,
    crew,
    decide_duties,
    draft,
    exceptions,
    gate_at_step,
    move,
    refusals,
    revise,
    stopped,
    tell,
    wrap_up,
)
from tests.api.test_walk import WHY, Caller

pytestmark = pytest.mark.timeout(120)
ROLES: dict[str, tuple[str, ...]] = {
    "dan": (),
    "ava": ("account_owner",),
    "moe": ("account_owner",),
    "cem": ("communications",),
    "kim": ("compliance",),
    "ria": ("risk_owner",),
    "lee": ("legal_counsel", "executive_leadership"),
}
NO_DATA = {"none": True, "reason": "The text holds no protected data, only advice on a firewall rule."}
MANUAL = {"title": "Manual of the vendor, chapter 4", "kind": "vendor_documentation"}
CHAT = {"title": "What the chatbot answered", "kind": "ai_output"}


async def opened(http: httpx.AsyncClient, team: Crew, playbook: str) -> tuple[dict[str, Caller], str]:
    """Dan reports it, which declares it; Moe is Ava's manager. Everybody's calls, and the client."""
    client = (await http.post("/v1/clients", json={"name": "North Dental"})).json()["id"]
    manages = await http.patch(f"/v1/people/{team.id_of('ava')}", json={"manager_id": team.id_of("moe")})
    assert manages.status_code == 200, manages.text
    body = {"title": "Invented advice was sent to a client", "playbook": playbook, "client_ids": [client]}
    made = await team.calls["dan"].post("/v1/incidents", json=body)
    assert (made.status_code, made.json()["status"]) == (201, "in_progress"), made.text
    return team.on(made.json()["number"]), client


async def identify(dan: Caller, client: str, **facts: Any) -> None:
    """The actions of BO.1, without the step."""
    original = await attach(dan, "BO.1.1", "document")
    inputs = {"affected_data": NO_DATA, "incorrect_content": "Port 3389 may be open to everybody."}
    await dan.act("BO.1.1", evidence_ids=[original], inputs=inputs)
    await dan.act("BO.1.2", outcome="relied_upon", inputs={"rationale": "They told us so.", **facts})
    await dan.act("BO.1.3")
    parties = {"entries": [{"kind": "client", "client_id": client}]}
    received = {"impacted_parties": parties, "sent_at": "2026-11-20T16:00:00Z", "recipients": ["it@north.example"]}
    await dan.act("BO.1.4", inputs=received)
    tool = {"name": "ExampleChat", "url": "https://chat.example.com", "identification": "identified"}
    await dan.act("BO.1.5", inputs={"ai_systems": {"entries": [tool]}})


async def verify(ava: Caller) -> None:
    """BO.2.1 and BO.2.2; an AI answer is refused as a source."""
    await tell(ava, "internal", "BO.2.1")
    body = {"transition": "complete", "inputs": {"sources": [MANUAL, CHAT], "verified_facts": "It has to be closed."}}
    refused = await ava.refused("POST", "/actions/BO.2.2/transitions", body)
    assert (refused["gate"], refused["status"]) == ("G-BO-4", 409)
    await ava.act("BO.2.2", inputs={"sources": [MANUAL], "verified_facts": "It has to be closed."})


async def correct(ava: Caller, client: str, action: str = "BO.3.1") -> str:
    """A correction, drafted."""
    body = "Our message of Friday was wrong: port 3389 has to be closed. We are sorry."
    return await draft(ava, "correction", action, client_id=client, subject="A correction", body=body)


async def action(me: Caller, ref: str) -> dict[str, Any]:
    whole = await me.ok("GET", "")
    found: dict[str, Any] = next(a for step in whole["steps"] for a in step["actions"] if a["id"] == ref)
    return found


async def learn(ria: Caller) -> None:
    """BO.4 up to what every course ends with; one action is skipped, and the auditor sees it."""
    logged = {"message": "Advice on a firewall.", "error": "The port.", "correction": "Sent on the same day."}
    await ria.act("BO.4.1", inputs=logged)
    await ria.act("BO.4.2", outcome="skipped", inputs={"rationale": "Nobody read it before it went out."})
    await ria.ok("POST", "/actions/BO.4.3/transitions", {"transition": "skip", "reason": WHY})
    await ria.act("BO.4.4")


async def close(who: dict[str, Caller], doer: str, verifier: str) -> None:
    """Everything that every course ends with, and as many signatures as the severity asks for."""
    ria = who["ria"]
    await decide_duties(ria)
    await wrap_up(ria, doer, verifier)
    for waiting in (await ria.http.get(f"{ria.base}/notifications")).json():
        if waiting["kind"] == "escalation" and waiting["status"] == "draft":
            await move(ria, waiting["id"], "record_sent")
    first = await ria.ok("POST", "/sign-off", {"statement": "All is done and documented."})
    if first["status"] != "closed":
        first = await who["lee"].ok("POST", "/sign-off", {"statement": "Read and agreed."})
    assert first["status"] == "closed"


async def test_a_wrong_message_is_corrected_with_the_managers_approval(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any
) -> None:
    async with crew(server, database, tenant.tenant_id, **ROLES) as team:
        who, client = await opened(http, team, "bad-output")
        dan, ava, moe, ria = (who[name] for name in ("dan", "ava", "moe", "ria"))
        await identify(dan, client, client_acted_on_output=True, client_incurred_cost=True, client_harm=True)
        early = await correct(ava, client)
        unread = await stopped(ava, early, "record_sent")
        assert (unread["gate"], [m["ref"] for m in unread["missing"]]) == ("G-BO-1", ["BO.2.4"])
        forced = await stopped(ria, early, "record_sent", overrides=[{"gate": "G-BO-1", "reason": WHY}])
        assert forced["gate"] == "G-BO-1"
        assert "nobody can" in forced["detail"]
        listed = (await ria.http.get(f"{ria.base}/notifications")).json()
        assert {n["audience"] for n in listed if n["kind"] == "escalation"} >= {"executive_leadership", "legal_counsel"}
        await dan.step("BO.1")
        await verify(ava)
        assert (await action(ava, "BO.2.3"))["status"] == "done"
        await review(team, who, early)
        assert (await stopped(ava, early, "record_sent"))["gate"] == "G-BO-2"
        await ava.step("BO.2")
        await move(ava, early, "record_sent")
        assert await gate_at_step(ava, "BO.3") == "G-ALL-4"  # leadership has not been told yet
        await tell(ava, "escalation", "BO.3.2")
        await ava.step("BO.3")
        assert await gate_at_step(ria, "BO.4") == "G-ALL-2"
        await learn(ria)
        await revise(ria, "AR-003")
        await close(who, team.id_of("ava"), team.id_of("ria"))
        assert await refusals(ria) == {"G-BO-1", "G-BO-2", "G-BO-4", "G-ALL-2", "G-ALL-4"}
        assert ("skip", "G-ALL-4") in await exceptions(ria)
        whole = await moe.ok("GET", "")
        assert (whole["severity"], [step["status"] for step in whole["steps"]]) == ("SEV2", ["completed"] * 4)


async def review(team: Crew, who: dict[str, Caller], text: str) -> None:
    """The manager asks for changes, approves what was changed, and is asked again after a later edit."""
    ava, moe, ria = who["ava"], who["moe"], who["ria"]
    await move(ava, text, "submit")
    for other in (ava, ria, who["lee"]):
        assert (await stopped(other, text, "approve"))["code"] == "forbidden"
    asked = [w for w in (await team.calls["moe"].get("/v1/me/work")).json()["items"] if w["kind"] == "approval"]
    assert [w["ref"] for w in asked] == [text]
    none = (await team.calls["ria"].get("/v1/me/work")).json()["items"]
    assert [w for w in none if w["kind"] == "approval"] == []
    await move(moe, text, "request_changes", reason="Name the message of Friday that this one corrects.")
    waiting = await action(ava, "BO.2.4")
    assert (waiting["status"], waiting["outcome"]) == ("pending", "changes_requested")
    for subject in ("A correction of our message of Friday", "A correction of what we wrote on Friday"):
        edited = await ava.ok("PATCH", f"/notifications/{text}", {"subject": subject})
        assert (edited["status"], edited["approvals"]) == ("draft", [])
        assert (await action(ava, "BO.2.4"))["status"] == "pending"
        await move(ava, text, "submit")
        approved = await move(moe, text, "approve")
        assert (approved["status"], approved["approvals"][0]["role"]) == ("approved", "manager")
        done = await action(ava, "BO.2.4")
        assert (done["status"], done["outcome"]) == ("done", "approved")


async def test_misinformation_is_stopped_first_and_approved_by_three(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any
) -> None:
    async with crew(server, database, tenant.tenant_id, **ROLES) as team:
        who, client = await opened(http, team, "ai-misinformation")
        dan, ava, cem, ria = (who[name] for name in ("dan", "ava", "cem", "ria"))
        assert (await ria.ok("GET", ""))["severity"] == "SEV3"
        await dan.act("MI.1.1")
        page = await attach(cem, "MI.1.2", "screenshot")
        await cem.act("MI.1.2", evidence_ids=[page], inputs={"address": "https://msp.example/blog", "reach": "900"})
        channels = [{"channel": "blog", "audience": "everybody", "count": 900, "is_estimate": True}]
        await cem.act("MI.1.3", inputs={"channels": channels, "regulated_statement": True})
        await identify(dan, client, client_acted_on_output=False, client_incurred_cost=False)
        await dan.step("BO.1")
        await verify(ava)
        texts = [await correct(ava, client), await correct(ava, client, "MI.3.1")]
        for text in texts:
            await move(ava, text, "submit")
            await move(who["moe"], text, "approve")
        half = await stopped(ava, texts[1], "record_sent")
        assert (half["gate"], [m["ref"] for m in half["missing"]]) == ("G-MI-1", ["MI.2.1"])
        for text in texts:
            assert (await move(cem, text, "approve"))["status"] == "in_review"  # a regulation governs it: counsel too
            whole = await move(who["lee"], text, "approve")
            assert [a["role"] for a in whole["approvals"]] == ["manager", "communications", "legal_counsel"]
        assert (await stopped(ava, texts[0], "record_sent"))["gate"] == "G-BO-2"
        mine = (await team.calls["lee"].get("/v1/me/work")).json()["items"]
        assert [(w["kind"], w["ref"]) for w in mine if w["kind"] == "step"] == [("step", "BO.2")]
        await who["lee"].step("BO.2")  # the fact that asks for counsel's approval makes counsel an actor of the step
        for text in texts:
            await move(ava, text, "record_sent")
        await cem.act("MI.3.2")
        await cem.step("BO.3")
        await learn(ria)
        await who["kim"].act("MI.4.1")
        await revise(ria, "AR-009")
        await close(who, team.id_of("cem"), team.id_of("ria"))
        assert await refusals(ria) == {"G-BO-2", "G-BO-4", "G-MI-1"}


async def test_g_all_10_any_member_reports_and_nobody_deletes(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any
) -> None:
    async with crew(server, database, tenant.tenant_id, dan=()) as team:
        made = await team.calls["dan"].post("/v1/incidents", json={"title": "The chatbot told a client something odd"})
        assert (made.status_code, made.json()["status"]) == (201, "reported")
        for caller in (team.calls["dan"], http):
            deleted = await caller.delete(f"/v1/incidents/{made.json()['number']}")
            assert deleted.status_code == 405, deleted.text
        assert (await team.calls["dan"].get(made.headers["location"])).status_code == 200
