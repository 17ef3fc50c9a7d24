"""What people do around an incident: take part, notify, follow up, link."""

from datetime import datetime
from typing import Any
from uuid import UUID

from app.tables import columns
from app.tables.columns import SQLModel, belongs_to, in_incident, index, one_of, unique


class Participant(SQLModel, table=True):
    """A person with a part in the incident."""

    __tablename__ = "participants"
    __table_args__ = (
        in_incident(),
        belongs_to("people", "person_id"),
        one_of("involvement", "responder", "reporter", "subject", "victim", "witness"),
        index("participants_by_person", "person_id"),
    )

    tenant_id: UUID = columns.tenant()
    incident_id: UUID = columns.key()
    person_id: UUID = columns.key()
    roles: list[str] = columns.words()
    involvement: str = columns.text()
    added_by: UUID | None
    added_at: datetime


class Notification(SQLModel, table=True):
    """A message to inside or outside."""

    __tablename__ = "notifications"
    __table_args__ = (
        in_incident(),
        belongs_to("clients", "client_id"),
        belongs_to("people", "author_id"),
        one_of("kind", "internal", "client_notice", "correction", "regulator", "vendor", "briefing", "escalation"),
        one_of("status", "draft", "in_review", "approved", "sent", "acknowledged", "failed", "not_required"),
        index("notifications_in_review", "incident_id", where="status = 'in_review'"),
    )

    tenant_id: UUID = columns.tenant()
    incident_id: UUID = columns.key()
    id: UUID = columns.key()
    version: int = columns.number(1)
    kind: str = columns.text()
    status: str = columns.text("draft")
    audience: str = columns.text()
    action_id: str | None = columns.text()
    client_id: UUID | None
    obligation_id: UUID | None
    channel: str = columns.text()
    recipients: list[str] = columns.words()
    subject: str = columns.text()
    body: str = columns.text()
    corrects_evidence_id: UUID | None
    author_id: UUID
    editor_ids: list[UUID] = columns.uuids()
    approvals: list[Any] = columns.json("[]")
    created_at: datetime
    due_at: datetime | None
    submitted_at: datetime | None
    approved_by: UUID | None
    approved_at: datetime | None
    sent_at: datetime | None
    sent_recorded_at: datetime | None
    sent_by: UUID | None
    proof_evidence_id: UUID | None
    content_hash: str | None = columns.text()
    acknowledged_at: datetime | None
    reason: str | None = columns.text()
    allowed: Any | None = columns.verbatim()


class FollowUp(SQLModel, table=True):
    """What is still owed after the incident."""

    __tablename__ = "follow_ups"
    __table_args__ = (
        in_incident(),
        belongs_to("people", "owner_id"),
        one_of("status", "open", "in_progress", "done", "cancelled"),
        index("follow_ups_open", "owner_id", "due_at", where="status IN ('open', 'in_progress')"),
    )

    tenant_id: UUID = columns.tenant()
    incident_id: UUID = columns.key()
    id: UUID = columns.key()
    title: str = columns.text()
    owner_id: UUID
    due_at: datetime
    status: str = columns.text("open")
    reason: str | None = columns.text()
    action_id: str | None = columns.text()
    control: str | None = columns.text()
    risk: str | None = columns.text()
    obligation_id: UUID | None
    outside_reviewer: str | None = columns.text()
    created_by: UUID | None
    created_at: datetime
    done_at: datetime | None


class Link(SQLModel, table=True):
    """A relation to another incident."""

    __tablename__ = "incident_links"
    __table_args__ = (
        in_incident(),
        belongs_to("incidents", "linked_incident_id"),
        one_of("type", "parent", "child", "duplicate", "related", "client_part"),
        index("incident_links_to", "linked_incident_id"),
    )

    tenant_id: UUID = columns.tenant()
    incident_id: UUID = columns.key()
    id: UUID = columns.key()
    linked_incident_id: UUID
    type: str = columns.text()
    action_id: str | None = columns.text()
    reason: str | None = columns.text()
    created_at: datetime
    released_at: datetime | None
    release_reason: str | None = columns.text()


class ExternalReference(SQLModel, table=True):
    """A ticket or alert elsewhere that is this incident."""

    __tablename__ = "external_references"
    __table_args__ = (
        in_incident(),
        belongs_to("sources", "source_id"),
        unique("external_references_once", "system", "instance", "external_id"),
        index("external_references_by_id", "external_id"),
    )

    tenant_id: UUID = columns.tenant()
    incident_id: UUID = columns.key()
    id: UUID = columns.key()
    system: str = columns.text()
    instance: str = columns.text("-")
    external_id: str = columns.text()
    key: str | None = columns.text()
    url: str | None = columns.text()
    source_id: UUID | None
    added_at: datetime
