"""Source code exposure over HTTP: data leakage with a scan for secrets, whose code it is, and what it reveals."""

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
from tests.api.test_walk import WHY, Caller

pytestmark = pytest.mark.timeout(120)
ROLES: dict[str, tuple[str, ...]] = {
    "dev": (),
    "ida": ("it_security",),
    "bob": ("business_owner",),
    "ria": ("risk_owner",),
    "lee": ("legal_counsel", "executive_leadership"),
}
TOOL = {"name": "ExampleChat", "url": "https://chat.example.com", "identification": "identified"}
RATIONALE = {"rationale": "The licence file of the repository and the contract, section 7."}


async def contain(who: dict[str, Caller], client_id: str) -> None:
    """DL.1: the scan finds a key, which is rotated."""
    dev, ida = who["dev"], who["ida"]
    await dev.act("DL.1.1")
    await dev.act("DL.1.2", evidence_ids=[await attach(dev, "DL.1.2", "screenshot")])
    await dev.act("DL.1.3", inputs={"ai_systems": {"entries": [TOOL]}})
    code = {"data_type": "source_code_client", "record_count": 1, "count_precision": "exact"}
    await dev.act("DL.1.4", inputs={"affected_data": {"entries": [code]}, "credentials_exposed": False})
    parties = {"entries": [{"kind": "client", "client_id": client_id}]}
    await dev.act("DL.1.5", inputs={"impacted_parties": parties})
    await dev.act("SC.1.1", inputs={"repository": "billing", "files": ["main.py"], "lines": 120})
    await dev.act("SC.1.2", outcome="client", inputs={"owner": "The repository is North Dental's."})
    assert await gate_at_step(dev, "DL.1") == "G-SC-1"
    await ida.act("SC.1.3", inputs={"secrets_found": True, "secrets_named": "the key of the mail gateway"})
    assert await gate_at_step(dev, "DL.1") == "G-DL-2"
    await ida.act("DL.1.6")
    await dev.step("DL.1")


async def escalate(who: dict[str, Caller]) -> None:
    """DL.2; a message through the tool itself is refused, and so is skipping a step that a gate names."""
    ida = who["ida"]
    inside = await draft(ida, "internal", "DL.2.1")
    await move(ida, inside, "record_sent")
    through = {
        "kind": "internal",
        "audience": "the team",
        "channel": "ExampleChat",
        "subject": "x",
        "body": "y",
        "action_id": "SC.2.2",
    }
    assert (await ida.refused("POST", "/notifications", through))["gate"] == "G-ALL-9"
    await tell(who["bob"], "internal", "SC.2.2", audience="the owner of the code")
    await ida.act("DL.2.2", inputs={"retention": "30 days", "breach_notice": "within 72 hours"})
    await ida.act("DL.2.3", inputs={"opt_out_available": "yes"})
    await who["ria"].act("DL.2.4")
    link = {"account_type": "consumer", "training_setting": "on", "shared_link": "deleted", "exposure": "public"}
    await ida.act("SC.2.1", inputs=link)
    await ida.step("DL.2")


async def assess(who: dict[str, Caller], client_id: str) -> None:
    """DL.3; the client's notice waits for it."""
    ria, lee = who["ria"], who["lee"]
    notice = await draft(who["ida"], "client_notice", "DL.4.2", client_id=client_id)
    await move(who["ida"], notice, "submit")
    await move(lee, notice, "approve")
    assert (await stopped(who["ida"], notice, "record_sent"))["gate"] == "G-DL-1"
    spare = await draft(who["ida"], "regulator", "DL.4.2")
    assert (await stopped(ria, spare, "not_required", reason=WHY))["gate"] == "G-DL-4"
    await ria.act("DL.3.3", outcome="applies", inputs=RATIONALE)
    assert await gate_at_step(ria, "DL.3") == "G-DL-3"
    await lee.act("DL.3.4", inputs={"counsel": "Lee"})
    vendor = {"vendor_retained": "yes", "vendor_trained_on": "unknown", "vendor_access_known": "unknown"}
    await ria.act("DL.3.5", inputs=vendor)
    await ria.act("DL.3.6", outcome="reviewed", inputs=RATIONALE)
    await lee.act("SC.3.1", outcome="applies", inputs=RATIONALE)
    held = {"trade_secret": "yes", "export_control": "no", "vulnerability_disclosed": True}
    await ria.act("SC.3.2", outcome="exposed", inputs={**RATIONALE, **held})
    await ria.step("DL.3")
    assert (await move(who["ida"], notice, "record_sent"))["status"] == "sent"
    await decide_duties(ria)
    assert (await move(ria, spare, "not_required", reason=WHY))["status"] == "not_required"


