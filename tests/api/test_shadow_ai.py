"""Shadow AI over HTTP: to each of the three outcomes, every gate refused once, and the register says the same."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import pytest

from app.database import Database
from app.rebuild import check_tenant
from app.settings import Settings
from app.worker import Worker
from tests.api.crew import attach, crew, decide_duties, gate_at_step, refusals, revise, tell, wrap_up
from tests.api.test_walk import NOBODY, WHY, Caller
from tests.api.tool_calls import GOOD, decided, ok

pytestmark = pytest.mark.timeout(120)
ROLES: dict[str, tuple[str, ...]] = {
    "ida": ("it_security",),
    "ria": ("risk_owner",),
    "ian": ("it_security",),
    "hal": ("hr",),
}
TOOL = {"name": "ExampleChat", "url": "https://www.chat.example.com/x", "identification": "identified"}
GENERIC = {"none": True, "reason": "Only generic prompts were entered, as the history shows."}
BAD_TRAINING = {"answer": "yes", "source": "terms of use", "correctable": "no"}
RATIONALE = {"rationale": "What the vendor states, and what the team asked for."}
CHECKS = {"SA.2.1": "soc_report", "SA.2.2": "training", "SA.2.3": "agreement", "SA.2.4": "retention"}
ARTIFACTS: dict[str, tuple[str, dict[str, Any]]] = {
    "approve": ("SA.3.2", {"approved_uses": ["Drafting"], "approved_data_classes": ["generic_prompt"]}),
    "conditional": ("SA.3.3", {}),
    "block": ("SA.3.4", {}),
}


async def opened(me: Caller, outcome: str = "generic") -> None:
    """SA.1, which brings the tool to the register."""
    await me.act("SA.1.1", inputs={"ai_systems": {"entries": [TOOL]}})
    await me.act("SA.1.2", inputs={"duration_note": "Since spring, says the proxy log."})
    await me.act("SA.1.3", outcome=outcome, inputs={**RATIONALE, "affected_data": GENERIC})
    users = {"users_count": 3, "users_note": "The marketing team.", "impacted_parties": NOBODY}
    await me.act("SA.1.4", inputs=users)


async def all_of(me: Caller, path: str) -> list[dict[str, Any]]:
    """A plain list of the incident."""
    answer = await me.http.get(f"{me.base}{path}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def document(me: Caller, item_id: str) -> dict[str, Any]:
    """The value of a documentation item."""
    found: dict[str, Any] = next(item for item in await all_of(me, "/documentation") if item["id"] == item_id)["value"]
    return found


async def the_tool(me: Caller) -> dict[str, Any]:
    """The entry that the incident's D03 leads to."""
    entry = (await document(me, "D03"))["entries"][0]
    return await ok(me.http, "GET", f"/v1/tools/{entry['tool_id']}")


async def answered(me: Caller, **changed: dict[str, Any]) -> None:
    """SA.2: the four checks, good but for those given (`VC_2`)."""
    for index, (action, name) in enumerate(CHECKS.items(), 1):
        await me.act(action, inputs={name: changed.get(f"VC_{index}", GOOD[f"VC-{index}"])})
    await me.step("SA.2")


async def decide(ida: Caller, ria: Caller, outcome: str) -> None:
    body = {"outcome": outcome, "inputs": RATIONALE}
    if outcome != "approve":
        await ria.act("SA.3.1", **body)
        return
    one = await ria.refused("POST", "/actions/SA.3.1/transitions", {"transition": "complete", **body})
    assert one["errors"][0]["pointer"] == "/outcome"  # one person does not approve
    await ria.ok("POST", "/actions/SA.3.1/transitions", {"transition": "approve", **body})
    again = await ria.refused("POST", "/actions/SA.3.1/transitions", {"transition": "approve", **body})
    assert again["code"] in ("forbidden", "gate-refused")
    assert (await the_tool(ria))["status"] == "under_review"
    await ida.ok("POST", "/actions/SA.3.1/transitions", {"transition": "approve", **body})


