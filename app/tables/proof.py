"""What an auditor asks an incident for: files, duties, control occurrences, signatures, exceptions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, Text
from sqlmodel import Field

from app.tables import columns
from app.tables.columns import SQLModel, belongs_to, in_incident, index, one_of, unique


class Evidence(SQLModel, table=True):
    """A preserved file; its bytes lie in the evidence store."""

    __tablename__ = "evidence"
    __table_args__ = (
        in_incident(),
        unique("evidence_id", "id"),
        one_of("sensitivity", "internal", "restricted"),
        one_of("attached_by_kind", "person", "service_account", "system"),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_is_hex"),
        CheckConstraint("size >= 0", name="size_is_not_negative"),
        index("evidence_by_hash", "sha256"),
    )

    tenant_id: UUID = columns.tenant()
    incident_id: UUID = columns.key()
    id: UUID = columns.key()
    action_id: str | None = columns.text()
    kind: str = columns.text()
    title: str = columns.text()
    filename: str = columns.text()
    sha256: str = columns.text()
    size: int = columns.number()
    media_type: str = columns.text()
    sensitivity: str = columns.text("internal")
    legal_hold: bool = columns.flag()
    collected_by: UUID | None
    collected_at: datetime
    collected_from: str | None = columns.text()
    collection_method: str | None = columns.text()
    attached_by_kind: str = columns.text()
    attached_by_id: UUID
    attached_at: datetime
    supersedes_id: UUID | None
    redacted_copy_of_id: UUID | None
    custody: list[Any] = columns.json("[]")


class Obligation(SQLModel, table=True):
    """A candidate duty to notify."""

    __tablename__ = "obligations"
    __table_args__ = (
        in_incident(),
        belongs_to("clients", "client_id"),
        one_of("toward", "client", "regulator", "individuals", "counsel", "third_party", "internal"),
        one_of("owed_by", "us", "client"),
        one_of("outcome", "required", "likely", "needs_facts", "needs_legal", "not_triggered"),
        one_of("decision", "open", "notify", "not_required", "waived_by_counsel"),
        index("obligations_due", "due_at", where="notified_at IS NULL AND decision IN ('open', 'notify')"),
    )

    tenant_id: UUID = columns.tenant()
    incident_id: UUID = columns.key()
    id: UUID = columns.key()
    rule_id: str = columns.text()
    rule_version: str = columns.text()
    client_id: UUID | None
    toward: str = columns.text()
    owed_by: str = columns.text("us")
    outcome: str = columns.text()
    because: list[Any] = columns.json("[]")
    missing_facts: list[str] = columns.words()
    recipient: str = columns.text()
    channel: str | None = columns.text()
    content_requirements: list[str] = columns.words()
    citation: str = columns.text()
    as_of: str = columns.text()
    confidence: str = columns.text()
    clock_event: str | None = columns.text()
    clock_started_at: datetime | None
    pending_clock: bool = columns.flag()
    due_at: datetime | None
    guideline_due_at: datetime | None
    original_due_at: datetime | None
    delay: Any | None = columns.json()
    decision: str = columns.text("open")
    rationale: str | None = columns.text()
    opinion_reference: str | None = columns.text()
    decided_by: UUID | None
    decided_at: datetime | None
    notified_at: datetime | None
    carried_follow_up_id: UUID | None
    overdue_announced_at: datetime | None
    unassessed_announced_at: datetime | None
    listed_at: datetime | None
    allowed: Any | None = columns.verbatim()


class ControlOccurrence(SQLModel, table=True):
    """One expected operation of a control."""

    __tablename__ = "control_occurrences"
    __table_args__ = (
        in_incident(),
        one_of("purpose", "step", "triage", "documentation"),
        index("control_occurrences_by_control", "control", "due_at"),
        index("control_occurrences_by_discovery", "control", "discovered_at", "id"),
        # What an auditor looks for is rare: everything but the operations that went well.
        index("control_occurrences_by_outcome", "control", "outcome", "discovered_at", "id", where="outcome <> 'met'"),
    )

    tenant_id: UUID = columns.tenant()
    incident_id: UUID = columns.key()
    id: UUID = columns.key()
    control: str = columns.text()
    generation: int = columns.number(1)
    playbook_slug: str | None = columns.text()
    discovered_at: datetime
    exercise: bool = columns.flag()
    step_id: str | None = columns.text()
    purpose: str = columns.text("step")
    expected_of: list[str] = columns.words()
    due_at: datetime
    breach_at: datetime
    met_at: datetime | None
    met_occurred_at: datetime | None
    skipped_at: datetime | None
    voided_at: datetime | None
    breached_announced_at: datetime | None
    outcome: str | None = Field(  # the part of the state that no longer hangs on the clock
        sa_type=Text,
        sa_column_args=(
            Computed(
                "CASE WHEN voided_at IS NOT NULL THEN 'voided' WHEN skipped_at IS NOT NULL THEN 'skipped'"
                " WHEN coalesce(met_occurred_at, met_at) <= breach_at THEN 'met'"
                " WHEN coalesce(met_occurred_at, met_at) IS NOT NULL THEN 'met_late' ELSE 'open' END",
                persisted=True,
            ),
        ),
    )


class Signature(SQLModel, table=True):
    """One signature under a sign-off."""

    __tablename__ = "signatures"
    __table_args__ = (
        in_incident(),
        belongs_to("people", "person_id"),
    )

    tenant_id: UUID = columns.tenant()
    incident_id: UUID = columns.key()
    id: UUID = columns.key()
    round: int = columns.number(1)
    person_id: UUID
    role: str = columns.text()
    statement: str = columns.text()
    signed_at: datetime
    record_hash: str = columns.text()
    override: Any | None = columns.json()
    voided_at: datetime | None


class ExceptionEntry(SQLModel, table=True):
    """A deviation that the auditor will see."""

    __tablename__ = "incident_exceptions"
    __table_args__ = (
        in_incident(),
        index("incident_exceptions_by_time", "at"),
    )

    tenant_id: UUID = columns.tenant()
    incident_id: UUID = columns.key()
    id: UUID = columns.key()
    kind: str = columns.text()
    gate: str | None = columns.text()
    step_id: str | None = columns.text()
    action_id: str | None = columns.text()
    person_id: UUID | None
    reason: str = columns.text()
    at: datetime
    details: Any | None = columns.json()
