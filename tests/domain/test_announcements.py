"""It announces what the clock has passed: once, dated by the clock, and never as content."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from domain.actors import SYSTEM
from domain.announcements import announce
from domain.changes import NOT_CONTENT, Change, Surroundings, TenantSettings
from domain.record import ControlOccurrence, Incident, Obligation, Record, Signature, StepRun

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE, MICRO = timedelta(minutes=1), timedelta(microseconds=1)


def record() -> Record:
    """One open step, one control and one duty; at risk after 12 minutes, late after 15, owed within the hour."""
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
    due = START + 15 * MINUTE
    step = StepRun(
        id="DL.1",
        position=1,
        status="ready",
        clock_started_at=START,
        at_risk_at=START + 12 * MINUTE,
        due_at=due,
        breach_at=due,
    )
    control = ControlOccurrence(
        id=uuid4(), control="CC7.3", step_id="DL.1", due_at=due, breach_at=due, discovered_at=due
    )
    duty = Obligation(
        id=uuid4(),
        rule_id="OB-1",
        rule_version="1",
        toward="regulator",
        outcome="required",
        recipient="somebody",
        citation="a law",
        as_of="2026-01",
        confidence="H",
        due_at=START + 60 * MINUTE,
    )
    made = Record(incident=incident, steps={"DL.1": step})
    made.occurrences[str(control.id)] = control
    made.obligations[str(duty.id)] = duty
    return made


def announced(of: Record, at: datetime) -> list[tuple[str, datetime]]:
    """Kind and instant of what is announced at `at`."""
    change = Change(of, None, SYSTEM, at, Surroundings(settings=TenantSettings()), uuid4)
    count = announce(change)
    assert count == len(change.events)
    assert all(event.kind.startswith(NOT_CONTENT) for event in change.events)
    return [(event.kind, event.occurred_at) for event in change.events]


def test_each_is_announced_once_when_its_instant_has_passed() -> None:
    held = record()
    assert announced(held, START + 12 * MINUTE) == [], "exactly then a quarter is still left"
    assert announced(held, START + 12 * MINUTE + MICRO) == [("sla.at_risk", START + 12 * MINUTE)]
    assert announced(held, START + 15 * MINUTE) == [], "exactly then it is met"
    due = START + 15 * MINUTE
    assert announced(held, due + MICRO) == [("sla.breached", due), ("sla.breached", due)]
    assert announced(held, START + 61 * MINUTE) == [("obligation.overdue", START + 60 * MINUTE)]
    assert announced(held, START + timedelta(days=365)) == []


def test_a_worker_that_comes_late_tells_everything_in_order() -> None:
    kinds = [kind for kind, _ in announced(record(), START + timedelta(days=1))]
    assert kinds == ["sla.at_risk", "sla.breached", "sla.breached", "obligation.overdue"]


@pytest.mark.parametrize("status", ["closed", "rejected"])
def test_nothing_is_announced_of_an_ended_incident(status: str) -> None:
    held = record()
    held.incident.status = status
    assert announced(held, START + timedelta(days=1)) == []


def test_what_is_settled_is_not_announced() -> None:
    held = record()
    held.steps["DL.1"].status = "completed"
    for control in held.occurrences.values():
        control.met_at = START
    for duty in held.obligations.values():
        duty.decision = "not_required"
    assert announced(held, START + timedelta(days=1)) == []


def test_a_signature_stays_valid() -> None:
    held = record()
    signature = Signature(
        id=uuid4(), person_id=UUID(int=1), role="risk_owner", statement="s", signed_at=START, record_hash="0" * 64
    )
    held.signatures[str(signature.id)] = signature
    announced(held, START + timedelta(days=1))
    assert signature.voided_at is None