@pytest.mark.parametrize("outcome", ["approve", "conditional", "block"])
async def test_it_reaches_each_outcome_and_closes(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any, outcome: str
) -> None:
    async with crew(server, database, tenant.tenant_id, **ROLES) as team:
        report = {"title": "Marketing uses a chatbot that nobody approved", "playbook": "shadow-ai"}
        made = await team.calls["ida"].post("/v1/incidents", json=report)
        assert made.status_code == 201, made.text
        who = team.on(made.json()["number"])
        ida, ria = who["ida"], who["ria"]
        await opened(ida)
        tool = await the_tool(ida)
        assert (tool["status"], tool["domains"]) == ("under_review", ["chat.example.com"])
        await ida.step("SA.1")
        early = {"transition": "complete", "outcome": "conditional", "inputs": RATIONALE}
        refused = await ria.refused("POST", "/actions/SA.3.1/transitions", early)
        assert (refused["gate"], len(refused["missing"])) == ("G-SA-1", 4)
        await answered(ida, **({"VC_2": BAD_TRAINING} if outcome == "block" else {}))
        assessment = (await the_tool(ida))["assessments"][0]
        assert assessment["suggested"]["outcome"] == ("block" if outcome == "block" else "approve")
        assert {a["action_id"] for a in assessment["answers"].values()} == set(CHECKS)
        if outcome == "block":
            approve = {"transition": "approve", "outcome": "approve", "inputs": RATIONALE}
            refused = await ria.refused("POST", "/actions/SA.3.1/transitions", approve)
            assert (refused["gate"], [m["ref"] for m in refused["missing"]]) == ("G-SA-2", ["VC-2"])
        assert await gate_at_step(ria, "SA.3") == "G-SA-3"
        await decide(ida, ria, outcome)
        action, inputs = ARTIFACTS[outcome]
        if outcome != "conditional":
            assert await gate_at_step(ria, "SA.3") == "G-SA-3"  # the artifact is not whole yet
        wrong: dict[str, Any] = {}
        if outcome == "approve":
            inputs = {**inputs, "owner": team.id_of("ida")}
            wrong = {"owner": made.json()["id"], "review_due_at": "2020-01-01T00:00:00Z"}
        if outcome == "block":
            inputs = {"block_requested_at": made.json()["discovered_at"]}
            wrong = {"block_requested_at": "2090-01-01T00:00:00Z", "block_confirmed_at": "2020-01-01T00:00:00Z"}
        for name, value in wrong.items():
            body = {"transition": "complete", "inputs": {**inputs, name: value}}
            fault = await ida.refused("POST", f"/actions/{action}/transitions", body)
            assert fault["errors"][0]["pointer"] == f"/inputs/{name}"
        await ida.act(action, inputs=inputs)
        briefing = next(n for n in await all_of(ria, "/notifications") if n["kind"] == "briefing")
        assert (briefing["action_id"], briefing["status"], "ExampleChat" in briefing["body"]) == (action, "draft", True)
        named = {"body": "Ida Person used it.", "channel": "e-mail", "recipients": ["all@msp.example"]}
        refused = await ria.refused("PATCH", f"/notifications/{briefing['id']}", named)
        assert refused["gate"] == "G-ALL-5"
        address = {"channel": "e-mail", "recipients": ["all@msp.example"]}
        await ria.ok("PATCH", f"/notifications/{briefing['id']}", address)
        await ria.ok("POST", f"/notifications/{briefing['id']}/transitions", {"transition": "record_sent"})
        await ria.step("SA.3")
        await _review(ida, ria, team.id_of("ida"), team.id_of("ria"))
        status = {"approve": "approved", "conditional": "conditional", "block": "blocked"}[outcome]
        listed = await the_tool(ria)
        assert listed["status"] == status
        change = listed["decisions"][0]
        assert (change["incident_id"], change["action_id"]) == (made.json()["id"], "SA.3.1")
        assert len(change["approvals"]) == (2 if outcome == "approve" else 1)
        d10 = next(d for d in (await ria.ok("GET", "/documentation")) if d["id"] == "D10")  # type: ignore[index]
        assert d10["value"]["outcome"] == outcome  # type: ignore[index]
        assert (await ria.ok("GET", ""))["status"] == "closed"
        assert {"G-SA-1", "G-SA-3", "G-ALL-5"} <= await refusals(ria)
        assert (await check_tenant(database, tenant.tenant_id))["faults"] == []


async def _review(ida: Caller, ria: Caller, doer: str, verifier: str) -> None:
    """SA.4 and the closing."""
    await ria.act("SA.4.1")
    await tell(ria, "briefing", "SA.4.2", body="Ask for a tool on the tool list before you use it.")
    await revise(ria, "AR-002")
    await ria.act("SA.4.3")
    cause = {
        "category": "policy_gap",
        "statement": "No approved tool served the need, so staff took one.",
        "method": "other",
    }
    await ria.act("CO.3", inputs={"root_cause": cause})
    await wrap_up(ria, doer, verifier, cause=False)
    await decide_duties(ria)
    await ria.ok("POST", "/sign-off", {"statement": "All is done and documented."})


