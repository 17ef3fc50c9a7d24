"""What endpoints may ask for, and what passes a filter."""

from typing import Any

import pytest

from domain.refusals import Invalid
from domain.webhook_endpoints import check_filter, passes

INCIDENT = {
    "id": "0193",
    "number": "INC-1001",
    "url": "https://incidents.example.com/v1/incidents/0193",
    "status": "in_progress",
    "severity": "SEV2",
    "playbook": "data-leakage",
    "exercise": False,
    "client_ids": ["c1"],
    "labels": ["loud"],
}
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "type": "step.completed",
    "timestamp": "2026-11-26T05:40:44.000000Z",
    "stream": "incident",
    "stream_id": "0193",
    "seq": 7,
    "origin": {"kind": "person", "id": "p1"},
    "incident": INCIDENT,
    "data": {"step_id": "DL.1"},
}


@pytest.mark.parametrize("text", ["severity == 'SEV1'", "1 +", "incident.severity = 'SEV1'", "nothing(type)"])
def test_a_filter_that_cannot_work_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_filter(text)
    assert refused.value.errors[0].pointer == "/filter"
    assert "at character" in refused.value.errors[0].reason


@pytest.mark.parametrize(
    "text", ["incident.sev == 'SEV1'", "has(incident.tags)", "type.name == 'x'", "origin.who == 'p1'"]
)
def test_a_filter_that_asks_for_what_is_not_there_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_filter(text)
    assert " has no `" in refused.value.errors[0].reason


@pytest.mark.parametrize("name", sorted(INCIDENT))
def test_a_filter_may_ask_for_all_that_an_incident_is_told_with(name: str) -> None:
    check_filter(
        f"incident.{name} == null || incident.labels.exists(label, label == 'loud') || incident.client_ids[0] == ''"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, True),
        ("incident.severity in ['SEV1', 'SEV2']", True),
        ("incident.severity == 'SEV1'", False),
        ("type == 'step.completed' && stream == 'incident'", True),
        ("origin.kind == 'system'", False),
        ("'c1' in incident.client_ids && !incident.exercise", True),
        ("incident.nothing == 1", True),
        ("incident.severity", True),
    ],
)
def test_only_what_a_filter_says_no_to_is_kept_back(text: str | None, expected: bool) -> None:
    assert passes(text, EVENT) is expected


def test_a_filter_on_incidents_keeps_back_nothing_that_concerns_none() -> None:
    assert passes("incident.severity == 'SEV1'", {**EVENT, "incident": None})
    assert not passes(
        "stream == 'incident' && incident.severity == 'SEV1'", {**EVENT, "stream": "tool", "incident": None}
    )
