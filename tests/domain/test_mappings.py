"""Deliveries read: what the systems send, in our words, bounded and clean."""

import json
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl

import pytest

from domain.mappings import SourceEvent, Unmappable, kept_headers, read_delivery, received_again
from domain.refusals import Invalid
from domain.signatures import Received, content_key, credential_headers
from domain.systems import System, read_mapping, system_names, system_of, system_text

PAYLOADS = Path(__file__).parents[1] / "payloads"
ACTIONS = {"create": "open", "update": "update", "close": "close", "comment": "comment", "ignore": "ignore"}
# What the words of the samples are called here; `severity` there is our hint.
NAMES = {
    "external_id": "external_id",
    "title": "title",
    "severity": "severity_hint",
    "status": "status",
    "external_ref": "key",
    "external_url": "url",
    "client_ref": "client_ref",
    "reporter": "reporter",
    "assignee": "assignee",
    "resolution": "resolution",
    "tenant": "sender",
}
# Bodies that are not ours are reached by the mapping of the source.
FORMATTED = {
    "events": [
        {"when": 'body.state == "ok"', "action": "close"},
        {"when": 'body.state == "alerting"', "action": "open"},
    ],
    "fields": {
        "external_id": "body.alert_uid",
        "summary": "body.message",
        "url": "body.link_to_upstream_details",
        "status": {"value": "body.state", "map": {"alerting": "open", "ok": "resolved"}},
    },
}
RULE_ALERT = {"fields": {"external_id": "body.alertId", "status": {"value": "body.type", "map": {"RULE": "open"}}}}
MAPPINGS = {"formatted webhook": FORMATTED, "formatted webhook, recovery": FORMATTED, "security rule alert": RULE_ALERT}
CASES = [
    pytest.param(name, entry, id=f"{name}: {entry['case']}")
    for name in system_names()
    for entry in json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
    if entry["expect"]["action"] in ACTIONS
]


def delivery(entry: dict[str, Any]) -> Received:
    headers = {name.lower(): value for name, value in entry["headers"].items()}
    query = dict(parse_qsl(entry.get("query") or ""))
    return Received(body=entry["raw_body"].encode(), headers=headers, query=query)


def told(body: Any, system: str = "generic", mapping: Any = None, **headers: str) -> SourceEvent:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    read = read_delivery(system_of(system, json.dumps(mapping or {})), Received(body=raw, headers=headers))
    assert len(read.events) == 1
    return read.events[0]


@pytest.mark.parametrize(("name", "entry"), CASES)
def test_it_reads_what_the_systems_sent(name: str, entry: dict[str, Any]) -> None:
    mapping = MAPPINGS.get(entry["case"], {}) if name == "generic" else {}
    read = read_delivery(system_of(name, json.dumps(mapping)), delivery(entry))
    event, expected = read.events[0], entry["expect"]
    assert read.faults == []
    assert event.action == ACTIONS[expected["action"]]
    if event.action == "ignore":
        return
    for theirs, ours in NAMES.items():
        if theirs in expected and "<instance>" not in expected[theirs]:
            wanted = expected[theirs].removeprefix("INC-") if ours == "external_id" else expected[theirs]
            assert getattr(event, ours) == wanted, ours
    if "client" in expected:
        assert expected["client"] in (event.client_name, event.client_ref)
    for name_of_time in ("created_at", "updated_at"):
        if name_of_time in expected:
            wanted_time = datetime.fromisoformat(expected[name_of_time])
            assert getattr(event, name_of_time) == wanted_time.replace(tzinfo=wanted_time.tzinfo or UTC)
    assert set(expected.get("observables", ())) <= set(event.observables)
    if "dedupe_key" in expected:
        assert read.delivery_id == expected["dedupe_key"]


def test_every_system_has_samples() -> None:
    for name in system_names():
        assert (PAYLOADS / f"{name}.json").exists(), name
        assert system_text(name) is not None


def test_the_body_of_our_contract() -> None:
    event = told(
        {
            "event_action": "trigger",
            "dedup_key": 12345678901234567890,
            "summary": "It leaks",
            "occurred_at": "2026-11-22T05:00:00+01:00",
            "severity_hint": "ERROR",
            "company": {"id": 21, "name": "Example"},
            "reporter": {"email": "a@b.example"},
            "playbook_hint": "data-leakage",
            "facts": {"data_exfiltrated": True},
            "labels": ["two words", "x", "x", None],
            "ai_systems": ["Chat", {"name": "Bot", "vendor": "V", "other": 1}, {"vendor": "V"}],
            "links": [{"href": "https://x.example/1"}],
        }
    )
    assert event.action == "open"
    assert event.external_id == "12345678901234567890"
    assert event.created_at == datetime(2026, 11, 22, 4, tzinfo=UTC)
    assert event.position == 1795320000000000
    assert (event.severity_hint, event.client_ref, event.client_name) == ("high", "21", "Example")
    assert (event.playbook_hint, event.reporter) == ("data-leakage", "a@b.example")
    assert event.labels == ["two-words", "x"]
    assert event.ai_systems == [{"name": "Chat"}, {"name": "Bot", "vendor": "V"}]
    assert event.url == "https://x.example/1"


