"""Every system we know, through the real door: its own bodies open, repeat, update, note and end an incident."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.systems import system_names
from tests.domain.test_mappings import MAPPINGS

PAYLOADS = Path(__file__).parents[1] / "payloads"
SECRET = "example-signing-secret"
TOKEN = "example-webhook-token"
# What a sender knows of each system: the secret, and how a body is proven by it.
PROOFS: dict[str, tuple[str | None, str]] = {
    "autotask": (SECRET, "sample"),
    "connectwise": (SECRET, "sample"),
    "github": (SECRET, "sample"),
    "jira": (SECRET, "sample"),
    "pagerduty": (SECRET, "sample"),
    "zendesk": (SECRET, "sample"),
    "slack": (SECRET, "slack"),
    "alertmanager": (SECRET, "grafana"),
    "generic": (SECRET, "hub"),
    "aws_sns": (None, "certificate"),
    "splunk": ("example-url-token", "sample"),
    "wazuh": ("example-url-token", "sample"),
    "defender_xdr": (TOKEN, "sample"),
}
STRONGEST = {"create": {"created", "noted", "updated"}, "fetch": {"created", "noted", "updated"}}
STRONGEST |= {"update": {"created", "noted", "updated"}, "close": {"noted"}, "comment": {"noted", "ignored"}}
STRONGEST |= {"ignore": {"ignored"}}


def samples(system: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((PAYLOADS / f"{system}.json").read_text(encoding="utf-8"))
    # Those of another form need a mapping of the source, those of another proof another source.
    if system == "generic":
        return [one for one in entries if one["case"].startswith("events v2")]
    return [one for one in entries if one["expect"]["action"] in STRONGEST and "clientState" not in one["raw_body"]]


def proven(system: str, entry: dict[str, Any]) -> dict[str, str]:
    """The headers of a sample, signed for now where the age counts."""
    headers = {name.lower(): value for name, value in entry["headers"].items() if value is not None}
    raw = entry["raw_body"].encode()
    how = PROOFS.get(system, (TOKEN, "sample"))[1]
    if how == "slack":
        at = str(int(time.time()))
        code = hmac.new(SECRET.encode(), f"v0:{at}:".encode() + raw, hashlib.sha256).hexdigest()
        headers |= {"x-slack-request-timestamp": at, "x-slack-signature": f"v0={code}"}
    elif how == "grafana":
        headers["x-grafana-alerting-signature"] = hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
    elif how == "hub":
        headers["x-hub-signature-256"] = "sha256=" + hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
    return headers


def certificate() -> str:
    entries = json.loads((PAYLOADS / "aws_sns.json").read_text(encoding="utf-8"))
    return str(entries[0]["signing"]["certificate_pem"])


class Sender:
    """A system that sends its samples to one source."""

    def __init__(self, http: httpx.AsyncClient, system: str, source: dict[str, Any]) -> None:
        self.http = http
        self.system = system
        self.source = source
        self.path = "/hooks/" + source["hook_url"].rsplit("/", 1)[1]

    async def send(self, entry: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.send_raw(entry, entry["raw_body"].encode(), **headers)

    async def send_raw(self, entry: dict[str, Any], raw: bytes, **headers: str) -> httpx.Response:
        path = f"{self.path}?{entry['query']}" if entry.get("query") else self.path
        return await self.http.post(path, content=raw, headers={**proven(self.system, entry), **headers})


@pytest.fixture
def add(http: httpx.AsyncClient, stranger: httpx.AsyncClient) -> Any:
    async def add_source(system: str, **given: Any) -> Sender:
        secret = certificate() if system == "aws_sns" else PROOFS.get(system, (TOKEN, ""))[0]
        body = {"name": system, "system": system, "secret": secret, **given}
        answer = await http.post("/v1/sources", json={name: one for name, one in body.items() if one is not None})
        assert answer.status_code == 201, answer.text
        return Sender(stranger, system, answer.json())

    return add_source


def of(system: str, case: str) -> dict[str, Any]:
    entries: list[dict[str, Any]] = json.loads((PAYLOADS / f"{system}.json").read_text(encoding="utf-8"))
    return next(one for one in entries if one["case"] == case)


async def incident(http: httpx.AsyncClient, told: dict[str, Any]) -> dict[str, Any]:
    answer = await http.get(f"/v1/incidents/{told['incident']['id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def told_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code in (200, 202), answer.text
    found: dict[str, Any] = answer.json()
    return found


async def missing(http: httpx.AsyncClient, source_id: str, entry: dict[str, Any], told: dict[str, Any]) -> list[str]:
    """What of an expectation cannot be read at the incident, wherever it has its place there."""
    expected, base = entry["expect"], f"/v1/incidents/{told['incident']['id']}"
    found = (await http.get(base)).json()
    places = [f"{base}/documentation", f"{base}/timeline?limit=200", f"/v1/sources/{source_id}/unmapped-clients"]
    written = "".join([(await http.get(place)).text for place in places])
    reference = found["external_references"][0]
    says = {
        "title": found["title"] == expected.get("title") or told["result"] != "created",
        "severity": found["severity_hint"] == expected.get("severity"),
        "external_id": reference["id"] == expected.get("external_id", "").removeprefix("INC-"),
        "external_ref": reference["key"] == expected.get("external_ref"),
        "external_url": reference["url"] == expected.get("external_url")
        or "<instance>" in expected.get("external_url", ""),
        "created_at": told["result"] != "created"
        or datetime.fromisoformat(found["discovered_at"]) == utc(str(expected.get("created_at", "1970-01-01"))),
    }
    everything = json.dumps(found, ensure_ascii=False) + written
    for name in ("client", "client_ref", "reporter", "assignee", "comment", "resolution", "tool", "description"):
        says[name] = json.dumps(expected.get(name, ""), ensure_ascii=False).strip('"') in everything
    says["observables"] = all(one in everything for one in expected.get("observables", ()))
    if told["result"] != "created":  # an update that says where it stands is told in the timeline
        says["status"] = f"Status there: {expected.get('status')}" in everything or found["close_asked"] is not None
    return [name for name, is_there in says.items() if name in expected and not is_there]


def utc(text: str) -> datetime:
    """An instant of an expectation: without a zone it is UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@pytest.mark.parametrize("system", sorted(set(system_names()) - {"slack"}))
