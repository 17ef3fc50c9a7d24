"""Each form of an event: its schema, what it never says, and how long it can be."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from domain.chat_messages import slack_message, teams_message
from domain.event_formats import FORMATS, event_body
from domain.glossary import IncidentStatus

ROOT = Path(__file__).resolve().parents[2]
BASE = "https://incidents.example.com"
INCIDENT: dict[str, Any] = {
    "id": "0193",
    "number": "INC-1001",
    "url": f"{BASE}/v1/incidents/0193",
    "status": "in_progress",
    "severity": "SEV2",
    "playbook": "data-leakage",
    "exercise": False,
    "client_ids": ["c1"],
    "labels": ["Jane Roe"],
    "next_due_at": "2026-11-26T09:40:44.000000Z",
}
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "type": "step.completed",
    "timestamp": "2026-11-26T05:40:44.250000Z",
    "stream": "incident",
    "stream_id": "0193",
    "seq": 7,
    "log_index": 40,
    "origin": {"kind": "person", "id": "p1"},
    "incident": INCIDENT,
    "data": {"note": "Jane Roe told <https://evil.example|us>"},
}
TYPES = ["incident.reported", "step.completed", "sla.breached", "incident.closed", "tool.decided", "risk.revised",
         "webhook_endpoint.tested"]  # fmt: skip

TEXT = {"type": "string", "minLength": 1}
ADDRESS = {"type": "string", "format": "uri", "pattern": "^https://"}
ID = {"type": "integer", "minimum": 0}
STANDARD = {
    "type": "object",
    "required": ["id", "type", "timestamp", "log_index", "stream", "stream_id", "seq", "origin",
                 "incident", "data"],
    "additionalProperties": False,
    "properties": {
        "id": TEXT, "type": TEXT, "timestamp": {"type": "string", "format": "date-time"}, "stream": TEXT,
        "stream_id": TEXT, "seq": ID, "log_index": ID, "origin": {"type": "object"},
        "data": {"type": ["object", "null"]},
        "incident": {"type": ["object", "null"], "required": ["id", "number", "url", "status", "severity"],
                     "maxProperties": 5},
    },
}  # fmt: skip
CLOUD_EVENT = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "data"],
    # Names of attributes are lower-case letters and digits alone.
    "propertyNames": {"pattern": "^[a-z0-9]{1,20}$"},
    "properties": {
        "specversion": {"const": "1.0"}, "id": TEXT, "source": ADDRESS, "type": TEXT, "subject": TEXT,
        "time": {"type": "string", "format": "date-time"}, "partitionkey": TEXT,
        "datacontenttype": {"const": "application/json"}, "dataschema": ADDRESS, "data": STANDARD,
    },
}  # fmt: skip
OCSF_BASE = {
    "type": "object",
    "required": ["activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"],
    "properties": {
        "severity_id": {"enum": [0, 1, 2, 3, 4, 5, 6, 99]}, "time": {"type": "integer", "minimum": 10**12},
        "metadata": {
            "type": "object", "required": ["product", "version"],
            "properties": {
                "product": {"type": "object", "required": ["vendor_name", "name"]},
                "version": {"pattern": r"^1\.\d+\.\d+$"}, "sequence": ID, "uid": TEXT,
            },
        },
    },
    "if": {"properties": {"class_uid": {"const": 2005}}},
    "then": {
        "required": ["finding_info_list", "status_id"],
        "properties": {
            "category_uid": {"const": 2}, "activity_id": {"enum": [1, 2, 3]},
            "type_uid": {"enum": [200501, 200502, 200503]},
            "status_id": {"enum": [1, 2, 3, 4, 5]}, "src_url": ADDRESS,
            "finding_info_list": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["uid"]}},
        },
    },
    "else": {"properties": {"class_uid": {"const": 0}, "category_uid": {"const": 0}, "type_uid": {"const": 99}}},
}  # fmt: skip
SLACK = {
    "type": "object",
    "required": ["text", "blocks"],
    "additionalProperties": False,
    "properties": {
        "text": TEXT,
        "blocks": {
            "type": "array", "minItems": 1, "maxItems": 50,
            "items": {
                "oneOf": [
                    {"required": ["text"], "properties": {
                        "type": {"const": "section"},
                        "text": {"properties": {"type": {"const": "mrkdwn"}, "text": {**TEXT, "maxLength": 3000}}},
                    }},
                    {"required": ["elements"], "properties": {
                        "type": {"const": "actions"},
                        "elements": {"items": {"required": ["type", "text", "url"], "properties": {"url": ADDRESS}}},
                    }},
                ],
            },
        },
    },
}  # fmt: skip
CARD_PART = {"oneOf": [
    {"required": ["text"], "properties": {"type": {"const": "TextBlock"}, "text": TEXT}},
    {"required": ["facts"], "properties": {
        "type": {"const": "FactSet"},
        "facts": {"items": {"required": ["title", "value"], "properties": {"title": TEXT, "value": TEXT}}},
    }},
]}  # fmt: skip
TEAMS = {
    "type": "object",
    "required": ["type", "attachments"],
    "properties": {
        "type": {"const": "message"},
        "attachments": {
            "type": "array", "minItems": 1, "maxItems": 1,
            "items": {
                "required": ["contentType", "content"],
                "properties": {
                    "contentType": {"const": "application/vnd.microsoft.card.adaptive"},
                    "content": {
                        "required": ["type", "version", "body"],
                        "properties": {
                            "type": {"const": "AdaptiveCard"}, "version": {"enum": ["1.0", "1.1", "1.2", "1.3", "1.4"]},
                            "body": {"type": "array", "minItems": 1, "items": CARD_PART},
                            "actions": {"items": {
                                "required": ["type", "title", "url"],
                                "properties": {"type": {"const": "Action.OpenUrl"}, "url": ADDRESS},
                            }},
                        },
                    },
                },
            },
        },
    },
}  # fmt: skip
SCHEMAS = {"standard": STANDARD, "cloudevents": CLOUD_EVENT, "ocsf": OCSF_BASE, "slack": SLACK, "teams": TEAMS}


def of(kind: str) -> dict[str, Any]:
    """An event of a type: with the incident where it concerns one."""
    concerns_one = kind.partition(".")[0] in ("incident", "step", "sla")
    return {**EVENT, "type": kind} | ({} if concerns_one else {"incident": None, "stream": kind.partition(".")[0]})


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", list(FORMATS))
def test_every_event_reads_as_its_form_asks(name: str, kind: str) -> None:
    for is_full in (False, True):
        body = json.loads(json.dumps(event_body(name, of(kind), is_full=is_full, base_url=BASE)))
        jsonschema_rs.validator_for(SCHEMAS[name], validate_formats=True).validate(body)


@pytest.mark.parametrize("name", ["cloudevents", "ocsf"])
def test_the_message_travels_whole_inside_other_envelopes(name: str) -> None:
    inside = {"cloudevents": "data", "ocsf": "unmapped"}[name]
    for is_full in (False, True):
        body = event_body(name, EVENT, is_full=is_full, base_url=BASE)
        assert body[inside] == event_body("standard", EVENT, is_full=is_full, base_url=BASE)


def test_an_event_of_a_cloud_is_named_by_source_and_id() -> None:
    body = event_body("cloudevents", EVENT, is_full=False, base_url=BASE)
    assert (body["source"], body["id"], body["type"]) == (BASE, "evt_1", "holdfast.step.completed")
    assert (body["subject"], body["partitionkey"]) == ("INC-1001", "incident/0193")
    name = body["dataschema"].removeprefix(f"{BASE}/openapi.json#/components/schemas/")
    document = json.loads((ROOT / "openapi" / "openapi.json").read_text(encoding="utf-8"))
    assert document["components"]["schemas"][name]["properties"].keys() == body["data"].keys()


@pytest.mark.parametrize(
    ("kind", "status", "severity", "expected"),
    [
        ("incident.reported", "reported", None, (200501, 1, 0)),
        ("incident.declared", "in_progress", "SEV1", (200502, 2, 5)),
        ("sla.breached", "on_hold", "SEV2", (200502, 3, 4)),
        ("step.completed", "contained", "SEV3", (200502, 4, 3)),
        ("incident.closed", "closed", "SEV4", (200503, 5, 2)),
        ("incident.reopened", "reopened", "SEV4", (200502, 2, 2)),
    ],
)
def test_a_finding_is_counted_as_the_framework_counts(
    kind: str, status: str, severity: str | None, expected: tuple[int, int, int]
) -> None:
    event = {**EVENT, "type": kind, "incident": {**INCIDENT, "status": status, "severity": severity}}
    body = event_body("ocsf", event, is_full=False, base_url=BASE)
    assert (body["type_uid"], body["status_id"], body["severity_id"]) == expected
    assert body["time"] == 1_795_671_644_250


def test_every_status_of_an_incident_is_one_of_the_framework() -> None:
    for status in IncidentStatus:
        event = {**EVENT, "incident": {**INCIDENT, "status": status.value}}
        assert event_body("ocsf", event, is_full=False, base_url=BASE)["status_id"] != 0, status


@pytest.mark.parametrize("name", ["slack", "teams"])
def test_a_channel_is_told_how_the_incident_stands_and_nothing_of_people(name: str) -> None:
    body = json.dumps(event_body(name, EVENT, is_full=True, base_url=BASE))
    for said in ("INC-1001: step completed", "SEV2", "in progress", "2026-11-26 09:40 UTC", INCIDENT["url"]):
        assert said in body, said
    for unsaid in ("Jane", "evil", "p1", "c1", "data-leakage"):
        assert unsaid not in body, unsaid
    assert len(body) < FORMATS[name].bytes_max


@pytest.mark.parametrize("name", ["slack", "teams"])
def test_an_exercise_is_called_one(name: str) -> None:
    event = {**EVENT, "incident": {**INCIDENT, "exercise": True, "next_due_at": None}}
    body = json.dumps(event_body(name, event, is_full=False, base_url=BASE))
    assert "Exercise INC-1001" in body
    assert "deadline" not in body


def test_nothing_in_a_message_is_markup() -> None:
    event = {**EVENT, "incident": {**INCIDENT, "number": "<!channel> & *INC* [x](y)"}}
    slack = slack_message(event, {}, BASE)
    assert "<" not in slack["text"] + slack["blocks"][0]["text"]["text"]
    assert slack["text"].startswith("&lt;!channel&gt; &amp; ")
    head = teams_message(event, {}, BASE)["attachments"][0]["content"]["body"][0]["text"]
    assert head.startswith(r"<!channel> & \*INC\* \[x\](y)")
