"""Notices that cannot wait: who may send one before it is approved, and the approval that stays owed.

A playbook allows it action by action (`ahead_of_approval`), for holders of few roles and under one reason word, such as
`attack_in_progress`. Each is an exception, and another person than whoever sent it approves it afterwards; the gates of
the playbook hold the step until then.
"""

from typing import Any
from uuid import UUID

from domain.actions import OPEN
from domain.changes import Change
from domain.gating import View
from domain.procedures import Ahead
from domain.record import Notification, Record
from domain.verdicts import Verdict, Who, verdict

EARLY = "sent_ahead_of_approval"
"""Kind of the exception."""
EARLY_TRANSITIONS: dict[tuple[str, str], str] = {
    ("draft", "record_sent"): "sent",
    ("in_review", "record_sent"): "sent",
    ("approved", "record_sent"): "sent",
    ("sent", "approve"): "sent",
    ("acknowledged", "approve"): "acknowledged",
}
"""What such a notice may do beside the ordinary table; approved afterwards, it stays sent."""


def leave_of(view: View, notification: Notification) -> Ahead | None:
    """The leave that the action it belongs to gives, or None."""
    playbook, action_id = view.change.playbook, notification.action_id
    action = playbook.action(action_id) if playbook is not None and action_id else None
    return action.ahead_of_approval if action is not None else None


def ahead_of(view: View, notification: Notification, reason: str | None) -> Ahead | None:
    """The leave to send it early, where `reason` begins with the word for it; more may be said behind the word."""
    leave = leave_of(view, notification)
    said = (reason or "").split(maxsplit=1)
    return leave if leave is not None and said and said[0].rstrip(".,:;") == leave.reason else None


def hint(view: View, notification: Notification) -> str:
    """What a refusal adds for a notice that may be sent early."""
    leave = leave_of(view, notification)
    if leave is None or (notification.status, "record_sent") not in EARLY_TRANSITIONS:
        return ""
    return f" If it cannot wait, {' or '.join(leave.roles)} records it sent with the reason {leave.reason}."


def judge_early(view: View, notification: Notification, leave: Ahead, gate: Any) -> Verdict:
    """What recording it sent before its turn would answer, persons left open. `gate` is the one still in the way."""
    state = None
    if view.record.incident.status not in OPEN:
        state = f"The incident is {view.record.incident.status}."
    elif (notification.status, "record_sent") not in EARLY_TRANSITIONS:
        state = f"The notification is {notification.status}."
    return verdict("record_sent", Who(frozenset(leave.roles)), state=state, gate=None if state else gate)


def note_early(change: Change, notification: Notification, reason: str) -> None:
    """The exception that the auditor sees."""
    action = change.playbook.action(notification.action_id) if change.playbook and notification.action_id else None
    change.deviate(
        EARLY,
        reason,
        action_id=notification.action_id,
        step_id=action.step_id if action is not None else None,
        details={"notification_id": str(notification.id), "approved": notification.approved_by is not None},
    )


def early_senders(record: Record, notification: Notification) -> list[UUID]:
    """Who sent it before its approval: they recorded it or did it, and do not approve it themselves."""
    found = [
        entry.person_id
        for entry in record.exceptions.values()
        if entry.kind == EARLY and (entry.details or {}).get("notification_id") == str(notification.id)
    ]
    return [person for person in (*found, notification.sent_by if found else None) if person is not None]


def owes(record: Record, notification: Notification, transition: str) -> bool:
    """Whether `transition` is the approval that a notice sent early still needs."""
    owed = (notification.status, transition) in EARLY_TRANSITIONS and notification.approved_by is None
    return transition == "approve" and owed and bool(early_senders(record, notification))
