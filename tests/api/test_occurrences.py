"""What a control should have done, and what it did: the population of a period as an auditor asks for it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.database import Database
from app.rebuild import check_tenant
from app.tenants import NewTenant
from domain.timeline import instant_text
from tests.api.test_walk import WHY, Caller, assess, contain
from tests.people import add_person, report

pytestmark = pytest.mark.timeout(120)
TRIAGE = "CC7.3"


async def occurrences(
    http: httpx.AsyncClient, control: str = TRIAGE, headers: dict[str, str] | None = None, **query: Any
) -> list[dict[str, Any]]:
    """All items of a population, page after page of two."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await http.get(
            f"/v1/audit/controls/{control}/occurrences", params={"limit": 2, **query, **cursor}, headers=headers
        )
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["next_cursor"] is None:
            counted = await counts(http, control, headers, **query)
            assert counted["total"] == len(found)
            for state, number in counted["states"].items():
                assert number == sum(item["state"] == state for item in found), state
            return found
        cursor = {"cursor": page["next_cursor"]}


async def counts(
    http: httpx.AsyncClient, control: str = TRIAGE, headers: dict[str, str] | None = None, **query: Any
) -> dict[str, Any]:
    answer = await http.get(f"/v1/audit/controls/{control}/occurrences/counts", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def told(items: list[dict[str, Any]]) -> set[tuple[str, str, str | None, str]]:
    return {(item["number"], item["purpose"], item["step_id"], item["state"]) for item in items}


def before(**ago: float) -> str:
    return instant_text(datetime.now(UTC) - timedelta(**ago))


async def test_every_report_is_evaluated_and_every_declared_incident_documented(http: httpx.AsyncClient) -> None:
    await report(http)
    assert told(await occurrences(http)) == {("INC-1001", "triage", None, "expected")}
    me = Caller(http, "INC-1001")
    await me.ok("POST", "/transitions", {"transition": "acknowledge"})
    (item,) = await occurrences(http)
    assert (item["state"], item["playbook_slug"], item["evidence"]) == ("met", None, [])
    assert [event["kind"] for event in item["events"]] == ["incident.acknowledged"]
    await me.ok("POST", "/transitions", {"transition": "declare", "playbook": "data-leakage"})
    assert told(await occurrences(http)) == {
        ("INC-1001", "triage", None, "met"),
        ("INC-1001", "step", "DL.2", "expected"),
        ("INC-1001", "documentation", None, "expected"),
    }
    documented = next(item for item in await occurrences(http) if item["purpose"] == "documentation")
    last = next(step for step in (await me.ok("GET", ""))["steps"] if step["id"] == "DL.5")
    assert (documented["due_at"], documented["expected_of"]) == (last["sla"]["due_at"], ["risk_owner"])


async def test_an_item_leads_to_the_step_the_files_and_the_events_that_prove_it(http: httpx.AsyncClient) -> None:
    made = await report(http, playbook="data-leakage")
    me = Caller(http, made["number"])
    await contain(me)
    await assess(me)
    evidence = await me.http.post(
        f"{me.base}/evidence?filename=triage.txt&kind=document&action_id=DL.2.1",
        content=b"what was looked at",
        headers={"Content-Type": "text/plain"},
    )
    item = next(item for item in await occurrences(http) if item["purpose"] == "step")
    assert (item["state"], item["incident_id"], item["step"]["id"]) == ("met", made["id"], "DL.2")
    assert (item["step"]["status"], item["playbook_slug"]) == ("completed", "data-leakage")
    assert item["met_occurred_at"] <= item["met_at"]
    (event,) = item["events"]
    timeline = (await me.ok("GET", "/timeline?kind=step.completed"))["items"]
    (completed,) = [one for one in timeline if one["data"]["step_id"] == "DL.2"]
    assert (event["seq"], event["hash"]) == (completed["seq"], completed["hash"])
    assert evidence.json()["id"] in {one["id"] for one in item["evidence"]}
    assert {one["action_id"] for one in item["evidence"]} == {"DL.2.1"}


@pytest.mark.parametrize("disposition", ["false_positive", "duplicate"])
async def test_rejecting_voids_what_was_still_expected(http: httpx.AsyncClient, disposition: str) -> None:
    me = Caller(http, (await report(http, playbook="data-leakage"))["number"])
    reject = {"transition": "reject", "disposition": disposition, "reason": WHY}
    myself = (await http.get("/v1/me")).json()["id"]
    await me.ok("PUT", "/documentation/D02", {"discovered_by": myself, "discovery_method": "self_report"})
    await me.ok("POST", "/transitions", reject)
    items = await occurrences(http)
    assert told(items) == {
        (items[0]["number"], "triage", None, "met"),
        (items[0]["number"], "step", "DL.2", "voided"),
        (items[0]["number"], "documentation", None, "voided"),
    }
    assert {(item["incident_status"], item["disposition"]) for item in items} == {("rejected", disposition)}
    voided = next(item for item in items if item["state"] == "voided")
    assert [event["kind"] for event in voided["events"]] == ["incident.rejected"]
    await me.ok("POST", "/transitions", {"transition": "reopen", "reason": WHY})
    assert {item["state"] for item in await occurrences(http)} == {"met", "expected"}


async def test_reclassifying_keeps_both_sets_apart(
    http: httpx.AsyncClient, database: Database, tenant: NewTenant
) -> None:
    me = Caller(http, (await report(http, playbook="data-leakage"))["number"])
    change = {"transition": "reclassify", "playbook": "generic-ai-incident", "primary_risk": "AR-002", "reason": WHY}
    await me.ok("POST", "/transitions", change)
    states = {(i["playbook_slug"], i["purpose"], i["state"]) for i in await occurrences(http)}
    assert states == {
        (None, "triage", "met"),
        ("data-leakage", "step", "voided"),
        ("data-leakage", "documentation", "voided"),
        ("generic-ai-incident", "step", "expected"),
        ("generic-ai-incident", "documentation", "expected"),
    }
    only = await occurrences(http, playbook="data-leakage")
    assert {item["state"] for item in only} == {"voided"}
    assert {item["step"]["id"] for item in only if item["step"]} == {"DL.2"}
    assert (await check_tenant(database, tenant.tenant_id))["faults"] == []


async def test_membership_is_half_open_and_days_are_those_of_the_time_zone(http: httpx.AsyncClient) -> None:
    for at in ("2026-03-28T22:59:59Z", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z", "2026-03-29T22:00:00Z"):
        await report(http, discovered_at=at, discovered_at_precision="exact")
    berlin = {"time_zone": "Europe/Berlin", "period_start": "2026-03-29", "period_end": "2026-03-30"}
    # The day on which the clocks go forward has 23 hours.
    assert [item["number"] for item in await occurrences(http, **berlin)] == ["INC-1002", "INC-1003"]
    utc = {"period_start": "2026-03-28T23:00:00Z", "period_end": "2026-03-29T22:00:00Z"}
    assert [item["number"] for item in await occurrences(http, **utc)] == ["INC-1002", "INC-1003"]
    answer = await http.get("/v1/audit/controls/CC7.3/occurrences", params=berlin)
    assert answer.json()["query"] == {
        "control": "CC7.3", "period_start": "2026-03-28T23:00:00.000000Z", "period_end": "2026-03-29T22:00:00.000000Z",
        "time_zone": "Europe/Berlin", "basis": "discovered_at", "state": None, "severity": None, "client_id": None,
        "playbook": None, "purpose": None, "exercises": False, "key_limits": None,
    }  # fmt: skip
    # A report is due for triage when it is reported, whenever it was discovered.
    assert await occurrences(http, basis="due_at", **berlin) == []
    assert len(await occurrences(http, basis="due_at", period_start=before(hours=1))) == 4


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"period_start": "yesterday"}, "/query/period_start"),
        ({"period_end": "2026-03-29T22:00:00"}, "/query/period_end"),
        ({"period_start": "0001-01-01"}, "/query/period_start"),
        ({"period_start": "2026-03-29", "period_end": "2026-03-29"}, "/query/period_end"),
        ({"time_zone": "Mars/Olympus"}, "/query/time_zone"),
    ],
)
async def test_a_period_that_is_none_is_refused(http: httpx.AsyncClient, query: dict[str, str], pointer: str) -> None:
    answer = await http.get("/v1/audit/controls/CC7.3/occurrences", params=query)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_filters_select_and_states_are_judged_now(http: httpx.AsyncClient, superuser: asyncpg.Connection) -> None:
    client = (await http.post("/v1/clients", json={"name": "Client"})).json()["id"]
    late = await report(http, playbook="data-leakage", discovered_at=before(days=40), client_ids=[client])
    fresh = await report(http, playbook="data-leakage")
    await report(http, playbook="data-leakage", exercise=True)
    breached = await occurrences(http, state="breached")
    assert {(item["number"], item["purpose"]) for item in breached} == {
        (late["number"], "step"),
        (late["number"], "documentation"),
    }
    assert {i["number"] for i in await occurrences(http, state=["breached", "expected"], purpose="step")} == {
        late["number"],
        fresh["number"],
    }
    assert {item["number"] for item in await occurrences(http, client_id=client)} == {late["number"]}
    assert await occurrences(http, severity="SEV1") == []
    severity = fresh["severity"]
    assert len(await occurrences(http, severity=severity, purpose="triage", state="met")) == 2
    assert {item["number"] for item in await occurrences(http, exercises=True) if item["exercise"]} == {"EX-1"}
    # The stored part of the state and the expression agree.
    rows = await superuser.fetch("SELECT id, outcome FROM control_occurrences WHERE outcome <> 'open'")
    assert {row["outcome"] for row in rows} <= {"met", "met_late", "skipped", "voided"}
    assert (await http.get("/v1/audit/controls/CC9.9/occurrences")).status_code == 404


