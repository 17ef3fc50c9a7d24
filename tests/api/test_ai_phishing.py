"""AI phishing over HTTP, from the report of the person it was aimed at to the two signatures of a paid fraud."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.database import Database
from app.rebuild import check_tenant
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
ATTACK = "attack_in_progress"
ROLES: dict[str, tuple[str, ...]] = {
    "dan": (),
    "sam": ("security_lead",),
    "ida": ("it_security",),
    "ria": ("risk_owner",),
    "lee": ("legal_counsel", "executive_leadership"),
    "pia": ("privacy",),
}


async def break_off(dan: Caller) -> str:
    """Contact ends: the message is kept as a picture first, and what was given away is made good."""
    unkept = await dan.refused("POST", "/actions/PH.1.4/transitions", {"transition": "complete"})
    assert unkept["gate"] == "G-ALL-3"
    picture = await attach(dan, "PH.1.4", "screenshot")
    await dan.act("PH.1.4", evidence_ids=[picture])
    await dan.act("PH.1.1", inputs={"channel": "email", "credentials_exposed": True, "payment_initiated": True})
    assert await gate_at_step(dan, "PH.1") == "G-PH-2"
    await dan.act("PH.1.2")
    refused = await dan.refused("POST", "/steps/PH.1/transitions", {"transition": "complete"})
    assert (refused["gate"], [m["ref"] for m in refused["missing"]]) == ("G-PH-2", ["PH.1.3"])
    await dan.act("PH.1.3", inputs={"bank_answer": "The money has left.", "payment_recovered": False})
    return picture


async def escalate(who: dict[str, Caller], client_id: str) -> None:
    """PH.2, whose step is completed out of turn by an override."""
    forwarded = await attach(who["ida"], "PH.2.1", "email_original", "message/rfc822")
    await who["ida"].act("PH.2.1", evidence_ids=[forwarded])
    await who["sam"].act("PH.2.3", inputs={"scope": "many", "targets_count": 40})
    parties = {"entries": [{"kind": "client", "client_id": client_id}, {"kind": "own_staff", "count": 40}]}
    await who["ida"].act("PH.2.4", inputs={"impacted_parties": parties, "client_impersonated": True})
    unknown = {"identification": "unknown", "reason": "What wrote the message is not known, as is usual."}
    await who["sam"].act("CO.2", inputs={"ai_systems": {"entries": [unknown]}})
    assert await gate_at_step(who["sam"], "PH.2") == "G-ALL-1"
    override = [{"gate": "G-ALL-1", "reason": WHY}]
    assert await gate_at_step(who["sam"], "PH.2", overrides=override) == "G-ALL-1"  # not by that role
    await who["ria"].ok("POST", "/steps/PH.2/transitions", {"transition": "complete", "overrides": override})
    await who["dan"].step("PH.1")


async def warn(who: dict[str, Caller], client_id: str) -> None:
    """The warning goes out unapproved while the attack runs."""
    notice = await draft(who["sam"], "client_notice", "PH.3.4", client_id=client_id, audience="North Dental")
    plain = await stopped(who["sam"], notice, "record_sent")
    assert ATTACK in plain["detail"]
    assert (await stopped(who["ida"], notice, "record_sent", reason=ATTACK))["code"] == "forbidden"
    sent = await move(who["sam"], notice, "record_sent", reason=ATTACK)
    assert (sent["status"], sent["approved_by"]) == ("sent", None)
    assert ("sent_ahead_of_approval", None) in await exceptions(who["ria"])
    assert await gate_at_step(who["sam"], "PH.3") == "G-PH-3"
    assert (await stopped(who["sam"], notice, "approve"))["code"] == "forbidden"
    assert (await move(who["lee"], notice, "approve"))["status"] == "sent"


async def contain(who: dict[str, Caller]) -> None:
    """PH.3; looking for an intrusion is left undone by an override."""
    given = [{"data_type": "credentials_user", "record_count": 1, "count_precision": "exact"}]
    told = {"affected_data": {"entries": given}, "rationale": "The page behind the link kept what was typed."}
    await who["sam"].act("PH.3.1")
    await who["sam"].act("PH.3.2", outcome="given_away", inputs=told)
    assert await gate_at_step(who["sam"], "PH.3") == "G-ALL-4"
    override = [{"gate": "G-ALL-4", "reason": WHY}]
    await who["ria"].ok("POST", "/steps/PH.3/transitions", {"transition": "complete", "overrides": override})


async def erase(team: Crew, number: str, evidence_id: str) -> dict[str, Any]:
    """Privacy asks that the title of a file is erased, counsel approves: the answer to the approval."""
    url = f"/v1/incidents/{number}/erasures"
    body = {"fields": [f"/evidence/{evidence_id}/title"], "reason": "The title names somebody."}
    asked = await team.calls["pia"].post(url, json=body)
    assert asked.status_code == 201, asked.text
    answer = await team.calls["lee"].post(f"{url}/{asked.json()['id']}/transitions", json={"transition": "approve"})
    return {"status": answer.status_code, **answer.json()}


async def test_it_runs_from_the_report_to_two_signatures(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any
) -> None:
    client_id = (await http.post("/v1/clients", json={"name": "North Dental"})).json()["id"]
    async with crew(server, database, tenant.tenant_id, **ROLES) as team:
        opened = await team.calls["dan"].post(
            "/v1/incidents", json={"title": "A mail in the name of a client", "playbook": "ai-phishing"}
        )
        assert opened.status_code == 201, opened.text
        assert (opened.json()["status"], opened.json()["severity"]) == ("in_progress", "SEV3")  # F11
        assert opened.json()["steps"][0]["sla"]["due_at"] == opened.json()["discovered_at"]  # immediate
        number = opened.json()["number"]
        who = team.on(number)
        picture = await break_off(who["dan"])
        assert (await who["ria"].ok("GET", ""))["severity_basis"]["floors"] == ["F6", "F11"]
        refused = await erase(team, number, picture)
        assert (refused["status"], refused["gate"]) == (409, "G-PH-1")
        await escalate(who, client_id)
        assert (await who["ria"].ok("GET", ""))["severity_basis"]["floors"] == ["F6", "F7", "F11"]
        await warn(who, client_id)
        await contain(who)
        await decide_duties(who["ria"])
        named = await who["sam"].refused(
            "POST",
            "/notifications",
            {
                "kind": "briefing",
                "audience": "all staff",
                "channel": "e-mail",
                "recipients": ["all@msp.example"],
                "subject": "A fraud",
                "body": "Dan Person nearly lost a client's money.",
                "action_id": "PH.4.1",
            },
        )
        assert named["gate"] == "G-ALL-5"
        await tell(who["sam"], "briefing", "PH.4.1")
        await who["sam"].act("PH.4.2")
        await who["sam"].act("PH.4.3")
        await revise(who["ria"], "AR-004")
        await who["ria"].act("PH.4.4")
        assert await gate_at_step(who["ria"], "PH.4") == "G-ALL-2"
        await wrap_up(who["ria"], team.id_of("sam"), team.id_of("ria"))
        for waiting in await who["ria"].ok("GET", "/notifications"):  # the escalations of its severity
            if waiting["kind"] == "escalation" and waiting["status"] == "draft":  # type: ignore[index]
                await move(who["ria"], waiting["id"], "record_sent")  # type: ignore[index]
        held = await who["ria"].refused("POST", "/sign-off", {"statement": "All is done."})
        assert (held["gate"], held["code"]) == ("G-PH-1", "documentation-incomplete")
        await attach(who["dan"], "PH.1.4", "email_original", "message/rfc822")
        await who["ria"].ok("POST", "/sign-off", {"statement": "All is done."})
        again = await who["ria"].refused("POST", "/sign-off", {"statement": "All is done."})
        assert again["code"] == "forbidden"  # the second signature takes another role, and another person
        closed = await who["lee"].ok("POST", "/sign-off", {"statement": "I have seen it."})
        assert closed["status"] == "closed"
        assert (await erase(team, number, picture))["status"] == 200
        assert {("override", "G-ALL-1"), ("override", "G-ALL-4")} <= set(await exceptions(who["ria"]))
        whole = await who["ria"].ok("GET", "")
        left = [a["id"] for s in whole["steps"] for a in s["actions"] if a["status"] == "skipped"]
        assert left == ["PH.3.3"]
        gates = {"G-PH-1", "G-PH-2", "G-PH-3", "G-ALL-1", "G-ALL-3", "G-ALL-4", "G-ALL-5"}
        assert gates <= await refusals(who["ria"])
        assert (await check_tenant(database, tenant.tenant_id))["faults"] == []
