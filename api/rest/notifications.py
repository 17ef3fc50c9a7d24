"""Notifications: drafted, approved by another person, sent with proof."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from pydantic import Field
from starlette.responses import Response

from api.calls import Call
from api.fields import (
    AllowedTransition,
    In,
    IncidentBrief,
    Instant,
    JsonObject,
    Name,
    Out,
    Overrides,
    Reason,
    Text,
    Word,
)
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.incidents import Apply, change_incident, incident_ref, visible_incident
from app.reading import read_all, read_matching
from domain.changes import Change
from domain.glossary import NotificationKind, NotificationStatus
from domain.notifications import (
    Message,
    NotificationCommand,
    edit_notification,
    transition_notification,
    write_notification,
)
from domain.refusals import PreconditionFailed

routes = router("Notifications")


class Notification(Out):
    """A message to inside or outside."""

    id: UUID
    version: int
    kind: NotificationKind
    status: NotificationStatus
    held: bool
    audience: str
    action_id: str | None
    client_id: UUID | None
    obligation_id: UUID | None
    channel: str
    recipients: list[str]
    subject: str
    body: str
    corrects_evidence_id: UUID | None
    author_id: UUID
    created_at: datetime
    due_at: datetime | None
    submitted_at: datetime | None
    approvals: list[JsonObject]
    approved_by: UUID | None
    approved_at: datetime | None
    sent_at: datetime | None
    sent_recorded_at: datetime | None
    sent_by: UUID | None
    proof_evidence_id: UUID | None
    content_hash: str | None
    acknowledged_at: datetime | None
    reason: str | None
    allowed_transitions: list[AllowedTransition]


class NotificationAnswer(Notification):
    """A changed notification with its incident."""

    incident: IncidentBrief


Recipients = Annotated[list[Name], Field(max_length=200)]


class NotificationIn(In):
    """A message to draft."""

    kind: NotificationKind
    audience: Name
    channel: Name
    recipients: Annotated[list[Name], Field(default_factory=list, max_length=200)]
    subject: Name
    body: Text
    action_id: Word | None = None
    client_id: UUID | None = None
    obligation_id: UUID | None = None
    corrects_evidence_id: UUID | None = None


class NotificationEdit(In):
    """What to change; absent members stay. Editing after approval returns it to draft."""

    audience: Name = Field(default="")
    channel: Name = Field(default="")
    recipients: Recipients = Field(default_factory=list)
    subject: Name = Field(default="")
    body: Text = Field(default="")
    client_id: UUID | None = None
    obligation_id: UUID | None = None


class NotificationTransition(In):
    """What to do with a notification."""

    transition: Literal[
        "submit", "approve", "request_changes", "record_sent", "record_failed", "not_required", "acknowledge"
    ]
    reason: Reason | None = None
    occurred_at: Instant | None = None
    performed_by: UUID | None = None
    proof_evidence_id: UUID | None = None
    overrides: Overrides


@routes.get(
    "/incidents/{incident_id}/notifications",
    **declares("notification.read", answer=list[Notification]),  # type: ignore[arg-type]
)
async def listed(call: Call, incident_id: str) -> Response:
    """All notifications of an incident."""

    async def query(db: Db, principal: Principal) -> str:
        found = await visible_incident(db, incident_ref(incident_id))
        shape = shape_of(Notification, "notification")
        return await read_all(db, "notification", shape, {"incident": found}, principal)

    return await call.read("notification.read", query)


WRITERS = ("notification.write", "notification.extra")


@routes.post(
    "/incidents/{incident_id}/notifications",
    **declares(WRITERS, answer=NotificationAnswer, status=201, refuses=[409]),
)
async def draft(call: Call, incident_id: str, body: NotificationIn) -> Response:
    """Draft a notification."""
    message = msgspec.convert(body.model_dump(exclude_unset=True), Message)
    made: list[UUID] = []

    def apply(change: Change) -> None:
        made[:] = [write_notification(change, message).id]

    return await _write(call, incident_id, apply, made, status=201)


@routes.patch(
    "/incidents/{incident_id}/notifications/{notification_id}",
    **declares(WRITERS, answer=NotificationAnswer, refuses=[409, 412]),
)
async def edit(call: Call, incident_id: str, notification_id: UUID, body: NotificationEdit) -> Response:
    """Edit one that has not been sent."""
    message = msgspec.convert(body.model_dump(exclude_unset=True), Message)

    def apply(change: Change) -> None:
        found = change.record.notifications.get(str(notification_id))
        if found is not None and call.if_match is not None and call.if_match != str(found.version):
            raise PreconditionFailed("The notification has changed.", current={"version": found.version})
        edit_notification(change, str(notification_id), message)

    return await _write(call, incident_id, apply, [notification_id])


@routes.post(
    "/incidents/{incident_id}/notifications/{notification_id}/transitions",
    **declares(
        (
            "notification.write",
            "notification.approve",
            "decision.approve",
            "notification.record_sent",
            "notification.not_required",
            "notification.send_during_attack",
        ),
        answer=NotificationAnswer,
        refuses=[409],
    ),
)
async def transition(call: Call, incident_id: str, notification_id: UUID, body: NotificationTransition) -> Response:
    """Submit, approve, send, or state that it is not required.

    A notice that its action lets out ahead of approval is recorded sent with the reason `attack_in_progress`, by
    `security_lead` or `risk_owner`; it is an exception, and another person approves it before the step completes.
    """
    command = msgspec.convert(body.model_dump(), NotificationCommand)

    def apply(change: Change) -> None:
        transition_notification(change, str(notification_id), command)

    return await _write(call, incident_id, apply, [notification_id])


async def _write(call: Call, incident_id: str, apply: Apply, ids: list[UUID], *, status: int = 200) -> Response:
    async def use_case(db: Db, principal: Principal) -> Answer:
        record = await change_incident(db, principal, incident_ref(incident_id), apply)
        filters = {"incident": record.incident.id, "id": ids[0]}
        text = await read_matching(db, "notification", shape_of(NotificationAnswer, "notification"), filters, principal)
        return answer(text, status=status, version=record.notifications[str(ids[0])].version)

    return await call.write(None, use_case)
