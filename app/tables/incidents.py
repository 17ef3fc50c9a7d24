"""Incidents and the child tables that their lists are filtered by."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Computed, Text
from sqlalchemy import text as sql
from sqlmodel import Field

from app.tables import columns
from app.tables.columns import SQLModel, belongs_to, in_incident, index, one_of, unique


class Incident(SQLModel, table=True):
    """The header. See `domain.record.Incident` for what the columns mean."""

    __tablename__ = "incidents"
    __table_args__ = (
        unique("incidents_number", "number"),
        belongs_to("people", "assignee_id"),
        belongs_to("people", "discovered_by_id"),
        belongs_to("people", "person_concerned_id"),
        belongs_to("sources", "source_id"),
        one_of(
            "status",
            "reported",
            "triage",
            "in_progress",
            "contained",
            "post_incident",
            "on_hold",
            "closed",
            "reopened",
            "rejected",
        ),
        one_of("severity", "SEV1", "SEV2", "SEV3", "SEV4"),
        one_of("discovered_at_precision", "exact", "minute", "hour", "day", "estimated"),
        one_of("opened_by_kind", "person", "service_account", "system"),
        one_of("person_concerned", "person", "outside", "none", "unknown"),
        one_of("disposition", "false_positive", "duplicate", "test", "out_of_scope"),
        one_of("workflow_status", "running", "suspended", "in_service", "restricted", "retired"),
        index("incidents_by_number", "number_order", "id"),
        index("incidents_by_report", "reported_at", "id"),
        index("incidents_by_discovery", "discovered_at", "id"),
        # Sorted as lists are: what has no deadline comes last. LEAST skips nulls as COALESCE does, but only LEAST is
        # leakproof to PostgreSQL: a page that compares with COALESCE never uses the index under row security.
        index("incidents_by_due", sql("least(next_due_at, 'infinity'::timestamptz)"), "id"),
        index("incidents_by_status", "status", "number_order", "id"),
        index("incidents_by_assignee", "assignee_id", "number_order", where="assignee_id IS NOT NULL"),
    )

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    number: str = columns.text()
    number_order: int = Field(  # INC-10000 sorts after INC-9999
        sa_column_args=(Computed("substring(number, '[0-9]+$'::text)::integer", persisted=True),)
    )
    exercise: bool = columns.flag()
    version: int = columns.number(1)
    generation: int = columns.number(1)
    status: str = columns.text("reported")
    status_before_hold: str | None = columns.text()
    title: str = columns.text()
    summary: str | None = columns.text()
    severity: str = columns.text("SEV4")
    severity_basis: Any | None = columns.json()
    severity_highest: str | None = columns.text()
    severity_adjustment: Any | None = columns.json()
    playbook_slug: str | None = columns.text()
    playbook_version: str | None = columns.text()
    playbook_hash: str | None = columns.text()
    suggested_playbook: Any | None = columns.json()
    primary_risk: str | None = columns.text()
    discovered_at: datetime
    discovered_at_precision: str = columns.text("estimated")
    discovered_by_id: UUID | None
    discovered_by_name: str | None = columns.text()
    discovery_method: str | None = columns.text()
    discovery_note: str | None = columns.text()
    discovery_confirmed: bool = columns.flag()
    reported_at: datetime
    opened_by_kind: str = columns.text()
    opened_by_id: UUID
    source_id: UUID | None
    triage_due_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: UUID | None
    declared_at: datetime | None
    contained_at: datetime | None
    post_incident_at: datetime | None
    closed_at: datetime | None
    rejected_at: datetime | None
    disposition: str | None = columns.text()
    workflow_status: str | None = columns.text()
    hold: Any | None = columns.json()
    reopened: Any | None = columns.json()
    close_asked: Any | None = columns.json()
    client_ids: list[UUID] = columns.uuids()
    ai_elements: list[str] = columns.words()
    labels: list[str] = columns.words()
    impact_types: list[str] = columns.words()
    facts: dict[str, Any] = columns.json("{}")
    severity_hint: str | None = columns.text()
    person_concerned: str | None = columns.text()
    person_concerned_id: UUID | None
    person_concerned_note: str | None = columns.text()
    assignee_id: UUID | None
    current_step: str | None = columns.text()
    next_due_at: datetime | None
    next_at_risk_at: datetime | None
    next_breach_at: datetime | None
    next_alarm_at: datetime | None
    provisional_deadlines: list[Any] = columns.json("[]")
    allowed: Any | None = columns.verbatim()


class IncidentClient(SQLModel, table=True):
    """Which clients an incident touches: `incidents.client_ids` as rows.

    The filters are tables of their own because under row-level security only leakproof comparisons use an index,
    which array containment and full text search are not.
    """

    __tablename__ = "incident_clients"
    __table_args__ = (
        in_incident(),
        belongs_to("clients", "client_id"),
        index("incident_clients_of", "incident_id"),
        index("incident_clients_by_number", "client_id", "number_order", "incident_id"),
    )

    tenant_id: UUID = columns.tenant()
    client_id: UUID = columns.key()
    incident_id: UUID = columns.key()
    number_order: int  # of the incident: a page of a client's incidents is a range of the index


class IncidentLabel(SQLModel, table=True):
    """`incidents.labels` as rows."""

    __tablename__ = "incident_labels"
    __table_args__ = (
        in_incident(),
        index("incident_labels_of", "incident_id"),
        index("incident_labels_by_number", "label", "number_order", "incident_id"),
    )

    tenant_id: UUID = columns.tenant()
    label: str = columns.key(Text)
    incident_id: UUID = columns.key()
    number_order: int  # of the incident, as in IncidentClient


class IncidentWord(SQLModel, table=True):
    """The words that `q` finds an incident by: `domain/words.py`."""

    __tablename__ = "incident_words"
    __table_args__ = (in_incident(), index("incident_words_of", "incident_id"))

    tenant_id: UUID = columns.tenant()
    word: str = columns.key(Text)
    incident_id: UUID = columns.key()


class IncidentMember(SQLModel, table=True):
    """Who may read an incident without a role that reads them all: reporter, participants, a source's account."""

    __tablename__ = "incident_members"
    __table_args__ = (in_incident(), index("incident_members_of", "incident_id"))

    tenant_id: UUID = columns.tenant()
    member_id: UUID = columns.key()
    incident_id: UUID = columns.key()


class GateRefusal(SQLModel, table=True):
    """That a gate refused somebody in one minute: the key that keeps `gate.refused` from flooding a timeline."""

    __tablename__ = "gate_refusals"
    __table_args__ = (in_incident(),)

    tenant_id: UUID = columns.tenant()
    incident_id: UUID = columns.key()
    gate: str = columns.key(Text)
    actor_id: UUID = columns.key()
    minute: datetime = Field(primary_key=True)