async def remedy(who: dict[str, Caller]) -> None:
    """DL.4, with the weakness fixed."""
    ida, ria = who["ida"], who["ria"]
    await ida.act("DL.4.1")
    await revise(ria, "AR-005")
    await revise(ria, "AR-001")
    await ria.act("DL.4.3")
    await ria.act("SC.4.2")
    await ida.act("DL.4.4")
    await ida.act("DL.4.5", inputs={"vendor_answer": "Deleted.", "deletion_confirmed": "yes"})
    assert await gate_at_step(ida, "DL.4") == "G-ALL-4"
    await ida.act("SC.4.1")
    await ida.step("DL.4")


async def test_it_runs_from_the_report_to_two_signatures(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any
) -> None:
    client_id = (await http.post("/v1/clients", json={"name": "North Dental"})).json()["id"]
    async with crew(server, database, tenant.tenant_id, **ROLES) as team:
        told = {"title": "Source code of a client pasted into ExampleChat"}
        unsure = await team.calls["dev"].post("/v1/incidents", json=told)
        assert unsure.json()["suggested_playbook"]["slug"] == "source-code-exposure"
        opened = await team.calls["dev"].post("/v1/incidents", json={**told, "playbook": "source-code-exposure"})
        assert (opened.status_code, opened.json()["status"]) == (201, "in_progress")
        who = team.on(opened.json()["number"])
        await contain(who, client_id)
        found = await who["ria"].ok("GET", "")
        assert (found["severity"], found["severity_basis"]["E"]) == (
            "SEV3",
            2,
        )  # public AI service, until more is known
        await escalate(who)
        found = await who["ria"].ok("GET", "")
        assert (found["severity"], found["severity_basis"]["E"]) == ("SEV2", 3)  # the shared link
        await assess(who, client_id)
        await remedy(who)
        await decide_duties(who["ria"])
        await tell(who["ria"], "briefing", "DL.5.1")
        await who["ria"].act("DL.5.2", outcome="not_needed", inputs={**RATIONALE, "policy_gap_found": False})
        await who["ria"].act("SC.5.1", outcome="rule_added", inputs={**RATIONALE, "coding_assistant": "yes"})
        await wrap_up(who["ria"], team.id_of("ida"), team.id_of("ria"))
        await who["ria"].ok("POST", "/sign-off", {"statement": "All is done."})
        closed = await who["lee"].ok("POST", "/sign-off", {"statement": "I have seen it."})
        assert closed["status"] == "closed"
        gates = {"G-SC-1", "G-DL-1", "G-DL-2", "G-DL-3", "G-DL-4", "G-ALL-4", "G-ALL-9"}
        assert gates <= await refusals(who["ria"])
        assert (await check_tenant(database, tenant.tenant_id))["faults"] == []
        assert await exceptions(who["ria"]) == []


async def test_skipping_what_a_gate_names_is_refused_and_the_rest_is_an_exception(
    http: httpx.AsyncClient,
) -> None:
    opened = await http.post("/v1/incidents", json={"title": "Code", "playbook": "source-code-exposure"})
    me = Caller(http, opened.json()["number"])
    skip = {"transition": "skip", "reason": WHY}
    assert (await me.refused("POST", "/actions/SC.1.3/transitions", skip))["gate"] == "G-SC-1"
    await me.ok("POST", "/actions/SC.1.1/transitions", skip)
    assert await exceptions(me) == [("skip", "G-ALL-4")]
