"""AI vendor breach over HTTP: the vendor's notice, the cut integration, the notice that an attack forced out early."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.database import Database
from app.rebuild import check_tenant
from tests.api.crew import (
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
from tests.api.test_walk import Caller

pytestmark = pytest.mark.timeout(120)
ATTACK = "attack_in_progress"
ROLES: dict[str, tuple[str, ...]] = {
    "vic": ("vendor_management",),
    "ida": ("it_security",),
    "sam": ("security_lead",),
    "pia": ("privacy",),
    "ria": ("risk_owner",),
    "lee": ("legal_counsel", "executive_leadership"),
}
TOOL = {"name": "ExampleNotes", "vendor": "Example Ltd", "url": "https://example.com", "identification": "identified"}
RATIONALE = {"rationale": "The data processing agreement, section 9, and the vendor's notice."}


CHECKS: dict[str, Any] = {
    "soc_report": {"answer": "unknown", "source": "asked the vendor"},
    "training": {"answer": "no", "source": "terms"},
    "agreement": {"answer": "yes", "source": "contract", "signed": True},
    "retention": {"answer": "yes", "source": "policy", "bounded": True, "deletion_on_request": True},
}


async def scope(who: dict[str, Caller], client_id: str) -> None:
    """VB.1."""
    vic, ida = who["vic"], who["ida"]
    kept = await attach(vic, "VB.1.1", "vendor_correspondence")
    bare = await vic.refused("POST", "/actions/VB.1.1/transitions", {"transition": "complete", "evidence_ids": [kept]})
    assert bare["errors"][0]["pointer"] == "/inputs/notified_by_vendor_at"
    opened = await vic.ok("GET", "")
    await vic.act("VB.1.1", evidence_ids=[kept], inputs={"notified_by_vendor_at": opened["discovered_at"]})
    await vic.act("VB.1.2", inputs={"ai_systems": {"entries": [TOOL]}, "integrations": "A meeting bot, one API key."})
    data = {
        "data_type": "contact_data",
        "record_count": 25_000,
        "individuals_count": 25_000,
        "count_precision": "exact",
    }
    await vic.act("VB.1.3", inputs={"affected_data": {"entries": [data]}, "credentials_exposed": True})
    parties = {"entries": [{"kind": "client", "client_id": client_id, "count": 25_000}]}
    await vic.act("VB.1.4", inputs={"impacted_parties": parties})
    assert await gate_at_step(vic, "VB.1") == "G-ALL-4"
    await ida.act("VB.1.5")
    await vic.step("VB.1")


async def escalate(who: dict[str, Caller]) -> None:
    """VB.2: the vendor is written to at its own address, never through its tool."""
    vic, ria = who["vic"], who["ria"]
    await tell(ria, "internal", "VB.2.1")
    through = {"kind": "vendor", "audience": "x", "channel": "ExampleNotes", "subject": "x", "body": "y"}
    refused = await ria.refused("POST", "/notifications", {**through, "action_id": "VB.2.2"})
    assert refused["gate"] == "G-ALL-9"
    await tell(ria, "vendor", "VB.2.2", recipients=["security@example.com"])
    await ria.act("VB.2.3", outcome="duty_to_clients", inputs={**RATIONALE, "audit_right": "no"})
    await vic.act("VB.2.4")
    await vic.step("VB.2")


async def cut(who: dict[str, Caller]) -> None:
    """VB.3."""
    await who["ida"].act("VB.3.1")
    await who["ida"].act("VB.3.2", inputs={"misuse_found": "no"})
    await who["sam"].act("VB.3.3", outcome="suspend", inputs=RATIONALE)
    await who["sam"].step("VB.3")


async def notify(who: dict[str, Caller], client_id: str, other_id: str) -> None:
    """VB.4: one client is attacked and told at once, the other after the rules were run."""
    sam, ria, lee = who["sam"], who["ria"], who["lee"]
    later = await draft(ria, "client_notice", "VB.4.2", client_id=other_id)
    await move(ria, later, "submit")
    await move(lee, later, "approve")
    assert (await stopped(ria, later, "record_sent"))["gate"] == "G-VB-1"
    now = await draft(sam, "client_notice", "VB.4.2", client_id=client_id)
    assert (await stopped(lee, now, "record_sent", reason=ATTACK))["code"] == "forbidden"
    await move(sam, now, "record_sent", reason=ATTACK)
    await who["pia"].act("VB.4.1", outcome="reviewed", inputs=RATIONALE)
    await move(ria, later, "record_sent")  # the vendor has not answered VB.2.2, and that holds nothing back
    await ria.act("VB.4.3")
    await decide_duties(ria)
    assert await gate_at_step(ria, "VB.4") == "G-VB-1"
    assert (await stopped(sam, now, "approve"))["code"] == "forbidden"
    await move(lee, now, "approve")
    await ria.step("VB.4")


async def reassess(who: dict[str, Caller]) -> None:
    """VB.5 up to the sign-off."""
    vic, ria = who["vic"], who["ria"]
    cause = {"category": "vendor_failure", "statement": "The vendor left a storage bucket open to the public."}
    report = {"lies_with": "theirs", "report_received": "yes"}
    await vic.act("VB.5.1", inputs={"root_cause": cause, **report})
    await decide_on_the_vendor(who)
    await revise(ria, "AR-006")
    await ria.act("VB.5.3")


async def decide_on_the_vendor(who: dict[str, Caller]) -> None:
    """VB.5.2: approve takes a good checklist and two persons, block the instant when IT was asked."""
    ria, ida, path = who["ria"], who["ida"], "/actions/VB.5.2/transitions"
    checks = {**RATIONALE, **CHECKS, "training": {"answer": "yes", "source": "terms", "correctable": "no"}}
    approve = {"transition": "approve", "outcome": "approve", "inputs": checks}
    await ida.ok("POST", path, approve)
    assert (await ida.refused("POST", path, approve))["code"] == "forbidden"
    assert (await ria.refused("POST", path, approve))["gate"] == "G-SA-2"
    block: dict[str, Any] = {"transition": "complete", "outcome": "block", "inputs": checks}
    assert (await ria.refused("POST", path, block))["gate"] == "G-VB-3"
    asked = (await ria.ok("GET", ""))["discovered_at"]
    await ria.ok("POST", path, {**block, "inputs": {**checks, "block_requested_at": asked}})
    (tool,) = (await ria.http.get("/v1/tools", params={"q": "ExampleNotes"})).json()["items"]
    assert (tool["status"], tool["blocked_domains"]) == ("blocked", ["example.com"])
    waiting = [n for n in (await ria.http.get(f"{ria.base}/notifications")).json() if n["status"] == "draft"]
    (told,) = [n for n in waiting if n["action_id"] == "VB.5.2"]
    assert (told["kind"], told["subject"]) == ("briefing", "An AI tool has been blocked")
    edit = {"channel": "e-mail", "recipients": ["all@msp.example"]}
    await ria.ok("PATCH", f"/notifications/{told['id']}", edit)
    await move(ria, told["id"], "record_sent")


async def test_it_runs_from_the_vendors_notice_to_two_signatures(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any
) -> None:
    made = [await http.post("/v1/clients", json={"name": name}) for name in ("North Dental", "South Legal")]
    client_id, other_id = (answer.json()["id"] for answer in made)
    async with crew(server, database, tenant.tenant_id, **ROLES) as team:
        told = {"title": "Our meeting notes vendor was breached", "playbook": "ai-vendor-breach"}
        opened = await team.calls["vic"].post("/v1/incidents", json={**told, "client_ids": [client_id, other_id]})
        assert (opened.status_code, opened.json()["severity"]) == (201, "SEV3")  # F11
        who = team.on(opened.json()["number"])
        await who["ria"].ok("PATCH", "", {"facts": {"exposure": "public"}})
        await scope(who, client_id)
        found = await who["ria"].ok("GET", "")
        assert found["severity"] == "SEV1"  # 25,000 contacts in an attacker's hands
        assert {"F3", "F11"} <= set(found["severity_basis"]["floors"])
        await escalate(who)
        await cut(who)
        await notify(who, client_id, other_id)
        await reassess(who)
        await wrap_up(who["ria"], team.id_of("ida"), team.id_of("ria"), cause=False)
        await who["ria"].ok("POST", "/sign-off", {"statement": "All is done."})
        closed = await who["lee"].ok("POST", "/sign-off", {"statement": "I have seen it."})
        assert closed["status"] == "closed"
        assert [kind for kind, _ in await exceptions(who["ria"])] == ["sent_ahead_of_approval"]
        assert {"G-VB-1", "G-VB-3", "G-SA-2", "G-ALL-4", "G-ALL-9"} <= await refusals(who["ria"])
        assert (await check_tenant(database, tenant.tenant_id))["faults"] == []


async def test_a_member_reports_it_and_those_who_may_declare_it(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any
) -> None:
    async with crew(server, database, tenant.tenant_id, dan=(), vic=("vendor_management",)) as team:
        told = {"title": "Our AI vendor was breached", "playbook": "ai-vendor-breach"}
        opened = await team.calls["dan"].post("/v1/incidents", json=told)
        assert (opened.status_code, opened.json()["status"]) == (201, "reported")
        assert opened.json()["suggested_playbook"]["slug"] == "ai-vendor-breach"
        vic = team.on(opened.json()["number"])["vic"]
        declared = await vic.ok("POST", "/transitions", {"transition": "declare", "playbook": "ai-vendor-breach"})
        assert (declared["status"], declared["current_step"]) == ("in_progress", "VB.1")
