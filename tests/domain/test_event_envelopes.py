"""What everybody who reads an event gets."""

from typing import Any
from uuid import UUID

from domain.actors import ORIGIN, Via
from domain.event_envelopes import envelope, origin_of, told_data

SOURCE = UUID(int=5)
ACCOUNT = UUID(int=2)
INCIDENT = {
    "id": "0193",
    "number": "INC-1001",
    "url": "https://x/v1/incidents/0193",
    "status": "open",
    "severity": None,
}
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "type": "step.completed",
    "timestamp": "2026-11-26T05:40:44.000000Z",
    "log_index": 40,
    "stream": "incident",
    "stream_id": "0193",
    "seq": 7,
    "incident": {**INCIDENT, "client_ids": ["c1"]},
    "origin": {"kind": "person", "id": "p1"},
    "data": {"step_id": "DL.1"},
}


def through(via: Via | None) -> dict[str, Any]:
    """The origin of an event that a service account caused."""
    data = {"step_id": "DL.1"} | ({ORIGIN: via.stored} if via is not None else {})
    assert told_data(data) == {"step_id": "DL.1"}, "who did it is said once"
    return origin_of("service_account", ACCOUNT, data)


def test_an_envelope_says_what_happened_to_what_and_where_to_read_on() -> None:
    assert envelope(EVENT) == {**EVENT, "incident": INCIDENT}


def test_a_thin_one_and_an_erased_one_say_nothing_more() -> None:
    assert envelope(EVENT, is_full=False) == {**EVENT, "incident": INCIDENT, "data": None}
    assert told_data(None) is None
    assert envelope({**EVENT, "incident": None})["incident"] is None


def test_a_service_account_is_named_with_what_it_acted_through() -> None:
    plain = {"kind": "service_account", "id": str(ACCOUNT)}
    nothing = dict.fromkeys(("source_id", "connection_id", "external_event_id"))
    assert through(None) == origin_of("service_account", ACCOUNT, None) == {**plain, **nothing}
    source = through(Via(kind="source", source_id=SOURCE, external_event_id="e-1"))
    assert source == {**plain, **nothing, "kind": "source", "source_id": SOURCE, "external_event_id": "e-1"}
    connection = through(Via(kind="connection", connection_id=SOURCE))
    assert connection == {**plain, **nothing, "kind": "connection", "connection_id": SOURCE}