async def test_a_list_that_says_otherwise_holds_sa_4_1_back(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any, settings: Settings
) -> None:
    async with crew(server, database, tenant.tenant_id, **ROLES) as team:
        made = await team.calls["ida"].post("/v1/incidents", json={"title": "A tool", "playbook": "shadow-ai"})
        who = team.on(made.json()["number"])
        ida, ria = who["ida"], who["ria"]
        await opened(ida)
        await ida.step("SA.1")
        await answered(ida)
        await decide(ida, ria, "conditional")
        tool = await the_tool(ria)
        await decided(ria.http, tool, "block")
        refused = await ria.refused("POST", "/actions/SA.4.1/transitions", {"transition": "complete"})
        assert refused["gate"] == "G-SA-4"
        offered = await _offer(ria, "SA.4.1")
        assert offered["permit"] == "allowed"  # the change of the register is still in the queue
        await Worker(database, settings).work_for(tenant.tenant_id)
        offered = await _offer(ria, "SA.4.1")
        assert (offered["permit"], offered["gate"]) == ("gate", "G-SA-4")
        await decided(ria.http, tool, "conditional")
        await Worker(database, settings).work_for(tenant.tenant_id)
        await ria.act("SA.4.1")


async def _offer(me: Caller, action_id: str) -> dict[str, Any]:
    record = await me.ok("GET", "")
    action = next(a for s in record["steps"] for a in s["actions"] if a["id"] == action_id)
    found: dict[str, Any] = next(o for o in action["allowed_transitions"] if o["transition"] == "complete")
    return found


async def test_client_data_opens_a_linked_incident(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any
) -> None:
    async with crew(server, database, tenant.tenant_id, **ROLES) as team:
        made = await team.calls["ida"].post("/v1/incidents", json={"title": "A tool", "playbook": "shadow-ai"})
        ida = team.on(made.json()["number"])["ida"]
        await opened(ida, "client_or_sensitive")
        assert await gate_at_step(ida, "SA.1") == "G-ALL-4"
        done = await ida.act("SA.1.5")
        assert done["status"] == "done"
        links = await all_of(ida, "/links")
        other = await ok(ida.http, "GET", f"/v1/incidents/{links[0]['linked_incident_id']}")
        assert other["playbook"]["slug"] == "data-leakage"
        await ida.step("SA.1")


async def test_human_resources_join_by_the_risk_owner_alone(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any
) -> None:
    async with crew(server, database, tenant.tenant_id, **ROLES) as team:
        made = await team.calls["ida"].post("/v1/incidents", json={"title": "A tool", "playbook": "shadow-ai"})
        who = team.on(made.json()["number"])
        hal = f"/participants/{team.id_of('hal')}"
        body = {"roles": ["hr"], "involvement": "responder"}
        refused = await who["ida"].refused("PUT", hal, {**body, "reason": WHY})
        assert refused["code"] in ("forbidden", "gate-refused")
        bare = await who["ria"].refused("PUT", hal, body)
        assert bare["status"] in (409, 422)
        await who["ria"].ok("PUT", hal, {**body, "reason": WHY})


async def test_a_tool_must_be_known_before_it_is_assessed(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any
) -> None:
    async with crew(server, database, tenant.tenant_id, **ROLES) as team:
        made = await team.calls["ida"].post("/v1/incidents", json={"title": "A tool", "playbook": "shadow-ai"})
        ida = team.on(made.json()["number"])["ida"]
        unknown = {"entries": [{"identification": "unknown", "reason": "The proxy shows an address and nothing more."}]}
        await ida.act("SA.1.1", inputs={"ai_systems": unknown})
        body = {"transition": "complete", "inputs": {"soc_report": GOOD["VC-1"]}}
        refused = await ida.refused("POST", "/actions/SA.2.1/transitions", body)
        assert refused["errors"][0]["pointer"] == "/inputs/soc_report"
        strange = {"entries": [{**TOOL, "tool_id": made.json()["id"]}]}
        refused = await ida.refused("PUT", "/documentation/D03", strange)
        assert refused["errors"][0]["pointer"] == "/tool_id"
        await ida.ok("PUT", "/documentation/D03", {"entries": [TOOL]})
        await ida.act("SA.2.1", inputs={"soc_report": GOOD["VC-1"]})
        await ida.ok("PATCH", "", {"ai_systems": [{**TOOL, "name": "examplechat"}]})
        assert len((await ok(ida.http, "GET", "/v1/tools"))["items"]) == 1


