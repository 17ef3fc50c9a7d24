"""The register of AI tools: entries, assessments of their vendors, decisions, and which incidents name a tool."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from app.tables import columns
from app.tables.columns import SQLModel, belongs_to, in_incident, index, of_tenant, one_of, unique


class Tool(SQLModel, table=True):
    """An entry of the register. The columns from `approved_uses` on are the artifact of the decision in force."""

    __tablename__ = "tools"
    __table_args__ = (
        of_tenant(),
        belongs_to("people", "owner_id"),
        unique("tools_by_name", "name_key"),
        one_of("status", "requested", "under_review", "approved", "conditional", "blocked", "retired"),
        one_of("requested_by_kind", "person", "service_account", "system"),
    )

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    version: int = columns.number(1)
    name: str = columns.text()
    name_key: str = columns.text()
    vendor: str | None = columns.text()
    domains: list[str] = columns.words()
    extension_ids: list[str] = columns.words()
    service: str | None = columns.text()
    status: str = columns.text("requested")
    owner_id: UUID | None
    intended_use: str | None = columns.text()
    approved_uses: list[str] = columns.words()
    approved_data_classes: list[str] = columns.words()
    conditions: list[str] = columns.words()
    conditions_from: date | None
    acknowledgement_required: bool = columns.flag()
    blocked_domains: list[str] = columns.words()
    blocked_extension_ids: list[str] = columns.words()
    block_requested_at: datetime | None
    block_confirmed_at: datetime | None
    review_due_at: datetime | None
    review_overdue_at: datetime | None
    report_type: str | None = columns.text()
    report_period_start: date | None
    report_period_end: date | None
    requested_by_kind: str = columns.text()
    requested_by_id: UUID
    created_at: datetime
    updated_at: datetime


class ToolAssessment(SQLModel, table=True):
    """One run through the vendor checklist."""

    __tablename__ = "tool_assessments"
    __table_args__ = (
        belongs_to("tools", "tool_id"),
        belongs_to("incidents", "incident_id"),
        one_of("status", "draft", "complete", "decided", "expired"),
        index("tool_assessments_of", "tool_id"),
    )

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    tool_id: UUID
    status: str = columns.text("draft")
    answers: dict[str, Any] = columns.json("{}")
    personal_data: bool | None
    suggested: Any | None = columns.json()
    incident_id: UUID | None
    started_by: UUID | None
    started_at: datetime
    completed_at: datetime | None
    decided_at: datetime | None


class ToolDecision(SQLModel, table=True):
    """A decided or proposed change of a tool's status."""

    __tablename__ = "tool_decisions"
    __table_args__ = (
        belongs_to("tools", "tool_id"),
        belongs_to("tool_assessments", "assessment_id"),
        belongs_to("incidents", "incident_id"),
        one_of("outcome", "approve", "conditional", "block", "retire"),
        one_of("status", "proposed", "effective", "rejected"),
        index("tool_decisions_of", "tool_id"),
        index("tool_decisions_proposed", "tool_id", where="status = 'proposed'"),
        index("tool_decisions_in_incident", "incident_id", where="incident_id IS NOT NULL"),
    )

    tenant_id: UUID = columns.tenant()
    id: UUID = columns.key()
    tool_id: UUID
    assessment_id: UUID | None
    incident_id: UUID | None
    action_id: str | None = columns.text()
    outcome: str = columns.text()
    status: str = columns.text("effective")
    reason: str = columns.text()
    status_before: str = columns.text()
    status_after: str = columns.text()
    suggested: str | None = columns.text()
    artifact: Any | None = columns.json()
    approvals: list[Any] = columns.json("[]")
    proposed_by: UUID | None
    proposed_at: datetime
    decided_at: datetime | None
    rejection: Any | None = columns.json()


class IncidentTool(SQLModel, table=True):
    """A tool that an incident names in D03: whom a change of the tool concerns."""

    __tablename__ = "incident_tools"
    __table_args__ = (in_incident(), index("incident_tools_by_tool", "tool_id"))

    tenant_id: UUID = columns.tenant()
    incident_id: UUID = columns.key()
    tool_id: UUID = columns.key()
