"""A sample of every type reads like an event of that type."""

from typing import Any

import jsonschema_rs
import pytest

from domain.event_formats import FORMATS, event_body
from domain.event_samples import sample_of
from domain.event_types import TYPES

BASE = "https://incidents.example.com"
TEST: dict[str, Any] = {
    "id": "evt_1",
    "type": "webhook_endpoint.tested",
    "timestamp": "2026-11-26T05:40:44.250000Z",
    "log_index": 4,
    "stream": "webhook_endpoint",
    "stream_id": "0193",
    "seq": 2,
    "origin": {"kind": "person", "id": "p1"},
    "incident": None,
    "data": {"name": "Board"},
}


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_a_sample_has_the_data_and_the_incident_of_its_type(kind: str) -> None:
    sample = sample_of({**TEST, "data": {"name": "Board", "event_type": kind}}, BASE)
    assert (sample["id"], sample["seq"], sample["type"]) == ("evt_1", 2, kind)
    assert sample["stream"] in TYPES[kind].streams
    assert (sample["incident"] is None) is (sample["stream"] != "incident")
    jsonschema_rs.validator_for(TYPES[kind].data_schema, validate_formats=True).validate(sample["data"])
    for name in FORMATS:
        assert event_body(name, sample, is_full=True, base_url=BASE)


@pytest.mark.parametrize("data", [None, {"name": "Board"}, {"name": "Board", "event_type": "step.danced"}])
def test_without_a_type_a_test_is_a_test(data: dict[str, Any] | None) -> None:
    event = {**TEST, "data": data}
    assert sample_of(event, BASE) == event
    other = {**TEST, "type": "step.completed", "data": {"event_type": "incident.closed"}}
    assert sample_of(other, BASE) == other
