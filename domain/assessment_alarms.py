"""The alarm before a notice falls due while the assessment is still open.

No client, authority or person is told before the assessment step is done, but that gate never extends a legal deadline.
So `risk_owner` and `legal_counsel` are told in time that they may complete the assessment on the facts known.
"""

from datetime import datetime

from domain.changes import Change
from domain.deadlines import AT_RISK_SHARE
from domain.glossary import Phase
from domain.record import Notification, Obligation
from domain.steps import FINISHED

TOLD = ("risk_owner", "legal_counsel")
ASSESSING = (Phase.ASSESS, Phase.ASSESS_AND_NOTIFY)
UNDECIDED = ("open", "notify")
NO_NOTICE = ("internal", "counsel")
"""Duties toward these are records and engagements of our own, which the assessment does not hold back."""


def open_assessment_step(change: Change) -> str | None:
    """The step in which the assessment is still to be done, None where it is done or the playbook has none."""
    steps = change.playbook.steps if change.playbook is not None else ()
    runs = change.record.steps
    waiting = (s.id for s in steps if s.phase in ASSESSING and s.id in runs and runs[s.id].status not in FINISHED)
    return next(waiting, None)


def alarm_at(change: Change, duty: Obligation) -> datetime | None:
    """When the alarm about the duty rings unless the assessment is done: as steps do, with a quarter of the time left.

    None where it rang already and where the duty asks for no notice (any more).
    """
    is_owed = duty.outcome != "not_triggered" and duty.notified_at is None and duty.decision in UNDECIDED
    if not is_owed or duty.toward in NO_NOTICE or duty.due_at is None or duty.unassessed_announced_at is not None:
        return None
    started = min(duty.clock_started_at or change.record.incident.discovered_at, duty.due_at)
    return duty.due_at - (duty.due_at - started) / AT_RISK_SHARE


def announce_unassessed(change: Change) -> None:
    """Tell of every duty whose alarm has passed, and draft one message to each role for all of them together."""
    step_id = open_assessment_step(change)
    if step_id is None:
        return
    rung = []
    for duty in change.record.obligations.values():
        at = alarm_at(change, duty)
        if at is not None and change.now > at:
            duty.unassessed_announced_at = change.now
            told = {"obligation_id": duty.id, "rule": duty.rule_id, "due_at": duty.due_at, "step_id": step_id}
            change.emit("obligation.unassessed", occurred_at=at, **told)
            rung.append(duty)
    if rung:
        first = min(rung, key=lambda duty: (duty.due_at or change.now, duty.rule_id))
        for role in TOLD:
            _draft(change, role, first, len(rung), step_id)


def _draft(change: Change, role: str, first: Obligation, count: int, step_id: str) -> None:
    """A message that is not sent yet. One that still waits is enough, whatever has rung since."""
    own = [n for n in change.record.notifications.values() if n.kind == "internal" and n.audience == role]
    if any(n.obligation_id is not None and n.status in ("draft", "in_review", "approved") for n in own):
        return
    assert first.due_at is not None, "only dated duties ring"
    more = f" As close as that: {count - 1} more." if count > 1 else ""
    due = f"{first.due_at:%Y-%m-%d %H:%M} UTC"
    message = Notification(
        id=change.new_id(),
        kind="internal",
        audience=role,
        obligation_id=first.id,
        channel="to be chosen",
        subject=f"A notice falls due before {step_id} is done",
        body=(
            f"The notice of {first.rule_id} ({first.citation}) is due at {due} while {step_id} "
            f"is open.{more} No gate extends a legal deadline: complete the assessment on the facts known."
        ),
        author_id=change.person_id or change.record.incident.opened_by_id,
        created_at=change.now,
        due_at=first.due_at,
    )
    change.record.notifications[str(message.id)] = message
    change.emit("obligation.alarm_drafted", notification_id=message.id, audience=role, due_at=message.due_at)