async def test_one_tool_named_twice_is_one_entry_and_goes_with_the_linked_incident(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any, superuser: asyncpg.Connection
) -> None:
    async with crew(server, database, tenant.tenant_id, **ROLES) as team:
        client = await ok(http, "POST", "/v1/clients", {"name": "North Dental"}, 201)
        report = {"title": "A tool", "playbook": "shadow-ai", "client_ids": [client["id"]]}
        named = [TOOL, {"name": "EXAMPLECHAT"}, {"name": "Its app", "url": "chat.example.com"}, {"name": "ChatGPT"}]
        made = await team.calls["ida"].post("/v1/incidents", json={**report, "ai_systems": named})
        assert made.status_code == 201, made.text
        tools = (await ok(http, "GET", "/v1/tools"))["items"]
        assert [(t["name"], t["service"]) for t in tools] == [("ChatGPT", "chatgpt"), ("ExampleChat", None)]
        assert tools[0]["domains"] == ["chatgpt.com", "chat.openai.com"]
        ida = team.on(made.json()["number"])["ida"]
        entries = (await document(ida, "D03"))["entries"]
        assert [e["tool_id"] for e in entries] == [tools[1]["id"]] * 3 + [tools[0]["id"]]
        # A key limited to the client does not see the register, and works on the incident all the same.
        sql = "UPDATE api_keys SET client_ids = $2 WHERE person_id = $1"
        await superuser.execute(sql, team.people["ida"].id, [client["id"]])
        assert (await ok(ida.http, "GET", "/v1/tools"))["items"] == []
        affected = {**RATIONALE, "affected_data": GENERIC}
        await ida.act("SA.1.3", outcome="client_or_sensitive", inputs=affected)
        await ida.act("SA.1.5")
        await ida.act("SA.2.1", inputs={"soc_report": GOOD["VC-1"]})
        assert len((await ok(http, "GET", f"/v1/tools/{tools[1]['id']}"))["assessments"]) == 1
        strange = {"entries": [{**TOOL, "tool_id": tools[0]["id"]}, {"tool_id": made.json()["id"]}]}
        assert (await ida.refused("PUT", "/documentation/D03", strange))["errors"][0]["pointer"] == "/tool_id"
        assert (await check_tenant(database, tenant.tenant_id))["faults"] == []


async def test_an_extension_is_kept_removed_and_denied(
    http: httpx.AsyncClient, server: str, database: Database, tenant: Any
) -> None:
    async with crew(server, database, tenant.tenant_id, **ROLES) as team:
        report = {"title": "AI browser extension found", "playbook": "ai-browser-extension"}
        made = await team.calls["ida"].post("/v1/incidents", json=report)
        assert made.status_code == 201, made.text
        assert made.json()["severity"] == "SEV3"
        who = team.on(made.json()["number"])
        ida, ria = who["ida"], who["ria"]
        refused = await ida.refused("POST", "/actions/BX.1.2/transitions", {"transition": "complete"})
        assert (refused["gate"], refused["missing"][0]["ref"]) == ("G-BX-1", "BX.1.1")
        kept = await attach(ida, "BX.1.1", "config_snapshot")
        found = {"extension_name": "Example Side", "extension_id": "abcdef", "permissions": "Read all pages"}
        await ida.act("BX.1.1", evidence_ids=[kept], inputs={**found, "extension_reads_pages": True})
        await ida.act("BX.1.2")
        apps = {"applications": "The client portal and the mailbox."}
        await ida.act("BX.1.4", outcome="nothing_visible", inputs=apps)
        await ida.act("BX.1.5", inputs={"installations": 2, "found_how": "Inventory of browsers."})
        assert await gate_at_step(ida, "BX.1") == "G-ALL-4"  # sessions are still signed in
        await ida.act("BX.1.3")
        await ida.step("BX.1")
        tool = {"name": "Example Side", "identification": "identified"}
        await ida.act("SA.1.1", inputs={"ai_systems": {"entries": [tool]}})
        await ida.act("SA.1.2", inputs={"duration_note": "A week."})
        await ida.act("SA.1.3", outcome="generic", inputs={**RATIONALE, "affected_data": GENERIC})
        users = {"users_count": 2, "users_note": "Two clerks.", "impacted_parties": NOBODY}
        await ida.act("SA.1.4", inputs=users)
        await ida.step("SA.1")
        await answered(ida, VC_4={"answer": "unknown", "source": "nowhere stated"})
        await decide(ida, ria, "block")
        await ida.act("SA.3.4", inputs={"block_requested_at": made.json()["discovered_at"]})
        assert await gate_at_step(ria, "SA.3") == "G-SA-3"  # neither a domain nor an extension id
        await ida.act("BX.4.1", inputs={"extension_ids": ["abcdef"]})
        await ria.step("SA.3")
        listed = await the_tool(ria)
        assert (listed["status"], listed["blocked_extension_ids"]) == ("blocked", ["abcdef"])
        assert listed["decisions"][0]["suggested"] == "conditional"
