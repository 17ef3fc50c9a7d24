"""Notifications: drafting, four-eyes approval, sending with proof, and what may not be said or where."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from domain.actions import OPEN, RISK_OWNER
from domain.changes import Change
from domain.doings import Claim, require_reason, settle_claim
from domain.early_notices import EARLY_TRANSITIONS, ahead_of, hint, judge_early, note_early, owes
from domain.gating import View, refusal_of, speaking
from domain.notice_texts import names_in, tool_in
from domain.obligation_decisions import notified
from domain.overrides import Override, pass_or_refuse
from domain.record import Notification, Record
from domain.refusals import Conflict, Forbidden, GateRefused, InputError, Invalid, NotFound
from domain.relations import is_among, step_actors
from domain.reviews import complete_review, open_seats, reviewers, take_seat
from domain.verdicts import Verdict, Who, verdict

APPROVED_KINDS = frozenset({"client_notice", "correction", "regulator"})
INTERNAL_KINDS = frozenset({"internal", "briefing", "escalation"})
EXTERNAL_KINDS = APPROVED_KINDS | {"vendor"}
EXTRA_WRITERS = Who(frozenset({"risk_owner", "security_lead"}))

TRANSITIONS: dict[tuple[str, str], str] = {
    ("draft", "submit"): "in_review",
    ("in_review", "approve"): "approved",
    ("in_review", "request_changes"): "draft",
    ("approved", "record_sent"): "sent",
    ("draft", "record_sent"): "sent",
    ("approved", "record_failed"): "failed",
    ("sent", "record_failed"): "failed",
    ("sent", "acknowledge"): "acknowledged",
    **{(s, "not_required"): "not_required" for s in ("draft", "in_review", "approved", "failed")},
}
"""An approval leaves it `in_review` until every seat is taken (domain/reviews.py). `draft` is sent directly only for
the kinds that need no approval; a failed one goes back to draft when edited."""
NAMES = ("submit", "approve", "request_changes", "record_sent", "record_failed", "not_required", "acknowledge")


class Message(Struct, frozen=True, kw_only=True):
    """What a notification says and to whom. Absent parts stay as they are when it is edited."""

    kind: str | UnsetType = UNSET
    audience: str | UnsetType = UNSET
    action_id: str | UnsetType | None = UNSET
    client_id: UUID | UnsetType | None = UNSET
    obligation_id: UUID | UnsetType | None = UNSET
    channel: str | UnsetType = UNSET
    recipients: list[str] | UnsetType = UNSET
    subject: str | UnsetType = UNSET
    body: str | UnsetType = UNSET
    corrects_evidence_id: UUID | UnsetType | None = UNSET


class NotificationCommand(Struct, frozen=True, kw_only=True):
    """One transition of one notification, as asked for."""

    transition: str
    reason: str | None = None
    occurred_at: datetime | None = None
    performed_by: UUID | None = None
    proof_evidence_id: UUID | None = None
    overrides: list[Override] = []


def judge_notification(view: View, notification: Notification) -> list[Verdict]:
    """What each transition of it would answer now, persons left open."""
    return [judge(view, notification, name) for name in NAMES]


def judge(
    view: View,
    notification: Notification,
    transition: str,
    reason: str | None = None,
    lifted: frozenset[str] = frozenset(),
) -> Verdict:
    """What one transition would answer now, persons and the gates in `lifted` left open.

    `reason` lets one that cannot wait be sent early.
    """
    judged = _judge_in_turn(view, notification, transition, lifted)
    leave = ahead_of(view, notification, reason) if transition == "record_sent" else None
    if leave is None or judged.permit == "allowed":
        return judged
    return judge_early(view, notification, leave, _gate_against(view, notification, transition, lifted, leave.reason))


def _judge_in_turn(
    view: View, notification: Notification, transition: str, lifted: frozenset[str] = frozenset()
) -> Verdict:
    incident = view.record.incident
    state = gate = None
    unapproved = notification.status in ("draft", "in_review") and notification.kind in APPROVED_KINDS
    carried = incident.status == "closed" and is_carried(view.record, notification.obligation_id)
    if incident.status not in (*OPEN, "reported", "triage") and not carried:
        state = f"The incident is {incident.status}."
    elif transition == "record_sent" and unapproved:
        gate = _gate_against(view, notification, transition, lifted)  # a gate says what has to be done first
        state = None if gate else "It has to be submitted and approved before it is sent."
    elif (notification.status, transition) not in TRANSITIONS and not owes(view.record, notification, transition):
        state = f"The notification is {notification.status}."
    elif incident.declared_at is None and notification.kind in EXTERNAL_KINDS and transition != "not_required":
        state = "Outside parties are told only about a declared incident: declare it, then assess."
    elif transition == "submit" and notification.kind not in APPROVED_KINDS:
        state = f"A notification of kind {notification.kind} needs no approval."
    if state and transition == "record_sent":
        state += hint(view, notification)
    who, barred = _who(view, notification, transition)
    gate = gate or (None if state else _gate_against(view, notification, transition, lifted))
    return verdict(transition, who, state=state, gate=gate, not_persons=barred, needs_person=transition == "approve")


def is_carried(record: Record, obligation_id: UUID | None) -> bool:
    """Whether this is the notice that a closed incident still owes (C4, C9)."""
    duty = record.obligations.get(str(obligation_id))
    return duty is not None and duty.carried_follow_up_id is not None


def _check_open(change: Change, obligation_id: UUID | None) -> None:
    status = change.record.incident.status
    if status == "rejected" or (status == "closed" and not is_carried(change.record, obligation_id)):
        raise Conflict(f"The incident is {status}: its record does not change.", current={"status": status})


def _who(view: View, notification: Notification, transition: str) -> tuple[Who, list[UUID | None]]:
    author = notification.author_id
    if transition in ("approve", "request_changes"):
        who, barred = reviewers(view, notification)
        return who, list(barred)
    if transition == "not_required":
        return RISK_OWNER, []
    persons = {author} | ({notification.approved_by} if notification.approved_by else set())
    return Who(writers(view.change, notification.action_id).roles, frozenset(persons)), []


def writers(change: Change, action_id: str | None) -> Who:
    """Actors of the step that asks for it, and who may send it early; for one that no step asks for, the leaders."""
    action = change.playbook.action(action_id) if change.playbook and action_id else None
    if change.playbook is None or action is None:
        return EXTRA_WRITERS
    who = step_actors(change.record, change.playbook.step(action.step_id), action)
    return Who(who.roles.union(action.ahead_of_approval.roles), who.persons) if action.ahead_of_approval else who


def _gate_against(
    view: View, notification: Notification, transition: str, lifted: frozenset[str], reason: str = ""
) -> Any:
    if transition not in ("record_sent", "not_required"):
        return None
    operation = "notification.send" if transition == "record_sent" else "notification.not_required"
    about = {"kind": notification.kind, "action_id": notification.action_id or "", "reason": reason}
    gates = [g for g in speaking(view, {"kind": operation, "notification": about}) if g.id not in lifted]
    return refusal_of(view, gates[0]) if gates else None


def write_notification(change: Change, message: Message) -> Notification:
    """Draft one. Raises Forbidden, Invalid, or GateRefused where the text or the channel must not be."""
    _check_open(change, message.obligation_id or None)
    action_id = message.action_id or None
    if not is_among(writers(change, action_id), change.actor):
        raise Forbidden(
            "Notifications are written by the actors of the step that asks for them, risk_owner or security_lead."
        )
    draft = Notification(
        id=change.new_id(),
        kind=_given(message.kind, "kind"),
        audience=_given(message.audience, "audience"),
        channel=_given(message.channel, "channel"),
        subject=_given(message.subject, "subject"),
        body=_given(message.body, "body"),
        author_id=change.actor.id,
        created_at=change.now,
    )
    _put(draft, message)
    _check(change, draft)
    change.record.notifications[str(draft.id)] = draft
    change.emit("notification.drafted", notification_id=draft.id, kind=draft.kind, action_id=draft.action_id)
    return draft


def _given(value: str | UnsetType, name: str) -> str:
    if value is UNSET or not str(value).strip():
        raise Invalid(f"/{name} is required.", errors=[InputError(f"/{name}", "is required")])
    return str(value)


def edit_notification(change: Change, notification_id: str, message: Message) -> None:
    """Change an unsent one; editing after approval returns it to draft."""
    notification = _find(change, notification_id)
    _check_open(change, notification.obligation_id)
    if notification.status in ("sent", "acknowledged", "not_required"):
        raise Conflict(f"The notification is {notification.status}.", current={"status": notification.status})
    if not is_among(_who(View(change), notification, "submit")[0], change.actor):
        raise Forbidden("Only its author or an actor of its step edits a notification.")
    _put(notification, message)
    _check(change, notification)
    notification.status, notification.approved_by, notification.approved_at = "draft", None, None
    notification.approvals = []
    if change.actor.id not in (notification.author_id, *notification.editor_ids):
        notification.editor_ids = [*notification.editor_ids, change.actor.id]
    notification.version += 1
    change.emit("notification.edited", notification_id=notification.id)


def _put(notification: Notification, message: Message) -> None:
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if value is not UNSET:
            setattr(notification, name, value)


def transition_notification(change: Change, notification_id: str, command: NotificationCommand) -> None:
    """Apply one transition. Raises NotFound, Conflict, GateRefused, Forbidden or Invalid."""
    notification = _find(change, notification_id)
    view = View(change)

    def judged(lifted: frozenset[str] = frozenset()) -> Verdict:
        return judge(view, notification, command.transition, command.reason, lifted)

    is_early = command.transition == "record_sent" and _judge_in_turn(view, notification, "record_sent") != judged()
    current = {"status": notification.status, "version": notification.version}
    about = {"notification_id": str(notification.id)}
    pass_or_refuse(change, judged(), command.overrides, current, judged, details=about)
    if is_early:
        note_early(change, notification, command.reason or "")
    asked = notification.status, command.transition
    notification.status = TRANSITIONS.get(asked) or EARLY_TRANSITIONS[asked]
    _EFFECTS[command.transition](change, notification, command)
    notification.version += 1


def _submit(change: Change, notification: Notification, command: NotificationCommand) -> None:
    _check(change, notification)
    notification.submitted_at, notification.approvals = change.now, []
    change.emit("notification.submitted", notification_id=notification.id)


def _approve(change: Change, notification: Notification, command: NotificationCommand) -> None:
    seat = take_seat(change, notification, "approved", command.reason)
    if not open_seats(View(change), notification):
        complete_review(change, notification)
    elif notification.status == "approved":
        notification.status = "in_review"
    told: dict[str, Any] = {"role": seat.role, "action_id": seat.action_id, "content_hash": _hash(notification)}
    change.emit("notification.approved", notification_id=notification.id, **told)


def _request_changes(change: Change, notification: Notification, command: NotificationCommand) -> None:
    reason = require_reason(command.reason, "request changes")
    notification.reason = reason
    take_seat(change, notification, "changes_requested", reason)
    notification.approvals = notification.approvals[-1:]
    change.emit("notification.changes_requested", notification_id=notification.id, reason=reason)


def _record_sent(change: Change, notification: Notification, command: NotificationCommand) -> None:
    _check(change, notification)
    claim = Claim(occurred_at=command.occurred_at, performed_by=command.performed_by, reason=command.reason)
    doing = settle_claim(change, claim)
    if command.proof_evidence_id and str(command.proof_evidence_id) not in change.record.evidence:
        text = "is no evidence of this incident"
        raise Invalid(f"/proof_evidence_id {text}.", errors=[InputError("/proof_evidence_id", text)])
    notification.sent_at, notification.sent_recorded_at = doing.occurred_at, change.now
    notification.sent_by, notification.proof_evidence_id = doing.performed_by, command.proof_evidence_id
    notification.content_hash = _hash(notification)
    change.emit(
        "notification.sent",
        occurred_at=doing.occurred_at,
        notification_id=notification.id,
        kind=notification.kind,
        content_hash=notification.content_hash,
    )
    duty = change.record.obligations.get(str(notification.obligation_id))
    if duty is not None and duty.notified_at is None and notification.kind in EXTERNAL_KINDS:
        duty = notified(duty, doing.occurred_at, person_id=change.person_id, now=change.now)
        change.record.obligations[str(duty.id)] = duty
        change.emit("obligation.notified", occurred_at=doing.occurred_at, obligation_id=duty.id, rule=duty.rule_id)


def _record_failed(change: Change, notification: Notification, command: NotificationCommand) -> None:
    notification.reason = require_reason(command.reason, "record a failure")
    notification.sent_at = notification.sent_recorded_at = None
    duty = change.record.obligations.get(str(notification.obligation_id))
    if duty is not None:
        duty.notified_at = None
    change.emit("notification.failed", notification_id=notification.id, reason=notification.reason)


def _not_required(change: Change, notification: Notification, command: NotificationCommand) -> None:
    notification.reason = require_reason(command.reason, "state that no message is needed")
    notification.approved_by, notification.approved_at = change.person_id, change.now
    change.emit("notification.not_required", notification_id=notification.id, reason=notification.reason)


def _acknowledge(change: Change, notification: Notification, command: NotificationCommand) -> None:
    claim = Claim(occurred_at=command.occurred_at, reason=command.reason)
    notification.acknowledged_at = settle_claim(change, claim).occurred_at
    change.emit("notification.acknowledged", notification_id=notification.id)


_EFFECTS = {
    "submit": _submit,
    "approve": _approve,
    "request_changes": _request_changes,
    "record_sent": _record_sent,
    "record_failed": _record_failed,
    "not_required": _not_required,
    "acknowledge": _acknowledge,
}


def _find(change: Change, notification_id: str) -> Notification:
    found = change.record.notifications.get(notification_id)
    if found is None:
        raise NotFound
    return found


def _hash(notification: Notification) -> str:
    """SHA-256 (hex) of what was approved or sent: channel, recipients, subject, body, one field per line."""
    parts = [notification.channel, *notification.recipients, notification.subject, notification.body]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _check(change: Change, notification: Notification) -> None:
    """References belong to this incident, the kind fits the action, G-ALL-5 and G-ALL-9 hold."""
    record = change.record
    _check_references(change, notification)
    playbook = change.playbook
    action = playbook.action(notification.action_id) if playbook and notification.action_id else None
    if playbook is not None and action is not None:
        inside = action.type == "notify_internal"
        kinds = INTERNAL_KINDS if inside else APPROVED_KINDS  # a vendor is written to only where a file says so
        if inside and action.step_id == playbook.steps[-1].id:
            kinds = frozenset({"briefing"})  # what goes to all staff after the incident names nobody
        kinds = frozenset({"briefing"}) if action.briefs else frozenset(action.kinds) or kinds
        asks = action.briefs or action.type in ("notify_internal", "notify_external")
        if not asks or notification.kind not in kinds:
            text = f"does not fit {action.id}; use one of: {', '.join(sorted(kinds))}"
            raise Invalid(f"/kind {text}.", errors=[InputError("/kind", text)])
    if notification.kind in INTERNAL_KINDS and notification.client_id is not None:
        text = "a message to a client is a client_notice or a correction, not an internal one"
        raise Invalid(f"/kind: {text}.", errors=[InputError("/kind", text)])
    if notification.kind == "briefing":
        named = names_in(f"{notification.subject}\n{notification.body}", change)
        if named:
            raise GateRefused(
                "A briefing names no individual: take out the names, addresses and user names of those involved.",
                gate="G-ALL-5",
            )
    # The vendor is written to at its own address; what it must not come through is its tool.
    recipients = () if notification.kind == "vendor" else notification.recipients
    tool = tool_in([notification.channel, *recipients], record)
    if tool is not None:
        raise GateRefused(
            f"Messages about the incident never travel through the AI tool concerned ({tool}).", gate="G-ALL-9"
        )


def _check_references(change: Change, notification: Notification) -> None:
    record = change.record
    checks: tuple[tuple[str, UUID | None, Mapping[Any, Any]], ...] = (
        ("obligation_id", notification.obligation_id, record.obligations),
        ("corrects_evidence_id", notification.corrects_evidence_id, record.evidence),
    )
    for name, value, known in checks:
        if value is not None and str(value) not in known:
            raise Invalid(f"/{name} is unknown here.", errors=[InputError(f"/{name}", "is not of this incident")])
    if notification.client_id is not None and notification.client_id not in record.incident.client_ids:
        text = "is not a client of this incident"
        raise Invalid(f"/client_id {text}.", errors=[InputError("/client_id", text)])
    if notification.action_id is not None and notification.action_id not in record.actions:
        text = "is no action of this incident"
        raise Invalid(f"/action_id {text}.", errors=[InputError("/action_id", text)])