@pytest.mark.parametrize(
    "text", ["", "None", "null", "0001-01-01T00:00:00Z", "1900-01-01", "1899-12-30T00:00:00", "soon", "0", 0, None, []]
)
def test_a_placeholder_is_no_date(text: Any) -> None:
    assert told({"event_action": "trigger", "summary": "x", "occurred_at": text}).created_at is None


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        ("s", 1795320000),
        ("s", "1795320000.5"),
        ("ms", 1795320000000),
        ("us", 1795320000000000),
        ("ns", 1795320000000000000),
    ],
)
def test_instants_as_numbers(unit: str, value: Any) -> None:
    mapping = {"fields": {"created_at": {"value": "body.at", "time": unit}}}
    found = told({"event_action": "trigger", "summary": "x", "at": value}, mapping=mapping).created_at
    assert found is not None
    assert found.replace(microsecond=0) == datetime(2026, 11, 22, 4, tzinfo=UTC)


def test_text_is_cleaned_and_cut() -> None:
    event = told(
        {
            "event_action": "trigger",
            "title": "a\r\nb\x1b[31m\u202e  c" + "x" * 500,
            "summary": "=cmd|' /C calc'!A0\r\n\x07{{7*7}} <script>",
            "url": "javascript:alert(1)",
        }
    )
    assert event.title is not None
    assert event.title.startswith("a b[31m c")
    assert len(event.title) == 200
    assert event.summary == "=cmd|' /C calc'!A0\n{{7*7}} <script>"
    assert event.url is None


@pytest.mark.parametrize(
    ("raw", "because"),
    [
        (b"", "not JSON"),
        (b"\xff{}", "not JSON"),
        (b'{"a":"\xff"}', "not"),
        (b'{"a":"\\u0000"}', "NUL"),
        (b'{"a":"\\u0000\\ud800"}', "NUL|half"),
        (b"[" * 100_000, "JSON|deeper"),
        (b"[" * 65 + b"]" * 65, "deeper than 64"),
        (b'{"a":Infinity}', "not JSON"),
        (b'{"event_action":"dance"}', "No rule"),
        (b"7", "No rule"),
    ],
)
def test_what_cannot_be_read_says_why(raw: bytes, because: str) -> None:
    with pytest.raises(Unmappable, match=because):
        told(raw)


def test_sixty_four_levels_are_read() -> None:
    body = b'{"event_action":"trigger","summary":"x","deep":' + b"[" * 63 + b"]" * 63 + b"}"
    assert told(body).action == "open"


def test_numbers_that_a_double_would_round_become_text() -> None:
    for number in (9007199254740993, -9007199254740993, 10**30):
        body = {"event_action": "trigger", "summary": "x", "dedup_key": number}
        assert told(body).external_id == str(number)


def test_the_source_speaks_first_and_its_faults_are_told() -> None:
    mapping = {
        "events": [
            {"when": 'body.alert.state == "gone"', "action": "close"},
            {"when": 'body.kind == "x"', "action": "comment"},
        ],
        "fields": {"title": ['body.a + " " + body.b'], "summary": ["body.nothing", "body.a"]},
    }
    system = system_of("generic", json.dumps(mapping))
    read = read_delivery(system, Received(body=b'{"kind":"x","a":"A"}', headers={}))
    event = read.events[0]
    assert (event.action, event.title, event.summary) == ("comment", None, "A")
    assert len(read.faults) == 2


def test_several_items() -> None:
    mapping = {
        "items": "body.alerts",
        "events": [{"when": 'item.status == "firing"', "action": "open"}, {"when": "true", "action": "close"}],
        "fields": {"external_id": "item.id", "title": "item.name"},
    }
    system = system_of("generic", json.dumps(mapping))
    body = {"alerts": [{"status": "firing", "id": 1, "name": "A"}, {"status": "resolved", "id": 2}]}
    read = read_delivery(system, Received(body=json.dumps(body).encode(), headers={}))
    assert [(event.action, event.external_id) for event in read.events] == [("open", "1"), ("close", "2")]
    for broken in ({"alerts": []}, {"alerts": {}}, {}, {"alerts": [1] * 101}):
        with pytest.raises(Unmappable):
            read_delivery(system, Received(body=json.dumps(broken).encode(), headers={}))


