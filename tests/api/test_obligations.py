"""Obligations through HTTP: previews, clocks that people set, delays, and what is shown on request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.people import calling, enrolled
from tests.people import report

SAID = "decision support, not legal advice"
CLAUSE = {
    "kind": "dpa",
    "notice_duration": "PT24H",
    "notice_clock": "discovered_at",
    "recipient": "dpo@north.example",
    "threshold": "any",
}
NORTH = {
    "name": "North Dental",
    "gdpr_role": "processor",
    "jurisdictions": ["DE"],
    "contract": {"clauses": [CLAUSE]},
}
BREACH = {
    "data_types": ["government_id"],
    "encrypted": False,
    "residents_by_jurisdiction": {"US-CA": 612, "US-TX": 40, "DE": 1},
}
DISCOVERED = "2026-03-02T15:00:00Z"


async def previewed(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    query = {"include": "not_triggered"} if body.pop("whole", False) else {}
    answer = await http.post("/v1/obligations/preview", json={"discovered_at": DISCOVERED, **body}, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def by_rule(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["rule_id"]: one for one in found["outcomes"]}


async def test_one_call_tells_who_hears_of_a_breach_by_when_and_why(http: httpx.AsyncClient) -> None:
    client = (await http.post("/v1/clients", json=NORTH)).json()
    found = await previewed(http, facts=BREACH, client_ids=[client["id"]])
    assert found["disclaimer"] == SAID
    told = by_rule(found)
    assert set(told) == {"OB-S-1", "OB-S-3", "OB-S-4", "OB-GDPR-PROC", "OB-US-CA-MAINT", "OB-US-TX-MAINT"}
    assert all(one["disclaimer"] == SAID for one in found["outcomes"])
    contract = told["OB-S-3"]
    assert (contract["due_at"], contract["client_id"]) == ("2026-03-03T15:00:00Z", client["id"])
    assert "PT24H" in " ".join(contract["because"])
    assert told["OB-US-CA-MAINT"]["guideline_due_at"] == DISCOVERED
    assert told["OB-US-CA-MAINT"]["deciding_facts"] == [
        "client.data_role",
        "data_types",
        "encrypted",
        "personal_data",
        "residents_by_jurisdiction",
    ]
    assert told["OB-GDPR-PROC"]["outcome"] == "required"
    # Ordered by date: what is due at once stands first, what the law gives no figure for last.
    assert found["outcomes"][0]["rule_id"] in {"OB-US-CA-MAINT", "OB-US-TX-MAINT"}
    whole = by_rule(await previewed(http, facts=BREACH, client_ids=[client["id"]], whole=True))
    for rule in ("OB-GDPR-SA", "OB-US-CA", "OB-US-CA-AG", "OB-US-TX"):
        assert (whole[rule]["outcome"], whole[rule]["owed_by"]) == ("not_triggered", "client")
    assert whole["OB-US-TX-AG"]["outcome"] == "not_triggered"
    assert any("40" in reason and "250" in reason for reason in whole["OB-US-TX-AG"]["because"])
    assert (await http.get("/v1/incidents")).json()["items"] == []


async def test_the_owner_of_the_data_tells_people_and_authorities_itself(http: httpx.AsyncClient) -> None:
    facts = {**BREACH, "determined_at": "2026-03-04T15:00:00Z"}
    found = await previewed(http, facts=facts, clients=[{"name": "Our own", "profile": {"data_role": "owner"}}])
    told = by_rule(found)
    assert told["OB-US-CA"]["due_at"] == "2026-04-01T15:00:00Z"
    assert told["OB-US-TX"]["due_at"] == "2026-05-03T15:00:00Z"
    assert (told["OB-US-CA-AG"]["pending_clock"], told["OB-US-CA-AG"]["due_at"]) == (True, "2026-03-17T15:00:00Z")
    assert told["OB-S-3"]["client_id"] is None and told["OB-S-3"]["client_name"] == "Our own"
    assert told["OB-S-3"]["outcome"] == "needs_facts"


async def test_a_preview_says_which_answers_would_let_more_rules_speak(http: httpx.AsyncClient) -> None:
    found = await previewed(http)
    assert set(by_rule(found)) == {"OB-S-1", "OB-S-2", "OB-S-3", "OB-S-4"}
    waiting = {one["fact"]: one["rules"] for one in found["unasked"]}
    assert "OB-NIS2-24" in waiting["org.sectors"]
    profile = {"sectors": ["nis2_entity"]}
    asked = by_rule(await previewed(http, organisation=profile, facts={"aware_at": "2026-06-10T08:00:00Z"}))
    assert asked["OB-NIS2-24"]["outcome"] == "needs_facts"
    assert asked["OB-NIS2-24"]["missing_facts"] == ["significant_incident"]
    settled = await http.patch("/v1/settings", json={"organisation": profile, "notice_guideline": "P10D"})
    assert settled.status_code == 200, settled.text
    stored = by_rule(await previewed(http, facts={"significant_incident": True}))
    assert stored["OB-NIS2-24"]["outcome"] == "required"
    assert stored["OB-NIS2-RECIP"]["guideline_due_at"] == "2026-03-12T15:00:00Z"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"facts": {"no_such_fact": True}}, "/facts/no_such_fact"),
        ({"facts": {"aware_at": "yesterday"}}, "/facts/aware_at"),
        ({"facts": {"aware_at": "2026-03-02T15:00:00"}}, "/facts/aware_at"),
        ({"facts": {"clients_affected": []}}, "/facts/clients_affected"),
        ({"client_ids": [str(uuid4())]}, "/client_ids/0"),
        ({"organisation": {"ai_act_role": "emperor"}}, "/organisation/ai_act_role"),
        ({"clients": [{"hipaa_role": "patient"}]}, "/clients/0/hipaa_role"),
    ],
)
async def test_a_preview_refuses_what_there_is_not(http: httpx.AsyncClient, body: dict[str, Any], pointer: str) -> None:
    answer = await http.post("/v1/obligations/preview", json=body)
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def owing(http: httpx.AsyncClient, **facts: Any) -> str:
    """An incident of a NIS2 entity; its path."""
    await http.patch("/v1/settings", json={"organisation": {"sectors": ["nis2_entity"]}})
    incident = await report(http, playbook="data-leakage")
    path = f"/v1/incidents/{incident['number']}"
    edited = await http.patch(path, json={"facts": {"significant_incident": True, **facts}})
    assert edited.status_code == 200, edited.text
    return path


async def duties(http: httpx.AsyncClient, path: str, **query: Any) -> dict[str, dict[str, Any]]:
    answer = await http.get(f"{path}/obligations", params=query)
    assert answer.status_code == 200, answer.text
    return {one["rule_id"]: one for one in answer.json()}


async def test_a_person_sets_a_clock_and_it_says_who_and_when(http: httpx.AsyncClient) -> None:
    path = await owing(http)
    early = (await duties(http, path))["OB-NIS2-24"]
    assert (early["outcome"], early["pending_clock"]) == ("required", True)
    aware = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    edited = await http.patch(path, json={"facts": {"aware_at": aware.isoformat()}})
    assert edited.status_code == 200, edited.text
    fact = edited.json()["facts"]["aware_at"]
    assert fact["set_by"] == (await http.get("/v1/me")).json()["id"] and fact["set_at"]
    known = (await duties(http, path))["OB-NIS2-24"]
    assert known["pending_clock"] is False
    assert datetime.fromisoformat(known["due_at"]) == aware + timedelta(hours=24)
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    refused = await http.patch(path, json={"facts": {"determined_at": ahead}})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/facts/determined_at")


async def test_a_delay_suspends_the_date_and_keeps_the_original(http: httpx.AsyncClient, server: str) -> None:
    path = await owing(http)
    duty = (await duties(http, path))["OB-NIS2-72"]
    place = f"{path}/obligations/{duty['id']}/delay"
    answer = await http.put(place, json={"requested_by": "Federal police", "reference": "FP-7"})
    assert answer.status_code == 200, answer.text
    held = answer.json()
    assert (held["due_at"], held["original_due_at"], held["delay"]["reference"]) == (None, duty["due_at"], "FP-7")
    await http.patch(path, json={"facts": {"aware_at": (datetime.now(UTC) - timedelta(hours=2)).isoformat()}})
    moved = (await duties(http, path))["OB-NIS2-72"]
    assert moved["due_at"] is None and moved["original_due_at"] not in (None, duty["due_at"])
    until = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0).isoformat()
    ended = await http.put(place, json={"requested_by": "Federal police", "until": until})
    assert datetime.fromisoformat(ended.json()["due_at"]) == datetime.fromisoformat(until)
    lifted = await http.delete(place)
    assert (lifted.status_code, lifted.json()["due_at"]) == (200, moved["original_due_at"])
    assert (await http.delete(place)).status_code == 409
    past = await http.put(place, json={"requested_by": "Federal police", "until": "2026-01-01T00:00:00Z"})
    assert (past.status_code, past.json()["errors"][0]["pointer"]) == (422, "/until")
    _, key = await enrolled(http, "it_security")
    async with calling(server, key) as other:
        assert (await other.put(place, json={"requested_by": "Federal police"})).status_code == 403
    kinds = [event["kind"] for event in (await http.get(f"{path}/timeline?limit=200")).json()["items"]]
    assert [kind for kind in kinds if "delay" in kind] == [
        "obligation.delayed",
        "obligation.delayed",
        "obligation.delay_lifted",
    ]


async def test_what_was_looked_at_and_not_triggered_is_shown_on_request(http: httpx.AsyncClient) -> None:
    client = (await http.post("/v1/clients", json=NORTH)).json()
    incident = await report(http, playbook="data-leakage", client_ids=[client["id"]])
    path = f"/v1/incidents/{incident['number']}"
    data = {"data_type": "government_id", "individuals_count": 653, "record_count": 653, "count_precision": "exact"}
    parties = [
        {
            "kind": "client",
            "client_id": client["id"],
            "count": 653,
            "jurisdictions": {"US-CA": 612, "US-TX": 40, "DE": 1},
        }
    ]
    for item, value in (("D04", {"entries": [{**data, "encrypted": False}]}), ("D05", {"entries": parties})):
        written = await http.put(f"{path}/documentation/{item}", json=value)
        assert written.status_code == 200, written.text
    shown = await duties(http, path)
    assert {"OB-GDPR-PROC", "OB-US-CA-MAINT", "OB-S-3"} <= set(shown)
    assert not {"OB-GDPR-SA", "OB-US-CA"} & set(shown)
    whole = await duties(http, path, include="not_triggered")
    assert (whole["OB-GDPR-SA"]["outcome"], whole["OB-GDPR-SA"]["owed_by"]) == ("not_triggered", "client")
    assert {one["disclaimer"] for one in whole.values()} == {SAID}
    assert (await http.get(f"{path}/obligations", params={"include": "everything"})).status_code == 422


async def test_the_list_tells_who_hears_first(http: httpx.AsyncClient) -> None:
    incident = await report(http, playbook="data-leakage")
    path = f"/v1/incidents/{incident['id']}"
    lost = {"data_type": "government_id", "record_count": 2100, "count_precision": "exact", "individuals_count": 2100}
    told = {"entries": [{**lost, "fields": ["passport number"], "encrypted": False}]}
    residents = {"US-MD": 700, "US-NJ": 700, "US-PA": 700}
    people = {"kind": "individual_group", "count": 2100, "jurisdictions": residents}
    for item, value in (("D04", told), ("D05", {"entries": [people]})):
        wrote = await http.put(f"{path}/documentation/{item}", json=value)
        assert wrote.status_code == 200, wrote.text
    rows = (await http.get(f"{path}/obligations")).json()
    places = {row["rule_id"]: at for at, row in enumerate(rows)}
    for state in residents:
        assert places[f"OB-{state}-AG"] < places[f"OB-{state}"], list(places)
    moved = {f"OB-{state}-AG" for state in residents}
    dates = [row["due_at"] or row["guideline_due_at"] or "9999" for row in rows if row["rule_id"] not in moved]
    assert dates == sorted(dates)
    assert len(set(dates)) > 2
    tree = (await http.get(path)).json()
    query = "query($id: ID!) { node(id: $id) { ... on Incident { obligations { ruleId } } } }"
    asked = await http.post("/graphql", json={"query": query, "variables": {"id": f"Incident:{tree['id']}"}})
    listed = asked.json()["data"]["node"]["obligations"]
    assert [row["ruleId"] for row in listed if row["ruleId"] in places] == [row["rule_id"] for row in rows]
