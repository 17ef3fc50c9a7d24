"""It raises an alarm while a notice may still be made in time, and only where the assessment is open."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.actors import SYSTEM
from domain.announcements import announce
from domain.changes import NOT_CONTENT, Change, Surroundings, TenantSettings
from domain.playbooks import catalogue
from domain.record import Incident, Obligation, Record, StepRun

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR, MICRO, LATER = timedelta(hours=1), timedelta(microseconds=1), timedelta(days=999)


def duty(**more: Any) -> Obligation:
    """Owed within four hours."""
    told = {"rule_id": "OB-1", "rule_version": "1", "toward": "client", "outcome": "required", "recipient": "a client"}
    about = {"citation": "a contract", "as_of": "2026-01", "confidence": "H", "overdue_announced_at": START}
    return Obligation(id=uuid4(), **{**told, **about, "clock_started_at": START, "due_at": START + 4 * HOUR, **more})


def record(*duties: Obligation, assessment: str = "ready") -> Record:
    """An incident whose steps before the assessment are done; no step has a deadline that is near."""
    incident = Incident(
        id=uuid4(),
        number="INC-1001",
        title="A leak",
        status="in_progress",
        discovered_at=START,
        reported_at=START,
        opened_by_kind="person",
        opened_by_id=uuid4(),
        triage_due_at=START,
    )
    far = {"clock_started_at": START, "at_risk_at": START + LATER, "due_at": START + LATER, "breach_at": START + LATER}
    before = [StepRun(id=f"DL.{n}", position=n, status="completed", **far) for n in (1, 2)]
    steps = [*before, StepRun(id="DL.3", position=3, status=assessment, **far)]
    return Record(
        incident=incident,
        steps={step.id: step for step in steps},
        obligations={str(one.id): one for one in duties},
    )


def rung(of: Record, at: datetime, playbook: str = "data-leakage") -> list[str]:
    """The rules whose alarm rings at `at`."""
    book = catalogue().get(playbook)
    change = Change(of, book, SYSTEM, at, Surroundings(settings=TenantSettings()), uuid4)
    announce(change)
    assert all(event.kind.startswith(NOT_CONTENT) for event in change.events)
    return [event.data["rule"] for event in change.events if event.kind == "obligation.unassessed"]


def drafts(of: Record) -> list[str]:
    return sorted(message.audience for message in of.notifications.values())


def test_it_rings_once_when_a_quarter_of_the_time_is_left() -> None:
    held = record(duty())
    assert rung(held, START + 3 * HOUR) == []
    assert drafts(held) == []
    assert rung(held, START + 3 * HOUR + MICRO) == ["OB-1"]
    assert drafts(held) == ["legal_counsel", "risk_owner"]
    assert rung(held, START + 5 * HOUR) == []


def test_duties_that_ring_while_a_message_waits_add_no_message() -> None:
    held = record(duty(), duty(rule_id="OB-2"), duty(rule_id="OB-3", due_at=START + 8 * HOUR))
    assert sorted(rung(held, START + 4 * HOUR)) == ["OB-1", "OB-2"]
    assert all("As close as that: 1 more." in message.body for message in held.notifications.values())
    assert rung(held, START + 7 * HOUR) == ["OB-3"]
    assert drafts(held) == ["legal_counsel", "risk_owner"]
    held.obligations["4"] = duty(rule_id="OB-4", due_at=START + 12 * HOUR)
    for message in held.notifications.values():
        message.status = "sent"
    assert rung(held, START + 11 * HOUR) == ["OB-4"]
    assert drafts(held) == ["legal_counsel", "legal_counsel", "risk_owner", "risk_owner"]


@pytest.mark.parametrize(
    "settled",
    [
        {"decision": "not_required"},
        {"decision": "waived_by_counsel"},
        {"notified_at": START},
        {"outcome": "not_triggered"},
        {"due_at": None},
        {"toward": "internal"},
        {"toward": "counsel"},
    ],
)
def test_a_duty_that_asks_for_no_notice_does_not_ring(settled: dict[str, Any]) -> None:
    assert rung(record(duty(**settled)), START + 4 * HOUR) == []


@pytest.mark.parametrize("status", ["completed", "skipped"])
def test_it_does_not_ring_once_the_assessment_is_done(status: str) -> None:
    assert rung(record(duty(), assessment=status), START + 4 * HOUR) == []


def test_a_duty_that_was_late_from_the_start_rings_at_once() -> None:
    assert rung(record(duty(due_at=START - HOUR)), START) == ["OB-1"]


def test_a_playbook_without_an_assessment_holds_no_notice_back() -> None:
    assert rung(record(duty()), START + 4 * HOUR, playbook="ai-phishing") == []
