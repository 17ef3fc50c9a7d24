"""What a tenant wants of tickets, and what an event then asks for."""

from typing import Any

import pytest

from domain.ticket_notes import is_own_note, number_in, ticket_note
from domain.tickets import CreateTicket, SetStatus, TicketMode, wanted

MODE = TicketMode(
    create_ticket=CreateTicket(
        map={"board": "Help", "priority": {"SEV1": 1, "default": 3}},
        clients={"a": {"board": "A"}, "b": {"priority": 2}},
    ),
    add_note=["note.added", "sla.*"],
    set_status=SetStatus(status_map={"on_hold": 23, "closed": "Done"}),
)
INCIDENT: dict[str, Any] = {
    "id": "0193",
    "number": "INC-1001",
    "title": "Jamie pasted <b>",
    "summary": "All of it.",
    "status": "post_incident",
    "severity": "SEV2",
    "playbook": "data-leakage",
    "url": "https://holdfast.example/v1/incidents/0193",
    "next_due_at": "2026-11-26T09:00:00.000000Z",
    "client_ids": [],
}
EVENT = {"id": "evt_" + "0" * 32, "type": "incident.declared", "data": {}}


@pytest.mark.parametrize(
    ("kind", "status", "is_declared", "has_ticket", "expected"),
    [
        ("incident.declared", "in_progress", True, False, (True, False, None)),
        ("incident.declared", "in_progress", True, True, (False, True, None)),
        ("incident.held", "on_hold", True, True, (False, False, "23")),
        ("incident.held", "on_hold", True, False, (True, False, "23")),
        ("incident.held", "on_hold", False, True, (False, False, "23")),
        ("incident.held", "on_hold", False, False, (False, False, None)),
        ("note.added", "on_hold", True, True, (False, True, None)),
        ("note.added", "reported", False, False, (False, False, None)),
        ("sla.breached", "in_progress", True, True, (False, True, None)),
        ("step.completed", "in_progress", True, True, (False, False, None)),
    ],
)
def test_an_event_asks_for(
    kind: str, status: str, is_declared: bool, has_ticket: bool, expected: tuple[bool, bool, str | None]
) -> None:
    asked = wanted(MODE, kind, {**INCIDENT, "status": status}, is_declared=is_declared, has_ticket=has_ticket)
    assert (asked.ticket, asked.note, asked.status) == expected
    assert asked.is_nothing is not any(expected)


@pytest.mark.parametrize(
    ("severity", "clients", "expected"),
    [
        ("SEV1", [], {"board": "Help", "priority": 1}),
        ("SEV4", ["x", "a"], {"board": "A", "priority": 3}),
        (None, ["b", "a"], {"board": "Help", "priority": 2}),
    ],
)
def test_words_are_those_of_the_client_and_the_severity(
    severity: str | None, clients: list[str], expected: dict[str, Any]
) -> None:
    assert MODE.words(severity, clients) == expected


def test_the_types_of_events_follow_from_what_is_wanted() -> None:
    assert TicketMode(add_note=["note.added"]).event_types == ["note.added"]
    assert {"note.added", "sla.*", "incident.declared", "incident.closed"} <= set(MODE.event_types)


def test_a_thin_note_holds_no_words_of_people() -> None:
    thin, full = (ticket_note(EVENT, INCIDENT, is_full=is_full) for is_full in (False, True))
    assert thin.title == "[INC-1001] AI incident: data-leakage"
    assert "Jamie" not in thin.text + thin.html
    assert full.title == "[INC-1001] Jamie pasted <b>"
    assert "All of it." in full.text
    assert "&lt;b&gt;" not in full.html  # the title is no part of it
    for one in (thin, full):
        assert one.text.splitlines()[0] == "[Holdfast INC-1001] incident declared"
        assert one.text.splitlines()[-1] == f"Holdfast INC-1001 {one.marker}"
        assert len(one.title) <= 100


def test_what_people_wrote_is_escaped_where_it_is_markup() -> None:
    event = {**EVENT, "type": "note.added", "data": {"text": "<script>alert(1)</script>"}}
    note = ticket_note(event, INCIDENT, is_full=True)
    assert "<script>" in note.text
    assert "<script>" not in note.html


def test_our_own_note_is_known_and_a_quotation_is_not() -> None:
    note = ticket_note(EVENT, INCIDENT, is_full=True)
    assert is_own_note(note.text)
    assert is_own_note(f"<div><p>{note.html}</p></div>")
    assert not is_own_note(f"Thanks!\n{note.text}")
    assert not is_own_note(f"{note.text}\nThanks!")
    assert not is_own_note("> " + note.text.replace("\n", "\n> "))
    assert not is_own_note(None)


@pytest.mark.parametrize(
    ("title", "number"),
    [
        ("[INC-1001] AI incident", "INC-1001"),
        ("[EX-3] Exercise", "EX-3"),
        ("RE: [INC-1001] AI incident", None),
        ("[INC-x] no", None),
        (None, None),
    ],
)
def test_the_number_stands_at_the_beginning(title: str | None, number: str | None) -> None:
    assert number_in(title) == number
