"""Deliveries through the real door: what each does, how often, and what a stranger or a flood gets."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

PAYLOADS = Path(__file__).parents[1] / "payloads"
SECRET = "example-signing-secret"


def sample(system: str, case: str) -> dict[str, Any]:
    entries: list[dict[str, Any]] = json.loads((PAYLOADS / f"{system}.json").read_text(encoding="utf-8"))
    return next(entry for entry in entries if entry["case"] == case)


class Sender:
    """A system that sends to one source."""

    def __init__(self, stranger: httpx.AsyncClient, source: dict[str, Any]) -> None:
        self.http = stranger
        self.source = source
        self.path = "/hooks/" + source["hook_url"].rsplit("/", 1)[1]

    async def post(self, body: bytes | dict[str, Any], **headers: str) -> httpx.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(self.path, content=raw, headers={"content-type": "application/json", **named})

    async def tell(self, body: bytes | dict[str, Any], **headers: str) -> dict[str, Any]:
        answer = await self.post(body, **headers)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def add_source(http: httpx.AsyncClient, stranger: httpx.AsyncClient) -> Any:
    async def add(**given: Any) -> Sender:
        answer = await http.post("/v1/sources", json={"name": "Alerts", "system": "generic", **given})
        assert answer.status_code == 201, answer.text
        return Sender(stranger, answer.json())

    return add


async def incident(http: httpx.AsyncClient, told: dict[str, Any]) -> dict[str, Any]:
    answer = await http.get(f"/v1/incidents/{told['incident']['id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def kinds(http: httpx.AsyncClient, told: dict[str, Any]) -> list[str]:
    answer = await http.get(f"/v1/incidents/{told['incident']['id']}/timeline?limit=200")
    return [event["kind"] for event in answer.json()["items"]]


TRIGGER = {
    "event_action": "trigger",
    "dedup_key": "prompt-leak-042",
    "title": "Prompt log exposed in a public bucket",
    "summary": "Staff pasted a client list into a chatbot; the log is public.",
    "occurred_at": "2026-11-20T08:00:00Z",
    "severity_hint": "critical",
    "company": {"id": "21", "name": "Example Client Ltd"},
    "reporter": {"email": "jamie@client.example"},
    "labels": ["bucket"],
}


async def test_it_opens_a_report_with_a_suggestion(http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source()
    told = await sender.tell(TRIGGER)
    assert told["result"] == "created"
    assert told["incident"]["number"] == "INC-1001"
    assert told["incident"]["url"].endswith(f"/v1/incidents/{told['incident']['id']}")
    found = await incident(http, told)
    assert found["status"] == "reported"
    assert found["title"] == TRIGGER["title"]
    assert "Example Client Ltd" in found["summary"]
    assert found["severity_hint"] == "critical"
    assert found["severity"] in {"SEV3", "SEV4", "SEV2", "SEV1"}
    assert found["suggested_playbook"]["slug"] == "data-leakage"
    assert found["suggested_playbook"]["because"]
    assert found["discovered_at"] == "2026-11-20T08:00:00.000000Z"
    assert found["labels"] == ["bucket"]
    assert [ref["id"] for ref in found["external_references"]] == ["prompt-leak-042"]
    assert found["external_references"][0]["instance"] == sender.source["id"]


async def test_it_updates_notes_and_asks_to_close_but_never_closes(http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source()
    first = await sender.tell(TRIGGER)
    again = await sender.tell(
        {
            **TRIGGER,
            "event_action": "update",
            "title": "Still exposed",
            "occurred_at": "2026-11-20T09:00:00Z",
        }
    )
    assert (again["result"], again["incident"]) == ("updated", first["incident"])
    assert (await incident(http, first))["title"] == "Still exposed"
    note = await sender.tell(
        {"event_action": "note", "dedup_key": "prompt-leak-042", "note": "=cmd <b>{{7*7}}</b>\x1b[31m"}
    )
    assert note["result"] == "noted"
    closing = await sender.tell({"event_action": "resolve", "dedup_key": "prompt-leak-042"})
    assert (closing["result"], closing["incident"]) == ("noted", first["incident"])
    found = await incident(http, first)
    assert found["status"] == "reported"
    assert found["close_asked"]["external_id"] == "prompt-leak-042"
    assert "incident.close_asked" in await kinds(http, first)
    refired = await sender.tell({**TRIGGER, "occurred_at": "2026-11-20T10:00:00Z"})
    assert refired["result"] == "updated"
    assert (await incident(http, first))["close_asked"] is None


async def test_an_older_event_never_wins_and_a_missing_field_erases_nothing(
    http: httpx.AsyncClient, add_source: Any
) -> None:
    sender = await add_source()
    told = await sender.tell({**TRIGGER, "occurred_at": "2026-11-20T09:00:00Z"})
    old = await sender.tell(
        {**TRIGGER, "event_action": "update", "title": "Old", "occurred_at": "2026-11-20T08:00:00Z"}
    )
    assert old["result"] == "ignored"
    new = {"event_action": "update", "dedup_key": "prompt-leak-042", "occurred_at": "2026-11-20T09:30:00Z"}
    assert (await sender.tell(new))["result"] == "noted"
    found = await incident(http, told)
    assert found["title"] == TRIGGER["title"]
    assert found["summary"].startswith(TRIGGER["summary"])
    assert found["severity_hint"] == "critical"


async def test_what_a_person_wrote_stays(http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source()
    told = await sender.tell(TRIGGER)
    edited = await http.patch(f"/v1/incidents/{told['incident']['id']}", json={"title": "Ours"})
    assert edited.status_code == 200, edited.text
    later = {**TRIGGER, "event_action": "update", "title": "Theirs", "occurred_at": "2026-11-20T09:00:00Z"}
    assert (await sender.tell(later))["result"] == "noted"
    assert (await incident(http, told))["title"] == "Ours"


async def test_a_delivery_counts_once(http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source()
    answers = await asyncio.gather(*(sender.tell(TRIGGER) for _ in range(8)))
    assert sorted(a["result"] for a in answers) == ["created"] + ["duplicate"] * 7
    assert len({json.dumps(a["incident"]) for a in answers}) == 1
    assert len({a["delivery_id"] for a in answers}) == 1
    listed = await http.get("/v1/incidents")
    assert len(listed.json()["items"]) == 1
    assert (await sender.tell({**TRIGGER, "dedup_key": "other"}))["incident"]["number"] == "INC-1002"


async def test_an_alert_that_fires_again_unchanged_is_no_duplicate(http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source()
    fires = {"event_action": "trigger", "dedup_key": "k", "summary": "It leaks"}
    told = await sender.tell(fires)
    assert (await sender.tell(fires))["result"] == "duplicate"
    assert (await sender.tell({"event_action": "resolve", "dedup_key": "k"}))["result"] == "noted"
    assert (await sender.tell(fires))["result"] == "updated"
    assert (await incident(http, told))["close_asked"] is None


async def test_two_sources_with_equal_ids_stay_two(http: httpx.AsyncClient, add_source: Any) -> None:
    one, two = await add_source(), await add_source(name="Other")
    assert (await one.tell(TRIGGER))["incident"]["number"] == "INC-1001"
    assert (await two.tell(TRIGGER))["incident"]["number"] == "INC-1002"


async def test_an_end_before_the_beginning_creates_nothing(http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source()
    assert (await sender.tell({"event_action": "resolve", "dedup_key": "k"}))["result"] == "ignored"
    assert (await http.get("/v1/incidents")).json()["items"] == []
    assert (await sender.tell({"event_action": "trigger", "dedup_key": "k", "summary": "x"}))["result"] == "created"


async def test_a_missed_beginning_is_made_up_for(add_source: Any) -> None:
    sender = await add_source()
    assert (await sender.tell({"event_action": "update", "dedup_key": "k", "summary": "x"}))["result"] == "created"


async def test_connectwise_runs_from_added_to_closed(http: httpx.AsyncClient, add_source: Any) -> None:
    client = (await http.post("/v1/clients", json={"name": "Example Client Ltd"})).json()
    sender = await add_source(system="connectwise", secret=SECRET, client_map={"ExampleClient": client["id"]})
    told = []
    for case in ("opened", "updated", "closed", "contact event (not a ticket)"):
        entry = sample("connectwise", case)
        signature = entry["headers"]["x-content-signature"]
        told.append(await sender.tell(entry["raw_body"].encode(), x_content_signature=signature))
    assert [one["result"] for one in told] == ["created", "updated", "noted", "ignored"]
    found = await incident(http, told[0])
    assert found["client_ids"] == [client["id"]]
    assert found["severity_hint"] == "high"
    assert found["status"] == "reported"
    assert found["close_asked"]["system"] == "connectwise"
    assert found["discovered_at"] == "2026-06-09T21:40:02.000000Z"


async def test_sentinel_with_a_bearer_token(http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source(system="sentinel", secret="example-webhook-token")
    entry = sample("sentinel", "opened")
    told = await sender.tell(entry["raw_body"].encode(), authorization="Bearer example-webhook-token")
    found = await incident(http, told)
    assert "203.0.113.77" in found["summary"]
    assert found["external_references"][0]["key"] == "3177"
    assert found["discovery_method"] == "monitoring_alert"
    refused = await sender.post(entry["raw_body"].encode(), authorization="Bearer example-webhook-tokem")
    assert refused.status_code == 401


def hub(raw: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), raw, "sha256").hexdigest()


async def test_a_stranger_learns_nothing(http: httpx.AsyncClient, add_source: Any, stranger: httpx.AsyncClient) -> None:
    sender = await add_source(secret=SECRET)
    raw = json.dumps(TRIGGER).encode()
    good = hub(raw)
    flipped = bytearray(raw)
    flipped[10] ^= 1
    token = sender.path.rsplit("/", 1)[1]
    unknown = "/hooks/" + token[:-1] + ("a" if token[-1] != "a" else "b")
    headers = {"x-hub-signature-256": good}
    answers = [
        await sender.post(raw),
        await sender.post(bytes(flipped), x_hub_signature_256=good),
        await sender.post(json.dumps(TRIGGER, indent=1).encode(), x_hub_signature_256=good),
        await sender.post(raw, x_hub_signature_256=good[:-1] + ("0" if good[-1] != "0" else "1")),
        await stranger.post(unknown, content=raw, headers=headers),
        await stranger.post("/hooks/nothing", content=raw, headers=headers),
    ]
    bodies = set()
    for answer in answers:
        assert answer.status_code == 401
        body = answer.json()
        del body["request_id"]
        bodies.add(json.dumps(body))
    assert len(bodies) == 1
    assert (await http.get("/v1/incidents")).json()["items"] == []
    assert (await http.get(f"/v1/sources/{sender.source['id']}/deliveries")).json()["items"] == []
    assert (await sender.tell(raw, x_hub_signature_256=good))["result"] == "created"


async def test_standard_webhooks_bound_the_age(add_source: Any) -> None:
    key = b"example-signing-secret-24"
    sender = await add_source(secret="whsec_" + base64.b64encode(key).decode(), scheme={"kind": "standard_webhooks"})
    raw = json.dumps(TRIGGER).encode()

    def signed(at: int) -> dict[str, str]:
        code = hmac.new(key, f"msg_1.{at}.".encode() + raw, hashlib.sha256).digest()
        signature = "v1,AAAA v1," + base64.b64encode(code).decode()
        return {"webhook_id": "msg_1", "webhook_timestamp": str(at), "webhook_signature": signature}

    now = int(time.time())
    assert (await sender.post(raw, **signed(now - 400))).status_code == 401
    assert (await sender.post(raw, **signed(now + 400))).status_code == 401
    assert (await sender.tell(raw, **signed(now)))["result"] == "created"
    assert (await sender.tell(raw, **signed(now - 10)))["result"] == "duplicate"


async def test_a_rotation_overlaps(http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source(secret=SECRET)
    raw = json.dumps(TRIGGER).encode()
    path = f"/v1/sources/{sender.source['id']}/rotate"
    rotated = await http.post(path, json={"secret": "another-signing-secret"})
    assert rotated.status_code == 200, rotated.text
    assert rotated.json()["hook_url"] is None
    assert (await sender.tell(raw, x_hub_signature_256=hub(raw)))["result"] == "created"
    new = {"x_hub_signature_256": hub(raw, "another-signing-secret")}
    assert (await sender.tell(raw, **new))["result"] == "duplicate"
    await http.post(path, json={"secret": "a-third-signing-secret", "overlap_seconds": 0})
    assert (await sender.post(raw, **new)).status_code == 401
    moved = (await http.post(path, json={"address": True})).json()
    assert (await sender.post(raw, x_hub_signature_256=hub(raw, "a-third-signing-secret"))).status_code == 401
    sender.path = "/hooks/" + moved["hook_url"].rsplit("/", 1)[1]
    third = {"x_hub_signature_256": hub(raw, "a-third-signing-secret")}
    assert (await sender.tell(raw, **third))["result"] == "duplicate"


async def test_a_flood_of_forged_deliveries_hides_no_rotation(http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source(secret=SECRET)
    raw = json.dumps(TRIGGER).encode()
    assert (await sender.tell(raw, x_hub_signature_256=hub(raw)))["result"] == "created"
    new = {"x_hub_signature_256": hub(raw, "another-signing-secret")}
    path = f"/v1/sources/{sender.source['id']}/rotate"

    told: list[int] = []
    ended = asyncio.Event()

    async def forge() -> None:
        while not ended.is_set() and len(told) < 40:  # without a pause: looks go on while the secret is replaced
            told.append((await sender.post(raw, x_hub_signature_256="sha256=00")).status_code)

    floods = asyncio.gather(*(forge() for _ in range(3)))
    assert (await sender.post(raw, **new)).status_code == 401
    assert (await http.post(path, json={"secret": "another-signing-secret", "overlap_seconds": 0})).status_code == 200
    answer = await sender.tell(raw, **new)
    ended.set()
    await floods
    assert answer["result"] == "duplicate"
    assert set(told) == {401}
    assert (await sender.post(raw, x_hub_signature_256=hub(raw))).status_code == 401


STRANGE = [
    b"",
    b"\xff\xfe\x00",
    b"not json",
    b"[" * 5_000 + b"]" * 5_000,
    b'{"summary":' + b'{"a":' * 80 + b"1" + b"}" * 80 + b"}",
    b'{"event_action":"trigger","summary":"\\u0000"}',
    b'{"event_action":"trigger","summary":"\\ud800"}',
    b'{"event_action":"trigger","summary":NaN}',
    b"null",
    b"[]",
    b"1e999",
    b'{"event_action":["trigger"]}',
    b'{"event_action":"explode"}',
]


@pytest.mark.parametrize("raw", STRANGE, ids=range(len(STRANGE)))
async def test_what_cannot_be_read_is_kept(raw: bytes, http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source()
    told = await sender.tell(raw)
    assert told["result"] == "unmapped"
    assert told["incident"] is None
    path = f"/v1/sources/{sender.source['id']}/deliveries/{told['delivery_id']}"
    kept = (await http.get(path)).json()
    assert base64.b64decode(kept["body"]) == raw
    assert kept["error"]


async def test_a_kept_delivery_is_tried_again_with_a_better_mapping(http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source()
    told = await sender.tell(b'{"state":"alerting","uid":"u-1","what":"It leaks","hits":"3"}')
    assert told["result"] == "unmapped"
    source = f"/v1/sources/{sender.source['id']}"
    path = f"{source}/deliveries/{told['delivery_id']}/retry"
    assert (await http.post(path)).json()["result"] == "unmapped"
    mapping = {
        "events": [{"when": 'body.state == "alerting"', "action": "open"}],
        "fields": {"external_id": "body.uid", "title": 'body.what + " (" + body.hits + ")"'},
    }
    assert (await http.patch(source, json={"mapping": mapping})).status_code == 200
    done = await http.post(path)
    assert done.status_code == 200, done.text
    assert (done.json()["result"], done.json()["attempts"]) == ("created", 3)
    found = (await http.get(f"/v1/incidents/{done.json()['incident_id']}")).json()
    assert found["title"] == "It leaks (3)"
    assert (await http.post(path)).status_code == 409


async def test_a_body_that_is_too_large_is_refused(add_source: Any) -> None:
    sender = await add_source()
    answer = await sender.post(b" " * (1024 * 1024 + 1))
    assert answer.status_code == 413


async def test_a_flood_of_one_source_is_slowed(add_source: Any) -> None:
    slow, other = await add_source(limits={"per_minute": 2}), await add_source()
    bodies = [{"event_action": "trigger", "dedup_key": str(n), "summary": "x"} for n in range(3)]
    statuses = [(await slow.post(body)).status_code for body in bodies]
    assert statuses == [202, 202, 429]
    assert (await slow.post(bodies[2])).headers["retry-after"]
    assert (await other.post(bodies[0])).status_code == 202


async def test_a_paused_source_keeps_and_a_disabled_one_takes_nothing(http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source()
    source = f"/v1/sources/{sender.source['id']}"
    await http.patch(source, json={"status": "paused"})
    told = await sender.tell(TRIGGER)
    assert told["result"] == "ignored"
    await http.patch(source, json={"status": "active"})
    done = await http.post(f"{source}/deliveries/{told['delivery_id']}/retry")
    assert done.json()["result"] == "created"
    await http.patch(source, json={"status": "disabled"})
    assert (await sender.post(TRIGGER)).status_code == 401


async def test_another_organisation_of_the_system_is_not_listened_to(http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source(system="connectwise", limits={"sender": "somebodyelse"})
    told = await sender.tell(sample("connectwise", "opened")["raw_body"].encode())
    assert told["result"] == "ignored"


async def test_a_closed_incident_keeps_what_comes_after(http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source(system="sentinel")
    entry = sample("sentinel", "opened")
    told = await sender.tell(entry["raw_body"].encode())
    base = f"/v1/incidents/{told['incident']['id']}"
    reason = "A test of the scanner, announced by the client beforehand."
    rejected = await http.post(
        f"{base}/transitions", json={"transition": "reject", "disposition": "false_positive", "reason": reason}
    )
    assert rejected.status_code == 200, rejected.text
    later = await sender.tell(sample("sentinel", "updated")["raw_body"].encode())
    assert later["result"] == "noted"
    assert (await kinds(http, told))[-1] == "source.event_after_end"
    assert (await sender.tell(sample("sentinel", "closed")["raw_body"].encode()))["result"] == "ignored"


async def test_a_playbook_that_an_alert_names_is_only_suggested(http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source()
    told = await sender.tell({"event_action": "trigger", "summary": "Odd", "playbook_hint": "data-leakage"})
    found = await incident(http, told)
    assert (found["status"], found["suggested_playbook"]["slug"]) == ("reported", "data-leakage")
    assert found["provisional_deadlines"]
    unknown = await sender.tell({"event_action": "trigger", "summary": "Odd too", "playbook_hint": "no-such"})
    assert unknown["result"] == "created"


async def test_facts_and_ai_systems_are_taken_where_they_fit(http: httpx.AsyncClient, add_source: Any) -> None:
    sender = await add_source()
    facts = {"data_exfiltrated": True, "no_such_fact": 1, "data_types": ["x"], "exposure": "nonsense"}
    told = await sender.tell(
        {"event_action": "trigger", "summary": "Odd", "facts": facts, "ai_systems": ["ChatBot", {"vendor": "x"}, 7]}
    )
    assert told["result"] == "created", told
    found = await incident(http, told)
    assert found["facts"]["data_exfiltrated"]["value"] is True
    assert "exposure" not in found["facts"]


async def test_a_delivery_that_came_too_early_acts_once(add_source: Any) -> None:
    sender = await add_source()
    resolve = {"event_action": "resolve", "dedup_key": "k", "occurred_at": "2026-11-20T09:00:00Z"}
    assert (await sender.tell(resolve))["result"] == "ignored"
    assert (await sender.tell(resolve))["result"] == "duplicate"
    trigger = {"event_action": "trigger", "dedup_key": "k", "summary": "x", "occurred_at": "2026-11-20T08:00:00Z"}
    assert (await sender.tell(trigger))["result"] == "created"
    assert (await sender.tell(resolve))["result"] == "duplicate"  # it acted when what it is about was opened


async def test_several_items_in_one_delivery(http: httpx.AsyncClient, add_source: Any) -> None:
    fields = {"external_id": "item.uid", "title": "item.name"}
    mapping = {"items": "body.alerts", "events": [{"when": "true", "action": "open"}], "fields": fields}
    sender = await add_source(mapping=mapping)
    alerts = [{"uid": str(n), "name": f"Alert {n}"} for n in range(3)]
    told = await sender.tell({"alerts": alerts})
    assert told["result"] == "created"
    assert "3 created" in told["because"]
    assert len((await http.get("/v1/incidents")).json()["items"]) == 3
    assert (await sender.tell({"alerts": alerts}))["result"] == "duplicate"
    assert (await sender.tell({"alerts": "none"}))["result"] == "unmapped"


async def test_deliveries_about_the_same_things_wait_for_each_other(http: httpx.AsyncClient, add_source: Any) -> None:
    fields = {"external_id": "item", "title": "item"}
    mapping = {"items": "body.ids", "events": [{"when": "true", "action": "open"}], "fields": fields}
    sender = await add_source(mapping=mapping)
    started = time.monotonic()
    lists = [["a", "b", "c"], ["c", "b", "a"], ["b"], ["c"], ["a", "c"]]
    answers = await asyncio.gather(*(sender.tell({"ids": ids}) for ids in lists))
    assert {answer["result"] for answer in answers} <= {"created", "noted"}
    assert len((await http.get("/v1/incidents")).json()["items"]) == 3
    assert time.monotonic() - started < 10


def mutated(raw: bytes, random: Random) -> bytes:
    """`raw` with one thing wrong with it, somewhere."""
    place = random.randrange(len(raw))
    match random.randrange(8):
        case 0:
            return raw[:place]
        case 1:
            return raw[:place] + bytes([random.randrange(256)]) + raw[place + 1 :]
        case 2:
            return raw[:place] + random.choice([b"\\u0000", b"\\ud800", b"\x00", b"\xff", b"\xc3\x28"]) + raw[place:]
        case 3:
            return raw.replace(b'"', random.choice([b"'", b"", b'""']), random.randrange(1, 4))
        case 4:
            return b"[" * random.randrange(1, 3_000) + raw
        case 5:
            return raw + raw
        case 6:
            value = random.choice([b"null", b"[]", b"{}", b"1e400", b"-1", b"99999999999999999999999", b'""', b"true"])
            pieces = raw.split(b",")
            index = random.randrange(len(pieces))
            name, mark, _ = pieces[index].partition(b":")
            pieces[index] = name + mark + value
            return b",".join(pieces)
        case _:
            return raw.replace(b":", b":" + b'"' + b"A" * random.randrange(1, 40_000) + b'",', 1)


@pytest.mark.parametrize("system", ["generic", "connectwise", "sentinel", "elastic", "zendesk", "ocsf", "cloudevents"])
async def test_no_body_is_ever_an_error(system: str, http: httpx.AsyncClient, add_source: Any) -> None:
    random = Random(f"{system} 1")
    entries = json.loads((PAYLOADS / f"{system}.json").read_text(encoding="utf-8"))
    sender = await add_source(system=system)
    results = []
    for _ in range(70):
        raw = mutated(random.choice(entries)["raw_body"].encode() or b"{}", random)
        answer = await sender.post(raw)
        assert answer.status_code == 202, (answer.status_code, raw[:300])
        results.append(answer.json()["result"])
    assert "unmapped" in results
    listed = (await http.get(f"/v1/sources/{sender.source['id']}/deliveries?limit=200")).json()["items"]
    assert len(listed) == sum(result != "duplicate" for result in results)
    assert not [one for one in listed if one["error"] and "fault of ours" in one["error"]]
