"""Previews: what a delivery would do, and that asking leaves nothing behind."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

TRIGGER = {
    "event_action": "trigger",
    "dedup_key": "leak-1",
    "summary": "A client list was pasted into ChatGPT",
    "severity_hint": "critical",
}
OWN = {
    "events": [{"when": 'body.state == "alerting"', "action": "open"}],
    "fields": {"external_id": "body.uid", "title": "body.what"},
}


@pytest.fixture
async def source(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.post("/v1/sources", json={"name": "Scanner", "system": "generic"})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def preview(http: httpx.AsyncClient, source: dict[str, Any], body: Any, **more: Any) -> dict[str, Any]:
    answer = await http.post(f"/v1/sources/{source['id']}/preview", json={"body": body, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_it_tells_what_would_happen_and_does_nothing(
    http: httpx.AsyncClient, stranger: httpx.AsyncClient, source: dict[str, Any]
) -> None:
    said = await preview(http, source, TRIGGER)
    assert said["result"] == "created"
    assert said["incident"]["number"] is None
    assert said["incident"]["status"] == "reported"
    assert said["incident"]["suggested_playbook"]["slug"] == "data-leakage"
    assert said["events"][0]["action"] == "open"
    assert said["events"][0]["rule"] == 'get(body, "event_action", "") == "trigger"'
    assert said["events"][0]["external_id"] == "leak-1"
    assert (await http.get("/v1/incidents")).json()["items"] == []
    assert (await http.get(f"/v1/sources/{source['id']}/deliveries")).json()["items"] == []

    path = "/hooks/" + source["hook_url"].rsplit("/", 1)[1]
    assert (await stranger.post(path, json=TRIGGER)).json()["incident"]["number"] == "INC-1001"
    said = await preview(http, source, {"event_action": "resolve", "dedup_key": "leak-1"})
    assert (said["result"], said["incident"]["number"]) == ("noted", "INC-1001")
    assert (await preview(http, source, TRIGGER))["result"] == "duplicate"
    assert (await http.get("/v1/incidents/INC-1001")).json()["close_asked"] is None


async def test_a_mapping_is_tried_before_it_is_saved(http: httpx.AsyncClient, source: dict[str, Any]) -> None:
    body = '{"state":"alerting","uid":12345678901234567890,"what":"It leaks"}'
    said = await preview(http, source, body)
    assert said["result"] == "unmapped"
    assert said["because"] == "No rule of Generic webhook says what it means."
    said = await preview(http, source, body, mapping=OWN)
    assert (said["result"], said["incident"]["title"]) == ("created", "It leaks")
    assert said["events"][0]["external_id"] == "12345678901234567890"
    fields = {**OWN["fields"], "summary": "body.what.size()", "url": "body.link + 1"}  # type: ignore[dict-item]
    said = await preview(http, source, body, mapping={**OWN, "fields": fields})
    assert [one["pointer"] for one in said["errors"]] == ["/mapping/fields/url"]
    assert said["errors"][0]["reason"]


async def test_a_fault_of_a_mapping_names_its_place(http: httpx.AsyncClient, source: dict[str, Any]) -> None:
    mapping = {**OWN, "fields": {"title": ["body.what", "body.("], "summary": "nobody.what"}}
    answer = await http.post(f"/v1/sources/{source['id']}/preview", json={"body": {}, "mapping": mapping})
    assert answer.status_code == 422
    faults = {one["pointer"]: one["reason"] for one in answer.json()["errors"]}
    assert set(faults) == {"/mapping/fields/title/1", "/mapping/fields/summary/0"}
    assert "position" in faults["/mapping/fields/summary/0"]


async def test_a_handshake_is_shown(http: httpx.AsyncClient) -> None:
    slack = (await http.post("/v1/sources", json={"name": "S", "system": "slack", "secret": "a-signing-secret"})).json()
    said = await preview(http, slack, {"type": "url_verification", "challenge": "abc"})
    assert (said["result"], said["handshake"]) == ("ignored", "abc")


async def test_a_source_of_nobody(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/sources/01890000-0000-7000-8000-000000000000/preview", json={"body": {}})
    assert answer.status_code == 404


async def test_the_rule_that_a_report_meets_is_shown_and_followed(
    http: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    client = (await http.post("/v1/clients", json={"name": "Northwind"})).json()["id"]
    rules = [
        {"when": 'report.title.startsWith("[test]")', "playbook": "bad-output"},
        {
            "when": 'report.title.startsWith("[NW]") && "gateway" in words',
            "playbook": "shadow-ai",
            "client_id": client,
            "facts": {"data_exfiltrated": True},
            "because": "The gateway of Northwind told of it.",
        },
    ]
    body = {"event_action": "trigger", "dedup_key": "g-1", "title": "[NW] gateway", "playbook_hint": "bad-output"}
    given = {
        "name": "G",
        "system": "generic",
        "mapping": {"rules": rules},
        "defaults": {"facts": {"exposure": "public"}},
    }
    answer = await http.post("/v1/sources", json=given)
    assert answer.status_code == 201, answer.text
    said = await preview(http, answer.json(), body)
    assert said["events"][0]["met"]["place"] == "/mapping/rules/1"
    assert said["events"][0]["met"]["when"] == rules[1]["when"]
    assert said["incident"]["suggested_playbook"] == {"slug": "shadow-ai", "because": rules[1]["because"]}
    path = "/hooks/" + answer.json()["hook_url"].rsplit("/", 1)[1]
    told = (await stranger.post(path, json=body)).json()
    found = (await http.get(f"/v1/incidents/{told['incident']['id']}")).json()
    assert found["suggested_playbook"]["slug"] == "shadow-ai"
    assert found["client_ids"] == [client]
    assert found["facts"]["data_exfiltrated"]["value"] is True
    assert found["facts"]["exposure"]["value"] == "public"
    named = {**body, "dedup_key": "g-2", "facts": {"data_exfiltrated": False}, "title": "Other"}
    found = (await preview(http, answer.json(), named))["incident"]
    assert (found["suggested_playbook"]["slug"], found["client_ids"]) == ("bad-output", [])
