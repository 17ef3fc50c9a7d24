"""An action that opens an incident does so in its own transaction, or ties one that exists."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.database import Database
from app.rebuild import check_tenant
from tests.api.test_walk import WHY, Caller

pytestmark = pytest.mark.timeout(120)
ACTION = "/actions/PI.3.4/transitions"
COMPLETE = {"transition": "complete"}


async def injected(http: httpx.AsyncClient, **more: Any) -> Caller:
    """A prompt injection that let data out."""
    told = {
        "title": "The mail agent forwarded contracts",
        "playbook": "prompt-injection",
        "facts": {"data_exfiltrated": True},
        "ai_systems": [{"name": "Mail agent", "identification": "identified"}],
        "discovered_at": "2026-11-20T02:00:00Z",
        "discovered_at_precision": "minute",
        "discovered_by": "the client's own monitoring",
        "discovery_method": "client_report",
        **more,
    }
    made = await http.post("/v1/incidents", json=told)
    assert made.status_code == 201, made.text
    return Caller(http, made.json()["number"])


async def links(me: Caller) -> list[dict[str, Any]]:
    answer = await me.http.get(f"{me.base}/links")
    assert answer.status_code == 200, answer.text
    return list(answer.json())


async def test_it_opens_the_incident_with_what_is_known(
    http: httpx.AsyncClient, database: Database, tenant: Any
) -> None:
    client = (await http.post("/v1/clients", json={"name": "Acme"})).json()["id"]
    me = await injected(http, client_ids=[client])
    done = await me.ok("POST", ACTION, COMPLETE)
    opened = done["linked_incidents"][0]
    assert (done["status"], opened["number"], opened["status"]) == ("done", "INC-1002", "in_progress")
    leak = Caller(http, "INC-1002")
    record = await leak.ok("GET", "")
    assert record["id"] == opened["linked_incident_id"]
    assert (record["playbook"]["slug"], record["client_ids"]) == ("data-leakage", [client])
    assert record["discovered_at"] == "2026-11-20T02:00:00.000000Z"
    assert record["discovery_method"] == "client_report"
    assert next(d for d in record["documentation"] if d["id"] == "D03")["state"] == "complete"
    here, there = (await links(me))[0], (await links(leak))[0]
    assert (here["type"], here["action_id"], here["number"]) == ("related", "PI.3.4", "INC-1002")
    assert (there["type"], there["action_id"], there["number"]) == ("related", None, me.base.rpartition("/")[2])
    for caller in (me, leak):
        events = (await http.get(f"{caller.base}/timeline?limit=200")).json()["items"]
        assert "link.added" in {event["kind"] for event in events}
    assert (await check_tenant(database, tenant.tenant_id))["faults"] == []


async def test_asked_twice_it_opens_one(http: httpx.AsyncClient) -> None:
    me = await injected(http)
    headers = {"Idempotency-Key": "once"}
    first = await http.post(f"{me.base}{ACTION}", json=COMPLETE, headers=headers)
    again = await http.post(f"{me.base}{ACTION}", json=COMPLETE, headers=headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["linked_incidents"] == again.json()["linked_incidents"]
    assert (await me.refused("POST", ACTION, COMPLETE))["code"] == "state-conflict"
    await me.ok("POST", ACTION, {"transition": "reopen", "reason": WHY})
    await me.ok("POST", ACTION, COMPLETE)
    assert len((await http.get("/v1/incidents")).json()["items"]) == 2


async def test_a_refusal_opens_nothing_and_burns_no_number(http: httpx.AsyncClient) -> None:
    me = await injected(http, facts={"data_exfiltrated": False})
    await me.refused("POST", ACTION, COMPLETE)
    unknown = await http.post(f"{me.base}{ACTION}", json={**COMPLETE, "linked_incident": "INC-4711"})
    assert unknown.status_code == 404, unknown.text
    assert len((await http.get("/v1/incidents")).json()["items"]) == 1
    made = await http.post("/v1/incidents", json={"title": "The next one"})
    assert made.json()["number"] == "INC-1002"


async def test_it_ties_an_incident_that_exists_and_lets_go_again(http: httpx.AsyncClient) -> None:
    leak = Caller(http, (await http.post("/v1/incidents", json={"title": "Contracts went out"})).json()["number"])
    me = await injected(http)
    done = await me.ok("POST", ACTION, {**COMPLETE, "linked_incident": "INC-1001"})
    assert [i["number"] for i in done["linked_incidents"]] == ["INC-1001"]
    assert [(link["type"], link["number"]) for link in await links(leak)] == [("related", me.base.rpartition("/")[2])]
    itself = {**COMPLETE, "linked_incident": me.base.rpartition("/")[2]}
    assert (await me.refused("POST", ACTION, itself))["code"] == "invalid-input"
    link = (await links(me))[0]["id"]
    await me.ok("POST", f"/links/{link}/release", {"reason": WHY})
    record = await me.ok("GET", "")
    action = next(a for s in record["steps"] for a in s["actions"] if a["id"] == "PI.3.4")
    assert action["status"] == "pending"


async def test_neither_waits_for_the_other(http: httpx.AsyncClient) -> None:
    me = await injected(http)
    await me.ok("POST", ACTION, COMPLETE)
    rejected = {"transition": "reject", "disposition": "duplicate", "reason": WHY}
    leak = Caller(http, "INC-1002")
    assert (await leak.ok("POST", "/transitions", rejected))["status"] == "rejected"
    record = await me.ok("GET", "")
    assert next(a for s in record["steps"] for a in s["actions"] if a["id"] == "PI.3.4")["status"] == "done"