async def test_its_bodies_act_once_each(system: str, http: httpx.AsyncClient, add: Any) -> None:
    sender = await add(system)
    for entry in samples(system):
        if entry["case"].startswith(("Grafana variant", "rule recovered")):  # of another group, of another rule
            sender = await add(system)
        expected = entry["expect"]
        told = told_of(await sender.send(entry))
        if entry["case"].startswith("rule recovered"):
            assert (told["result"], told["incident"]) == ("ignored", None)
            continue
        assert told["result"] in STRONGEST[expected["action"]], (entry["case"], told)
        again = told_of(await sender.send(entry))
        assert again["result"] == "duplicate", (entry["case"], again)
        assert again["incident"] == told["incident"]
        if told["incident"] is None:
            continue
        assert await missing(http, sender.source["id"], entry, told) == [], entry["case"]
        found = await incident(http, told)
        names = {one["id"] for one in found["external_references"]}
        assert expected.get("external_id", "").removeprefix("INC-") in names | {""}
        if told["result"] == "created" and "title" in expected:
            assert found["title"] == expected["title"]
        if "severity" in expected:
            assert found["severity_hint"] == expected["severity"]
        if expected["action"] == "close":
            assert found["status"] == "reported"
            assert found["close_asked"]["system"] == system
        if "comment" in expected:
            timeline = (await http.get(f"/v1/incidents/{found['id']}/timeline?limit=200")).json()["items"]
            assert any(expected["comment"] in str(event["data"].get("text")) for event in timeline), timeline


@pytest.mark.parametrize("system", system_names())
async def test_a_body_that_proves_nothing_is_refused(system: str, http: httpx.AsyncClient, add: Any) -> None:
    sender = await add(system)
    entry = samples(system)[0]
    refused = {"authorization": "Bearer example-webhook-tokem", "x-webhook-secret": "no", "x-webhook-token": "no"}
    if entry.get("query", "") and "token=" in (entry.get("query") or ""):
        entry = {**entry, "query": "token=another-url-token"}
    headers = refused if PROOFS.get(system, (TOKEN, ""))[0] == TOKEN else {}
    raw = entry["raw_body"].encode()
    changed = raw.replace(b":", b": ", 1) if raw.startswith(b"{") else raw + b"&x=1"
    if system == "aws_sns":
        changed = raw.replace(b"MaliciousIPCaller", b"MaliciousIPCalled").replace(b"Notification", b"Notificatiom")
    assert (await sender.send_raw(entry, changed, **headers)).status_code == 401
    assert (await http.get("/v1/incidents")).json()["items"] == []
    assert (await http.get(f"/v1/sources/{sender.source['id']}/deliveries")).json()["items"] == []


async def test_a_slack_command_opens_and_answers_who_typed_it(http: httpx.AsyncClient, add: Any) -> None:
    sender = await add("slack")
    answer = await sender.send(of("slack", "slash command"))
    assert answer.status_code == 200
    assert answer.json()["response_type"] == "ephemeral"
    assert answer.json()["text"].startswith("INC-1001 ")
    found = (await http.get("/v1/incidents/INC-1001")).json()
    assert (found["title"], found["severity_hint"]) == ("Chatbot shows invoices of other clients", "critical")
    again = await sender.send(of("slack", "slash command"))
    assert again.json()["text"] == "INC-1001 This delivery was taken before."
    button = await sender.send(of("slack", "button (interactivity)"))
    assert "No incident is known" in button.json()["text"]


