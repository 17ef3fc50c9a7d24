"""What the passing of time does to an incident: deadlines at risk, deadlines breached, duties overdue,
notices due before their assessment.

Each is announced exactly once, by marking the row in the change that tells it. An announcement dates from the instant
the clock passed it, however late the worker came. Nothing here is content: signatures stay valid.
"""

from datetime import datetime

from domain.assessment_alarms import UNDECIDED, announce_unassessed
from domain.changes import Change
from domain.deadlines import sla_state
from domain.record import ControlOccurrence, Obligation, StepRun
from domain.steps import FINISHED


def announce(change: Change) -> int:
    """Emit what became true by `change.now` and was not announced; how many events that made."""
    record = change.record
    if record.incident.status in ("closed", "rejected"):
        return 0
    before = len(change.events)
    for run in record.steps.values():
        if run.status not in FINISHED:
            _announce_step(change, run)
    for occurrence in record.occurrences.values():
        if _is_breached(occurrence, change.now):
            _announce_control(change, occurrence)
    for duty in record.obligations.values():
        if _is_overdue(duty, change.now):
            _announce_duty(change, duty)
    announce_unassessed(change)
    return len(change.events) - before


def _announce_step(change: Change, run: StepRun) -> None:
    state = sla_state(run.at_risk_at, run.breach_at, None, change.now)
    # An `immediate` step is at risk from its first moment on.
    if state != "on_track" and run.at_risk_announced_at is None:
        run.at_risk_announced_at = change.now
        change.emit("sla.at_risk", occurred_at=run.at_risk_at, step_id=run.id, due_at=run.due_at)
    if state == "breached" and run.breached_announced_at is None:
        run.breached_announced_at = change.now
        change.emit("sla.breached", occurred_at=run.breach_at, step_id=run.id, due_at=run.due_at)


def _is_breached(occurrence: ControlOccurrence, now: datetime) -> bool:
    ended = occurrence.met_at or occurrence.skipped_at or occurrence.voided_at or occurrence.breached_announced_at
    return ended is None and now > occurrence.breach_at


def _announce_control(change: Change, occurrence: ControlOccurrence) -> None:
    occurrence.breached_announced_at = change.now
    change.emit(
        "sla.breached",
        occurred_at=occurrence.breach_at,
        control=occurrence.control,
        purpose=occurrence.purpose,
        step_id=occurrence.step_id,
        occurrence_id=occurrence.id,
        due_at=occurrence.due_at,
    )


def _is_overdue(duty: Obligation, now: datetime) -> bool:
    is_owed = duty.outcome != "not_triggered" and duty.notified_at is None and duty.decision in UNDECIDED
    return is_owed and duty.overdue_announced_at is None and duty.due_at is not None and now > duty.due_at


def _announce_duty(change: Change, duty: Obligation) -> None:
    duty.overdue_announced_at = change.now
    change.emit(
        "obligation.overdue",
        occurred_at=duty.due_at,
        obligation_id=duty.id,
        rule=duty.rule_id,
        due_at=duty.due_at,
        pending_clock=duty.pending_clock,
    )
