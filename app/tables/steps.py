"""The executions of steps and actions, and the documentation they fill."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Text

from app.tables import columns
from app.tables.columns import SQLModel, belongs_to, in_incident, index, one_of


class StepRun(SQLModel, table=True):
    """The execution of one step."""

    __tablename__ = "step_runs"
    __table_args__ = (
        in_incident(),
        belongs_to("people", "assignee_id"),
        one_of("status", "locked", "ready", "in_progress", "blocked", "completed", "skipped"),
        index("step_runs_open", "due_at", where="status IN ('ready', 'in_progress', 'blocked')"),
    )

    tenant_id: UUID = columns.tenant()
    incident_id: UUID = columns.key()
    generation: int = columns.key(Integer)
    id: str = columns.key(Text)
    position: int = columns.number()
    status: str = columns.text("locked")
    assignee_id: UUID | None
    added_roles: list[str] = columns.words()
    clock_started_at: datetime
    at_risk_at: datetime
    due_at: datetime
    breach_at: datetime
    earlier_deadlines: list[Any] = columns.json("[]")
    started_at: datetime | None
    completed_at: datetime | None
    completed_occurred_at: datetime | None
    completed_by: UUID | None
    skipped_at: datetime | None
    reopened_by: str | None = columns.text()
    first_result: Any | None = columns.json()
    late_entry: bool = columns.flag()
    at_risk_announced_at: datetime | None
    breached_announced_at: datetime | None
    playbook_hash: str | None = columns.text()
    allowed: Any | None = columns.verbatim()


class ActionRun(SQLModel, table=True):
    """The execution of one action."""

    __tablename__ = "action_runs"
    __table_args__ = (
        belongs_to("step_runs", ("incident_id", "generation", "step_id"), ("incident_id", "generation", "id")),
        one_of("requirement", "required", "not_applicable", "pending_fact"),
        one_of("status", "pending", "pending_fact", "done", "not_applicable", "skipped", "unavailable"),
        index("action_runs_unavailable", "incident_id", where="status = 'unavailable' AND approvals = '[]'"),
        index("action_runs_in_approval", "incident_id", where="status = 'pending' AND approvals <> '[]'"),
    )

    tenant_id: UUID = columns.tenant()
    incident_id: UUID = columns.key()
    generation: int = columns.key(Integer)
    id: str = columns.key(Text)
    step_id: str = columns.text()
    position: int = columns.number()
    requirement: str = columns.text("required")
    status: str = columns.text("pending")
    outcome: str | None = columns.text()
    values: Any | None = columns.json()
    note: str | None = columns.text()
    reason: str | None = columns.text()
    due_at: datetime | None
    occurred_at: datetime | None
    recorded_at: datetime | None
    recorded_by: UUID | None
    performed_by: UUID | None
    late_entry: bool = columns.flag()
    evidence_ids: list[UUID] = columns.uuids()
    approvals: list[Any] = columns.json("[]")
    playbook_hash: str | None = columns.text()
    allowed: Any | None = columns.verbatim()


class Document(SQLModel, table=True):
    """One of the twelve documentation items."""

    __tablename__ = "documents"
    __table_args__ = (
        in_incident(),
        one_of("state", "missing", "partial", "complete", "not_applicable"),
    )

    tenant_id: UUID = columns.tenant()
    incident_id: UUID = columns.key()
    id: str = columns.key(Text)
    name: str = columns.text()
    value: Any | None = columns.json()
    state: str = columns.text("missing")
    missing: list[Any] = columns.verbatim()
    version: int = columns.number(1)
    updated_at: datetime | None
    updated_by: UUID | None