async def test_handshakes_are_answered_as_the_sender_wishes(http: httpx.AsyncClient, add: Any) -> None:
    slack = await add("slack")
    entry = of("slack", "Events API url_verification")
    answer = await slack.send(entry)
    assert (answer.status_code, answer.text) == (200, entry["expect"]["response_body"])
    assert answer.headers["content-type"].startswith("text/plain")
    assert (await slack.send(entry, **{"x-slack-signature": "v0=00"})).status_code == 401

    defender = await add("defender_xdr")
    entry = of("defender_xdr", "subscription validation handshake")
    answer = await defender.send(entry)
    assert (answer.status_code, answer.text) == (200, entry["expect"]["response_body"])
    assert (await defender.send({**entry, "query": "other=1"})).status_code == 401

    events = await add("cloudevents")
    asked = {"webhook-request-origin": "eventemitter.example.com", "webhook-request-rate": "120"}
    answer = await events.http.options(events.path, headers=asked)
    assert answer.status_code == 200
    assert answer.headers["webhook-allowed-origin"] == "eventemitter.example.com"
    assert answer.headers["webhook-allowed-rate"] == "120"
    assert answer.headers["allow"] == "POST"
    assert (await events.http.options(events.path + "x", headers=asked)).status_code == 401
    for sender in (slack, defender, events):
        assert (await http.get(f"/v1/sources/{sender.source['id']}/deliveries")).json()["items"] == []


async def test_a_change_notification_opens_and_a_forged_one_does_nothing(http: httpx.AsyncClient, add: Any) -> None:
    sender = await add("defender_xdr", secret="example-client-state")
    forged = told_of(await sender.send(of("defender_xdr", "wrong clientState")))
    assert (forged["result"], forged["incident"]) == ("ignored", None)
    kept = (await http.get(f"/v1/sources/{sender.source['id']}/deliveries")).json()["items"]
    assert [one["size"] for one in kept] == [0]
    told = told_of(await sender.send(of("defender_xdr", "change notification")))
    found = await incident(http, told)
    assert found["external_references"][0]["id"] == "da637578995287051192_756343937"
    assert found["title"] == "Microsoft Defender XDR da637578995287051192_756343937"


async def test_a_topic_is_confirmed_by_people_and_others_are_not_heard(http: httpx.AsyncClient, add: Any) -> None:
    topic = "arn:aws:sns:us-west-2:123456789012:security-findings"
    sender = await add("aws_sns", limits={"sender": topic})
    asked = told_of(await sender.send(of("aws_sns", "SubscriptionConfirmation")))
    assert asked["result"] == "ignored"
    assert "SubscribeURL" in asked["because"]
    path = f"/v1/sources/{sender.source['id']}/deliveries/{asked['delivery_id']}"
    assert b"ConfirmSubscription" in base64.b64decode((await http.get(path)).json()["body"])
    assert told_of(await sender.send(of("aws_sns", "GuardDuty finding")))["result"] == "created"
    other = await add("aws_sns", limits={"sender": topic + "-other"})
    assert told_of(await other.send(of("aws_sns", "GuardDuty finding")))["result"] == "ignored"


async def test_a_github_form_is_read_like_its_json(http: httpx.AsyncClient, add: Any) -> None:
    sender = await add("github")
    ping = told_of(await sender.send(of("github", "ping")))
    assert (ping["result"], ping["because"]) == ("ignored", "GitHub asks whether the address works, and it does.")
    entry = of("github", "issues opened")
    raw = str(httpx.QueryParams({"payload": entry["raw_body"]})).encode()
    sign = "sha256=" + hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
    form = {"x-hub-signature-256": sign, "content-type": "application/x-www-form-urlencoded"}
    told = told_of(await sender.send_raw(entry, raw, **form))
    assert (await incident(http, told))["title"] == entry["expect"]["title"]


async def test_several_things_in_one_delivery(http: httpx.AsyncClient, add: Any) -> None:
    sender = await add("netskope")
    entries = [
        json.loads(of("netskope", case)["raw_body"]) for case in ("DLP alert on a generative AI tool", "DLP incident")
    ]
    told = told_of(await sender.send_raw(samples("netskope")[0], json.dumps(entries).encode()))
    assert told["result"] == "created"
    listed = (await http.get("/v1/incidents")).json()["items"]
    assert len(listed) == 2
    found = await incident(http, told)
    assert found["discovered_at"] < "2025"
    described = await http.get(f"/v1/incidents/{found['id']}/documentation")
    assert "ChatGPT" in described.text


@pytest.mark.parametrize("case", ["formatted webhook", "formatted webhook, recovery", "security rule alert"])
async def test_a_body_of_another_form_is_read_by_the_mapping_of_its_source(
    case: str, http: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    given = {"name": case, "system": "generic", "mapping": MAPPINGS[case]}
    source = (await http.post("/v1/sources", json=given)).json()
    path = "/hooks/" + source["hook_url"].rsplit("/", 1)[1]
    if case.endswith("recovery"):
        await stranger.post(path, content=of("generic", "formatted webhook")["raw_body"].encode())
    entry = of("generic", case)
    told = told_of(await stranger.post(path, content=entry["raw_body"].encode()))
    assert told["result"] == ("noted" if case.endswith("recovery") else "created"), told
    assert await missing(http, source["id"], entry, told) == []