@pytest.mark.parametrize(
    ("mapping", "pointer"),
    [
        ({"fields": {"title": "body."}}, "/mapping/fields/title/0"),
        ({"fields": {"title": ["body.a", "secret.b"]}}, "/mapping/fields/title/1"),
        ({"fields": {"title": "boom(body.a)"}}, "/mapping/fields/title/0"),
        ({"fields": {"title": "body.list.map(x, x)"}}, "/mapping/fields/title/0"),
        ({"events": [{"when": "1 +", "action": "open"}]}, "/mapping/events/0/when"),
        ({"events": [{"when": "true", "action": "delete"}]}, "/mapping/events/0/action"),
        ({"items": "body[["}, "/mapping/items"),
        ({"fields": {"nonsense": "body.a"}}, "/mapping/fields/nonsense"),
        ({"fields": {"title": "x" * 1001}}, "/mapping/fields/title"),
        ({"surprise": 1}, "/mapping/surprise"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused_with_its_place(mapping: Any, pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_mapping(mapping)
    assert refused.value.errors[0].pointer.startswith(pointer)


def test_a_fault_of_an_expression_has_a_position() -> None:
    with pytest.raises(Invalid) as refused:
        read_mapping({"events": [{"when": "body.a == ", "action": "open"}]})
    assert "position" in refused.value.errors[0].reason


def test_a_plain_comparison_means_what_the_evaluator_says() -> None:
    from domain.expressions import Scope, compile_expression
    from domain.readers import Reader

    bodies: list[Any] = [{"a": {"b": v}} for v in ("x", "", None, 1, True, False, [], {}, "true")] + [{}, [], None, "x"]
    for text in (
        'get(body, "a.b", "") == "x"',
        'get(body, "a.b", "x") != "x"',
        'get(body, "a.b", false) == true',
        'get(body, "a.b", true) != false',
    ):
        for body in bodies:
            scope = Scope({"body": body})
            assert Reader(text, is_shipped=False).holds(scope) is compile_expression(text).holds(scope), (text, body)


def test_what_is_kept_of_a_request_holds_no_credential() -> None:
    system: System = system_of(
        "generic", json.dumps({"fields": {"sender": "query.company", "key": 'headers["x-key"]'}})
    )
    headers = {
        "content-type": "application/json",
        "authorization": "Bearer s3cret",
        "x-hub-signature-256": "sha256=s3cret",
        "cookie": "s3cret",
        "x-other": "s3cret",
        "x-key": "K",
        "user-agent": "a\x1b[31mb",
    }
    arrived = Received(body=b"{}", headers=headers, query={"company": "c", "access_token": "s3cret"})
    kept = kept_headers(system, arrived, credential_headers(system.verify))
    assert "s3cret" not in json.dumps(kept)
    assert kept["user-agent"] == "a[31mb"
    again = received_again(b"{}", {**kept, ":position": 1})
    assert (again.query, again.headers["x-key"]) == ({"company": "c"}, "K")


def test_two_bodies_have_two_names() -> None:
    one, other = Received(body=b"{}", headers={}), Received(body=b"{ }", headers={})
    assert content_key(one) != content_key(other)
    assert content_key(one) == content_key(Received(body=b"{}", headers={"x": "y"}))
    assert content_key(one) != content_key(Received(body=b"{}", headers={}, query={"a": "b"}))


@pytest.mark.parametrize("name", system_names())
def test_no_mutated_body_breaks_the_reading_of_a_system(name: str) -> None:
    random = Random(name)
    values: list[Any] = [None, [], {}, "", "x" * 70_000, 0, -1, 1.5, True, "\u202e", {"a": {"b": [1]}}, [[["x"]]]]

    def mutated(value: Any, depth: int = 0) -> Any:
        if depth and random.random() < 0.12:
            return random.choice(values)
        if isinstance(value, dict):
            return {key: mutated(item, depth + 1) for key, item in value.items() if random.random() > 0.05}
        if isinstance(value, list):
            return [mutated(item, depth + 1) for item in value] * random.choice([1, 1, 1, 0, 3])
        return value

    readable = 0
    entries = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
    for _ in range(60):
        entry = random.choice(entries)
        received = delivery(entry)
        if isinstance(entry["body"], dict) and not entry["raw_body"].startswith(("payload", "token")):
            raw = json.dumps(mutated(entry["body"])).encode()
            received = Received(body=raw, headers=received.headers, query=received.query)
        try:
            events = read_delivery(system_of(name), received).events
        except Unmappable:
            continue
        readable += 1
        assert all(len(event.title or "") <= 200 and len(event.summary or "") <= 20_000 for event in events)
    assert readable


@pytest.mark.parametrize(("title", "described"), [("It leaks no more", True), (None, False)])
def test_an_end_says_how_a_thing_stands_only_with_its_title(title: str | None, described: bool) -> None:
    body = {"event_action": "resolve", "dedup_key": "k", "title": title, "occurred_at": "2026-11-20T09:00:00Z"}
    raw = json.dumps(body).encode()
    read = read_delivery(system_of("generic"), Received(body=raw, headers={}))
    assert ("described" in read.positions) is described
    assert "position" in read.positions