async def test_correcting_the_discovery_moves_the_occurrences_with_it(http: httpx.AsyncClient) -> None:
    me = Caller(http, (await report(http, playbook="data-leakage"))["number"])
    at = before(days=3)
    await me.ok("PATCH", "", {"discovered_at": at, "discovered_at_precision": "exact", "reason": WHY})
    items = await occurrences(http)
    assert {item["discovered_at"] for item in items} == {at}
    due = {step["id"]: step["sla"]["due_at"] for step in (await me.ok("GET", ""))["steps"]}
    assert {item["purpose"]: item["due_at"] for item in items if item["purpose"] != "triage"} == {
        "step": due["DL.2"],
        "documentation": due["DL.5"],
    }


async def test_the_limits_of_a_key_narrow_the_population_and_say_so(
    http: httpx.AsyncClient, database: Database, superuser: asyncpg.Connection, tenant: NewTenant
) -> None:
    client = UUID((await http.post("/v1/clients", json={"name": "Client"})).json()["id"])
    await report(http, discovered_at="2026-01-31T12:00:00Z", client_ids=[str(client)])
    await report(http, discovered_at="2026-02-01T12:00:00Z")
    auditor = await add_person(database, tenant.tenant_id, "auditor")
    assert len(await occurrences(http, headers=auditor.headers)) == 2
    start = datetime(2026, 2, 1, tzinfo=UTC)
    await superuser.execute("UPDATE api_keys SET period_from = $2 WHERE person_id = $1", auditor.id, start)
    for basis in ("discovered_at", "due_at"):
        assert [i["number"] for i in await occurrences(http, headers=auditor.headers, basis=basis)] == ["INC-1002"]
    limits = (await counts(http, headers=auditor.headers))["query"]["key_limits"]
    assert limits == {"period_from": "2026-02-01T00:00:00.000000Z", "period_to": None, "client_ids": None}
    await superuser.execute(
        "UPDATE api_keys SET period_from = NULL, client_ids = $2 WHERE person_id = $1", auditor.id, [client]
    )
    assert [i["number"] for i in await occurrences(http, headers=auditor.headers)] == ["INC-1001"]
    responder = await add_person(database, tenant.tenant_id, "it_security")
    refused = await http.get("/v1/audit/controls/CC7.3/occurrences", headers=responder.headers)
    assert refused.status_code == 403


async def test_the_population_is_a_spreadsheet(http: httpx.AsyncClient) -> None:
    for _ in range(3):
        await report(http)
    path = "/v1/audit/controls/CC7.3/occurrences?limit=2"
    answer = await http.get(path, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["number"], row["state"]) for row in rows] == [("INC-1001", "expected"), ("INC-1002", "expected")]
    following = answer.headers["link"].partition(">")[0].removeprefix("<")
    rest = await http.get(following, headers={"Accept": "text/csv"})
    assert [row["number"] for row in csv.DictReader(io.StringIO(rest.text))] == ["INC-1003"]
