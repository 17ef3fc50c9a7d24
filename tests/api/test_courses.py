"""The courses an incident may take, and the lists it is found in, over HTTP."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.database import Database
from app.rebuild import check_tenant
from tests.api.people import calling, enrolled
from tests.api.test_walk import WHY, Caller, contain
from tests.people import report

pytestmark = pytest.mark.timeout(120)
TRANSITIONS = ("acknowledge", "declare", "reclassify", "hold", "resume", "reject", "reopen")


async def opened(http: httpx.AsyncClient, **told: Any) -> Caller:
    made = await report(http, **{"playbook": "data-leakage", **told})
    return Caller(http, made["number"])


async def test_an_integration_upserts_by_reference(http: httpx.AsyncClient) -> None:
    path = "/v1/incidents/by-reference/halopsa/eu-1/T/42"
    first = await http.put(path, json={"title": "From the ticket", "labels": ["psa"]})
    assert first.status_code == 201, first.text
    assert first.headers["location"].endswith(first.json()["id"])
    second = await http.put(path, json={"summary": "More is known now."})
    assert second.status_code == 200, second.text
    assert second.json()["id"] == first.json()["id"]
    assert (second.json()["title"], second.json()["summary"], second.json()["labels"]) == (
        "From the ticket",
        "More is known now.",
        ["psa"],
    )
    assert [r["id"] for r in second.json()["external_references"]] == ["T/42"]
    listed = (await http.get("/v1/incidents", params={"external_id": "T/42"})).json()["items"]
    assert [i["number"] for i in listed] == [first.json()["number"]]


async def test_of_many_upserts_at_once_one_creates(http: httpx.AsyncClient) -> None:
    path = "/v1/incidents/by-reference/halopsa/-/T-7"
    answers = await asyncio.gather(*(http.put(path, json={"title": f"Try {n}"}) for n in range(12)))
    assert sorted(a.status_code for a in answers) == [200] * 11 + [201]
    assert len({a.json()["id"] for a in answers}) == 1
    number = (await http.post("/v1/incidents", json={"title": "The next one"})).json()["number"]
    assert number == "INC-1002"


async def test_a_known_reference_conflicts_and_names_the_incident(http: httpx.AsyncClient) -> None:
    reference = {"system": "jira", "id": "SEC-9"}
    first = await report(http, external_references=[reference])
    again = await http.post("/v1/incidents", json={"title": "Twice", "external_references": [reference]})
    assert (again.status_code, again.json()["code"]) == (409, "external-reference-exists")
    assert again.json()["current"] == {"id": first["id"], "number": first["number"]}
    assert (await report(http))["number"] == "INC-1002"  # the conflict burned no number


async def test_a_rejected_incident_is_not_updated_by_reference(http: httpx.AsyncClient) -> None:
    path = "/v1/incidents/by-reference/jira/-/SEC-10"
    made = await http.put(path, json={"title": "A false alarm"})
    me = Caller(http, made.json()["number"])
    myself = (await http.get("/v1/me")).json()["id"]
    await me.ok("PUT", "/documentation/D02", {"discovered_by": myself, "discovery_method": "self_report"})
    await me.ok("POST", "/transitions", {"transition": "reject", "disposition": "false_positive", "reason": WHY})
    again = await http.put(path, json={"title": "Again"})
    assert (again.status_code, again.json()["code"]) == (409, "incident-closed")
    back = await me.ok("POST", "/transitions", {"transition": "reopen", "reason": WHY})
    assert (back["status"], back["disposition"]) == ("triage", None)
    assert (await http.put(path, json={"title": "Again"})).status_code == 200


async def test_a_hold_keeps_the_clocks_and_returns(http: httpx.AsyncClient) -> None:
    me = await opened(http)
    due = (await me.ok("GET", ""))["next_due_at"]
    bare = await me.refused("POST", "/transitions", {"transition": "hold", "reason": WHY})
    assert bare["errors"][0]["pointer"] == "/waiting_for"
    held = await me.ok("POST", "/transitions", {"transition": "hold", "reason": WHY, "waiting_for": "the vendor"})
    assert (held["status"], held["next_due_at"]) == ("on_hold", due)
    assert held["hold"]["waiting_for"] == "the vendor"
    await me.act("DL.1.1")
    assert (await me.ok("POST", "/transitions", {"transition": "resume"}))["status"] == "in_progress"


async def test_reclassifying_there_and_back_keeps_what_was_done(
    http: httpx.AsyncClient, database: Database, tenant: Any
) -> None:
    me = await opened(http)
    await contain(me)
    await me.tell("internal", "DL.2.1")
    before = await me.ok("GET", "")
    there = {"transition": "reclassify", "playbook": "generic-ai-incident", "primary_risk": "AR-001", "reason": WHY}
    generic = await me.ok("POST", "/transitions", there)
    assert (generic["number"], generic["playbook"]["slug"]) == (before["number"], "generic-ai-incident")
    status = {a["id"]: a["status"] for s in generic["steps"] for a in s["actions"]}
    done = {"GE.1.1", "GE.1.2", "GE.1.4", "GE.1.5", "GE.1.6", "GE.2.1"}
    assert {status[action] for action in done} == {"done"}
    evidence = (await http.get(f"{me.base}/evidence")).json()["items"]
    assert [e["action_id"] for e in evidence] == ["GE.1.2"]
    documents = {d["id"]: d["state"] for d in generic["documentation"]}
    assert documents == {d["id"]: d["state"] for d in before["documentation"]} | {"D06": documents["D06"]}
    back = await me.ok("POST", "/transitions", {"transition": "reclassify", "playbook": "data-leakage", "reason": WHY})
    status = {a["id"]: a["status"] for s in back["steps"] for a in s["actions"]}
    assert {status[action.replace("GE", "DL")] for action in done} == {"done"}
    assert len((await http.get(f"{me.base}/evidence")).json()["items"]) == 1
    assert (await check_tenant(database, tenant.tenant_id))["faults"] == []
    same = {"transition": "reclassify", "playbook": "data-leakage", "reason": WHY}
    assert (await me.refused("POST", "/transitions", same))["code"] == "state-conflict"


async def test_the_discovery_is_corrected_with_a_reason_and_keeps_the_old_deadlines(http: httpx.AsyncClient) -> None:
    me = await opened(http)
    before = await me.ok("GET", "")
    earlier = datetime.now(UTC) - timedelta(hours=2)
    body = {"discovered_at": earlier.isoformat()}
    assert (await me.refused("PATCH", "", body))["errors"][0]["pointer"] == "/reason"
    after = await me.ok("PATCH", "", {**body, "reason": WHY})
    for old, new in zip(before["steps"], after["steps"], strict=True):
        assert new["sla"]["due_at"] < old["sla"]["due_at"]
        assert new["earlier_deadlines"][0]["due_at"] == old["sla"]["due_at"]
    late = await me.refused("PATCH", "", {"discovered_at": datetime.now(UTC).isoformat(), "reason": WHY})
    assert late["errors"][0]["pointer"] == "/discovered_at"


async def test_lists_are_paged_filtered_searched_and_counted(http: httpx.AsyncClient) -> None:
    for n in range(5):
        await report(http, title=f"Chatbot case {'abcde'[n] * 3}", labels=["even" if n % 2 == 0 else "odd"])
    await report(http, title="A deepfake call", playbook="data-leakage")
    seen: list[str] = []
    cursor = None
    while True:
        page = await http.get("/v1/incidents", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        assert page.status_code == 200, page.text
        seen += [i["number"] for i in page.json()["items"]]
        cursor = page.json()["next_cursor"]
        assert ('rel="next"' in page.headers.get("link", "")) == (cursor is not None)
        if cursor is None:
            break
    assert seen == [f"INC-{n}" for n in range(1006, 1000, -1)]
    bent = await http.get("/v1/incidents", params={"limit": 2, "cursor": "bent"})
    assert bent.status_code == 422
    numbers = {}
    for name, params in {
        "q": {"q": "deepfake"},
        "two": {"q": "chatbot ddd"},
        "label": {"label": "odd"},
        "status": {"status": "in_progress"},
        "none": {"q": "nowhere"},
    }.items():
        found = await http.get("/v1/incidents", params=params)
        numbers[name] = [i["number"] for i in found.json()["items"]]
    assert numbers == {
        "q": ["INC-1006"],
        "two": ["INC-1004"],
        "label": ["INC-1004", "INC-1002"],
        "status": ["INC-1006"],
        "none": [],
    }
    counts = (await http.get("/v1/incidents/counts", params={"group_by": "status"})).json()
    assert counts["total"] == 6
    assert {row["status"]: row["count"] for row in counts["counts"]} == {"reported": 5, "in_progress": 1}


async def test_a_list_comes_as_csv_that_no_spreadsheet_runs(http: httpx.AsyncClient) -> None:
    await report(http, title="=HYPERLINK(1)", summary="a, b")
    answer = await http.get("/v1/incidents", headers={"Accept": "text/csv"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert row["number"] == "INC-1001"
    assert not row["title"].startswith("=")


async def test_what_is_shown_as_allowed_is_what_the_call_answers(http: httpx.AsyncClient, server: str) -> None:
    """The verdicts as they come out of the database, for people who may do different things."""
    me = await opened(http)
    await contain(me)
    wrong: list[Any] = []
    number = me.base.rpartition("/")[2]
    for roles in (["legal_counsel"], ["auditor"], ["it_security"], ["risk_owner"]):
        _, key = await enrolled(http, *roles)
        async with calling(server, key) as other:
            who = Caller(other, number)
            whole = await who.ok("GET", "")
            targets = [("/transitions", a) for a in whole["allowed_transitions"]]
            for step in whole["steps"]:
                targets += [(f"/steps/{step['id']}/transitions", a) for a in step["allowed_transitions"]]
                for action in step["actions"]:
                    path = f"/actions/{action['id']}/transitions"
                    targets += [(path, a) for a in action["allowed_transitions"]]
            for path, allowed in targets:
                if allowed["permit"] == "allowed":
                    continue  # asked for without its inputs it is a 422, and with them it would change the record
                answer = await other.post(f"{who.base}{path}", json={"transition": allowed["transition"]})
                code = answer.json()["code"]
                expected = {"state": "state-conflict", "person": "forbidden", "gate": "gate-refused"}
                if code != expected[allowed["permit"]]:
                    wrong.append((roles, path, allowed["transition"], allowed["permit"], code))
    assert wrong == []
